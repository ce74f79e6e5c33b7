import { MAX_HASH_KEY, MIN_HASH_KEY, TRIM_HORIZON } from '@shardline/common';
import { describe, expect, test } from 'vitest';
import { leaderOptions } from '../../test/core-options.ts';
import { MemoryLeaseTable } from '../lease-table/memory.ts';
import { FleetVersion } from './client-version.ts';
import type { Done, Effect, TableEffect, Tell } from './effects.ts';
import { Leader, type LeaderOptions } from './leader.ts';
import { type Lease, NOTHING_MEASURED, newLease } from './lease.ts';

/** A leader on a memory table: effects wait until the script answers them. */
class Script {
  now = 0;
  readonly table: MemoryLeaseTable = new MemoryLeaseTable({ wallNow: () => this.now });
  readonly runsAt: number[] = [];
  readonly endedAt: number[] = [];
  readonly #out: (Effect | Tell)[] = [];
  readonly #leader: Leader;
  readonly #held = new Set(['assignLease', 'handOffLease']);
  #open: TableEffect[] = [];

  constructor(leaseCount: number, changes: Partial<LeaderOptions> = {}) {
    const own = { ...leaderOptions, ...changes };
    const version = new FleetVersion({ ...own, flipTo3xStabilizerTimeMs: 0, rollForwardMs: 0, strangerMs: 0 }, []);
    this.#leader = new Leader(own, this.#out as Effect[], version);
    this.#leader.track([{ streamId: undefined, initialPosition: 'TRIM_HORIZON' }], this.now);
    const hashKeyRange = { start: MIN_HASH_KEY, end: MAX_HASH_KEY };
    for (let index = 0; index < leaseCount; index += 1) {
      const lease = newLease({ shardId: `s${index}`, parentShardIds: [], hashKeyRange }, TRIM_HORIZON);
      this.table.apply({ kind: 'createLease', lease, leaseKey: lease.leaseKey, tenure: undefined });
    }
    this.report('me');
  }

  report(workerId: string): void {
    this.table.apply({ kind: 'reportWorker', workerId, utilization: NOTHING_MEASURED, processId: workerId });
  }

  /** The assignments under way. */
  get assignments(): TableEffect[] {
    return this.#open.filter(({ kind }) => kind === 'assignLease' || kind === 'handOffLease');
  }

