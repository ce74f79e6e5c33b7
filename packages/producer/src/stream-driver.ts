// Drives the pipeline of one stream, between `put` and the wire: hands it what happens with the clock's time (one timer), carries
// out its effects, and settles the promises. Decides nothing about delivery.
// Invariants: every record taken settles exactly once; after `stop` there is no timer, and no answer reaches the pipeline.
import {
  type Clock,
  type Logger,
  type Random,
  type StreamIdentifier,
  unreachable,
  withoutStack,
} from '@shardline/common';
import type { Entry, KinesisRecord, Request } from './batch.ts';
import { type Effect, JOINED } from './effects.ts';
import {
  type ProducerName,
  publishAttempt,
  publishRequest,
  publishSettle,
  publishShardMap,
  publishStrategy,
  publishThrottle,
} from './events.ts';
import { tellFailure, tellSuccess } from './faces.ts';
import type { StreamMetrics } from './metrics.ts';
import type { Outstanding } from './outstanding.ts';
import { Pipeline } from './pipeline.ts';
import { type DeliveredRecord, type Failure, PutResults, putError } from './put.ts';
import type { Sender } from './sender.ts';
import type { PipelineOptions } from './stages.ts';
import type { StreamReader } from './stream-reader.ts';
import type { StrategyState } from './stream-strategy.ts';
import { Telling } from './telling.ts';
import type { UserRecord } from './user-record.ts';
import { inputOf } from './user-record-input.ts';

export interface StreamDriverParts {
  readonly stream: StreamIdentifier;
  readonly name: ProducerName;
  readonly options: PipelineOptions;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly sender: Sender;
  readonly reader: StreamReader;
  /** Of the whole producer. */
  readonly outstanding: Outstanding;
  readonly metrics: StreamMetrics;
  /** Told when a record has settled, before its promise. */
  readonly onSettled: () => void;
  /** Told what the stream says of itself. */
  readonly onArn: (streamArn: string) => void;
  /** Told of a bug of ours; must stop the driver. */
  readonly onBroken: (error: unknown) => void;
}

/** What is to be told of records. */
type Outcome = Extract<Effect, { kind: 'delivered' | 'failed' }>;

interface Waiter {
  /** Records put after this one are not waited for. */
  readonly sequence: number;
  remainingCount: number;
  readonly resolve: (settled: Promise<void>) => void;
}

/** Whoever waits goes on no earlier than those who are told of a record by a promise that was resolved with another one. */
const SETTLED: Promise<void> = Promise.resolve();

/** What is asked about the stream, and what it means that there is no answer. */
const failedQuestions = {
  ListShards: 'ListShards failed: records travel alone until it succeeds',
  DescribeStreamSummary:
    "DescribeStreamSummary failed: until it succeeds nothing is aggregated, unless it has succeeded before. If kinesis:DescribeStreamSummary is not to be allowed, say how the stream spreads its records: recordDistributionStrategyDefault: 'USER_PARTITION_KEY'",
} as const;
type Question = keyof typeof failedQuestions;

export class StreamDriver {
  readonly #parts: StreamDriverParts;
  readonly #pipeline: Pipeline;
  readonly #telling: Telling<Outcome>;
  #lastSequence = 0;
  /** Records taken since the metrics were told last. */
  #receivedCount = 0;
  #outstandingCount = 0;
  readonly #waiters = new Set<Waiter>();
  /** Those whose last record is just being told of. */
  #reached: Waiter[] = [];
  /** What a question about the stream threw last, until it is answered. */
  readonly #askingErrors = new Map<Question, unknown>();
  #stopped = false;

  #stopTimer: (() => void) | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #timerKeepsAlive = false;
  /** What was set then was asked of a pipeline that was pressed, or not. */
  #timerPressed = false;

