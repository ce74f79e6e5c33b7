// The TLS port over real sockets: the certificate verified, HTTP/1.1 and HTTP/2, with and without ALPN.
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { Agent } from 'node:https';
import { connect, createServer, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import {
  GetRecordsCommand,
  GetShardIteratorCommand,
  KinesisClient,
  PutRecordCommand,
  PutRecordsCommand,
  RegisterStreamConsumerCommand,
  SubscribeToShardCommand,
} from '@aws-sdk/client-kinesis';
import { OperatingError, UsageError } from '@shardline/common';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type LocalKinesis, type LocalTls, startLocalKinesis } from '../src/index.ts';
import { makeCertificate } from '../src/server/certificate.ts';

const StreamName = 'orders';
const ShardId = 'shardId-000000000000';
const MIB = 1024 * 1024;
let local: LocalKinesis & LocalTls;
let overHttp2: KinesisClient;
let overHttp1: KinesisClient;

beforeAll(async () => {
  const streams = [{ name: StreamName }];
  local = await startLocalKinesis({ tlsPort: 0, limits: false, streams, requestTimeoutMs: 1_000 });
  overHttp2 = new KinesisClient({ ...local.tlsClientConfig, maxAttempts: 1 });
  const requestHandler = new NodeHttpHandler({ httpsAgent: new Agent({ ca: local.certificate, keepAlive: true }) });
  overHttp1 = new KinesisClient({ ...local.tlsClientConfig, maxAttempts: 1, requestHandler });
});
afterAll(async () => {
  overHttp2.destroy();
  overHttp1.destroy();
  await local.close();
});

const clients = [
  ['HTTP/2, its default', () => overHttp2],
  ['HTTP/1.1', () => overHttp1],
] as const;

async function putAndRead(client: KinesisClient, ...datas: Uint8Array[]): Promise<Buffer[]> {
  const { Records = [] } = await client.send(
    new PutRecordsCommand({ StreamName, Records: datas.map((Data) => ({ PartitionKey: 'k', Data })) }),
  );
  const { ShardIterator } = await client.send(
    new GetShardIteratorCommand({
      StreamName,
      ShardId,
      ShardIteratorType: 'AT_SEQUENCE_NUMBER',
      StartingSequenceNumber: Records[0]?.SequenceNumber,
    }),
  );
  const { Records: found = [] } = await client.send(new GetRecordsCommand({ ShardIterator }));
  return found.map(({ Data }) => Buffer.from(Data ?? []));
}

/** A connection that has shaken hands and verified the certificate. */
async function shakeHands(options: ConnectionOptions = {}, port = local.tlsPort): Promise<TLSSocket> {
  const socket = connectTls({ port, host: '127.0.0.1', ca: local.certificate, ...options });
  await once(socket, 'secureConnect');
  return socket;
}

/** What the server says until it hangs up. */
async function readAll(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  // A reset is one of the ways of hanging up, which `once` of node:events would throw.
  socket.on('error', () => socket.destroy());
  await new Promise((resolve) => socket.once('close', resolve));
  return Buffer.concat(chunks).toString('latin1');
}

/** Sends bytes in clear text to the TLS port. */
function sendClear(bytes: string | Uint8Array): Promise<string> {
  const socket = connect(local.tlsPort, '127.0.0.1');
  socket.write(bytes);
  return readAll(socket);
}

test.each(clients)('the SDK over %s puts and reads, with the certificate verified', async (_, client) => {
  expect((await putAndRead(client(), Buffer.from('hello'))).map(String)).toEqual(['hello']);
});

test.each(clients)('requests and answers of 10 MiB pass over %s', async (_, client) => {
  const datas = Array.from({ length: 10 }, (_, index) => Buffer.alloc(MIB - 1024, index));
  const found = await putAndRead(client(), ...datas);
  expect(found.map((data, index) => data.equals(datas[index] ?? Buffer.of()))).toEqual(Array(10).fill(true));
});

