// One simulated world of a producer: the real pipelines, one a stream, against the local server's model of Kinesis, on one virtual clock.
// Requests take their time, are refused in part or whole, get lost before or after they were applied, or are applied long after the
// producer gave them up; streams are split and merged, the process is paused. First a while with faults, then one without, in which
// everything must be delivered. All of it follows from the seed.
import { InvariantError, type StreamIdentifier } from '@shardline/common';
import { KinesisModel } from '@shardline/local';
import type { Outstanding } from '../../../producer/dist/outstanding.js';
import type { Streams } from '../../../producer/dist/streams.js';
import { Turns } from '../../../producer/dist/turns.js';
import { type SpareRecord, timesOf } from '../../../producer/dist/user-record.js';
import { checkUserRecord } from '../../../producer/dist/user-record-input.js';
import { EventQueue } from '../event-queue.ts';
import { createPrng, type Prng } from '../prng.ts';
import { numberedData, ProducerCheckers } from './checkers.ts';
import { withLoad } from './load.ts';
import { lasting } from './long.ts';
import { boundsOf, streamsOf } from './stream-bugs.ts';
import { arnOf, type SharedWorld, StreamWorld } from './stream-world.ts';
import { type FaultRates, type Incident, type Plan, type PlannedPut, planWorld } from './swarm.ts';
import { OTHER_STREAM, STREAM, withStreams } from './two-streams.ts';
import { sparesOf } from './used-again.ts';

/** From the last fault to the last settling: the longest time to live, a request under way, and room to spare. */
const DRAIN_MS = 60_000;
/** So long after the last fault a record that still has time must be delivered; covers a back-off of the shard list. */
const RECOVERY_MS = 20_000;
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

export interface ProducerWorldOptions {
  readonly plantedBug?: string;
  readonly transcript?: boolean;
  /** How long the faults last at least. Default: as long as the seed says, some seconds. */
  readonly faultsForMs?: number;
}

export interface ProducerWorldResult {
  readonly violations: string[];
  readonly transcript: readonly string[];
  readonly putCount: number;
  readonly requestCount: number;
}

/** Runs the world of a seed, with one of `producerPlantedBugs` in it if asked. The same seed gives the same result, to the byte. */
export function simulateProducer(seed: number, options: ProducerWorldOptions = {}): ProducerWorldResult {
  const transcript: string[] | undefined = options.transcript === true ? [] : undefined;
  const world = new ProducerWorld(seed, options, transcript);
  const violations = world.run();
  const { putCount, requestCount } = world;
  return { violations, transcript: transcript ?? [], putCount, requestCount };
}

class ProducerWorld implements SharedWorld {
  readonly prng: Prng;
  readonly queue = new EventQueue();
  readonly plan: Plan;
  readonly model: KinesisModel;
  faults: FaultRates;
  readonly #transcript: string[] | undefined;
  readonly #streams: Streams<StreamWorld>;
  readonly #boundOf: (streamName: string) => Outstanding;
  readonly #spares: SpareRecord;
  readonly #checkers = new Map<string, ProducerCheckers>();
  readonly #turns = new Turns<() => boolean>();
  #runningCount = 0;
  #lastNumber = 0;
  #incidentCount = 0;
  #pausedUntilMs = 0;
  #abandoned = false;

