// The producer against the local server over real sockets.
import { readFileSync } from 'node:fs';
import {
  createKinesisClient,
  type HashKey,
  type Logger,
  onDiagnostic,
  silentLogger,
  systemClock,
  UsageError,
} from '@shardline/common';
import { type LocalKinesis, startLocalKinesis } from '@shardline/local';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Producer, type ProducerOptions, type PutError, type PutResult } from '../src/index.ts';
import { type Fault, type FaultyProxy, startFaultyProxy } from './faulty-proxy.ts';
import { errorOf } from './refused.ts';
import { firstCopiesByKey, userRecordsOf } from './stream-content.ts';

const STREAM = 'orders';

let local: LocalKinesis;
const open: AsyncDisposable[] = [];

async function start(options: { readonly shardCount?: number; readonly limits?: boolean } = {}): Promise<void> {
  const { shardCount = 1, limits = false } = options;
  local = await startLocalKinesis({ limits, streams: [{ name: STREAM, shardCount }] });
  open.push(local);
}

function producerOf(options: Partial<ProducerOptions> = {}, endpoint = local.endpoint): Producer {
  const client = createKinesisClient({ ...local.clientConfig, endpoint, maxAttempts: 1 });
  const producer = new Producer({ stream: STREAM, client, ...options });
  open.push(producer, { [Symbol.asyncDispose]: async () => client.destroy() });
  return producer;
}

async function proxyOf(plan: (count: number) => Fault, planListing?: (count: number) => Fault): Promise<FaultyProxy> {
  const proxy = await startFaultyProxy(local.port, plan, planListing);
  open.push(proxy);
  return proxy;
}

/** Resolves once a producer knows the stream's strategy and its shards, with nothing put. */
async function mapReady(): Promise<void> {
  const stops: (() => void)[] = [];
  await Promise.all([
    new Promise<void>((resolve) => stops.push(onDiagnostic('shardline:producer:strategy', () => resolve()))),
    new Promise<void>((resolve) => {
      stops.push(onDiagnostic('shardline:producer:shard-map', ({ state }) => state === 'ready' && resolve()));
    }),
  ]);
  for (const stop of stops) stop();
}

/** Waits until the producer has its shard map: a flushed record is through. */
async function warmUp(producer: Producer): Promise<void> {
  const warm = producer.put({ partitionKey: 'warm-up', data: '' });
  await producer.flush();
  await warm;
}

interface Settled {
  readonly key: string;
  readonly text: string;
  readonly result: PutResult;
}

/** Puts `count` records over `keyCount` keys, waiting for room, calling `midway` in the middle; all must succeed. */
async function putMany(
  producer: Producer,
  count: number,
  keyCount: number,
  options: { readonly padBytes?: number; readonly midway?: () => void } = {},
): Promise<Settled[]> {
  const puts: Promise<Settled>[] = [];
  for (let number = 0; number < count; number++) {
    await producer.ready;
    if (number === Math.floor(count / 2)) options.midway?.();
    const key = `key-${(number * 7) % keyCount}`;
    const text = `${number}`.padEnd(options.padBytes ?? 0, '.');
    puts.push(producer.put({ partitionKey: key, data: text }).then((result) => ({ key, text, result })));
  }
  await producer.flush();
  return Promise.all(puts);
}

/** What was said is in the stream, there is nothing else, and each key's first copies are in put order, also for the KCL. */
function expectStreamToHold(settled: readonly Settled[]): void {
  const stored = userRecordsOf(local.model, STREAM);
  const places = new Map(
    stored.map((one) => [`${one.shardId}/${one.sequenceNumber}/${one.subSequenceNumber ?? ''}`, one]),
  );
  const putByKey = new Map<string, string[]>();
  for (const { key, text, result } of settled) {
    const place = places.get(`${result.shardId}/${result.sequenceNumber}/${result.subSequenceNumber ?? ''}`);
    expect(place).toMatchObject({ partitionKey: key, text, readable: true });
    putByKey.set(key, [...(putByKey.get(key) ?? []), text]);
  }
  expect(firstCopiesByKey(stored)).toEqual(putByKey);
  expect(firstCopiesByKey(stored.filter(({ readable }) => readable))).toEqual(putByKey);
}

