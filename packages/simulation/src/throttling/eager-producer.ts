// A producer in virtual time whose application always has more to put than the stream takes: whenever records settle, others are
// put, up to a bound. The real pipeline, on the local server's model of Kinesis with the limits of its shards.
import { type HashKey, hashKeyOf } from '@shardline/common';
import type { KinesisModel } from '@shardline/local';
import type { Answer, Entry, EntryAnswer, Request } from '../../../producer/dist/batch.js';
import type { Effect } from '../../../producer/dist/effects.js';
import { Pipeline } from '../../../producer/dist/pipeline.js';
import type { DeliveredRecord, DeliveredRecords } from '../../../producer/dist/put.js';
import { timesOf } from '../../../producer/dist/user-record.js';
import { checkUserRecord } from '../../../producer/dist/user-record-input.js';
import type { EventQueue } from '../event-queue.ts';
import type { Prng } from '../prng.ts';
import { options, type Pace, stagesOf } from './paces.ts';

export interface EagerProducerOptions {
  readonly name: string;
  readonly stream: string;
  readonly pace: Pace;
  readonly dataBytes: number;
  readonly outstandingCount: number;
  readonly startAtMs: number;
  readonly recordTtlMs: number;
  /** Its process gets the processor so seldom: what becomes due in between, timers and answers, waits for that. 0: never waits. */
  readonly turnMs: number;
}

/** What came of a second. */
export interface SecondOfPuts {
  writtenBytes: number;
  written: number;
  refused: number;
  expired: number;
  /** The rate's share of the quota when something was refused last, in percent. */
  ratePercent: number | undefined;
}

const LATENCY_MS = [8, 30] as const;

export class EagerProducer {
  readonly seconds: SecondOfPuts[] = [];
  /** From put to settled, of those delivered. */
  readonly latenciesMs: number[] = [];
  readonly #options: EagerProducerOptions;
  readonly #model: KinesisModel;
  readonly #queue: EventQueue;
  readonly #prng: Prng;
  readonly #pipeline: Pipeline;
  readonly #data: Uint8Array;
  readonly #waiting: Request[] = [];
  #runningCount = 0;
  #sequence = 0;
  #outstandingCount = 0;
  #isFilling = false;
  #timerAtMs = Number.POSITIVE_INFINITY;

  constructor(given: EagerProducerOptions, model: KinesisModel, queue: EventQueue, prng: Prng) {
    this.#options = given;
    this.#model = model;
    this.#queue = queue;
    this.#prng = prng;
    this.#pipeline = new Pipeline(options, stagesOf(given.pace));
    this.#data = new Uint8Array(given.dataBytes);
    queue.at(given.startAtMs, () => {
      this.#drive(() => this.#pipeline.expire(queue.now));
      this.#fill();
    });
  }

  #delivered(records: DeliveredRecords): void {
    for (let index = 0; index < records.length; index++) {
      const record = records.at(index) as DeliveredRecord;
      this.latenciesMs.push(this.#queue.now - record.putAtMs);
      record.letGo();
    }
  }

