// A user record, from the application's put to the settling of its promise: the producer's copy of it and its hash key. It is checked before
// (user-record-input.ts); after that only the stages of the pipeline touch it.
// Invariants: the bytes are the producer's own copy; `sequence` rises with every put, and is what "put order" means; a record
// settles exactly once (`settled`); an object that is used again for another user record is nobody's.
import {
  type HashKey,
  hashBytesOf,
  hashHexOf,
  type MemoryLender,
  NO_PLACE,
  NODES_MEMORY,
  topOfHashBytes,
  topOfHashKey,
  type UserRecordParts,
  type WritableRecord,
} from '@shardline/common';
import type { KinesisRecord } from './batch.ts';
import type { OrderKey } from './order.ts';
import { type Attempt, type DeliveredRecord, noAttempts, type Settle, unheard } from './put.ts';

/** When a user record was put, and what follows from it; one for all that are put at the same time. */
export interface Times {
  readonly putAtMs: number;
  /** When it should leave, in company or not. */
  readonly dueAtMs: number;
  /** From then on no attempt begins. */
  readonly expiresAtMs: number;
}

const UNKNOWN_TIMES: Times = { putAtMs: 0, dueAtMs: 0, expiresAtMs: 0 };

export class UserRecord implements UserRecordParts, WritableRecord, OrderKey, DeliveredRecord {
  #partitionKey = '';
  readonly explicitHashKey?: HashKey;
  #dataBytes = 0;
  #sizeBytes = 0;

  sequence = 0;
  #times: Times = UNKNOWN_TIMES;
  settle: Settle = unheard;
  /** As the put named it; undefined: the producer's own. */
  stream: string | undefined = undefined;

  /** The Kinesis record it is in; undefined while it is held back for order. */
  carrier: KinesisRecord | undefined = undefined;
  /** In there, if it is packed: of its key. */
  keyPlace: number = NO_PLACE;
  settled = false;
  /** Its Kinesis record has it in another form: this object is nobody's any more. */
  #isPacked = false;
  #isHashed = false;
  #keyHash = 0;
  #keyHash2 = 0;
  /** The application's, bytes of its own, or the aggregated record that it is in. */
  #source: Uint8Array | string | undefined;
  /** Where in there it begins. */
  #at = 0;
  /** The copy, in memory that may be given back. */
  #lent: Buffer | undefined = undefined;
  /** The application may do with its bytes what it likes. */
  isCopied = false;
  /** The attempts that failed; other records may have the same list. */
  attempts: readonly Attempt[] = noAttempts;
  lastEndMs = -1;
  mayBeWritten = false;
  /** What the last failed request threw. */
  lastCause: unknown = undefined;

  constructor(
    partitionKey: string,
    explicitHashKey: HashKey | undefined,
    data: Uint8Array | string,
    dataBytes: number,
    keyBytes: number,
  ) {
    this.renew(partitionKey, data, dataBytes, keyBytes);
    if (explicitHashKey !== undefined) this.explicitHashKey = explicitHashKey;
  }

  /** It has been packed, and nobody has it: makes another user record of it, without an explicit hash key. */
  renew(partitionKey: string, data: Uint8Array | string, dataBytes: number, keyBytes: number): void {
    this.#partitionKey = partitionKey;
    this.#source = data;
    this.#dataBytes = dataBytes;
    this.#sizeBytes = dataBytes + keyBytes;
    this.stream = undefined;
    this.carrier = undefined;
    this.keyPlace = NO_PLACE;
    this.#isPacked = false;
    this.#isHashed = false;
    this.isCopied = false;
  }

  /** Empty when the application gave none: such a record is never aggregated, and only an AUTO stream takes it. */
  get partitionKey(): string {
    return this.#partitionKey;
  }

  /** Length of its data. */
  get dataBytes(): number {
    return this.#dataBytes;
  }

