// The checker is worth what it finds: a good history has no fault, and each way to spoil it has one.
import { describe, expect, it } from 'vitest';
import type { PutRecord } from './feed.ts';
import { faultsOf, type ShardOrigin, type WorkerHistory } from './history.ts';
import type { OtherEvent, RecordEvent } from './worker-process.ts';

const shards: readonly ShardOrigin[] = [
  { id: 'parent', parentIds: [] },
  { id: 'child', parentIds: ['parent'] },
];

/** Three records of one key: two in an aggregated record of the parent, one in the child. */
const put: readonly PutRecord[] = [
  { key: 'k', number: 0, shard: 'parent', sequence: '9', sub: 0, duplicate: false },
  { key: 'k', number: 1, shard: 'parent', sequence: '9', sub: 1, duplicate: false },
  { key: 'k', number: 2, shard: 'child', sequence: '10', sub: 0, duplicate: false },
];

const delivered = (number: number, at: number): RecordEvent => {
  const { shard = '', sequence = '', sub = 0, key = '' } = put[number] ?? {};
  return { at, event: 'record', shard, sequence, sub, key, data: String(number), aggregated: shard === 'parent' };
};

const good = {
  workerId: 'w1',
  events: [
    { at: 1, event: 'init', shard: 'parent', from: 'TRIM_HORIZON', fromSub: 0 },
    { at: 5, event: 'shardEnded', shard: 'parent' },
    { at: 6, event: 'init', shard: 'child', from: 'TRIM_HORIZON', fromSub: 0 },
  ] as readonly OtherEvent[],
  records: [delivered(0, 2), delivered(1, 3), delivered(2, 7)] as readonly RecordEvent[],
} satisfies WorkerHistory;

const [first, second, third] = good.records as [RecordEvent, RecordEvent, RecordEvent];

it('a good history has no fault', () => {
  expect(faultsOf(put, [good], shards)).toEqual([]);
});

it('records that come again in another tenure are no fault', () => {
  const again = { at: 3, event: 'init', shard: 'parent', from: '9', fromSub: 0 } as const;
  const records = [first, second, delivered(0, 4), delivered(1, 4), third];
  expect(faultsOf(put, [{ ...good, events: [...good.events, again], records }], shards)).toEqual([]);
});

it('a second copy is no fault where the put was tried again', () => {
  const records = [first, { ...first, sequence: '90', at: 2 }, second, third];
  const inOrder = [first, second, { ...first, sequence: '90', at: 4 }, third];
  expect(faultsOf(put, [{ ...good, records: inOrder }], shards)).not.toEqual([]);
  const tried = put.map((record) => ({ ...record, duplicate: true }));
  expect(faultsOf(tried, [{ ...good, records: inOrder }], shards)).toEqual([]);
  expect(faultsOf(tried, [{ ...good, records }], shards)).not.toEqual([]);
});

describe('it finds', () => {
  it.each<[string, Partial<WorkerHistory>, RegExp]>([
    ['a record that was lost', { records: [first, second] }, /lost at child.10.0: k 2/],
    ['data that was altered', { records: [{ ...first, data: '7' }, second, third] }, /put k 0, delivered k 7/],
    ['a key that was altered', { records: [{ ...first, key: 'l' }, second, third] }, /put k 0, delivered l 0/],
    ['a record that nobody put', { records: [...good.records, { ...third, sequence: '11', at: 8 }] }, /put nothing/],
    ['a key out of order', { records: [delivered(1, 2), delivered(0, 3), third] }, /k: 1 after -1/],
    ['a shard out of order', { records: [first, second, delivered(0, 4), third] }, /parent.9.0 after parent.9.1/],
    ['an error that a worker told', { events: [...good.events, { at: 9, event: 'error', what: 'oh' }] }, /oh/],
    [
      'a child that began before its parent had ended',
      { events: good.events.map((event) => (event.event === 'shardEnded' ? { ...event, at: 8 } : event)) },
      /child began before its parent parent had ended/,
    ],
  ])('%s', (_, spoilt, fault) => {
    expect(faultsOf(put, [{ ...good, ...spoilt }], shards)).toContainEqual(expect.stringMatching(fault));
  });
});
