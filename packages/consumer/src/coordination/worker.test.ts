import {
  MAX_HASH_KEY,
  MIN_HASH_KEY,
  OperatingError,
  parseCheckpoint,
  SHARD_END,
  TRIM_HORIZON,
} from '@shardline/common';
import { describe, expect, test } from 'vitest';
import { assignmentRules } from '../../test/core-options.ts';
import { MemoryLeaseTable } from '../lease-table/memory.ts';
import type { Done, Effect, Tell } from './effects.ts';
import { NOTHING_MEASURED, newLease, type WorkerRow } from './lease.ts';
import type { Notice } from './notice.ts';
import { Worker, type WorkerOptions } from './worker.ts';

const options: WorkerOptions = {
  ...assignmentRules,
  workerId: 'me',
  incarnation: '00000000-0000-4000-8000-000000000001',
  formerStreamsWaitMs: Number.POSITIVE_INFINITY,
  failoverTimeMs: 900,
  leaseAssignmentIntervalMs: 600,
  leaseDiscoveryIntervalMs: 300,
  leaderLeaseDurationMs: 2700,
  shardSyncIntervalMs: 60_000,
  completedLeaseCleanupIntervalMs: 300_000,
  leaseFindingMs: 112,
  gracefulLeaseHandoffTimeoutMs: 3000,
  workerMetricsReportIntervalMs: 1000,
  workerIdLookIntervalMs: 100,
  workerIdPatienceMs: 300,
  workerStaleMs: 2000,
  staleWorkerMetricsEntryCleanupDurationMs: 86_400_000,
  checkpointIntervalMs: 0,
  parentShardPollIntervalMs: 100,
  shutdownGraceMs: 1000,
  stallWarningMs: 20_000,
  stallLimitMs: Number.POSITIVE_INFINITY,
  maxLeasesForWorker: 10,
  maxLeasesToStealAtOneTime: 1,
  flipTo3xStabilizerTimeMs: 2000,
  rollForwardMs: 2000,
  strangerMs: 3000,
  maxPendingBatchCount: 2,
  maxPendingBytes: 1000,
  maxPendingBytesForWorker: 1e9,
  maxPendingRecordCountForWorker: 1e6,
  roomPatienceMs: 10_000,
  retryMs: 10,
  handlerBackoff: { baseMs: 10, maxMs: 10 },
  fetchBackoff: { baseMs: 10, maxMs: 10 },
  tableBackoff: { baseMs: 10, maxMs: 10 },
};

/** A discovery and what the index lags behind. */
const NOTICE_MS = 400;

const shardA = {
  shardId: 'a',
  parentShardIds: [],
  hashKeyRange: { start: MIN_HASH_KEY, end: MAX_HASH_KEY },
  startingSequenceNumber: 1n,
  endingSequenceNumber: undefined,
};
const childB = { shardId: 'b', parentShardIds: ['a'], hashKeyRange: shardA.hashKeyRange };

/** Answers table effects from a memory table at once; effects on the shard wait for the script. */
class Script {
  now = 0;
  readonly table: MemoryLeaseTable = new MemoryLeaseTable({ wallNow: () => this.now });
  readonly worker: Worker;
  readonly notices: Notice[] = [];
  /** Set: the row of this worker says that it moves the fleet's rows from three tables to one. */
  mover: string | undefined;
  /** Set: every effect on the table fails. */
  tableIsAway = false;
  #open: Effect[] = [];

  constructor(changes: Partial<WorkerOptions> = {}) {
    this.worker = new Worker({ ...options, ...changes });
  }

  start(): void {
    const streams = [{ streamId: undefined, initialPosition: 'TRIM_HORIZON' }] as const;
    this.#take(this.worker.step({ kind: 'streams', streams }, this.now, 0));
    this.#take(this.worker.step({ kind: 'start' }, this.now, 0));
  }

  /** Another process writes a metric row. */
  report(workerId: string, processId: string): void {
    this.table.apply({ kind: 'reportWorker', workerId, utilization: NOTHING_MEASURED, processId });
  }

  stop(): void {
    this.#take(this.worker.step({ kind: 'stop' }, this.now, 0));
  }

  pass(ms: number): void {
    const until = this.now + ms;
    while (this.worker.deadline() <= until) {
      this.now = Math.max(this.now, this.worker.deadline());
      this.#take(this.worker.step({ kind: 'tick' }, this.now, 0));
    }
    this.now = until;
  }

