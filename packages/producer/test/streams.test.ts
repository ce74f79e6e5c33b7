// One producer for several streams, against the local server over real sockets.
import type { KinesisClient } from '@aws-sdk/client-kinesis';
import { createKinesisClient, onDiagnostic, UsageError } from '@shardline/common';
import { type LocalKinesis, startLocalKinesis } from '@shardline/local';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Producer, type ProducerOptions, type PutResult } from '../src/index.ts';
import { startFaultyProxy } from './faulty-proxy.ts';
import { errorOf } from './refused.ts';
import { firstCopiesByKey, userRecordsOf } from './stream-content.ts';

const ACCOUNT = '000000000000';

let local: LocalKinesis;
const open: AsyncDisposable[] = [];

beforeEach(async () => {
  local = await startLocalKinesis({
    limits: true,
    streams: [
      { name: 'orders', shardCount: 2 },
      { name: 'clicks', shardCount: 1 },
    ],
  });
  open.push(local);
});

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

function arnOf(streamName: string, region = 'us-east-1'): string {
  return `arn:aws:kinesis:${region}:${ACCOUNT}:stream/${streamName}`;
}

function clientOf(endpoint = local.endpoint): KinesisClient {
  const client = createKinesisClient({ ...local.clientConfig, endpoint, maxAttempts: 1 });
  open.push({ [Symbol.asyncDispose]: async () => client.destroy() });
  return client;
}

function producerOf(options: ProducerOptions = {}): Producer {
  const producer = new Producer({ client: clientOf(), ...options });
  open.push(producer);
  return producer;
}

/** Counts the calls that a client makes, by operation. */
function countCalls(client: KinesisClient): Map<string, number> {
  const calls = new Map<string, number>();
  client.middlewareStack.add(
    (next, { commandName = '' }) =>
      async (args) => {
        calls.set(commandName, (calls.get(commandName) ?? 0) + 1);
        return next(args);
      },
    { step: 'initialize' },
  );
  return calls;
}

/** Puts numbered records of some keys, in turn, and gives their texts by key. */
function putNumbered(
  producer: Producer,
  streams: readonly string[],
  count: number,
): { readonly puts: Promise<PutResult>[]; readonly texts: Map<string, Map<string, string[]>> } {
  const puts: Promise<PutResult>[] = [];
  const texts = new Map<string, Map<string, string[]>>();
  for (let number = 0; number < count; number++) {
    const stream = streams[number % streams.length] as string;
    const partitionKey = `key-${number % 7}`;
    const data = `${stream} ${number}`;
    puts.push(producer.put({ stream, partitionKey, data }));
    const byKey = texts.get(stream) ?? new Map<string, string[]>();
    byKey.set(partitionKey, [...(byKey.get(partitionKey) ?? []), data]);
    texts.set(stream, byKey);
  }
  return { puts, texts };
}

test('each record lands in the stream that its put names, each key in order, aggregated per stream', async () => {
  const producer = producerOf();
  const { puts, texts } = putNumbered(producer, ['orders', 'clicks'], 2_000);
  await producer.flush();
  await Promise.all(puts);
  for (const stream of ['orders', 'clicks']) {
    const stored = userRecordsOf(local.model, stream);
    expect(stored.every(({ readable }) => readable)).toBe(true);
    expect(stored.some(({ subSequenceNumber }) => subSequenceNumber !== undefined)).toBe(true);
    expect(firstCopiesByKey(stored)).toEqual(texts.get(stream));
  }
});

test('a put without a stream goes to the default, and is a usage error where there is none', async () => {
  const producer = producerOf({ stream: 'orders' });
  const puts = [
    producer.put({ partitionKey: 'k', data: 'default' }),
    producer.put({ stream: 'clicks', partitionKey: 'k', data: 'named' }),
  ];
  await producer.flush();
  await Promise.all(puts);
  expect(userRecordsOf(local.model, 'orders').map(({ text }) => text)).toEqual(['default']);
  expect(userRecordsOf(local.model, 'clicks').map(({ text }) => text)).toEqual(['named']);
  const bare = producerOf();
  expect(() => bare.put({ partitionKey: 'k', data: '' })).toThrow(UsageError);
  expect(() => bare.put({ stream: 'no spaces', partitionKey: 'k', data: '' })).toThrow(UsageError);
});

test('putAll and the callback face take records of several streams', async () => {
  const producer = producerOf();
  const inputs = ['orders', 'clicks', 'orders'].map((stream) => ({ stream, partitionKey: 'k', data: stream }));
  expect(await producer.putAll(inputs)).toEqual({ succeededCount: 3, failedCount: 0 });
  const settled = new Promise((resolve) => {
    producer.put({ stream: 'clicks', partitionKey: 'k', data: 'last' }, (error) => resolve(error));
  });
  await producer.flush();
  expect(await settled).toBeUndefined();
  expect(userRecordsOf(local.model, 'orders')).toHaveLength(2);
  expect(userRecordsOf(local.model, 'clicks')).toHaveLength(2);
});

