// What is printed of a fleet is worth what it measures: each reason for a move is told apart, and its rest is counted from the right time.
import { expect, it } from 'vitest';
import type { RecordEvent, WorkerEvent } from '../kcl/worker-process.ts';
import { describeMoves, movesOf } from './moves.ts';
import { type Told, tenuresOf } from './tenures.ts';

const shard = 'shard';

const init = (at: number, from: string): WorkerEvent => ({ at, event: 'init', shard, from, fromSub: 0 });
const record = (at: number, sequence: string): RecordEvent => {
  return { at, event: 'record', shard, sequence, sub: 0, aggregated: false, key: 'k', data: '0' };
};
const told = (kind: Told['kind'], workerId: string, said: readonly WorkerEvent[], more: Partial<Told> = {}): Told => {
  return { kind, workerId, said, killedAt: undefined, stoppedAt: undefined, ...more };
};

const requested: WorkerEvent = { at: 2_500, event: 'shutdownRequested', shard };
const before = [init(1_000, 'TRIM_HORIZON'), record(2_000, '9')];
const after = told('node', 'n1', [init(5_000, 'TRIM_HORIZON'), record(6_000, '9'), record(6_000, '10')]);

it.each<[string, Told, number]>([
  ['order', told('java', 'j1', [...before, requested]), 4_000],
  ['stop', told('java', 'j1', [...before, requested], { stoppedAt: 2_400 }), 4_000],
  ['kill', told('java', 'j1', before, { killedAt: 3_000 }), 3_000],
  ['leaderKill', told('java', 'fallen', before, { killedAt: 3_000 }), 3_000],
  ['loss', told('java', 'j1', before), 4_000],
])('a move by %s', (by, first, restMs) => {
  const workers = [first, after];
  const move = { shard, from: 'java', to: 'node', by, restMs, duplicates: 1 };
  expect(movesOf(tenuresOf(workers), workers, new Set(['fallen']))).toEqual([move]);
});

it('a tenure that was given no record shows no rest, and a worker that has its own shard back did not move it', () => {
  const between = told('java', 'j2', [init(3_000, 'TRIM_HORIZON')]);
  const workers = [told('node', 'n1', [...before, requested, ...after.said]), between];
  expect(movesOf(tenuresOf(workers), workers, new Set())).toEqual([]);
});

it('moves of a kind are a line, with the median and the longest of few', () => {
  const moves = [3_000, 1_000, 2_000].map((restMs) => {
    return { shard, from: 'node', to: 'java', by: 'stop', restMs, duplicates: 2 } as const;
  });
  expect(describeMoves(moves)).toEqual([
    'node → java, its worker left: 3 shards rested p50 2.00 s, p99 3.00 s; 6 duplicates',
  ]);
});
