// A producer's bad while: real producers over real sockets against the local Kinesis, whose faults and reshards come as the weather
// says, while records are put without pause. Then the faults end, the producers are closed, and the ledger is held against the
// stream. Three producers share the stream, each with keys of its own: one that aggregates, one that does not, and a hasty one
// that puts although there may be no room, into a time to live that a fault outlasts.
// Invariant: the weather and the records follow from the seed; which requests they meet is the machine's affair.
import { createKinesisClient, delay, systemClock } from '@shardline/common';
import { type FaultReport, type LocalKinesis, startLocalKinesis } from '@shardline/local';
import { isPutError, Producer, type ProducerOptions } from '@shardline/producer';
import { createPrng, type Prng } from '../prng.ts';
import { type Audit, Ledger } from './ledger.ts';
import { reshardNow } from './reshard.ts';
import { planWeather, type Weather } from './weather.ts';

export interface ChaosOptions {
  readonly seed: number;
  /** How long records are put and faults strike. */
  readonly durationMs: number;
  /** Of all producers together. */
  readonly recordsPerSecond: number;
  /** Told every second. */
  readonly onSecond?: (second: ChaosSecond) => void;
}

export interface ChaosSecond {
  readonly second: number;
  readonly puts: number;
  readonly outstanding: number;
  readonly openShards: number;
}

export interface ChaosResult extends Audit {
  readonly seed: number;
  readonly splits: number;
  readonly merges: number;
  /** Requests, and with `perRecord` records, that were struck, by kind of fault. */
  readonly faults: Readonly<Record<string, number>>;
  readonly peakOutstanding: number;
  /** From the last fault to the last settling. */
  readonly drainMs: number;
}

const STREAM = 'orders';
const REQUEST_TIMEOUT_MS = 1_500;
/** Of the weather's delays. */
const LATEST_DELAY_MS = 2 * REQUEST_TIMEOUT_MS + 100;
const TICK_MS = 10;
const MOST_TICKS_LATE = 50;
const KEYS_A_PRODUCER = 200;

/** What all producers have. */
const common = {
  stream: STREAM,
  requestTimeoutMs: REQUEST_TIMEOUT_MS,
  recordMaxBufferedTimeMs: 50,
  maxOutstandingRecordCount: 4_000,
  describeStreamSummaryIntervalMs: 1_000,
} satisfies ProducerOptions;

interface Putting {
  readonly name: string;
  readonly options: Partial<ProducerOptions>;
  /** Waits for room, as an application should. */
  readonly isPatient: boolean;
}

const puttings: readonly Putting[] = [
  { name: 'aggregating', options: { aggregationMaxSizeBytes: 4_096, collectionMaxCount: 20 }, isPatient: true },
  { name: 'single', options: { aggregationEnabled: false, collectionMaxCount: 50 }, isPatient: true },
  { name: 'hasty', options: { recordTtlMs: 1_000, maxOutstandingRecordCount: 500 }, isPatient: false },
];

/** Runs it. Ends some time after `durationMs`: what is outstanding then has its time to live. */
export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  await using local = await startLocalKinesis({
    faultSeed: options.seed,
    reshardMs: 200,
    streams: [{ name: STREAM, shardCount: 3 }],
  });
  return await new Chaos(local, options).run();
}

class Chaos {
  readonly #local: LocalKinesis;
  readonly #options: ChaosOptions;
  readonly #weather: Weather;
  readonly #ledger = new Ledger();
  readonly #producers: readonly Producer[];
  readonly #client: ReturnType<typeof createKinesisClient>;
  readonly #startMs = systemClock.now();
  readonly #reshardCounts = { split: 0, merge: 0 };
  #peakOutstanding = 0;

  constructor(local: LocalKinesis, options: ChaosOptions) {
    this.#local = local;
    this.#options = options;
    this.#weather = planWeather(options.seed, options.durationMs, REQUEST_TIMEOUT_MS);
    const client = createKinesisClient({ ...local.clientConfig, maxAttempts: 1 });
    this.#client = client;
    this.#producers = puttings.map((putting) => new Producer({ ...common, ...putting.options, client }));
  }

