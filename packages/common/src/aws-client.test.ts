// Options and the reading of errors without a socket; everything that needs one is in test/.
import { describe, expect, test } from 'vitest';
import {
  classifyAwsError,
  createDynamoDBClient,
  createFanOutClient,
  createKinesisClient,
  httpStatusOf,
} from './aws-client.ts';
import { UsageError } from './errors.ts';

describe('options', () => {
  const wrong: [string, unknown, string][] = [
    ['endpoint', 'localhost:4567', 'endpoint: expected an http:// or https:// URL, got "localhost:4567"'],
    ['endpoint', 'http://', 'endpoint: expected'],
    ['endpoint', 4567, 'endpoint: expected an http:// or https:// URL, got 4567'],
    ['region', '', 'region: expected a region such as eu-central-1, got ""'],
    ['maxAttempts', 0, 'maxAttempts: expected a whole number from 1 to 2147483647, got 0'],
    ['requestTimeoutMs', 1.5, 'requestTimeoutMs: expected a whole number from 1 to 2147483647, got 1.5'],
    ['requestTimeoutMs', '30', 'requestTimeoutMs: expected a whole number from 1 to 2147483647, got "30"'],
    ['requestTimeoutMs', Number.POSITIVE_INFINITY, 'requestTimeoutMs: expected'],
    ['requestTimeoutMs', 2 ** 31, 'requestTimeoutMs: expected'],
    ['endPoint', 'http://x', 'endPoint: expected one of the options endpoint, region'],
  ];
  const makers = [createKinesisClient, createDynamoDBClient, createFanOutClient];

  test.each(wrong)('%s = %j is a usage error', (name, value, message) => {
    for (const make of makers) {
      expect(() => make({ [name]: value })).toThrow(UsageError);
      expect(() => make({ [name]: value })).toThrow(message);
    }
  });

  test('maxSockets and connectionTimeoutMs are for HTTP/1.1 alone', () => {
    expect(() => createKinesisClient({ maxSockets: 0 })).toThrow(
      'maxSockets: expected a whole number from 1 to 2147483647, got 0',
    );
    expect(() => createDynamoDBClient({ connectionTimeoutMs: -1 })).toThrow('connectionTimeoutMs: expected');
    for (const name of ['maxSockets', 'connectionTimeoutMs']) {
      expect(() => createFanOutClient({ [name]: 5 })).toThrow(`${name}: expected one of the options`);
    }
  });

  test('something that is no object is a usage error', () => {
    for (const make of makers) {
      expect(() => make(null as unknown as object)).toThrow('options: expected an object, got null');
      expect(() => make('http://127.0.0.1' as unknown as object)).toThrow(UsageError);
    }
  });

  test('what is not given is left to the SDK', async () => {
    const credentials = { accessKeyId: 'a', secretAccessKey: 'b' };
    const client = createKinesisClient({ region: 'eu-west-3', credentials, maxAttempts: 5 });
    expect(await client.config.region()).toBe('eu-west-3');
    expect(await client.config.credentials()).toMatchObject(credentials);
    expect(await client.config.maxAttempts()).toBe(5);
    expect(client.config.endpoint).toBeUndefined();
    client.destroy();
  });
});

describe('classifyAwsError on anything', () => {
  test('never throws', () => {
    for (const value of [undefined, null, 0, 'Throttling', Symbol('s'), [], {}, () => 0, Object.create(null)]) {
      expect(classifyAwsError(value)).toEqual({ kind: 'unknown', code: 'Unknown' });
      expect(httpStatusOf(value)).toBeUndefined();
    }
    expect(classifyAwsError(new RangeError('ours'))).toEqual({ kind: 'unknown', code: 'RangeError' });
  });

  test('finds the network code under wrapping errors, and stops at a circle', () => {
    const reset = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' });
    const wrapped = new Error('outer', { cause: new Error('inner', { cause: reset }) });
    expect(classifyAwsError(wrapped)).toEqual({ kind: 'transient', code: 'ECONNRESET' });
    const circle = new Error('circle');
    circle.cause = circle;
    expect(classifyAwsError(circle)).toEqual({ kind: 'unknown', code: 'Error' });
  });

  test("knows HTTP/2's codes", () => {
    const goaway = Object.assign(new Error('session closed'), { code: 'ERR_HTTP2_SESSION_ERROR' });
    expect(classifyAwsError(goaway)).toEqual({ kind: 'transient', code: 'ERR_HTTP2_SESSION_ERROR' });
  });
});
