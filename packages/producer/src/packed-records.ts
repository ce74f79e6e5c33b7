// User records that share a Kinesis record and to which nothing happens but the usual: they are put, go together, and arrive. Of each
// only its bytes as they will be sent, a row of numbers, and whom to tell are kept: a million waiting objects, each in another place of memory
// than its company, cost several times what all else is done for them. As soon as one needs something of its own (it is refused,
// expires, is placed anew), all of them are made user records again. The Kinesis record's; it decides nothing. Pure.
// Invariants: what is unpacked equals what was packed; memory is given back once, when all have been told or unpacked.
import {
  type Chunk,
  type ChunkMemory,
  decodeAggregatedRecord,
  GrowingAggregate,
  hashHexOf,
  invariant,
  type MakeRecord,
} from '@shardline/common';
import type { KinesisRecord } from './batch.ts';
import { type Attempt, type DeliveredRecord, noAttempts, type Settle, type Times, UserRecord } from './user-record.ts';

// A row, of so many 32-bit numbers: eight, so that it lies in one line of the cache, and 128 rows in a chunk.
const ROW_SHIFT = 3;
const ROWS_SHIFT = 7;
const ROW_MASK: number = (1 << ROWS_SHIFT) - 1;
const ORDER_HASH = 0;
const ORDER_HASH_2 = 1;
const DATA_BYTES = 2;
const KEY_BYTES = 3;
/** Its sequence, from the first one's. */
const SEQUENCE = 4;
/** Which of `#times` are its own. */
const TIMES = 5;
// Not of the record but of the key with the row's index: where it lies, and how long it is.
const NTH_KEY_AT = 6;
const NTH_KEY_BYTES = 7;

/** A user record's key has not been met in there. */
export const NEW_KEY = -1;

export class PackedRecords {
  readonly #memory: ChunkMemory;
  readonly #rows: Chunk[] = [];
  /** Those of records that were put one after the other, once where they are the same. */
  readonly #times: Times[] = [];
  readonly #firstSequence: number;
  /** Whose hash key the Kinesis record is sent by. */
  readonly #firstKey: string;
  /** Whom to tell; most programs have one callback. */
  readonly #settles = new Alike<Settle>();
  /** As their puts named it. */
  readonly #streams = new Alike<string | undefined>();
  #growing: GrowingAggregate | undefined;
  #aggregate: Buffer | undefined = undefined;
  #unpacked: readonly UserRecord[] | undefined = undefined;
  #view: PackedView | undefined = undefined;
  #keys: string[] | undefined = undefined;
  #toldCount = 0;
  #isOver = false;
  /** So many of those unpacked are over, from the front. */
  #overCount = 0;

  /** User records in here. */
  length = 0;
  /** When the first of them expires, or expired that is not over. */
  expiresAtMs: number = Number.POSITIVE_INFINITY;
  /** Expiry has them. */
  isWatched = false;
  /** The Kinesis record that they make. */
  carrier: KinesisRecord | undefined = undefined;

  constructor(first: UserRecord, memory: ChunkMemory) {
    this.#memory = memory;
    this.#growing = new GrowingAggregate(memory);
    this.#firstSequence = first.sequence;
    this.#firstKey = first.partitionKey;
    this.add(first, NEW_KEY);
  }

  /** Whether a user record can be kept like this. */
  static takes({ explicitHashKey, hasKey, attempts, mayBeWritten }: UserRecord): boolean {
    return hasKey && explicitHashKey === undefined && attempts.length === 0 && !mayBeWritten;
  }

