import { MAX_HASH_KEY, MIN_HASH_KEY, parseCheckpoint } from '@shardline/common';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Done, Effect, Tell } from './effects.ts';
import { type Lease, newLease } from './lease.ts';
import type { Notice } from './notice.ts';
import { planTakes, type RestingLease, Taker } from './taker.ts';

const F = 1000;
const rules = {
  workerId: 'me',
  failoverTimeMs: F,
  maxLeasesForWorker: 100,
  maxLeasesToStealAtOneTime: 1,
};

function lease(leaseKey: string, leaseOwner: string | undefined, more: Partial<Lease> = {}): Lease {
  const shard = { shardId: leaseKey, parentShardIds: [], hashKeyRange: { start: MIN_HASH_KEY, end: MAX_HASH_KEY } };
  return { ...newLease(shard, parseCheckpoint('TRIM_HORIZON')), leaseOwner, ...more };
}

/** `a` and `b` stand for owners, `-` for nobody; a number behind is how long the counter has rested, in failover times. */
function resting(...texts: string[]): RestingLease[] {
  return texts.map((text, index) => {
    const [owner = '-', rest = '0'] = text.split(' ');
    return { lease: lease(`shard-${index}`, owner === '-' ? undefined : owner), restMs: Number(rest) * F };
  });
}

function counts(leases: readonly RestingLease[], more: Partial<typeof rules> = {}): { taken: number; stolen: number } {
  const { taken, stolen } = planTakes(leases, new Set(), { ...rules, ...more }, 0.3);
  return { taken: taken.length, stolen: stolen.length };
}