beforeEach(() => {
  open.length = 0;
});

afterEach(async () => {
  for (const one of open.reverse()) await one[Symbol.asyncDispose]();
});

describe('golden: one Kinesis record on the server, equal to what the native KPL 1.1.1 sent', () => {
  interface GoldenCase {
    readonly case: string;
    readonly aggregationMaxSize: number;
    readonly partitionKey: string;
    readonly explicitHashKey: string;
    readonly aggregated: boolean;
    readonly userRecords: readonly { partitionKey: string; explicitHashKey: string | null; data: string }[];
    readonly blob: string;
  }
  const golden: { readonly cases: readonly GoldenCase[] } = JSON.parse(
    readFileSync(new URL('../../common/test/fixtures/kpl-golden.json', import.meta.url), 'utf8'),
  );

  test.each(golden.cases.map((one, index) => [`${index} ${one.case}`, one] as const))('%s', async (_, one) => {
    await start();
    const hashKeys: string[] = [];
    const stopListening = onDiagnostic('shardline:producer:request', ({ kinesisRecordCount }) => {
      hashKeys.push(`${kinesisRecordCount}`);
    });
    const client = createKinesisClient({ ...local.clientConfig, maxAttempts: 1 });
    client.middlewareStack.add(
      (next) => async (args) => {
        const entries = 'Records' in args.input ? (args.input.Records ?? []) : [];
        for (const { ExplicitHashKey = '' } of entries) hashKeys.push(ExplicitHashKey);
        return next(args);
      },
      { step: 'initialize' },
    );
    open.push({ [Symbol.asyncDispose]: async () => client.destroy() });
    const known = mapReady();
    const producer = producerOf({ client, aggregationMaxSizeBytes: one.aggregationMaxSize });
    await known;
    const puts = one.userRecords.map(({ partitionKey, explicitHashKey, data }) =>
      producer.put({
        partitionKey,
        data: Buffer.from(data, 'base64'),
        ...(explicitHashKey === null ? {} : { explicitHashKey }),
      }),
    );
    await producer.flush();
    await Promise.all(puts);
    stopListening();
    const [shard] = local.model.stream(STREAM, Date.now()).shards;
    expect(shard?.log.nextCounter).toBe((shard?.log.firstCounter ?? 0) + 1);
    const stored = shard?.log.at(shard.log.firstCounter);
    expect(stored?.partitionKey).toBe(one.partitionKey);
    expect(Buffer.from(stored?.data ?? []).toString('base64')).toBe(one.blob);
    expect(hashKeys).toEqual(['1', one.explicitHashKey]);
  });
});

describe('under load', () => {
  test('over its limits every put is settled once, the stream holds just that, each key in order', async () => {
    await start({ shardCount: 2, limits: true });
    let throttledCount = 0;
    const stopListening = onDiagnostic('shardline:producer:throttle', ({ kinesisRecordCount }) => {
      throttledCount += kinesisRecordCount;
    });
    let settledCount = 0;
    const stopCounting = onDiagnostic('shardline:producer:settle', () => {
      settledCount++;
    });
    // Three seconds' worth of what the shards take, in few records: a machine has to be slow indeed to keep within the limits.
    const settled = await putMany(producerOf(), 1_000, 300, { padBytes: 6_000 });
    stopListening();
    stopCounting();
    expect(throttledCount).toBeGreaterThan(0);
    expect(settledCount).toBe(1_000);
    expectStreamToHold(settled);
  });

  test('without aggregation too', async () => {
    await start({ shardCount: 4, limits: true });
    expectStreamToHold(await putMany(producerOf({ aggregationEnabled: false }), 6_000, 2_000));
  });

  test('of one hot key, order holds through aggregation', async () => {
    await start({ shardCount: 2 });
    expectStreamToHold(await putMany(producerOf(), 5_000, 1, { padBytes: 100 }));
  });

  test('connections are reused', async () => {
    await start({ shardCount: 2 });
    const proxy = await proxyOf(() => 'none');
    const producer = producerOf({ aggregationEnabled: false, collectionMaxCount: 10 }, proxy.endpoint);
    await putMany(producer, 1_500, 1_500);
    expect(proxy.putCount()).toBeGreaterThanOrEqual(150);
    expect(proxy.connectionCount()).toBeLessThanOrEqual(50);
  });
});