test('SubscribeToShard pushes over TLS', async () => {
  const client = overHttp2;
  const StreamARN = `arn:aws:kinesis:us-east-1:000000000000:stream/${StreamName}`;
  const { Consumer } = await client.send(new RegisterStreamConsumerCommand({ StreamARN, ConsumerName: 'c' }));
  const { EventStream = [] } = await client.send(
    new SubscribeToShardCommand({
      ConsumerARN: Consumer?.ConsumerARN,
      ShardId,
      StartingPosition: { Type: 'LATEST' },
    }),
  );
  await client.send(new PutRecordCommand({ StreamName, PartitionKey: 'k', Data: Buffer.from('pushed') }));
  const texts: string[] = [];
  for await (const { SubscribeToShardEvent } of EventStream as AsyncIterable<{
    SubscribeToShardEvent?: { Records?: { Data?: Uint8Array }[] };
  }>) {
    texts.push(...(SubscribeToShardEvent?.Records ?? []).map(({ Data }) => Buffer.from(Data ?? []).toString()));
    if (texts.length > 0) break;
  }
  expect(texts).toEqual(['pushed']);
});

test.each(['127.0.0.1', 'localhost'])('the certificate is for %s', async (host) => {
  const socket = await shakeHands({ host, ...(host === 'localhost' && { servername: host }) });
  expect(socket.authorized).toBe(true);
  socket.destroy();
});

test('a client that does not trust the certificate, or looks for another name, is refused by its own check', async () => {
  const refused = (options: ConnectionOptions): Promise<unknown> =>
    once(connectTls({ port: local.tlsPort, host: '127.0.0.1', ...options }), 'secureConnect');
  await expect(refused({})).rejects.toMatchObject({ code: 'SELF_SIGNED_CERT_IN_CHAIN' });
  const { authority } = makeCertificate('127.0.0.1', Date.now());
  await expect(refused({ ca: authority })).rejects.toMatchObject({ code: 'SELF_SIGNED_CERT_IN_CHAIN' });
  await expect(refused({ ca: local.certificate, servername: 'kinesis.us-east-1.amazonaws.com' })).rejects.toMatchObject(
    {
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
    },
  );
});

test.each([
  [['h2', 'http/1.1'], 'h2'],
  [['http/1.1'], 'http/1.1'],
  [['http/1.1', 'h2'], 'h2'],
  [undefined, false],
])('who offers %j by ALPN gets %s', async (ALPNProtocols, chosen) => {
  const socket = await shakeHands(ALPNProtocols && { ALPNProtocols });
  expect(socket.alpnProtocol).toBe(chosen);
  socket.destroy();
});

test.each([undefined, ['http/1.1'], ['h2', 'http/1.1']])(
  'HTTP/1.1 is spoken to who speaks it, whatever was agreed by ALPN (%j)',
  async (ALPNProtocols) => {
    const socket = await shakeHands(ALPNProtocols && { ALPNProtocols });
    socket.write('GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
    expect(await readAll(socket)).toMatch(/^HTTP\/1\.1 403 .*AccessDeniedException/s);
  },
);

test.each([undefined, ['http/1.1'], ['h2', 'http/1.1']])(
  'HTTP/2 is spoken to who begins with its preface, whatever was agreed by ALPN (%j)',
  async (ALPNProtocols) => {
    const socket = await shakeHands(ALPNProtocols && { ALPNProtocols });
    const session = connectHttp2(local.tlsEndpoint, { createConnection: () => socket });
    const stream = session.request({ ':method': 'POST', 'x-amz-target': 'Kinesis_20131202.ListStreams' });
    stream.end('{}');
    const [headers] = await once(stream, 'response');
    expect((headers as Record<string, unknown>)[':status']).toBe(404);
    stream.resume();
    await once(stream, 'close');
    session.destroy();
  },
);

test.each(['TLSv1.2', 'TLSv1.3'] as const)('%s is spoken', async (version) => {
  const socket = await shakeHands({ minVersion: version, maxVersion: version });
  expect(socket.getProtocol()).toBe(version);
  socket.destroy();
});

test('the preface of HTTP/2 may come byte by byte', async () => {
  const socket = await shakeHands();
  const settings = Buffer.from('000000040000000000', 'hex');
  for (const byte of Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), settings])) {
    await new Promise((resolve) => socket.write(Buffer.of(byte), resolve));
  }
  const [answer] = (await once(socket, 'data')) as [Buffer];
  // The server's own SETTINGS: a frame of type 4 on stream 0.
  expect(answer.subarray(3, 9).toString('hex')).toBe('040000000000');
  socket.destroy();
});

