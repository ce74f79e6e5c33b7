// One stream in a producer's world: the real pipeline on one side, the model's stream on the other, and between them what may become
// of a request. Drives the pipeline as the producer's own driver does, with the world's clock, and tells the stream's checkers.
import type { HashKey, StreamIdentifier } from '@shardline/common';
import type { KinesisModel } from '@shardline/local';
import type { Answer, Entry, EntryAnswer, Request } from '../../../producer/dist/batch.js';
import { type Effect, JOINED } from '../../../producer/dist/effects.js';
import { tellFailure, tellSuccess } from '../../../producer/dist/faces.js';
import { Followers } from '../../../producer/dist/followers.js';
import { Limiter } from '../../../producer/dist/limiter.js';
import type { Outstanding } from '../../../producer/dist/outstanding.js';
import { Pipeline } from '../../../producer/dist/pipeline.js';
import { type DeliveredRecord, type Failure, PutResults, putError } from '../../../producer/dist/put.js';
import type { Shard } from '../../../producer/dist/shard-map.js';
import type { Drives } from '../../../producer/dist/streams.js';
import type { UserRecord } from '../../../producer/dist/user-record.js';
import { inputOf } from '../../../producer/dist/user-record-input.js';
import type { EventQueue } from '../event-queue.ts';
import type { Prng } from '../prng.ts';
import type { ProducerCheckers } from './checkers.ts';
import { watched } from './company.ts';
import { brokenStages } from './planted-bugs.ts';
import { WatchedLimiter } from './shard-rate.ts';
import type { FaultRates, Incident, Plan } from './swarm.ts';
import { lenderOf } from './used-again.ts';

/** How often the timer may fire at one virtual time; one that does nothing would fire for ever. */
const MOST_EXPIRIES = 100;

/** What the streams of a producer share. */
export interface SharedWorld {
  readonly prng: Prng;
  readonly queue: EventQueue;
  readonly plan: Plan;
  readonly model: KinesisModel;
  readonly faults: FaultRates;
  /** A line for people, with a mark where it is a fault. */
  log(mark: ' ' | '!' | 'X', what: string): void;
  /** While the process is paused its timers and answers wait, and come at once afterwards. */
  awake(run: () => void): void;
  /** Queues a request; when its turn comes `begin` says whether there was anything to send. */
  enqueue(line: string, begin: () => boolean): void;
  /** A request that began is over: what follows from it, then the next one's turn. */
  over(answered: () => void): void;
  onArn(stream: StreamIdentifier, streamArn: string): void;
}

export interface StreamWorldParts {
  readonly stream: StreamIdentifier;
  readonly checkers: ProducerCheckers;
  readonly bound: Outstanding;
  readonly plantedBug: string | undefined;
}

/** The stream's ARN in the simulated account. */
export function arnOf(streamName: string): string {
  return `arn:aws:kinesis:us-east-1:000000000000:stream/${streamName}`;
}

export class StreamWorld implements Drives {
  readonly stream: StreamIdentifier;
  readonly #world: SharedWorld;
  readonly #name: string;
  readonly #checkers: ProducerCheckers;
  readonly #bound: Outstanding;
  readonly #limiter: Limiter;
  readonly #pipeline: Pipeline;
  outstandingCount = 0;
  lastSequence = 0;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #expiredAtMs = -1;
  /** How often the timer has fired at `#expiredAtMs`. */
  #expiryCount = 0;
  #stopped = false;