  async run(): Promise<ChaosResult> {
    const { seed, durationMs } = this.#options;
    const faults = this.#weather.rules.map((rule) => this.#local.faults.add(rule));
    await Promise.all([
      this.#reshard(),
      this.#watch(),
      ...this.#producers.map((producer, index) => this.#putAll(producer, puttings[index] as Putting, seed + index)),
    ]);
    const endMs = this.#startMs + durationMs;
    await Promise.all(this.#producers.map((producer) => producer.close()));
    const drainMs = Math.round(systemClock.now() - endMs);
    // What a delay still holds back is applied as well.
    await delay(systemClock, LATEST_DELAY_MS);
    this.#client.destroy();
    return {
      seed,
      ...this.#ledger.audit(this.#local.model, STREAM, systemClock.wallNow()),
      splits: this.#reshardCounts.split,
      merges: this.#reshardCounts.merge,
      faults: appliedByKind(faults),
      peakOutstanding: this.#peakOutstanding,
      drainMs,
    };
  }

  /** Puts at an even pace. What a pause, or want of room, has kept it from is not made up for. */
  async #putAll(producer: Producer, { name, isPatient }: Putting, seed: number): Promise<void> {
    const { durationMs, recordsPerSecond } = this.#options;
    const prng = createPrng(seed);
    const mostATick = Math.max(1, Math.round((recordsPerSecond / puttings.length / 1_000) * TICK_MS * MOST_TICKS_LATE));
    let due = 0;
    for (let atMs = 0; atMs < durationMs; ) {
      await delay(systemClock, TICK_MS);
      if (isPatient) await producer.ready;
      const nowMs = systemClock.now() - this.#startMs;
      due = Math.min(mostATick, due + ((nowMs - atMs) * recordsPerSecond) / puttings.length / 1_000);
      atMs = nowMs;
      for (; due >= 1; due--) this.#put(producer, `${name}-${keyNumber(prng)}`, dataBytes(prng), isPatient);
    }
  }

  /** The patient ones by promise, the others by callback. */
  #put(producer: Producer, partitionKey: string, bytes: number, byPromise: boolean): void {
    const ledger = this.#ledger;
    const { number, record } = ledger.next(partitionKey, bytes);
    if (byPromise) {
      producer.put(record).then(
        (result) => ledger.succeeded(number, result),
        (error: unknown) => {
          if (!isPutError(error)) throw error;
          ledger.failed(number, error);
        },
      );
      return;
    }
    producer.put(record, (error, result) => {
      if (error !== undefined) ledger.failed(number, error);
      if (result !== undefined) ledger.succeeded(number, result);
    });
  }

  async #reshard(): Promise<void> {
    for (const reshard of this.#weather.reshards) {
      await delay(systemClock, this.#startMs + reshard.atMs - systemClock.now());
      if (reshardNow(this.#local.model, STREAM, reshard)) this.#reshardCounts[reshard.kind]++;
    }
  }

  async #watch(): Promise<void> {
    const { durationMs, onSecond } = this.#options;
    for (let second = 1; second * 1_000 <= durationMs; second++) {
      await delay(systemClock, this.#startMs + second * 1_000 - systemClock.now());
      const outstanding = this.#producers.reduce((sum, { outstandingRecordCount }) => sum + outstandingRecordCount, 0);
      this.#peakOutstanding = Math.max(this.#peakOutstanding, outstanding);
      const openShards = this.#local.model.stream(STREAM, systemClock.wallNow()).openShards.length;
      onSecond?.({ second, puts: this.#ledger.putCount, outstanding, openShards });
    }
  }
}

/** A tenth of all records is of one key. */
function keyNumber(prng: Prng): number {
  return prng.chance(0.1) ? 0 : prng.int(KEYS_A_PRODUCER);
}

/** Mostly small; now and then as large as half a request of the aggregating producer, or larger than its aggregates. */
function dataBytes(prng: Prng): number {
  return prng.chance(0.01) ? prng.between(2_000, 20_000) : prng.between(16, 400);
}

function appliedByKind(reports: readonly FaultReport[]): Record<string, number> {
  const applied: Record<string, number> = {};
  for (const { rule, applied: count } of reports) {
    const what = [rule.kind, rule.kind === 'error' ? rule.type : '', rule.operation === 'PutRecords' ? '' : 'asking'];
    const name = what.filter((word) => word !== '').join(' ');
    applied[name] = (applied[name] ?? 0) + count;
  }
  return applied;
}