test.each([
  ['a GET', 'GET / HTTP/1.1\r\nhost: x\r\n\r\n'],
  [
    'a PutRecords with a body that goes on',
    `POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2000\r\n\r\n${'x'.repeat(1000)}`,
  ],
  ['HTTP/2 by prior knowledge', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
])('%s without TLS is told in clear text that the port speaks TLS', async (_, bytes) => {
  const answer = await sendClear(bytes);
  expect(answer).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
  expect(answer).toMatch(/\r\n\r\nThis port speaks TLS: expected https:\/\/, got http:\/\/\n$/);
});

const hello = '16030100c8010000c40303';
test.each([
  ['nothing', ''],
  ['a byte of a handshake', Buffer.of(0x16)],
  ['half a ClientHello', Buffer.from(hello, 'hex')],
  ['a ClientHello of zeros', Buffer.concat([Buffer.from(hello, 'hex'), Buffer.alloc(300)])],
  ['an alert', Buffer.from('15030300020100', 'hex')],
  ['zeros', Buffer.alloc(100)],
])('%s is hung up on', async (_, bytes) => {
  // An alert of TLS, or nothing; no HTTP.
  expect(await sendClear(bytes)).not.toContain('HTTP');
});

test('a ClientHello that comes byte by byte is given no more time', async () => {
  const socket = connect(local.tlsPort, '127.0.0.1');
  const bytes = Buffer.concat([Buffer.from(hello, 'hex'), Buffer.alloc(100)]);
  let sent = 0;
  const trickle = setInterval(() => socket.write(bytes.subarray(sent, ++sent)), 50);
  expect(await readAll(socket)).not.toContain('HTTP');
  clearInterval(trickle);
  expect(sent).toBeLessThan(bytes.length);
});

test('silence after the handshake is hung up on', async () => {
  expect(await readAll(await shakeHands())).toBe('');
});

test('random bytes, before and after the handshake, harm nobody', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.boolean(), async (bytes, after) => {
      const socket = after ? await shakeHands() : connect(local.tlsPort, '127.0.0.1');
      socket.end(after ? bytes : Buffer.concat([Buffer.of(0x16), bytes]));
      expect(await readAll(socket)).not.toContain('200 OK');
    }),
    { numRuns: 40 },
  );
  expect(await putAndRead(overHttp2, Buffer.from('x'))).toHaveLength(1);
});

test('200 connections that never finish their handshake hold nobody up, and are hung up on', async () => {
  const silent = Array.from({ length: 200 }, (_, index) => {
    const socket = connect(local.tlsPort, '127.0.0.1');
    if (index % 2 === 0) socket.write(Buffer.from(hello, 'hex'));
    return socket;
  });
  await Promise.all(silent.map((socket) => once(socket, 'connect')));
  const ends = silent.map(readAll);
  for (const [, client] of clients) expect(await putAndRead(client(), Buffer.from('x'))).toHaveLength(1);
  expect(silent.filter(({ destroyed }) => destroyed)).toEqual([]);
  await Promise.all(ends);
});

