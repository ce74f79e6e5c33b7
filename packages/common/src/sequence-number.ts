// Where a reader stands in a shard: a sequence number or one of the KCL's sentinels, and the place inside an aggregated
// record. The order is total: AT_TIMESTAMP < TRIM_HORIZON < LATEST < any number < SHARD_END (KCL ExtendedSequenceNumber).
// Sequence numbers are compared as numbers, never as text.
import { describe, UsageError } from './errors.ts';

declare const sequenceNumberBrand: unique symbol;

/** A Kinesis sequence number, 0 to 186 bits. */
export type SequenceNumber = bigint & { readonly [sequenceNumberBrand]: true };

/** The words that stand in a checkpoint in place of a number. */
export type Sentinel = 'TRIM_HORIZON' | 'LATEST' | 'AT_TIMESTAMP' | 'SHARD_END';

/**
 * A position: `subSequenceNumber` counts the user records of one aggregated record from 0; it is 0 for a plain one, and -1 just
 * before the first of them.
 */
export interface ExtendedSequenceNumber {
  readonly sequenceNumber: SequenceNumber | Sentinel;
  readonly subSequenceNumber: number;
}

export const TRIM_HORIZON: ExtendedSequenceNumber = { sequenceNumber: 'TRIM_HORIZON', subSequenceNumber: 0 };
export const LATEST: ExtendedSequenceNumber = { sequenceNumber: 'LATEST', subSequenceNumber: 0 };
export const AT_TIMESTAMP: ExtendedSequenceNumber = { sequenceNumber: 'AT_TIMESTAMP', subSequenceNumber: 0 };
export const SHARD_END: ExtendedSequenceNumber = { sequenceNumber: 'SHARD_END', subSequenceNumber: 0 };

const sentinelRank: Readonly<Record<Sentinel, number>> = {
  AT_TIMESTAMP: -3,
  TRIM_HORIZON: -2,
  LATEST: -1,
  SHARD_END: 1,
};

/** The place behind all that comes before this record: a checkpoint there begins with the record, for a KCL worker as well. */
export function justBefore(sequenceNumber: SequenceNumber): ExtendedSequenceNumber {
  return { sequenceNumber, subSequenceNumber: -1 };
}

/** Reads a decimal sequence number. @throws UsageError naming `field`. */
export function parseSequenceNumber(text: string, field = 'sequenceNumber'): SequenceNumber {
  if (typeof text !== 'string' || !/^\d{1,128}$/.test(text)) {
    throw new UsageError(field, 'a decimal sequence number', describe(text));
  }
  return BigInt(text) as SequenceNumber;
}

const NUMBER_BITS = 186n;
const VERSION_SHIFT = 184n;
const VERSION = 2n;
const SHARD_SHIFT = 4n;
const SHARD_MASK = 0xffff_ffffn;

/**
 * The shard that gave the number out, as `shardId-000000000006`: numbers of the second version, which are all that Kinesis writes, have it in
 * them (KCL SequenceNumberValidator). Undefined: a number of another make says nothing of its shard.
 */
export function shardIdIn(sequenceNumber: SequenceNumber): string | undefined {
  if (sequenceNumber >> NUMBER_BITS !== 0n || sequenceNumber >> VERSION_SHIFT !== VERSION) return undefined;
  const shard = (sequenceNumber >> SHARD_SHIFT) & SHARD_MASK;
  return `shardId-${String(shard).padStart(12, '0')}`;
}

/** Negative, 0 or positive, as for Array.sort: of two as Kinesis writes them, without leading zeros, compared as they are. */
export function compareSequenceTexts(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length;
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

export function isSentinel(text: unknown): text is Sentinel {
  return text === 'TRIM_HORIZON' || text === 'LATEST' || text === 'AT_TIMESTAMP' || text === 'SHARD_END';
}

/** Reads what a lease row's `checkpoint` holds: digits or a sentinel. @throws UsageError naming `field`. */
export function parseCheckpoint(text: string, subSequenceNumber = 0, field = 'checkpoint'): ExtendedSequenceNumber {
  return { sequenceNumber: isSentinel(text) ? text : parseSequenceNumber(text, field), subSequenceNumber };
}

/** Negative, 0 or positive, as for Array.sort. Two SHARD_ENDs are equal whatever their sub-sequence numbers. */
export function compareExtended(a: ExtendedSequenceNumber, b: ExtendedSequenceNumber): number {
  const left = a.sequenceNumber;
  const right = b.sequenceNumber;
  if (typeof left === 'bigint' && typeof right === 'bigint') {
    if (left !== right) return left < right ? -1 : 1;
    return a.subSequenceNumber - b.subSequenceNumber;
  }
  const rank =
    (typeof left === 'bigint' ? 0 : sentinelRank[left]) - (typeof right === 'bigint' ? 0 : sentinelRank[right]);
  if (rank !== 0) return rank;
  return left === 'SHARD_END' ? 0 : a.subSequenceNumber - b.subSequenceNumber;
}

/** For logs: `49590338271490256608559692538361571095921575989136588898:3`, `TRIM_HORIZON`. */
export function formatExtended(position: ExtendedSequenceNumber): string {
  const text = String(position.sequenceNumber);
  return position.subSequenceNumber === 0 ? text : `${text}:${position.subSequenceNumber}`;
}
