// What is counted of a run of the leader, or of a worker that takes leases, that could not do all it had planned: it is told when it ends.
import { type MetricsSink, noMetrics } from '@shardline/common';
import { ManualClock } from '@shardline/local';
import { expect, it } from 'vitest';
import type { Notice } from '../coordination/notice.ts';
import { EffectMetrics } from './effect-metrics.ts';

const lease = { leaseKey: 's0', leaseCounter: 1 };
const assign = { kind: 'assignLease', tenure: undefined, newOwner: 'me', ...lease } as never;

/** What is counted, and how long things took, of one operation. */
function watch(operation: string): { clock: ManualClock; watched: EffectMetrics; told: string[] } {
  const clock = new ManualClock();
  const told: string[] = [];
  const tell = (name: string, value: number, of?: Readonly<Record<string, string>>): void => {
    if (of?.['Operation'] === operation) told.push(`${name} ${value}`);
  };
  const metrics: MetricsSink = {
    ...noMetrics,
    count: tell,
    sample: (name, value, _unit, dimensions) => tell(name, value, dimensions),
  };
  return { clock, watched: new EffectMetrics({ workerId: 'me', metrics, clock }), told };
}

const planned = (movedCount: number): Notice => ({
  kind: 'runPlanned',
  leaseCount: 4,
  workerCount: 1,
  availableCount: 4,
  movedCount,
  balancedCount: undefined,
  unplacedCount: 0,
  unreadableCount: 0,
  assigns: true,
  rows: { invalidCount: 0, failingCount: 0, minSupportCode: undefined },
  streams: { partialCount: 0, toSyncCount: 0, skippedCount: 0, several: undefined },
});

it.each([
  ['answered', 2, ['FailedAssignmentCount 0', 'ParallelyAssignLeases.Success 1', 'ParallelyAssignLeases.Time 4']],
  ['begun', 1, ['FailedAssignmentCount 0', 'ParallelyAssignLeases.Success 0', 'ParallelyAssignLeases.Time 2']],
])('a round of assignments succeeds if all were %s, and takes as long as the run', (_what, answeredCount, round) => {
  const { clock, watched, told } = watch('LeaseAssignmentManager');
  const startedAt = clock.now();
  clock.advance(10);
  watched.ended({ kind: 'readTable', for: 'leader' }, startedAt, { result: { leases: [], workers: [] } as never });
  watched.told(planned(2));
  for (let answered = 0; answered < answeredCount; answered += 1) {
    clock.advance(2);
    watched.ended(assign, clock.now() - 2, { result: { applied: true, lease } as never });
  }
  watched.told({ kind: 'runEnded' });
  const isWhole = answeredCount === 2;
  const all = [...round, `Success ${isWhole ? 1 : 0}`, `Time ${10 + 2 * answeredCount}`];
  expect(told).toEqual(['LeaseAndWorkerMetricsLoad.Time 10', ...all]);
  // Whatever passes until the next one is of no run.
  clock.advance(10_000);
  watched.ended({ kind: 'readTable', for: 'leader' }, clock.now(), { result: { leases: [], workers: [] } as never });
  expect(told).toHaveLength(1 + all.length);
});

it('a run whose leases cannot be read again before they are stolen is told as one that failed', () => {
  const { clock, watched, told } = watch('TakeLeases');
  const startedAt = clock.now();
  clock.advance(10);
  watched.ended({ kind: 'readTable', for: 'taker' }, startedAt, { result: { leases: [], workers: [] } as never });
  clock.advance(5);
  const reread = { kind: 'readLeases', leaseKeys: ['s0'], leaseKey: 's0', tenure: undefined } as const;
  watched.ended(reread, clock.now() - 5, undefined);
  watched.told({ kind: 'takesEnded' });
  expect(told.slice(-4)).toEqual(['TakenLeases 0', 'UntakenLeases 0', 'Success 0', 'Time 15']);
});
