// Options are read once; what is wrong is named with what was expected and what was got.
import { readFileSync } from 'node:fs';
import { type Clock, createDynamoDBClient, silentLogger, UsageError } from '@shardline/common';
import { describe, expect, it } from 'vitest';
import type { ConsumerOptions } from './consumer-options.ts';
import { handlingOptionNames } from './handling/handling-options.ts';
import { optionNames, resolveOptions } from './options.ts';
import { workerOptions } from './worker-options.ts';

const required: ConsumerOptions = { application: 'billing', stream: 'orders' };
const resolve = (options: Partial<ConsumerOptions> = {}) => resolveOptions({ ...required, ...options }, 'host');

const at1e9: Clock = { now: () => 0, wallNow: () => 1e9, setTimer: () => () => undefined };

describe('resolveOptions', () => {
  it.each([
    ['Options', '## ', optionNames],
    ['Options of run', '### ', handlingOptionNames],
  ])('%s: every one stands in its table of the README, and nothing else', (title, level, names) => {
    const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
    const [, section = ''] = new RegExp(`\n${level}${title}\n(.*?)\n##`, 's').exec(readme) ?? [];
    const firstColumns = [...section.matchAll(/^\| (`.*?) \| /gm)].map(([, column = '']) => column);
    const named = firstColumns.flatMap((column) => [...column.matchAll(/`(\w+)`/g)].map(([, name]) => name));
    expect(named.sort()).toEqual([...new Set(names)].sort());
  });

  it('a limit of stalls that is out of bounds is named by itself, not by what follows from it', () => {
    expect(() => resolve({ stallLimitMs: 50 })).toThrow('stallLimitMs: expected a whole number from 100 on, got 50');
  });

  it('fills in defaults that lose nothing', () => {
    expect(resolve()).toMatchObject({
      application: 'billing',
      tableName: 'billing',
      leaseTableLayout: 'auto',
      coordinatorStateTableName: 'billing-CoordinatorState',
      workerMetricsTableName: 'billing-WorkerMetricStats',
      from: { stream: { streamName: 'orders' }, initialPosition: 'TRIM_HORIZON', timestamp: undefined },
      checkpointing: 'auto',
      failoverTimeMs: 10_000,
      leaseAssignmentIntervalMs: 10_000,
      leaderLeaseDurationMs: 30_000,
      shardSyncIntervalMs: 60_000,
      checkpointIntervalMs: 5_000,
      gracefulLeaseHandoffTimeoutMs: 30_000,
      staleWorkerMetricsEntryCleanupDurationMs: 86_400_000,
      workerMetricsReportIntervalMs: 30_000,
      maxRecordsPerRead: 10_000,
      idleTimeBetweenReadsMs: 1_000,
      dynamoDBRequestTimeoutMs: 5_000,
    });
  });

  it('makes a worker id that no other worker has', () => {
    expect(resolve().workerId).toMatch(/^host:[0-9a-f-]{36}$/);
    expect(resolve().workerId).not.toBe(resolve().workerId);
    expect(resolve({ workerId: 'w1' }).workerId).toBe('w1');
  });

  it('derives times from failoverTimeMs unless they are given', () => {
    expect(resolve({ failoverTimeMs: 500, leaderLeaseDurationMs: 800 })).toMatchObject({
      leaseAssignmentIntervalMs: 500,
      leaderLeaseDurationMs: 800,
      dynamoDBRequestTimeoutMs: 1_000,
    });
  });

  it('takes a time to begin at', () => {
    const timestamp = new Date('2026-01-02T03:04:05Z');
    expect(resolve({ initialPosition: { timestamp } })).toMatchObject({
      from: { initialPosition: 'AT_TIMESTAMP', timestamp },
    });
  });

  it('takes an ARN', () => {
    const stream = 'arn:aws:kinesis:eu-central-1:123456789012:stream/orders';
    expect(resolve({ stream }).from).toMatchObject({ stream: { streamName: 'orders', streamArn: stream } });
  });

  it('takes several streams, each with a beginning of its own, or a function that lists them', async () => {
    const others = { application: 'billing' };
    const streams = ['a', { stream: '123456789012:b:1700000000', initialPosition: 'LATEST' }] as const;
    const listed = [
      { stream: 'a', initialPosition: 'TRIM_HORIZON', timestamp: undefined },
      { stream: '123456789012:b:1700000000', initialPosition: 'LATEST', timestamp: undefined },
    ];
    for (const given of [streams, () => streams, async () => streams]) {
      const { from } = resolveOptions({ ...others, streams: given }, 'host');
      expect(typeof from === 'function' ? await from() : from).toEqual(listed);
    }
  });

  it.each([
    ['both', { stream: 'a', streams: ['b'] }, 'streams: expected either stream or streams, got both'],
    ['no array', { streams: 'a' }, 'streams: expected an array, or a function that gives one, got "a"'],
    [
      'no stream',
      { streams: ['a', 5] },
      'streams[1]: expected a stream, or { stream, initialPosition, consumerArn }, got 5',
    ],
    ['none', { streams: [] }, 'streams: expected at least one stream, got none'],
    ['one twice', { streams: ['a', { stream: 'a' }] }, 'streams[1]: expected each stream once, got "a"'],
    [
      'a misspelt option',
      { streams: [{ stream: 'a', initialPositon: 'LATEST' }] },
      'streams[0].initialPositon: expected a known option, got an unknown one; did you mean initialPosition?',
    ],
    ['a bad name', { streams: ['a b'] }, 'streams[0]: expected a stream name'],
    ['a bad position', { streams: [{ stream: 'a', initialPosition: 'x' }] }, 'streams[0].initialPosition: expected'],
    ['a bad identifier', { streams: ['1:b:x'] }, 'streams[0]: expected account:name:epoch'],
  ])('says what is wrong with the streams: %s', (_what, given, message) => {
    const others = { application: 'billing' };
    expect(() => resolveOptions({ ...others, ...given } as never, 'host')).toThrow(message);
  });

  it('says what is wrong with a list that a function gave', async () => {
    const others = { application: 'billing' };
    const { from } = resolveOptions({ ...others, streams: () => [5] as never }, 'host');
    await expect(async () => typeof from === 'function' && (await from())).rejects.toThrow('streams[0]: expected');
  });

  it('gives the core everything it asks for', () => {
    const worker = workerOptions(
      resolve({ workerId: 'w1', failoverTimeMs: 2_000, workerMetricsReportIntervalMs: 400 }),
    );
    expect(worker).toMatchObject({ workerId: 'w1', failoverTimeMs: 2_000, retryMs: 200, workerStaleMs: 800 });
    expect(worker.incarnation).toMatch(/^[0-9a-f-]{36}$/);
    expect(Object.values(worker)).not.toContain(undefined);
  });

  it('takes a lease for found no sooner than a worker looks for it twice, however short the failover time', () => {
    expect(workerOptions(resolve({})).leaseFindingMs).toBe(1_250);
    expect(workerOptions(resolve({ failoverTimeMs: 3_000 })).leaseFindingMs).toBe(1_000);
  });

  it('takes a time as far ahead as clocks may differ', () => {
    const timestamp = new Date(1_000_300_000);
    expect(resolve({ initialPosition: { timestamp }, clock: at1e9 }).from).toMatchObject({ timestamp });
  });

  const wrong: [string, object, string, string][] = [
    ['an unknown option', { failover: 5 }, 'failover', 'did you mean failoverTimeMs?'],
    ["the KCL's name", { shardSyncIntervalMillis: 5 }, 'shardSyncIntervalMillis', 'did you mean shardSyncIntervalMs?'],
    ['an option of run', { maxRetryAttempts: 5 }, 'maxRetryAttempts', 'it is an option of run(handler, options)'],
    ["the KCL's name of the application", { applicationName: 'a' }, 'applicationName', 'did you mean application?'],
    ['nonsense', { zzz: 5 }, 'zzz', 'known are application, stream'],
    ['no application', { application: undefined }, 'application', 'got undefined'],
    ['an empty application', { application: '' }, 'application', 'got ""'],
    ['an application that is no table name', { application: 'a b' }, 'application', 'DynamoDB table name'],
    [
      'a layout that is none',
      { leaseTableLayout: 'two' },
      'leaseTableLayout',
      "'auto', 'single' or 'three', got \"two\"",
    ],
    ['a bad name of a table beside it', { workerMetricsTableName: 'x' }, 'workerMetricsTableName', 'got "x"'],
    ['a bad table name', { tableName: 'x' }, 'tableName', 'got "x"'],
    ['a bad stream', { stream: 'a/b' }, 'stream', 'got "a/b"'],
    ['no stream', { stream: undefined }, 'stream', 'got undefined'],
    ['an empty worker id', { workerId: '' }, 'workerId', 'got ""'],
    ['the key of a lease as worker id', { workerId: 'shardId-000000000000' }, 'workerId', 'no row of the lease table'],
    ['that of a lease of several streams', { workerId: '1:a:2:shardId-000000000000' }, 'workerId', 'no row'],
    ['that of the Leader row', { workerId: 'Leader' }, 'workerId', 'got "Leader"'],
    ['another initial position', { initialPosition: 'EARLIEST' }, 'initialPosition', 'got "EARLIEST"'],
    [
      'a time that is none',
      { initialPosition: { timestamp: new Date('x') } },
      'initialPosition.timestamp',
      'a valid Date, got an invalid one',
    ],
    ['a time as text', { initialPosition: { timestamp: '2026' } }, 'initialPosition.timestamp', 'a Date, got "2026"'],
    ['a time as a number', { initialPosition: { timestamp: 5 } }, 'initialPosition.timestamp', 'a Date, got 5'],
    ['a position without its time', { initialPosition: {} }, 'initialPosition', '{ timestamp: Date }, got an object'],
    [
      'more than a time',
      { initialPosition: { timestamp: new Date(0), x: 1 } },
      'initialPosition.x',
      'known are timestamp',
    ],
    [
      'a time that is still to come',
      { initialPosition: { timestamp: new Date(1_000_301_000) }, clock: at1e9 },
      'initialPosition.timestamp',
      'a time that has come: Kinesis does not read from one in the future, and LATEST begins now, got 1970-01-12T13:51:41.000Z, 5 minutes ahead',
    ],
    [
      'one of several streams',
      { stream: undefined, streams: [{ stream: 'a', initialPosition: { timestamp: new Date(2e9) } }], clock: at1e9 },
      'streams[0].initialPosition.timestamp',
      'a time that has come',
    ],
    ['null as position', { initialPosition: null }, 'initialPosition', 'got null'],
    ['another kind of checkpointing', { checkpointing: 'never' }, 'checkpointing', "'auto' or 'manual'"],
    ['text for a number', { failoverTimeMs: '5' }, 'failoverTimeMs', 'a whole number from 100 on, got "5"'],
    ['a number too small', { idleTimeBetweenReadsMs: 199 }, 'idleTimeBetweenReadsMs', 'from 200 on, got 199'],
    ['a number too large', { maxRecordsPerRead: 10_001 }, 'maxRecordsPerRead', 'from 1 to 10000, got 10001'],
    ['a fraction', { checkpointIntervalMs: 0.5 }, 'checkpointIntervalMs', 'got 0.5'],
    ['NaN', { shutdownGraceMs: Number.NaN }, 'shutdownGraceMs', 'got NaN'],
    ['a client that is none', { kinesisClient: {} }, 'kinesisClient', 'send, destroy'],
    ['a clock that is none', { clock: { now: () => 0 } }, 'clock', 'now, wallNow, setTimer'],
    ['a logger that is none', { logger: console }, 'logger', 'child'],
    ['metrics that are none', { metrics: { count: 1 } }, 'metrics', 'count, sample, samples, gauge'],
  ];
  it.each(wrong)('refuses %s', (_, options, field, text) => {
    const call = (): unknown => resolveOptions({ ...required, ...options }, 'host');
    expect(call).toThrow(UsageError);
    expect(call).toThrow(expect.objectContaining({ field, message: expect.stringContaining(text) }));
  });

  it.each([[undefined], [null], ['billing']])('refuses %s in place of options', (options) => {
    expect(() => Reflect.apply(resolveOptions, undefined, [options, 'host'])).toThrow(
      expect.objectContaining({ field: 'options' }),
    );
  });

  it('takes clients and a logger as they are', () => {
    const dynamoDBClient = createDynamoDBClient({ region: 'eu-central-1' });
    const resolved = resolve({ dynamoDBClient, logger: silentLogger });
    expect(resolved.dynamoDBClient).toBe(dynamoDBClient);
    expect(resolved.kinesisClient).toBeUndefined();
    dynamoDBClient.destroy();
  });
});
