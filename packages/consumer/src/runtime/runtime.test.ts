// The runtime around the real core, with the lease table in memory, a source of the test's making and a clock that the test
// moves: what it does when things hang, throw or break a rule, and in which order it calls the handler.
import {
  evenRanges,
  formatExtended,
  type HashKeyRange,
  InvariantError,
  type MetricsSink,
  noMetrics,
  OperatingError,
  onDiagnostic,
  parseSequenceNumber,
  silentLogger,
  systemRandom,
  TRIM_HORIZON,
} from '@shardline/common';
import { ManualClock } from '@shardline/local';
import { afterEach, describe, expect, it } from 'vitest';
import type { ConsumerOptions } from '../consumer-options.ts';
import type { ResultOf, TableEffect } from '../coordination/effects.ts';
import { type Lease, newLease, type Shard } from '../coordination/lease.ts';
import { Worker } from '../coordination/worker.ts';
import type { Handler, UserRecord } from '../handler.ts';
import { readHandler } from '../handling/read-handler.ts';
import type { LeaseTable } from '../lease-table/lease-table.ts';
import { MemoryLeaseTable } from '../lease-table/memory.ts';
import { resolveOptions } from '../options.ts';
import type { ShardSource, SourceBatch, SourceRead } from '../retrieval/source.ts';
import { workerOptions } from '../worker-options.ts';
import { Failures } from './failures.ts';
import { Runtime } from './runtime.ts';

/** Lets everything that is ready run: promises, and what they start. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

function recordsFrom(first: number, count: number): UserRecord[] {
  return Array.from({ length: count }, (_, index) => ({
    partitionKey: 'k',
    data: Buffer.from(String(first + index)),
    sequenceNumber: String(first + index),
    subSequenceNumber: 0,
    approximateArrivalTimestamp: new Date(0),
    aggregated: false,
  }));
}

function batchOf(records: UserRecord[], last: number): SourceBatch {
  return {
    records,
    recordCount: records.length,
    first: records[0] && parseSequenceNumber(records[0].sequenceNumber),
    byteCount: records.length,
    last: { sequenceNumber: parseSequenceNumber(String(last)), subSequenceNumber: 0 },
    millisBehindLatest: 7,
    kinesisRecordCount: records.length,
    corruptCount: 0,
    strayCount: 0,
    gap: undefined,
  };
}

/** Gives what the test queues, one read a fetch; with nothing queued a fetch waits. */
class QueueSource implements ShardSource {
  readonly heldBytes = 0;
  readonly leastBytes = 0;
  readonly streamName = 'orders';
  readonly reads: (SourceRead | Error)[] = [];
  closed = false;
  readonly #waiting: (() => void)[] = [];

  give(read: SourceRead | Error): void {
    this.reads.push(read);
    this.#waiting.shift()?.();
  }

  dueAt(): number {
    return Number.NEGATIVE_INFINITY;
  }

  async fetch(_after: unknown, signal: AbortSignal): Promise<SourceRead> {
    while (this.reads.length === 0) {
      await new Promise<void>((resolve, reject) => {
        this.#waiting.push(resolve);
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      });
    }
    const read = this.reads.shift() as SourceRead | Error;
    if (read instanceof Error) throw read;
    return read;
  }

  close(): void {
    this.closed = true;
  }
}

/** The table in memory, with a way to hold answers back and a count of what is under way. */
class SlowTable implements LeaseTable {
  readonly memory: MemoryLeaseTable;
  /** For good, or until that resolves. */
  hold: (effect: TableEffect) => boolean | Promise<void> = () => false;
  /** But for renewals, which are in no queue. */
  underWay = 0;
  mostUnderWay = 0;
  isGone = false;

  constructor(memory: MemoryLeaseTable) {
    this.memory = memory;
  }

  get clientVersion(): LeaseTable['clientVersion'] {
    return this.memory.clientVersion;
  }

  async open(): Promise<void> {
    await this.memory.open();
  }

