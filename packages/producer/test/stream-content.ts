// What a stream holds, read from the local server's model and taken apart as a consumer would.
import { decodeAggregatedRecord, type HashKey, hashKeyOf, rangeContains } from '@shardline/common';
import type { KinesisModel } from '@shardline/local';

export interface StoredUserRecord {
  readonly shardId: string;
  readonly sequenceNumber: string;
  /** Absent for one that travelled alone. */
  readonly subSequenceNumber: number | undefined;
  readonly partitionKey: string;
  readonly text: string;
  /** Whether the KCL hands it on: it drops an aggregated record of which one hash key lies outside the shard. */
  readonly readable: boolean;
}

/** Every user record of the stream, parents before children, each shard in its order. */
export function userRecordsOf(model: KinesisModel, streamName: string): StoredUserRecord[] {
  const found: StoredUserRecord[] = [];
  for (const shard of model.stream(streamName, Date.now()).shards) {
    for (let counter = shard.log.firstCounter; counter < shard.log.nextCounter; counter++) {
      const stored = shard.log.at(counter);
      if (stored === undefined) continue;
      const decoded = decodeAggregatedRecord(stored.data);
      const aggregated = decoded.kind === 'aggregated';
      const records: readonly { partitionKey: string; explicitHashKey?: HashKey; data: Uint8Array }[] = aggregated
        ? decoded.records
        : [{ ...stored, partitionKey: stored.partitionKey ?? '' }];
      const readable = records.every(
        ({ partitionKey, explicitHashKey }) =>
          !aggregated || rangeContains(shard.origin.range, explicitHashKey ?? hashKeyOf(partitionKey)),
      );
      for (const [index, { partitionKey, data }] of records.entries()) {
        found.push({
          shardId: shard.id,
          sequenceNumber: String(stored.sequenceNumber),
          subSequenceNumber: aggregated ? index : undefined,
          partitionKey,
          text: Buffer.from(data).toString(),
          readable,
        });
      }
    }
  }
  return found;
}

/** The texts of each key in order of their first copies. */
export function firstCopiesByKey(records: readonly StoredUserRecord[]): Map<string, string[]> {
  const seen = new Set<string>();
  const byKey = new Map<string, string[]>();
  for (const { partitionKey, text } of records) {
    const name = `${partitionKey}|${text}`;
    if (seen.has(name)) continue;
    seen.add(name);
    const texts = byKey.get(partitionKey);
    if (texts === undefined) byKey.set(partitionKey, [text]);
    else texts.push(text);
  }
  return byKey;
}
