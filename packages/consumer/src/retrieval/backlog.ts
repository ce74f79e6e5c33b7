// What of one answer of Kinesis was not given out yet, for the sources of both kinds: taken apart batch by batch, so that a big
// answer is never decoded as a whole. Pure; it neither reads nor waits.
// Invariant: `position` is the last user record given out, and the next answer to be added follows the last record held, so
// that reading can begin anew from `position` at any time, with what is at or before it passed over.
import {
  compareExtended,
  type ExtendedSequenceNumber,
  type HashKeyRange,
  invariant,
  parseSequenceNumber,
  type SequenceNumber,
} from '@shardline/common';
import type { ChildShard } from '../coordination/lease.ts';
import type { UserRecord } from '../handler.ts';
import { deaggregate, type KinesisRecord } from './deaggregate.ts';
import type { Gap, SourceBatch, SourceRead } from './source.ts';

export interface BacklogOptions {
  /** User records; a single aggregate may pass it. */
  readonly maxRecordsPerBatch: number;
  /** The shard's; undefined: strays are not looked for. */
  readonly hashKeyRange: HashKeyRange | undefined;
}

/** One answer of Kinesis. */
export interface Answer {
  readonly records: readonly KinesisRecord[];
  readonly millisBehindLatest: number | undefined;
  /** Of the shard's last answer. */
  readonly childShards: readonly ChildShard[] | undefined;
}

const NO_RECORDS: readonly KinesisRecord[] = [];

export class Backlog {
  readonly #maxRecordsPerBatch: number;
  readonly #hashKeyRange: HashKeyRange | undefined;
  #position: ExtendedSequenceNumber | undefined;
  #records = NO_RECORDS;
  #at = 0;
  #millisBehindLatest: number | undefined;
  /** The number that reading began at: the first record to come, unless it was dropped by the stream. */
  #expected: SequenceNumber | undefined;
  #gap: Gap | undefined;
  /** Set once the shard's last records are here. */
  #childShards: readonly ChildShard[] | undefined;

  constructor({ maxRecordsPerBatch, hashKeyRange }: BacklogOptions) {
    this.#maxRecordsPerBatch = maxRecordsPerBatch;
    this.#hashKeyRange = hashKeyRange;
  }

  /** Undefined before the first `seek`. */
  get position(): ExtendedSequenceNumber | undefined {
    return this.#position;
  }

  /** Nothing is left to give out, and the shard goes on. */
  get isSpent(): boolean {
    return this.#at === this.#records.length && this.#childShards === undefined;
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

  /** The next answer begins with this record, if it is still in the stream. */
  expect({ sequenceNumber }: ExtendedSequenceNumber): void {
    this.#expected = typeof sequenceNumber === 'bigint' ? sequenceNumber : undefined;
  }

  add({ records, millisBehindLatest, childShards }: Answer): void {
    invariant(this.isSpent, 'an answer is added once the one before it was given out');
    this.#records = records;
    this.#at = 0;
    this.#millisBehindLatest = millisBehindLatest;
    this.#childShards = childShards;
    this.#lookForGap();
  }

  drop(): void {
    this.#records = NO_RECORDS;
    this.#at = 0;
  }

  /** As much of it as makes one batch; the rest waits, undecoded. */
  read(after: ExtendedSequenceNumber): SourceRead {
    const batch = this.#takeBatch(after);
    const millisBehindLatest = this.#millisBehindLatest;
    if (this.#childShards === undefined || this.#at < this.#records.length) {
      return { batch, atShardEnd: false, childShards: [], millisBehindLatest };
    }
    return { batch, atShardEnd: true, childShards: this.#childShards, millisBehindLatest };
  }

  #lookForGap(): void {
    const [first] = this.#records;
    if (this.#expected === undefined || first === undefined) return;
    const before = parseSequenceNumber(first.sequenceNumber);
    if (before > this.#expected) this.#gap = { after: this.#expected, before };
    this.#expected = undefined;
  }

  #takeBatch(after: ExtendedSequenceNumber): SourceBatch | undefined {
    const records: UserRecord[] = [];
    let last = after;
    let byteCount = 0;
    let kinesisRecordCount = 0;
    let corruptCount = 0;
    let strayCount = 0;
    while (this.#at < this.#records.length && records.length < this.#maxRecordsPerBatch) {
      const record = this.#records[this.#at] as KinesisRecord;
      this.#at += 1;
      const sequenceNumber = parseSequenceNumber(record.sequenceNumber);
      if (typeof after.sequenceNumber === 'bigint' && sequenceNumber < after.sequenceNumber) continue;
      const known = sequenceNumber === after.sequenceNumber ? after.subSequenceNumber : -1;
      const { records: all, corrupt, strayCount: strays } = deaggregate(record, this.#hashKeyRange);
      const position = { sequenceNumber, subSequenceNumber: Math.max(0, all.length - 1) };
      if (compareExtended(position, last) > 0) last = position;
      // Of a record that is read again for its rest, everything was counted the first time.
      if (known < 0) {
        kinesisRecordCount += 1;
        strayCount += strays;
        if (corrupt) corruptCount += 1;
      }
      for (let index = known + 1; index < all.length; index += 1) {
        const userRecord = all[index] as UserRecord;
        byteCount += userRecord.data.length;
        records.push(userRecord);
      }
    }
    if (this.#at === this.#records.length) this.drop();
    if (compareExtended(last, after) === 0) return undefined;
    this.#position = last;
    const millisBehindLatest = this.#millisBehindLatest;
    const gap = this.#gap;
    this.#gap = undefined;
    return { records, byteCount, last, millisBehindLatest, kinesisRecordCount, corruptCount, strayCount, gap };
  }
}
