// Garbage on the wire: whatever one client sends, it gets AWS's error or is hung up on, the server lives, and another client
// that works all the while does not notice.
import { once } from 'node:events';
import { type ClientHttp2Stream, connect as connectHttp2, constants } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { type KinesisClient, PutRecordCommand } from '@aws-sdk/client-kinesis';
import { createKinesisClient } from '@shardline/common';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { type LocalKinesis, startLocalKinesis } from '../src/index.ts';

const StreamName = 'orders';
let local: LocalKinesis;
let client: KinesisClient;
let puts: number;

beforeAll(async () => {
  local = await startLocalKinesis({ limits: false, requestTimeoutMs: 1_000 });
  client = createKinesisClient({ ...local.clientConfig, maxAttempts: 1 });
});
afterAll(async () => {
  client.destroy();
  await local.close();
});

/** The other client: it is in the midst of its work before and after. */
async function putOne(): Promise<void> {
  puts++;
  await client.send(new PutRecordCommand({ StreamName, PartitionKey: 'k', Data: Buffer.from(String(puts)) }));
}
beforeEach(async () => {
  puts = 0;
  local.model.createStream({ name: StreamName, shardCount: 1 }, Date.now());
  await putOne();
});
afterEach(async () => {
  await putOne();
  const [shard] = local.model.stream(StreamName, Date.now()).shards;
  expect(shard?.log.nextCounter).toBe(puts + 1);
  local.reset();
});

interface Answer {
  readonly status: number;
  readonly body: string;
}

/** Sends bytes as they are and reads until the server hangs up. */
async function sendRaw(bytes: string | Uint8Array, keepOpen = true): Promise<string> {
  const socket = connect(local.port, '127.0.0.1');
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  // A reset is one of the ways of hanging up; events.once would reject at it.
  socket.on('error', () => socket.destroy());
  const closed = new Promise<void>((resolve) => void socket.once('close', () => resolve()));
  socket.write(bytes);
  if (!keepOpen) socket.end();
  await closed;
  return Buffer.concat(chunks).toString('latin1');
}