describe('while the stream is resharded', () => {
  test('a split midway loses nothing, also for the strict KCL, and keeps the order', async () => {
    await start({ shardCount: 2 });
    const producer = producerOf({ recordMaxBufferedTimeMs: 5, maxOutstandingRecordCount: 600 });
    await warmUp(producer);
    const midway = (): void => {
      const [shard] = local.model.stream(STREAM, Date.now()).openShards;
      const { start: first, end } = shard?.origin.range ?? { start: 0n, end: 0n };
      const newStartingHashKey = ((first + end) / 2n) as HashKey;
      local.model.splitShard({ streamName: STREAM, shardId: shard?.id ?? '', newStartingHashKey }, Date.now());
    };
    const settled = await putMany(producer, 6_000, 200, { midway });
    expect(settled.some(({ result }) => result.attempts.some(({ errorCode }) => errorCode === 'Wrong Shard'))).toBe(
      true,
    );
    expect(new Set(settled.map(({ result }) => result.shardId)).size).toBe(4);
    expect(settled.every(({ result }) => result.attempts.length === 1 || result.duplicate)).toBe(true);
    expectStreamToHold([{ key: 'warm-up', text: '', result: await warmResult() }, ...settled]);
  });

  test('a merge midway needs no duplicates', async () => {
    await start({ shardCount: 2 });
    const producer = producerOf({ recordMaxBufferedTimeMs: 5, maxOutstandingRecordCount: 600 });
    await warmUp(producer);
    const midway = (): void => {
      const [shard, adjacent] = local.model.stream(STREAM, Date.now()).openShards;
      local.model.mergeShards(
        { streamName: STREAM, shardId: shard?.id ?? '', adjacentShardId: adjacent?.id ?? '' },
        Date.now(),
      );
    };
    const settled = await putMany(producer, 6_000, 200, { midway });
    expect(settled.filter(({ result }) => result.duplicate)).toEqual([]);
    expectStreamToHold([{ key: 'warm-up', text: '', result: await warmResult() }, ...settled]);
  });

  /** Where the warm-up record went. */
  async function warmResult(): Promise<PutResult> {
    const found = userRecordsOf(local.model, STREAM).find(({ partitionKey }) => partitionKey === 'warm-up');
    const { shardId = '', sequenceNumber = '' } = found ?? {};
    return { shardId, sequenceNumber, attempts: [], duplicate: false };
  }
});

describe('over a bad network', () => {
  test('lost requests, lost answers and failures of the service cost copies, not records and not order', async () => {
    await start({ shardCount: 2 });
    const faults: readonly Fault[] = [
      'lose-answer',
      'InternalFailure',
      'none',
      'lose-request',
      'ProvisionedThroughputExceededException',
      'none',
    ];
    const proxy = await proxyOf((count) => faults[count % faults.length] ?? 'none');
    const producer = producerOf({ recordMaxBufferedTimeMs: 5, collectionMaxCount: 20 }, proxy.endpoint);
    const settled = await putMany(producer, 1_000, 100, { padBytes: 300 });
    expectStreamToHold(settled);
    const copies = userRecordsOf(local.model, STREAM).length;
    expect(copies).toBeGreaterThan(1_000);
    expect(settled.filter(({ result }) => result.duplicate).length).toBeGreaterThan(0);
  });

  test('a request without an answer is given up after requestTimeoutMs and sent again', async () => {
    await start();
    const proxy = await proxyOf((count) => (count === 0 ? 'never-answer' : 'none'));
    // Long enough for the answer to the second one on a busy machine.
    const producer = producerOf({ requestTimeoutMs: 1_000 }, proxy.endpoint);
    const put = producer.put({ partitionKey: 'k', data: 'x' });
    await producer.flush();
    expect((await put).attempts).toMatchObject([
      { errorCode: 'RequestTimeout', written: 'unknown' },
      { written: 'yes' },
    ]);
  });

  test('what can not be delivered in time fails with the record and all attempts in hand', async () => {
    await start();
    const proxy = await proxyOf(() => 'ProvisionedThroughputExceededException');
    const producer = producerOf({ recordTtlMs: 300, recordMaxBufferedTimeMs: 0 }, proxy.endpoint);
    const error = await errorOf(producer.put({ partitionKey: 'k', data: 'x' }));
    expect(error).toMatchObject({ code: 'EXPIRED', retryable: true, mayBeWritten: false });
    expect(error.attempts.length).toBeGreaterThan(0);
    expect(error.attempts[0]?.errorCode).toBe('ProvisionedThroughputExceededException');
    expect(error.cause).toBeInstanceOf(Error);
  });

  test('with failIfThrottled a throttled record fails at once', async () => {
    await start();
    const proxy = await proxyOf(() => 'ProvisionedThroughputExceededException');
    const producer = producerOf({ failIfThrottled: true, recordMaxBufferedTimeMs: 0 }, proxy.endpoint);
    const error = await errorOf(producer.put({ partitionKey: 'k', data: 'x' }));
    expect(error).toMatchObject({ code: 'THROTTLED', retryable: true, attempts: [{ written: 'no' }] });
  });
});

