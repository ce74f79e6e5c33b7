// The key space that Kinesis splits into shards: MD5 of the partition key, read as a big-endian unsigned 128-bit number.
// Ranges are inclusive at both ends, as in the Kinesis API (HashKeyRange) and in the KCL's lease rows.
import { hash } from 'node:crypto';
import { describe, UsageError } from './errors.ts';
import { MAX_PARTITION_KEY_UNITS } from './limits.ts';
import { md5OfShortAscii } from './md5.ts';

declare const hashKeyBrand: unique symbol;

/** 0 to 2^128 − 1. */
export type HashKey = bigint & { readonly [hashKeyBrand]: true };

/** Inclusive at both ends. */
export interface HashKeyRange {
  readonly start: HashKey;
  readonly end: HashKey;
}

export const MIN_HASH_KEY: HashKey = 0n as HashKey;
export const MAX_HASH_KEY: HashKey = ((1n << 128n) - 1n) as HashKey;

/** Sorts as unsigned numbers do when both sides are flipped by it. */
const SIGN_BIT = 0x8000_0000 | 0;

const longDigest: DataView = new DataView(new ArrayBuffer(16));

/** In a Unicode regular expression a pair of surrogates is one code point, so this finds only the lone ones. */
const loneSurrogate = /\p{Surrogate}/u;

/**
 * Checks that Kinesis will take the partition key: 1 to 256 UTF-16 units (Kinesis API, PutRecord; 256 emoji are 512), and
 * well-formed. A lone surrogate has no UTF-8, so two different keys would be stored as the same one and hashed alike.
 * @returns the length of its UTF-8. @throws UsageError naming `field`.
 */
export function checkPartitionKey(key: unknown, field = 'partitionKey'): number {
  const fits = typeof key === 'string' && key.length >= 1 && key.length <= MAX_PARTITION_KEY_UNITS;
  if (fits && isAscii(key)) return key.length;
  if (!fits || loneSurrogate.test(key)) {
    const got = fits ? `${describe(key)} with a lone surrogate` : describe(key);
    throw new UsageError(field, `a string of 1 to ${MAX_PARTITION_KEY_UNITS} UTF-16 units, well-formed`, got);
  }
  return Buffer.byteLength(key);
}

/** The hash key of a partition key: MD5 of its UTF-8 bytes (Kinesis API, PutRecord). */
export function hashKeyOf(partitionKey: string): HashKey {
  const bytes = hashBytesOf(partitionKey);
  return ((bytes.getBigUint64(0) << 64n) | bytes.getBigUint64(8)) as HashKey;
}

/** The same as 32 hexadecimal digits, which sort as the numbers do and cost no bigint. */
export function hashHexOf(partitionKey: string): string {
  return hash('md5', partitionKey, 'hex');
}

/** The hash key's 16 bytes, big-endian, until the next call: for whom neither a bigint nor text is cheap enough. */
export function hashBytesOf(partitionKey: string): DataView {
  const digest = md5OfShortAscii(partitionKey);
  if (digest !== undefined) return digest;
  const hex = hashHexOf(partitionKey);
  longDigest.setBigUint64(0, BigInt(`0x${hex.slice(0, 16)}`));
  longDigest.setBigUint64(8, BigInt(`0x${hex.slice(16)}`));
  return longDigest;
}

/** The upper 32 bits of the hash key, as a signed number that sorts as the hash keys do. It tells two of them apart nearly always. */
export function hashTopOf(partitionKey: string): number {
  return topOfHashBytes(hashBytesOf(partitionKey));
}

/** The same of a hash key whose bytes are at hand. */
export function topOfHashBytes(bytes: DataView): number {
  return bytes.getInt32(0) ^ SIGN_BIT;
}

/** The same of a hash key that is at hand. */
export function topOfHashKey(hashKey: HashKey): number {
  return Number(hashKey >> 96n) ^ SIGN_BIT;
}

/**
 * Reads a decimal hash key as the Kinesis API writes it; blanks around it and leading zeros are allowed, as in the KPL.
 * @throws UsageError naming `field` when the text isn't a whole number from 0 to 2^128 − 1.
 */
export function parseHashKey(text: string, field = 'explicitHashKey'): HashKey {
  const trimmed = typeof text === 'string' ? text.trim() : '';
  if (!/^\d{1,64}$/.test(trimmed)) throw new UsageError(field, 'a decimal number from 0 to 2^128 - 1', describe(text));
  return toHashKey(BigInt(trimmed), field);
}

/** Checks a bigint. @throws UsageError when it is outside 0 to 2^128 − 1. */
export function toHashKey(value: bigint, field = 'hashKey'): HashKey {
  if (value < MIN_HASH_KEY || value > MAX_HASH_KEY) {
    throw new UsageError(field, 'a number from 0 to 2^128 - 1', String(value));
  }
  return value as HashKey;
}

/** Whether the UTF-8 of a text is as long as the text: each unit a byte. */
export function isAscii(text: string): boolean {
  for (let index = 0; index < text.length; index++) if (text.charCodeAt(index) > 0x7f) return false;
  return true;
}

/** Whether the range holds the key. */
export function rangeContains(range: HashKeyRange, key: HashKey): boolean {
  return key >= range.start && key <= range.end;
}

/** Sorts by start, then end. */
export function compareRanges(a: HashKeyRange, b: HashKeyRange): number {
  if (a.start !== b.start) return a.start < b.start ? -1 : 1;
  if (a.end !== b.end) return a.end < b.end ? -1 : 1;
  return 0;
}

/** The parts of the whole key space that no given range covers, in order. Ranges may overlap and come in any order. */
export function findHoles(ranges: Iterable<HashKeyRange>): HashKeyRange[] {
  const holes: HashKeyRange[] = [];
  let next: bigint = MIN_HASH_KEY;
  for (const range of [...ranges].sort(compareRanges)) {
    if (range.start > next) holes.push({ start: next as HashKey, end: (range.start - 1n) as HashKey });
    if (range.end >= next) next = range.end + 1n;
  }
  if (next <= MAX_HASH_KEY) holes.push({ start: next as HashKey, end: MAX_HASH_KEY });
  return holes;
}

/** Cuts the whole key space into `count` ranges of equal size, the last one taking the remainder, as CreateStream does. */
export function evenRanges(count: number): HashKeyRange[] {
  const size = (MAX_HASH_KEY + 1n) / BigInt(count);
  return Array.from({ length: count }, (_, index) => ({
    start: (size * BigInt(index)) as HashKey,
    end: index === count - 1 ? MAX_HASH_KEY : ((size * BigInt(index + 1) - 1n) as HashKey),
  }));
}
