// What follows from an answer to PutRecords: the retrier judges each Kinesis record, here it is done: delivered, failed, tried again
// after a back-off, resent as new, or kept undecided until the shard map has been read. Pure.
// Invariants: every Kinesis record of a request that ended goes one of these ways; what the KCL would drop is never delivered.
import { invariant, unreachable } from '@shardline/common';
import type { Answer, KinesisRecord } from './batch.ts';
import type { Collection } from './collector.ts';
import type { Outbox, Place } from './effects.ts';
import type { Limiter } from './limiter.ts';
import type { Placing } from './placing.ts';
import type { Predictor } from './prediction.ts';
import { noteAttempt } from './put.ts';
import type { OnItsWay, Requests } from './requests.ts';
import type { Retrier, Verdict } from './retrier.ts';
import type { Settling } from './settling.ts';
import type { ShardMap } from './shard-map.ts';
import type { Stages } from './stages.ts';
import type { StreamStrategy } from './stream-strategy.ts';

export interface AnsweringParts {
  readonly stages: Stages;
  readonly predictor: Predictor;
  readonly placing: Placing;
  readonly settling: Settling;
  readonly requests: Requests;
  readonly outbox: Outbox;
}

/**
 * Refused as a whole for one record of it, a request is sent again in halves: one such record among 500 shows itself after 10
 * refusals. Where it is the request and not a record, as many more would fail as there are records; so they end here.
 */
const MOST_REFUSALS = 32;

interface Undecided {
  readonly kinesisRecord: KinesisRecord;
  readonly place: Place;
}

export class Answering {
  readonly #strategy: StreamStrategy;
  readonly #shardMap: ShardMap;
  readonly #limiter: Limiter;
  readonly #retrier: Retrier;
  readonly #predictor: Predictor;
  readonly #placing: Placing;
  readonly #settling: Settling;
  readonly #requests: Requests;
  readonly #outbox: Outbox;
  #undecided: Undecided[] = [];
  /** To be placed anew, all at once: what waits for several of them is taken apart once. */
  #misplaced: KinesisRecord[] = [];

  constructor({ stages, predictor, placing, settling, requests, outbox }: AnsweringParts) {
    this.#strategy = stages.strategy;
    this.#shardMap = stages.shardMap;
    this.#limiter = stages.limiter;
    this.#retrier = stages.retrier;
    this.#predictor = predictor;
    this.#placing = placing;
    this.#settling = settling;
    this.#requests = requests;
    this.#outbox = outbox;
  }

  /** A request is over. `random` (0 ≤ x < 1) spreads the back-off. */
  answered(request: OnItsWay, answer: Answer, nowMs: number, random: number): void {
    if (answer.kind === 'failed' && this.#halve(request, answer, nowMs)) return;
    const again: KinesisRecord[] = [];
    const throttled = new Map<string | undefined, KinesisRecord[]>();
    const whole = answer.kind === 'failed' ? this.#retrier.judgeRequest(answer) : undefined;
    for (const [index, kinesisRecord] of request.kinesisRecords.entries()) {
      if (kinesisRecord.phase === 'done') continue;
      const verdict = whole ?? this.#judge(kinesisRecord, answer, index);
      this.#pace(verdict, kinesisRecord, nowMs);
      if ('throttled' in verdict && verdict.throttled) {
        const { shardId } = kinesisRecord;
        const others = throttled.get(shardId);
        if (others === undefined) throttled.set(shardId, [kinesisRecord]);
        else others.push(kinesisRecord);
      }
      if (this.#apply(verdict, kinesisRecord, nowMs)) again.push(kinesisRecord);
    }
    for (const [shardId, refused] of throttled) {
      const ratePercent = this.#limiter.percentFor(refused[0] as KinesisRecord, nowMs);
      this.#outbox.push({ kind: 'throttled', shardId, kinesisRecordCount: refused.length, ratePercent });
    }
    if (again.length > 0) this.#retrier.put(again, nowMs, random);
    this.#placeAnew(nowMs);
  }

  /** The shard map was read, or could not be: judges what was written to shards it did not know. */
  decide(nowMs: number): void {
    for (const { kinesisRecord, place } of this.takeUndecided()) {
      const verdict = this.#retrier.judge(kinesisRecord, { kind: 'written', ...place }, this.#shardMap);
      if (verdict.kind === 'delivered') this.#settling.deliver(kinesisRecord, place, nowMs);
      else this.#resendAll(kinesisRecord, place, nowMs);
    }
    this.#placeAnew(nowMs);
  }

  /** The shard map has become another one, or none. */
  mapChanged(nowMs: number): void {
    const { state, openShardCount } = this.#shardMap;
    this.#outbox.push({ kind: 'shard-map-changed', state, openShardCount });
    this.#placing.predictionsChanged(nowMs);
  }

  /** What is written and not judged; it is not kept any longer. */
  takeUndecided(): readonly Undecided[] {
    const undecided = this.#undecided;
    this.#undecided = [];
    return undecided;
  }

  /** Whether a request that Kinesis won't take goes again in halves, because it may be one record that it won't take. */
  #halve({ kinesisRecords, refusals }: OnItsWay, answer: Extract<Answer, { kind: 'failed' }>, nowMs: number): boolean {
    const { permanent, written, errorCode, errorMessage } = answer;
    if (permanent !== 'REQUEST_FAILED' || written !== 'no' || ++refusals.count > MOST_REFUSALS) return false;
    const live = kinesisRecords.filter(({ phase }) => phase !== 'done');
    if (live.length < 2) return false;
    const attempt = { errorCode, errorMessage, written };
    for (const { records, beganAtMs } of live) noteAttempt(records, beganAtMs, nowMs, attempt);
    const half = live.length >>> 1;
    this.#requests.send([live.slice(0, half), live.slice(half)].map(collectionOf), refusals);
    this.#settling.expireOverdue(live, nowMs);
    return true;
  }

  /** What the verdict says of the shard's rate. */
  #pace(verdict: Verdict, kinesisRecord: KinesisRecord, nowMs: number): void {
    if (verdict.kind !== 'retry' && verdict.kind !== 'failed') this.#limiter.written(kinesisRecord, nowMs);
    else if (verdict.throttled) this.#limiter.refused(kinesisRecord, 'throttled', nowMs);
    else if (verdict.kind === 'retry' && verdict.serviceFailed) this.#limiter.refused(kinesisRecord, 'failed', nowMs);
  }

