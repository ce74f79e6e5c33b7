// The consumer's bad while: for each mode an application with workers in processes of their own, all of them on one stream of the local
// Kinesis, whose faults, splits and merges come as the weather says, while records are put without pause and workers are killed. Then
// faults and kills end, what is left is handled, and the ledgers are held against the stream.
// Invariant: weather, records and who is struck follow from the seed; what they meet is the machine's affair. Everything is bounded in
// time; what is not handled by then counts as skipped.
import { createKinesisClient, delay, systemClock } from '@shardline/common';
import { type FaultHandle, type LocalKinesis, startLocalDynamoDB, startLocalKinesis } from '@shardline/local';
import { reshardNow } from '../chaos/reshard.ts';
import { planFronts, planReshards, type Reshard } from '../chaos/weather.ts';
import { createPrng } from '../prng.ts';
import { Feed } from './feed.ts';
import type { Sample } from './flatness.ts';
import { Fleet } from './fleet.ts';
import { type Audit, HandledLedger } from './handled-ledger.ts';
import type { Mode } from './messages.ts';
import { readClimate, readFronts, subscriptionClimate, subscriptionFronts } from './weather.ts';
import { WindowLedger } from './window-ledger.ts';
import { WrittenRecords } from './written-records.ts';

export interface SoakOptions {
  readonly seed: number;
  /** How long records are put, faults strike and workers are killed. */
  readonly durationMs: number;
  readonly modes: readonly Mode[];
  readonly recordsPerSecond: number;
  /** Beside the one of each application that is left alone. */
  readonly mortalCount: number;
  readonly reshardEveryMs: number;
  /** Of the workers that are left alone. */
  readonly sampleEveryMs: number;
  /** How long what is left may take after the last fault. */
  readonly drainMs: number;
  /** Handlers have tumbling windows of this length. Default: none. */
  readonly windowLengthMs?: number | undefined;
  /** A bug: handlers leave records out. */
  readonly skipsRecords?: boolean;
  /** Told every ten seconds. */
  readonly onProgress?: (progress: SoakProgress) => void;
}

export interface SoakProgress {
  readonly second: number;
  readonly written: number;
  readonly openShards: number;
  readonly applications: readonly { readonly mode: Mode; readonly handled: number; readonly duplicates: number }[];
}

export interface ApplicationResult extends Audit {
  readonly mode: Mode;
  readonly kills: number;
  readonly stops: number;
  readonly suspensions: number;
  /** Of the worker that was left alone. */
  readonly samples: readonly Sample[];
}

export interface SoakResult {
  readonly applications: readonly ApplicationResult[];
  readonly splits: number;
  readonly merges: number;
  /** Requests that were struck, by operation and kind of fault. */
  readonly faults: Readonly<Record<string, number>>;
  /** By code: what was not put is not there to be handled. */
  readonly putFailures: Readonly<Record<string, number>>;
  /** From the last fault until all was handled. */
  readonly drainedMs: number;
}

interface Application {
  readonly mode: Mode;
  readonly ledger: HandledLedger;
  readonly fleet: Fleet;
}

const STREAM = 'orders';
const REQUEST_TIMEOUT_MS = 1_500;
const PROGRESS_MS = 10_000;
const DRAIN_LOOK_MS = 100;

/** Runs it. Ends `drainMs` and a minute after `durationMs` at the latest. */
export async function runSoak(options: SoakOptions): Promise<SoakResult> {
  await using local = await startLocalKinesis({
    faultSeed: options.seed,
    reshardMs: 200,
    registerConsumerMs: 500,
    streams: [{ name: STREAM, shardCount: 3 }],
  });
  await using dynamoDB = await startLocalDynamoDB();
  const written = new WrittenRecords(local.model, STREAM);
  const refresh = (): void => written.refresh(systemClock.wallNow());
  const prng = createPrng(options.seed);
  const applications = options.modes.map((mode): Application => {
    const { windowLengthMs } = options;
    const windows = windowLengthMs === undefined ? undefined : new WindowLedger(written, windowLengthMs);
    const ledger = new HandledLedger(written, windows);
    const { clientConfig: kinesis } = local;
    const { clientConfig } = dynamoDB;
    const fleet = new Fleet({
      settings: {
        ...{ mode, application: `soak-${mode}`, stream: STREAM, kinesis, dynamoDB: clientConfig },
        requestTimeoutMs: REQUEST_TIMEOUT_MS,
        windowLengthMs,
        skipsRecords: options.skipsRecords ?? false,
      },
      ledger,
      windows,
      prng: createPrng(prng.int(2 ** 32)),
      mortalCount: options.mortalCount,
      sampleEveryMs: options.sampleEveryMs,
      onWord: refresh,
    });
    return { mode, ledger, fleet };
  });
  try {
    return await new Soak(local, written, applications, options).run();
  } finally {
    await Promise.all(applications.map(({ fleet }) => fleet.kill()));
  }
}

