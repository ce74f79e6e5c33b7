// The one port: HTTP/1.1 and HTTP/2 without TLS, told apart by the first bytes of a connection, because the SDKs for
// JavaScript and Java open HTTP/2 by prior knowledge where others speak HTTP/1.1. Owns every socket: a closed listener has none.
import { createServer as createHttp1Server, type IncomingMessage, type ServerResponse } from 'node:http';
import {
  createServer as createHttp2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from 'node:http2';
import { createServer, type Server, type Socket } from 'node:net';
import { type Clock, OperatingError, systemClock, UsageError } from '@shardline/common';
import type { HttpReply, HttpRequest } from './http-exchange.ts';

export interface ListenOptions {
  readonly port: number;
  readonly host: string;
  /** From the first byte of a request to its last, and the longest silence before the first one. */
  readonly requestTimeoutMs: number;
  readonly handle: (request: HttpRequest, reply: HttpReply) => Promise<void>;
}

export interface Listener {
  readonly port: number;
  /** Stops listening and destroys every connection. */
  close(): Promise<void>;
}

/** Longer than the SDKs keep an idle connection, so that it is they who close it and no request meets a closing socket. */
const KEEP_ALIVE_MS = 180_000;
/** An HTTP/2 connection without any traffic; a subscription has its heartbeats. */
const IDLE_SESSION_MS = 600_000;
const MAX_CONNECTIONS = 10_000;
/** With the default of 64 KiB, one PutRecords of 5 MiB waits for 80 window updates. */
const STREAM_WINDOW_BYTES = 16 * 1024 * 1024;
const SESSION_WINDOW_BYTES = 64 * 1024 * 1024;
const HTTP2_PREFACE = 'PRI * HTTP/2.0\r\n';

/** @throws OperatingError PORT_IN_USE, UsageError for an address that this machine does not have or may not use */
export async function listen(options: ListenOptions): Promise<Listener> {
  const sockets = new Set<Socket>();
  const http1 = http1Server(options);
  const http2 = http2Server(options);
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    handOver(socket, options.requestTimeoutMs, systemClock, (protocol) => {
      (protocol === 'http2' ? http2 : http1).emit('connection', socket);
    });
  });
  server.maxConnections = MAX_CONNECTIONS;
  await bind(server, options);
  // Neither server listens by itself; without this event http.Server does not watch for requests that never end.
  http1.emit('listening');
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : options.port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
        http1.close();
        http2.close();
      }),
  };
}

function http1Server({ handle, requestTimeoutMs }: ListenOptions): ReturnType<typeof createHttp1Server> {
  const server = createHttp1Server(
    {
      keepAliveTimeout: KEEP_ALIVE_MS,
      headersTimeout: requestTimeoutMs,
      // The handler answers a body that is late; this one is for clients that do not read the answer.
      requestTimeout: 2 * requestTimeoutMs,
      connectionsCheckingInterval: Math.min(requestTimeoutMs, 5_000),
    },
    (request: IncomingMessage, reply: ServerResponse) => void handle(request, reply as HttpReply),
  );
  return server;
}

function http2Server({ handle }: ListenOptions): ReturnType<typeof createHttp2Server> {
  const server = createHttp2Server(
    {
      settings: { initialWindowSize: STREAM_WINDOW_BYTES, maxConcurrentStreams: 1_000 },
      // In MB, over all streams of a session: requests of 16 MiB may come many at once.
      maxSessionMemory: 1_000,
    },
    (request: Http2ServerRequest, reply: Http2ServerResponse) => void handle(request, reply as unknown as HttpReply),
  );
  server.on('session', (session: ServerHttp2Session) => {
    session.setLocalWindowSize(SESSION_WINDOW_BYTES);
    session.setTimeout(IDLE_SESSION_MS, () => session.destroy());
  });
  return server;
}

/** Waits for as many bytes as tell the protocol, puts them back, and calls `take` once. Silent clients are hung up on. */
function handOver(socket: Socket, timeoutMs: number, clock: Clock, take: (protocol: 'http1' | 'http2') => void): void {
  const cancel = clock.setTimer(() => socket.destroy(), timeoutMs, false);
  const onError = (): void => void socket.destroy();
  let seen: Buffer = Buffer.alloc(0);
  const onData = (chunk: Buffer): void => {
    seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
    const start = seen.toString('latin1', 0, HTTP2_PREFACE.length);
    const isHttp2 = start === HTTP2_PREFACE;
    if (!isHttp2 && HTTP2_PREFACE.startsWith(start)) return;
    cancel();
    socket.removeListener('data', onData);
    socket.removeListener('error', onError);
    socket.pause();
    socket.unshift(seen);
    take(isHttp2 ? 'http2' : 'http1');
    // HTTP/1.1 listens for data on a socket that must flow; HTTP/2 has read what was put back and owns the handle.
    if (!isHttp2) socket.resume();
  };
  socket.on('error', onError);
  socket.on('data', onData);
  socket.once('close', cancel);
}

function bind(server: Server, { port, host }: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(bindError(error, port, host)));
    server.listen(port, host, () => {
      server.removeAllListeners('error');
      // What comes later, such as too many open files, concerns one connection that is not there yet.
      server.on('error', () => undefined);
      resolve();
    });
  });
}

/** What a failure to listen means to the user. */
export function bindError(error: NodeJS.ErrnoException, port: number, host: string): Error {
  switch (error.code) {
    case 'EADDRINUSE':
      return new OperatingError('PORT_IN_USE', `port: expected a free port of ${host}, got ${port}, which is in use`, {
        retryable: true,
        cause: error,
      });
    case 'EACCES':
      return new UsageError('port', 'a port that this user may listen on', String(port));
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new UsageError('host', 'an address of this machine', JSON.stringify(host));
    default:
      return error;
  }
}