describe('one run of the KCL 2.x DynamoDBLeaseTaker', () => {
  test.each<[string, string[], Partial<typeof rules>, { taken: number; stolen: number }]>([
    ['nothing of an empty table', [], {}, { taken: 0, stolen: 0 }],
    ['all that nobody owns, if it is alone', ['-', '-', '-'], {}, { taken: 3, stolen: 0 }],
    ['its share of what nobody owns', ['a', '-', '-', '-'], {}, { taken: 2, stolen: 0 }],
    ['a lease whose counter rests for longer than a failover time', ['a 1.01', 'a', 'a'], {}, { taken: 1, stolen: 0 }],
    ['none whose counter rests for a failover time', ['a 1', 'a', 'me'], {}, { taken: 0, stolen: 0 }],
    ['no more than its share, though more is free', ['me', 'a', '-', '-', '-'], {}, { taken: 2, stolen: 0 }],
    ['no free lease once it has its share', ['me', 'me', 'a', '-'], {}, { taken: 0, stolen: 0 }],
    ['very old leases whatever its share is', ['me', 'me', 'a', 'b 3.01'], {}, { taken: 1, stolen: 0 }],
    ['very old ones before others', ['b 3.01', 'b 2', 'b 2', 'b 2'], {}, { taken: 1, stolen: 0 }],
    [
      'very old ones up to maxLeasesForWorker',
      ['me', 'b 4', 'b 4'],
      { maxLeasesForWorker: 2 },
      { taken: 1, stolen: 0 },
    ],
    ['one lease of a worker that has more than its share', ['a', 'a', 'a', 'a'], {}, { taken: 0, stolen: 1 }],
    ['as many as it may at once', ['a', 'a', 'a', 'a'], { maxLeasesToStealAtOneTime: 5 }, { taken: 0, stolen: 2 }],
    ['none while others are free', ['a', 'a', 'a', '-'], {}, { taken: 1, stolen: 0 }],
    ['none of a fleet that is balanced', ['a', 'a', 'me'], {}, { taken: 0, stolen: 0 }],
    ['none where each worker has at most one', ['a', 'b'], {}, { taken: 0, stolen: 0 }],
    ['one that a worker with its share has, if it lacks two', ['a', 'a', 'b', 'b'], {}, { taken: 0, stolen: 1 }],
    ['none if it has all it may', ['a', 'a', 'a', 'me'], { maxLeasesForWorker: 1 }, { taken: 0, stolen: 0 }],
  ])('takes %s', (_, texts, more, expected) => {
    expect(counts(resting(...texts), more)).toEqual(expected);
  });

  test('counts finished leases as the workers of the KCL 2.x do', () => {
    const end = { checkpoint: parseCheckpoint('SHARD_END') };
    const leases = [lease('s0', 'me', end), lease('s1', 'me', end), lease('s2', 'a'), lease('s3', 'a')];
    expect(counts(leases.map((each) => ({ lease: each, restMs: 0 })))).toEqual({ taken: 0, stolen: 0 });
  });

  test('takes nothing that it holds itself, however long its counter rests', () => {
    const held = new Set(['shard-0']);
    expect(planTakes(resting('me 9'), held, rules, 0)).toMatchObject({ taken: [], stolen: [] });
  });

  test('steals none while only such are free as it declines, and these once they are very old', () => {
    const declines = (leaseKey: string): boolean => leaseKey === 'shard-3';
    const take = (...texts: string[]): ReturnType<typeof planTakes> =>
      planTakes(resting(...texts), new Set(), rules, 0.3, declines);
    expect(take('a', 'a', 'a', '-')).toMatchObject({
      taken: [],
      stolen: [],
      counts: { availableCount: 1, neededCount: 2 },
    });
    expect(take('a', 'a', 'a', 'b 2')).toMatchObject({ taken: [], stolen: [] });
    expect(take('a', 'a', 'a', 'b 3.01').taken.map(({ leaseKey }) => leaseKey)).toEqual(['shard-3']);
    expect(take('a', 'a', 'a', 'a').stolen.map(({ leaseKey }) => leaseKey)).not.toEqual(['shard-3']);
    expect(take('a', 'a', 'a', 'a').stolen).toHaveLength(1);
  });

  test('frees a lease that it was given by a worker that died while it handed it off', () => {
    const stuck = lease('s', 'me', { checkpointOwner: 'dead' });
    expect(planTakes([{ lease: stuck, restMs: 0 }], new Set(), rules, 0).taken).toEqual([]);
    expect(planTakes([{ lease: stuck, restMs: 2 * F }], new Set(), rules, 0).taken).toEqual([stuck]);
  });

  const arbitraryFleet = fc.record({
    owners: fc.array(fc.constantFrom('me', 'a', 'b', 'c', undefined), { maxLength: 40 }),
    restsMs: fc.array(fc.integer({ min: 0, max: 4 * F }), { minLength: 40, maxLength: 40 }),
    most: fc.integer({ min: 1, max: 40 }),
    random: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  });

  test('no run takes a lease twice, a live one beyond the limit, or more than the worker may have', () => {
    fc.assert(
      fc.property(arbitraryFleet, ({ owners, restsMs, most, random }) => {
        const leases = owners.map((owner, at) => ({ lease: lease(`s${at}`, owner), restMs: restsMs[at] as number }));
        const { taken, stolen } = planTakes(leases, new Set(), { ...rules, maxLeasesForWorker: most }, random);
        const keys = [...taken, ...stolen].map(({ leaseKey }) => leaseKey);
        expect(new Set(keys).size).toBe(keys.length);
        expect(stolen.length).toBeLessThanOrEqual(1);
        for (const each of taken) {
          const { restMs } = leases.find((found) => found.lease === each) as RestingLease;
          expect(each.leaseOwner === undefined || restMs > F).toBe(true);
        }
        expect([...taken, ...stolen].some(({ leaseOwner }) => leaseOwner === 'me')).toBe(false);
        const mine = owners.filter((owner) => owner === 'me').length;
        if (keys.length > 0) expect(mine + keys.length).toBeLessThanOrEqual(most);
      }),
    );
  });

  test('taking in turns, workers come to within one lease of each other, and then rest', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('me', 'a', 'b', undefined), { maxLength: 30 }), (owners) => {
        const leases = owners.map((owner, at) => lease(`s${at}`, owner));
        const workers = ['me', 'a', 'b'];
        let moves = Number.POSITIVE_INFINITY;
        for (let round = 0; round < 60 && moves > 0; round += 1) {
          moves = 0;
          for (const workerId of workers) {
            const looked = leases.map((each) => ({ lease: each, restMs: 0 }));
            const { taken, stolen } = planTakes(looked, new Set(), { ...rules, workerId }, 0.7);
            for (const each of [...taken, ...stolen]) {
              leases[leases.indexOf(each)] = { ...each, leaseOwner: workerId };
              moves += 1;
            }
          }
        }
        const held = workers.map((id) => leases.filter(({ leaseOwner }) => leaseOwner === id).length);
        expect(moves).toBe(0);
        expect(leases.every(({ leaseOwner }) => leaseOwner !== undefined)).toBe(true);
        expect(Math.max(...held) - Math.min(...held)).toBeLessThanOrEqual(1);
      }),
    );
  });
});

