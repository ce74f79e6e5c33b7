// One shard: a hash key range, the records in it, the sequence numbers they get, and its end when it is split or merged.
// Open, it is appended to; closed, it is only read, and says which children go on. Its numbers strictly increase, whatever
// the clock does.
import { type HashKeyRange, invariant, type SequenceNumber } from '@shardline/common/base';
import { type EncryptionMark, isEncryptedAt, marked } from './encryption.ts';
import { ReadLimit, WriteLimit } from './rate-limit.ts';
import { RecordLog, type StoredRecord } from './record-log.ts';
import {
  belongsTo,
  continuationBefore,
  counterOf,
  endingSequenceNumber,
  SEQUENCE_STEP,
  secondOf,
  sequenceBase,
  sequenceNumberAt,
} from './sequence.ts';

/** What a reader at a shard's end is told about each shard that goes on (Kinesis API, ChildShard). */
export interface ChildShard {
  readonly shardId: string;
  readonly parentShards: readonly string[];
  readonly hashKeyRange: HashKeyRange;
}

export interface ShardEnd {
  readonly atMs: number;
  readonly endingSequenceNumber: SequenceNumber;
  readonly childShards: readonly ChildShard[];
}

export interface ShardOrigin {
  readonly number: number;
  readonly range: HashKeyRange;
  readonly createdMs: number;
  /** In seconds, greater than every parent's. */
  readonly epoch: number;
  /** None, the split shard, or the two merged ones: the parent first, then the adjacent parent. */
  readonly parentIds: readonly string[];
}

/** A shard without its records, as plain data. */
export interface ShardState {
  readonly origin: ShardOrigin;
  /** Of the oldest record held. */
  readonly firstCounter: number;
  /** Of the next record. */
  readonly nextCounter: number;
  /** In the last sequence number given. */
  readonly second: number;
  readonly lastArrivalMs: number;
  readonly end?: ShardEnd;
  readonly encryption: readonly EncryptionMark[];
}

/** `shardId-000000000007` */
export function shardIdOf(number: number): string {
  return `shardId-${String(number).padStart(12, '0')}`;
}

export class Shard {
  readonly id: string;
  readonly origin: ShardOrigin;
  readonly startingSequenceNumber: SequenceNumber;
  readonly log: RecordLog;
  readonly writeLimit: WriteLimit = new WriteLimit();
  readonly readLimit: ReadLimit = new ReadLimit();
  /** Called after every append and at the end: a subscription that waits for news. */
  readonly watchers: Set<() => void> = new Set();
  #end: ShardEnd | undefined;
  #encryption: readonly EncryptionMark[] = [];
  readonly #base: bigint;
  #next: bigint;
  #second: number;
  #lastArrivalMs: number;

