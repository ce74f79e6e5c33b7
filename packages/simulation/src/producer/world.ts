// One simulated world of a producer: the real pipeline against the local server's model of Kinesis, on one virtual clock. Requests
// take their time, are refused in part or whole, get lost before or after they were applied, or are applied long after the producer
// gave them up; the stream is split and merged, the process is paused. First a while with faults, then one without, in which
// everything must be delivered. All of it follows from the seed.
import { type HashKey, InvariantError } from '@shardline/common';
import { KinesisModel } from '@shardline/local';
import type { Answer, Entry, EntryAnswer, Request } from '../../../producer/dist/batch.js';
import type { Effect } from '../../../producer/dist/effects.js';
import { Limiter } from '../../../producer/dist/limiter.js';
import { Pipeline } from '../../../producer/dist/pipeline.js';
import type { Shard } from '../../../producer/dist/shard-map.js';
import { checkUserRecord, inputOf, putError, putResult, timesOf } from '../../../producer/dist/user-record.js';
import { EventQueue } from '../event-queue.ts';
import { createPrng, type Prng } from '../prng.ts';
import { numberedData, ProducerCheckers } from './checkers.ts';
import { withLoad } from './load.ts';
import { brokenStages } from './planted-bugs.ts';
import { WatchedLimiter } from './shard-rate.ts';
import { type FaultRates, type Incident, type Plan, type PlannedPut, planWorld } from './swarm.ts';

const STREAM = 'simulated';
/** From the last fault to the last settling: the longest time to live, a request under way, and room to spare. */
const DRAIN_MS = 60_000;
/** So long after the last fault a record that still has time must be delivered; covers a back-off of the shard list. */
const RECOVERY_MS = 20_000;
/** How often the timer may fire at one virtual time; one that does nothing would fire for ever. */
const MOST_EXPIRIES = 100;
const MAX_DATA_BYTES = 1_048_576;
const NO_FAULTS: FaultRates = {
  throttledEntry: 0,
  failedEntry: 0,
  throttledRequest: 0,
  lostAnswer: 0,
  lostRequest: 0,
  refusedRequest: 0,
  failedListing: 0,
  failedDescribing: 0,
};

/** Runs the world of a seed, with one of `producerPlantedBugs` in it if asked. The same seed gives the same result, to the byte. */
export function simulateProducer(
  seed: number,
  options: { readonly plantedBug?: string; readonly transcript?: boolean } = {},
): { readonly violations: string[]; readonly transcript: readonly string[] } {
  const transcript: string[] | undefined = options.transcript === true ? [] : undefined;
  const violations = new ProducerWorld(seed, options.plantedBug, transcript).run();
  return { violations, transcript: transcript ?? [] };
}

class ProducerWorld {
  readonly #prng: Prng;
  readonly #transcript: string[] | undefined;
  readonly #plan: Plan;
  readonly #queue = new EventQueue();
  readonly #model: KinesisModel;
  readonly #limiter: Limiter;
  readonly #pipeline: Pipeline;
  readonly #checkers: ProducerCheckers;
  #faults: FaultRates;
  #lastNumber = 0;
  #pausedUntilMs = 0;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #expiredAtMs = -1;
  /** How often the timer has fired at `#expiredAtMs`. */
  #expiryCount = 0;
  #abandoned = false;
  readonly #waiting: Request[] = [];
  #runningCount = 0;