  /** Lets time pass and answers everything but assignments at once. */
  pass(ms: number): void {
    const until = this.now + ms;
    this.#leader.advance(this.now);
    this.#take();
    while (this.#leader.deadline() <= until) {
      this.now = Math.max(this.now, this.#leader.deadline());
      this.#leader.advance(this.now);
      this.#take();
    }
    this.now = until;
  }

  /** Lists nothing until it is answered. */
  holdListings(): void {
    this.#held.add('listShards');
  }

  answerListings(): void {
    const listings = this.#open.filter(({ kind }) => (kind as string) === 'listShards');
    this.#open = this.#open.filter((effect) => !listings.includes(effect));
    for (const listing of listings) this.#answer(listing);
    this.#take();
  }

  /** Answers so many assignments, the first first. */
  answer(count: number): void {
    for (const effect of this.assignments.slice(0, count)) {
      this.#open = this.#open.filter((other) => other !== effect);
      this.#answer(effect);
      this.#take();
    }
  }

  #take(): void {
    for (const effect of this.#out.splice(0)) {
      if (effect.kind === 'tell') {
        if (effect.notice.kind === 'runEnded') this.endedAt.push(this.now);
        continue;
      }
      if (effect.kind === 'readTable') this.runsAt.push(this.now);
      if (this.#held.has(effect.kind)) this.#open.push(effect as TableEffect);
      else this.#answer(effect);
    }
    if (this.#out.length > 0) this.#take();
  }

  /** As their owners do. */
  renewAll(): void {
    for (const [key, lease] of this.table.leases)
      this.table.leases.set(key, { ...lease, leaseCounter: lease.leaseCounter + 1 });
  }

  #answer(effect: Effect): void {
    const result = effect.kind === 'listShards' ? { shards: [] } : this.table.apply(effect as TableEffect);
    this.#leader.done({ kind: 'done', effect, result } as Done, this.now);
  }
}

describe('the writes of a plan', () => {
  test('are 16 at a time, the next one begun when one is answered, and all of them in the end', () => {
    const script = new Script(100);
    script.pass(0);
    expect(script.assignments).toHaveLength(16);
    script.answer(3);
    expect(script.assignments).toHaveLength(16);
    for (let answered = 3; answered < 100; answered += 1) script.answer(1);
    expect(script.assignments).toHaveLength(0);
    expect([...script.table.leases.values()].every(({ leaseOwner }) => leaseOwner === 'me')).toBe(true);
  });

  test('are begun no later than the leader is sure to lead', () => {
    // No heartbeat lands: the row is another's by then.
    const script = new Script(100, { leaseAssignmentIntervalMs: 1_000_000 });
    script.pass(0);
    script.table.leader = { owner: 'other', version: 'theirs', leaseDurationMs: 30_000 };
    script.pass(27_000);
    script.answer(16);
    expect(script.assignments).toHaveLength(0);
    expect([...script.table.leases.values()].filter(({ leaseOwner }) => leaseOwner === 'me')).toHaveLength(16);
  });

  test('are planned anew when an interval has passed since the table was read', () => {
    const script = new Script(100);
    script.pass(0);
    script.report('late');
    script.pass(10_000);
    expect(script.runsAt).toEqual([0]);
    script.answer(15);
    expect(script.endedAt).toEqual([]);
    script.answer(1);
    expect(script.endedAt).toEqual([10_000]);
    script.pass(0);
    expect(script.runsAt).toEqual([0, 10_000]);
    for (let rounds = 0; rounds < 10; rounds += 1) script.answer(16);
    const late = [...script.table.leases.values()].filter(({ leaseOwner }) => leaseOwner === 'late');
    expect(late).toHaveLength(50);
  });
});

describe('a run during which the row is lost and gained again', () => {
  /** Somebody deletes the row by hand, or another worker has it for a moment. */
  const loseAndGain = (script: Script): void => {
    script.table.leader = undefined;
    script.pass(15_000);
    expect(script.table.leader).toMatchObject({ owner: 'me' });
  };

  test('plans nothing from what it has read, and is followed by another at once', () => {
    const script = new Script(3);
    const [owned] = script.table.leases.values();
    script.table.leases.set('s0', { ...(owned as Lease), leaseOwner: 'me', leaseCounter: 5 });
    script.holdListings();
    script.pass(0);
    loseAndGain(script);
    script.answerListings();
    expect(script.assignments).toHaveLength(0);
    script.pass(0);
    expect(script.runsAt).toHaveLength(2);
    script.answerListings();
    script.answer(3);
    expect([...script.table.leases.values()].every(({ leaseOwner }) => leaseOwner === 'me')).toBe(true);
  });

  test('begins no further write of its plan', () => {
    const script = new Script(100, { leaseAssignmentIntervalMs: 1_000_000 });
    script.pass(0);
    loseAndGain(script);
    script.answer(16);
    expect(script.runsAt).toHaveLength(1);
    expect(script.assignments).toHaveLength(0);
    script.pass(0);
    expect(script.runsAt).toHaveLength(2);
    expect(script.assignments).toHaveLength(16);
  });
});

describe.each(['count', 'utilization'] as const)('a live lease, by %s', (assignmentStrategy) => {
  test('goes only to a worker that was seen to live, and the share of another one is kept for it', () => {
    const script = new Script(6, { assignmentStrategy });
    for (const [key, lease] of script.table.leases)
      script.table.leases.set(key, { ...lease, leaseOwner: 'me', leaseCounter: 5, throughputKBps: 100 });
    for (const workerId of ['newcomer', 'other']) script.report(workerId);
    const last = script.table.workers.get('other');
    // As a worker that joined lately, or one that died, has left it.
    script.table.workers.set('other', { ...(last as NonNullable<typeof last>), lastUpdateSeconds: -20 });
    const moved = (): unknown[] => script.assignments.map((effect) => (effect as { to?: string }).to);
    const answerAll = (): void => {
      while (script.assignments.length > 0) script.answer(1);
    };
    script.pass(0);
    // By utilization a part of what is too much.
    expect(moved()).toEqual(assignmentStrategy === 'count' ? ['newcomer', 'newcomer'] : ['newcomer']);
    answerAll();
    script.pass(1_250);
    expect(script.runsAt).toEqual([0, 1_250]);
    expect(moved()).toEqual([]);
  });

  test('that is for a worker that was not seen to live yet moves as soon as that one was', () => {
    const script = new Script(4, { assignmentStrategy });
    for (const [key, lease] of script.table.leases)
      script.table.leases.set(key, { ...lease, leaseOwner: 'me', leaseCounter: 5, throughputKBps: 100 });
    script.report('other');
    const last = script.table.workers.get('other');
    script.table.workers.set('other', { ...(last as NonNullable<typeof last>), lastUpdateSeconds: -20 });
    script.pass(1_250);
    expect(script.runsAt).toEqual([0, 1_250]);
    expect(script.assignments).toHaveLength(0);
    script.report('other');
    script.pass(2_500);
    expect(script.assignments).toHaveLength(assignmentStrategy === 'count' ? 2 : 1);
  });
});

describe('runs', () => {
  test('follow each other sooner after a change, then ever more slowly', () => {
    const script = new Script(12, { failoverTimeMs: Number.MAX_SAFE_INTEGER, leaseFindingMs: Number.MAX_SAFE_INTEGER });
    script.pass(0);
    script.answer(12);
    const pass = (ms: number, until: () => boolean = () => false): void => {
      for (let passed = 0; passed < ms && !until(); passed += 100) {
        script.renewAll();
        script.pass(100);
      }
    };
    const gapsFrom = (first: number): number[] => {
      const runsAt = script.runsAt.slice(first);
      return runsAt.slice(1).map((at, index) => at - (runsAt[index] as number));
    };
    // Until what was given is seen to be held.
    pass(30_000);
    expect(gapsFrom(0)).toEqual([1_250, 2_500, 10_000, 10_000]);
    const settledCount = script.runsAt.length;
    for (const workerId of ['w1', 'w2', 'w3']) {
      script.report(workerId);
      pass(20_000, () => script.assignments.length > 0);
      script.answer(12);
    }
    pass(60_000);
    expect(gapsFrom(settledCount).slice(0, 5)).toEqual([1_250, 2_500, 5_000, 10_000, 10_000]);
  });
});