describe('name and ARN', () => {
  test('of one stream are one line of order once the stream has said its ARN', async () => {
    const producer = producerOf({ stream: 'orders' });
    const first = producer.put({ partitionKey: 'k', data: 'first' });
    await producer.flush();
    await first;
    const puts = Array.from({ length: 200 }, (_, number) =>
      producer.put({
        stream: number % 2 === 0 ? 'orders' : arnOf('orders'),
        partitionKey: 'k',
        data: `${number}`,
      }),
    );
    await producer.flush(arnOf('orders'));
    await Promise.all(puts);
    expect(userRecordsOf(local.model, 'orders').map(({ text }) => text)).toEqual([
      'first',
      ...puts.map((_, number) => `${number}`),
    ]);
  });

  test('an ARN reaches its stream', async () => {
    const producer = producerOf();
    const put = producer.put({ stream: arnOf('clicks'), partitionKey: 'k', data: 'x' });
    await producer.flush(arnOf('clicks'));
    await put;
    expect(userRecordsOf(local.model, 'clicks')).toHaveLength(1);
  });

  test("an ARN of another region than the client's is refused: what was put at once fails, later puts throw", async () => {
    const producer = producerOf();
    const elsewhere = arnOf('orders', 'eu-west-1');
    const error = await errorOf(producer.put({ stream: elsewhere, partitionKey: 'k', data: 'x' }));
    expect(error).toMatchObject({ code: 'REQUEST_FAILED', retryable: false, stream: elsewhere });
    expect(error.userRecord).toEqual({ stream: elsewhere, partitionKey: 'k', data: Buffer.from('x') });
    expect(() => producer.put({ stream: elsewhere, partitionKey: 'k', data: 'x' })).toThrow(UsageError);
  });
});

describe('a stream in trouble does not hold up the others', () => {
  test('missing: its records fail at once, and name it', async () => {
    const producer = producerOf({ stream: 'orders' });
    const lost = producer.put({ stream: 'missing', partitionKey: 'k', data: 'lost' });
    const { puts } = putNumbered(producer, ['orders', 'clicks'], 200);
    const [error] = await Promise.all([errorOf(lost), producer.flush()]);
    await Promise.all(puts);
    expect(error).toMatchObject({ code: 'STREAM_NOT_FOUND', stream: 'missing', userRecord: { stream: 'missing' } });
    expect(userRecordsOf(local.model, 'orders').length + userRecordsOf(local.model, 'clicks').length).toBe(200);
  });

  test('deleted midway: the other goes on', async () => {
    const producer = producerOf();
    await Promise.all([...putNumbered(producer, ['orders', 'clicks'], 20).puts, producer.flush()]);
    local.model.deleteStream({ streamName: 'clicks' }, Date.now());
    const lost = producer.put({ stream: 'clicks', partitionKey: 'k', data: 'lost' });
    const { puts } = putNumbered(producer, ['orders'], 200);
    const [error] = await Promise.all([errorOf(lost), producer.flush()]);
    expect(error).toMatchObject({ stream: 'clicks', mayBeWritten: false });
    expect((await Promise.all(puts)).every(({ attempts }) => attempts.length === 1)).toBe(true);
  });

  test('throttled for as long as the test wants: flush of the other stream does not wait for it', async () => {
    // The local server holds a shard to 1 MB a second; two shards take the orders in one attempt, clicks has far too much.
    const producer = producerOf({ rateLimitPercent: 10_000, recordTtlMs: 60_000 });
    const throttled: string[] = [];
    const stopListening = onDiagnostic('shardline:producer:throttle', ({ stream }) => throttled.push(stream));
    const data = Buffer.alloc(50_000);
    const many = Array.from({ length: 60 }, (_, number) =>
      producer.put({ stream: 'clicks', partitionKey: `key-${number}`, data }),
    );
    await Promise.race([producer.flush('clicks'), firstThrottle()]);
    const { puts } = putNumbered(producer, ['orders'], 200);
    await producer.flush('orders');
    expect((await Promise.all(puts)).every(({ attempts }) => attempts.length === 1)).toBe(true);
    expect(producer.outstandingRecordCount).toBeGreaterThan(0);
    await Promise.all([...many, producer.flush()]);
    stopListening();
    expect(new Set(throttled)).toEqual(new Set(['clicks']));
    expect(userRecordsOf(local.model, 'clicks')).toHaveLength(60);
  });

  test('without answers: the requests of a stream that hangs leave turns to the others', async () => {
    // The first requests, all of clicks, never end; of the two at once one is given up every 500 ms, and then it is the turn of orders.
    const hanging = 6;
    const proxy = await startFaultyProxy(local.port, (count) => (count < hanging ? 'never-answer' : 'none'));
    open.push(proxy);
    const producer = producerOf({
      client: clientOf(proxy.endpoint),
      maxRequestsInFlight: 2,
      requestTimeoutMs: 500,
      collectionMaxCount: 1,
      aggregationEnabled: false,
    });
    const puts = Array.from({ length: 8 }, (_, number) =>
      producer.put({ stream: 'clicks', partitionKey: `key-${number}`, data: 'x' }),
    );
    const begun: string[] = [];
    const stopListening = onDiagnostic('shardline:producer:request', ({ stream }) => begun.push(stream));
    const firstRequest = requestBegun('clicks');
    void producer.flush();
    await firstRequest;
    const put = producer.put({ stream: 'orders', partitionKey: 'k', data: 'x' });
    await producer.flush('orders');
    await put;
    await Promise.all(puts);
    stopListening();
    // Six requests of clicks waited when that of orders came; it is not behind them.
    expect(begun.indexOf('orders')).toBeLessThan(6);
  });
});

