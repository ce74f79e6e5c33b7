// The checker is worth what it finds: good histories have no fault, and each way to spoil one has one.
import { describe, expect, it } from 'vitest';
import type { RecordEvent, WorkerEvent } from '../kcl/worker-process.ts';
import { type Told, tenureFaults, tenuresOf } from './tenures.ts';

const shard = 'shard';
const FAILOVER_MS = 100;

const init = (at: number, from: string, fromSub = 0): WorkerEvent => ({ at, event: 'init', shard, from, fromSub });
const record = (at: number, sequence: string, sub = 0): RecordEvent => {
  return { at, event: 'record', shard, sequence, sub, aggregated: true, key: 'k', data: '0' };
};
const checkpoint = (at: number, sequence: string, sub = 0): WorkerEvent => {
  return { at, event: 'checkpoint', shard, sequence, sub };
};
const ofShard = (at: number, event: 'shutdownRequested' | 'leaseLost' | 'shardEnded'): WorkerEvent => {
  return { at, event, shard };
};
const told = (workerId: string, said: readonly WorkerEvent[], killedAt?: number): Told => {
  return { workerId, kind: workerId.startsWith('j') ? 'java' : 'node', killedAt, stoppedAt: undefined, said };
};
const faults = (...workers: Told[]): string[] => tenureFaults(tenuresOf(workers), FAILOVER_MS);

/** 9 is an aggregated record of two. */
const first: readonly WorkerEvent[] = [init(1, 'TRIM_HORIZON'), record(2, '9'), record(2, '9', 1), record(3, '10')];
const handedOff = [...first, ofShard(4, 'shutdownRequested'), checkpoint(5, '10'), ofShard(6, 'leaseLost')];

describe('no fault is', () => {
  it('a handoff in good order, up to the end of the shard', () => {
    const second = [init(7, '10'), record(8, '11'), ofShard(9, 'shardEnded'), checkpoint(10, 'SHARD_END')];
    expect(faults(told('j1', handedOff), told('n1', second))).toEqual([]);
  });

  it('a record again that was not checkpointed when its worker was killed', () => {
    const killed = [...first.slice(0, 2), checkpoint(2, '9'), ...first.slice(2)];
    const second = [init(7, '9'), record(8, '9', 1), record(8, '10'), record(8, '11')];
    expect(faults(told('j1', killed, 4), told('n1', second))).toEqual([]);
  });

  it('a worker that goes on for a while after its lease has expired', () => {
    const paused = [...first, checkpoint(4, '9', 1), record(9, '11'), ofShard(10, 'leaseLost')];
    const second = [init(7, '9', 1), record(8, '10'), record(8, '11')];
    expect(faults(told('j1', paused), told('n1', second))).toEqual([]);
  });

  it('a worker that was told to go, and could write nothing for as long as its lease lasts', () => {
    const stalled = [...first, checkpoint(4, '9', 1), ofShard(5, 'shutdownRequested'), ofShard(105, 'leaseLost')];
    const second = [init(106, '9', 1), record(107, '10')];
    expect(faults(told('n1', stalled), told('n2', second))).toEqual([]);
  });

  it('leaseLost of a shard that was never begun', () => {
    expect(faults(told('j1', [ofShard(1, 'leaseLost')]))).toEqual([]);
  });
});

describe('it finds', () => {
  it.each<[string, readonly Told[], RegExp]>([
    ['a record twice within a tenure', [told('j1', [...first, record(4, '10')])], /10:0 came after {2}10:0/],
    ['a record out of order within a tenure', [told('j1', [...first, record(4, '9')])], /9:0 came after {2}10:0/],
    [
      'a record that the tenure began behind',
      [told('j1', handedOff), told('n1', [init(7, '10'), record(8, '10')])],
      /n1 .* 10:0 came after its beginning at 10:0/,
    ],
    [
      'a tenure that begins before a checkpoint, so that records come again for nothing',
      [told('j1', handedOff), told('n1', [init(7, '9'), record(8, '9', 1)])],
      /n1 .* begins at 9:0, although 10:0 was checkpointed/,
    ],
    [
      'a tenure that begins within the aggregated record that was checkpointed',
      [told('j1', [...first, checkpoint(4, '9', 1)], 5), told('n1', [init(7, '9')])],
      /begins at 9:0, although 9:1 was checkpointed/,
    ],
    [
      'a tenure that begins anew',
      [told('j1', handedOff), told('n1', [init(7, 'TRIM_HORIZON')])],
      /begins at TRIM_HORIZON:0, although 10:0/,
    ],
    [
      'a tenure that begins beyond what anybody was given',
      [told('j1', handedOff), told('n1', [init(7, '11'), record(8, '12')])],
      /n1 .* begins at 11:0, and nobody was given that/,
    ],
    [
      'a checkpoint that moves back',
      [told('j1', [...first, checkpoint(4, '10'), checkpoint(5, '9')])],
      /checkpointed 9:0 after 10:0/,
    ],
    [
      'a checkpoint behind the end of the shard',
      [told('j1', [...first, checkpoint(4, 'SHARD_END'), checkpoint(5, '10')])],
      /checkpointed 10:0 after SHARD_END:0/,
    ],
    [
      'a worker that leaves in good order without a checkpoint',
      [
        told(
          'j1',
          handedOff.filter(({ event }) => event !== 'checkpoint'),
        ),
        told('n1', [init(7, 'TRIM_HORIZON')]),
      ],
      /j1 .* left in good order without a checkpoint at 10:0/,
    ],
    [
      'a worker that was told to go and goes on beside the next one',
      [told('j1', [...handedOff.slice(0, -1), record(8, '11')]), told('n1', [init(7, '10')])],
      /j1 .* 1 records after n1 had begun/,
    ],
  ])('%s', (_, workers, fault) => {
    expect(faults(...workers)).toContainEqual(expect.stringMatching(fault));
  });
});