  constructor(world: SharedWorld, { stream, checkers, bound, plantedBug }: StreamWorldParts) {
    this.#world = world;
    this.stream = stream;
    this.#name = stream.streamName;
    this.#checkers = checkers;
    this.#bound = bound;
    const { options } = world.plan;
    const stages = brokenStages(plantedBug, options);
    this.#limiter = new WatchedLimiter(options, stages.limiter ?? new Limiter(options), (text) =>
      checkers.violate(text),
    );
    const followers = watched(stages.followers ?? new Followers(options), options, (text) => checkers.violate(text));
    const lender = lenderOf(plantedBug, (text) => checkers.violate(text));
    this.#pipeline = new Pipeline({ ...options, lender }, { ...stages, limiter: this.#limiter, followers });
  }

  /** Asks about the stream at once. */
  start(): void {
    this.#drive(() => this.#pipeline.expire(this.#world.queue.now));
  }

  put(record: UserRecord): void {
    this.outstandingCount++;
    this.lastSequence = record.sequence;
    this.#drive(() => this.#putInto(record));
  }

  /** The driver does not ask for the deadline where a record has only joined others. */
  #putInto(record: UserRecord): readonly Effect[] {
    const dueAtMs = Math.min(this.#pipeline.deadline(), record.dueAtMs);
    const effects = this.#pipeline.put(record, this.#world.queue.now);
    if (effects === JOINED && this.#pipeline.deadline() < dueAtMs) {
      this.#checkers.violate('a record has joined others, and something is due before it and all else');
    }
    return effects;
  }

  release(): void {
    this.#pipeline.pressed = false;
  }

  abandon(failure: Failure): void {
    this.#drive(() => this.#pipeline.abandon(failure));
  }

  stop(): void {
    this.#stopped = true;
  }

  incident(kind: Exclude<Incident, 'pause'>): void {
    switch (kind) {
      case 'strategy':
        this.#changeStrategy();
        return;
      case 'split':
        if (this.#world.plan.strategy === undefined) this.#split();
        else this.#scale(1);
        return;
      case 'merge':
        if (this.#world.plan.strategy === undefined) this.#merge();
        else this.#scale(-1);
        return;
      case 'flush':
        this.#drive(() => this.#pipeline.flush(this.#world.queue.now));
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
    return this.#world.model.stream(this.#name, this.#world.queue.now).status === 'ACTIVE';
  }

  #split(): void {
    if (!this.#canReshard()) return;
    const { id, origin } = this.#world.prng.pick(
      this.#world.model.stream(this.#name, this.#world.queue.now).openShards,
    );
    const { start, end } = origin.range;
    if (end - start < 4n) return;
    const newStartingHashKey = (start + (end - start) / 2n) as HashKey;
    this.#world.model.splitShard({ streamName: this.#name, shardId: id, newStartingHashKey }, this.#world.queue.now);
  }

  #merge(): void {
    if (!this.#canReshard()) return;
    const { openShards } = this.#world.model.stream(this.#name, this.#world.queue.now);
    const index = this.#world.prng.int(openShards.length - 1);
    const [shard, adjacent] = [openShards[index], openShards[index + 1]];
    if (shard === undefined || adjacent === undefined) return;
    const ids = { shardId: shard.id, adjacentShardId: adjacent.id };
    this.#world.model.mergeShards({ streamName: this.#name, ...ids }, this.#world.queue.now);
  }

  /** An on-demand stream is split and merged by the service alone. */
  #scale(by: number): void {
    const now = this.#world.queue.now;
    const targetShardCount = this.#world.model.stream(this.#name, now).openShards.length + by;
    if (!this.#canReshard() || targetShardCount < 1) return;
    this.#world.model.scaleOnDemand({ streamName: this.#name, targetShardCount }, now);
  }

  #changeStrategy(): void {
    if (!this.#canReshard()) return;
    const now = this.#world.queue.now;
    const { recordDistributionStrategy } = this.#world.model.stream(this.#name, now).capacity;
    const strategy = recordDistributionStrategy === 'AUTO' ? 'USER_PARTITION_KEY' : 'AUTO';
    this.#world.model.updateRecordDistributionStrategy({ streamName: this.#name, strategy }, now);
    this.#checkers.strategyChanged();
  }

  /** The only way into the pipeline: carries its effects out and plans the timer. */
  #drive(step: () => readonly Effect[]): void {
    if (this.#stopped) return;
    for (const effect of step()) this.#perform(effect);
    const { queue } = this.#world;
    const dueAtMs = Math.max(queue.now, this.#pipeline.deadline());
    if (dueAtMs >= this.#timerAtMs || dueAtMs === Number.POSITIVE_INFINITY) return;
    this.#timerAtMs = dueAtMs;
    queue.at(dueAtMs, () => this.#world.awake(() => this.#expire(dueAtMs)));
  }

  #expire(timerAtMs: number): void {
    if (timerAtMs !== this.#timerAtMs) return;
    this.#timerAtMs = Number.POSITIVE_INFINITY;
    this.#expiryCount = this.#world.queue.now === this.#expiredAtMs ? this.#expiryCount + 1 : 0;
    this.#expiredAtMs = this.#world.queue.now;
    if (this.#expiryCount > MOST_EXPIRIES) {
      this.#checkers.violate('the timer fires without end at one time');
      return;
    }
    this.#drive(() => this.#pipeline.expire(this.#world.queue.now));
  }

  #perform(effect: Effect): void {
    switch (effect.kind) {
      case 'send':
        this.#world.enqueue(this.#name, () => this.#begin(effect.request));
        return;
      case 'list-shards':
        this.#listShards();
        return;
      case 'describe-stream':
        this.#describeStream();
        return;
      case 'delivered': {
        const results = new PutResults(effect.place);
        const { length } = effect.records;
        for (let index = 0; index < length; index++) {
          const record = effect.records.at(index) as DeliveredRecord;
          const { settle } = record;
          const result = results.of(record, length > 1 ? index : undefined);
          this.#forget(record);
          tellSuccess(settle, result);
        }
        return;
      }
      case 'failed':
        for (const record of effect.records) {
          const { attempts, mayBeWritten, settle } = record;
          const error = putError(effect.failure, this.#name, inputOf(record), attempts, mayBeWritten);
          this.#forget(record);
          tellFailure(settle, error);
        }
        return;
      case 'shard-map-changed':
      case 'strategy-changed':
      case 'throttled':
        return;
    }
  }

  #forget(record: DeliveredRecord): void {
    this.outstandingCount--;
    this.#bound.remove(record.sizeBytes);
    record.letGo();
  }

  #begin(request: Request): boolean {
    const { now } = this.#world.queue;
    let entries: readonly Entry[] = [];
    this.#drive(() => {
      const begun = this.#pipeline.begin(request, now);
      // On the wire there are copies.
      entries = begun.entries.map((entry) => ({ ...entry, data: Uint8Array.from(entry.data) }));
      return begun.effects;
    });
    if (entries.length === 0) return false;
    this.#checkers.requestBegun(entries, now);
    this.#transport(entries, (answer) => {
      this.#world.over(() => {
        const { queue, prng } = this.#world;
        if (answer.kind === 'failed' || answer.entries.some(({ kind }) => kind === 'refused')) {
          this.#checkers.refused(queue.now);
        }
        this.#drive(() => this.#pipeline.answered(request.requestId, answer, queue.now, prng.next()));
        this.#checkers.ratesSeen(this.#limiter.rates(queue.now), queue.now);
      });
    });
    return true;
  }

  /** What becomes of a request between here and Kinesis. */
  #transport(entries: readonly Entry[], end: (answer: Answer) => void): void {
    const { maxLatencyMs, requestTimeoutMs } = this.#world.plan;
    const { throttledRequest, refusedRequest, lostRequest, lostAnswer } = this.#world.faults;
    const prng = this.#world.prng;
    const latencyMs = prng.int(maxLatencyMs);
    const endAfter = (delayMs: number, answer: () => Answer): void =>
      this.#world.queue.after(delayMs, () => {
        const answered = answer();
        this.#world.log(answered.kind === 'failed' ? '!' : ' ', `a request ends: ${describeAnswer(answered)}`);
        this.#world.awake(() => end(answered));
      });
    this.#world.log(' ', `a request of ${entries.length} Kinesis records begins`);
    if (prng.chance(throttledRequest)) {
      endAfter(latencyMs, () => failed('ProvisionedThroughputExceededException', 'no', { throttled: true }));
    } else if (prng.chance(refusedRequest)) {
      endAfter(latencyMs, () => failed('ValidationException', 'no', { permanent: 'REQUEST_FAILED' }));
    } else if (prng.chance(lostRequest)) {
      endAfter(requestTimeoutMs, () => failed('RequestTimeout', 'unknown'));
    } else if (prng.chance(lostAnswer)) {
      this.#world.queue.after(prng.int(3 * requestTimeoutMs), () => this.#apply(entries));
      endAfter(requestTimeoutMs, () => failed('RequestTimeout', 'unknown'));
    } else {
      this.#world.queue.after(latencyMs, () => {
        const answer = this.#apply(entries);
        endAfter(prng.int(maxLatencyMs), () => answer);
      });
    }
  }

  /** Kinesis takes the entries, in whatever order (PutRecords promises none), some not. */
  #apply(entries: readonly Entry[]): Answer {
    const { recordDistributionStrategy } = this.#world.model.stream(this.#name, this.#world.queue.now).capacity;
    if (recordDistributionStrategy !== 'AUTO' && entries.some(({ partitionKey }) => partitionKey === undefined)) {
      return failed('ValidationException', 'no', { permanent: 'REQUEST_FAILED' });
    }
    const answers: EntryAnswer[] = [];
    const order = entries.map((_, index) => index);
    for (let i = order.length - 1; i > 0; i--) {
      const j = this.#world.prng.int(i + 1);
      [order[i], order[j]] = [order[j] as number, order[i] as number];
    }
    for (const index of order) answers[index] = this.#applyEntry(entries[index] as Entry);
    return { kind: 'answered', entries: answers };
  }

  #applyEntry(entry: Entry): EntryAnswer {
    const { throttledEntry, failedEntry } = this.#world.faults;
    if (this.#world.prng.chance(throttledEntry)) return refused('ProvisionedThroughputExceededException');
    if (this.#world.prng.chance(failedEntry)) return refused('InternalFailure');
    const { partitionKey, data } = entry;
    const now = this.#world.queue.now;
    const hashKey =
      entry.explicitHashKey === undefined ? {} : { explicitHashKey: BigInt(entry.explicitHashKey) as HashKey };
    const record = { data, ...(partitionKey === undefined ? {} : { partitionKey }), ...hashKey };
    const stored = this.#world.model.putRecord({ streamName: this.#name, record }, now);
    const range = this.#world.model.stream(this.#name, now).shard(stored.shardId)?.origin.range;
    if (range === undefined) throw new Error(`the model wrote to ${stored.shardId} and does not know it`);
    const sequenceNumber = String(stored.sequenceNumber);
    this.#checkers.appended(entry, stored.shardId, range, sequenceNumber);
    return { kind: 'written', shardId: stored.shardId, sequenceNumber };
  }

  #describeStream(): void {
    this.#answer(
      this.#world.faults.failedDescribing,
      () => {
        const { status, capacity, openShards } = this.#world.model.stream(this.#name, this.#world.queue.now);
        const { recordDistributionStrategy: strategy } = capacity;
        return { strategy, isUpdating: status === 'UPDATING', openShardCount: openShards.length };
      },
      (summary) => {
        this.#checkers.strategyTold(summary.strategy);
        this.#world.onArn(this.stream, arnOf(this.#name));
        this.#drive(() => this.#pipeline.described(summary, this.#world.queue.now));
      },
      () => this.#drive(() => this.#pipeline.describingFailed(this.#world.queue.now)),
    );
  }

  #listShards(): void {
    this.#answer(
      this.#world.faults.failedListing,
      (): Shard[] =>
        this.#world.model
          .stream(this.#name, this.#world.queue.now)
          .openShards.map(({ id, origin }) => ({ shardId: id, range: origin.range })),
      (shards) => this.#drive(() => this.#pipeline.shardsListed(shards, this.#world.queue.now)),
      () => this.#drive(() => this.#pipeline.listingFailed(this.#world.queue.now)),
    );
  }

  /** What becomes of a question about the stream: it fails, or the answer is read on the way there and told on the way back. */
  #answer<Answered>(failure: number, read: () => Answered, told: (answer: Answered) => void, failed: () => void): void {
    const { maxLatencyMs, requestTimeoutMs } = this.#world.plan;
    const { queue, prng } = this.#world;
    const endAfter = (delayMs: number, end: () => void): void =>
      queue.after(delayMs, () =>
        this.#world.awake(() => {
          if (!this.#stopped) end();
        }),
      );
    if (prng.chance(failure)) {
      endAfter(prng.int(requestTimeoutMs), failed);
      return;
    }
    queue.after(prng.int(maxLatencyMs), () => {
      const answer = read();
      endAfter(prng.int(maxLatencyMs), () => told(answer));
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
