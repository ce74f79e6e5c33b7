// Answers with bodies of any length over real sockets, in clear text and over TLS: each arrives whole, however it is cut, and one that does
// not is a failure, as by Node's own way of reading.
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { type AddressInfo, createServer as createRawServer, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import { type Answer, Exchanges, type Peer } from '../src/aws-exchange.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const LENGTHS = [0, 1, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 3 * MIB, 10 * MIB + 7];
/** TLS without certificates. */
const KEY = {
  ciphers: 'PSK-AES128-GCM-SHA256',
  maxVersion: 'TLSv1.2',
  pskCallback: () => ({ psk: Buffer.from('secret'), identity: 'test' }),
  checkServerIdentity: () => undefined,
} as const;

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function listen(server: Server, secure = false): Promise<Peer> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanUps.push(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  });
  return { secure, host: '127.0.0.1', port: (server.address() as AddressInfo).port };
}

function exchanges(requestTimeoutMs = 10_000): Exchanges {
  const made = new Exchanges({ maxSockets: 1, connectionTimeoutMs: 10_000, requestTimeoutMs });
  Object.assign(made.secureAgent.options, KEY);
  cleanUps.push(() => made.destroy());
  return made;
}

function post(by: Exchanges, peer: Peer, body = '', signal?: AbortSignal): Promise<Answer> {
  return by.post(peer, ['host', 'test', 'content-length', String(body.length)], body, signal);
}

/** Writes as many bytes as it is asked for. */
const answer: RequestListener = async (request, response) => {
  let asked = '';
  for await (const chunk of request) asked += chunk;
  const { length, chunked, status = 200 } = JSON.parse(asked) as { length: number; chunked?: true; status?: number };
  response.writeHead(status, { 'x-asked': asked, ...(chunked ? {} : { 'content-length': length }) });
  response.end(bytesOf(length));
};

function bytesOf(length: number): Buffer {
  return Buffer.alloc(length, Buffer.from(Array.from({ length: 251 }, (_, index) => index)));
}

/** Answers each request on a connection with the same pieces, one after the other. */
async function serveRaw(...pieces: readonly (string | Buffer)[]): Promise<{ peer: Peer; sockets: Socket[] }> {
  const sockets: Socket[] = [];
  const server = createRawServer({ noDelay: true }, (socket) => {
    sockets.push(socket);
    socket.on('data', async () => {
      for (const piece of pieces) {
        await new Promise((resolve) => socket.write(piece, resolve));
        await new Promise((resolve) => setImmediate(resolve));
      }
    });
  });
  return { peer: await listen(server), sockets };
}

test.each([
  ['clear text', () => createServer(answer), false],
  ['TLS', () => createSecureServer({ ...KEY, pskCallback: () => KEY.pskCallback().psk }, answer), true],
])(
  'over %s bodies of any length arrive whole on one connection, with the heads that they came with',
  async (_, start, secure) => {
    const server = start();
    let connections = 0;
    server.on('connection', () => {
      connections += 1;
    });
    const peer = await listen(server, secure);
    const by = exchanges();
    for (const length of LENGTHS) {
      for (const what of [{ length }, { length, chunked: true }, { length, status: 500 }]) {
        const asked = JSON.stringify(what);
        const { statusCode, headers, body } = await post(by, peer, asked);
        expect([statusCode, headers['x-asked']]).toEqual([what.status ?? 200, asked]);
        expect(headers['content-length']).toBe(what.chunked ? undefined : String(length));
        expect(body.equals(bytesOf(length))).toBe(true);
      }
    }
    expect(connections).toBe(1);
  },
);

test('a large body arrives whole wherever the answer is cut', async () => {
  const body = bytesOf(150 * KIB);
  const head = Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length:  ${body.length} \r\nx-content-length: 5\r\n\r\n`);
  const whole = Buffer.concat([head, body]);
  const cut = fc.oneof(fc.nat({ max: head.length + 2 }), fc.nat({ max: whole.length }));
  await fc.assert(
    fc.asyncProperty(fc.array(cut, { maxLength: 6 }), async (cuts) => {
      const at = [0, ...cuts.sort((one, other) => one - other), whole.length];
      const { peer } = await serveRaw(...at.slice(1).map((to, index) => whole.subarray(at[index], to)));
      const by = exchanges();
      for (let times = 0; times < 2; times += 1) {
        const came = await post(by, peer);
        expect([came.body.equals(body), came.headers['x-content-length']]).toEqual([true, '5']);
      }
      by.destroy();
    }),
    { numRuns: 50 },
  );
});

test('an answer that is not as usual is read by the parser alone', async () => {
  const body = bytesOf(100 * KIB);
  const length = `content-length: ${body.length}\r\n`;
  const early = await serveRaw('HTTP/1.1 103 Early Hints\r\n\r\n', `HTTP/1.1 200 OK\r\n${length}\r\n`, body);
  expect((await post(exchanges(), early.peer)).body.equals(body)).toBe(true);
  const twice = await serveRaw(`HTTP/1.1 200 OK\r\n${length}${length}\r\n`, body);
  await expect(post(exchanges(), twice.peer)).rejects.toMatchObject({ code: 'HPE_UNEXPECTED_CONTENT_LENGTH' });
  const both = await serveRaw(`HTTP/1.1 200 OK\r\n${length}transfer-encoding: chunked\r\n\r\n`, body);
  await expect(post(exchanges(), both.peer)).rejects.toMatchObject({ code: expect.stringMatching(/^HPE_/) });
});

test('a large body that breaks off is a broken connection', async () => {
  const { peer, sockets } = await serveRaw(`HTTP/1.1 200 OK\r\ncontent-length: ${MIB}\r\n\r\n`, bytesOf(MIB - 1));
  const asked = post(exchanges(), peer);
  const failed = expect(asked).rejects.toMatchObject({ name: 'TimeoutError', code: 'ECONNRESET' });
  await expect.poll(() => sockets[0]?.bytesWritten).toBeGreaterThan(MIB);
  sockets[0]?.end();
  await failed;
});

test('a large body that takes longer than requestTimeoutMs is waited for while it goes on', async () => {
  const body = bytesOf(80 * KIB);
  const server = createRawServer({ noDelay: true }, (socket) => {
    socket.on('data', async () => {
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n`);
      for (let at = 0; at < body.length; at += 10 * KIB) {
        await delay(60);
        socket.write(body.subarray(at, at + 10 * KIB));
      }
    });
  });
  expect((await post(exchanges(240), await listen(server))).body.equals(body)).toBe(true);
});

test('a large body that comes to a halt is given up after requestTimeoutMs', async () => {
  const { peer } = await serveRaw(`HTTP/1.1 200 OK\r\ncontent-length: ${MIB}\r\n\r\n`, bytesOf(MIB - 1));
  await expect(post(exchanges(100), peer)).rejects.toMatchObject({ name: 'TimeoutError', code: 'ETIMEDOUT' });
});

test('a call that is aborted while a large body comes closes its connection', async () => {
  const { peer, sockets } = await serveRaw(`HTTP/1.1 200 OK\r\ncontent-length: ${MIB}\r\n\r\n`, bytesOf(MIB - 1));
  const controller = new AbortController();
  const failed = expect(post(exchanges(), peer, '', controller.signal)).rejects.toMatchObject({ name: 'AbortError' });
  await expect.poll(() => sockets[0]?.bytesWritten).toBeGreaterThan(MIB);
  controller.abort();
  await failed;
  await expect.poll(() => sockets[0]?.destroyed).toBe(true);
});
