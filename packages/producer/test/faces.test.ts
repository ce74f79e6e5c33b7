// The producer's other faces, over real sockets: a callback a record, whole iterables, a Writable.
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createKinesisClient, UsageError } from '@shardline/common';
import { type LocalKinesis, startLocalKinesis } from '@shardline/local';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { isPutError, Producer, type PutError, type UserRecordInput } from '../src/index.ts';
import { userRecordsOf } from './stream-content.ts';

const STREAM = 'orders';

let local: LocalKinesis;
let producer: Producer;
let close: () => Promise<void>;

beforeEach(async () => {
  local = await startLocalKinesis({ limits: false, streams: [{ name: STREAM, shardCount: 2 }] });
  const client = createKinesisClient({ ...local.clientConfig, maxAttempts: 1 });
  producer = new Producer({ stream: STREAM, client, maxOutstandingRecordCount: 100, maxUserRecordSizeBytes: 2 ** 21 });
  close = async () => {
    await producer.close();
    client.destroy();
    await local.close();
  };
});

afterEach(() => close());

const TEXTS = Array.from({ length: 3_000 }, (_, number) => `record ${number}`);
/** Above what the stream takes, so it fails. */
const TOO_LARGE: UserRecordInput = { partitionKey: 'large', data: new Uint8Array(2 ** 20) };

function inputOf(text: string, number: number): UserRecordInput {
  return { partitionKey: `key-${number % 17}`, data: text };
}

function stored(): string[] {
  return userRecordsOf(local.model, STREAM)
    .map(({ text }) => text)
    .sort();
}

describe('putAll', () => {
  test('puts what an iterable gives, waits for room, and says how many are in the stream', async () => {
    let read = 0;
    let mostOutstanding = 0;
    function* source(): Generator<UserRecordInput> {
      for (const text of TEXTS) {
        mostOutstanding = Math.max(mostOutstanding, producer.outstandingRecordCount);
        yield inputOf(text, read++);
      }
    }
    expect(await producer.putAll(source())).toEqual({ succeededCount: TEXTS.length, failedCount: 0 });
    expect(stored()).toEqual([...TEXTS].sort());
    // From half of the bound on it waits; then one goes at a time.
    expect(mostOutstanding).toBeLessThanOrEqual(51);
  });

  test('rejects with the first failure, once what was put has settled', async () => {
    async function* source(): AsyncGenerator<UserRecordInput> {
      yield inputOf('before', 0);
      yield TOO_LARGE;
      await producer.flush();
      yield inputOf('after', 1);
      throw new Error('read on after a failure');
    }
    await expect(producer.putAll(source())).rejects.toMatchObject({
      code: 'REQUEST_FAILED',
      userRecord: { partitionKey: 'large' },
    });
    expect(stored()).toEqual(['before']);
    expect(producer.outstandingRecordCount).toBe(0);
  });

  test('goes on where failures are taken, and counts them', async () => {
    const failures: PutError[] = [];
    const source = [inputOf('one', 0), TOO_LARGE, inputOf('two', 1), TOO_LARGE];
    const onFailure = (error: PutError): void => void failures.push(error);
    expect(await producer.putAll(source, { onFailure })).toEqual({ succeededCount: 2, failedCount: 2 });
    expect(failures.every(isPutError)).toBe(true);
    expect(stored()).toEqual(['one', 'two']);
  });

  test.each([
    ['what the source throws', () => Promise.reject(new Error('no more'))],
    ['a record that cannot be put', () => Promise.resolve({ partitionKey: '', data: 'x' })],
  ])('rejects for %s, after what came before is in the stream', async (_, next) => {
    async function* source(): AsyncGenerator<UserRecordInput> {
      yield inputOf('before', 0);
      yield next();
    }
    await expect(producer.putAll(source())).rejects.toThrow(/no more|partitionKey/);
    expect(stored()).toEqual(['before']);
  });

  test.each([[undefined], ['text'], [{ length: 0 }]])('refuses %j', async (source) => {
    await expect(producer.putAll(source as never)).rejects.toThrow(UsageError);
  });

  test('and the others name an option that is none', async () => {
    const options = { onFail: () => undefined } as never;
    await expect(producer.putAll([], options)).rejects.toThrow('onFail: expected a known option');
    expect(() => producer.createWriteStream(options)).toThrow('onFail: expected a known option');
    expect(() => producer.close({ timeout: 5 } as never)).toThrow('did you mean timeoutMs?');
    expect(() => producer.close(null as never)).toThrow('options: expected an object, got null');
  });
});