describe('when the service says no', () => {
  test('access denied fails at once, with the record in hand', async () => {
    await start();
    const proxy = await proxyOf(() => 'AccessDeniedException');
    const producer = producerOf({ recordMaxBufferedTimeMs: 0 }, proxy.endpoint);
    const error = await errorOf(producer.put({ partitionKey: 'k', data: 'x' }));
    expect(error).toMatchObject({ code: 'ACCESS_DENIED', retryable: false, mayBeWritten: false });
    expect(Buffer.from(error.userRecord.data).toString()).toBe('x');
    expect(proxy.putCount()).toBe(1);
  });

  test('expired credentials are tried again', async () => {
    await start();
    const proxy = await proxyOf((count) => (count < 2 ? 'ExpiredTokenException' : 'none'));
    const producer = producerOf({ recordMaxBufferedTimeMs: 0 }, proxy.endpoint);
    const { attempts } = await producer.put({ partitionKey: 'k', data: 'x' });
    expect(attempts.map(({ errorCode }) => errorCode)).toEqual([
      'ExpiredTokenException',
      'ExpiredTokenException',
      undefined,
    ]);
  });

  test('an answer with a result too few fails all of its records (KPL: Record Count Mismatch)', async () => {
    await start();
    const proxy = await proxyOf(() => 'forget-one-result');
    const producer = producerOf({ aggregationEnabled: false }, proxy.endpoint);
    const errors = ['a', 'b'].map((key) => errorOf(producer.put({ partitionKey: key, data: 'x' })));
    await producer.flush();
    for (const error of await Promise.all(errors)) {
      expect(error).toMatchObject({ code: 'REQUEST_FAILED', mayBeWritten: true });
      expect(error.attempts[0]?.errorCode).toBe('Record Count Mismatch');
    }
  });

  test('without permission for ListShards records travel alone, and one warning is written', async () => {
    await start();
    const warnings: string[] = [];
    const logger: Logger = {
      ...silentLogger,
      warn: (_, message = '') => void warnings.push(message),
      child: () => logger,
    };
    const proxy = await proxyOf(
      () => 'none',
      () => 'AccessDeniedException',
    );
    const recordDistributionStrategyDefault = 'USER_PARTITION_KEY';
    const producer = producerOf({ logger, recordDistributionStrategyDefault }, proxy.endpoint);
    const settled = await putMany(producer, 200, 50);
    expect(settled.every(({ result }) => result.subSequenceNumber === undefined)).toBe(true);
    expectStreamToHold(settled);
    expect(warnings).toEqual(['ListShards failed: records travel alone until it succeeds']);
  });
});