  /** Size as the producer's bounds and Kinesis count it: data and partition key. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  get times(): Times {
    return this.#times;
  }

  get putAtMs(): number {
    return this.#times.putAtMs;
  }

  get dueAtMs(): number {
    return this.#times.dueAtMs;
  }

  get expiresAtMs(): number {
    return this.#times.expiresAtMs;
  }

  /** It is not to wait for company any more. */
  hasten(nowMs: number): void {
    if (nowMs < this.#times.dueAtMs) this.#times = { ...this.#times, dueAtMs: nowMs };
  }

  /** What it was is in its Kinesis record. */
  get isPacked(): boolean {
    return this.#isPacked;
  }

  /** Nobody has to watch it any more. */
  get isOver(): boolean {
    return this.settled || this.#isPacked;
  }

  /** Its data as it was given, or the copy. */
  get content(): Uint8Array | string {
    const source = this.#source ?? '';
    if (typeof source === 'string' || source.length === this.dataBytes) return source;
    return source.subarray(this.#at, this.#at + this.dataBytes);
  }

  /** Its data, as bytes that stay. */
  get data(): Uint8Array {
    this.keepData();
    return this.content as Uint8Array;
  }

  /** The application may use its bytes again: unless there is a copy, here is one, in memory of `lender`'s, which is to get it back, or Node's. */
  keepData(lender?: MemoryLender): void {
    const given = this.#source;
    if (this.isCopied || given === undefined) return;
    const copy = (lender ?? NODES_MEMORY).take(this.dataBytes);
    if (typeof given === 'string') copy.write(given, 'utf8');
    else copy.set(given);
    this.#source = copy;
    if (lender !== undefined) this.#lent = copy;
    this.isCopied = true;
  }

  /** Nobody has kept its data: `lender` gets back what `keepData` took of it. */
  giveBackData(lender: MemoryLender): void {
    if (this.#lent !== undefined) lender.giveBack(this.#lent);
    this.dropData();
  }

  /** Nobody will ask for its data again. */
  dropData(): void {
    this.#source = undefined;
    this.#lent = undefined;
    this.#at = 0;
    this.isCopied = true;
  }

  /** The application has been told of it: a queue that still has it keeps nothing of the application's. */
  letGo(): void {
    this.dropData();
    this.settle = unheard;
  }

  /** Its Kinesis record has taken over all that it was; `lender` gets back what `keepData` took of it. */
  packedAway(lender: MemoryLender): void {
    this.#isPacked = true;
    this.giveBackData(lender);
    this.settle = unheard;
  }

  /** Writes its data, which is there from now on. */
  writeData(target: Buffer, at: number): void {
    const { content } = this;
    if (typeof content !== 'string') target.set(content, at);
    // Of a text that is as long as its bytes each unit is one.
    else target.write(content, at, content.length === this.dataBytes ? 'latin1' : 'utf8');
    this.#source = target;
    this.#lent = undefined;
    this.#at = at;
    this.isCopied = true;
  }

  /** The upper 32 bits of the hash key, as a number that sorts as hash keys do: nearly always enough, and cheap. */
  get hashTop(): number {
    return this.explicitHashKey === undefined ? this.keyHash : topOfHashKey(this.explicitHashKey);
  }

  /** The hash key as 32 lower-case hex digits: compares as the number does. Empty without a partition key. */
  get hashHex(): string {
    if (this.explicitHashKey !== undefined) return this.explicitHashKey.toString(16).padStart(32, '0');
    return this.hasKey ? hashHexOf(this.partitionKey) : '';
  }

  /** Length of its partition key. */
  get keyBytes(): number {
    return this.sizeBytes - this.dataBytes;
  }

  /** The upper 32 bits of the partition key's own hash. Computed when it is wanted first: a stream that is AUTO asks for none. */
  get keyHash(): number {
    if (!this.#isHashed) this.#hash();
    return this.#keyHash;
  }

  /**
   * Tells order keys apart, together with `orderHash2`. Partition key and explicit hash key together are one: a partition key that is
   * spread over several hash keys on purpose is several lines of order.
   */
  get orderHash(): number {
    const { explicitHashKey, keyHash } = this;
    return explicitHashKey === undefined ? keyHash : mixed(keyHash, explicitHashKey, 0x9e37_79b1);
  }

  get orderHash2(): number {
    if (!this.#isHashed) this.#hash();
    const { explicitHashKey } = this;
    return explicitHashKey === undefined ? this.#keyHash2 : mixed(this.#keyHash2, explicitHashKey, 0x85eb_ca6b);
  }

  #hash(): void {
    const bytes = hashBytesOf(this.partitionKey);
    this.#keyHash = topOfHashBytes(bytes);
    this.#keyHash2 = bytes.getInt32(4);
    this.#isHashed = true;
  }

  get hasKey(): boolean {
    return this.partitionKey !== '';
  }

  /** The producer takes it: from here its times count. */
  admit(sequence: number, times: Times): void {
    this.sequence = sequence;
    this.#times = times;
  }
}

/**
 * The object of a user record that was packed within its put, for the next one: nearly all are, and an object for each would be a third of all
 * that is left to the garbage collector.
 */
export class SpareRecord {
  #spare: UserRecord | undefined = undefined;

  take(): UserRecord | undefined {
    const spare = this.#spare;
    this.#spare = undefined;
    return spare;
  }

  /** The record's put is over. Where it is not packed somebody has it. */
  giveBack(record: UserRecord): void {
    if (record.isPacked) this.#spare = record;
  }
}

/** `bufferedTimeMs` is how long a record may wait for company. */
export function timesOf(
  nowMs: number,
  { bufferedTimeMs, recordTtlMs }: { readonly bufferedTimeMs: number; readonly recordTtlMs: number },
): Times {
  return { putAtMs: nowMs, dueAtMs: nowMs + bufferedTimeMs, expiresAtMs: nowMs + recordTtlMs };
}

/** The 32 bits together with the hash key's, such that whole numbers, which applications choose, spread. `factor`: odd. */
function mixed(bits: number, hashKey: HashKey, factor: number): number {
  let result = bits;
  for (let rest: bigint = hashKey, words = 0; words < 4; words++, rest >>= 32n) {
    result = Math.imul(result ^ Number(BigInt.asIntN(32, rest)), factor);
    result ^= result >>> 15;
  }
  return result;
}
