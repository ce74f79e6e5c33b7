// Options and the reading of errors without a socket; everything that needs one is in test/.
import { describe, expect, test } from 'vitest';
import {
  classifyAwsError,
  createDynamoDBClient,
  createFanOutClient,
  createKinesisClient,
  hasNeverLeft,
  httpStatusOf,
  messageOfAwsError,
  regionOf,
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
    ['endPoint', 'http://x', 'endPoint: expected a known option, got an unknown one; did you mean endpoint?'],
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
      expect(() => createFanOutClient({ [name]: 5 })).toThrow(`${name}: expected a known option`);
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

describe("an answer that is not the service's", () => {
  const answered = (name: string, statusCode: number, headers: object, message: string): Error =>
    Object.assign(new Error(message), {
      name,
      $metadata: { httpStatusCode: statusCode },
      $response: { statusCode, headers },
    });

  test('has its status for a code, and its message tells what it is', () => {
    const why = 'Unexpected token \'<\', "<html>" is not valid JSON';
    const page = answered('SyntaxError', 502, { 'content-type': 'text/html' }, `${why}\n  Deserialization error: …`);
    expect(classifyAwsError(page)).toEqual({ kind: 'transient', code: 'HTTP 502' });
    expect(messageOfAwsError(page)).toBe(`an answer that is not the service's: text/html, ${why}`);
    const empty = answered('Unknown', 403, {}, 'UnknownError');
    expect(classifyAwsError(empty)).toEqual({ kind: 'transient', code: 'HTTP 403' });
    expect(messageOfAwsError(empty)).toBe("an answer that is not the service's: no content type");
  });

  test.each([
    [404, 'transient'],
    [413, 'invalid'],
    [429, 'throttled'],
    [200, 'transient'],
  ])('of status %i is %s', (status, kind) => {
    expect(classifyAwsError(answered('SyntaxError', status, {}, 'x')).kind).toBe(kind);
  });

  test("leaves the service's own words alone, and what is no answer", () => {
    const refused = answered('ValidationException', 400, {}, 'too long');
    expect(classifyAwsError(refused)).toEqual({ kind: 'invalid', code: 'ValidationException' });
    expect(messageOfAwsError(refused)).toBe('too long');
    expect(messageOfAwsError(new SyntaxError('ours'))).toBe('ours');
    expect(messageOfAwsError('text')).toBe('text');
  });
});

describe('regionOf', () => {
  test('is what the client says, or nothing of one that does not say', async () => {
    const client = createKinesisClient({ region: 'eu-central-1' });
    expect(await regionOf('client', client)).toBe('eu-central-1');
    client.destroy();
    expect(await regionOf('client', {})).toBeUndefined();
  });

  test('none is a usage error that says where to give it', async () => {
    const region = (): Promise<string> => Promise.reject(new Error('Region is missing'));
    const refused = expect(regionOf('kinesisClient', { config: { region } })).rejects;
    await refused.toBeInstanceOf(UsageError);
    await refused.toThrow(
      /^kinesisClient: expected a region for it: AWS_REGION .*AWS_PROFILE.*`region`, got none \(Region is missing\)$/,
    );
  });
});

describe('hasNeverLeft', () => {
  const failed = (code: string, syscall: string): Error => Object.assign(new Error(code), { code, syscall });

  test.each([
    ['refused', failed('ECONNREFUSED', 'connect')],
    ['no way there', failed('EHOSTUNREACH', 'connect')],
    ['no such name', failed('ENOTFOUND', 'getaddrinfo')],
    ['under a wrapping error', new Error('outer', { cause: failed('ENETUNREACH', 'connect') })],
    ['of each address', new AggregateError([failed('ECONNREFUSED', 'connect'), failed('ENETUNREACH', 'connect')])],
  ])('%s', (_, error) => {
    expect(hasNeverLeft(error)).toBe(true);
  });

  test.each([
    ['while it was read', failed('EHOSTUNREACH', 'read')],
    ['while it was written', failed('EPIPE', 'write')],
    ['of one address only', new AggregateError([failed('ECONNREFUSED', 'connect'), failed('ECONNRESET', 'read')])],
    ['of none', new AggregateError([])],
    ['something else', 'ECONNREFUSED'],
  ])('not %s', (_, error) => {
    expect(hasNeverLeft(error)).toBe(false);
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
