import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { httpVersionOf, onTlsPort, tellApart } from './first-bytes.ts';

const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

test('HTTP/2 is told by its whole first line, HTTP/1.1 by the first byte that differs from it', () => {
  for (let length = 0; length <= preface.length; length++) {
    expect(httpVersionOf(preface.subarray(0, length))).toBe(length < 16 ? undefined : 'http2');
  }
  fc.assert(
    fc.property(fc.nat({ max: 15 }), fc.uint8Array({ minLength: 1 }), (length, bytes) => {
      fc.pre(bytes[0] !== preface[length]);
      expect(httpVersionOf(Buffer.concat([preface.subarray(0, length), bytes]))).toBe('http1');
    }),
  );
});

test('on the TLS port, one byte tells a handshake from HTTP in clear text and from garbage', () => {
  expect(onTlsPort(Buffer.of())).toBeUndefined();
  for (let byte = 0; byte < 256; byte++) {
    const told = byte === 0x16 ? 'tls' : byte >= 0x41 && byte <= 0x5a ? 'cleartext' : 'garbage';
    expect(onTlsPort(Buffer.of(byte, 1))).toBe(told);
  }
});

test('however the bytes come in, they are all there for who takes over', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  for (const cut of [1, 5, 15, 16, 20]) {
    const client = connect(port, '127.0.0.1');
    const [socket] = (await once(server, 'connection')) as [Socket];
    const taken = new Promise((resolve) => tellApart(socket, 10_000, httpVersionOf, resolve));
    await new Promise((resolve) => client.write(preface.subarray(0, cut), resolve));
    client.end(preface.subarray(cut));
    expect(await taken).toBe('http2');
    expect(socket.listenerCount('close')).toBe(0);
    const chunks: Buffer[] = [];
    for await (const chunk of socket) chunks.push(chunk as Buffer);
    expect(Buffer.concat(chunks).equals(preface)).toBe(true);
  }
  server.close();
});
