// What of one answer of Kinesis was not given out yet, for the sources of both kinds: taken apart batch by batch, so that a big
// answer is never decoded as a whole. Pure; it neither reads nor waits.
// Invariant: `position` is the last user record given out, and the next answer to be added follows the last record held, so
// that reading can begin anew from `position` at any time, with what is at or before it passed over.
import {
  compareExtended,
  compareSequenceTexts,
  type ExtendedSequenceNumber,
  type HashKeyRange,
  invariant,
  parseSequenceNumber,
  type SequenceNumber,
} from '@shardline/common';
import type { ChildShard } from '../coordination/lease.ts';
import type { UserRecord } from '../handler.ts';
import { deaggregate, type KinesisRecord } from './deaggregate.ts';
import { DigestsAhead } from './digests-ahead.ts';
import { RecordRows } from './record-rows.ts';
import type { Gap, SourceBatch, SourceRead } from './source.ts';

export interface BacklogOptions {
  /** User records; a single aggregate may pass it. */
  readonly maxRecordsPerBatch: number;
  /** The shard's; undefined: strays are not looked for. */
  readonly hashKeyRange: HashKeyRange | undefined;
  /** Default `deliver`. */
  readonly strayRecords?: StrayRecords;
}

/** What becomes of an aggregated record with a user record that belongs to another shard: `kcl`: nothing of it is given out. */
export type StrayRecords = 'deliver' | 'kcl';

/** In their order. */
export type KinesisRecords = readonly KinesisRecord[] | RecordRows;

/** One answer of Kinesis. */
export interface Answer {
  readonly records: KinesisRecords;
  readonly millisBehindLatest: number | undefined;
  /** Of the shard's last answer. */
  readonly childShards: readonly ChildShard[] | undefined;
}

const NO_RECORDS: KinesisRecords = [];

export class Backlog {
  readonly #maxRecordsPerBatch: number;
  readonly #hashKeyRange: HashKeyRange | undefined;
  readonly #dropsStrays: boolean;
  #position: ExtendedSequenceNumber | undefined;
  #records = NO_RECORDS;
  readonly #digests = new DigestsAhead();
  #at = 0;
  #heldBytes = 0;
  #millisBehindLatest: number | undefined;
  /** The number that reading began at: the first record to come, unless it was dropped by the stream. */
  #expected: SequenceNumber | undefined;
  /** Why it may have been dropped. */
  #cause: Gap['cause'] = 'away';
  #gap: Gap | undefined;
  /** Set once the shard's last records are here. */
  #childShards: readonly ChildShard[] | undefined;

  constructor({ maxRecordsPerBatch, hashKeyRange, strayRecords }: BacklogOptions) {
    this.#maxRecordsPerBatch = maxRecordsPerBatch;
    this.#hashKeyRange = hashKeyRange;
    this.#dropsStrays = strayRecords === 'kcl';
  }

  /** Undefined before the first `seek`. */
  get position(): ExtendedSequenceNumber | undefined {
    return this.#position;
  }

  /** Data bytes that were not given out. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Nothing is left to give out, and the shard goes on. */
  get isSpent(): boolean {
    return this.#at === this.#records.length && this.#childShards === undefined;
  }

  /** No record has come since reading began at a number. */
  get isExpecting(): boolean {
    return this.#expected !== undefined;
  }

  isAt(after: ExtendedSequenceNumber): boolean {
    return this.#position !== undefined && compareExtended(after, this.#position) === 0;
  }

  /** Reading begins anew after a position; what is held is dropped. */
  seek(after: ExtendedSequenceNumber): void {
    this.#position = after;
    this.#childShards = undefined;
    this.#expected = undefined;
    this.drop();
  }

  /** The next answer begins with this record, if it is still in the stream. @param cause why it may not be. */
  expect({ sequenceNumber }: ExtendedSequenceNumber, cause: Gap['cause']): void {
    this.#cause = cause;
    this.#expected = typeof sequenceNumber === 'bigint' ? sequenceNumber : undefined;
  }

  add({ records, millisBehindLatest, childShards }: Answer): void {
    invariant(this.isSpent, 'an answer is added once the one before it was given out');
    this.#records = records;
    this.#digests.clear();
    this.#at = 0;
    this.#heldBytes += records instanceof RecordRows ? records.byteCount : byteCountOf(records);
    this.#millisBehindLatest = millisBehindLatest;
    this.#childShards = childShards;
    this.#lookForGap();
  }

  drop(): void {
    this.#records = NO_RECORDS;
    this.#at = 0;
    this.#heldBytes = 0;
  }

