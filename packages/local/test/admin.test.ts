// The admin endpoint as a test in another language uses it: plain HTTP, JSON in, JSON out.
import { once } from 'node:events';
import { connect } from 'node:http2';
import { ProvisionedThroughputExceededException, PutRecordCommand } from '@aws-sdk/client-kinesis';
import { createKinesisClient } from '@shardline/common';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type LocalKinesis, type LocalKinesisOptions, ManualClock, startLocalKinesis } from '../src/index.ts';

const clock = new ManualClock(Date.UTC(2030, 0, 1));
const streams = [{ name: 'orders', shardCount: 2 }];
const rule = { kind: 'throttle', operation: 'PutRecord' };
let local: LocalKinesis;

beforeEach(async () => {
  local = await startLocalKinesis({ clock, streams, faultSeed: 5 });
});
afterEach(() => local.close());

interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly headers: Headers;
}

async function ask(method: string, path: string, body?: unknown, headers = {}, of = local): Promise<Answer> {
  const text = typeof body === 'string' || body === undefined ? body : JSON.stringify(body);
  const answer = await fetch(`${of.endpoint}/_shardline/${path}`, {
    method,
    headers,
    ...(text === undefined ? {} : { body: text }),
  });
  return { status: answer.status, body: await answer.json(), headers: answer.headers };
}

async function put(): Promise<unknown> {
  const client = createKinesisClient({ ...local.clientConfig, maxAttempts: 1 });
  const command = new PutRecordCommand({ StreamName: 'orders', PartitionKey: 'k', Data: Buffer.from('x') });
  const answer: unknown = await client.send(command).catch((error: unknown) => error);
  client.destroy();
  return answer;
}

test('health: ready, version, uptime, the clock, and the streams of every account and region', async () => {
  local.modelOf({ region: 'eu-west-1' }).createStream({ name: 'theirs' }, clock.wallNow());
  const { status, body, headers } = await ask('GET', 'health');
  expect([status, headers.get('content-type')]).toEqual([200, 'application/json']);
  const us = { accountId: '000000000000', region: 'us-east-1' };
  const eu = { accountId: '000000000000', region: 'eu-west-1' };
  expect(body).toEqual({
    status: 'ready',
    version: expect.stringMatching(/^\d+\.\d+\.\d+/),
    uptimeMs: expect.any(Number),
    clock: 'manual',
    now: '2030-01-01T00:00:00.000Z',
    streams: [
      { ...us, name: 'orders', status: 'ACTIVE', openShardCount: 2 },
      { ...eu, name: 'orders', status: 'ACTIVE', openShardCount: 2 },
      { ...eu, name: 'theirs', status: 'ACTIVE', openShardCount: 1 },
    ],
  });
});

test('a fault is added, strikes, is read with its counters, and removed', async () => {
  const added = await ask('POST', 'faults', rule);
  expect(added).toMatchObject({ status: 201, body: { id: '1', rule, considered: 0, applied: 0 } });
  expect(await put()).toBeInstanceOf(ProvisionedThroughputExceededException);
  const counted = { id: '1', rule, considered: 1, applied: 1 };
  expect(await ask('GET', 'faults/1')).toMatchObject({ status: 200, body: counted });
  expect(await ask('GET', 'faults')).toMatchObject({ status: 200, body: { seed: 5, faults: [counted] } });
  expect(await ask('DELETE', 'faults/1')).toMatchObject({ status: 200, body: counted });
  expect(await put()).toMatchObject({ ShardId: expect.any(String) });
  expect((await ask('GET', 'faults')).body).toEqual({ seed: 5, faults: [] });
});

test('DELETE faults removes all of them and tells what they did', async () => {
  for (const kind of ['stall', 'dropConnection']) await ask('POST', 'faults', { kind, operation: 'GetRecords' });
  const { body } = await ask('DELETE', 'faults');
  expect(body).toMatchObject({ seed: 5, faults: [{ rule: { kind: 'stall' } }, { rule: { kind: 'dropConnection' } }] });
  expect(local.faults.list()).toEqual([]);
});

test('reset empties the streams and takes the faults away', async () => {
  await put();
  await ask('POST', 'faults', rule);
  expect(await ask('POST', 'reset')).toMatchObject({ status: 200, body: {} });
  const { shards } = local.model.stream('orders', clock.wallNow());
  expect(shards.map(({ log }) => log.sizeBytes)).toEqual([0, 0]);
  expect(local.faults.list()).toEqual([]);
});

