// A client's connection that costs next to nothing: it writes a request's bytes as they are and looks at an answer only as far as
// to know where it ends. One request at a time on HTTP/1.1; on HTTP/2 one session carries all.
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Request } from './request.ts';

export interface Connection {
  /** The body of the answer. Rejects when the status is not 200. */
  send(request: Request): Promise<Buffer>;
  close(): void;
}

export interface Address {
  readonly protocol: 'http' | 'https' | 'http2';
  readonly port: number;
}

const HOST = '127.0.0.1';
const TIMEOUT_MS = 60_000;
const HTTP2_WINDOW_BYTES = 64 * 1024 * 1024;

/** `count` ways to send at once. */
export async function connections({ protocol, port }: Address, count: number): Promise<Connection[]> {
  if (protocol !== 'http2') {
    return Promise.all(Array.from({ length: count }, async () => new Http1Connection(await opened(protocol, port))));
  }
  const session = await http2Connection(port);
  return Array.from({ length: count }, () => session);
}

async function opened(protocol: 'http' | 'https', port: number): Promise<Socket> {
  if (protocol === 'http') {
    const socket = connect({ host: HOST, port, noDelay: true });
    await once(socket, 'connect');
    return socket;
  }
  const socket = connectTls({ host: HOST, port, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] });
  await once(socket, 'secureConnect');
  return socket.setNoDelay(true);
}

class Http1Connection implements Connection {
  readonly #socket: Socket;
  #chunks: Buffer[] = [];
  #receivedBytes = 0;
  /** Of head and body together; 0 until the head is there. */
  #expectedBytes = 0;
  #headBytes = 0;
  #settle: { resolve: (body: Buffer) => void; reject: (error: Error) => void } | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the server hung up')));
    socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)));
  }

  send(request: Request): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      this.#socket.write(request.http1);
    });
  }

  close(): void {
    this.#settle = undefined;
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#receivedBytes += chunk.length;
    if (this.#expectedBytes === 0) this.#readHead();
    if (this.#expectedBytes === 0 || this.#receivedBytes < this.#expectedBytes) return;
    const [first] = this.#chunks;
    const answer = this.#chunks.length === 1 && first !== undefined ? first : Buffer.concat(this.#chunks);
    const body = answer.subarray(this.#headBytes);
    const settle = this.#settle;
    this.#chunks = [];
    this.#receivedBytes = 0;
    this.#expectedBytes = 0;
    if (answer.toString('latin1', 9, 12) === '200') settle?.resolve(body);
    else settle?.reject(new Error(`${answer.toString('latin1', 9, 12)} ${body}`));
  }

  #readHead(): void {
    const received = Buffer.concat(this.#chunks);
    const end = received.indexOf('\r\n\r\n');
    if (end === -1) return;
    const length = /^content-length: *(\d+)/im.exec(received.toString('latin1', 0, end))?.[1];
    if (length === undefined) this.#socket.destroy(new Error('an answer without Content-Length'));
    this.#headBytes = end + 4;
    this.#expectedBytes = this.#headBytes + Number(length);
  }

  #fail(error: Error): void {
    this.#settle?.reject(error);
    this.#settle = undefined;
  }
}

async function http2Connection(port: number): Promise<Connection> {
  const session = connectHttp2(`http://${HOST}:${port}`, { settings: { initialWindowSize: HTTP2_WINDOW_BYTES } });
  await once(session, 'connect');
  session.setLocalWindowSize(HTTP2_WINDOW_BYTES);
  // Whoever waits for an answer hears of it from the stream.
  session.on('error', () => undefined);
  const send = ({ headers, body }: Request): Promise<Buffer> =>
    new Promise((resolve, reject) => {
      const stream = session.request({ ':method': 'POST', ':path': '/', ...headers });
      const chunks: Buffer[] = [];
      let status = 0;
      stream.setTimeout(TIMEOUT_MS, () => stream.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)));
      stream.on('response', (answer) => {
        status = answer[':status'] ?? 0;
      });
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('error', reject);
      stream.on('end', () => {
        if (status === 200) resolve(Buffer.concat(chunks));
        else reject(new Error(`${status} ${Buffer.concat(chunks)}`));
      });
      stream.end(body);
    });
  return { send, close: () => session.destroy() };
}