  constructor(seed: number, plantedBug: string | undefined, transcript: string[] | undefined) {
    this.#transcript = transcript;
    this.#prng = createPrng(seed);
    this.#plan = withLoad(planWorld(this.#prng), seed);
    const { options, reshardMs, shardCount, strategy, recordTtlMs } = this.#plan;
    this.#faults = this.#plan.faults;
    this.#model = new KinesisModel({ limits: false, reshardMs });
    const onDemand = strategy && { mode: 'ON_DEMAND' as const, recordDistributionStrategy: strategy };
    this.#model.createStream({ name: STREAM, ...(onDemand ?? { shardCount }) }, 0);
    this.#checkers = new ProducerCheckers(options, recordTtlMs, () => this.#queue.stop());
    const stages = brokenStages(plantedBug, options);
    this.#limiter = new WatchedLimiter(options, stages.limiter ?? new Limiter(options), (text) =>
      this.#checkers.violate(text),
    );
    this.#pipeline = new Pipeline(options, { ...stages, limiter: this.#limiter });
  }

  run(): string[] {
    try {
      this.#live();
    } catch (error) {
      if (!(error instanceof InvariantError)) throw error;
      this.#checkers.violate(`invariant broken: ${error.message}`);
    }
    for (const violation of this.#checkers.violations) this.#log('X', `VIOLATION ${violation}`);
    return this.#checkers.violations;
  }

  /** A line for people, with a mark where it is a fault. */
  #log(mark: ' ' | '!' | 'X', what: string): void {
    this.#transcript?.push(`${this.#queue.now.toFixed(0).padStart(7)} ${mark} ${what}`);
  }

  #live(): void {
    const { puts, incidents, faultsUntilMs, abandonAtMs } = this.#plan;
    const queue = this.#queue;
    this.#drive(() => this.#pipeline.expire(queue.now));
    for (const put of puts) queue.at(put.atMs, () => this.#put(put));
    for (const { atMs, kind } of incidents) queue.at(atMs, () => this.#incident(kind));
    if (abandonAtMs !== undefined) queue.at(abandonAtMs, () => this.#abandon());
    queue.runUntil(faultsUntilMs);
    this.#log(' ', 'the faults end');
    this.#faults = NO_FAULTS;
    this.#pipeline.pressed = false;
    // One of each key more, which nothing may keep from being delivered.
    for (const put of this.#abandoned ? [] : puts.slice(0, 5)) queue.after(DRAIN_MS / 2, () => this.#put(put));
    const until = queue.now + 2 * DRAIN_MS;
    queue.runUntil(until);
    if (this.#checkers.violations.length === 0) this.#checkers.checkEnd(faultsUntilMs + RECOVERY_MS, this.#abandoned);
  }

  #put({ partitionKey, explicitHashKey, dataBytes }: PlannedPut): void {
    if (this.#abandoned) return;
    const now = this.#queue.now;
    const number = ++this.#lastNumber;
    const data = numberedData(number, dataBytes);
    const input = {
      data,
      ...(partitionKey === undefined ? {} : { partitionKey }),
      ...(explicitHashKey === undefined ? {} : { explicitHashKey }),
    };
    const record = checkUserRecord(input, MAX_DATA_BYTES);
    const { recordTtlMs, bufferedTimeMs } = this.#plan;
    record.admit(number, timesOf(now, { recordTtlMs, bufferedTimeMs: Math.min(bufferedTimeMs, recordTtlMs / 2) }));
    record.settle = {
      onSuccess: (result) => {
        this.#log(' ', `record ${number} is delivered: ${result.shardId}, attempts ${result.attempts.length}`);
        this.#checkers.succeeded(number, result, this.#queue.now);
      },
      onFailure: (error) => {
        this.#log(' ', `record ${number} fails: ${error.code}`);
        this.#checkers.failed(number, error, this.#queue.now);
      },
    };
    this.#log(' ', `put of record ${number}, partition key ${partitionKey}, ${dataBytes} bytes`);
    this.#checkers.recordPut({ number, partitionKey, explicitHashKey, data, putAtMs: now });
    this.#drive(() => this.#pipeline.put(record, now));
  }

  #incident(kind: Incident): void {
    const now = this.#queue.now;
    this.#log(kind === 'pause' ? '!' : ' ', `incident: ${kind}`);
    switch (kind) {
      case 'strategy':
        this.#changeStrategy();
        return;
      case 'split':
        if (this.#plan.strategy === undefined) this.#split();
        else this.#scale(1);
        return;
      case 'merge':
        if (this.#plan.strategy === undefined) this.#merge();
        else this.#scale(-1);
        return;
      case 'pause':
        this.#pausedUntilMs = now + this.#prng.between(10, 1_000);
        return;
      case 'flush':
        this.#drive(() => this.#pipeline.flush(now));
        return;
      case 'press':
      case 'release':
        this.#pipeline.pressed = kind === 'press';
        this.#drive(() => []);
        return;
    }
  }

  /** A split or merge is refused while another is under way. */
  #canReshard(): boolean {
    return this.#model.stream(STREAM, this.#queue.now).status === 'ACTIVE';
  }

  #split(): void {
    if (!this.#canReshard()) return;
    const { id, origin } = this.#prng.pick(this.#model.stream(STREAM, this.#queue.now).openShards);
    const { start, end } = origin.range;
    if (end - start < 4n) return;
    const newStartingHashKey = (start + (end - start) / 2n) as HashKey;
    this.#model.splitShard({ streamName: STREAM, shardId: id, newStartingHashKey }, this.#queue.now);
  }

  #merge(): void {
    if (!this.#canReshard()) return;
    const { openShards } = this.#model.stream(STREAM, this.#queue.now);
    const index = this.#prng.int(openShards.length - 1);
    const [shard, adjacent] = [openShards[index], openShards[index + 1]];
    if (shard === undefined || adjacent === undefined) return;
    const ids = { shardId: shard.id, adjacentShardId: adjacent.id };
    this.#model.mergeShards({ streamName: STREAM, ...ids }, this.#queue.now);
  }

  /** An on-demand stream is split and merged by the service alone. */
  #scale(by: number): void {
    const now = this.#queue.now;
    const targetShardCount = this.#model.stream(STREAM, now).openShards.length + by;
    if (!this.#canReshard() || targetShardCount < 1) return;
    this.#model.scaleOnDemand({ streamName: STREAM, targetShardCount }, now);
  }

  #changeStrategy(): void {
    if (!this.#canReshard()) return;
    const now = this.#queue.now;
    const { recordDistributionStrategy } = this.#model.stream(STREAM, now).capacity;
    const strategy = recordDistributionStrategy === 'AUTO' ? 'USER_PARTITION_KEY' : 'AUTO';
    this.#model.updateRecordDistributionStrategy({ streamName: STREAM, strategy }, now);
    this.#checkers.strategyChanged();
  }

  #abandon(): void {
    this.#abandoned = true;
    this.#drive(() => this.#pipeline.abandon({ code: 'CLOSED', message: 'closed', retryable: true }));
  }

  /** The only way into the pipeline: carries its effects out and plans the timer. */
  #drive(step: () => readonly Effect[]): void {
    for (const effect of step()) this.#perform(effect);
    const dueAtMs = Math.max(this.#queue.now, this.#pipeline.deadline());
    if (dueAtMs >= this.#timerAtMs || dueAtMs === Number.POSITIVE_INFINITY) return;
    this.#timerAtMs = dueAtMs;
    this.#queue.at(dueAtMs, () => this.#awake(() => this.#expire(dueAtMs)));
  }

  #expire(timerAtMs: number): void {
    if (timerAtMs !== this.#timerAtMs) return;
    this.#timerAtMs = Number.POSITIVE_INFINITY;
    this.#expiryCount = this.#queue.now === this.#expiredAtMs ? this.#expiryCount + 1 : 0;
    this.#expiredAtMs = this.#queue.now;
    if (this.#expiryCount > MOST_EXPIRIES) {
      this.#checkers.violate('the timer fires without end at one time');
      return;
    }
    this.#drive(() => this.#pipeline.expire(this.#queue.now));
  }

  /** While the process is paused its timers and answers wait, and come at once afterwards. */
  #awake(run: () => void): void {
    if (this.#queue.now < this.#pausedUntilMs) this.#queue.at(this.#pausedUntilMs, () => this.#awake(run));
    else run();
  }

  #perform(effect: Effect): void {
    switch (effect.kind) {
      case 'send':
        this.#waiting.push(effect.request);
        this.#queue.after(0, () => this.#beginNext());
        return;
      case 'list-shards':
        this.#listShards();
        return;
      case 'describe-stream':
        this.#describeStream();
        return;
      case 'delivered':
        for (const [index, record] of effect.kinesisRecord.records.entries()) {
          const subSequenceNumber = effect.kinesisRecord.aggregated ? index : undefined;
          record.settle.onSuccess(putResult(record, effect.place, subSequenceNumber));
        }
        return;
      case 'failed':
        for (const record of effect.records) {
          record.settle.onFailure(
            putError(effect.failure, STREAM, inputOf(record), record.attempts, record.mayBeWritten),
          );
        }
        return;
      case 'shard-map-changed':
      case 'strategy-changed':
      case 'throttled':
        return;
    }
  }

  #beginNext(): void {
    if (this.#abandoned || this.#runningCount >= this.#plan.options.maxRequestsInFlight) return;
    const request = this.#waiting.shift();
    if (request === undefined) return;
    const now = this.#queue.now;
    let entries: readonly Entry[] = [];
    this.#drive(() => {
      const begun = this.#pipeline.begin(request, now);
      entries = begun.entries;
      return begun.effects;
    });
    if (entries.length === 0) {
      this.#beginNext();
      return;
    }
    this.#checkers.requestBegun(entries, now);
    this.#runningCount++;
    this.#transport(entries, (answer) => {
      this.#runningCount--;
      if (answer.kind === 'failed' || answer.entries.some(({ kind }) => kind === 'refused')) {
        this.#checkers.refused(this.#queue.now);
      }
      this.#drive(() => this.#pipeline.answered(request.requestId, answer, this.#queue.now, this.#prng.next()));
      this.#checkers.ratesSeen(this.#limiter.rates(this.#queue.now), this.#queue.now);
      this.#beginNext();
    });
  }

  /** What becomes of a request between here and Kinesis. */
  #transport(entries: readonly Entry[], end: (answer: Answer) => void): void {
    const { maxLatencyMs, requestTimeoutMs } = this.#plan;
    const { throttledRequest, refusedRequest, lostRequest, lostAnswer } = this.#faults;
    const prng = this.#prng;
    const latencyMs = prng.int(maxLatencyMs);
    const endAfter = (delayMs: number, answer: () => Answer): void =>
      this.#queue.after(delayMs, () => {
        const answered = answer();
        this.#log(answered.kind === 'failed' ? '!' : ' ', `a request ends: ${describeAnswer(answered)}`);
        this.#awake(() => end(answered));
      });
    this.#log(' ', `a request of ${entries.length} Kinesis records begins`);
    if (prng.chance(throttledRequest)) {
      endAfter(latencyMs, () => failed('ProvisionedThroughputExceededException', 'no', { throttled: true }));
    } else if (prng.chance(refusedRequest)) {
      endAfter(latencyMs, () => failed('ValidationException', 'no', { permanent: 'REQUEST_FAILED' }));
    } else if (prng.chance(lostRequest)) {
      endAfter(requestTimeoutMs, () => failed('RequestTimeout', 'unknown'));
    } else if (prng.chance(lostAnswer)) {
      this.#queue.after(prng.int(3 * requestTimeoutMs), () => this.#apply(entries));
      endAfter(requestTimeoutMs, () => failed('RequestTimeout', 'unknown'));
    } else {
      this.#queue.after(latencyMs, () => {
        const answer = this.#apply(entries);
        endAfter(prng.int(maxLatencyMs), () => answer);
      });
    }
  }

  /** Kinesis takes the entries, in whatever order (PutRecords promises none), some not. */
  #apply(entries: readonly Entry[]): Answer {
    const { recordDistributionStrategy } = this.#model.stream(STREAM, this.#queue.now).capacity;
    if (recordDistributionStrategy !== 'AUTO' && entries.some(({ partitionKey }) => partitionKey === undefined)) {
      return failed('ValidationException', 'no', { permanent: 'REQUEST_FAILED' });
    }
    const answers: EntryAnswer[] = [];
    const order = entries.map((_, index) => index);
    for (let i = order.length - 1; i > 0; i--) {
      const j = this.#prng.int(i + 1);
      [order[i], order[j]] = [order[j] as number, order[i] as number];
    }
    for (const index of order) answers[index] = this.#applyEntry(entries[index] as Entry);
    return { kind: 'answered', entries: answers };
  }

  #applyEntry(entry: Entry): EntryAnswer {
    const { throttledEntry, failedEntry } = this.#faults;
    if (this.#prng.chance(throttledEntry)) return refused('ProvisionedThroughputExceededException');
    if (this.#prng.chance(failedEntry)) return refused('InternalFailure');
    const { partitionKey, data } = entry;
    const now = this.#queue.now;
    const hashKey =
      entry.explicitHashKey === undefined ? {} : { explicitHashKey: BigInt(entry.explicitHashKey) as HashKey };
    const record = { data, ...(partitionKey === undefined ? {} : { partitionKey }), ...hashKey };
    const stored = this.#model.putRecord({ streamName: STREAM, record }, now);
    const range = this.#model.stream(STREAM, now).shard(stored.shardId)?.origin.range;
    if (range === undefined) throw new Error(`the model wrote to ${stored.shardId} and does not know it`);
    const sequenceNumber = String(stored.sequenceNumber);
    this.#checkers.appended(entry, stored.shardId, range, sequenceNumber);
    return { kind: 'written', shardId: stored.shardId, sequenceNumber };
  }

  #describeStream(): void {
    this.#answer(
      this.#faults.failedDescribing,
      () => {
        const { status, capacity, openShards } = this.#model.stream(STREAM, this.#queue.now);
        const { recordDistributionStrategy: strategy } = capacity;
        return { strategy, isUpdating: status === 'UPDATING', openShardCount: openShards.length };
      },
      (summary) => {
        this.#checkers.strategyTold(summary.strategy);
        this.#drive(() => this.#pipeline.described(summary, this.#queue.now));
      },
      () => this.#drive(() => this.#pipeline.describingFailed(this.#queue.now)),
    );
  }

  #listShards(): void {
    this.#answer(
      this.#faults.failedListing,
      (): Shard[] =>
        this.#model
          .stream(STREAM, this.#queue.now)
          .openShards.map(({ id, origin }) => ({ shardId: id, range: origin.range })),
      (shards) => this.#drive(() => this.#pipeline.shardsListed(shards, this.#queue.now)),
      () => this.#drive(() => this.#pipeline.listingFailed(this.#queue.now)),
    );
  }

  /** What becomes of a question about the stream: it fails, or the answer is read on the way there and told on the way back. */
  #answer<Answered>(failure: number, read: () => Answered, told: (answer: Answered) => void, failed: () => void): void {
    const { maxLatencyMs, requestTimeoutMs } = this.#plan;
    if (this.#prng.chance(failure)) {
      this.#queue.after(this.#prng.int(requestTimeoutMs), () => this.#awake(failed));
      return;
    }
    this.#queue.after(this.#prng.int(maxLatencyMs), () => {
      const answer = read();
      this.#queue.after(this.#prng.int(maxLatencyMs), () => this.#awake(() => told(answer)));
    });
  }
}

function failed(
  errorCode: string,
  written: 'no' | 'unknown',
  more: { readonly throttled?: boolean; readonly permanent?: 'REQUEST_FAILED' } = {},
): Answer {
  return { kind: 'failed', errorCode, errorMessage: 'simulated', throttled: false, written, ...more };
}

function describeAnswer(answer: Answer): string {
  if (answer.kind === 'failed') return answer.errorCode;
  const refusedCount = answer.entries.filter((entry) => entry.kind === 'refused').length;
  return `${answer.entries.length - refusedCount} written, ${refusedCount} refused`;
}

function refused(errorCode: string): EntryAnswer {
  return { kind: 'refused', errorCode, errorMessage: 'simulated' };
}
