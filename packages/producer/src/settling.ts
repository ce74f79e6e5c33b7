// The end of a user record's way through the pipeline: it was delivered, or it failed. The driver then settles its promise.
// Invariants: a user record settles once; when the last of a Kinesis record has, the keys that it held are free.
import { invariant } from '@shardline/common';
import type { Aggregator } from './aggregator.ts';
import type { KinesisRecord } from './batch.ts';
import type { Outbox, Place } from './effects.ts';
import type { Failure, UserRecord } from './user-record.ts';

export class Settling {
  readonly #aggregator: Aggregator;
  readonly #outbox: Outbox;
  readonly #onFinished: (kinesisRecord: KinesisRecord, nowMs: number) => void;
  #unsettledCount = 0;

  /** `onFinished` is told when nothing more will happen to a Kinesis record. */
  constructor(
    aggregator: Aggregator,
    outbox: Outbox,
    onFinished: (kinesisRecord: KinesisRecord, nowMs: number) => void,
  ) {
    this.#aggregator = aggregator;
    this.#outbox = outbox;
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
    for (const record of kinesisRecord.records) this.#markSettled(record);
    this.#outbox.push({ kind: 'delivered', kinesisRecord, place });
    this.#finish(kinesisRecord, nowMs);
  }

  fail(records: readonly UserRecord[], failure: Failure, nowMs: number): void {
    for (const record of records) {
      record.ownData();
      this.#markSettled(record);
    }
    this.#outbox.push({ kind: 'failed', records, failure });
    for (const { carrier } of records) {
      if (carrier?.liveCount !== 0 || carrier.phase === 'done') continue;
      this.#aggregator.forget(carrier);
      this.#finish(carrier, nowMs);
    }
  }

  /** Their time to live is over. */
  expire(records: readonly UserRecord[], nowMs: number): void {
    for (const record of records) this.fail([record], expiredFailure(record), nowMs);
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
    for (const record of records) {
      record.ownData();
      this.#markSettled(record);
    }
    for (const { carrier } of records) carrier?.release();
    if (records.length > 0) this.#outbox.push({ kind: 'failed', records, failure });
  }

  #finish(kinesisRecord: KinesisRecord, nowMs: number): void {
    kinesisRecord.release();
    this.#onFinished(kinesisRecord, nowMs);
  }

  #markSettled(record: UserRecord): void {
    invariant(!record.settled, 'a user record settles once');
    record.settled = true;
    this.#unsettledCount--;
    if (record.carrier !== undefined) record.carrier.liveCount--;
  }
}

function expiredFailure(record: UserRecord): Failure {
  const last = record.attempts.at(-1);
  const attempted =
    last === undefined
      ? 'without an attempt'
      : `after ${record.attempts.length} attempts, the last of which ended with ${last.errorCode}`;
  const message = `not delivered within recordTtlMs, ${attempted}`;
  return { code: 'EXPIRED', message, retryable: true, cause: record.lastCause };
}