  async run<E extends TableEffect>(effect: E): Promise<ResultOf<E>> {
    if (this.isGone) throw tableGoneError();
    const isQueued = effect.kind !== 'renewLease';
    if (isQueued) this.underWay += 1;
    this.mostUnderWay = Math.max(this.mostUnderWay, this.underWay);
    const held = this.hold(effect);
    if (held !== false) await (held === true ? new Promise(() => undefined) : held);
    await new Promise((resolve) => setImmediate(resolve));
    if (isQueued) this.underWay -= 1;
    return this.memory.apply(effect);
  }

  async close(): Promise<void> {
    await this.memory.close();
  }
}

/** As the table's calls throw it. */
function tableGoneError(): OperatingError {
  const cause = Object.assign(new Error('not found'), { name: 'ResourceNotFoundException' });
  return new OperatingError('LEASE_TABLE_UNAVAILABLE', 'table app is not there', { retryable: false, cause });
}

/** What a promise is rejected with, as soon as it is. */
function outcomeOf(running: Promise<void>): { error: unknown } {
  const outcome = { error: undefined as unknown };
  running.catch((error: unknown) => {
    outcome.error = error;
  });
  return outcome;
}

/** shutdownGraceMs, by default. */
const GRACE_MS = 30_000;

interface Stage {
  readonly clock: ManualClock;
  readonly table: SlowTable;
  readonly source: QueueSource;
  readonly runtime: Runtime;
  readonly running: Promise<void>;
  /** Moves time on in small steps, with everything that becomes due carried out, until `check` holds. */
  until(check: () => boolean): Promise<void>;
}

/** Beside the consumer's options: the shards, the leases that are there, and what the table holds back. */
interface Setting {
  readonly shardCount?: number;
  readonly leases?: readonly Lease[];
  readonly hold?: SlowTable['hold'];
}

const stages: Stage[] = [];
afterEach(async () => {
  for (const { runtime, running, clock } of stages.splice(0)) {
    runtime.stop();
    let over = false;
    running
      .catch(() => undefined)
      .finally(() => {
        over = true;
      });
    for (let step = 0; !over && step < 1_000; step += 1) {
      clock.advance(100);
      await settle();
    }
    expect(over).toBe(true);
  }
});

function stage(
  handler: Handler,
  { shardCount = 1, metrics = noMetrics, leases = [], hold, ...given }: Partial<ConsumerOptions> & Setting = {},
): Stage {
  const clock = new ManualClock();
  const options = resolveOptions(
    { application: 'app', stream: 'orders', workerId: 'w1', clock, failoverTimeMs: 10_000, ...given },
    'host',
  );
  const table = new SlowTable(new MemoryLeaseTable({ wallNow: () => clock.wallNow() }));
  for (const lease of leases) table.memory.leases.set(lease.leaseKey, lease);
  if (hold !== undefined) table.hold = hold;
  const source = new QueueSource();
  const shards = evenRanges(shardCount).map(
    (hashKeyRange, index): Shard => ({
      shardId: `shard-${index}`,
      parentShardIds: [],
      hashKeyRange,
      startingSequenceNumber: 0n,
      endingSequenceNumber: undefined,
    }),
  );
  const runtime = new Runtime({
    ...options,
    worker: new Worker(workerOptions(options)),
    table,
    streams: {
      tracked: [{ streamId: undefined, initialPosition: 'TRIM_HORIZON' }],
      former: 'none',
      leftOut: new Map(),
      reads: { kind: 'one', stream: 'orders' },
      find: async () => undefined,
      forget: () => undefined,
      isAnother: async () => false,
      beganAnew: async () => undefined,
      mayChange: false,
      refresh: async () => undefined,
      list: async () => shards,
      open: () => source,
      openBeside: () => source,
      takes: async () => true,
    },
    handler: readHandler(handler, {}, options.checkpointing),
    workerMetrics: undefined,
    random: systemRandom,
    failures: new Failures({ clock, logger: silentLogger, patienceMs: 10_000 }),
    logger: silentLogger,
    metrics,
  });
  const running = runtime.run();
  running.catch(() => undefined);
  const until = async (check: () => boolean): Promise<void> => {
    for (let step = 0; step < 2_000; step += 1) {
      await settle();
      if (check()) return;
      clock.advance(100);
    }
    throw new Error('did not come about within 200 s of the clock');
  };
  const made = { clock, table, source, runtime, running, until };
  stages.push(made);
  return made;
}

