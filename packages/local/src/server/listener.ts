// The ports: one in clear text and, if asked for, one with TLS; each speaks HTTP/1.1 and HTTP/2, told apart by the first bytes
// of a connection. Owns every socket: their number is bound over both ports, and a closed listener has none.
import { createServer as createHttp1Server, type IncomingMessage, type ServerResponse } from 'node:http';
import {
  createServer as createHttp2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from 'node:http2';
import { createServer, type Server, type Socket } from 'node:net';
import { OperatingError, UsageError } from '@shardline/common/base';
import { httpVersionOf, tellApart } from './first-bytes.ts';
import type { HttpReply, HttpRequest } from './http-exchange.ts';
import { type ServerCertificate, tlsHandshake } from './tls-handshake.ts';

export interface ListenOptions {
  readonly port: number;
  readonly host: string;
  /** The second port; undefined for none. */
  readonly tls: (ServerCertificate & { readonly port: number }) | undefined;
  /** Over both ports; who comes beyond them is hung up on. */
  readonly maxConnections: number;
  /** From the first byte of a request to its last, and the longest silence before the first one. */
  readonly requestTimeoutMs: number;
  readonly handle: (request: HttpRequest, reply: HttpReply) => Promise<void>;
}

export interface Listener {
  readonly port: number;
  readonly tlsPort: number | undefined;
  /** Stops listening and destroys every connection. */
  close(): Promise<void>;
}

/** Longer than the SDKs keep an idle connection, so that it is they who close it and no request meets a closing socket. */
const KEEP_ALIVE_MS = 180_000;
/** An HTTP/2 connection without any traffic; a subscription has its heartbeats. */
const IDLE_SESSION_MS = 600_000;
/** With the default of 64 KiB, one PutRecords of 5 MiB waits for 80 window updates. */
const STREAM_WINDOW_BYTES = 16 * 1024 * 1024;
const SESSION_WINDOW_BYTES = 64 * 1024 * 1024;

/** @throws OperatingError PORT_IN_USE, UsageError for an address that this machine does not have or may not use */
export async function listen(options: ListenOptions): Promise<Listener> {
  const { port, host, tls, requestTimeoutMs, maxConnections } = options;
  const sockets = new Set<Socket>();
  const http1 = http1Server(options);
  const http2 = http2Server(options);
  const speakHttp = (socket: Socket): void => {
    tellApart(socket, requestTimeoutMs, httpVersionOf, (version) => {
      if (version === 'http2') {
        // Without ALPN a TLS socket has none, and HTTP/2 would refuse it.
        http2.emit('connection', Object.assign(socket, { alpnProtocol: 'h2' }));
      } else {
        http1.emit('connection', socket);
        // HTTP/1.1 listens for data on a socket that must flow; HTTP/2 has read what was put back and owns the handle.
        socket.resume();
      }
    });
  };
  const servers: Server[] = [];
  const open = async (field: 'port' | 'tlsPort', wanted: number, speak: (socket: Socket) => void): Promise<number> => {
    const server = acceptor(sockets, maxConnections, speak);
    servers.push(server);
    await bind(server, field, wanted, host);
    const address = server.address();
    return typeof address === 'object' && address !== null ? address.port : wanted;
  };
  const close = async (): Promise<void> => {
    const closed = servers.map((server) => new Promise<void>((resolve) => void server.close(() => resolve())));
    for (const socket of sockets) socket.destroy();
    http1.close();
    http2.close();
    await Promise.all(closed);
  };
  try {
    const clearPort = await open('port', port, speakHttp);
    const tlsPort = tls && (await open('tlsPort', tls.port, tlsHandshake(tls, requestTimeoutMs, speakHttp)));
    // Neither HTTP server listens by itself; without this event http.Server does not watch for requests that never end.
    http1.emit('listening');
    return { port: clearPort, tlsPort, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function acceptor(sockets: Set<Socket>, maxConnections: number, speak: (socket: Socket) => void): Server {
  return createServer({ noDelay: true }, (socket) => {
    if (sockets.size >= maxConnections) {
      socket.destroy();
      return;
    }
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    speak(socket);
  });
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

function http2Server({ handle, requestTimeoutMs }: ListenOptions): ReturnType<typeof createHttp2Server> {
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
    // A client begins with its settings. Of some that are none, such as a frame that is too long, nothing is told here.
    const unsettled = setTimeout(() => session.destroy(), requestTimeoutMs);
    session.once('remoteSettings', () => clearTimeout(unsettled));
    session.once('close', () => clearTimeout(unsettled));
  });
  return server;
}

function bind(server: Server, field: 'port' | 'tlsPort', port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(bindError(error, port, host, field)));
    server.listen(port, host, () => {
      server.removeAllListeners('error');
      // What comes later, such as too many open files, concerns one connection that is not there yet.
      server.on('error', () => undefined);
      resolve();
    });
  });
}

/** What a failure to listen means to the user. */
export function bindError(error: NodeJS.ErrnoException, port: number, host: string, field = 'port'): Error {
  switch (error.code) {
    case 'EADDRINUSE':
      return new OperatingError(
        'PORT_IN_USE',
        `${field}: expected a free port of ${host}, got ${port}, which is in use`,
        {
          retryable: true,
          cause: error,
        },
      );
    case 'EACCES':
      return new UsageError(field, 'a port that this user may listen on', String(port));
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new UsageError('host', 'an address of this machine', JSON.stringify(host));
    default:
      return error;
  }
}