test('a stream without records costs no call, however short the intervals', async () => {
  const client = clientOf();
  const calls = countCalls(client);
  const producer = producerOf({ client, describeStreamSummaryIntervalMs: 1 });
  await Promise.all([...putNumbered(producer, ['orders', 'clicks'], 20).puts, producer.flush()]);
  const before = new Map(calls);
  // Time in which the interval is over many times; the other stream is at work.
  const { puts } = putNumbered(producer, ['clicks'], 50);
  const asked: string[] = [];
  client.middlewareStack.add(
    (next) => async (args) => {
      const { StreamName } = args.input as { StreamName?: string };
      asked.push(StreamName ?? '');
      return next(args);
    },
    { step: 'initialize' },
  );
  await Promise.all([...puts, producer.flush()]);
  expect(asked).not.toContain('orders');
  expect(asked).toContain('clicks');
  expect(before.get('ListShardsCommand')).toBe(2);
});

test('the bounds are over all streams: what fills one leaves no room for the other, and ready tells when there is', async () => {
  const producer = producerOf({ maxOutstandingRecordCount: 10 });
  const puts = Array.from({ length: 10 }, (_, number) =>
    producer.put({ stream: 'orders', partitionKey: `${number}`, data: 'x' }),
  );
  const refused = await errorOf(producer.put({ stream: 'clicks', partitionKey: 'k', data: 'x' }));
  expect(refused).toMatchObject({ code: 'BUFFER_FULL', stream: 'clicks' });
  await producer.ready;
  const put = producer.put({ stream: 'clicks', partitionKey: 'k', data: 'x' });
  await producer.flush();
  await Promise.all([...puts, put]);
});

test('more streams than maxStreamCount are served one after the other, with results for every record', async () => {
  const names = ['a', 'b', 'c', 'd', 'e'];
  for (const name of names) local.model.createStream({ name, shardCount: 1 }, Date.now());
  const producer = producerOf({ maxStreamCount: 2 });
  for (const stream of [...names, ...names]) {
    const put = producer.put({ stream, partitionKey: 'k', data: stream });
    await producer.flush(stream);
    await put;
  }
  for (const name of names) expect(userRecordsOf(local.model, name)).toHaveLength(2);
  const held = names.slice(0, 2).map((stream) => producer.put({ stream, partitionKey: 'k', data: 'held' }));
  const refused = await errorOf(producer.put({ stream: 'c', partitionKey: 'k', data: 'one too many' }));
  expect(refused).toMatchObject({ code: 'BUFFER_FULL', retryable: true, stream: 'c' });
  await producer.flush();
  await Promise.all(held);
});

test('close delivers what all streams have, and past its deadline rejects it, each with its stream', async () => {
  const delivering = producerOf();
  const { puts } = putNumbered(delivering, ['orders', 'clicks'], 100);
  await delivering.close();
  await Promise.all(puts);
  const proxy = await startFaultyProxy(local.port, () => 'never-answer');
  open.push(proxy);
  const hanging = producerOf({ client: clientOf(proxy.endpoint) });
  const errors = ['orders', 'clicks'].map((stream) => errorOf(hanging.put({ stream, partitionKey: 'k', data: 'x' })));
  await hanging.close({ timeoutMs: 50 });
  expect((await Promise.all(errors)).map(({ code, stream }) => [code, stream])).toEqual([
    ['CLOSED', 'orders'],
    ['CLOSED', 'clicks'],
  ]);
});

test('what is published names the stream', async () => {
  const seen = new Set<string>();
  const listen = ['put', 'request', 'attempt', 'shard-map', 'settle'] as const;
  const stops = listen.map((name) =>
    onDiagnostic(`shardline:producer:${name}`, ({ stream, streamArn }) => seen.add(`${name} ${streamArn ?? stream}`)),
  );
  const producer = producerOf();
  const puts = ['orders', arnOf('clicks')].map((stream) => producer.put({ stream, partitionKey: 'k', data: 'x' }));
  await producer.flush();
  await Promise.all(puts);
  for (const stop of stops) stop();
  expect(seen).toEqual(new Set(listen.flatMap((name) => [`${name} orders`, `${name} ${arnOf('clicks')}`])));
});

function firstThrottle(): Promise<void> {
  return new Promise((resolve) => {
    const stop = onDiagnostic('shardline:producer:throttle', () => {
      stop();
      resolve();
    });
  });
}

function requestBegun(streamName: string): Promise<void> {
  return new Promise((resolve) => {
    const stop = onDiagnostic('shardline:producer:request', ({ stream }) => {
      if (stream !== streamName) return;
      stop();
      resolve();
    });
  });
}
