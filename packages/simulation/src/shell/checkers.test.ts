// Rules of the shell's world that no mistake in a port breaks: each is shown one that does.

import { parseSequenceNumber } from '@shardline/common';
import type { ShardContext, UserRecord } from '@shardline/consumer';
import { expect, test } from 'vitest';
import type { Lease } from '../../../consumer/dist/coordination/lease.js';
import { ShellCheckers } from './checkers.ts';

const SHARD = 'shardId-000000000000';

/** A stream of one shard with three records, of the keys a, b and a, and what a handler of it is told. */
function stage(concurrency = 1) {
  const checkers = new ShellCheckers(concurrency);
  const { history } = checkers;
  history.opened(SHARD, []);
  const records: UserRecord[] = [];
  const put = (partitionKey: string): UserRecord => {
    const sequenceNumber = String(records.length + 1);
    history.put(SHARD, partitionKey, { sequenceNumber: parseSequenceNumber(sequenceNumber), subSequenceNumber: 0 });
    const data = Buffer.from(sequenceNumber);
    const approximateArrivalTimestamp = new Date(0);
    const place = { partitionKey, sequenceNumber, subSequenceNumber: 0 };
    const record = { ...place, data, approximateArrivalTimestamp, aggregated: false };
    records.push(record);
    return record;
  };
  for (const key of ['a', 'b', 'a']) put(key);
  const context = (fencingToken: number, signal = new AbortController().signal, shardId = SHARD): ShardContext =>
    ({ leaseKey: shardId, shardId, fencingToken, signal }) as unknown as ShardContext;
  const handle = (worker: string, token: number, ...numbers: readonly number[]): void => {
    const batch = numbers.map((number) => records[number - 1] as UserRecord);
    checkers.deliveryEnded(worker, context(token), checkers.deliveryBegan(worker, context(token), batch), true);
  };
  const begin = (worker: string, token: number, ...numbers: readonly number[]): void => {
    const batch = numbers.map((number) => records[number - 1] as UserRecord);
    checkers.deliveryBegan(worker, context(token), batch);
  };
  const write = (before: Partial<Lease> | undefined, after: Partial<Lease> | undefined): void => {
    const row = (lease: Partial<Lease> | undefined): Lease | undefined =>
      lease && ({ leaseKey: SHARD, shardId: SHARD, ...lease } as unknown as Lease);
    checkers.leaseWritten(row(before), row(after));
  };
  return { checkers, context, put, handle, begin, write, violations: checkers.violations };
}

const at = (sequenceNumber: bigint | 'TRIM_HORIZON' | 'SHARD_END'): Partial<Lease> =>
  ({ checkpoint: { sequenceNumber, subSequenceNumber: 0 } }) as Partial<Lease>;

test('what is handled once, in order, and checkpointed behind it breaks no rule', () => {
  const { handle, write, checkers, violations } = stage();
  handle('w1', 1, 1, 2);
  write(at('TRIM_HORIZON'), at(2n));
  handle('w2', 2, 3);
  checkers.checkDrained('at last');
  expect(violations).toEqual([]);
});

test('a call after the signal was aborted', () => {
  const { checkers, context, violations } = stage();
  checkers.called('w1', 'initialize', context(1, AbortSignal.abort()));
  expect(violations).toEqual([expect.stringContaining('initialize was called after its signal was aborted')]);
});

test('leaseLost beside a call, with a signal that is not aborted, or not at all', () => {
  const { checkers, context, begin, violations } = stage();
  begin('w1', 1, 1);
  checkers.leaseLost('w1', context(1));
  expect(violations).toEqual([
    `w1, ${SHARD}, token 1: leaseLost was called while a batch was handled`,
    `w1, ${SHARD}, token 1: leaseLost was called, and its signal is not aborted`,
  ]);
  checkers.returned('w2', 'initialize', context(3));
  checkers.returned('w2', 'initialize', context(4, AbortSignal.abort()));
  checkers.leaseLost('w2', context(4));
  checkers.ended('w2');
  expect(violations.slice(2)).toEqual([`w2, ${SHARD}, token 3: the worker has ended, and its handler was not told`]);
});

test('two calls at once in a tenure, and two of one key where calls go side by side', () => {
  const alone = stage();
  alone.begin('w1', 1, 1);
  alone.begin('w1', 1, 1);
  expect(alone.violations).toContain(`w1, ${SHARD}, token 1: two calls overlap`);
  const beside = stage(3);
  beside.begin('w1', 1, 1);
  beside.begin('w1', 1, 2);
  expect(beside.violations).toEqual([]);
  beside.begin('w1', 1, 1);
  expect(beside.violations).toEqual([`w1, ${SHARD}, token 1: partition key a is in two calls`]);
});

test('a record that is passed over, in the shard or in its key', () => {
  const alone = stage();
  alone.begin('w1', 1, 2);
  expect(alone.violations).toEqual([expect.stringContaining('record 2 was delivered, and record 1 before it')]);
  const beside = stage(2);
  beside.begin('w1', 1, 2);
  expect(beside.violations).toEqual([]);
  beside.begin('w1', 1, 3);
  expect(beside.violations).toEqual([expect.stringContaining('record 3 was delivered, and record 1 before it')]);
});

test('a record twice in a tenure; in another one only if there were no faults since it was put', () => {
  const { handle, violations } = stage();
  handle('w1', 1, 1);
  handle('w2', 2, 1);
  expect(violations).toEqual([]);
  handle('w2', 2, 1);
  expect(violations).toEqual([`w2, ${SHARD}, token 2: record 1 again, which it has handled`]);
  const calm = stage();
  calm.checkers.history.isCalm = true;
  calm.put('c');
  calm.handle('w1', 1, 1, 2, 3);
  calm.handle('w1', 1, 4);
  calm.handle('w1', 2, 4);
  expect(calm.violations).toEqual([`w1, ${SHARD}, token 2: record 4 again, and there was no fault since it was put`]);
});

test('one token for two workers', () => {
  const { handle, violations } = stage();
  handle('w1', 1, 1);
  handle('w2', 1, 2);
  expect(violations).toEqual([`w2, ${SHARD}, token 1: w1 has the same token`]);
});

test('a checkpoint over what is not handled, one that goes back, and an end too soon', () => {
  const { handle, write, violations } = stage();
  write(at('TRIM_HORIZON'), at(1n));
  handle('w1', 1, 1, 2, 3);
  write(at(2n), at(1n));
  write(at(2n), at('SHARD_END'));
  expect(violations).toEqual([
    `the checkpoint of ${SHARD} covers record 1, which is not handled`,
    `the checkpoint of ${SHARD} went back from 2 to 1`,
    `${SHARD} is at SHARD_END, and open`,
  ]);
});

test('a lease that is deleted before its end, and one that is made again after it', () => {
  const { checkers, handle, write, violations } = stage();
  write(at('TRIM_HORIZON'), undefined);
  handle('w1', 1, 1, 2, 3);
  checkers.history.opened('shardId-000000000001', [SHARD]);
  write(at(3n), at('SHARD_END'));
  write(at('SHARD_END'), undefined);
  write(undefined, at('TRIM_HORIZON'));
  expect(violations).toEqual([
    `the lease of ${SHARD} was deleted before its end`,
    `the lease of ${SHARD} was made again after its end`,
  ]);
});