describe('bad input', () => {
  test('is thrown at the call and puts nothing', async () => {
    await start();
    const producer = producerOf();
    expect(() => producer.put({ partitionKey: '', data: 'x' })).toThrow(UsageError);
    expect(() => producer.put({ partitionKey: 'k', data: new Uint8Array(1_048_576) })).toThrow(UsageError);
    expect(() => producer.put({ partitionKey: 'k', data: 'x', explicitHashKey: 2n ** 128n })).toThrow(UsageError);
    expect(() => producer.close({ timeoutMs: -1 })).toThrow(UsageError);
    expect(producer.outstandingRecordCount).toBe(0);
  });

  test('a stream that is not there fails at once, with the record in hand', async () => {
    await start();
    const producer = producerOf({ stream: 'missing' });
    const put = producer.put({ partitionKey: 'k', data: 'x' });
    const [error] = await Promise.all([errorOf(put), producer.flush()]);
    expect(error).toMatchObject({ code: 'STREAM_NOT_FOUND', retryable: false, userRecord: { partitionKey: 'k' } });
  });

  test('a stream given by ARN is reached', async () => {
    await start();
    const producer = producerOf({ stream: `arn:aws:kinesis:us-east-1:000000000000:stream/${STREAM}` });
    const put = producer.put({ partitionKey: 'k', data: 'x' });
    await producer.flush();
    expect((await put).shardId).toBe('shardId-000000000000');
  });

  test('a record of just the size that the stream takes goes; a larger one is refused with the record in hand', async () => {
    await start();
    const producer = producerOf({ maxUserRecordSizeBytes: 10_485_760 });
    const put = producer.put({ partitionKey: 'k', data: new Uint8Array(1_048_575) });
    await producer.flush();
    expect((await put).attempts).toHaveLength(1);
    const beside = ['a', 'b', 'c'].map((key) => producer.put({ partitionKey: key, data: new Uint8Array(60_000) }));
    const tooLarge = errorOf(producer.put({ partitionKey: 'k', data: new Uint8Array(1_048_576) }));
    await producer.flush();
    expect(await tooLarge).toMatchObject({ code: 'REQUEST_FAILED', retryable: false, mayBeWritten: false });
    // Kinesis refused their request for the large one in it; they went again without it.
    for (const { attempts } of await Promise.all(beside)) expect(attempts.length).toBeGreaterThan(1);
  });
});

describe('backpressure', () => {
  test('past the bound put rejects at once with BUFFER_FULL, the record in hand; ready tells when there is room', async () => {
    await start();
    const producer = producerOf({ maxOutstandingRecordCount: 4 });
    await producer.ready;
    const puts = [1, 2, 3, 4].map((number) => producer.put({ partitionKey: `${number}`, data: 'x' }));
    const ready = producer.ready.then(() => producer.outstandingRecordCount);
    const error = await errorOf(producer.put({ partitionKey: 'k', data: 'too much' }));
    expect(error).toMatchObject({ code: 'BUFFER_FULL', retryable: true, userRecord: { partitionKey: 'k' } });
    expect(await ready).toBeLessThan(2);
    await Promise.all(puts);
    await producer.put({ ...error.userRecord });
  });

  test('bounds the bytes too', async () => {
    await start();
    const options = { maxUserRecordSizeBytes: 1_000, maxOutstandingBytes: 1_500 };
    const producer = producerOf(options);
    const first = producer.put({ partitionKey: 'k', data: new Uint8Array(900) });
    expect((await errorOf(producer.put({ partitionKey: 'l', data: new Uint8Array(900) }))).code).toBe('BUFFER_FULL');
    await first;
    expect([producer.outstandingRecordCount, producer.outstandingBytes]).toEqual([0, 0]);
  });

  test('an application that is still being told of what has settled has its aggregated records filled before they leave', async () => {
    const shardCount = 20;
    await start({ shardCount });
    // Time passes with every look at it, so that much that settles together is told in many slices.
    let looks = 0;
    const clock = { ...systemClock, now: () => systemClock.now() + looks++ };
    const producer = producerOf({
      clock,
      recordMaxBufferedTimeMs: 3_000_000,
      recordTtlMs: 6_000_000,
      maxOutstandingRecordCount: 20_000,
      rateLimitPercent: 100_000,
    });
    await warmUp(producer);
    const counts: number[] = [];
    const stop = onDiagnostic('shardline:producer:aggregate', ({ userRecordCount }) => counts.push(userRecordCount));
    for (let count = 0; count < 50_000; count++) {
      await producer.ready;
      producer.put({ partitionKey: `${count}`, data: 'x' }, (error) => expect(error).toBeUndefined());
    }
    await producer.flush();
    stop();
    // From 10,000 outstanding on it waits: 500 for each shard.
    expect(counts.length).toBeLessThan((50_000 / 500) * 1.5);
  });
});