  /** The open effect of a kind. */
  open<K extends Effect['kind']>(kind: K): Extract<Effect, { kind: K }> {
    const effect = this.#open.find((candidate) => candidate.kind === kind);
    if (effect === undefined)
      throw new Error(`no ${kind} is open, only ${this.#open.map((other) => other.kind).join(', ')}`);
    return effect as Extract<Effect, { kind: K }>;
  }

  isOpen(kind: Effect['kind']): boolean {
    return this.#open.some((effect) => effect.kind === kind);
  }

  done<K extends Effect['kind']>(kind: K, result: Extract<Done, { effect: { kind: K } }>['result']): void {
    const effect = this.open(kind);
    this.#open = this.#open.filter((other) => other !== effect);
    this.#take(this.worker.step({ kind: 'done', effect, result } as Done, this.now, 0.5));
  }

  fail(kind: Effect['kind'], error: Error = new Error('scripted')): void {
    const effect = this.open(kind);
    this.#open = this.#open.filter((other) => other !== effect);
    this.#take(this.worker.step({ kind: 'failed', effect, error }, this.now, 0.5));
  }

  /** Starts the worker on shard a and lets its first fetch find one batch that ends at 7. */
  withBatch(): void {
    this.start();
    this.done('openShard', undefined);
    this.done('fetchBatch', {
      batch: { batchId: 1, recordCount: 2, byteCount: 2, last: parseCheckpoint('7') },
      atShardEnd: false,
      childShards: [],
    });
  }

  #withMover<R>(result: R): R {
    if (typeof result !== 'object' || result === null || !('workers' in result)) return result;
    const workers = (result.workers as WorkerRow[]).map((row) =>
      row.workerId === this.mover ? { ...row, movesRows: true } : row,
    );
    return { ...result, workers };
  }

  #take(effects: (Effect | Tell)[]): void {
    for (const effect of effects) {
      switch (effect.kind) {
        case 'tell':
          this.notices.push(effect.notice);
          break;
        case 'listShards':
          this.#take(this.worker.step({ kind: 'done', effect, result: { shards: [shardA] } }, this.now, 0));
          break;
        case 'openShard':
        case 'fetchBatch':
        case 'deliverBatch':
        case 'drainShard':
        case 'endShard':
        case 'closeShard':
          this.#open.push(effect);
          break;
        default: {
          if (this.tableIsAway) {
            this.#take(this.worker.step({ kind: 'failed', effect, error: new Error('away') }, this.now, 0));
            break;
          }
          const done = { kind: 'done', effect, result: this.#withMover(this.table.apply(effect)) } as Done;
          this.#take(this.worker.step(done, this.now, 0));
        }
      }
    }
  }
}

describe('a leader beside a worker that moves the rows of three tables into one', () => {
  /** 100 s, in which `java` goes on reporting if it lives. */
  function lead(script: Script, javaLives: boolean): void {
    for (let reports = 0; reports < 100; reports += 1) {
      if (javaLives) script.report('java', 'j');
      script.pass(1000);
    }
  }

  test('does one run, leaves the row to it, and stands back for two minutes', () => {
    const script = new Script();
    script.mover = 'java';
    script.report('java', 'j');
    script.start();
    script.pass(100);
    expect([...script.table.leases.values()].map(({ leaseKey, leaseOwner }) => [leaseKey, leaseOwner])).toEqual([
      ['a', expect.any(String)],
    ]);
    expect(script.table.leader).toBeUndefined();
    expect(script.notices).toContainEqual({ kind: 'leadershipLost' });
    lead(script, true);
    expect(script.table.leader).toBeUndefined();
    // Nobody took it in two minutes: the fleet gets another run.
    const before = script.notices.length;
    lead(script, true);
    expect(script.notices.slice(before).filter(({ kind }) => kind.startsWith('leadership'))).toEqual([
      { kind: 'leadershipGained' },
      { kind: 'leadershipLost' },
    ]);
  });

  test('leads on when that worker is silent', () => {
    const script = new Script();
    script.mover = 'java';
    script.report('java', 'j');
    script.start();
    lead(script, false);
    lead(script, false);
    expect(script.table.leader?.owner).toBe('me');
  });

  test('gives the row up for good when it stops while it stands back', () => {
    const script = new Script();
    script.mover = 'java';
    script.report('java', 'j');
    script.start();
    script.pass(100);
    script.stop();
    script.pass(3000);
    expect(script.worker.stopped).toBe(true);
    expect(script.table.leader).toBeUndefined();
  });
});