class Soak {
  readonly #local: LocalKinesis;
  readonly #written: WrittenRecords;
  readonly #applications: readonly Application[];
  readonly #options: SoakOptions;
  /** When the first worker of each application reads. */
  #startMs = 0;
  readonly #ends = new AbortController();
  readonly #counts = { split: 0, merge: 0 };
  readonly #faults: Record<string, number> = {};

  constructor(
    local: LocalKinesis,
    written: WrittenRecords,
    applications: readonly Application[],
    options: SoakOptions,
  ) {
    this.#local = local;
    this.#written = written;
    this.#applications = applications;
    this.#options = options;
  }

  async run(): Promise<SoakResult> {
    const { seed, durationMs, modes, reshardEveryMs, recordsPerSecond } = this.#options;
    const prng = createPrng(seed);
    const rules = planFronts(prng, readFronts(REQUEST_TIMEOUT_MS), durationMs, readClimate);
    if (modes.includes('fanout')) {
      rules.push(...planFronts(prng, subscriptionFronts(), durationMs, subscriptionClimate));
    }
    await Promise.all(this.#applications.map(({ fleet }) => fleet.begun()));
    this.#startMs = systemClock.now();
    const client = createKinesisClient({ ...this.#local.clientConfig, maxAttempts: 3 });
    const feed = new Feed({ stream: STREAM, client, seed, durationMs, recordsPerSecond });
    const telling = this.#tell();
    await Promise.all([
      feed.run(),
      ...rules.map((rule) => this.#strike(rule)),
      this.#reshard(planReshards(prng, durationMs, reshardEveryMs)),
      ...this.#applications.map(({ fleet }) => fleet.strike(durationMs)),
    ]);
    await feed.close();
    client.destroy();
    const drainedMs = await this.#drain();
    await Promise.all(this.#applications.map(({ fleet }) => fleet.stop()));
    this.#ends.abort();
    await telling.catch(() => undefined);
    this.#refresh();
    return {
      applications: this.#applications.map(resultOf),
      splits: this.#counts.split,
      merges: this.#counts.merge,
      faults: this.#faults,
      putFailures: feed.failures,
      drainedMs,
    };
  }

  /** A front comes and goes. There are thousands in an hour, and each that the server knows is asked about each request. */
  async #strike(rule: ReturnType<typeof planFronts>[number]): Promise<void> {
    const { fromMs = 0, untilMs = 0, ...fault } = rule;
    await this.#waitUntil(fromMs);
    const handle = this.#local.faults.add(fault);
    await this.#waitUntil(untilMs);
    handle.remove();
    this.#count(handle);
  }

  #count({ rule, applied }: FaultHandle): void {
    const operation = typeof rule.operation === 'string' ? rule.operation : 'asking';
    const name = `${operation}: ${rule.kind}${rule.kind === 'error' ? ` ${rule.type}` : ''}`;
    this.#faults[name] = (this.#faults[name] ?? 0) + applied;
  }

  async #reshard(reshards: readonly Reshard[]): Promise<void> {
    for (const reshard of reshards) {
      await this.#waitUntil(reshard.atMs);
      if (reshardNow(this.#local.model, STREAM, reshard)) this.#counts[reshard.kind]++;
    }
  }

  /** Resolves when all is handled, or the time for it is over. */
  async #drain(): Promise<number> {
    const fromMs = systemClock.now();
    const isDrained = (): boolean => {
      this.#refresh();
      return this.#applications.every(({ ledger }) => ledger.isDrained);
    };
    while (!isDrained() && systemClock.now() - fromMs < this.#options.drainMs) await delay(systemClock, DRAIN_LOOK_MS);
    return Math.round(systemClock.now() - fromMs);
  }

  /** Rejects at the end. */
  async #tell(): Promise<never> {
    const { signal } = this.#ends;
    for (let tell = 1; ; tell++) {
      await delay(systemClock, Math.max(0, this.#startMs + tell * PROGRESS_MS - systemClock.now()), signal);
      this.#refresh();
      this.#options.onProgress?.({
        second: Math.round((systemClock.now() - this.#startMs) / 1_000),
        written: this.#written.shards.reduce((sum, { numbers }) => sum + numbers.length, 0),
        openShards: this.#written.shards.filter(({ isClosed }) => !isClosed).length,
        applications: this.#applications.map(({ mode, ledger: { handled, duplicates } }) => ({
          ...{ mode, handled, duplicates },
        })),
      });
    }
  }

  #waitUntil(atMs: number): Promise<void> {
    return delay(systemClock, Math.max(0, this.#startMs + atMs - systemClock.now()));
  }

  #refresh(): void {
    this.#written.refresh(systemClock.wallNow());
  }
}

function resultOf({ mode, ledger, fleet }: Application): ApplicationResult {
  const audit = ledger.audit();
  const violations = [...fleet.broken, ...audit.violations];
  const violationCount = fleet.broken.length + audit.violationCount;
  return { mode, ...audit, violations, violationCount, ...fleet.counts, samples: fleet.samples };
}