const open = (batch: SourceBatch): SourceRead => ({
  batch,
  atShardEnd: false,
  childShards: [],
  millisBehindLatest: batch.millisBehindLatest,
});

describe('the handler', () => {
  it('gets batches one at a time, in order, and each is checkpointed after it', async () => {
    const log: string[] = [];
    let running = 0;
    const { source, table, until } = stage({
      processRecords: async ({ records }) => {
        running += 1;
        expect(running).toBe(1);
        await settle();
        log.push(records.map((record) => record.sequenceNumber).join());
        running -= 1;
      },
    });
    for (const first of [1, 3, 5]) source.give(open(batchOf(recordsFrom(first, 2), first + 1)));
    await until(() => table.memory.leases.get('shard-0')?.checkpoint.sequenceNumber === 6n);
    expect(log).toEqual(['1,2', '3,4', '5,6']);
  });

  it('and a read without records says how far behind the shard is, too', async () => {
    const { source, runtime, until } = stage({ processRecords: () => undefined });
    const behind = (): number | undefined =>
      runtime.view().leases.map(({ tenure }) => tenure && runtime.millisBehindLatest(tenure))[0];
    source.give(open(batchOf(recordsFrom(1, 1), 1)));
    await until(() => behind() === 7);
    source.give({ batch: undefined, atShardEnd: false, childShards: [], millisBehindLatest: 0 });
    await until(() => behind() === 0);
  });

  it('that hangs leaves the shard ever further behind, in the gauge too, until it returns', async () => {
    const told: number[] = [];
    const metrics: MetricsSink = {
      ...noMetrics,
      gauge: (name, value) => void (name === 'MillisBehindLatest' && told.push(value)),
    };
    let goOn = (): void => undefined;
    const hang = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const { source, runtime, until } = stage({ processRecords: () => hang }, { metrics });
    const behind = (): number => {
      const [lease] = runtime.view().leases;
      return (lease && runtime.millisBehindLatest(lease.tenure)) ?? -1;
    };
    source.give(open(batchOf(recordsFrom(1, 1), 1)));
    // Reads go on, each of them at the tip.
    source.give({ batch: undefined, atShardEnd: false, childShards: [], millisBehindLatest: 0 });
    await until(() => behind() >= 25_000 && (told.at(-1) ?? 0) >= 20_000);
    expect(told).toEqual(told.toSorted((a, b) => a - b));
    goOn();
    await until(() => behind() === 0 && told.at(-1) === 0);
  });

  it('is asked to initialize again until it does, and is not told of a loss it never began', async () => {
    const log: string[] = [];
    const { source, until } = stage({
      initialize: () => {
        log.push('initialize');
        if (log.length < 3) throw new Error('not ready');
      },
      processRecords: () => {
        log.push('processRecords');
      },
    });
    source.give(open(batchOf(recordsFrom(1, 1), 1)));
    await until(() => log.includes('processRecords'));
    expect(log).toEqual(['initialize', 'initialize', 'initialize', 'processRecords']);

    const told: string[] = [];
    const other = stage({
      initialize: () => {
        told.push('initialize');
        throw new Error('never ready');
      },
      processRecords: () => undefined,
      leaseLost: () => {
        told.push('leaseLost');
      },
    });
    await other.until(() => told.length > 0);
    other.runtime.stop();
    await other.until(() => other.runtime.view().leases.length === 0);
    await other.running;
    expect(told).not.toContain('leaseLost');
  });

  it('is made for each shard, once, and again while its factory throws or makes none; then it has all records from the first', async () => {
    const made: string[] = [];
    const handled: string[] = [];
    const { source, runtime, table, until } = stage({
      createHandler: ({ shardId }) => {
        made.push(shardId);
        if (made.length === 1) throw new Error('no connection');
        if (made.length === 2) return undefined as never;
        let initializeCount = 0;
        return {
          initialize: () => {
            initializeCount += 1;
            if (initializeCount === 1) throw new Error('not ready');
          },
          processRecords: ({ records }) => {
            handled.push(...records.map(({ sequenceNumber }) => `${initializeCount}: ${sequenceNumber}`));
          },
        };
      },
    });
    source.give(open(batchOf(recordsFrom(1, 2), 2)));
    await until(() => table.memory.leases.get('shard-0')?.checkpoint.sequenceNumber === 2n);
    expect(made).toEqual(['shard-0', 'shard-0', 'shard-0']);
    expect(handled).toEqual(['2: 1', '2: 2']);
    expect(runtime.view().leases).toMatchObject([{ phase: 'processing' }]);
  });

  it('may throw whatever it likes, an InvariantError too: the batch comes again', async () => {
    const attempts: number[] = [];
    const { source, table, until } = stage({
      processRecords: ({ attempt }) => {
        attempts.push(attempt);
        if (attempt === 1) throw new InvariantError('the handler has its own');
        if (attempt === 2) throw undefined;
      },
    });
    source.give(open(batchOf(recordsFrom(1, 1), 1)));
    await until(() => table.memory.leases.get('shard-0')?.checkpoint.sequenceNumber === 1n);
    expect(attempts).toEqual([1, 2, 3]);
  });

  it('that throws in leaseLost does not keep the lease', async () => {
    const { source, table, runtime, running, until } = stage({
      processRecords: () => undefined,
      leaseLost: () => {
        throw new Error('too late');
      },
    });
    source.give(open(batchOf(recordsFrom(1, 1), 1)));
    await until(() => table.memory.leases.get('shard-0')?.checkpoint.sequenceNumber === 1n);
    runtime.stop();
    await until(() => table.memory.leases.get('shard-0')?.leaseOwner === undefined);
    await running;
    expect(source.closed).toBe(true);
  });

  it('in shutdownRequested, checkpoint() means what it has finished, not what it was given and threw on', async () => {
    let written: string | undefined;
    let threw = 0;
    const { source, table, runtime, running, until } = stage(
      {
        processRecords: ({ records }) => {
          if (records[0]?.sequenceNumber === '1') return;
          threw += 1;
          throw new Error('bad');
        },
        shutdownRequested: async ({ checkpoint }) => {
          await checkpoint();
          written = formatExtended(table.memory.leases.get('shard-0')?.checkpoint as never);
        },
      },
      { checkpointing: 'manual' },
    );
    source.give(open(batchOf(recordsFrom(1, 1), 1)));
    source.give(open(batchOf(recordsFrom(2, 1), 2)));
    await until(() => threw > 1);
    runtime.stop();
    await until(() => written !== undefined);
    expect(written).toBe('1');
    await until(() => table.memory.leases.get('shard-0')?.leaseOwner === undefined);
    await running;
  });
});