  /** When its process next gets the processor. */
  #awakeAfter(delayMs: number, run: () => void): void {
    const { startAtMs, turnMs } = this.#options;
    const atMs = this.#queue.now + delayMs;
    const turns = turnMs === 0 ? 0 : Math.ceil((atMs - startAtMs) / turnMs);
    this.#queue.at(turnMs === 0 ? atMs : Math.max(atMs, startAtMs + turns * turnMs), run);
  }

  #fill(): void {
    if (this.#isFilling) return;
    this.#isFilling = true;
    while (this.#outstandingCount < this.#options.outstandingCount) {
      const now = this.#queue.now;
      const partitionKey = `${this.#options.name}-${this.#sequence % 5_000}`;
      const record = checkUserRecord({ partitionKey, data: this.#data }, 1_048_576);
      record.admit(++this.#sequence, timesOf(now, { recordTtlMs: this.#options.recordTtlMs, bufferedTimeMs: 100 }));
      this.#outstandingCount++;
      this.#drive(() => this.#pipeline.put(record, now));
    }
    this.#isFilling = false;
  }

  get #second(): SecondOfPuts {
    const index = Math.floor(this.#queue.now / 1000);
    this.seconds[index] ??= { writtenBytes: 0, written: 0, refused: 0, expired: 0, ratePercent: undefined };
    return this.seconds[index] as SecondOfPuts;
  }

  #drive(step: () => readonly Effect[]): void {
    // The application waits for room all the time.
    this.#pipeline.pressed = true;
    for (const effect of step()) this.#perform(effect);
    const dueAtMs = Math.max(this.#queue.now, this.#pipeline.deadline());
    if (dueAtMs >= this.#timerAtMs || dueAtMs === Number.POSITIVE_INFINITY) return;
    this.#timerAtMs = dueAtMs;
    this.#awakeAfter(dueAtMs - this.#queue.now, () => {
      if (dueAtMs !== this.#timerAtMs) return;
      this.#timerAtMs = Number.POSITIVE_INFINITY;
      this.#drive(() => this.#pipeline.expire(this.#queue.now));
    });
  }

  #perform(effect: Effect): void {
    const { stream } = this.#options;
    switch (effect.kind) {
      case 'send':
        this.#waiting.push(effect.request);
        this.#awakeAfter(0, () => this.#beginNext());
        return;
      case 'list-shards':
        this.#awakeAfter(this.#latency, () => {
          const { openShards } = this.#model.stream(stream, this.#queue.now);
          const shards = openShards.map(({ id, origin }) => ({ shardId: id, range: origin.range }));
          this.#drive(() => this.#pipeline.shardsListed(shards, this.#queue.now));
        });
        return;
      case 'describe-stream':
        this.#awakeAfter(this.#latency, () => {
          const { capacity, openShards } = this.#model.stream(stream, this.#queue.now);
          const summary = { strategy: capacity.recordDistributionStrategy, openShardCount: openShards.length };
          this.#drive(() => this.#pipeline.described({ ...summary, isUpdating: false }, this.#queue.now));
        });
        return;
      case 'delivered':
        this.#delivered(effect.records);
        this.#settled(effect.records.length);
        return;
      case 'failed':
        this.#second.expired += effect.records.length;
        this.#settled(effect.records.length);
        return;
      case 'throttled':
        this.#second.ratePercent = effect.ratePercent;
        return;
      case 'shard-map-changed':
      case 'strategy-changed':
        return;
    }
  }

  #settled(count: number): void {
    this.#outstandingCount -= count;
    this.#awakeAfter(0, () => this.#fill());
  }

  #beginNext(): void {
    if (this.#runningCount >= options.maxRequestsInFlight) return;
    const request = this.#waiting.shift();
    if (request === undefined) return;
    let entries: readonly Entry[] = [];
    this.#drive(() => {
      const begun = this.#pipeline.begin(request, this.#queue.now);
      entries = begun.entries;
      return begun.effects;
    });
    if (entries.length === 0) {
      this.#beginNext();
      return;
    }
    this.#runningCount++;
    this.#queue.after(this.#latency, () => {
      const answer = this.#apply(entries);
      this.#awakeAfter(this.#latency, () => {
        this.#runningCount--;
        this.#drive(() => this.#pipeline.answered(request.requestId, answer, this.#queue.now, this.#prng.next()));
        this.#beginNext();
      });
    });
  }

  #apply(entries: readonly Entry[]): Answer {
    const records = entries.map(({ data, partitionKey, explicitHashKey }) => ({
      data,
      ...(partitionKey === undefined ? {} : { partitionKey }),
      ...(explicitHashKey === undefined ? {} : { explicitHashKey: BigInt(explicitHashKey) as HashKey }),
    }));
    const outcomes = this.#model.putRecords({ streamName: this.#options.stream, records }, this.#queue.now);
    const second = this.#second;
    const answers = outcomes.map((outcome, index): EntryAnswer => {
      if (outcome.kind === 'refused') {
        second.refused++;
        return { kind: 'refused', errorCode: outcome.errorCode, errorMessage: outcome.message };
      }
      second.written++;
      second.writtenBytes += entries[index]?.data.length ?? 0;
      return { kind: 'written', shardId: outcome.shardId, sequenceNumber: String(outcome.sequenceNumber) };
    });
    return { kind: 'answered', entries: answers };
  }

  get #latency(): number {
    return this.#prng.between(...LATENCY_MS) / 2;
  }
}

/** Traffic of somebody else: it takes what it can get of a share of each shard's bytes, and never waits. */
export function foreignLoad(
  model: KinesisModel,
  queue: EventQueue,
  load: { readonly stream: string; readonly share: number; readonly fromMs: number; readonly untilMs: number },
): { readonly bytes: number[] } {
  const STEP_MS = 10;
  const bytes: number[] = [];
  const data = new Uint8Array(Math.round((load.share * 1_048_576 * STEP_MS) / 1000));
  const put = (): void => {
    const now = queue.now;
    const second = Math.floor(now / 1000);
    for (const { origin } of model.stream(load.stream, now).openShards) {
      const record = { data, partitionKey: 'foreign', explicitHashKey: origin.range.start ?? hashKeyOf('foreign') };
      const [outcome] = model.putRecords({ streamName: load.stream, records: [record] }, now);
      if (outcome?.kind === 'stored') bytes[second] = (bytes[second] ?? 0) + data.length;
    }
    if (now + STEP_MS < load.untilMs) queue.after(STEP_MS, put);
  };
  queue.at(load.fromMs, put);
  return { bytes };
}
