// From a Kinesis record to user records: what a producer aggregated is taken apart (KPL aggregation-format.md). Pure.
// Invariant: nothing is dropped. What can't be read is one plain record, a user record that belongs to another shard is
// delivered all the same, and both are counted (the KCL's AggregatorUtil drops the rest, or the whole aggregate, in silence).
import {
  decodeAggregatedRecord,
  type HashKey,
  type HashKeyRange,
  hashKeyOf,
  hashTopOf,
  rangeContains,
  topOfHashKey,
  unreachable,
} from '@shardline/common';
import type { UserRecord } from '../handler.ts';

/** A record of an answer as it came. It is a user record, the one of a record that is not aggregated. */
export interface KinesisRecord extends UserRecord {
  readonly subSequenceNumber: 0;
  readonly aggregated: false;
}

export interface Deaggregated {
  /** In order; `subSequenceNumber` is the index. Empty for an aggregate of no records. */
  readonly records: readonly UserRecord[];
  readonly corrupt: boolean;
  /** User records whose hash key lies outside `range`. */
  readonly strayCount: number;
}

/**
 * @param range the shard's; undefined: not known, so nothing is stray.
 * @param hasDigest whether it ends with the digest of its message; undefined: it is found out.
 * @returns undefined for a record that is not aggregated.
 */
export function deaggregate(
  record: KinesisRecord,
  range: HashKeyRange | undefined,
  hasDigest?: boolean,
): Deaggregated | undefined {
  const { sequenceNumber, approximateArrivalTimestamp } = record;
  // Made once there is something to look at: most records are plain.
  let strays: Strays | undefined;
  let strayCount = 0;
  const decoded = decodeAggregatedRecord<UserRecord>(
    record.data,
    (partitionKey, data, explicitHashKey, index, keyIndex) => {
      if (range !== undefined) {
        strays ??= new Strays(range);
        if (strays.has(partitionKey, keyIndex, explicitHashKey)) strayCount += 1;
      }
      // Written out: a spread costs more than all the rest of the way (4.3 against 0.1 µs a record, Node 20).
      if (explicitHashKey === undefined) {
        return {
          partitionKey,
          data,
          sequenceNumber,
          subSequenceNumber: index,
          approximateArrivalTimestamp,
          aggregated: true,
        };
      }
      return {
        partitionKey,
        explicitHashKey,
        data,
        sequenceNumber,
        subSequenceNumber: index,
        approximateArrivalTimestamp,
        aggregated: true,
      };
    },
    hasDigest,
  );
  switch (decoded.kind) {
    case 'plain':
      return undefined;
    case 'corrupt':
      return { records: [record], corrupt: true, strayCount: 0 };
    case 'aggregated':
      return { records: decoded.records, corrupt: false, strayCount };
    default:
      return unreachable(decoded);
  }
}

/** Which user records of one aggregate belong to another shard. An MD5 costs more than all the rest of a record's way. */
class Strays {
  readonly #range: HashKeyRange;
  readonly #topOfStart: number;
  readonly #topOfEnd: number;
  /** By the key's place in the aggregate's table: keys repeat. */
  readonly #known: boolean[] = [];

  constructor(range: HashKeyRange) {
    this.#range = range;
    this.#topOfStart = topOfHashKey(range.start);
    this.#topOfEnd = topOfHashKey(range.end);
  }

  has(partitionKey: string, keyIndex: number, explicitHashKey: HashKey | undefined): boolean {
    if (explicitHashKey !== undefined) return !rangeContains(this.#range, explicitHashKey);
    const known = this.#known[keyIndex] ?? this.#isStray(partitionKey);
    this.#known[keyIndex] = known;
    return known;
  }

  #isStray(partitionKey: string): boolean {
    const top = hashTopOf(partitionKey);
    if (top > this.#topOfStart && top < this.#topOfEnd) return false;
    if (top < this.#topOfStart || top > this.#topOfEnd) return true;
    return !rangeContains(this.#range, hashKeyOf(partitionKey));
  }
}
