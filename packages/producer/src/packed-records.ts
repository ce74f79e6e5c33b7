// User records that share a Kinesis record and to which nothing happens but the usual: they are put, go together, and arrive. Of each
// only its bytes as they will be sent, a row of numbers, and whom to tell are kept: a million waiting objects, each in another place of memory
// than its company, cost several times what all else is done for them. As soon as one needs something of its own (it is refused,
// expires, is placed anew), all of them are made user records again. The Kinesis record's; it decides nothing. Pure.
// Invariants: what is unpacked equals what was packed; memory is given back once, when all have been told or unpacked.
import {
  decodeOwnAggregate,
  FIRST_PLACE,
  type GrowingAggregates,
  hashHexOf,
  invariant,
  type MakeRecord,
  type PackedRows,
} from '@shardline/common';
import type { KinesisRecord } from './batch.ts';
import { type Attempt, type DeliveredRecord, noAttempts, type Settle } from './put.ts';
import { UserRecord } from './user-record.ts';

/** They are not in a lane. */
const NO_LANE = -1;

export class PackedRecords {
  readonly #growing: GrowingAggregates;
  readonly #firstSequence: number;
  /** Whose hash key the Kinesis record is sent by. */
  readonly #firstKey: string;
  /** Whom to tell; most programs have one callback. */
  readonly #settles: Alike<Settle>;
  /** As their puts named it. */
  readonly #streams: Alike<string | undefined>;
  /** Where they grow. */
  #lane: number;
  /** Once they grow no more. */
  #rows: PackedRows | undefined = undefined;
  #aggregate: Buffer | undefined = undefined;
  #unpacked: readonly UserRecord[] | undefined = undefined;
  #view: PackedView | undefined = undefined;
  #keys: string[] | undefined = undefined;
  #count = 0;
  #dueAtMs = Number.POSITIVE_INFINITY;
  #toldCount = 0;
  #isOver = false;
  /** So many of those unpacked are over, from the front. */
  #overCount = 0;

  /** When the first of them expires, or expired that is not over; of those that are sealed. */
  expiresAtMs: number = Number.POSITIVE_INFINITY;
  /** Expiry has them. */
  isWatched = false;
  /** The Kinesis record that they make. */
  carrier: KinesisRecord | undefined = undefined;

  /** Takes over a first user record; others are added where it grows. */
  constructor(first: UserRecord, growing: GrowingAggregates, lane: number) {
    this.#growing = growing;
    this.#lane = lane;
    this.#firstSequence = first.sequence;
    this.#firstKey = first.partitionKey;
    this.#settles = new Alike(first.settle);
    this.#streams = new Alike(first.stream);
    growing.begin(lane, first);
    first.keyPlace = FIRST_PLACE;
    first.packedAway(growing.lender);
  }

  /** Whether a user record can be kept like this. */
  static takes({ explicitHashKey, hasKey, attempts, mayBeWritten }: UserRecord): boolean {
    return hasKey && explicitHashKey === undefined && attempts.length === 0 && !mayBeWritten;
  }

  /** User records in here. */
  get length(): number {
    return this.#lane === NO_LANE ? this.#count : this.#growing.count(this.#lane);
  }

  /** When the first of them should leave. */
  get dueAtMs(): number {
    return this.#lane === NO_LANE ? this.#dueAtMs : this.#growing.dueAtMs(this.#lane);
  }

  /** While they grow: when the first of them expires. */
  get growUntilMs(): number {
    return this.#growing.expiresAtMs(this.#lane);
  }

  /** Of the aggregated record, exact. */
  get sizeBytes(): number {
    return this.#aggregate?.length ?? this.#growing.sizeBytes(this.#lane);
  }

  /** Of the user record that is added next: it need not be told where all were told alike. */
  tells(settle: Settle, stream: string | undefined): void {
    const index = this.length;
    this.#settles.set(index, settle);
    this.#streams.set(index, stream);
  }