  constructor(parts: StreamDriverParts) {
    this.#parts = parts;
    this.#pipeline = new Pipeline(parts.options);
    this.#telling = new Telling(
      parts.clock,
      (settled, from, to) => this.#tell(settled, from, to),
      () => this.#drive(() => this.#pipeline.expire(parts.clock.now())),
    );
  }

  get stream(): StreamIdentifier {
    return this.#parts.stream;
  }

  get name(): ProducerName {
    return this.#parts.name;
  }

  /** Records taken and not settled, or not told of it yet. */
  get outstandingCount(): number {
    return this.#outstandingCount;
  }

  get lastSequence(): number {
    return this.#lastSequence;
  }

  /** How the stream gives records to shards, as far as it is known. */
  get strategy(): StrategyState {
    return this.#pipeline.strategy;
  }

  /** Asks about the stream at once; without it, at the first put. */
  start(): void {
    this.#onTimer();
  }

  /** Takes an admitted record, with rising sequence; its `settle` is told what became of it. */
  put(record: UserRecord, nowMs: number): void {
    this.#lastSequence = record.sequence;
    this.#receivedCount++;
    this.#outstandingCount++;
    // Not by #drive: this is called for every record, and may do without a closure.
    try {
      this.#pipeline.pressed = this.#isPressed;
      const effects = this.#pipeline.put(record, nowMs);
      if (effects === JOINED && this.#isTimedFor(record)) return;
      this.#perform(effects);
      this.#setTimer();
    } catch (error) {
      this.#parts.onBroken(error);
    }
  }

  /** Sends what waits for company. Resolves when every record put before has settled, however. */
  flush(): Promise<void> {
    if (this.#outstandingCount === 0) return Promise.resolve();
    const settled = new Promise<void>((resolve) => {
      this.#waiters.add({ sequence: this.#lastSequence, remainingCount: this.#outstandingCount, resolve });
    });
    this.#drive(() => this.#pipeline.flush(this.#parts.clock.now()));
    return settled;
  }

  /** For whoever is about to read the metrics: they are told of requests, not of puts. */
  look(nowMs: number): void {
    this.#parts.metrics.looked(this.#receivedCount, this.#outstandingCount, nowMs);
    this.#receivedCount = 0;
  }

  /** Fails what has not settled. */
  abandon(failure: Failure): void {
    this.#perform(this.#pipeline.abandon(failure));
  }

  /** Drives no more. What has settled is told all the same. */
  stop(): void {
    this.look(this.#parts.clock.now());
    this.#stopped = true;
    this.#stopTimer?.();
    this.#parts.reader.abort();
  }

  /** The application waits for room, and there is none that it is about to be told of. */
  get #isPressed(): boolean {
    return this.#parts.outstanding.isPressed && !this.#telling.isBehind;
  }

  /** The way into the pipeline: tells it whether the application waits, does what it says, sets the timer. */
  #drive(step: () => readonly Effect[]): void {
    if (this.#stopped) return;
    try {
      this.#pipeline.pressed = this.#isPressed;
      this.#perform(step());
      this.#pipeline.pressed = this.#isPressed;
      this.#setTimer();
    } catch (error) {
      this.#parts.onBroken(error);
    }
  }

  #perform(effects: readonly Effect[]): void {
    const { name } = this.#parts;
    for (const effect of effects) {
      switch (effect.kind) {
        case 'send':
          void this.#send(effect.request);
          break;
        case 'list-shards':
          void this.#listShards();
          break;
        case 'describe-stream':
          void this.#describeStream();
          break;
        case 'delivered':
          this.#parts.metrics.delivered(effect.records, effect.place);
          this.#telling.put(effect);
          break;
        case 'failed':
          this.#telling.put(effect);
          break;
        case 'shard-map-changed':
          publishShardMap(name, effect, effect.state === 'failed' ? this.#askingErrors.get('ListShards') : undefined);
          break;
        case 'strategy-changed':
          this.#strategyChanged(effect.state);
          break;
        case 'throttled':
          publishThrottle(name, effect);
          break;
        default:
          unreachable(effect);
      }
    }
    this.#telling.tell();
  }

  async #send(request: Request): Promise<void> {
    const { stream, name, clock, random, sender, metrics } = this.#parts;
    let beganAtMs = 0;
    let entries: readonly Entry[] = [];
    let sent: readonly KinesisRecord[] = [];
    const answer = await sender.send(stream, () => {
      beganAtMs = clock.now();
      this.#drive(() => {
        const begun = this.#pipeline.begin(request, beganAtMs);
        entries = begun.entries;
        return begun.effects;
      });
      if (entries.length === 0) return entries;
      sent = request.kinesisRecords.filter(({ phase }) => phase === 'in-flight');
      this.look(beganAtMs);
      publishRequest(name, request.requestId, sent);
      return entries;
    });
    if (answer === undefined) return;
    const endedAtMs = clock.now();
    publishAttempt(name, request.requestId, entries.length, answer, endedAtMs - beganAtMs);
    if (!this.#stopped) metrics.answered(sent, answer, endedAtMs - beganAtMs, endedAtMs);
    this.#drive(() => this.#pipeline.answered(request.requestId, answer, endedAtMs, random.next()));
  }

  #listShards(): Promise<void> {
    return this.#ask(
      'ListShards',
      () => this.#parts.reader.listShards(),
      (shards, nowMs) => this.#pipeline.shardsListed(shards, nowMs),
      (nowMs) => this.#pipeline.listingFailed(nowMs),
    );
  }

  #describeStream(): Promise<void> {
    return this.#ask(
      'DescribeStreamSummary',
      () => this.#parts.reader.describe(),
      (summary, nowMs) => {
        if (summary.streamArn !== undefined) this.#parts.onArn(summary.streamArn);
        return this.#pipeline.described(summary, nowMs);
      },
      (nowMs) => this.#pipeline.describingFailed(nowMs),
    );
  }

  /** One warning until the question is answered, not one for every try: a missing permission is no news the second time. */
  async #ask<Answer>(
    question: Question,
    read: () => Promise<Answer>,
    answered: (answer: Answer, nowMs: number) => readonly Effect[],
    failed: (nowMs: number) => readonly Effect[],
  ): Promise<void> {
    const { clock, log } = this.#parts;
    try {
      const answer = await read();
      this.#askingErrors.delete(question);
      this.#drive(() => answered(answer, clock.now()));
    } catch (error) {
      if (this.#stopped) return;
      log[this.#askingErrors.has(question) ? 'debug' : 'warn']({ err: error }, failedQuestions[question]);
      this.#askingErrors.set(question, error);
      this.#drive(() => failed(clock.now()));
    }
  }

  #strategyChanged(state: StrategyState): void {
    const { log, name } = this.#parts;
    publishStrategy(name, state);
    if (state === 'AUTO') log.info({ strategy: state }, 'the stream is AUTO: nothing is aggregated, no order is kept');
    else log.debug({ strategy: state }, "the stream's record distribution strategy");
  }

  /** Whether the timer is set for a record that has joined others: it was set by a pipeline that was pressed as it is now. */
  #isTimedFor({ dueAtMs }: UserRecord): boolean {
    return this.#timerKeepsAlive && dueAtMs >= this.#timerAtMs && this.#timerPressed === this.#pipeline.pressed;
  }

  #setTimer(): void {
    this.#timerPressed = this.#pipeline.pressed;
    const dueAtMs = this.#pipeline.deadline();
    const keepsAlive = this.#outstandingCount > 0;
    // A timer that fires early finds nothing due and sets the next; so it is only replaced by an earlier one.
    if (this.#stopTimer !== undefined && dueAtMs >= this.#timerAtMs && keepsAlive === this.#timerKeepsAlive) return;
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    this.#timerAtMs = Number.POSITIVE_INFINITY;
    if (dueAtMs === Number.POSITIVE_INFINITY) return;
    const { clock } = this.#parts;
    this.#timerAtMs = dueAtMs;
    this.#timerKeepsAlive = keepsAlive;
    this.#stopTimer = clock.setTimer(this.#onTimer, Math.max(0, dueAtMs - clock.now()), keepsAlive);
  }

  readonly #onTimer = (): void => {
    this.#stopTimer = undefined;
    this.#drive(() => this.#pipeline.expire(this.#parts.clock.now()));
  };

  #tell(settled: Outcome, from: number, to: number): void {
    if (settled.kind === 'delivered') this.#succeed(settled, from, to);
    else this.#fail(settled, from, to);
  }

  #succeed({ records, place }: Extract<Outcome, { kind: 'delivered' }>, from: number, to: number): void {
    const aggregated = records.length > 1;
    const results = new PutResults(place);
    for (let index = from; index < to; index++) {
      const record = records.at(index) as DeliveredRecord;
      const { settle } = record;
      const result = results.of(record, aggregated ? index : undefined);
      publishSettle(this.#parts.name, record, place.endedAtMs, result);
      // Before the callback, which may put again.
      this.#forget(record);
      tellSuccess(settle, result);
      this.#letGoOn();
    }
  }

  #fail({ records, failure }: Extract<Outcome, { kind: 'failed' }>, from: number, to: number): void {
    const { stream, name, clock, metrics } = this.#parts;
    const nowMs = clock.now();
    for (let index = from; index < to; index++) {
      const record = records[index] as UserRecord;
      metrics.failed(record, failure.code === 'EXPIRED', nowMs);
      const { settle } = record;
      const word = record.stream ?? stream.streamArn ?? stream.streamName;
      const error = withoutStack(() => putError(failure, word, inputOf(record), record.attempts, record.mayBeWritten));
      publishSettle(name, record, nowMs, error);
      this.#forget(record);
      tellFailure(settle, error);
      this.#letGoOn();
    }
  }

  /** A record that some may wait for is told of. */
  #countDown(sequence: number): void {
    for (const waiter of this.#waiters) {
      if (sequence > waiter.sequence || --waiter.remainingCount > 0) continue;
      this.#waiters.delete(waiter);
      this.#reached.push(waiter);
    }
  }

  /** Their records have been told of, down to the last one. */
  #letGoOn(): void {
    if (this.#reached.length === 0) return;
    const reached = this.#reached;
    this.#reached = [];
    for (const waiter of reached) waiter.resolve(SETTLED);
  }

  /** The record has settled: it counts no more. */
  #forget(record: DeliveredRecord): void {
    this.#outstandingCount--;
    if (this.#waiters.size > 0) this.#countDown(record.sequence);
    this.#parts.outstanding.remove(record.sizeBytes);
    record.letGo();
    this.#parts.onSettled();
  }
}
