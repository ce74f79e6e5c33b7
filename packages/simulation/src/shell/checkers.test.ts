// Rules of the shell's world that no mistake in a port breaks: each is shown one that does.

import { parseSequenceNumber } from '@shardline/common';
import type { Failure, ShardContext, UserRecord } from '@shardline/consumer';
import { describe, expect, test } from 'vitest';
import type { Lease } from '../../../consumer/dist/coordination/lease.js';
import { type Policy, ShellCheckers } from './checkers.ts';

const SHARD = 'shardId-000000000000';

/** A stream of one shard with three records, of the keys a, b and a, and what a handler of it is told. */
function stage(concurrency = 1, policy?: Policy) {
  const checkers = new ShellCheckers(concurrency, policy);
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
  const fail = (token: number, ...numbers: readonly number[]): void => {
    const batch = numbers.map((number) => records[number - 1] as UserRecord);
    checkers.deliveryEnded('w1', context(token), checkers.deliveryBegan('w1', context(token), batch), false);
  };
  const give = (token: number, failure: Partial<Failure>, isHeld: boolean, ...numbers: readonly number[]): void => {
    const failed = { attempts: 2, limit: 'attempts', failedAt: new Date(1_000), ...failure } as Failure;
    const given = checkers.failed('w1', context(token), {
      ...failed,
      records: numbers.map((n) => records[n - 1] as UserRecord),
    });
    checkers.handedOver('w1', context(token), given, () => isHeld);
  };
  return { checkers, context, put, handle, begin, fail, give, write, violations: checkers.violations };
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

describe('of two tries and 500 ms, one by one', () => {
  const policy = { maxTries: 2, maxAgeMs: 500, isBisected: true };

  test('what is handed over after them breaks no rule, and counts as handled', () => {
    const { fail, give, write, violations } = stage(1, policy);
    fail(1, 1, 2, 3);
    fail(1, 1);
    fail(1, 1);
    give(1, {}, true, 1);
    fail(1, 2);
    give(1, { attempts: 1, limit: 'age' }, true, 2);
    write(at('TRIM_HORIZON'), at(2n));
    expect(violations).toEqual([]);
  });

  test('a third try', () => {
    const { fail, begin, violations } = stage(1, policy);
    fail(1, 1, 2);
    fail(1, 1, 2);
    begin('w1', 1, 1, 2);
    expect(violations).toEqual([`w1, ${SHARD}, token 1: records 1 2 again, which have thrown 2 times`]);
  });

  test('too few tries, not those that are told of, too young, or together', () => {
    const { fail, give, violations } = stage(1, policy);
    const what = (numbers: string): string => `w1, ${SHARD}, token 1: records ${numbers} are handed over`;
    fail(1, 1);
    give(1, { attempts: 1 }, true, 1);
    give(1, { attempts: 0, limit: 'age', failedAt: new Date(500) }, true, 2);
    fail(1, 3);
    give(1, {}, true, 3);
    const other = stage(1, policy);
    other.fail(1, 1, 2);
    other.fail(1, 1, 2);
    other.give(1, {}, true, 1, 2);
    expect([...violations, ...other.violations]).toEqual([
      `${what('1')} after 1 tries, and 2 are promised`,
      `${what('2')} for their age, 500 ms, after 0 tries`,
      `${what('3')}, tried 2 times as is said, and threw 1 times`,
      `${what('1 2')} together`,
    ]);
  });

  test('what is handled already, and what nobody has', () => {
    const { handle, fail, give, violations } = stage(1, policy);
    handle('w1', 1, 1);
    give(1, { attempts: 0, limit: 'age' }, true, 1);
    expect(violations.at(-1)).toContain('and record 1 is handled');
    violations.length = 0;
    fail(1, 2);
    fail(1, 2);
    give(1, {}, false, 2);
    expect(violations).toEqual([`w1, ${SHARD}, token 1: record 2 was handed over, and nobody has it`]);
  });
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
