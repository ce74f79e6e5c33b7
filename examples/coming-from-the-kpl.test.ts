// The page for those who come from the KPL: its program runs as it stands there, it has every key and call of the KPL, and
// what it says is ours is there.
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { createKinesisClient } from '@shardline/common';
import { startLocalKinesis } from '@shardline/local';
import { Producer, type ProducerOptions } from '@shardline/producer';
import { expect, test } from 'vitest';

const page = readFileSync(new URL('../docs/coming-from-the-kpl.md', import.meta.url), 'utf8');
const folder = new URL('dist/', import.meta.url);

/** The setters of KinesisProducerConfiguration, KPL 1.1.1. */
const KPL_KEYS = [
  ...[
    'AggregationEnabled',
    'AggregationMaxCount',
    'AggregationMaxSize',
    'CaCertFile',
    'CaCertPath',
    'CloudwatchEndpoint',
  ],
  ...['CloudwatchPort', 'CollectionMaxCount', 'CollectionMaxSize', 'ConnectTimeout', 'CredentialsProvider'],
  ...['CredentialsRefreshDelay', 'DaemonHealthCheckTimeoutMs', 'DescribeStreamSummaryIntervalMs', 'EnableCoreDumps'],
  ...['EnableDaemonHealthCheck', 'EnableOldestFutureTracker', 'FailIfThrottled', 'GlueSchemaRegistryConfiguration'],
  ...[
    'GlueSchemaRegistryCredentialsProvider',
    'GlueSchemaRegistryPropertiesFilePath',
    'KinesisEndpoint',
    'KinesisPort',
  ],
  ...['LogLevel', 'MaxConnections', 'MaxUserRecordSize', 'MetricsCredentialsProvider', 'MetricsGranularity'],
  ...['MetricsLevel', 'MetricsNamespace', 'MetricsUploadDelay', 'MinConnections', 'NativeExecutable', 'ProxyHost'],
  ...['ProxyPassword', 'ProxyPort', 'ProxyUserName', 'RateLimit', 'RecordDistributionStrategyDefault'],
  ...['RecordMaxBufferedTime', 'RecordTtl', 'Region', 'RequestTimeout', 'ReturnUserRecordOnFailure', 'StsEndpoint'],
  ...['StsPort', 'TempDirectory', 'ThreadPoolSize', 'ThreadingModel', 'UserRecordTimeoutInMillis', 'VerifyCertificate'],
];
const KPL_CALLS = [
  ...['addUserRecord', 'flush', 'flushSync', 'destroy', 'getOutstandingRecordsCount', 'getOldestRecordTimeInMillis'],
  ...['getMetrics', 'setStreamId', 'addAdditionalMetricsDimension', 'fromProperties', 'fromPropertiesFile'],
];

/** The rows of a section's table, as cells. */
function rowsOf(heading: string): string[][] {
  const section = page.split(`## ${heading}\n`)[1]?.split('\n## ')[0] ?? '';
  const lines = section.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith('| KPL '));
  return lines.map((line) => line.slice(1, -1).split('|'));
}

function named(cell = ''): string[] {
  return Array.from(cell.matchAll(/`(\w+)/g), ([, name = '']) => name);
}

test('its program puts a hundred orders and says that they are delivered', async () => {
  await using kinesis = await startLocalKinesis({ streams: [{ name: 'orders', shardCount: 2 }] });
  mkdirSync(folder, { recursive: true });
  const path = new URL('coming-from-the-kpl.mjs', folder);
  writeFileSync(path, /```js\n(.*?)```/s.exec(page)?.[1] ?? '');
  const env = {
    PATH: process.env['PATH'],
    AWS_ENDPOINT_URL_KINESIS: kinesis.endpoint,
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'local',
    AWS_SECRET_ACCESS_KEY: 'local',
    AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
  };
  const { stdout } = await promisify(execFile)(process.execPath, [path.pathname], { env, timeout: 60_000 });
  expect(stdout).toBe('delivered 100\n');
}, 90_000);

test('it has each key of the KPL once', () => {
  expect(
    rowsOf('Configuration keys')
      .flatMap(([keys]) => named(keys))
      .sort(),
  ).toEqual([...KPL_KEYS].sort());
});

test('it has each call of the KPL', () => {
  expect(rowsOf('Calls').flatMap(([calls]) => named(calls))).toEqual(expect.arrayContaining(KPL_CALLS));
});

test('what it says is ours is an option', async () => {
  const fresh = /New here: (.*)\./.exec(page)?.[1];
  const names = new Set([...rowsOf('Configuration keys').flatMap(([, ours]) => named(ours)), ...named(fresh)]);
  expect(names.size).toBeGreaterThan(20);
  const client = createKinesisClient({ region: 'us-east-1', endpoint: 'http://127.0.0.1:1' });
  for (const name of names) {
    const options: ProducerOptions = { client, ...(name === 'client' ? {} : { [name]: undefined }) };
    await new Producer(options).close();
  }
  client.destroy();
});

test('each test that it names is there', () => {
  const named = [...page.matchAll(/\[[\w.-]+\]\(\.\.\/([\w./-]+\.test\.ts)\): \*(.+?)\*(?=;| \|)/g)];
  expect(named.length).toBeGreaterThan(15);
  for (const [, path = '', title = ''] of named) {
    const tests = readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');
    expect({ path, title, isThere: tests.includes(title) }).toEqual({ path, title, isThere: true });
  }
});
