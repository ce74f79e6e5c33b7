// The producer's core, read it first: wires the stages in the order data flows, and is as pure as they are. Whoever drives it
// (producer.ts, the simulation) hands in what happened with the time, `now`, carries out the effects it answers with, and calls
// `expire` once `deadline` has come: that is the producer's one timer.
//   put → order → strategy, shard map → aggregator → limiter → collector → [send] → begin → [PutRecords] → answered → retrier → settled
// Invariants: each put record gets exactly one `delivered` or `failed`; every `send` gets one `begin`, and one `answered` if that
// gave entries; no attempt begins once a record's time to live is over, an attempt under way is awaited.
import { invariant, unreachable } from '@shardline/common';
import { Aggregator, type AggregatorOptions, type Prediction } from './aggregator.ts';
import type { Addressing, Answer, Entry, KinesisRecord, Refusals, Request } from './batch.ts';
import { type Collection, Collector, type CollectorOptions } from './collector.ts';
import { Expiry } from './expiry.ts';
import { Limiter, type LimiterOptions } from './limiter.ts';
import { KeyOrder } from './order.ts';
import { Retrier, type RetrierOptions, type Verdict } from './retrier.ts';
import { type Shard, ShardMap, type ShardMapState } from './shard-map.ts';
import {
  type StrategyState,
  StreamStrategy,
  type StreamStrategyOptions,
  type StreamSummary,
} from './stream-strategy.ts';
import { type Failure, noteAttempt, type UserRecord } from './user-record.ts';

export interface PipelineOptions
  extends AggregatorOptions,
    LimiterOptions,
    CollectorOptions,
    RetrierOptions,
    StreamStrategyOptions {
  /** Whether the records of one key keep their order. */
  readonly ordering: 'per-key' | 'none';
  /** Requests that may be on their way before the collector waits for more company instead of sending what is due. */
  readonly maxRequestsInFlight: number;
}

/** Where and when a Kinesis record was written. */
export interface Place {
  readonly shardId: string;
  readonly sequenceNumber: string;
  readonly beganAtMs: number;
  readonly endedAtMs: number;
}

/** What the driver is to do. */
export type Effect =
  /** Queue a request: when its turn comes, call `begin`. */
  | { readonly kind: 'send'; readonly request: Request }
  /** Call ListShards, answer with `shardsListed` or `listingFailed`. */
  | { readonly kind: 'list-shards' }
  /** Call DescribeStreamSummary, answer with `described` or `describingFailed`. */
  | { readonly kind: 'describe-stream' }
  /** The user records of this Kinesis record have succeeded. */
  | { readonly kind: 'delivered'; readonly kinesisRecord: KinesisRecord; readonly place: Place }
  /** These user records have failed. */
  | { readonly kind: 'failed'; readonly records: readonly UserRecord[]; readonly failure: Failure }
  /** For whoever watches. */
  | { readonly kind: 'shard-map-changed'; readonly state: ShardMapState; readonly openShardCount: number }
  | { readonly kind: 'strategy-changed'; readonly state: StrategyState }
  | { readonly kind: 'throttled'; readonly shardId: string | undefined; readonly kinesisRecordCount: number };

/** The stages, for the simulation to put a broken one in place of one. */
export interface Stages {
  readonly order: KeyOrder;
  readonly strategy: StreamStrategy;
  readonly shardMap: ShardMap;
  readonly aggregator: Aggregator;
  readonly limiter: Limiter;
  readonly collector: Collector;
  readonly retrier: Retrier;
  readonly expiry: Expiry;
}

/**
 * How long records wait for the stream's strategy, or for the shard map, rather than travel alone: a burst of lone records
 * would overrun the shards' rate.
 */
const PATIENCE_MS = 1_000;

/**
 * Refused as a whole for one record of it, a request is sent again in halves: one such record among 500 shows itself after 10
 * refusals. Where it is the request and not a record, as many more would fail as there are records; so they end here.
 */
const MOST_REFUSALS = 32;

const NOTHING: readonly Effect[] = [];

interface OnItsWay {
  readonly kinesisRecords: readonly KinesisRecord[];
  readonly refusals: Refusals;
}

