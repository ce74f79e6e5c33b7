// The Leader row alone: who takes it over when, and how long its holder writes for the fleet. On the memory table, by the clock.
import { MAX_HASH_KEY, MIN_HASH_KEY, TRIM_HORIZON } from '@shardline/common';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { leaderOptions } from '../../test/core-options.ts';
import { MemoryLeaseTable } from '../lease-table/memory.ts';
import { FleetVersion } from './client-version.ts';
import type { Done, Effect, Failed, TableEffect } from './effects.ts';
import { Leader, type LeaderOptions } from './leader.ts';
import { newLease } from './lease.ts';

const DURATION_MS = 30_000;
/** Between two looks at a row that is about to run out. */
const RETRY_MS = 1_000;
/** What a Java worker writes by its defaults, and how often. */
const JAVA = { leaseDurationMs: 120_000, heartbeatMs: 30_000 } as const;

function optionsOf(workerId: string, index: number): LeaderOptions {
  return {
    ...leaderOptions,
    workerId,
    incarnation: `0000000${index}-0000-4000-8000-000000000000`,
    leaseAssignmentIntervalMs: 2_000,
    leaderLeaseDurationMs: DURATION_MS,
    retryMs: RETRY_MS,
  };
}

/** Some leaders on one table; every effect is answered at once, unless the row cannot be written. */
class Fleet {
  now = 0;
  readonly table: MemoryLeaseTable = new MemoryLeaseTable({ wallNow: () => this.now });
  /** When a worker began something for the fleet: any effect but those on the row. */
  readonly begun: { readonly workerId: string; readonly at: number }[] = [];
  rowFails = false;
  /** Looks at the row. */
  lookCount = 0;
  readonly #workers: { readonly id: string; readonly leader: Leader; readonly out: Effect[]; alive: boolean }[] = [];

  add(id: string): void {
    const out: Effect[] = [];
    const options = optionsOf(id, this.#workers.length);
    const version = new FleetVersion({ ...options, flipTo3xStabilizerTimeMs: 0, rollForwardMs: 0, strangerMs: 0 }, []);
    const leader = new Leader(options, out, version);
    leader.track([{ streamId: undefined, initialPosition: 'TRIM_HORIZON' }], this.now);
    this.#workers.push({ id, leader, out, alive: true });
  }

  kill(id: string): void {
    for (const worker of this.#workers) if (worker.id === id) worker.alive = false;
  }

  leads(id: string): boolean {
    return this.#workers.some((worker) => worker.id === id && worker.alive && worker.leader.isLeader(this.now));
  }

  /** Lets time pass until `done` holds; says when it did. */
  pass(untilMs: number, done: () => boolean = () => false): number {
    while (!done()) {
      const alive = this.#workers.filter((worker) => worker.alive);
      const next = Math.min(...alive.map(({ leader }) => leader.deadline()));
      if (next > untilMs) {
        this.now = untilMs;
        break;
      }
      this.now = Math.max(this.now, next);
      for (const worker of alive) {
        worker.leader.advance(this.now);
        this.#carryOut(worker);
      }
    }
    return this.now;
  }

  #carryOut({ id, leader, out }: { readonly id: string; readonly leader: Leader; readonly out: Effect[] }): void {
    for (let effect = out.shift(); effect !== undefined; effect = out.shift()) {
      if ((effect.kind as string) === 'tell') continue;
      if (effect.kind === 'readLeader') this.lookCount += 1;
      const isOfRow = effect.kind === 'readLeader' || effect.kind === 'writeLeader' || effect.kind === 'deleteLeader';
      if (!isOfRow) this.begun.push({ workerId: id, at: this.now });
      if (effect.kind === 'writeLeader' && this.rowFails) {
        leader.failed({ kind: 'failed', effect, error: new Error('no answer') } as Failed, this.now);
        continue;
      }
      const result = effect.kind === 'listShards' ? { shards: [] } : this.table.apply(effect as TableEffect);
      leader.done({ kind: 'done', effect, result } as Done, this.now);
    }
  }
}

describe('a leader that dies', () => {
  test('is followed by another of ours: not before its duration has passed since its heartbeat, and that and a second after its death at most', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 60_000 }), fc.integer({ min: 1, max: 60_000 }), (lead, share) => {
        const fleet = new Fleet();
        fleet.add('first');
        fleet.pass(lead);
        fleet.add('second');
        const diedAt = fleet.pass(lead + share);
        const { version } = fleet.table.leader ?? {};
        fleet.kill('first');
        const ledAt = fleet.pass(diedAt + 10 * DURATION_MS, () => fleet.leads('second'));
        expect(fleet.table.leader?.version).not.toBe(version);
        // Its last heartbeat was up to a quarter of the duration before its death.
        expect(ledAt - diedAt).toBeGreaterThan(DURATION_MS * 0.75);
        expect(ledAt - diedAt).toBeLessThanOrEqual(DURATION_MS + RETRY_MS + 1);
      }),
      { numRuns: 200 },
    );
  });

  test('and was a Java worker is followed when the duration in its row has passed, whatever ours writes', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: JAVA.heartbeatMs }), (offset) => {
        const fleet = new Fleet();
        const beat = (n: number): void => {
          const { leaseDurationMs } = JAVA;
          fleet.table.leader = { owner: 'java', version: `v${n}`, leaseDurationMs };
        };
        beat(0);
        fleet.add('ours');
        for (let n = 1; n <= 10; n += 1) {
          fleet.pass(offset + n * JAVA.heartbeatMs, () => fleet.leads('ours'));
          expect(fleet.leads('ours')).toBe(false);
          beat(n);
        }
        const lastBeatAt = fleet.now;
        const ledAt = fleet.pass(lastBeatAt + 10 * JAVA.leaseDurationMs, () => fleet.leads('ours'));
        expect(ledAt - lastBeatAt).toBeGreaterThan(JAVA.leaseDurationMs);
        // Seen a second after it was written at the latest.
        expect(ledAt - lastBeatAt).toBeLessThanOrEqual(JAVA.leaseDurationMs + RETRY_MS + 1);
        expect(fleet.table.leader).toMatchObject({ owner: 'ours', leaseDurationMs: DURATION_MS });
      }),
    );
  });

  test('and released its row in good order is followed at the next look', () => {
    const fleet = new Fleet();
    fleet.table.leader = { owner: 'java', version: 'v', leaseDurationMs: JAVA.leaseDurationMs };
    fleet.add('ours');
    fleet.pass(20_000);
    fleet.table.leader = undefined;
    expect(fleet.pass(120_000, () => fleet.leads('ours')) - 20_000).toBeLessThanOrEqual(DURATION_MS / 4);
  });
});