  /** As much of it as makes one batch; the rest waits, undecoded. @param most user records. */
  read(after: ExtendedSequenceNumber, most: number = this.#maxRecordsPerBatch): SourceRead {
    const maxRecordCount = Math.min(most, this.#maxRecordsPerBatch);
    const batch = this.#takePlain(after, maxRecordCount) ?? this.#takeBatch(after, maxRecordCount);
    const millisBehindLatest = this.#millisBehindLatest;
    if (this.#childShards === undefined || this.#at < this.#records.length) {
      return { batch, atShardEnd: false, childShards: [], millisBehindLatest };
    }
    return { batch, atShardEnd: true, childShards: this.#childShards, millisBehindLatest, ...this.#takeLastGap() };
  }

  /** Kinesis knows no such shard, or no longer: it ends here (KCL: the stream was deleted, or the shard is older than its retention). */
  readGone(): SourceRead {
    this.#lookForLastGap();
    const nothing = { batch: undefined, childShards: [], millisBehindLatest: undefined };
    return { ...nothing, atShardEnd: true, ...this.#takeLastGap() };
  }

  #lookForGap(): void {
    const first = this.#records.at(0);
    if (first === undefined && this.#childShards !== undefined) this.#lookForLastGap();
    if (this.#expected === undefined || first === undefined) return;
    const before = parseSequenceNumber(first.sequenceNumber);
    if (before > this.#expected) this.#gap = { cause: this.#cause, after: this.#expected, before };
    this.#expected = undefined;
  }

  /** The record that reading began at did not come, and none will. */
  #lookForLastGap(): void {
    if (this.#expected !== undefined) this.#gap = { cause: this.#cause, after: this.#expected, before: undefined };
    this.#expected = undefined;
  }

  /** Of a shard that ends without a batch to tell it with. */
  #takeLastGap(): { gap?: Gap } {
    const gap = this.#gap;
    this.#gap = undefined;
    return gap === undefined ? {} : { gap };
  }

  /**
   * Of records that nothing has to be known of but how many they are: none is made but the first and the last, before somebody asks for them.
   * @returns undefined: there is something to be known.
   */
  #takePlain(after: ExtendedSequenceNumber, maxRecordCount: number): SourceBatch | undefined {
    const records = this.#records;
    const from = this.#at;
    const to = Math.min(from + maxRecordCount, records.length);
    if (!(records instanceof RecordRows && records.arePlainAndRising) || from === to) return undefined;
    const first = numberAt(records, from);
    if (typeof after.sequenceNumber === 'bigint' && first <= after.sequenceNumber) return undefined;
    const last = { sequenceNumber: numberAt(records, to - 1), subSequenceNumber: 0 };
    const byteCount = records.byteCountOf(from, to);
    this.#at = to;
    this.#heldBytes -= byteCount;
    if (to === records.length) this.drop();
    this.#position = last;
    const gap = this.#gap;
    this.#gap = undefined;
    const recordCount = to - from;
    let notMade: RecordRows | undefined = records;
    let made: UserRecord[] = [];
    return {
      get records() {
        if (notMade !== undefined) made = recordsOf(notMade, from, to);
        notMade = undefined;
        return made;
      },
      recordCount,
      first,
      byteCount,
      last,
      millisBehindLatest: this.#millisBehindLatest,
      kinesisRecordCount: recordCount,
      corruptCount: 0,
      strayCount: 0,
      droppedCount: 0,
      gap,
    };
  }

  #takeBatch(after: ExtendedSequenceNumber, maxRecordCount: number): SourceBatch | undefined {
    const records: UserRecord[] = [];
    // Numbers are compared as they are written: of 10,000 records only the last one's is read.
    const from = typeof after.sequenceNumber === 'bigint' ? String(after.sequenceNumber) : '';
    let lastNumber = from;
    let lastSubNumber = after.subSequenceNumber;
    let byteCount = 0;
    let kinesisRecordCount = 0;
    let corruptCount = 0;
    let strayCount = 0;
    let droppedCount = 0;
    while (this.#at < this.#records.length && records.length < maxRecordCount) {
      const index = this.#at;
      const record = this.#records.at(index) as KinesisRecord;
      this.#at += 1;
      this.#heldBytes -= record.data.length;
      const { sequenceNumber } = record;
      const order = compareSequenceTexts(sequenceNumber, from);
      if (order < 0) continue;
      const known = order === 0 ? after.subSequenceNumber : -1;
      const hasDigest = this.#digests.at(index, record.data, this.#records);
      const parts = deaggregate(record, this.#hashKeyRange, hasDigest);
      const subNumber = parts === undefined ? 0 : Math.max(0, parts.records.length - 1);
      const ahead = compareSequenceTexts(sequenceNumber, lastNumber);
      if (ahead > 0 || (ahead === 0 && subNumber > lastSubNumber)) {
        lastNumber = sequenceNumber;
        lastSubNumber = subNumber;
      }
      // Of a record that is read again for its rest, everything was counted the first time.
      if (known < 0) {
        kinesisRecordCount += 1;
        strayCount += parts?.strayCount ?? 0;
        if (parts?.corrupt) corruptCount += 1;
      }
      if (parts === undefined) {
        if (known >= 0) continue;
        byteCount += record.data.length;
        records.push(record);
        continue;
      }
      // KCL AggregatorUtil: of an aggregated record with one stray the others go, too.
      if (parts.strayCount > 0 && this.#dropsStrays) {
        droppedCount += parts.records.length - known - 1;
        continue;
      }
      for (let index = known + 1; index < parts.records.length; index += 1) {
        const userRecord = parts.records[index] as UserRecord;
        byteCount += userRecord.data.length;
        records.push(userRecord);
      }
    }
    if (this.#at === this.#records.length) this.drop();
    if (lastNumber === from && lastSubNumber === after.subSequenceNumber) return undefined;
    const last = { sequenceNumber: parseSequenceNumber(lastNumber), subSequenceNumber: lastSubNumber };
    this.#position = last;
    const millisBehindLatest = this.#millisBehindLatest;
    const gap = this.#gap;
    this.#gap = undefined;
    const counts = { kinesisRecordCount, corruptCount, strayCount, droppedCount };
    const first = records[0] && parseSequenceNumber(records[0].sequenceNumber);
    return { records, recordCount: records.length, first, byteCount, last, millisBehindLatest, ...counts, gap };
  }
}

function byteCountOf(records: readonly KinesisRecord[]): number {
  return records.reduce((sum, { data }) => sum + data.length, 0);
}

function recordsOf(rows: RecordRows, from: number, to: number): UserRecord[] {
  const records: UserRecord[] = [];
  for (let index = from; index < to; index += 1) records.push(rows.at(index) as KinesisRecord);
  return records;
}

function numberAt(records: RecordRows, index: number): SequenceNumber {
  return parseSequenceNumber((records.at(index) as KinesisRecord).sequenceNumber);
}