  #judge(kinesisRecord: KinesisRecord, answer: Answer, index: number): Verdict {
    invariant(answer.kind === 'answered', 'a failed request is judged as a whole');
    const entry = answer.entries[index];
    invariant(entry !== undefined, 'fewer answers than entries');
    return this.#retrier.judge(kinesisRecord, entry, this.#shardMap);
  }

  /** Does what the retrier decided. True: the Kinesis record is to be sent again after a back-off. */
  #apply(verdict: Verdict, kinesisRecord: KinesisRecord, nowMs: number): boolean {
    switch (verdict.kind) {
      case 'delivered':
      case 'undecided':
      case 'misplaced': {
        const { shardId, sequenceNumber } = verdict;
        const place = { shardId, sequenceNumber, beganAtMs: kinesisRecord.beganAtMs, endedAtMs: nowMs };
        this.#checkPrediction(kinesisRecord, shardId, nowMs);
        if (verdict.kind === 'delivered') this.#settling.deliver(kinesisRecord, place, nowMs);
        else if (verdict.kind === 'undecided' && this.#shardMap.state === 'loading' && this.#predictor.goesByKeys) {
          kinesisRecord.phase = 'undecided';
          this.#undecided.push({ kinesisRecord, place });
        } else this.#resendAll(kinesisRecord, place, nowMs);
        return false;
      }
      case 'retry': {
        noteAttempt(kinesisRecord.records, kinesisRecord.beganAtMs, nowMs, verdict.attempt);
        for (const record of kinesisRecord.records) record.lastCause = verdict.cause;
        kinesisRecord.phase = 'backing-off';
        this.#settling.expireOverdue([kinesisRecord], nowMs);
        return kinesisRecord.liveCount > 0;
      }
      case 'failed':
        noteAttempt(kinesisRecord.records, kinesisRecord.beganAtMs, nowMs, verdict.attempt);
        this.#settling.fail(kinesisRecord.records, verdict.failure, nowMs);
        return false;
      default:
        return unreachable(verdict);
    }
  }

  /** A record on another shard than predicted, or on one never seen, tells of a split or merge. */
  #checkPrediction(kinesisRecord: KinesisRecord, shardId: string, nowMs: number): void {
    if (!this.#predictor.goesByKeys) return;
    const { shardId: predicted, mapVersion } = kinesisRecord;
    const mistaken = predicted !== undefined && predicted !== shardId && mapVersion === this.#predictor.version;
    if (mistaken) this.#strategy.doubt(nowMs);
    if ((mistaken || !this.#shardMap.knows(shardId)) && this.#shardMap.invalidate(nowMs)) this.mapChanged(nowMs);
  }

  /** It is in the stream, but where the KCL drops it: its user records start again, save those whose time is over. */
  #resendAll(kinesisRecord: KinesisRecord, place: Place, nowMs: number): void {
    const errorMessage = `written to ${place.shardId}, which does not hold all of its hash keys`;
    const attempt = { errorCode: 'Wrong Shard', errorMessage, written: 'yes' } as const;
    noteAttempt(kinesisRecord.records, place.beganAtMs, place.endedAtMs, attempt);
    kinesisRecord.phase = 'backing-off';
    this.#settling.expireOverdue([kinesisRecord], nowMs);
    if (kinesisRecord.liveCount > 0) this.#misplaced.push(kinesisRecord);
  }

  #placeAnew(nowMs: number): void {
    const misplaced = this.#misplaced;
    this.#misplaced = [];
    this.#placing.placeAnew(misplaced, nowMs);
  }
}

function collectionOf(kinesisRecords: readonly KinesisRecord[]): Collection {
  return { kinesisRecords, sizeBytes: kinesisRecords.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) };
}