interface Undecided {
  readonly kinesisRecord: KinesisRecord;
  readonly place: Place;
}

export class Pipeline {
  readonly #order: KeyOrder;
  readonly #strategy: StreamStrategy;
  readonly #shardMap: ShardMap;
  readonly #aggregator: Aggregator;
  readonly #limiter: Limiter;
  readonly #collector: Collector;
  readonly #retrier: Retrier;
  readonly #expiry: Expiry;
  readonly #maxRequestsInFlight: number;
  readonly #keepsOrder: boolean;
  /** User records without a key, until it is known whether the stream takes them. */
  #keyless: UserRecord[] = [];
  /** Requests emitted and not over, with what `begin` put into them. */
  readonly #requests = new Map<number, OnItsWay>();
  #undecided: Undecided[] = [];
  #effects: Effect[] = [];
  #lastRequestId = 0;
  #lastSequence = 0;
  #flushedSequence = 0;

  /** The application waits for us (`ready` is pending), so nothing is to wait for company. */
  pressed = false;

  constructor(options: PipelineOptions, stages: Partial<Stages> = {}) {
    this.#order = stages.order ?? new KeyOrder();
    this.#strategy = stages.strategy ?? new StreamStrategy(options);
    this.#shardMap = stages.shardMap ?? new ShardMap();
    this.#aggregator = stages.aggregator ?? new Aggregator(options);
    this.#limiter = stages.limiter ?? new Limiter(options);
    this.#collector = stages.collector ?? new Collector(options);
    this.#retrier = stages.retrier ?? new Retrier(options);
    this.#expiry = stages.expiry ?? new Expiry();
    this.#maxRequestsInFlight = options.maxRequestsInFlight;
    this.#keepsOrder = options.ordering === 'per-key';
  }

  /** How the stream gives records to shards, as far as it is known. */
  get strategy(): StrategyState {
    return this.#strategy.state;
  }

  /** Takes a user record. Records must come with rising `sequence`. */
  put(record: UserRecord, nowMs: number): readonly Effect[] {
    this.#lastSequence = record.sequence;
    this.#expiry.put(record);
    this.#place(record, nowMs);
    return this.#takeEffects();
  }

