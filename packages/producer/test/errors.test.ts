// What becomes of a record when Kinesis says no, over real sockets: by the local server's faults, and by a proxy for what AWS says of
// single records.
import { KinesisClient } from '@aws-sdk/client-kinesis';
import {
  type Clock,
  createKinesisClient,
  type Logger,
  onDiagnostic,
  silentLogger,
  systemClock,
} from '@shardline/common';
import { type LocalKinesis, startLocalKinesis } from '@shardline/local';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { isPutError, Producer, type ProducerOptions, type PutError } from '../src/index.ts';
import { startFaultyProxy } from './faulty-proxy.ts';

const STREAM = 'orders';
const open: AsyncDisposable[] = [];
let local: LocalKinesis;

beforeEach(async () => {
  local = await startLocalKinesis({ limits: false, streams: [{ name: STREAM, shardCount: 1 }] });
});

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one[Symbol.asyncDispose]();
  await local.close();
});

function producerOf(options: Partial<ProducerOptions> = {}, endpoint = local.endpoint, config: object = {}): Producer {
  const client = createKinesisClient({ ...local.clientConfig, endpoint, maxAttempts: 1, ...config });
  const producer = new Producer({ stream: STREAM, client, recordMaxBufferedTimeMs: 0, ...options });
  open.push({ [Symbol.asyncDispose]: async () => client.destroy() }, producer);
  return producer;
}

async function errorOf(producer: Producer): Promise<PutError> {
  const error = await producer.put({ partitionKey: 'k', data: 'x' }).catch((thrown: unknown) => thrown);
  if (isPutError(error)) return error;
  throw new Error('the put succeeded');
}

function warnings(): { readonly logger: Logger; readonly texts: string[] } {
  const texts: string[] = [];
  const logger: Logger = { ...silentLogger, child: () => logger, warn: (_, text = '') => void texts.push(text) };
  return { logger, texts };
}

test('a client without a region: every put fails at once and says where to give it, and close has nothing to wait for', async () => {
  const region = (): Promise<string> => Promise.reject(new Error('Region is missing'));
  const client = new KinesisClient({ region });
  const errors: string[] = [];
  const logger: Logger = { ...silentLogger, child: () => logger, error: (_, text = '') => void errors.push(text) };
  const producer = new Producer({ stream: STREAM, client, logger });
  const missing = {
    code: 'REQUEST_FAILED',
    retryable: false,
    message: expect.stringContaining('AWS_REGION in the environment'),
  };
  expect(await errorOf(producer)).toMatchObject(missing);
  expect(await errorOf(producer)).toMatchObject(missing);
  await producer.close();
  expect(errors).toEqual(['nothing can be sent: the client has no region']);
  client.destroy();
});

const permanent = [
  ['ValidationException', 'REQUEST_FAILED'],
  ['InvalidArgumentException', 'REQUEST_FAILED'],
  ['ResourceNotFoundException', 'STREAM_NOT_FOUND'],
  ['AccessDeniedException', 'ACCESS_DENIED'],
  ['KMSAccessDeniedException', 'ACCESS_DENIED'],
  ['KMSDisabledException', 'KEY_UNUSABLE'],
  ['KMSInvalidStateException', 'KEY_UNUSABLE'],
  ['KMSNotFoundException', 'KEY_UNUSABLE'],
  ['KMSOptInRequired', 'KEY_UNUSABLE'],
] as const;

describe('permanent: fails at once, the record in hand, nothing written', () => {
  test.each(permanent)('a request refused with %s is %s', async (type, code) => {
    const fault = local.faults.add({ kind: 'error', type, operation: 'PutRecords' });
    const error = await errorOf(producerOf());
    expect(error).toMatchObject({ code, retryable: false, mayBeWritten: false, attempts: [{ errorCode: type }] });
    expect(error.userRecord).toMatchObject({ partitionKey: 'k' });
    expect(fault.applied).toBe(1);
  });

  test.each(permanent)('a record refused with %s is %s', async (type, code) => {
    const proxy = await startFaultyProxy(local.port, () => `refuse-one:${type}`);
    open.push(proxy);
    const error = await errorOf(producerOf({}, proxy.endpoint));
    expect(error).toMatchObject({ code, retryable: false, mayBeWritten: false, attempts: [{ errorCode: type }] });
    expect(proxy.putCount()).toBe(1);
  });
});

