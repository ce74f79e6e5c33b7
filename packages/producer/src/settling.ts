// The end of a user record's way through the pipeline: it was delivered, or it failed. The driver then settles its promise.
// Invariants: a user record settles once; when the last of a Kinesis record has, the keys that it held are free.
import { invariant, type MemoryLender } from '@shardline/common';
import type { Aggregator } from './aggregator.ts';
import type { Carried, KinesisRecord } from './batch.ts';
import type { Outbox, Place } from './effects.ts';
import type { Failure } from './put.ts';
import type { UserRecord } from './user-record.ts';

export class Settling {
  readonly #aggregator: Aggregator;
  readonly #outbox: Outbox;
  readonly #lender: MemoryLender;
  readonly #onFinished: (kinesisRecord: KinesisRecord, carried: Carried, nowMs: number) => void;
  #unsettledCount = 0;

  /** `onFinished` is told when nothing more will happen to a Kinesis record, and what it carried. */
  constructor(
    aggregator: Aggregator,
    outbox: Outbox,
    lender: MemoryLender,
    onFinished: (kinesisRecord: KinesisRecord, carried: Carried, nowMs: number) => void,
  ) {
    this.#aggregator = aggregator;
    this.#outbox = outbox;
    this.#lender = lender;
    this.#onFinished = onFinished;
  }

  /** User records that the pipeline has taken and not settled. */
  get unsettledCount(): number {
    return this.#unsettledCount;
  }

  /** A user record has come in. */
  put(): void {
    this.#unsettledCount++;
  }

  deliver(kinesisRecord: KinesisRecord, place: Place, nowMs: number): void {
    const { packed } = kinesisRecord;
    if (packed !== undefined) {
      this.#unsettledCount -= packed.length;
      kinesisRecord.liveCount = 0;
      packed.delivered();
      this.#outbox.push({ kind: 'delivered', records: packed, place });
    } else {
      const { records } = kinesisRecord;
      for (const record of records) {
        this.#markSettled(record);
        record.giveBackData(this.#lender);
      }
      this.#outbox.push({ kind: 'delivered', records, place });
    }
    this.#finish(kinesisRecord, nowMs);
  }

  fail(records: readonly UserRecord[], failure: Failure, nowMs: number): void {
    this.#end(records, failure);
    this.#leave(records, nowMs);
  }

  /** Their time to live is over. */
  expire(records: readonly UserRecord[], nowMs: number): void {
    for (const alike of withLikeAttempts(records)) this.#end(alike, expiredFailure(alike[0] as UserRecord));
    // Not before all have ended: what moves up would be one that expires as well.
    this.#leave(records, nowMs);
  }

  /** What was under way when its time was over has been awaited; now nothing begins for it any more. */
  expireOverdue(kinesisRecords: readonly KinesisRecord[], nowMs: number): void {
    const records = kinesisRecords.flatMap((kinesisRecord) => kinesisRecord.records);
    this.expire(
      records.filter((record) => record.expiresAtMs <= nowMs),
      nowMs,
    );
  }

  /** All at once, and nothing moves up into what they leave. */
  abandon(records: readonly UserRecord[], failure: Failure): void {
    if (records.length > 0) this.#end(records, failure);
    for (const { carrier } of records) carrier?.release();
  }

  #end(records: readonly UserRecord[], failure: Failure): void {
    for (const record of records) this.#markSettled(record);
    this.#outbox.push({ kind: 'failed', records, failure });
  }

  /** Kinesis records that have none left but such as have ended are done with. */
  #leave(records: readonly UserRecord[], nowMs: number): void {
    for (const { carrier } of records) {
      if (carrier?.liveCount !== 0 || carrier.phase === 'done') continue;
      this.#aggregator.forget(carrier);
      this.#finish(carrier, nowMs);
    }
  }

  #finish(kinesisRecord: KinesisRecord, nowMs: number): void {
    this.#onFinished(kinesisRecord, kinesisRecord.release(), nowMs);
  }

  #markSettled(record: UserRecord): void {
    invariant(!record.settled, 'a user record settles once');
    record.settled = true;
    this.#unsettledCount--;
    if (record.carrier !== undefined) record.carrier.liveCount--;
  }
}

/** In their order, those together that can be told of in the same words. */
function* withLikeAttempts(records: readonly UserRecord[]): Generator<readonly UserRecord[]> {
  let from = 0;
  for (let to = 1; to <= records.length; to++) {
    const [first, next] = [records[from] as UserRecord, records[to]];
    if (first.attempts === next?.attempts && first.lastCause === next.lastCause) continue;
    yield records.slice(from, to);
    from = to;
  }
}

function expiredFailure(record: UserRecord): Failure {
  const last = record.attempts.at(-1);
  const attempted =
    last === undefined
      ? 'without an attempt'
      : `after ${record.attempts.length} attempts, the last of which ended with ${last.errorCode}`;
  const message = `not delivered within recordTtlMs, ${record.expiresAtMs - record.putAtMs} ms, ${attempted}`;
  return { code: 'EXPIRED', message, retryable: true, cause: record.lastCause };
}