  constructor(seed: number, { plantedBug, faultsForMs = 0 }: ProducerWorldOptions, transcript: string[] | undefined) {
    this.#transcript = transcript;
    this.prng = createPrng(seed);
    this.plan = lasting(withStreams(withLoad(planWorld(this.prng), seed), seed), faultsForMs);
    const { options, reshardMs, shardCount, strategy, recordTtlMs, maxStreamCount } = this.plan;
    this.faults = this.plan.faults;
    this.model = new KinesisModel({ limits: false, reshardMs });
    const onDemand = strategy && { mode: 'ON_DEMAND' as const, recordDistributionStrategy: strategy };
    const names = this.plan.puts.some(({ toOther }) => toOther) ? [STREAM, OTHER_STREAM] : [STREAM];
    for (const name of names) {
      this.model.createStream({ name, ...(onDemand ?? { shardCount }) }, 0);
      this.#checkers.set(name, new ProducerCheckers(options, recordTtlMs, () => this.queue.stop()));
    }
    this.#boundOf = boundsOf(plantedBug, this.plan);
    this.#spares = sparesOf(plantedBug);
    this.#streams = streamsOf(plantedBug, {
      defaultStream: STREAM,
      maxStreamCount,
      make: (stream) => this.#make(stream, plantedBug),
      onForgotten: ({ stream }) => this.log(' ', `stream ${stream.streamName} is forgotten`),
    });
  }

  get putCount(): number {
    return this.#lastNumber;
  }

  get requestCount(): number {
    return [...this.#checkers.values()].reduce((sum, { requestCount }) => sum + requestCount, 0);
  }

  run(): string[] {
    try {
      this.#live();
    } catch (error) {
      if (!(error instanceof InvariantError)) throw error;
      this.#checkersOf(STREAM).violate(`invariant broken: ${error.message}`);
    }
    const violations = [...this.#checkers.values()].flatMap((checkers) => checkers.violations);
    for (const violation of violations) this.log('X', `VIOLATION ${violation}`);
    return violations;
  }

  log(mark: ' ' | '!' | 'X', what: string): void {
    this.#transcript?.push(`${this.queue.now.toFixed(0).padStart(7)} ${mark} ${what}`);
  }

  awake(run: () => void): void {
    if (this.queue.now < this.#pausedUntilMs) this.queue.at(this.#pausedUntilMs, () => this.awake(run));
    else run();
  }

  enqueue(line: string, begin: () => boolean): void {
    this.#turns.enqueue(begin, { line });
    this.queue.after(0, () => this.#beginNext());
  }

  over(answered: () => void): void {
    this.#runningCount--;
    answered();
    this.#beginNext();
  }

  onArn(stream: StreamIdentifier, streamArn: string): void {
    this.#streams.arnIs(stream, streamArn);
  }

  #make(stream: StreamIdentifier, plantedBug: string | undefined): StreamWorld {
    const { streamName } = stream;
    const checkers = this.#checkersOf(streamName);
    checkers.pipelineMade();
    return new StreamWorld(this, { stream, checkers, bound: this.#boundOf(streamName), plantedBug });
  }

  #checkersOf(streamName: string): ProducerCheckers {
    const checkers = this.#checkers.get(streamName);
    if (checkers === undefined) throw new Error(`no stream ${streamName} in this world`);
    return checkers;
  }

  #live(): void {
    const { puts, incidents, faultsUntilMs, abandonAtMs } = this.plan;
    const queue = this.queue;
    const first = this.#streams.driverOf(undefined);
    if (first instanceof StreamWorld) first.start();
    for (const put of puts) queue.at(put.atMs, () => this.#put(put));
    for (const { atMs, kind } of incidents) queue.at(atMs, () => this.#incident(kind));
    if (abandonAtMs !== undefined) queue.at(abandonAtMs, () => this.#abandon());
    queue.runUntil(faultsUntilMs);
    this.log(' ', 'the faults end');
    this.faults = NO_FAULTS;
    for (const stream of this.#streams.all()) stream.release();
    // One of each key more, which nothing may keep from being delivered.
    for (const put of this.#abandoned ? [] : puts.slice(0, 5)) queue.after(DRAIN_MS / 2, () => this.#put(put));
    const until = queue.now + 2 * DRAIN_MS;
    queue.runUntil(until);
    if ([...this.#checkers.values()].some(({ violations }) => violations.length > 0)) return;
    for (const checkers of this.#checkers.values()) checkers.checkEnd(faultsUntilMs + RECOVERY_MS, this.#abandoned);
  }

  #put({ partitionKey, explicitHashKey, dataBytes, toOther }: PlannedPut): void {
    if (this.#abandoned) return;
    const now = this.queue.now;
    const number = ++this.#lastNumber;
    const streamName = toOther ? OTHER_STREAM : STREAM;
    const checkers = this.#checkersOf(streamName);
    const data = numberedData(number, dataBytes);
    const input = {
      data,
      ...(partitionKey === undefined ? {} : { partitionKey }),
      ...(explicitHashKey === undefined ? {} : { explicitHashKey }),
    };
    const record = checkUserRecord(input, MAX_DATA_BYTES, this.#spares);
    const driver = this.#admit(streamName, record.sizeBytes, checkers);
    if (driver === undefined) return;
    const { recordTtlMs, bufferedTimeMs } = this.plan;
    record.admit(number, timesOf(now, { recordTtlMs, bufferedTimeMs: Math.min(bufferedTimeMs, recordTtlMs / 2) }));
    record.settle = {
      onSuccess: (result) => {
        this.log(' ', `record ${number} is delivered: ${result.shardId}, attempts ${result.attempts.length}`);
        checkers.succeeded(number, result, this.queue.now);
      },
      onFailure: (error) => {
        this.log(' ', `record ${number} fails: ${error.code}`);
        checkers.failed(number, error, this.queue.now);
      },
    };
    const into = toOther ? `, into ${OTHER_STREAM}` : '';
    this.log(' ', `put of record ${number}, partition key ${partitionKey}, ${dataBytes} bytes${into}`);
    checkers.recordPut({ number, partitionKey, explicitHashKey, data, putAtMs: now });
    driver.put(record);
    this.#spares.giveBack(record);
  }

  /** Whether the producer takes a record, which is so exactly while there is room in all its streams together. */
  #admit(streamName: string, sizeBytes: number, checkers: ProducerCheckers): StreamWorld | undefined {
    const { maxOutstandingRecordCount, otherByArn } = this.plan;
    const bound = this.#boundOf(streamName);
    let outstandingCount = 0;
    for (const each of this.#checkers.values()) outstandingCount += each.outstandingCount;
    const isFull = outstandingCount >= maxOutstandingRecordCount;
    if (bound.refusal(sizeBytes) !== undefined) {
      if (!isFull) checkers.violate(`a record was refused while only ${outstandingCount} were outstanding`);
      return undefined;
    }
    if (isFull) checkers.violate(`a record was taken while ${outstandingCount} were outstanding`);
    const word = streamName === OTHER_STREAM && otherByArn ? arnOf(streamName) : streamName;
    const driver = this.#streams.driverOf(word);
    if (!(driver instanceof StreamWorld)) return undefined;
    bound.add(sizeBytes);
    return driver;
  }

  #incident(kind: Incident): void {
    this.log(kind === 'pause' ? '!' : ' ', `incident: ${kind}`);
    if (kind === 'pause') {
      this.#pausedUntilMs = this.queue.now + this.prng.between(10, 1_000);
      return;
    }
    const streams = this.#streams.all();
    streams[this.#incidentCount++ % streams.length]?.incident(kind);
  }

  #abandon(): void {
    this.#abandoned = true;
    for (const stream of this.#streams.all()) {
      stream.abandon({ code: 'CLOSED', message: 'closed', retryable: true });
    }
  }

  #beginNext(): void {
    if (this.#abandoned || this.#runningCount >= this.plan.options.maxRequestsInFlight) return;
    const begin = this.#turns.dequeue();
    if (begin === undefined) return;
    if (begin()) this.#runningCount++;
    else this.#beginNext();
  }
}