async function post(body: string | Uint8Array, headers: Record<string, string> = {}): Promise<Answer> {
  const answer = await fetch(local.endpoint, {
    method: 'POST',
    body: typeof body === 'string' ? body : Buffer.from(body),
    headers: { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': 'Kinesis_20131202.PutRecord', ...headers },
  });
  return { status: answer.status, body: await answer.text() };
}

function typeOf({ body }: Answer): string {
  return (JSON.parse(body) as { __type: string }).__type;
}

const notRequests: readonly (readonly [string, string | Uint8Array])[] = [
  ['nothing', ''],
  ['a word', 'hello\r\n\r\n'],
  ['half a preface of HTTP/2', 'PRI * HT'],
  ['a preface, then no HTTP/2', `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${'x'.repeat(100)}`],
  ['half a request line', 'POST / HT'],
  ['half the headers', 'POST / HTTP/1.1\r\nhost: x\r\ncontent-'],
  ['half a body', 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{"Stream'],
  ['huge headers', `POST / HTTP/1.1\r\nhost: x\r\nx-junk: ${'x'.repeat(200_000)}\r\n\r\n`],
  ['a length that is none', 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: many\r\n\r\n'],
  ['a chunk that is none', 'POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n'],
  ['a TLS hello', Buffer.from('16030100c8010000c40303', 'hex')],
];

test('what is no request, or only the beginning of one, ends with a hang-up', async () => {
  const answers = await Promise.all(notRequests.map(([, bytes]) => sendRaw(bytes)));
  for (const [index, answer] of answers.entries()) {
    expect(answer, notRequests[index]?.[0]).not.toContain('HTTP/1.1 200');
  }
});

test('a half body is answered with 408 before the hang-up', async () => {
  const answer = await sendRaw('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{"Stream');
  expect(answer).toMatch(/^HTTP\/1.1 408 /);
});

test('an HTTP/2 client that does not begin with its settings is hung up on', async () => {
  const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  for (const frame of ['', '71892504d8bc0bf8ac04', '000006040000000000']) {
    expect(await sendRaw(Buffer.concat([preface, Buffer.from(frame, 'hex')]))).not.toContain('200');
  }
});

test('random bytes, whole or cut off, harm nobody', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.boolean(), async (bytes, asHttp2) => {
      const preface = asHttp2 ? 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' : '';
      expect(await sendRaw(Buffer.concat([Buffer.from(preface), bytes]), false)).not.toContain('200 OK');
    }),
    { numRuns: 40 },
  );
});

test.each([
  ['no body', ''],
  ['broken JSON', '{"StreamName": "orders", '],
  ['a list', '[]'],
  ['a number', '5'],
  ['null', 'null'],
  ['no UTF-8', Buffer.from([0x7b, 0xff, 0xfe, 0x7d])],
  ['a depth of 100,000', '['.repeat(100_000)],
  ['a name that is a number', '{"StreamName":5,"PartitionKey":"k","Data":"eA=="}'],
  ['data that is no base64', '{"StreamName":"orders","PartitionKey":"k","Data":"%%%%"}'],
  ['data without padding', '{"StreamName":"orders","PartitionKey":"k","Data":"eA"}'],
  ['data that is a list', '{"StreamName":"orders","PartitionKey":"k","Data":[1]}'],
])('%s is a SerializationException', async (_, body) => {
  const answer = await post(body);
  expect([answer.status, typeOf(answer)]).toEqual([400, 'SerializationException']);
});

test.each([
  ['a missing key', '{"StreamName":"orders","Data":"eA=="}', "at 'partitionKey'"],
  ['a null key', '{"StreamName":"orders","PartitionKey":null,"Data":"eA=="}', "at 'partitionKey'"],
  ['a bad name', '{"StreamName":"a/b","PartitionKey":"k","Data":"eA=="}', "at 'streamName'"],
  [
    'a bad hash key',
    '{"StreamName":"orders","PartitionKey":"k","Data":"eA==","ExplicitHashKey":"-1"}',
    "at 'explicitHashKey'",
  ],
])('%s is a ValidationException that names the member', async (_, body, member) => {
  const answer = await post(body);
  expect([answer.status, typeOf(answer)]).toEqual([400, 'ValidationException']);
  expect(answer.body).toContain(member);
});

test('a member deep inside is named by its place', async () => {
  const Records = [
    { PartitionKey: 'k', Data: 'eA==' },
    { PartitionKey: '', Data: 'eA==' },
  ];
  const answer = await post(JSON.stringify({ StreamName, Records }), { 'x-amz-target': 'Kinesis_20131202.PutRecords' });
  expect(answer.body).toContain("at 'records.2.member.partitionKey'");
});

test('an unknown operation, service, content type or method gets AWS\u2019s error', async () => {
  const unknown = await post('{}', { 'x-amz-target': 'Kinesis_20131202.Explode' });
  expect([unknown.status, typeOf(unknown)]).toEqual([400, 'UnknownOperationException']);
  const inherited = await post('{}', { 'x-amz-target': 'Kinesis_20131202.constructor' });
  expect([inherited.status, typeOf(inherited)]).toEqual([400, 'UnknownOperationException']);
  const other = await post('{}', { 'x-amz-target': 'DynamoDB_20120810.PutItem' });
  expect([other.status, typeOf(other)]).toEqual([400, 'UnknownOperationException']);
  const xml = await post('<a/>', { 'content-type': 'text/xml' });
  expect([xml.status, typeOf(xml)]).toEqual([404, 'UnknownOperationException']);
  const get = await fetch(local.endpoint);
  expect(get.status).toBe(403);
  expect(get.headers.get('x-amzn-requestid')).toMatch(/^[0-9a-f-]{36}$/);
});

test('members that nobody asked for are ignored, __proto__ among them', async () => {
  puts++;
  const body =
    '{"__proto__":{"x":1},"constructor":1,"Hats":[1],"StreamName":"orders","PartitionKey":"k","Data":"eA==","Stream":"s"}';
  expect((await post(body)).status).toBe(200);
});

test.each(['a stated length', 'chunks'])('a body over the bound, with %s, is refused with 413', async (kind) => {
  const size = 17 * 1024 * 1024;
  const start = 'POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: Kinesis_20131202.PutRecord\r\n';
  const socket = connect(local.port, '127.0.0.1');
  socket.on('error', () => socket.destroy());
  const answer = once(socket, 'data') as Promise<[Buffer]>;
  if (kind === 'chunks') {
    socket.write(`${start}transfer-encoding: chunked\r\n\r\n${size.toString(16)}\r\n`);
    socket.write(Buffer.alloc(size, 'x'));
  } else {
    socket.write(`${start}content-length: ${size}\r\n\r\n`);
  }
  expect((await answer)[0].toString('latin1')).toMatch(/^HTTP\/1.1 413 /);
  await closed(socket);
});

test('HTTP/2: a stream that stops in the midst of its body is answered with 408, its session goes on', async () => {
  const session = connectHttp2(local.endpoint);
  const half = session.request({ ':method': 'POST', 'x-amz-target': 'Kinesis_20131202.PutRecord' });
  half.on('error', () => half.destroy());
  half.write('{"Stream');
  const [headers] = (await once(half, 'response')) as [Record<string, unknown>];
  expect(headers[':status']).toBe(408);
  const whole = session.request({
    ':method': 'POST',
    'content-type': 'application/x-amz-json-1.1',
    'x-amz-target': 'Kinesis_20131202.ListStreams',
  });
  whole.end('{}');
  const [answer] = (await once(whole, 'response')) as [Record<string, unknown>];
  expect(answer[':status']).toBe(200);
  session.destroy();
});

test('HTTP/2: a stream that the client resets with an error, in a request or in a subscription, harms nobody', async () => {
  const now = Date.now();
  const { createdMs } = local.model.registerConsumer({ streamName: StreamName, consumerName: 'c' }, now);
  const [shard] = local.model.stream(StreamName, now).shards;
  const ConsumerARN = `arn:aws:kinesis:us-east-1:000000000000:stream/${StreamName}/consumer/c:${Math.floor(createdMs / 1000)}`;
  const session = connectHttp2(local.endpoint);
  const start = (target: string): ClientHttp2Stream => {
    const stream = session.request({
      ':method': 'POST',
      'content-type': 'application/x-amz-json-1.1',
      'x-amz-target': `Kinesis_20131202.${target}`,
    });
    stream.on('error', () => stream.destroy());
    return stream;
  };
  const reading = start('SubscribeToShard');
  reading.end(JSON.stringify({ ConsumerARN, ShardId: shard?.id, StartingPosition: { Type: 'LATEST' } }));
  await once(reading, 'data');
  const sending = start('PutRecord');
  sending.write('{"Stream');
  for (const stream of [reading, sending]) stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  await expect.poll(() => shard?.watchers.size, { timeout: 10_000 }).toBe(0);
  session.destroy();
});

async function closed(socket: Socket): Promise<void> {
  if (!socket.destroyed) await once(socket, 'close');
}