  /** Empty, unless `records` were kept of an earlier one, from its `firstCounter` on. */
  constructor(origin: ShardOrigin, firstCounter?: number, records?: Iterable<StoredRecord>) {
    this.id = shardIdOf(origin.number);
    this.origin = origin;
    this.#base = sequenceBase(origin.epoch, origin.number);
    this.log = new RecordLog(this.#base, firstCounter, records);
    this.#second = Math.max(0, Math.floor(origin.createdMs / 1000));
    this.#lastArrivalMs = origin.createdMs;
    this.startingSequenceNumber = sequenceNumberAt(this.#base, 0, this.#second);
    this.#next = this.startingSequenceNumber + SEQUENCE_STEP;
  }

  /** The shard of which `state` was taken, with the records from its `firstCounter` on. More than the state knew may be there. */
  static restored(state: ShardState, records: Iterable<StoredRecord>): Shard {
    const shard = new Shard(state.origin, state.firstCounter, records);
    invariant(shard.log.nextCounter >= state.nextCounter, `${shard.id} has all of its records`);
    const last = shard.log.at(shard.log.nextCounter - 1);
    shard.#second = Math.max(state.second, last === undefined ? 0 : secondOf(last.sequenceNumber));
    shard.#lastArrivalMs = Math.max(state.lastArrivalMs, last?.arrivalMs ?? 0);
    shard.#next = sequenceNumberAt(shard.#base, shard.log.nextCounter, shard.#second);
    shard.#end = state.end;
    shard.#encryption = state.encryption;
    return shard;
  }

  get state(): ShardState {
    const { firstCounter, nextCounter } = this.log;
    const state = {
      origin: this.origin,
      firstCounter,
      nextCounter,
      second: this.#second,
      lastArrivalMs: this.#lastArrivalMs,
      encryption: this.#encryption,
    };
    return this.#end === undefined ? state : { ...state, end: this.#end };
  }

  /** Set once the shard was split or merged. */
  get end(): ShardEnd | undefined {
    return this.#end;
  }

  get isOpen(): boolean {
    return this.#end === undefined;
  }

  /** Stores a record that arrived at `now`, and numbers it. Keeps `data`, does not copy it. Watchers are the caller's to wake. */
  append(partitionKey: string | undefined, data: Uint8Array, sizeBytes: number, now: number): SequenceNumber {
    // A clock that steps back must not make arrival times decrease: AT_TIMESTAMP searches them.
    const arrivalMs = Math.max(now, this.#lastArrivalMs);
    this.#lastArrivalMs = arrivalMs;
    const second = Math.floor(arrivalMs / 1000);
    if (second > this.#second) {
      this.#second = second;
      this.#next = sequenceNumberAt(this.#base, this.log.nextCounter, second);
    }
    const sequenceNumber = this.#next as SequenceNumber;
    this.#next += SEQUENCE_STEP;
    this.log.append(partitionKey, data, sizeBytes, arrivalMs);
    return sequenceNumber;
  }

  /** Undoes the appends from `counter` on, which nobody has seen: the same numbers are given again. */
  takeBack(counter: number): void {
    this.log.takeBack(counter);
    this.#next = sequenceNumberAt(this.#base, counter, this.#second);
  }

  /** Whether records from the next one on are encrypted. */
  encrypt(encrypted: boolean): void {
    const { nextCounter, firstCounter } = this.log;
    this.#encryption = marked(this.#encryption, encrypted, nextCounter, firstCounter);
  }

  /** Whether a record of the shard was encrypted when it was put. */
  isEncrypted({ sequenceNumber }: StoredRecord): boolean {
    return this.#encryption.length > 0 && isEncryptedAt(this.#encryption, counterOf(sequenceNumber));
  }

  /** Ends the shard. */
  close(childShards: readonly ChildShard[], atMs: number): void {
    const second = Math.max(this.#second, Math.floor(atMs / 1000));
    this.#end = { atMs, childShards, endingSequenceNumber: endingSequenceNumber(this.#base, second) };
  }

  /** Whether this shard could have given the number out. */
  owns(sequenceNumber: bigint): boolean {
    return belongsTo(this.#base, sequenceNumber);
  }

  /** The counter of the first record at or after a number that the shard owns; `nextCounter` when there is none. */
  counterAtOrAfter(sequenceNumber: bigint): number {
    const { firstCounter, nextCounter } = this.log;
    const counter = Math.max(firstCounter, Math.min(counterOf(sequenceNumber), nextCounter));
    const record = this.log.at(counter);
    return record !== undefined && record.sequenceNumber < sequenceNumber ? counter + 1 : counter;
  }

  /** The counter of the first record after a number that the shard owns. */
  counterAfter(sequenceNumber: bigint): number {
    return this.counterAtOrAfter(sequenceNumber + 1n);
  }

  /** A number from which reading goes on at `counter`, although no record may be there yet. */
  continuationAt(counter: number): SequenceNumber {
    return continuationBefore(this.#base, counter);
  }

  wake(): void {
    for (const watcher of [...this.watchers]) watcher();
  }
}