  /** Its index among the keys, if `candidate` is it. */
  keyIndexOf({ partitionKey, keyBytes }: UserRecord, candidate: number): number {
    const growing = this.#open;
    if (candidate < 0 || candidate >= growing.keyCount) return NEW_KEY;
    if (this.#number(candidate, NTH_KEY_BYTES) !== keyBytes) return NEW_KEY;
    return growing.hasKeyAt(this.#number(candidate, NTH_KEY_AT), partitionKey, keyBytes) ? candidate : NEW_KEY;
  }

  /** Exact: of the aggregated record. */
  get sizeBytes(): number {
    return this.#open.sizeBytes;
  }

  /** The same with one more. `keyIndex` as `keyIndexOf` gave it. */
  sizeBytesWith({ keyBytes, dataBytes }: UserRecord, keyIndex: number): number {
    const growing = this.#open;
    return growing.sizeBytesWith(keyIndex === NEW_KEY ? growing.keyCount : keyIndex, keyBytes, dataBytes);
  }

  /** Takes over a user record, which nobody is to use afterwards; its `keyIndex` says where its key is. */
  add(record: UserRecord, keyIndex: number): void {
    const growing = this.#open;
    const { keyBytes, dataBytes, times, stream, settle } = record;
    const index = this.length++;
    if (index >> ROWS_SHIFT === this.#rows.length) this.#rows.push(this.#memory.take());
    record.keyIndex = keyIndex === NEW_KEY ? this.#addKey(growing, record) : keyIndex;
    growing.add(record.keyIndex, record.content, dataBytes);
    const words = this.#words(index);
    const at = (index & ROW_MASK) << ROW_SHIFT;
    words[at + ORDER_HASH] = record.orderHash;
    words[at + ORDER_HASH_2] = record.orderHash2;
    words[at + DATA_BYTES] = dataBytes;
    words[at + KEY_BYTES] = keyBytes;
    words[at + SEQUENCE] = record.sequence - this.#firstSequence;
    if (times !== this.#times.at(-1)) this.#times.push(times);
    words[at + TIMES] = this.#times.length - 1;
    this.#settles.push(settle);
    this.#streams.push(stream);
    if (times.expiresAtMs < this.expiresAtMs) this.expiresAtMs = times.expiresAtMs;
    record.packedAway();
  }

  /** No more are added. @returns the aggregated record. */
  seal(): Buffer {
    this.#aggregate = this.#open.finish();
    this.#growing = undefined;
    return this.#aggregate;
  }

  /** The hash key of the first, as 32 hexadecimal digits. */
  get hashHex(): string {
    return hashHexOf(this.#firstKey);
  }

  /** Makes them user records again, in the Kinesis record. @returns a list of its own, which may grow. */
  unpack(carrier: KinesisRecord): UserRecord[] {
    const bytes = this.#aggregate ?? this.seal();
    const records = this.#decode(bytes, (partitionKey, data, _, index) => this.#restore(partitionKey, data, index));
    for (const record of records) record.carrier = carrier;
    this.#unpacked = records;
    this.#forget();
    return [...records];
  }

  /** Those whose time is over, if they have not settled; when the next one's will be, `expiresAtMs` says: Infinity for none. */
  expire(nowMs: number): UserRecord[] {
    this.carrier?.unpack();
    const left = (this.#unpacked ?? []).filter((record) => !record.isOver);
    const later = left.filter(({ expiresAtMs }) => expiresAtMs > nowMs);
    this.expiresAtMs = later.reduce((first, { expiresAtMs }) => Math.min(first, expiresAtMs), Number.POSITIVE_INFINITY);
    return left.filter(({ expiresAtMs }) => expiresAtMs <= nowMs);
  }

  /** None of them is left to watch. */
  get isOver(): boolean {
    if (this.#isOver || this.#unpacked === undefined) return this.#isOver;
    while (this.#unpacked[this.#overCount]?.isOver === true) this.#overCount++;
    if (this.#overCount < this.#unpacked.length) return false;
    this.#unpacked = undefined;
    this.#isOver = true;
    return true;
  }

  /** Those that have not settled. */
  unsettled(): UserRecord[] {
    if (this.isOver) return [];
    this.carrier?.unpack();
    return (this.#unpacked ?? []).filter((record) => !record.isOver);
  }

  /** They have arrived; they are told of by `at`. */
  delivered(): void {
    this.#isOver = true;
    this.carrier = undefined;
  }

  /** What there is to know of one that has arrived, until the next is asked for. */
  at(index: number): DeliveredRecord {
    this.#view ??= new PackedView(this);
    this.#view.index = index;
    return this.#view;
  }

  orderHashOf(index: number): number {
    return this.#number(index, ORDER_HASH);
  }

  orderHash2Of(index: number): number {
    return this.#number(index, ORDER_HASH_2);
  }

  sequenceOf(index: number): number {
    return this.#firstSequence + this.#number(index, SEQUENCE);
  }

  timesOf(index: number): Times {
    return this.#times[this.#number(index, TIMES)] as Times;
  }

  settleOf(index: number): Settle {
    return this.#settles.at(index);
  }

  dataBytesOf(index: number): number {
    return this.#number(index, DATA_BYTES);
  }

  keyBytesOf(index: number): number {
    return this.#number(index, KEY_BYTES);
  }

  /** For who listens; it takes all of them apart. */
  keyOf(index: number): string {
    this.#keys ??= this.#decode(this.#aggregate, (partitionKey) => partitionKey);
    return this.#keys[index] as string;
  }

  /** One has been told of. */
  told(): void {
    if (++this.#toldCount < this.length) return;
    this.#forget();
  }

  get #open(): GrowingAggregate {
    invariant(this.#growing !== undefined, 'it is not sealed');
    return this.#growing;
  }

  #addKey(growing: GrowingAggregate, { partitionKey, keyBytes }: UserRecord): number {
    const nth = growing.keyCount;
    const words = this.#words(nth);
    const at = (nth & ROW_MASK) << ROW_SHIFT;
    words[at + NTH_KEY_AT] = growing.addKey(partitionKey, keyBytes);
    words[at + NTH_KEY_BYTES] = keyBytes;
    return nth;
  }

  #restore(partitionKey: string, data: Uint8Array, index: number): UserRecord {
    const record = new UserRecord(partitionKey, undefined, data, data.length, this.keyBytesOf(index));
    record.isCopied = true;
    record.stream = this.#streams.at(index);
    record.settle = this.settleOf(index);
    record.admit(this.sequenceOf(index), this.timesOf(index));
    return record;
  }

  #decode<T>(bytes: Buffer | undefined, make: MakeRecord<T>): T[] {
    const decoded = decodeAggregatedRecord(bytes ?? Buffer.alloc(0), make);
    invariant(decoded.kind === 'aggregated', 'what was packed can be read');
    return decoded.records;
  }

  #words(index: number): Int32Array {
    return (this.#rows[index >> ROWS_SHIFT] as Chunk).words;
  }

  #number(index: number, column: number): number {
    return this.#words(index)[((index & ROW_MASK) << ROW_SHIFT) + column] as number;
  }

  /** It may lie in a queue for long, and keeps nothing of the application's. */
  #forget(): void {
    this.#memory.giveBack(this.#rows);
    this.#rows.length = 0;
    this.#aggregate = undefined;
    this.#keys = undefined;
    this.#times.length = 0;
    this.#settles.clear();
    this.#streams.clear();
  }
}

/** A list whose members are mostly the same: then it keeps that one. */
class Alike<T> {
  #length = 0;
  #first: T | undefined = undefined;
  #all: T[] | undefined = undefined;

  push(value: T): void {
    if (this.#length++ === 0) this.#first = value;
    if (this.#all === undefined && value !== this.#first) this.#all = new Array(this.#length - 1).fill(this.#first);
    this.#all?.push(value);
  }

  at(index: number): T {
    return (this.#all === undefined ? this.#first : this.#all[index]) as T;
  }

  clear(): void {
    this.#length = 0;
    this.#first = undefined;
    this.#all = undefined;
  }
}

/** One of the user records, by its index: made once for all of them. */
class PackedView implements DeliveredRecord {
  readonly #packed: PackedRecords;
  readonly hasKey = true;
  readonly attempts: readonly Attempt[] = noAttempts;
  readonly lastEndMs = -1;
  readonly mayBeWritten = false;
  index = 0;

  constructor(packed: PackedRecords) {
    this.#packed = packed;
  }

  get partitionKey(): string {
    return this.#packed.keyOf(this.index);
  }

  get sequence(): number {
    return this.#packed.sequenceOf(this.index);
  }

  get dataBytes(): number {
    return this.#packed.dataBytesOf(this.index);
  }

  get sizeBytes(): number {
    return this.dataBytes + this.#packed.keyBytesOf(this.index);
  }

  get putAtMs(): number {
    return this.#packed.timesOf(this.index).putAtMs;
  }

  get settle(): Settle {
    return this.#packed.settleOf(this.index);
  }

  letGo(): void {
    this.#packed.told();
  }
}