describe('the write stream', () => {
  test('takes a pipeline, and its end means that all is in the stream', async () => {
    await pipeline(Readable.from(TEXTS.map(inputOf)), producer.createWriteStream());
    expect(stored()).toEqual([...TEXTS].sort());
  });

  test('fails the pipeline with the first failure', async () => {
    const source = Readable.from([inputOf('before', 0), TOO_LARGE]);
    await expect(pipeline(source, producer.createWriteStream())).rejects.toMatchObject({ code: 'REQUEST_FAILED' });
    expect(stored()).toEqual(['before']);
  });

  test.each([
    ['a record that fails', TOO_LARGE],
    ['a record that cannot be put', { partitionKey: '', data: 'x' }],
  ])('does not end for %s before what was put with it has settled', async (_, wrong) => {
    const stream = producer.createWriteStream();
    const before = Array.from({ length: 20 }, (_, number) => inputOf(`${number}`, number));
    await expect(pipeline(Readable.from([...before, wrong]), stream)).rejects.toThrow();
    expect([producer.outstandingRecordCount, stored().length]).toEqual([0, 20]);
  });

  test('goes on where failures are taken', async () => {
    let failedCount = 0;
    const stream = producer.createWriteStream({ onFailure: () => void failedCount++ });
    await pipeline(Readable.from([TOO_LARGE, inputOf('after', 0)]), stream);
    expect([failedCount, stored()]).toEqual([1, ['after']]);
  });
});

describe('with records larger than half of the bound', () => {
  /** What `ready` says of half a bound is of no use to them. */
  const LARGE = Array.from({ length: 8 }, (_, number) => ({
    partitionKey: `${number}`,
    data: new Uint8Array(70_000).fill(number),
  }));
  let narrow: Producer;

  beforeEach(() => {
    const client = createKinesisClient({ ...local.clientConfig, maxAttempts: 1 });
    narrow = new Producer({ stream: STREAM, client, maxUserRecordSizeBytes: 100_000, maxOutstandingBytes: 100_000 });
    const closeOther = close;
    close = async () => {
      await narrow.close();
      client.destroy();
      await closeOther();
    };
  });

  test('putAll puts them one after the other', async () => {
    expect(await narrow.putAll(LARGE)).toEqual({ succeededCount: 8, failedCount: 0 });
  });

  test('so does the write stream', async () => {
    await pipeline(Readable.from(LARGE), narrow.createWriteStream());
    expect(stored()).toHaveLength(8);
  });

  test('and so do all who wait at ready, all at once', async () => {
    const [first, ...others] = LARGE as [UserRecordInput, ...UserRecordInput[]];
    await narrow.put(first);
    await Promise.all(others.map((input) => narrow.ready.then(() => narrow.put(input))));
    expect(stored()).toHaveLength(8);
  });

  test('what waits for room when the producer is closed is told', async () => {
    const failures: string[] = [];
    const putting = narrow.putAll(LARGE, { onFailure: ({ code }) => failures.push(code) });
    await narrow.close();
    const { succeededCount, failedCount } = await putting;
    expect(succeededCount + failedCount).toBe(8);
    expect(failures).toEqual(Array.from({ length: failedCount }, () => 'CLOSED'));
    expect(failedCount).toBeGreaterThan(0);
    await narrow.ready;
  });
});

describe('a callback', () => {
  test('is told once, of success or of failure, and not before the call has returned', async () => {
    const told: unknown[] = [];
    let returned = false;
    const put = (input: UserRecordInput, name: string): void => {
      returned = false;
      producer.put(input, (error, result) => {
        told.push([name, returned, error?.code, result?.shardId.slice(0, 8)]);
      });
      returned = true;
    };
    put(inputOf('good', 0), 'good');
    put(TOO_LARGE, 'large');
    await producer.flush();
    await producer.close();
    put(inputOf('late', 0), 'late');
    await new Promise((resolve) => setImmediate(resolve));
    expect(told).toEqual(
      expect.arrayContaining([
        ['good', true, undefined, 'shardId-'],
        ['large', true, 'REQUEST_FAILED', undefined],
        ['late', true, 'CLOSED', undefined],
      ]),
    );
    expect(told).toHaveLength(3);
  });

  test('may put again, and finds the room of the record that has just settled', async () => {
    const texts = TEXTS.slice(0, 500);
    let next = 0;
    await new Promise<void>((resolve, reject) => {
      const putNext = (): void => {
        const number = next++;
        const text = texts[number];
        if (text === undefined) return;
        producer.put(inputOf(text, number), (error) => {
          if (error !== undefined) reject(error);
          else if (number === texts.length - 1) resolve();
          putNext();
        });
      };
      for (let count = 0; count < 100; count++) putNext();
    });
    await producer.flush();
    expect(stored()).toEqual([...texts].sort());
  });

  test('what it throws is an uncaught exception of its own, and harms no other record', async () => {
    const uncaught: unknown[] = [];
    const before = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.once('uncaughtException', (error) => uncaught.push(error));
    try {
      producer.put(inputOf('bad callback', 0), () => {
        throw new Error('not ours');
      });
      const beside = producer.put(inputOf('beside', 0));
      await producer.flush();
      await beside;
      await new Promise((resolve) => setImmediate(resolve));
    } finally {
      for (const listener of before) process.on('uncaughtException', listener);
    }
    expect(uncaught).toEqual([new Error('not ours')]);
    expect(stored()).toEqual(['bad callback', 'beside']);
  });

  test('must be a function', () => {
    expect(() => producer.put(inputOf('x', 0), 'later' as never)).toThrow(UsageError);
  });
});
