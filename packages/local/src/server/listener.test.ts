import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeCertificate } from './certificate.ts';
import { type Listener, listen } from './listener.ts';

const maxConnections = 4;
const certificate = makeCertificate('127.0.0.1', Date.now());
let listener: Listener;
let tlsPort: number;

beforeEach(async () => {
  listener = await listen({
    port: 0,
    host: '127.0.0.1',
    tls: { ...certificate, port: 0 },
    maxConnections,
    requestTimeoutMs: 20_000,
    handle: async (_request, reply) => {
      reply.writeHead(204, {});
      reply.end();
    },
  });
  tlsPort = listener.tlsPort ?? 0;
});
afterEach(() => listener.close());

async function open(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

function openTls(): Socket {
  return connectTls({ port: tlsPort, host: '127.0.0.1', ca: certificate.authority }).on('error', () => undefined);
}

/** The first bytes of the answer, or nothing from a server that hangs up. */
async function ask(socket: Socket): Promise<string> {
  socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  const answered = once(socket, 'data').then(([data]) => String(data));
  return await Promise.race([answered, once(socket, 'close').then(() => '')]);
}

test('the bound of connections is over both ports', async () => {
  const first = [await open(listener.port), await open(tlsPort), await open(listener.port), openTls()];
  expect(await ask(first[3] as Socket)).toMatch('204');
  for (const port of [listener.port, tlsPort]) await once(await open(port), 'close');
  expect(first.map(({ destroyed }) => destroyed)).toEqual([false, false, false, false]);
});

test('who leaves makes room, in whatever way the connection was used', async () => {
  const ways: readonly (() => Promise<Socket>)[] = [
    () => open(listener.port),
    () => open(tlsPort),
    async () => openTls(),
    async () => {
      const socket = await open(tlsPort);
      socket.write(Buffer.of(0x16));
      return socket;
    },
  ];
  for (const way of [...ways, ...ways]) {
    const sockets = await Promise.all(Array.from({ length: maxConnections }, way));
    if (way !== ways[3]) await Promise.all(sockets.map(ask));
    for (const socket of sockets) socket.destroy();
    // The server learns of an end a moment later than the client.
    const askOnce = async (): Promise<string> => {
      const socket = openTls();
      const answer = await ask(socket);
      socket.destroy();
      return answer;
    };
    await expect.poll(askOnce, { timeout: 10_000 }).toContain('204');
  }
});