test('close hangs up in every state of a connection, and frees both ports', async () => {
  const other = await startLocalKinesis({ tlsPort: 0 });
  const port = other.tlsPort;
  const sockets = [
    connect(port, '127.0.0.1'),
    connect(port, '127.0.0.1').on('connect', function (this: Socket) {
      this.write(Buffer.from(hello, 'hex'));
    }),
    await shakeHands({ ca: other.certificate }, port),
  ];
  await Promise.all(sockets.map((socket) => socket.connecting && once(socket, 'connect')));
  const session = connectHttp2(other.tlsEndpoint, { ca: other.certificate });
  await once(session, 'remoteSettings');
  const ended = [...sockets.map(readAll), once(session, 'close')];
  await other.close();
  await Promise.all(ended);
  await using again = await startLocalKinesis({ port: other.port, tlsPort: port });
  expect(again.tlsPort).toBe(port);
});

test('without tlsPort there is no TLS', async () => {
  await using other = await startLocalKinesis();
  expect(other).not.toHaveProperty('tlsPort');
  expect(other).not.toHaveProperty('certificate');
});

test('a certificate of the user is shown in place of one made at start', async () => {
  const { authority, cert, key } = makeCertificate('kinesis.test', Date.now());
  await using other = await startLocalKinesis({ tlsPort: 0, tlsCertificate: { cert, key } });
  expect(other.certificate).toBe(cert);
  const socket = await shakeHands({ ca: authority, servername: 'kinesis.test' }, other.tlsPort);
  expect(socket.authorized).toBe(true);
  socket.destroy();
});

test('a port in use is told by the name of its option, and the first port is free again', async () => {
  const taken = createServer();
  taken.listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const { port: tlsPort } = taken.address() as { port: number };
  await using first = await startLocalKinesis();
  const { port } = first;
  await first.close();
  const refused = startLocalKinesis({ port, tlsPort });
  await expect(refused).rejects.toThrow(OperatingError);
  await expect(refused).rejects.toThrow(/^tlsPort: .* in use$/);
  await using again = await startLocalKinesis({ port });
  expect(again.port).toBe(port);
  taken.close();
});

test('what cannot work is a usage error that names the option', async () => {
  const [one, two] = [makeCertificate('a', Date.now()), makeCertificate('a', Date.now())];
  const bad: readonly [object, string][] = [
    [{ tlsPort: -1 }, 'tlsPort'],
    [{ tlsPort: '4568' }, 'tlsPort'],
    [{ tlsCertificate: one }, 'tlsPort'],
    [{ tlsPort: 0, tlsCertificate: one.cert }, 'tlsCertificate'],
    [{ tlsPort: 0, tlsCertificate: null }, 'tlsCertificate'],
    [{ tlsPort: 0, tlsCertificate: { cert: one.cert } }, 'tlsCertificate'],
    [{ tlsPort: 0, tlsCertificate: { cert: 'garbage', key: one.key } }, 'tlsCertificate'],
    [{ tlsPort: 0, tlsCertificate: { cert: one.cert, key: 'garbage' } }, 'tlsCertificate'],
    [{ tlsPort: 0, tlsCertificate: { cert: one.cert, key: two.key } }, 'tlsCertificate'],
  ];
  for (const [options, field] of bad) {
    const refused = startLocalKinesis(options);
    await expect(refused, field).rejects.toThrow(UsageError);
    await expect(refused).rejects.toMatchObject({ field });
  }
});

test.each(clients)('faults break connections here too, over %s', async (_, client) => {
  const put = (text: string): Promise<unknown> =>
    client().send(new PutRecordCommand({ StreamName, PartitionKey: 'k', Data: Buffer.from(text) }));
  for (const kind of ['dropConnection', 'loseAnswer', 'truncateAnswer'] as const) {
    for (const by of ['session', 'stream'] as const) {
      using fault = local.faults.add({ kind, by, operation: 'PutRecord' });
      await expect(put(kind), `${kind} by ${by}`).rejects.toThrow();
      expect(fault.applied).toBe(1);
    }
  }
  await put('after all');
});
