import { OperatingError, parseCheckpoint } from '@shardline/common';
import { expect, test } from 'vitest';
import type { LeaseView } from './coordination/worker-view.ts';
import { type ConsumerHealth, healthOf } from './health.ts';
import type { Thrown } from './runtime/handler-threw.ts';

const held: LeaseView = {
  leaseKey: 'shardId-000000000007',
  tenure: 1,
  leaseCounter: 3,
  fencingToken: 2,
  checkpoint: parseCheckpoint('TRIM_HORIZON'),
  phase: 'processing',
  fresh: true,
  staleSince: undefined,
  pendingBatchCount: 0,
  handlerAttempt: 1,
  handingOffTo: undefined,
  pausedSince: undefined,
  progressAt: 5_000,
  stall: undefined,
};

const NO_COLUMN: Thrown = { by: 'handler', text: 'TypeError: no such column' };

function health(lease: Partial<LeaseView>, stopped?: string, ...others: Partial<LeaseView>[]): ConsumerHealth {
  return healthAfter(NO_COLUMN, lease, stopped, ...others);
}

function healthAfter(
  thrown: Thrown,
  lease: Partial<LeaseView>,
  stopped?: string,
  ...others: Partial<LeaseView>[]
): ConsumerHealth {
  return healthOf({
    state: 'running',
    failure: undefined,
    view: {
      workerId: 'w1',
      leader: false,
      stopping: false,
      pausedSince: undefined,
      declines: undefined,
      leases: [lease, ...others].map((each) => ({ ...held, ...each })),
      held: { bytes: 0, recordCount: 0 },
    },
    troubles: [],
    tableTroubles: [],
    givenUp: [],
    millisBehindLatest: () => 12,
    wordOf: () => 'processRecords',
    thrownOf: () => thrown,
    stoppedOf: () => stopped,
    wallTimeOf: (now) => new Date(now),
  });
}

test('a shard that gets on makes no reason', () => {
  expect(health({})).toMatchObject({ live: true, ready: true, reasons: [] });
});

test('a shard whose lease could not be renewed in time makes the consumer unready, and says which and since when', () => {
  expect(health({}).shards[0]?.fresh).toBe(true);
  const { live, ready, reasons, shards } = health({ fresh: false, staleSince: 7_000 });
  expect([live, ready]).toEqual([true, false]);
  expect(reasons).toEqual([
    'shardId-000000000007: its lease could not be renewed in time, the last time was 1970-01-01T00:00:07.000Z; nothing is delivered ' +
      'meanwhile, and another worker may have taken over',
  ]);
  expect(shards[0]).toMatchObject({ phase: 'processing', fresh: false });
});

test('many of them are one sentence, with the one that waits longest', () => {
  const { reasons } = health({ fresh: false, staleSince: 7_000 }, undefined, { leaseKey: 'b', staleSince: 6_000 }, {});
  expect(reasons).toEqual([expect.stringMatching(/^2 leases, first b, could not be renewed .*T00:00:06/)]);
});

test('a lease whose first write is under way is no reason', () => {
  expect(health({ phase: 'claiming', fresh: false }).ready).toBe(true);
});

test('a handler that throws for one batch again and again makes the consumer unready; one that throws now and then does not', () => {
  expect(health({ handlerAttempt: 3 }).ready).toBe(true);
  const { live, ready, reasons } = health({ handlerAttempt: 4 });
  expect([live, ready]).toEqual([true, false]);
  expect(reasons).toEqual([
    expect.stringMatching(/^shardId-000000000007: the handler throws .* attempt 4, after TypeError: no such column$/),
  ]);
});

test('where it is onFailure that throws, it is onFailure that is named', () => {
  const { ready, reasons } = healthAfter({ by: 'onFailure', text: 'Error: no such queue' }, { handlerAttempt: 75 });
  expect(ready).toBe(false);
  expect(reasons).toEqual([
    'shardId-000000000007: onFailure throws for the same records again and again, and nothing behind them is handled; it is at attempt 75, ' +
      'after Error: no such queue',
  ]);
});

test('a shard that has stopped at a record makes the consumer unready at once, and says where', () => {
  const { live, ready, reasons } = health({ handlerAttempt: 1 }, 'stopped at record 17, tried 3 times');
  expect([live, ready, reasons]).toEqual([true, false, ['shardId-000000000007: stopped at record 17, tried 3 times']]);
});

test('a handler that ignores its aborted signal makes it not live', () => {
  const stall = { state: 'stuck', reason: 'handler', since: 0, forMs: 61_000 } as const;
  const { live, reasons, shards } = health({ stall });
  expect(live).toBe(false);
  expect(reasons).toEqual([expect.stringContaining('61 s after its signal was aborted; end this process')]);
  expect(shards[0]).toMatchObject({ stalled: { reason: 'handler', forMs: 61_000 }, lastProgressAt: new Date(5_000) });
});

test('a consumer whose run has rejected is neither live nor ready, and says why', () => {
  const ended = {
    state: 'stopped',
    view: undefined,
    troubles: [],
    tableTroubles: [],
    givenUp: [],
    millisBehindLatest: () => 0,
    wordOf: () => undefined,
    thrownOf: () => undefined,
    stoppedOf: () => undefined,
  } as const;
  const wallTimeOf = (now: number): Date => new Date(now);
  const failure = new OperatingError('WORKER_ID_IN_USE', 'another process works under it', { retryable: false });
  expect(healthOf({ ...ended, failure, wallTimeOf })).toEqual({
    state: 'stopped',
    live: false,
    ready: false,
    reasons: ['the consumer is stopped, since run rejected: WORKER_ID_IN_USE: another process works under it'],
    shards: [],
  });
  expect(healthOf({ ...ended, failure: undefined, wallTimeOf })).toMatchObject({
    live: false,
    reasons: ['the consumer is stopped'],
  });
});