test('a manual clock is moved, and fires what becomes due', async () => {
  let fired = 0;
  clock.setTimer(() => fired++, 60_000);
  const before = clock.wallNow();
  const { status, body } = await ask('POST', 'clock', { advanceMs: 60_000 });
  expect([status, body]).toEqual([200, { clock: 'manual', now: new Date(before + 60_000).toISOString() }]);
  expect([fired, clock.wallNow()]).toEqual([1, before + 60_000]);
  expect((await ask('GET', 'clock')).body).toEqual(body);
});

test("the system's clock is not moved", async () => {
  await using other = await startLocalKinesis();
  const refused = await ask('POST', 'clock', { advanceMs: 1 }, {}, other);
  const message = 'clock: expected a server started with --manual-clock, got the time of the system';
  expect(refused).toMatchObject({ status: 409, body: { error: { code: 'CONFLICT', message } } });
  expect((await ask('GET', 'clock', undefined, {}, other)).body).toMatchObject({ clock: 'system' });
});

test.each([
  [
    'GET',
    'nothing',
    undefined,
    404,
    'path: expected one of /_shardline/health, /_shardline/faults, /_shardline/faults/ID, /_shardline/reset, /_shardline/clock, got "/_shardline/nothing"',
  ],
  ['GET', 'toString', undefined, 404, 'got "/_shardline/toString"'],
  ['GET', 'faults/', undefined, 404, 'got "/_shardline/faults/"'],
  ['GET', 'faults/7', undefined, 404, 'ID: expected the id of a rule that is there, got "7"'],
  ['DELETE', 'faults/7', undefined, 404, 'ID: expected the id of a rule that is there, got "7"'],
  ['PUT', 'faults', rule, 405, 'method: expected one of GET, POST, DELETE for /_shardline/faults, got PUT'],
  ['GET', 'reset', undefined, 405, 'method: expected one of POST for /_shardline/reset, got GET'],
  ['POST', 'faults', undefined, 400, 'body: expected a rule such as {"kind":"throttle"}, got nothing'],
  ['POST', 'faults', '{', 400, 'body: expected a rule such as {"kind":"throttle"}, got no JSON: "{"'],
  ['POST', 'faults', '[]', 400, 'body: expected a rule such as {"kind":"throttle"}, got an array of 0'],
  ['POST', 'faults', { kind: 'throttle', probability: 2 }, 400, 'probability: expected a number from 0 to 1, got 2'],
  ['POST', 'clock', {}, 400, 'body: expected {"advanceMs":1000}, got the members (none)'],
  [
    'POST',
    'clock',
    { advanceMs: 1, backMs: 1 },
    400,
    'body: expected {"advanceMs":1000}, got the members advanceMs, backMs',
  ],
  ['POST', 'clock', { advanceMs: -1 }, 400, 'advanceMs: expected a whole number from 0 to 31536000000, got -1'],
  ['POST', 'clock', { advanceMs: '1' }, 400, 'advanceMs: expected a whole number from 0 to 31536000000, got "1"'],
])('%s %s %o is refused with %i', async (method, path, body, status, message) => {
  const answer = await ask(method, path, body);
  expect([answer.status, answer.body]).toEqual([
    status,
    { error: expect.objectContaining({ message: expect.stringContaining(message) }) },
  ]);
  if (status === 405) expect(answer.headers.get('allow')).toBe(path === 'reset' ? 'POST' : 'GET, POST, DELETE');
  expect(local.faults.list()).toEqual([]);
});

test('a usage error says field, expected and got one by one', async () => {
  const { body } = await ask('POST', 'faults', { kind: 'stall', count: 0.5 });
  const expected = 'a whole number from 1 to 9007199254740991';
  expect(body).toMatchObject({ error: { code: 'USAGE', field: 'count', expected, got: '0.5' } });
});

test('a page in a browser may not ask', async () => {
  const { status } = await ask('POST', 'reset', undefined, { origin: 'https://example.com' });
  expect(status).toBe(403);
});

test('over HTTP/2 too', async () => {
  const session = connect(local.endpoint);
  const stream = session.request({ ':method': 'POST', ':path': '/_shardline/faults?x=1' });
  stream.end(JSON.stringify(rule));
  const [head] = (await once(stream, 'response')) as [{ ':status': number }];
  expect(head[':status']).toBe(201);
  session.destroy();
});

test('faults do not strike the endpoint that takes them away again', async () => {
  for (const kind of ['dropConnection', 'stall']) await ask('POST', 'faults', { kind });
  expect((await ask('DELETE', 'faults')).status).toBe(200);
});

test('switched off, it is a path as any other', async () => {
  const options: LocalKinesisOptions = { admin: false };
  await using other = await startLocalKinesis(options);
  const { status, body } = await ask('GET', 'health', undefined, {}, other);
  expect([status, body]).toMatchObject([403, { __type: 'AccessDeniedException' }]);
});