describe('Worker', () => {
  test('a lone worker leads, makes the first leases, gives them to itself and opens the shard without waiting', () => {
    const script = new Script();
    script.start();
    expect(script.now).toBe(0);
    expect(script.table.leader?.owner).toBe('me');
    expect(script.open('openShard')).toMatchObject({ shardId: 'a', checkpoint: { sequenceNumber: 'TRIM_HORIZON' } });
    expect(script.open('openShard').hashKeyRange).toEqual(shardA.hashKeyRange);
    expect(script.worker.view(0)).toMatchObject({
      leader: true,
      leases: [{ leaseKey: 'a', phase: 'opening', fresh: true }],
    });
  });

  test('the checkpoint follows the handler, and fetching goes on meanwhile', () => {
    const script = new Script();
    script.withBatch();
    expect(script.isOpen('fetchBatch')).toBe(true);
    expect(script.table.leases.get('a')?.checkpoint.sequenceNumber).toBe('TRIM_HORIZON');
    script.done('deliverBatch', { checkpoint: parseCheckpoint('7') });
    expect(script.table.leases.get('a')?.checkpoint).toEqual(parseCheckpoint('7'));
  });

  test('a handler that throws gets the same batch again after a back-off, and nothing is checkpointed', () => {
    const script = new Script();
    script.withBatch();
    expect(script.open('deliverBatch').attempt).toBe(1);
    script.fail('deliverBatch');
    expect(script.isOpen('deliverBatch')).toBe(false);
    script.pass(20);
    expect(script.open('deliverBatch')).toMatchObject({ batchId: 1, attempt: 2 });
    expect(script.table.leases.get('a')?.checkpoint.sequenceNumber).toBe('TRIM_HORIZON');
    expect(script.notices).toContainEqual(expect.objectContaining({ kind: 'handlerFailed', attempt: 1, retryInMs: 5 }));
  });

  test('a handler that throws in the midst of a batch gets the rest of it again, and what it finished is checkpointed', () => {
    const script = new Script();
    script.withBatch();
    const error = new Error('the second record is bad');
    script.done('deliverBatch', {
      checkpoint: parseCheckpoint('6'),
      rest: { kind: 'threw', attempt: 3, error, stops: false },
    });
    expect(script.table.leases.get('a')?.checkpoint).toEqual(parseCheckpoint('6'));
    expect(script.isOpen('deliverBatch')).toBe(false);
    expect(script.notices).toContainEqual({ kind: 'handlerFailed', leaseKey: 'a', attempt: 3, retryInMs: 5, error });
    expect(script.worker.view(script.now).leases).toMatchObject([{ handlerAttempt: 3, pendingBatchCount: 1 }]);
    script.pass(20);
    expect(script.open('deliverBatch')).toMatchObject({ batchId: 1, attempt: 4 });
    script.done('deliverBatch', { checkpoint: parseCheckpoint('7') });
    expect(script.table.leases.get('a')?.checkpoint).toEqual(parseCheckpoint('7'));
  });

  test('a handler that says how far it is goes on at once, and so does a drain: the rest is for the next owner', () => {
    const script = new Script();
    script.withBatch();
    script.done('deliverBatch', { checkpoint: parseCheckpoint('5'), rest: { kind: 'goesOn' } });
    expect(script.table.leases.get('a')?.checkpoint).toEqual(parseCheckpoint('5'));
    expect(script.open('deliverBatch')).toMatchObject({ batchId: 1, attempt: 1 });
    expect(script.notices.filter(({ kind }) => kind === 'handlerFailed')).toEqual([]);
    script.stop();
    script.done('deliverBatch', { checkpoint: parseCheckpoint('6'), rest: { kind: 'goesOn' } });
    expect(script.isOpen('deliverBatch')).toBe(false);
    script.pass(3000);
    script.done('drainShard', undefined);
    expect(script.table.leases.get('a')?.checkpoint).toEqual(parseCheckpoint('6'));
    expect(script.open('closeShard')).toMatchObject({ reason: 'stopping' });
  });

  test('a batch that stops the shard is not delivered again, and the lease is given up in good order all the same', () => {
    const script = new Script();
    script.withBatch();
    const rest = { kind: 'threw', attempt: 2, error: new Error('bad'), stops: true } as const;
    script.done('deliverBatch', { checkpoint: undefined, rest });
    script.pass(100_000);
    expect(script.isOpen('deliverBatch')).toBe(false);
    expect(script.table.leases.get('a')).toMatchObject({ leaseOwner: 'me', checkpoint: TRIM_HORIZON });
    script.stop();
    script.pass(3000);
    script.done('drainShard', undefined);
    expect(script.open('closeShard')).toMatchObject({ reason: 'stopping' });
  });

  test('at the end of a shard: the child lease, then shardEnded, then SHARD_END', () => {
    const script = new Script();
    script.withBatch();
    script.done('fetchBatch', { batch: undefined, atShardEnd: true, childShards: [childB] });
    expect(script.table.leases.has('b')).toBe(false);
    script.done('deliverBatch', { checkpoint: parseCheckpoint('7') });
    expect(script.table.leases.get('b')?.parentShardIds).toEqual(['a']);
    expect(script.table.leases.get('a')?.checkpoint).toEqual(parseCheckpoint('7'));
    script.done('endShard', undefined);
    expect(script.table.leases.get('a')).toMatchObject({ checkpoint: SHARD_END, childShardIds: ['b'] });
    script.done('closeShard', undefined);
    script.pass(700);
    expect(script.open('openShard').shardId).toBe('b');
  });

  test("a merge's child is not created before the other parent has a lease", () => {
    const script = new Script();
    script.withBatch();
    const merged = { ...childB, parentShardIds: ['a', 'z'] };
    script.done('deliverBatch', { checkpoint: parseCheckpoint('7') });
    script.done('fetchBatch', { batch: undefined, atShardEnd: true, childShards: [merged] });
    script.pass(1000);
    expect(script.table.leases.has('b')).toBe(false);
    const { hashKeyRange } = shardA;
    const otherParent = newLease({ shardId: 'z', parentShardIds: [], hashKeyRange }, TRIM_HORIZON);
    script.table.apply({ kind: 'createLease', lease: otherParent, leaseKey: 'z', tenure: undefined });
    script.pass(100);
    expect(script.table.leases.has('b')).toBe(true);
  });

  test('a manual checkpoint is settled when it is written, refused past what was delivered', () => {
    const script = new Script();
    script.withBatch();
    const ask = (position: string, requestId: number) => {
      const { tenure } = script.open('deliverBatch');
      const event = {
        kind: 'checkpointRequested',
        leaseKey: 'a',
        tenure,
        position: parseCheckpoint(position),
        prepare: undefined,
        requestId,
      } as const;
      return script.worker.step(event, script.now, 0);
    };
    expect(ask('9', 1)).toContainEqual({
      kind: 'tell',
      notice: { kind: 'checkpointSettled', requestId: 1, outcome: { from: TRIM_HORIZON, to: parseCheckpoint('7') } },
    });
    expect(ask('5', 2)).toMatchObject([{ kind: 'checkpointLease', checkpoint: parseCheckpoint('5') }]);
  });

  test('stop waits for the handler, checkpoints, releases the lease and the Leader row, forgets the worker', () => {
    const script = new Script();
    script.withBatch();
    script.stop();
    expect(script.isOpen('drainShard')).toBe(false);
    script.done('deliverBatch', { checkpoint: parseCheckpoint('7') });
    script.done('drainShard', undefined);
    expect(script.open('closeShard').reason).toBe('stopping');
    script.done('closeShard', undefined);
    expect(script.table.leases.get('a')).toMatchObject({ leaseOwner: undefined, checkpoint: parseCheckpoint('7') });
    expect(script.table.leader).toBeUndefined();
    expect(script.table.workers.size).toBe(0);
    expect(script.notices.at(-1)).toEqual({ kind: 'stopped', abandoned: [] });
    expect(script.worker.deadline()).toBe(Number.POSITIVE_INFINITY);
  });

  test('a worker that leaves tells its heir by the row, reads on until it can know, and gives the lease after its handler has returned', () => {
    const script = new Script();
    script.withBatch();
    script.report('other', 'process-of-other');
    script.stop();
    // The lock on its worker id: a newcomer under it would take the lease up, beside the handler.
    expect(script.table.workers.get('me')).toMatchObject({ leaves: true });
    expect(script.table.leases.get('a')).toMatchObject({ leaseOwner: 'other', checkpointOwner: 'me' });
    script.done('deliverBatch', { checkpoint: parseCheckpoint('7') });
    expect(script.isOpen('fetchBatch')).toBe(true);
    expect(script.isOpen('drainShard')).toBe(false);
    script.pass(NOTICE_MS);
    script.done('fetchBatch', { batch: undefined, atShardEnd: false, childShards: [] });
    script.done('drainShard', undefined);
    expect(script.table.leases.get('a')).toMatchObject({ leaseOwner: 'other', checkpointOwner: 'me' });
    expect(script.table.workers.has('me')).toBe(true);
    script.done('closeShard', undefined);
    expect(script.table.workers.has('me')).toBe(false);
    expect(script.table.leases.get('a')).toMatchObject({
      leaseOwner: 'other',
      checkpointOwner: undefined,
      checkpoint: parseCheckpoint('7'),
    });
    expect(script.notices.at(-1)).toEqual({ kind: 'stopped', abandoned: [] });
  });

  test('a worker that leaves does not wait for a Java heir to know, which would take ten seconds', () => {
    const script = new Script();
    script.withBatch();
    script.table.workers.set('java', { lastUpdateSeconds: 0, utilization: NOTHING_MEASURED, process: undefined });
    script.stop();
    expect(script.table.leases.get('a')).toMatchObject({ leaseOwner: 'me', checkpointOwner: undefined });
    script.done('deliverBatch', { checkpoint: parseCheckpoint('7') });
    script.done('drainShard', undefined);
    script.done('closeShard', undefined);
    expect(script.table.leases.get('a')).toMatchObject({ leaseOwner: 'java', checkpoint: parseCheckpoint('7') });
  });

  test('a worker that leaves gives nothing to one whose row is stale', () => {
    const script = new Script();
    script.report('other', 'process-of-other');
    script.pass(3500);
    script.withBatch();
    script.stop();
    script.done('deliverBatch', { checkpoint: parseCheckpoint('7') });
    script.done('drainShard', undefined);
    script.done('closeShard', undefined);
    expect(script.table.leases.get('a')?.leaseOwner).toBeUndefined();
  });

  test('leases that are held are not read again by discovery', () => {
    const script = new Script();
    script.withBatch();
    const asked: Effect[] = [];
    const { apply } = script.table;
    script.table.apply = (effect) => {
      asked.push(effect);
      return apply.call(script.table, effect) as never;
    };
    script.pass(300);
    expect(asked.filter(({ kind }) => kind === 'discoverLeases')).toEqual([
      { kind: 'discoverLeases', owner: 'me', held: ['a'] },
    ]);
  });

  test('stop does not wait for a table that is away longer than the lease lasts', () => {
    const script = new Script();
    script.withBatch();
    script.tableIsAway = true;
    script.stop();
    script.done('deliverBatch', { checkpoint: parseCheckpoint('7') });
    script.done('drainShard', undefined);
    script.pass(880);
    expect(script.isOpen('closeShard')).toBe(false);
    script.pass(40);
    script.done('closeShard', undefined);
    script.pass(20);
    expect(script.notices.at(-1)).toEqual({ kind: 'stopped', abandoned: [] });
    expect(script.table.leases.get('a')?.checkpoint.sequenceNumber).toBe('TRIM_HORIZON');
  });

  test('the view says how often the handler threw, between the tries as well', () => {
    const script = new Script();
    script.withBatch();
    script.fail('deliverBatch');
    expect(script.worker.view(script.now).leases[0]?.handlerAttempt).toBe(1);
    script.pass(20);
    script.fail('deliverBatch');
    expect(script.worker.view(script.now).leases[0]?.handlerAttempt).toBe(2);
  });

  test('the view says since when a lease that could not be renewed was not, until it is again', () => {
    const script = new Script();
    script.withBatch();
    const staleSince = (): number | undefined => script.worker.view(script.now).leases[0]?.staleSince;
    script.tableIsAway = true;
    script.pass(options.failoverTimeMs - 10);
    expect(staleSince()).toBeUndefined();
    script.pass(10);
    expect(staleSince()).toBe(0);
    script.tableIsAway = false;
    script.pass(100);
    expect(staleSince()).toBeUndefined();
  });

  test('a handler that never returns is aborted after shutdownGraceMs and named at the end', () => {
    const script = new Script();
    script.withBatch();
    script.stop();
    script.pass(1000);
    expect(script.open('closeShard').reason).toBe('stopping');
    script.pass(1000);
    expect(script.notices.at(-1)).toEqual({ kind: 'stopped', abandoned: ['a'] });
    // Not released: the handler may still run.
    expect(script.table.leases.get('a')?.leaseOwner).toBe('me');
  });

  test('a lost lease aborts the shard at once, and the lease is taken up again only after the handler returned', () => {
    const script = new Script();
    script.withBatch();
    const lease = script.table.leases.get('a');
    script.table.leases.set('a', { ...(lease as NonNullable<typeof lease>), leaseCounter: 90 });
    script.pass(700);
    expect(script.open('closeShard').reason).toBe('leaseLost');
    expect(script.isOpen('openShard')).toBe(false);
    script.done('closeShard', undefined);
    script.pass(700);
    expect(script.open('openShard').tenure).toBe(2);
  });

  test('a step after stopping does nothing', () => {
    const script = new Script();
    script.stop();
    expect(script.notices).toEqual([{ kind: 'stopped', abandoned: [] }]);
    expect(script.worker.step({ kind: 'tick' }, 1, 0)).toEqual([]);
  });
});

