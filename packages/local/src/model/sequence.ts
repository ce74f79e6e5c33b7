// How a sequence number is built: 186 bits, always 56 decimal digits, laid out so that the KCL's SequenceNumberValidator
// reads the version and the shard out of it. From the top: version 2 (bits 184 to 187), the shard's epoch (36 bits at
// 148), a counter (64 bits at 80), a spare byte (8 bits at 72), the second of arrival (36 bits at 36), the shard's number
// (32 bits at 4), version 2 again. The counter stands above the time, so the order never depends on a clock; the epoch
// stands above both, so a child starts after its parents' end.
import type { SequenceNumber } from '@shardline/common/base';

const VERSION = 2n;
const EPOCH_SHIFT = 148n;
const COUNTER_SHIFT = 80n;
const SPARE_SHIFT = 72n;
const SECOND_SHIFT = 36n;
const SHARD_SHIFT = 4n;
const COUNTER_MASK = (1n << 64n) - 1n;
const SECOND_MASK = (1n << 36n) - 1n;
const LAST_COUNTER = (1n << 63n) - 1n;
/** Everything but the counter, the spare byte and the second. */
const FIXED_PART = ~(((1n << 112n) - 1n) << SECOND_SHIFT);

/** From one record to the next one that arrived in the same second. */
export const SEQUENCE_STEP: bigint = 1n << COUNTER_SHIFT;

/** The part that all sequence numbers of a shard share. `epoch` is in seconds; it is greater than the parents'. */
export function sequenceBase(epoch: number, shardNumber: number): bigint {
  return (VERSION << 184n) | (BigInt(epoch) << EPOCH_SHIFT) | (BigInt(shardNumber) << SHARD_SHIFT) | VERSION;
}

/** The number of the shard's record `counter` (counted from 1; 0 is the shard's StartingSequenceNumber). */
export function sequenceNumberAt(base: bigint, counter: number, second: number): SequenceNumber {
  return (base + (BigInt(counter) << COUNTER_SHIFT) + (BigInt(second) << SECOND_SHIFT)) as SequenceNumber;
}

/** A closed shard's EndingSequenceNumber: after all its records, before its children. */
export function endingSequenceNumber(base: bigint, second: number): SequenceNumber {
  return (base + (LAST_COUNTER << COUNTER_SHIFT) + (BigInt(second) << SECOND_SHIFT)) as SequenceNumber;
}

/**
 * A number that lies between the records `counter - 1` and `counter`: a ContinuationSequenceNumber, which reads on from
 * `counter` both with AT_SEQUENCE_NUMBER and with AFTER_SEQUENCE_NUMBER, and when nothing was written yet.
 */
export function continuationBefore(base: bigint, counter: number): SequenceNumber {
  return (base + (BigInt(counter - 1) << COUNTER_SHIFT) + (0xffn << SPARE_SHIFT)) as SequenceNumber;
}

/** Whether the shard with this base could have given the number out. */
export function belongsTo(base: bigint, sequenceNumber: bigint): boolean {
  return (sequenceNumber & FIXED_PART) === base;
}

/** Which record of its shard a number stands for. Exact below 2^53; above, only known to be beyond every record. */
export function counterOf(sequenceNumber: bigint): number {
  return Number((sequenceNumber >> COUNTER_SHIFT) & COUNTER_MASK);
}

/** The second of arrival in it. */
export function secondOf(sequenceNumber: bigint): number {
  return Number((sequenceNumber >> SECOND_SHIFT) & SECOND_MASK);
}

/** Whether it is built as a sequence number is: 186 bits with version 2 at both ends. */
export function isSequenceNumber(value: bigint): boolean {
  return value >> 184n === VERSION && (value & 0xfn) === VERSION;
}

/** The number of the shard that gave a sequence number out, as the KCL's SequenceNumberValidator reads it. */
export function shardNumberOf(sequenceNumber: bigint): number {
  return Number((sequenceNumber >> SHARD_SHIFT) & 0xffff_ffffn);
}
