// Checks what the application puts, and gives it back as it may be put again. What is wrong with it is said at the call, as a UsageError.
import { checkPartitionKey, describe, type HashKey, parseHashKey, toHashKey, UsageError } from '@shardline/common';
import type { UserRecordInput } from './put.ts';
import { type SpareRecord, UserRecord } from './user-record.ts';

/**
 * Checks what the application put; it is copied on its way, at the latest when the put returns. The size is that of data and partition key together, as Kinesis counts it
 * (the KPL counts the data alone, and Kinesis then refuses the whole request). `spares`: has an object for it, maybe.
 * @throws UsageError naming `partitionKey`, `explicitHashKey` or `data`.
 */
export function checkUserRecord(
  input: UserRecordInput,
  maxUserRecordSizeBytes: number,
  spares?: SpareRecord,
): UserRecord {
  if (typeof input !== 'object' || input === null) {
    throw new UsageError('record', 'an object with partitionKey and data', describe(input));
  }
  // Two comparisons spare most members a look into the map.
  for (const name in input) if (name !== 'partitionKey' && name !== 'data' && misspelt.has(name)) refuseName(name);
  const { partitionKey = '' } = input;
  const keyBytes = input.partitionKey === undefined ? 0 : checkPartitionKey(partitionKey);
  const explicitHashKey = readHashKey(input.explicitHashKey);
  if (partitionKey === '' && explicitHashKey !== undefined) {
    throw new UsageError('partitionKey', 'one beside explicitHashKey', 'none');
  }
  const dataBytes = bytesOf(input.data);
  checkSize(dataBytes + keyBytes, maxUserRecordSizeBytes);
  const spare = explicitHashKey === undefined ? spares?.take() : undefined;
  if (spare === undefined) return new UserRecord(partitionKey, explicitHashKey, input.data, dataBytes, keyBytes);
  spare.renew(partitionKey, input.data, dataBytes, keyBytes);
  return spare;
}

/** The record's content, as the application may put it again. */
export function inputOf(record: UserRecord): UserRecordInput {
  const { stream, hasKey, partitionKey, data, explicitHashKey } = record;
  return {
    data,
    ...(hasKey ? { partitionKey } : {}),
    ...(explicitHashKey === undefined ? {} : { explicitHashKey }),
    ...(stream === undefined ? {} : { stream }),
  };
}

/** Members that are none of ours, by which one is meant that may be left out: as the SDK or the KPL calls it. Others are the application's own affair. */
const misspelt: ReadonlyMap<string, keyof UserRecordInput> = new Map([
  ...nameless('stream', ['Stream', 'streamName', 'StreamName', 'streamARN', 'StreamARN', 'streamArn', 'StreamArn']),
  ...nameless('partitionKey', ['PartitionKey', 'partitionkey', 'partition_key']),
  ...nameless('explicitHashKey', ['ExplicitHashKey', 'explicitHashkey', 'explicithashkey', 'explicit_hash_key']),
]);

function nameless(name: keyof UserRecordInput, others: readonly string[]): [string, keyof UserRecordInput][] {
  return others.map((other) => [other, name]);
}

function refuseName(name: string): never {
  throw new UsageError(name, 'no such member of a record', `it; did you mean ${misspelt.get(name)}?`);
}

function readHashKey(given: bigint | string | undefined): HashKey | undefined {
  if (given === undefined) return undefined;
  if (typeof given === 'bigint') return toHashKey(given, 'explicitHashKey');
  if (typeof given === 'string') return parseHashKey(given);
  throw new UsageError('explicitHashKey', 'a bigint or decimal text, from 0 to 2^128 - 1', describe(given));
}

/** Text with a lone surrogate has no UTF-8 form: it would arrive as other text, so it is refused. */
function bytesOf(data: Uint8Array | string): number {
  if (typeof data === 'string') {
    const bytes = Buffer.byteLength(data);
    if (bytes !== data.length && !data.isWellFormed()) {
      throw new UsageError('data', 'bytes or well-formed text', 'text with a lone surrogate');
    }
    return bytes;
  }
  if (data instanceof Uint8Array || isOfAnotherRealm(data)) return data.length;
  throw new UsageError('data', 'a Uint8Array or a string', describe(data));
}

/** A vm's, as a test runner's: no instance of this realm's class. */
function isOfAnotherRealm(data: unknown): data is Uint8Array {
  return ArrayBuffer.isView(data) && Reflect.get(data, Symbol.toStringTag) === 'Uint8Array';
}

function checkSize(sizeBytes: number, maxBytes: number): void {
  if (sizeBytes <= maxBytes) return;
  const expected = `data and partition key of at most maxUserRecordSizeBytes, ${maxBytes} bytes`;
  throw new UsageError('data', expected, `${sizeBytes} bytes`);
}