describe('the taker over time', () => {
  class Script {
    now = 0;
    leases: readonly Lease[] = [];
    readonly out: (Effect | Tell)[] = [];
    /** Of each run, what it saw, and its end. */
    readonly told: (Effect | Notice)[] = [];
    readonly taker: Taker = new Taker({ ...rules, leaseAssignmentIntervalMs: 2 * F, retryMs: 50 }, this.out);

    /** Looks at the table, for `durationMs`. @returns what it asks for next. */
    look(durationMs = 0): (Effect | Notice)[] {
      this.now = Math.max(this.now, this.taker.deadline());
      this.taker.advance(this.now);
      const effect = this.out.pop() as Effect;
      expect(effect).toEqual({ kind: 'readTable', for: 'taker' });
      this.now += durationMs;
      return this.answer(effect, { leases: this.leases, workers: [] });
    }

    answer(effect: Effect, result: Done['result']): (Effect | Notice)[] {
      this.taker.done({ kind: 'done', effect, result } as Done, new Set(), true, this.now, 0.5);
      const all = this.out.splice(0).map((each) => (each.kind === 'tell' ? each.notice : each));
      this.told.push(...all.filter(({ kind }) => kind === 'takesPlanned' || kind === 'takesEnded'));
      return all.filter((each) => !this.told.includes(each));
    }
  }

  test('a lease of another is silent only after its counter was seen to rest for longer than the failover time', () => {
    const script = new Script();
    script.leases = [lease('s', 'a', { leaseCounter: 5 })];
    expect(script.look()).toEqual([]);
    script.leases = [lease('s', 'a', { leaseCounter: 6 })];
    expect(script.look()).toEqual([]);
    expect(script.look()).toContainEqual({
      kind: 'takeLease',
      leaseKey: 's',
      leaseCounter: 6,
      seenOwner: 'a',
      seenCheckpointOwner: undefined,
      newOwner: 'me',
    });
  });

  test('a slow look makes no lease look older than it is', () => {
    const script = new Script();
    script.leases = [lease('s', 'a')];
    expect(script.look(10 * F)).toEqual([]);
    // 2F passed between the looks, but the counter may have moved at any time within the first.
    expect(script.look(10 * F)).not.toEqual([]);
  });

  test('before it steals after a slow look it reads the lease again', () => {
    const script = new Script();
    script.leases = ['s0', 's1', 's2'].map((key) => lease(key, 'a', { leaseCounter: 1 }));
    const [told, reread] = script.look(F / 3);
    expect(told).toEqual({ kind: 'leasesTaken', taken: 0, stolen: 1 });
    expect(reread).toMatchObject({ kind: 'readLeases', tenure: undefined });
    const [leaseKey] = (reread as Extract<Effect, { kind: 'readLeases' }>).leaseKeys;
    const renewed = lease(leaseKey as string, 'a', { leaseCounter: 2 });
    expect(script.answer(reread as Effect, { leases: [renewed] })).toMatchObject([
      { kind: 'takeLease', leaseKey, leaseCounter: 2 },
    ]);
  });

  test('a run whose second reading fails ends with it, and is told', () => {
    const script = new Script();
    script.leases = ['s0', 's1', 's2'].map((key) => lease(key, 'a', { leaseCounter: 1 }));
    const [, reread] = script.look(F / 3);
    script.taker.failed({ kind: 'failed', effect: reread as Effect, error: 'no' }, script.now);
    const notices = script.out.splice(0).map((each) => each.kind === 'tell' && each.notice.kind);
    expect(notices).toEqual(['effectFailed', 'takesEnded']);
    expect(script.taker.deadline()).toBe(script.now + 50);
  });

  test('a failed look is made again soon, and the next run waits its time after the answers of all takes', () => {
    const script = new Script();
    script.leases = [lease('s0', undefined), lease('s1', undefined)];
    script.taker.advance(0);
    const look = script.out.pop() as Effect;
    script.taker.failed({ kind: 'failed', effect: look, error: 'no' }, 10);
    expect(script.out.splice(0)).toMatchObject([{ notice: { kind: 'effectFailed', effect: 'readTable' } }]);
    expect(script.taker.deadline()).toBe(60);
    const takes = script.look().filter((each) => each.kind === 'takeLease') as Effect[];
    expect(takes).toHaveLength(2);
    expect(script.taker.deadline()).toBe(Number.POSITIVE_INFINITY);
    script.now += 5;
    script.taker.failed({ kind: 'failed', effect: takes[0] as Effect, error: 'no' }, script.now);
    script.answer(takes[1] as Effect, { applied: false, lease: undefined });
    expect(script.taker.deadline()).toBe(script.now + 2 * F);
    expect(script.told.map(({ kind }) => kind)).toEqual(['takesPlanned', 'takesEnded']);
  });
});