describe('a lease that does not get on', () => {
  const impatient = { stallWarningMs: 10_000, stallLimitMs: 30_000 };
  const stalls = (script: Script): unknown[] =>
    script.notices.flatMap((notice) =>
      notice.kind === 'stall' ? [`${notice.state} ${notice.reason} ${Math.round(notice.forMs / 1000)}`] : [],
    );
  const nothing = { batch: undefined, atShardEnd: false, childShards: [] };
  const ahead = { ...nothing, batch: { batchId: 2, recordCount: 5, byteCount: 50, last: parseCheckpoint('9') } };

  test('is told of at twice the age each time, with the position and the batch', () => {
    const script = new Script();
    script.withBatch();
    script.done('fetchBatch', ahead);
    script.pass(85_000);
    expect(stalls(script)).toEqual(['stalled handler 20', 'stalled handler 40', 'stalled handler 80']);
    const notice = script.notices.find(({ kind }) => kind === 'stall');
    expect(notice).toMatchObject({ leaseKey: 'a', holdsLease: true, position: parseCheckpoint('7') });
    expect(notice).toMatchObject({ batch: { recordCount: 2, byteCount: 2 } });
    expect(script.worker.view(script.now).leases[0]?.stall).toMatchObject({ state: 'stalled', reason: 'handler' });
    script.done('deliverBatch', { checkpoint: parseCheckpoint('7') });
    script.pass(1000);
    expect(stalls(script).at(-1)).toMatch(/^over handler 8/);
    expect(script.worker.view(script.now).leases[0]?.stall).toBeUndefined();
  });

  test('is given up past the limit, and released only once the handler has returned', () => {
    const script = new Script(impatient);
    script.withBatch();
    script.done('fetchBatch', ahead);
    script.pass(31_000);
    expect(script.open('closeShard').reason).toBe('stalled');
    script.pass(5_000);
    expect(stalls(script)).toEqual([
      'stalled handler 10',
      'stalled handler 20',
      'givenUp handler 30',
      'stuck handler 1',
      'stuck handler 2',
      'stuck handler 4',
    ]);
    // Ours, and renewed: nobody else may have the shard while the handler runs.
    const { leaseOwner, leaseCounter } = script.table.leases.get('a') ?? {};
    expect(leaseOwner).toBe('me');
    script.pass(2_000);
    expect(script.table.leases.get('a')?.leaseCounter).toBeGreaterThan(leaseCounter ?? 0);
    // What a handler returns after its signal was aborted vouches for nothing.
    script.done('deliverBatch', { checkpoint: parseCheckpoint('7') });
    script.done('closeShard', undefined);
    expect(script.notices).toContainEqual({ kind: 'leaseEnded', leaseKey: 'a', tenure: 1, reason: 'stalled' });
    expect(script.table.leases.get('a')).toMatchObject({ checkpoint: TRIM_HORIZON });
    expect(script.table.leases.get('a')?.leaseOwner).toBeUndefined();
    // Here nobody else is there to take it: it begins anew, in another tenure.
    script.pass(1_000);
    expect(script.open('openShard').tenure).toBe(2);
  });

  test('writes what was finished before it goes', () => {
    const script = new Script({ ...impatient, checkpointIntervalMs: 1e9 });
    script.withBatch();
    const batch = { batchId: 2, recordCount: 1, byteCount: 1, last: parseCheckpoint('9') };
    script.done('fetchBatch', { ...nothing, batch });
    script.done('deliverBatch', { checkpoint: parseCheckpoint('7') });
    script.pass(40_000);
    script.done('closeShard', undefined);
    expect(script.table.leases.get('a')).toMatchObject({ checkpoint: parseCheckpoint('7') });
  });

  test('is one whose reads fail, or are never answered, but not one whose reads are throttled', () => {
    const script = new Script(impatient);
    script.start();
    script.done('openShard', undefined);
    const throttled = new OperatingError('THROTTLED', 'slow down', { retryable: true });
    for (let second = 0; second < 60; second += 1) {
      script.fail('fetchBatch', throttled);
      script.pass(1000);
    }
    expect(stalls(script)).toEqual([]);
    for (let second = 0; second < 12; second += 1) {
      script.fail('fetchBatch');
      script.pass(1000);
    }
    expect(stalls(script)).toEqual(['stalled read 10']);
    script.pass(20_000);
    expect(stalls(script).slice(1)).toEqual(['stalled read 20', 'givenUp read 30', 'stuck handler 1']);
    expect(script.open('closeShard').reason).toBe('stalled');
  });

  test('is one whose checkpoint is due and cannot be written', () => {
    const script = new Script(impatient);
    script.withBatch();
    script.tableIsAway = true;
    script.done('deliverBatch', { checkpoint: parseCheckpoint('7') });
    for (let second = 0; second < 12; second += 1) {
      script.done('fetchBatch', nothing);
      script.pass(1000);
    }
    expect(stalls(script)).toEqual(['stalled checkpoint 10']);
    script.tableIsAway = false;
    script.pass(1000);
    expect(stalls(script).at(-1)).toMatch(/^over checkpoint 1/);
  });

  test('is not one that has nothing to read, that waits for its parents, or whose handler throws', () => {
    const idle = new Script(impatient);
    idle.start();
    idle.done('openShard', undefined);
    for (let second = 0; second < 60; second += 1) {
      idle.done('fetchBatch', nothing);
      idle.pass(1000);
    }
    const throwing = new Script(impatient);
    throwing.withBatch();
    for (let second = 0; second < 60; second += 1) {
      throwing.fail('deliverBatch');
      if (throwing.isOpen('fetchBatch')) throwing.done('fetchBatch', nothing);
      throwing.pass(1000);
    }
    const child = new Script(impatient);
    child.table.apply({ kind: 'createLease', lease: newLease(shardA, TRIM_HORIZON), leaseKey: 'a', tenure: undefined });
    child.table.apply({ kind: 'createLease', lease: newLease(childB, TRIM_HORIZON), leaseKey: 'b', tenure: undefined });
    child.start();
    child.done('openShard', undefined);
    for (let second = 0; second < 60; second += 1) {
      child.done('fetchBatch', nothing);
      child.pass(1000);
    }
    expect(child.worker.view(child.now).leases.map(({ phase }) => phase)).toContain('waitingForParents');
    expect([idle, throwing, child].flatMap(stalls)).toEqual([]);
  });

  test('is not one of a process that was suspended, whatever the clock says then', () => {
    const script = new Script(impatient);
    script.withBatch();
    script.done('fetchBatch', ahead);
    script.pass(5_000);
    for (let sleep = 0; sleep < 3; sleep += 1) {
      script.now += 3_600_000;
      script.pass(100);
    }
    expect(stalls(script)).toEqual([]);
    script.pass(4_000);
    expect(stalls(script)).toEqual(['stalled handler 10']);
  });

  test('that was lost is told of too while its handler does not return: this worker cannot take it again before', () => {
    const script = new Script(impatient);
    script.withBatch();
    const lease = script.table.leases.get('a');
    script.table.leases.set('a', { ...(lease as NonNullable<typeof lease>), leaseCounter: 90 });
    script.pass(2_500);
    expect(script.open('closeShard').reason).toBe('leaseLost');
    expect(stalls(script)).toEqual(['stuck handler 1']);
    expect(script.notices.find(({ kind }) => kind === 'stall')).toMatchObject({ holdsLease: false });
  });
});
