// Which user records of a stream a KCL can be given: it drops an aggregated record as a whole if one hash key in it is of another
// shard (AggregatorUtil). The KPL leaves such behind when a shard is split under it, and sends none but the strays again.
import { type HashKeyRange, hashKeyOf, rangeContains } from '@shardline/common';
import type { StoredUserRecord } from './read-stream.ts';

/** @returns by name those that lie in a Kinesis record which a KCL hands on. */
export function readableNames(
  stored: readonly StoredUserRecord[],
  rangeOf: (shard: string) => HashKeyRange,
): ReadonlySet<string> {
  const strayed = new Set<string>();
  for (const record of stored) {
    if (record.aggregated && !rangeContains(rangeOf(record.shard), hashKeyOf(record.key)))
      strayed.add(carrierOf(record));
  }
  return new Set(stored.filter((record) => !strayed.has(carrierOf(record))).map(nameOf));
}

/** Keys are put by one producer alone, and its data are numbers that it uses once. */
export function nameOf({ key, data }: { readonly key: string | null; readonly data: string }): string {
  return `${key} ${data}`;
}

function carrierOf({ shard, sequence }: StoredUserRecord): string {
  return `${shard}/${sequence}`;
}
