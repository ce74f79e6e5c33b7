// The client for SubscribeToShard against a tiny HTTP/2 server over real sockets: a connection of its own for each
// subscription, events as they come, and silence or an abort ends it.
import { once } from 'node:events';
import { createServer, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { crc32 } from 'node:zlib';
import { type KinesisClient, SubscribeToShardCommand, type SubscribeToShardEventStream } from '@aws-sdk/client-kinesis';
import { afterEach, expect, test } from 'vitest';
import { type AwsClientOptions, classifyAwsError, createFanOutClient } from '../src/aws-client.ts';

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

interface TestServer {
  readonly endpoint: string;
  readonly sessions: ServerHttp2Session[];
  readonly sockets: Socket[];
}

async function serve(answer: (stream: ServerHttp2Stream) => void): Promise<TestServer> {
  const http: Http2Server = createServer();
  const sessions: ServerHttp2Session[] = [];
  const sockets: Socket[] = [];
  http.on('connection', (socket: Socket) => sockets.push(socket));
  http.on('session', (session) => sessions.push(session));
  http.on('stream', (stream) => {
    stream.on('error', () => stream.close());
    stream.resume();
    stream.once('end', () => answer(stream));
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  cleanUps.push(async () => {
    for (const session of sessions) session.destroy();
    http.close();
    await once(http, 'close');
  });
  return { endpoint: `http://127.0.0.1:${(http.address() as AddressInfo).port}`, sessions, sockets };
}

function fanOut(endpoint: string, options: AwsClientOptions = {}): KinesisClient {
  const client = createFanOutClient({
    endpoint,
    region: 'eu-central-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    maxAttempts: 1,
    ...options,
  });
  cleanUps.push(() => client.destroy());
  return client;
}

/** One message of application/vnd.amazon.eventstream with string headers (Smithy, Amazon Event Stream Specification). */
function eventMessage(headers: Record<string, string>, payload: object): Buffer {
  const fields = Object.entries(headers).map(([name, value]) => {
    const length = Buffer.alloc(2);
    length.writeUInt16BE(value.length);
    return Buffer.concat([Buffer.from([name.length]), Buffer.from(name), Buffer.from([7]), length, Buffer.from(value)]);
  });
  const head = Buffer.concat(fields);
  const body = Buffer.from(JSON.stringify(payload));
  const prelude = Buffer.alloc(12);
  prelude.writeUInt32BE(16 + head.length + body.length, 0);
  prelude.writeUInt32BE(head.length, 4);
  prelude.writeUInt32BE(crc32(prelude.subarray(0, 8)), 8);
  const message = Buffer.concat([prelude, head, body]);
  const end = Buffer.alloc(4);
  end.writeUInt32BE(crc32(message));
  return Buffer.concat([message, end]);
}

function begin(stream: ServerHttp2Stream): void {
  stream.respond({ ':status': 200, 'content-type': 'application/vnd.amazon.eventstream' });
  stream.write(eventMessage({ ':message-type': 'event', ':event-type': 'initial-response' }, {}));
}

function push(stream: ServerHttp2Stream, sequenceNumber: string): void {
  const headers = {
    ':message-type': 'event',
    ':event-type': 'SubscribeToShardEvent',
    ':content-type': 'application/json',
  };
  stream.write(
    eventMessage(headers, { Records: [], ContinuationSequenceNumber: sequenceNumber, MillisBehindLatest: 0 }),
  );
}

async function subscribe(
  client: KinesisClient,
  abortSignal?: AbortSignal,
): Promise<AsyncIterator<SubscribeToShardEventStream>> {
  const command = new SubscribeToShardCommand({
    ConsumerARN: 'arn:aws:kinesis:eu-central-1:123456789012:stream/orders/consumer/billing:1700000000',
    ShardId: 'shardId-000000000000',
    StartingPosition: { Type: 'LATEST' },
  });
  const { EventStream } = await client.send(command, abortSignal === undefined ? {} : { abortSignal });
  if (EventStream === undefined) throw new Error('expected an event stream');
  return EventStream[Symbol.asyncIterator]();
}

async function nextSequenceNumber(events: AsyncIterator<SubscribeToShardEventStream>): Promise<string | undefined> {
  const { value } = (await events.next()) as IteratorResult<SubscribeToShardEventStream, undefined>;
  return value?.SubscribeToShardEvent?.ContinuationSequenceNumber;
}

test('each subscription has a connection of its own, with a window of 512 KiB, and events come as they are pushed', async () => {
  const streams: ServerHttp2Stream[] = [];
  const server = await serve((stream) => {
    streams.push(stream);
    begin(stream);
    push(stream, '1');
  });
  const client = fanOut(server.endpoint);
  const first = await subscribe(client);
  const second = await subscribe(client);
  expect(await nextSequenceNumber(first)).toBe('1');
  expect(await nextSequenceNumber(second)).toBe('1');
  expect(server.sessions).toHaveLength(2);
  for (const session of server.sessions) {
    expect(session.remoteSettings).toMatchObject({ initialWindowSize: 512 * 1024, enablePush: false });
  }
  const [firstStream, secondStream] = streams as [ServerHttp2Stream, ServerHttp2Stream];
  push(secondStream, '22');
  expect(await nextSequenceNumber(second)).toBe('22');
  push(firstStream, '12');
  expect(await nextSequenceNumber(first)).toBe('12');
  for (const stream of streams) stream.end();
  expect(await first.next()).toMatchObject({ done: true });
  expect(await second.next()).toMatchObject({ done: true });
});

test('the window of a subscription is that of its connection as well', async () => {
  const server = await serve(begin);
  await subscribe(fanOut(server.endpoint));
  await expect.poll(() => server.sessions[0]?.state.remoteWindowSize).toBeGreaterThan(500 * 1024);
});

test('the end of a subscription closes its connection', async () => {
  const server = await serve((stream) => {
    begin(stream);
    push(stream, '1');
    stream.end();
  });
  const events = await subscribe(fanOut(server.endpoint));
  const [session] = server.sessions as [ServerHttp2Session];
  const closed = session.closed ? Promise.resolve() : once(session, 'close');
  expect(await nextSequenceNumber(events)).toBe('1');
  expect(await events.next()).toMatchObject({ done: true });
  await closed;
});

test('aborting ends a running subscription and closes its connection', async () => {
  const server = await serve((stream) => {
    begin(stream);
    push(stream, '1');
  });
  const controller = new AbortController();
  const events = await subscribe(fanOut(server.endpoint), controller.signal);
  expect(await nextSequenceNumber(events)).toBe('1');
  const [session] = server.sessions as [ServerHttp2Session];
  const closed = once(session, 'close');
  const next = events.next();
  controller.abort();
  await closed;
  expect(await next).toMatchObject({ done: true });
});

test('a subscription that falls silent ends as if the service had ended it', async () => {
  const server = await serve((stream) => {
    begin(stream);
    push(stream, '1');
  });
  const events = await subscribe(fanOut(server.endpoint, { requestTimeoutMs: 60 }));
  expect(await nextSequenceNumber(events)).toBe('1');
  expect(await events.next()).toMatchObject({ done: true });
});

test.each(['closed', 'reset'])(
  'a subscription whose connection is %s ends as if the service had ended it',
  async (how) => {
    const server = await serve((stream) => {
      begin(stream);
      push(stream, '1');
    });
    const events = await subscribe(fanOut(server.endpoint));
    expect(await nextSequenceNumber(events)).toBe('1');
    const next = events.next();
    const [socket] = server.sockets as [Socket];
    if (how === 'closed') socket.destroy();
    else socket.resetAndDestroy();
    expect(await next).toMatchObject({ done: true });
  },
);

test('a subscribe call that is never answered ends', async () => {
  const server = await serve(() => undefined);
  const error = await subscribe(fanOut(server.endpoint, { requestTimeoutMs: 60 })).then(
    () => undefined,
    (caught: unknown) => caught,
  );
  expect(classifyAwsError(error)).toEqual({ kind: 'transient', code: 'TimeoutError' });
  expect(server.sessions).toHaveLength(1);
});

test('an error before the stream is read as any other', async () => {
  const server = await serve((stream) => {
    stream.respond({ ':status': 400, 'content-type': 'application/x-amz-json-1.1' });
    stream.end(JSON.stringify({ __type: 'ResourceNotFoundException', message: 'no such consumer' }));
  });
  const error = await subscribe(fanOut(server.endpoint)).then(
    () => undefined,
    (caught: unknown) => caught,
  );
  expect(classifyAwsError(error)).toEqual({ kind: 'not-found', code: 'ResourceNotFoundException' });
});

test('an error within the stream is read as any other', async () => {
  const server = await serve((stream) => {
    begin(stream);
    stream.end(
      eventMessage(
        {
          ':message-type': 'exception',
          ':exception-type': 'KMSThrottlingException',
          ':content-type': 'application/json',
        },
        { message: 'slow down' },
      ),
    );
  });
  const events = await subscribe(fanOut(server.endpoint));
  const outcome = await events.next().then(
    ({ value }) => value?.KMSThrottlingException,
    (caught: unknown) => caught,
  );
  expect(classifyAwsError(outcome)).toEqual({ kind: 'throttled', code: 'KMSThrottlingException' });
});