  /** Everything put so far is to leave without waiting for company. */
  flush(nowMs: number): readonly Effect[] {
    this.#flushedSequence = this.#lastSequence;
    for (const sealed of this.#aggregator.flush()) this.#limit(sealed, nowMs);
    this.#collector.hasten(nowMs);
    this.#expire(nowMs);
    return this.#takeEffects();
  }

  /** When `expire` wants to be called: in the past for at once, Infinity for never. */
  deadline(): number {
    const mayCollect = this.#requests.size < this.#maxRequestsInFlight;
    if (this.pressed && mayCollect && this.#collector.count > 0) return Number.NEGATIVE_INFINITY;
    if (this.pressed && this.#isStill() && this.#aggregator.openCount > 0) return Number.NEGATIVE_INFINITY;
    return Math.min(
      this.#strategy.deadline(),
      this.#goesByKeys ? this.#shardMap.deadline() : Number.POSITIVE_INFINITY,
      this.#aggregator.deadline(),
      this.#limiter.deadline(),
      mayCollect ? this.#collector.deadline() : Number.POSITIVE_INFINITY,
      this.#retrier.deadline(),
      this.#expiry.deadline(),
    );
  }

  /** Does all that is due. */
  expire(nowMs: number): readonly Effect[] {
    this.#expire(nowMs);
    return this.#takeEffects();
  }

  /**
   * The request's turn has come: gives the entries to send now. None: nothing is left to send, there will be no answer.
   * What has expired is left out; an aggregated record that the shard map has overtaken goes back to be made anew.
   */
  begin(request: Request, nowMs: number): { readonly entries: readonly Entry[]; readonly effects: readonly Effect[] } {
    this.#failExpired(nowMs);
    const sent: KinesisRecord[] = [];
    const overtaken: KinesisRecord[] = [];
    for (const kinesisRecord of request.kinesisRecords) {
      if (kinesisRecord.phase === 'done') continue;
      kinesisRecord.prune();
      if (this.#isOvertaken(kinesisRecord)) {
        overtaken.push(kinesisRecord);
        continue;
      }
      kinesisRecord.phase = 'in-flight';
      kinesisRecord.attemptCount++;
      kinesisRecord.beganAtMs = nowMs;
      sent.push(kinesisRecord);
    }
    if (sent.length === 0) this.#requests.delete(request.requestId);
    else this.#requests.set(request.requestId, { kinesisRecords: sent, refusals: request.refusals });
    this.#placeAnew(overtaken, nowMs);
    return { entries: sent.map((kinesisRecord) => kinesisRecord.entry()), effects: this.#takeEffects() };
  }

  /** A request that began is over. `random` (0 ≤ x < 1) spreads the back-off. */
  answered(requestId: number, answer: Answer, nowMs: number, random: number): readonly Effect[] {
    const request = this.#requests.get(requestId);
    invariant(request !== undefined, 'an answer to a request that is not on its way');
    this.#requests.delete(requestId);
    if (answer.kind === 'failed' && this.#halve(request, answer, nowMs)) {
      this.#expire(nowMs);
      return this.#takeEffects();
    }
    const sent = request.kinesisRecords;
    const again: KinesisRecord[] = [];
    const throttledCounts = new Map<string | undefined, number>();
    const whole = answer.kind === 'failed' ? this.#retrier.judgeRequest(answer) : undefined;
    for (const [index, kinesisRecord] of sent.entries()) {
      if (kinesisRecord.phase === 'done') continue;
      const verdict = whole ?? this.#judge(kinesisRecord, answer, index);
      if ('throttled' in verdict && verdict.throttled) {
        throttledCounts.set(kinesisRecord.shardId, (throttledCounts.get(kinesisRecord.shardId) ?? 0) + 1);
      }
      if (this.#apply(verdict, kinesisRecord, nowMs)) again.push(kinesisRecord);
    }
    for (const [shardId, kinesisRecordCount] of throttledCounts) {
      this.#effects.push({ kind: 'throttled', shardId, kinesisRecordCount });
    }
    if (again.length > 0) this.#retrier.put(again, nowMs, random);
    this.#expire(nowMs);
    return this.#takeEffects();
  }

  /** ListShards answered with the open shards. */
  shardsListed(shards: readonly Shard[], nowMs: number): readonly Effect[] {
    const isOther = this.#shardMap.loaded(shards, nowMs);
    this.#limiter.forgetIdle(nowMs);
    if (isOther) this.#mapChanged(nowMs);
    this.#decide(nowMs);
    this.#expire(nowMs);
    return this.#takeEffects();
  }

  /** ListShards failed: unless an earlier list still holds, records travel alone until a later call succeeds. */
  listingFailed(nowMs: number): readonly Effect[] {
    if (this.#shardMap.failed(nowMs)) this.#mapChanged(nowMs);
    this.#decide(nowMs);
    this.#expire(nowMs);
    return this.#takeEffects();
  }

  /** DescribeStreamSummary answered. */
  described(summary: StreamSummary, nowMs: number): readonly Effect[] {
    const changed = this.#strategy.told(summary, nowMs);
    if (changed.shards) this.#shardMap.refresh(nowMs);
    if (changed.strategy) this.#strategyChanged(nowMs);
    this.#expire(nowMs);
    return this.#takeEffects();
  }

  /** DescribeStreamSummary failed: unless an earlier answer still holds, records travel alone until a later call succeeds. */
  describingFailed(nowMs: number): readonly Effect[] {
    if (this.#strategy.failed(nowMs)) this.#strategyChanged(nowMs);
    this.#expire(nowMs);
    return this.#takeEffects();
  }

  /** Fails everything that has not settled, in flight or not. Answers that come later change nothing. */
  abandon(failure: Failure): readonly Effect[] {
    const records = new Set(this.#expiry.unsettled());
    const kinesisRecords = this.#undecided.map((one) => one.kinesisRecord);
    for (const request of this.#requests.values()) kinesisRecords.push(...request.kinesisRecords);
    for (const kinesisRecord of kinesisRecords) {
      for (const record of kinesisRecord.records) {
        if (record.settled) continue;
        records.add(record);
        if (kinesisRecord.phase === 'in-flight' || kinesisRecord.phase === 'undecided') record.mayBeWritten = true;
      }
    }
    // All at once: settling one after the other would let held records move up and be sent.
    for (const record of records) {
      this.#markSettled(record);
      record.carrier?.release();
    }
    this.#undecided = [];
    if (records.size > 0) this.#effects.push({ kind: 'failed', records: [...records], failure });
    return this.#takeEffects();
  }

  /** Predictions hold as long as it does: neither the shard map nor the stream's strategy has changed. */
  get #version(): number {
    return this.#shardMap.version + this.#strategy.version;
  }

  /** The stream gives a record to the shard of its hash key, or may do so. */
  get #goesByKeys(): boolean {
    return this.#strategy.state !== 'AUTO';
  }

  get #addressing(): Addressing {
    const { state } = this.#strategy;
    return state === 'AUTO' ? 'service' : state === 'USER_PARTITION_KEY' ? 'hash-key' : 'as-given';
  }

  #place(record: UserRecord, nowMs: number): void {
    if (!record.hasKey && this.#goesByKeys) this.#placeKeyless(record, nowMs);
    else if (!this.#admit(record, nowMs)) this.#order.hold(record);
  }

  /** Sent to a stream that goes by keys it would be refused, and the whole request with it. */
  #placeKeyless(record: UserRecord, nowMs: number): void {
    if (this.#strategy.state === 'asking') this.#keyless.push(record);
    else this.#fail([record], keylessFailure(this.#strategy.state), nowMs);
  }

  /** Puts the record into a Kinesis record, or says that its key's Kinesis record has to settle first. */
  #admit(record: UserRecord, nowMs: number): boolean {
    // An AUTO stream keeps no order, for it spreads a key over its shards.
    const isOrdered = this.#keepsOrder && this.#goesByKeys;
    const carrier = isOrdered ? this.#order.carrierOf(record.orderKey) : undefined;
    if (carrier !== undefined && !this.#takesMore(carrier, record, nowMs)) return false;
    if (record.sequence <= this.#flushedSequence) record.dueAtMs = Math.min(record.dueAtMs, nowMs);
    const sealed = this.#aggregator.put(record, this.#predict(record, nowMs), nowMs);
    if (isOrdered && carrier === undefined && record.carrier !== undefined) {
      this.#order.carry(record.orderKey, record.carrier);
    }
    for (const kinesisRecord of sealed) this.#limit(kinesisRecord, nowMs);
    return true;
  }

  #predict(record: UserRecord, nowMs: number): Prediction {
    const shardMap = this.#shardMap;
    const addressing = this.#addressing;
    const shardId = addressing === 'hash-key' ? shardMap.predict(record.hashHex) : undefined;
    let waitUntilMs = Number.NEGATIVE_INFINITY;
    if (this.#strategy.state === 'asking') waitUntilMs = waitSince(this.#strategy.askedAtMs, nowMs);
    else if (shardMap.state === 'loading' && this.#goesByKeys) waitUntilMs = waitSince(shardMap.loadingSinceMs, nowMs);
    return { shardId, mapVersion: this.#version, addressing, waitUntilMs };
  }

  /** Whether the key's Kinesis record is open and has room; if it has none it is sealed. Whoever waits for one hastens it. */
  #takesMore(carrier: KinesisRecord, record: UserRecord, nowMs: number): boolean {
    if (carrier.phase === 'open') {
      const sealed = this.#aggregator.sealUnlessFits(carrier, record);
      if (sealed === undefined) return true;
      sealed.awaited = true;
      this.#limit(sealed, nowMs);
      return false;
    }
    if (!carrier.awaited && carrier.phase === 'collected') this.#collector.hasten(nowMs);
    carrier.awaited = true;
    return false;
  }

  #limit(kinesisRecord: KinesisRecord, nowMs: number): void {
    for (const passed of this.#limiter.put(kinesisRecord, nowMs)) this.#collect(passed, nowMs);
  }

  #collect(kinesisRecord: KinesisRecord, nowMs: number): void {
    if (kinesisRecord.phase === 'done') return;
    this.#send(this.#collector.put(kinesisRecord));
    const flushed = (kinesisRecord.records[0]?.sequence ?? 0) <= this.#flushedSequence;
    if (kinesisRecord.awaited || flushed) this.#collector.hasten(nowMs);
  }

  /** Whether a request that Kinesis won't take goes again in halves, because it may be one record that it won't take. */
  #halve({ kinesisRecords, refusals }: OnItsWay, answer: Extract<Answer, { kind: 'failed' }>, nowMs: number): boolean {
    const { permanent, written, errorCode, errorMessage } = answer;
    if (permanent !== 'REQUEST_FAILED' || written !== 'no' || ++refusals.count > MOST_REFUSALS) return false;
    const live = kinesisRecords.filter(({ phase }) => phase !== 'done');
    if (live.length < 2) return false;
    const attempt = { errorCode, errorMessage, written };
    for (const { records, beganAtMs } of live) {
      for (const record of records) noteAttempt(record, beganAtMs, nowMs, attempt);
    }
    const half = live.length >>> 1;
    this.#send([live.slice(0, half), live.slice(half)].map(collectionOf), refusals);
    this.#failOverdue(live, nowMs);
    return true;
  }

  #send(collections: readonly Collection[], refusals: Refusals = { count: 0 }): void {
    for (const { kinesisRecords, sizeBytes } of collections) {
      const request: Request = { requestId: ++this.#lastRequestId, kinesisRecords, sizeBytes, refusals };
      for (const kinesisRecord of kinesisRecords) {
        if (kinesisRecord.phase !== 'done') kinesisRecord.phase = 'requested';
      }
      this.#requests.set(request.requestId, { kinesisRecords: [], refusals });
      this.#effects.push({ kind: 'send', request });
    }
  }

  #expire(nowMs: number): void {
    if (this.#strategy.expire(nowMs)) this.#effects.push({ kind: 'describe-stream' });
    if (this.#goesByKeys && this.#shardMap.expire(nowMs)) this.#effects.push({ kind: 'list-shards' });
    this.#failExpired(nowMs);
    const hurried = this.pressed && this.#isStill();
    for (const sealed of this.#aggregator.expire(nowMs)) this.#limit(sealed, nowMs);
    for (const sealed of hurried ? this.#aggregator.flush() : []) this.#limit(sealed, nowMs);
    for (const passed of this.#limiter.expire(nowMs)) this.#collect(passed, nowMs);
    for (const kinesisRecord of this.#retrier.expire(nowMs)) this.#tryAgain(kinesisRecord, nowMs);
    if (this.#requests.size >= this.#maxRequestsInFlight) return;
    this.#send(this.pressed ? this.#collector.flush() : this.#collector.expire(nowMs));
  }

  /** Nothing is on its way to Kinesis or waits for a time to come. */
  #isStill(): boolean {
    return (
      this.#requests.size === 0 &&
      this.#collector.count === 0 &&
      this.#limiter.deadline() === Number.POSITIVE_INFINITY &&
      this.#retrier.deadline() === Number.POSITIVE_INFINITY
    );
  }

  #failExpired(nowMs: number): void {
    this.#failAllExpired(this.#expiry.expire(nowMs), nowMs);
  }

  #failAllExpired(records: readonly UserRecord[], nowMs: number): void {
    for (const record of records) this.#fail([record], expiredFailure(record), nowMs);
  }

  /** What was under way when its time was over has been awaited; now nothing begins for it any more. */
  #failOverdue(kinesisRecords: readonly KinesisRecord[], nowMs: number): void {
    const records = kinesisRecords.flatMap((kinesisRecord) => kinesisRecord.records);
    this.#failAllExpired(
      records.filter((record) => record.expiresAtMs <= nowMs),
      nowMs,
    );
  }

  #tryAgain(kinesisRecord: KinesisRecord, nowMs: number): void {
    if (kinesisRecord.phase === 'done') return;
    if (kinesisRecord.mapVersion === this.#version) this.#limit(kinesisRecord, nowMs);
    else this.#placeAnew([kinesisRecord], nowMs);
  }

  /**
   * Whether a Kinesis record was made for a shard map or a strategy that holds no more. An aggregated one whose records still
   * share a shard is kept, and so is a single one that the stream takes.
   */
  #isOvertaken(kinesisRecord: KinesisRecord): boolean {
    const version = this.#version;
    if (kinesisRecord.mapVersion === version) return false;
    const addressing = this.#addressing;
    if (!kinesisRecord.aggregated) {
      kinesisRecord.address(addressing);
      return kinesisRecord.records[0]?.hasKey === false && addressing !== 'service';
    }
    if (addressing !== 'hash-key') return true;
    let shardId: string | undefined;
    for (const record of kinesisRecord.records) {
      const predicted = this.#shardMap.predict(record.hashHex);
      if (predicted === undefined || (shardId !== undefined && predicted !== shardId)) return true;
      shardId = predicted;
    }
    kinesisRecord.shardId = shardId;
    kinesisRecord.mapVersion = version;
    return false;
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
        if (verdict.kind === 'delivered') this.#deliver(kinesisRecord, place, nowMs);
        else if (verdict.kind === 'undecided' && this.#shardMap.state === 'loading' && this.#goesByKeys) {
          kinesisRecord.phase = 'undecided';
          this.#undecided.push({ kinesisRecord, place });
        } else this.#resendAll(kinesisRecord, place, nowMs);
        return false;
      }
      case 'retry': {
        for (const record of kinesisRecord.records) {
          noteAttempt(record, kinesisRecord.beganAtMs, nowMs, verdict.attempt);
          record.lastCause = verdict.cause;
        }
        kinesisRecord.phase = 'backing-off';
        this.#failOverdue([kinesisRecord], nowMs);
        return kinesisRecord.liveCount > 0;
      }
      case 'failed':
        for (const record of kinesisRecord.records) {
          noteAttempt(record, kinesisRecord.beganAtMs, nowMs, verdict.attempt);
        }
        this.#fail(kinesisRecord.records, verdict.failure, nowMs);
        return false;
      default:
        return unreachable(verdict);
    }
  }

  /** A record on another shard than predicted, or on one never seen, tells of a split or merge. */
  #checkPrediction(kinesisRecord: KinesisRecord, shardId: string, nowMs: number): void {
    if (!this.#goesByKeys) return;
    const { shardId: predicted, mapVersion } = kinesisRecord;
    const mistaken = predicted !== undefined && predicted !== shardId && mapVersion === this.#version;
    if (mistaken) this.#strategy.doubt(nowMs);
    if ((mistaken || !this.#shardMap.knows(shardId)) && this.#shardMap.invalidate(nowMs)) this.#mapChanged(nowMs);
  }

  #mapChanged(nowMs: number): void {
    const { state, openShardCount } = this.#shardMap;
    this.#effects.push({ kind: 'shard-map-changed', state, openShardCount });
    this.#placeAnew(this.#aggregator.drain(), nowMs);
  }

  #strategyChanged(nowMs: number): void {
    this.#effects.push({ kind: 'strategy-changed', state: this.#strategy.state });
    this.#placeAnew(this.#aggregator.drain(), nowMs);
    const keyless = this.#keyless;
    this.#keyless = [];
    for (const record of keyless) if (!record.settled) this.#place(record, nowMs);
    // The shards of an AUTO stream are not listed any more: what waits for the list would wait for ever.
    if (!this.#goesByKeys) this.#decide(nowMs);
  }

  /** The shard map was read, or could not be: judges what was written to shards it did not know. */
  #decide(nowMs: number): void {
    const undecided = this.#undecided;
    this.#undecided = [];
    for (const { kinesisRecord, place } of undecided) {
      const verdict = this.#retrier.judge(kinesisRecord, { kind: 'written', ...place }, this.#shardMap);
      if (verdict.kind === 'delivered') this.#deliver(kinesisRecord, place, nowMs);
      else this.#resendAll(kinesisRecord, place, nowMs);
    }
  }

  #deliver(kinesisRecord: KinesisRecord, place: Place, nowMs: number): void {
    for (const record of kinesisRecord.records) this.#markSettled(record);
    this.#effects.push({ kind: 'delivered', kinesisRecord, place });
    this.#finish(kinesisRecord, nowMs);
  }

  /** It is in the stream, but where the KCL drops it: its user records start again, save those whose time is over. */
  #resendAll(kinesisRecord: KinesisRecord, place: Place, nowMs: number): void {
    const errorMessage = `written to ${place.shardId}, which does not hold all of its hash keys`;
    for (const record of kinesisRecord.records) {
      noteAttempt(record, place.beganAtMs, place.endedAtMs, { errorCode: 'Wrong Shard', errorMessage, written: 'yes' });
    }
    kinesisRecord.phase = 'backing-off';
    this.#failOverdue([kinesisRecord], nowMs);
    if (kinesisRecord.liveCount > 0) this.#placeAnew([kinesisRecord], nowMs);
  }

  #fail(records: readonly UserRecord[], failure: Failure, nowMs: number): void {
    for (const record of records) this.#markSettled(record);
    this.#effects.push({ kind: 'failed', records, failure });
    for (const { carrier } of records) {
      if (carrier?.liveCount !== 0 || carrier.phase === 'done') continue;
      this.#aggregator.forget(carrier);
      this.#finish(carrier, nowMs);
    }
  }

  #markSettled(record: UserRecord): void {
    invariant(!record.settled, 'a user record settles once');
    record.settled = true;
    if (record.carrier !== undefined) record.carrier.liveCount--;
  }

  /** All user records of a Kinesis record have settled: the records held behind its keys move up. */
  #finish(kinesisRecord: KinesisRecord, nowMs: number): void {
    kinesisRecord.release();
    for (const { orderKey } of kinesisRecord.carried) {
      if (!this.#order.free(orderKey, kinesisRecord)) continue;
      for (let next = this.#order.next(orderKey); next !== undefined; next = this.#order.next(orderKey)) {
        if (!this.#admit(next, nowMs)) break;
        this.#order.take(orderKey);
      }
    }
  }

  /** Takes Kinesis records apart and places their user records again, with all that is held behind their keys, in put order. */
  #placeAnew(kinesisRecords: readonly KinesisRecord[], nowMs: number): void {
    if (kinesisRecords.length === 0) return;
    const records: UserRecord[] = [];
    for (const kinesisRecord of kinesisRecords) {
      kinesisRecord.release();
      for (const record of kinesisRecord.carried) {
        if (this.#order.free(record.orderKey, kinesisRecord)) {
          for (const held of this.#order.takeAll(record.orderKey)) records.push(held);
        }
        record.carrier = undefined;
        records.push(record);
      }
    }
    records.sort((a, b) => a.sequence - b.sequence);
    for (const record of records) if (!record.settled) this.#place(record, nowMs);
  }

  #takeEffects(): readonly Effect[] {
    if (this.#effects.length === 0) return NOTHING;
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }
}

function collectionOf(kinesisRecords: readonly KinesisRecord[]): Collection {
  return { kinesisRecords, sizeBytes: kinesisRecords.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) };
}

/** How long to wait for what was asked for at this time, or will be at once. */
function waitSince(askedAtMs: number, nowMs: number): number {
  return (Number.isFinite(askedAtMs) ? Math.min(askedAtMs, nowMs) : nowMs) + PATIENCE_MS;
}

function keylessFailure(state: StrategyState): Failure {
  const message =
    state === 'unknown'
      ? "a record without a partition key needs a stream that is AUTO, and the stream's strategy could not be read: allow kinesis:DescribeStreamSummary, or set recordDistributionStrategyDefault to 'AUTO'"
      : 'a record without a partition key needs a stream whose record distribution strategy is AUTO, and this one goes by partition keys';
  return { code: 'REQUEST_FAILED', message, retryable: false };
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
