// Options that can't be meant together are refused with both names; what was not given gives way.
import { UsageError } from '@shardline/common';
import { describe, expect, it } from 'vitest';
import type { ConsumerOptions } from './consumer-options.ts';
import { resolveOptions } from './options.ts';
import { workerOptions } from './worker-options.ts';

const resolve = (options: Partial<ConsumerOptions>) =>
  resolveOptions({ application: 'billing', stream: 'orders', ...options }, 'host');

describe('options that contradict each other are refused', () => {
  it.each<[string, Partial<ConsumerOptions>, string, string[]]>([
    [
      "a leader's row that lasts shorter than a silent lease is watched",
      { failoverTimeMs: 2_000, leaderLeaseDurationMs: 1_999 },
      'leaderLeaseDurationMs',
      ['at least failoverTimeMs, 2000', 'got 1999'],
    ],
    [
      'a call that may take longer than a lease lasts',
      { dynamoDBRequestTimeoutMs: 10_001 },
      'dynamoDBRequestTimeoutMs',
      ['at most failoverTimeMs, 10000', 'got 10001'],
    ],
    [
      'a limit before the warning',
      { stallWarningMs: 5_000, stallLimitMs: 4_000 },
      'stallLimitMs',
      ['at least stallWarningMs, 5000', 'got 4000'],
    ],
    [
      'a warning before a shard at rest is read again',
      { idleTimeBetweenReadsMs: 5_000, stallWarningMs: 9_999 },
      'stallWarningMs',
      ['at least 10000, twice idleTimeBetweenReadsMs', 'got 9999'],
    ],
    [
      'a limit before a shard at rest is read again',
      { stallLimitMs: 1_999 },
      'stallLimitMs',
      ['at least 2000, twice idleTimeBetweenReadsMs', 'would be told as stalled', 'got 1999'],
    ],
    [
      'a warning between two events of a shard at rest',
      { retrievalMode: 'fanout', stallWarningMs: 9_999 },
      'stallWarningMs',
      ["at least 10000 with retrievalMode 'fanout'", 'an event every 5 s', 'got 9999'],
    ],
    [
      'a limit between two events of a shard at rest',
      { retrievalMode: 'fanout', stallLimitMs: 4_000 },
      'stallLimitMs',
      ["at least 10000 with retrievalMode 'fanout'", 'got 4000'],
    ],
    [
      'a warning before a shard is polled again that waits to be pushed to',
      { retrievalMode: 'fanout', fallbackToPolling: true, idleTimeBetweenReadsMs: 6_000, stallWarningMs: 11_000 },
      'stallWarningMs',
      ['at least 12000, twice idleTimeBetweenReadsMs'],
    ],
    [
      'a longest wait below the first one',
      { handlerBackoffBaseMs: 1_000, handlerBackoffMaxMs: 100 },
      'handlerBackoffMaxMs',
      ['at least handlerBackoffBaseMs, 1000', 'got 100'],
    ],
    [
      'a wait for former streams where there is one stream',
      { formerStreamsWaitMs: 0 },
      'formerStreamsWaitMs',
      ['with streams alone', 'got 0 with stream'],
    ],
    [
      'former streams where there is one stream',
      { formerStreams: () => [] },
      'formerStreams',
      ['with streams alone', 'with stream'],
    ],
    [
      'capacity of a table on demand',
      { initialLeaseTableWriteCapacity: 5 },
      'initialLeaseTableWriteCapacity',
      ["with billingMode 'PROVISIONED' alone", "5 with billingMode 'PAY_PER_REQUEST'"],
    ],
    [
      'rows in the lease table that workers of the KCL 2.x fail on',
      { clientVersionConfig: 'compatible-with-2x', leaseTableLayout: 'single' },
      'leaseTableLayout',
      ["'auto' or 'three' with clientVersionConfig 'compatible-with-2x'", "got 'single'"],
    ],
    [
      'what to do about a stream, with several',
      { stream: undefined as never, streams: ['a'], onStreamRecreated: 'begin-anew' },
      'onStreamRecreated',
      ['with stream alone', 'got "begin-anew" with streams'],
    ],
    [
      'one table for leases and states',
      { coordinatorStateTableName: 'billing' },
      'coordinatorStateTableName',
      ['another table than tableName', 'got "billing" for both'],
    ],
    [
      'one table for states and metrics',
      { coordinatorStateTableName: 'more', workerMetricsTableName: 'more' },
      'workerMetricsTableName',
      ['another table than coordinatorStateTableName', 'got "more" for both'],
    ],
  ])('%s', (_, options, field, texts) => {
    const call = (): unknown => resolve(options);
    expect(call).toThrow(UsageError);
    for (const text of texts)
      expect(call).toThrow(expect.objectContaining({ field, message: expect.stringContaining(text) }));
  });
});

describe('what was not given gives way to what was', () => {
  it('a shard that is read seldom is not told as stalled for it', () => {
    const warningOf = (options: Partial<ConsumerOptions>): number => workerOptions(resolve(options)).stallWarningMs;
    expect(warningOf({ idleTimeBetweenReadsMs: 90_000 })).toBe(180_000);
    // Where shards are only pushed there is no such pause.
    const pushed = { retrievalMode: 'fanout', idleTimeBetweenReadsMs: 90_000 } as const;
    expect(warningOf({ ...pushed, stallWarningMs: 10_000 })).toBe(10_000);
    expect(warningOf({ ...pushed, fallbackToPolling: true })).toBe(180_000);
  });

  it('the warning of a stall comes no later than its limit', () => {
    expect(resolve({ stallLimitMs: 20_000 }).stallWarningMs).toBe(20_000);
    expect(resolve({ stallLimitMs: 90_000 }).stallWarningMs).toBe(60_000);
  });

  it('one call to DynamoDB may take a second, however short the failover time', () => {
    expect(resolve({ failoverTimeMs: 200 }).dynamoDBRequestTimeoutMs).toBe(1_000);
  });
});

describe('an application that is no name of a table', () => {
  it('is good where the tables are named', () => {
    expect(resolve({ application: 'a1', tableName: 'leases' }).tableName).toBe('leases');
    const names = { tableName: 'leases', coordinatorStateTableName: 'states', workerMetricsTableName: 'metrics' };
    expect(resolve({ application: 'my billing', ...names })).toMatchObject({ application: 'my billing', ...names });
  });

  it.each([
    ['a1', {}, 'given as tableName, got "a1"'],
    ['my billing', { tableName: 'leases' }, 'given as coordinatorStateTableName, got "my billing-CoordinatorState"'],
  ])('%s is refused with what to give in its place', (application, tables, text) => {
    expect(() => resolve({ application, ...tables })).toThrow(
      expect.objectContaining({ field: 'application', message: expect.stringContaining(text) }),
    );
  });
});