describe('passing: tried again', () => {
  const passing = [
    'KMSThrottlingException',
    'InternalFailure',
    'ServiceUnavailable',
    'LimitExceededException',
  ] as const;

  test.each(passing)('a request refused with %s', async (type) => {
    local.faults.add({ kind: 'error', type, operation: 'PutRecords', count: 2 });
    const { attempts } = await producerOf().put({ partitionKey: 'k', data: 'x' });
    expect(attempts.map(({ errorCode }) => errorCode)).toEqual([type, type, undefined]);
  });

  test.each([...passing, 'ProvisionedThroughputExceededException'])('a record refused with %s', async (type) => {
    const proxy = await startFaultyProxy(local.port, (count) => (count < 2 ? `refuse-one:${type}` : 'none'));
    open.push(proxy);
    const { attempts } = await producerOf({}, proxy.endpoint).put({ partitionKey: 'k', data: 'x' });
    expect(attempts.map(({ errorCode }) => errorCode)).toEqual([type, type, undefined]);
  });
});

describe("an answer that is not Kinesis'", () => {
  const page = "an answer that is not the service's: text/html, Unexpected token '<'";

  test.each([
    ['page:502', 'unknown'],
    ['page:200', 'unknown'],
    ['empty:503', 'unknown'],
    ['page:403', 'no'],
  ] as const)('is tried again: %s', async (fault, written) => {
    const proxy = await startFaultyProxy(local.port, (count) => (count < 1 ? fault : 'none'));
    open.push(proxy);
    const { attempts, duplicate } = await producerOf({}, proxy.endpoint).put({ partitionKey: 'k', data: 'x' });
    const [kind, status] = fault.split(':');
    expect(attempts).toMatchObject([{ errorCode: `HTTP ${status}`, written }, { written: 'yes' }]);
    if (kind === 'page') expect(attempts[0]?.errorMessage).toContain(page);
    expect(duplicate).toBe(written === 'unknown');
  });

  test('says what it was where it is for good', async () => {
    const proxy = await startFaultyProxy(local.port, () => 'page:413');
    open.push(proxy);
    const error = await errorOf(producerOf({}, proxy.endpoint));
    expect(error).toMatchObject({ code: 'REQUEST_FAILED', mayBeWritten: false, attempts: [{ errorCode: 'HTTP 413' }] });
    expect(error.message).toContain(page);
  });
});

describe('credentials', () => {
  test('that have expired are tried again, with one warning that says what to do', async () => {
    local.faults.add({ kind: 'error', type: 'ExpiredTokenException', operation: 'PutRecords', count: 3 });
    const { logger, texts } = warnings();
    const { attempts, duplicate } = await producerOf({ logger }).put({ partitionKey: 'k', data: 'x' });
    expect(attempts).toHaveLength(4);
    expect(duplicate).toBe(false);
    expect(texts.filter((text) => text.includes('credentials have expired'))).toHaveLength(1);
  });

  test('that cannot be had are asked for again until the time to live is over; nothing was written', async () => {
    const { logger, texts } = warnings();
    let asked = 0;
    const credentials = (): Promise<never> => {
      asked++;
      return Promise.reject(Object.assign(new Error('no metadata'), { name: 'CredentialsProviderError' }));
    };
    const recordDistributionStrategyDefault = 'USER_PARTITION_KEY';
    const producer = producerOf({ logger, recordTtlMs: 600, recordDistributionStrategyDefault }, undefined, {
      credentials,
    });
    const error = await errorOf(producer);
    expect(error).toMatchObject({ code: 'EXPIRED', retryable: true, mayBeWritten: false });
    expect(error.attempts.map(({ errorCode }) => errorCode)).toContain('CredentialsProviderError');
    expect(asked).toBeGreaterThan(1);
    expect(texts.filter((text) => text.includes('credentials have expired'))).toHaveLength(1);
  });
});