describe('what hangs and what fails', () => {
  it('an effect on the table that is never answered counts as failed after a minute, and the worker goes on', async () => {
    const failures: string[] = [];
    const stop = onDiagnostic('shardline:consumer:step-error', ({ worker, step, cause }) => {
      if (worker === 'hanging') failures.push(`${step}: ${cause instanceof OperatingError ? cause.code : cause}`);
    });
    const { table, source, until } = stage({ processRecords: () => undefined }, { workerId: 'hanging' });
    let held = 0;
    table.hold = (effect) => effect.kind === 'discoverLeases' && held++ === 0;
    source.give(open(batchOf(recordsFrom(1, 1), 1)));
    await until(() => table.memory.leases.get('shard-0')?.checkpoint.sequenceNumber === 1n);
    expect(failures).toEqual(['discoverLeases: TIMEOUT']);
    stop();
  });

  it('a fetch that fails is made again from where it was', async () => {
    const log: string[] = [];
    const { source, until } = stage({
      processRecords: ({ records }) => {
        log.push(...records.map((record) => record.sequenceNumber));
      },
    });
    source.give(open(batchOf(recordsFrom(1, 1), 1)));
    source.give(new OperatingError('THROTTLED', 'slow down', { retryable: true }));
    source.give(open(batchOf(recordsFrom(2, 1), 2)));
    await until(() => log.length === 2);
    expect(log).toEqual(['1', '2']);
  });

  it('an answer that the core cannot take gives everything up', async () => {
    const { source, running } = stage({ processRecords: () => undefined });
    source.give(open({ ...batchOf(recordsFrom(1, 1), 1), last: undefined as never }));
    await expect(running).rejects.toBeInstanceOf(TypeError);
    expect(source.closed).toBe(true);
  });

  it('a broken rule of ours gives everything up: run rejects, signals abort, checkpoints reject', async () => {
    const seen: { aborted?: boolean; checkpoint?: unknown } = {};
    const { source, table, running, runtime, clock, until } = stage({
      processRecords: async (_batch, { signal, checkpoint }) => {
        const pending = checkpoint().catch((error: unknown) => {
          seen.checkpoint = error;
        });
        signal.addEventListener('abort', () => {
          seen.aborted = true;
        });
        await pending;
        await new Promise(() => undefined);
      },
    });
    table.hold = (effect) => effect.kind === 'checkpointLease';
    source.give(open(batchOf(recordsFrom(1, 1), 1)));
    await until(() => runtime.view().leases[0]?.handlerAttempt === 1);
    const failed = outcomeOf(running);
    const broken = new InvariantError('a rule of ours');
    source.give(broken);
    // The handler never returns: `run` waits for it as long as the user says, and no longer.
    await until(() => seen.aborted === true);
    const abortedAt = clock.now();
    expect(seen).toEqual({ aborted: true, checkpoint: broken });
    clock.advance(GRACE_MS - 1);
    await settle();
    expect([failed.error, runtime.failure]).toEqual([undefined, broken]);
    await until(() => failed.error === broken);
    expect(clock.now() - abortedAt).toBeLessThan(GRACE_MS + 200);
    expect(source.closed).toBe(true);
    // The lease is left to expire: what a broken core would write can't be trusted.
    expect(table.memory.leases.get('shard-0')?.leaseOwner).toBe('w1');
    const counter = table.memory.leases.get('shard-0')?.leaseCounter;
    await settle();
    expect(table.memory.leases.get('shard-0')?.leaseCounter).toBe(counter);
  });

  it('a lease table that is gone aborts the signals at once, and run rejects once each handler has returned and was told of its loss', async () => {
    const log: string[] = [];
    let goOn = (): void => undefined;
    const { source, table, running, clock, until } = stage({
      processRecords: async (_batch, { signal }) => {
        log.push('begins');
        signal.addEventListener('abort', () => log.push(`aborted: ${(signal.reason as OperatingError).code}`));
        await new Promise<void>((resolve) => {
          goOn = resolve;
        });
        log.push('returns');
      },
      leaseLost: async ({ checkpoint }) => {
        await checkpoint().catch((error: unknown) => log.push(`checkpoint: ${(error as OperatingError).code}`));
        log.push('leaseLost');
      },
    });
    const failed = outcomeOf(running);
    void running.catch(() => log.push('run rejects'));
    source.give(open(batchOf(recordsFrom(1, 1), 1)));
    await until(() => log.length > 0);
    table.isGone = true;
    await until(() => log.length > 1);
    clock.advance(GRACE_MS / 2);
    await settle();
    expect(log).toEqual(['begins', 'aborted: LEASE_TABLE_UNAVAILABLE']);
    goOn();
    await settle();
    expect(log.slice(2)).toEqual(['returns', 'checkpoint: LEASE_TABLE_UNAVAILABLE', 'leaseLost', 'run rejects']);
    expect(failed.error).toMatchObject({ retryable: false, message: expect.stringMatching(/Restore it .* at LATEST/) });
  });

  it('the writes of hundreds of leases are carried out a few at a time', async () => {
    const { table, until, runtime } = stage({ processRecords: () => undefined }, { shardCount: 300 });
    const owners = (): (string | undefined)[] => [...table.memory.leases.values()].map(({ leaseOwner }) => leaseOwner);
    await until(() => owners().length === 300 && owners().every((owner) => owner === 'w1'));
    runtime.stop();
    await until(() => owners().every((owner) => owner === undefined));
    expect(table.mostUnderWay).toBe(32);
  });

  it('while a plan of hundreds of writes is under way a lease is found, checkpointed and renewed', async () => {
    const hashKeyRange = evenRanges(300)[0] as HashKeyRange;
    const ours = newLease({ shardId: 'shard-0', parentShardIds: [], hashKeyRange }, TRIM_HORIZON);
    let heldCount = 0;
    const { table, source, until } = stage(
      { processRecords: () => undefined },
      { shardCount: 300, leases: [{ ...ours, leaseOwner: 'w1' }] },
    );
    table.hold = (effect) => {
      const isPlanned = effect.kind === 'createLease';
      if (isPlanned) heldCount += 1;
      return isPlanned;
    };
    const row = () => table.memory.leases.get('shard-0');
    await until(() => heldCount > 0);
    source.give(open(batchOf(recordsFrom(1, 1), 1)));
    await until(() => row()?.checkpoint.sequenceNumber === 1n);
    const counter = row()?.leaseCounter as number;
    await until(() => row()?.leaseCounter === counter + 3);
    expect(heldCount).toBe(16);
    expect(table.memory.leases.size).toBe(1);
  });

  it('while more checkpoints wait than are written at once, all the other leases are renewed', async () => {
    const { table, source, until } = stage({ processRecords: () => undefined }, { shardCount: 300 });
    const rows = (): Lease[] => [...table.memory.leases.values()];
    await until(() => rows().length === 300 && rows().every(({ leaseCounter }) => leaseCounter > 0));
    let heldCount = 0;
    table.hold = ({ kind }) => {
      const isHeld = kind === 'checkpointLease';
      if (isHeld) heldCount += 1;
      return isHeld;
    };
    for (let shard = 0; shard < 40; shard += 1) source.give(open(batchOf(recordsFrom(1, 1), 1)));
    await until(() => heldCount === 32);
    const before = new Map(rows().map(({ leaseKey, leaseCounter }) => [leaseKey, leaseCounter]));
    const renewed = () =>
      rows().filter(({ leaseKey, leaseCounter }) => leaseCounter >= (before.get(leaseKey) ?? 0) + 3);
    await until(() => renewed().length === 260);
    expect(heldCount).toBe(32);
    table.hold = () => false;
  });
});

it('what is handled is counted', async () => {
  const counts: [string, number][] = [];
  const note: MetricsSink['count'] = (name, value, dimensions) => {
    if (dimensions?.['Operation'] === 'ProcessTask') counts.push([name, value]);
  };
  const metrics: MetricsSink = { ...noMetrics, count: note, gauge: note };
  const { source, until } = stage({ processRecords: () => undefined }, { metrics });
  source.give(open({ ...batchOf(recordsFrom(1, 3), 3), corruptCount: 1, strayCount: 2 }));
  await until(() => counts.some(([name]) => name === 'UpdateLease.Success'));
  expect(counts).toEqual([
    ['CorruptRecords', 1],
    ['StrayRecords', 2],
    ['MillisBehindLatest', 7],
    ['RecordsProcessed', 3],
    ['DataBytesProcessed', 3],
    ['MillisBehindLatest', 7],
    ['Success', 1],
    ['UpdateLease.Success', 1],
  ]);
});