  /** No more are added. @returns the aggregated record, its digest not yet written. */
  seal(): Buffer {
    invariant(this.#lane !== NO_LANE, 'it is not sealed');
    const { bytes, rows, dueAtMs, expiresAtMs } = this.#growing.finish(this.#lane);
    this.#lane = NO_LANE;
    this.#count = rows.length;
    this.#rows = rows;
    this.#aggregate = bytes;
    this.#dueAtMs = dueAtMs;
    this.expiresAtMs = expiresAtMs;
    return bytes;
  }

  /** No more are added, whatever becomes of them. */
  close(): void {
    if (this.#lane !== NO_LANE) this.seal();
  }

  /** The hash key of the first, as 32 hexadecimal digits. */
  get hashHex(): string {
    return hashHexOf(this.#firstKey);
  }

  /** Makes them user records again, in the Kinesis record. @returns a list of its own, which may grow. */
  unpack(carrier: KinesisRecord): UserRecord[] {
    this.close();
    const records = this.#decode(this.#aggregate, (partitionKey, data, _, index) =>
      this.#restore(partitionKey, data, index),
    );
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

  /** Calls for the order key of each, of equal ones once. */
  forEachKey(call: (orderHash: number, orderHash2: number) => void): void {
    const { length } = this;
    for (let index = 0; index < length; index++) {
      const row = this.#rowAt(index);
      if (row.isFirstOfKey) call(row.orderHash, row.orderHash2);
    }
  }

  sequenceOf(index: number): number {
    return index === 0 ? this.#firstSequence : this.#rowAt(index).sequence(this.#firstSequence);
  }

  putAtMsOf(index: number): number {
    return this.#rowAt(index).putAtMs;
  }

  settleOf(index: number): Settle {
    return this.#settles.at(index);
  }

  dataBytesOf(index: number): number {
    return this.#rowAt(index).dataBytes;
  }

  keyBytesOf(index: number): number {
    return this.#rowAt(index).keyBytes;
  }

  /** For who listens; it takes all of them apart. */
  keyOf(index: number): string {
    this.#keys ??= this.#decode(this.#aggregate, (partitionKey) => partitionKey);
    return this.#keys[index] as string;
  }

  /** One has been told of. */
  told(): void {
    if (++this.#toldCount < this.length) return;
    // What is unpacked has its data in there; of what is told of in here nobody has kept anything but its key, as a text.
    if (this.#aggregate !== undefined) this.#growing.lender.giveBack(this.#aggregate);
    this.#forget();
  }

  #rowAt(index: number): PackedRows {
    const rows = this.#rows;
    invariant(rows !== undefined, 'it is sealed, and not all have been told');
    rows.look(index);
    return rows;
  }

  #restore(partitionKey: string, data: Uint8Array, index: number): UserRecord {
    const record = new UserRecord(partitionKey, undefined, data, data.length, this.keyBytesOf(index));
    record.isCopied = true;
    record.stream = this.#streams.at(index);
    record.settle = this.settleOf(index);
    const { putAtMs, dueAtMs, expiresAtMs } = this.#rowAt(index);
    record.admit(this.sequenceOf(index), { putAtMs, dueAtMs, expiresAtMs });
    return record;
  }

  #decode<T>(bytes: Buffer | undefined, make: MakeRecord<T>): T[] {
    const decoded = bytes === undefined ? undefined : decodeOwnAggregate(bytes, make);
    invariant(decoded?.kind === 'aggregated', 'what was packed can be read');
    return decoded.records;
  }

  /** It may lie in a queue for long, and keeps nothing of the application's. */
  #forget(): void {
    this.#rows?.giveBack();
    this.#rows = undefined;
    this.#aggregate = undefined;
    this.#keys = undefined;
    this.#settles.clear();
    this.#streams.clear();
  }
}

/** A list whose members are mostly the same: then it keeps that one. */
class Alike<T> {
  #first: T | undefined;
  #all: T[] | undefined = undefined;

  constructor(first: T) {
    this.#first = first;
  }

  /** Those before it that were not set are as the first. */
  set(index: number, value: T): void {
    if (this.#all === undefined && value === this.#first) return;
    this.#all ??= [];
    while (this.#all.length < index) this.#all.push(this.#first as T);
    this.#all[index] = value;
  }

  /** Those behind the last one that was set are as the first. */
  at(index: number): T {
    return (this.#all !== undefined && index < this.#all.length ? this.#all[index] : this.#first) as T;
  }

  clear(): void {
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
    return this.#packed.putAtMsOf(this.index);
  }

  get settle(): Settle {
    return this.#packed.settleOf(this.index);
  }

  letGo(): void {
    this.#packed.told();
  }
}