test.each([1, 0.999, 1.001])(
  'a live leader, by a clock that runs %d times as fast, costs each other worker six looks in five heartbeats',
  (rate) => {
    const fleet = new Fleet();
    let beatCount = 0;
    const beatMs = DURATION_MS / 4 / rate;
    const beat = (): void => {
      beatCount += 1;
      fleet.table.leader = { owner: 'first', version: `v${beatCount}`, leaseDurationMs: DURATION_MS };
    };
    beat();
    fleet.add('other');
    for (let n = 1; n <= 200; n += 1) {
      fleet.pass(n * beatMs);
      beat();
    }
    // And those that it takes to learn when the heartbeats come.
    expect(fleet.lookCount).toBeLessThanOrEqual(200 * 1.2 + beatMs / RETRY_MS);
    const diedAt = fleet.now;
    const ledAt = fleet.pass(diedAt + 10 * DURATION_MS, () => fleet.leads('other'));
    expect(ledAt - diedAt).toBeGreaterThan(DURATION_MS);
    expect(ledAt - diedAt).toBeLessThanOrEqual(DURATION_MS + RETRY_MS + 1);
  },
);

test('a leader whose heartbeats fail begins nothing for the fleet later than its duration, less a tenth, after the last good one', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 60_000 }), (ledMs) => {
      const fleet = new Fleet();
      const hashKeyRange = { start: MIN_HASH_KEY, end: MAX_HASH_KEY };
      const lease = newLease({ shardId: 's', parentShardIds: [], hashKeyRange }, TRIM_HORIZON);
      fleet.table.apply({ kind: 'createLease', lease, leaseKey: 's', tenure: undefined });
      fleet.add('ours');
      fleet.pass(ledMs);
      const lastGoodAt = Math.floor(ledMs / (DURATION_MS / 4)) * (DURATION_MS / 4);
      fleet.rowFails = true;
      fleet.pass(ledMs + 5 * DURATION_MS);
      const lastAt = fleet.begun.at(-1)?.at ?? 0;
      expect(lastAt).toBeLessThan(lastGoodAt + DURATION_MS * 0.9);
      // It goes on until then, or nothing would be proven.
      expect(lastAt).toBeGreaterThan(lastGoodAt + DURATION_MS * 0.9 - 2 * 2_000);
    }),
  );
});