describe('nobody knows whether it was written: said so', () => {
  test.each([
    ['the connection broke after it was sent', { kind: 'loseAnswer' }],
    ['half of the answer came', { kind: 'truncateAnswer' }],
    ['no answer came', { kind: 'loseAnswer', by: 'silence' }],
  ] as const)('%s', async (_, fault) => {
    local.faults.add({ ...fault, operation: 'PutRecords', count: 1 });
    const { attempts, duplicate } = await producerOf({ requestTimeoutMs: 300 }).put({ partitionKey: 'k', data: 'x' });
    expect(attempts.map(({ written }) => written)).toEqual(['unknown', 'yes']);
    expect(duplicate).toBe(true);
  });
});

describe('the time to live', () => {
  /** A producer for which half a minute more has passed as soon as its first request has left. */
  function producerWhoseTimeIsOver(): Producer {
    let aheadMs = 0;
    const clock: Clock = { ...systemClock, now: () => systemClock.now() + aheadMs };
    const stop = onDiagnostic('shardline:producer:request', () => {
      stop();
      aheadMs = 31_000;
    });
    return producerOf({ clock, recordTtlMs: 30_000, recordDistributionStrategyDefault: 'USER_PARTITION_KEY' });
  }

  test('awaits what is under way when it is over', async () => {
    local.faults.add({ kind: 'delay', operation: 'PutRecords', beforeApplyMs: 100 });
    const { attempts, duplicate } = await producerWhoseTimeIsOver().put({ partitionKey: 'k', data: 'x' });
    expect(attempts).toMatchObject([{ written: 'yes' }]);
    expect(attempts[0]?.durationMs).toBeGreaterThan(30_000);
    expect(duplicate).toBe(false);
  });

  test.each([
    ['ServiceUnavailable', true],
    ['ProvisionedThroughputExceededException', false],
  ] as const)(
    'begins no attempt after it: %s ends the record, which may be written: %s',
    async (type, mayBeWritten) => {
      const fault = local.faults.add({ kind: 'error', type, operation: 'PutRecords' });
      const error = await errorOf(producerWhoseTimeIsOver());
      expect(error).toMatchObject({ code: 'EXPIRED', retryable: true, mayBeWritten, attempts: [{ errorCode: type }] });
      expect(fault.applied).toBe(1);
    },
  );
});

test('credentials that never come hold no record longer than its time, and no close', async () => {
  let isHanging = false;
  const credentials = (): Promise<{ accessKeyId: string; secretAccessKey: string; expiration: Date }> =>
    isHanging
      ? new Promise(() => undefined)
      : Promise.resolve({ accessKeyId: 'local', secretAccessKey: 'local', expiration: new Date(Date.now() + 1) });
  const { logger, texts } = warnings();
  const producer = producerOf({ logger, recordTtlMs: 400, requestTimeoutMs: 300 }, local.endpoint, { credentials });
  await producer.put({ partitionKey: 'k', data: 'x' });
  isHanging = true;
  const error = await errorOf(producer);
  expect(error).toMatchObject({ code: 'EXPIRED', userRecord: { partitionKey: 'k' } });
  // Named, after a part of the request's time.
  expect(error.attempts[0]).toMatchObject({
    errorCode: 'CredentialsTimeout',
    errorMessage: 'the source of the AWS credentials has not answered for 150 ms',
  });
  expect(texts.filter((text) => text.includes('credentials have expired or cannot be had'))).toHaveLength(1);
  await producer.close();
  expect(producer.outstandingRecordCount).toBe(0);
});