describe('the end', () => {
  test('flush resolves once everything put before has settled, and does not wait for the buffered time', async () => {
    await start();
    const producer = producerOf({ recordMaxBufferedTimeMs: 10_000 });
    let settledCount = 0;
    const puts = [1, 2, 3].map(async (number) => {
      await producer.put({ partitionKey: `${number}`, data: 'x' });
      settledCount++;
    });
    await producer.flush();
    expect(producer.outstandingRecordCount).toBe(0);
    await Promise.all(puts);
    expect(settledCount).toBe(3);
    await producer.flush();
  });

  test('close delivers what is outstanding, is idempotent, and takes no more', async () => {
    await start();
    const producer = producerOf({ recordMaxBufferedTimeMs: 10_000 });
    const put = producer.put({ partitionKey: 'k', data: 'x' });
    const closing = producer.close();
    expect(producer.close()).toBe(closing);
    const late = await errorOf(producer.put({ partitionKey: 'late', data: 'x' }));
    expect(late).toMatchObject({ code: 'CLOSED', retryable: false, userRecord: { partitionKey: 'late' } });
    await closing;
    expect((await put).attempts).toHaveLength(1);
    await producer[Symbol.asyncDispose]();
    await producer.ready;
  });

  test('close past its deadline rejects what is left, and says what may be written', async () => {
    await start();
    const proxy = await proxyOf(() => 'never-answer');
    const producer = producerOf({ aggregationEnabled: false, recordMaxBufferedTimeMs: 0 }, proxy.endpoint);
    const begun = new Promise<void>((resolve) => {
      const stop = onDiagnostic('shardline:producer:request', () => {
        stop();
        resolve();
      });
    });
    const puts = ['sent', 'held'].map((data) => errorOf(producer.put({ partitionKey: 'hot', data })));
    await begun;
    await producer.close({ timeoutMs: 20 });
    const errors = await Promise.all(puts);
    expect(errors.map(({ code, mayBeWritten }) => [code, mayBeWritten])).toEqual([
      ['CLOSED', true],
      ['CLOSED', false],
    ]);
    expect(errors.map(({ userRecord }) => Buffer.from(userRecord.data).toString())).toEqual(['sent', 'held']);
  });

  test('who handles the failure of a put has done so when flush or close returns', async () => {
    await start();
    const throttling = await proxyOf(() => 'ProvisionedThroughputExceededException');
    const silent = await proxyOf(() => 'never-answer');
    const handled: string[] = [];
    const put = (producer: Producer, name: string): void => {
      for (const partitionKey of ['a', 'b', 'c'])
        producer.put({ partitionKey, data: 'x' }).catch(({ code }: PutError) => void handled.push(`${name} ${code}`));
    };
    const refused = producerOf({ failIfThrottled: true, recordMaxBufferedTimeMs: 10_000 }, throttling.endpoint);
    put(refused, 'flush');
    await refused.flush();
    expect(handled).toEqual(['flush THROTTLED', 'flush THROTTLED', 'flush THROTTLED']);
    const hanging = producerOf({ recordMaxBufferedTimeMs: 10_000 }, silent.endpoint);
    put(hanging, 'close');
    await hanging.close({ timeoutMs: 20 });
    expect(handled.slice(3)).toEqual(['close CLOSED', 'close CLOSED', 'close CLOSED']);
  });

  test('await using flushes and closes', async () => {
    await start();
    const client = createKinesisClient(local.clientConfig);
    let put: Promise<PutResult>;
    {
      await using producer = new Producer({ stream: STREAM, client });
      put = producer.put({ partitionKey: 'k', data: 'x' });
    }
    expect((await put).shardId).toBe('shardId-000000000000');
    client.destroy();
  });
});
