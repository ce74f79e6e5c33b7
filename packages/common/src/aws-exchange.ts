// One POST and the whole of its answer over HTTP/1.1, for the short way (aws-shortcut.ts): Node's own request on connections that
// are kept, without the timers and promises that the SDK's handler makes for each; large bodies come by a shorter way still (large-bodies.ts).
// It says no more than what came or what failed, in the SDK handler's words; it retries nothing and reads nothing.
// Invariant: every exchange ends. One timer looks at all that are under way and bounds are counted in its looks, so that one is
// passed by a look at most, and a process that was stopped or blocked does not take what lies in its sockets for silence.
import { type Agent, type ClientRequest, type IncomingHttpHeaders, request as requestHttp } from 'node:http';
import { request as requestHttps, type Agent as SecureAgent } from 'node:https';
import { awaitLargeBody, LargeBodyAgent, SecureLargeBodyAgent, takeLargeBody } from './large-bodies.ts';

export interface ExchangesOptions {
  /** Open at once; further exchanges wait for a free one. */
  readonly maxSockets: number;
  /** The longest wait for a connection, and for a free socket. */
  readonly connectionTimeoutMs: number;
  /** The longest wait for an answer's head, and the longest silence within its body. */
  readonly requestTimeoutMs: number;
}

/** Whom a POST goes to. */
export interface Peer {
  readonly secure: boolean;
  readonly host: string;
  readonly port: number | undefined;
}

export interface Answer {
  readonly statusCode: number;
  readonly reason: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** All that was asked has left the process: nothing reads it any more. */
  readonly isAskedAway: boolean;
}

interface Running {
  readonly request: ClientRequest;
  /** Since it began, and since the head or a part of the body came. */
  lookCount: number;
  silentLookCount: number;
  readonly fail: (error: Error) => void;
}

/** Within the shorter bound. */
const LOOK_COUNT = 8;
/** Smaller ones wake the process too often. */
const PART_BYTES: number = 256 * 1024;
/** What Node says of a connection that broke; the SDK tries again what bears this name. */
const BROKEN: ReadonlySet<unknown> = new Set(['ECONNRESET', 'EPIPE', 'ETIMEDOUT']);

export class Exchanges {
  readonly agent: Agent;
  readonly secureAgent: SecureAgent;
  readonly #options: ExchangesOptions;
  readonly #lookMs: number;
  readonly #running = new Set<Running>();
  #lookTimer: NodeJS.Timeout | undefined;

  constructor(options: ExchangesOptions) {
    const { maxSockets, connectionTimeoutMs, requestTimeoutMs } = options;
    this.#options = options;
    this.#lookMs = Math.ceil(Math.min(connectionTimeoutMs, requestTimeoutMs) / LOOK_COUNT);
    this.agent = new LargeBodyAgent({ keepAlive: true, maxSockets });
    this.secureAgent = new SecureLargeBodyAgent({ keepAlive: true, maxSockets });
  }

  /** @param headers names and values in turn, `content-length` among them. @param asked the body. */
  post(
    { secure, host, port }: Peer,
    headers: string[],
    asked: string | Buffer,
    signal: AbortSignal | undefined,
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(abortError(signal));
        return;
      }
      const request = secure
        ? requestHttps({ method: 'POST', path: '/', host, port, headers, agent: this.secureAgent })
        : requestHttp({ method: 'POST', path: '/', host, port, headers, agent: this.agent });
      const settle = (): void => {
        this.#running.delete(running);
        signal?.removeEventListener('abort', onAbort);
      };
      const fail = (error: Error): void => {
        settle();
        reject(error);
      };
      const onAbort = (): void => {
        fail(abortError(signal as AbortSignal));
        request.destroy();
      };
      const onError = (error: Error & { code?: unknown }): void => {
        fail(BROKEN.has(error.code) ? Object.assign(error, { name: 'TimeoutError' }) : error);
      };
      const running: Running = { request, lookCount: 0, silentLookCount: 0, fail };
      signal?.addEventListener('abort', onAbort, { once: true });
      const onPart = (): void => {
        running.silentLookCount = 0;
      };
      request.on('error', onError);
      request.on('socket', (socket) => awaitLargeBody(socket, { onPart }));
      request.on('response', (response) => {
        const { statusCode = -1, statusMessage: reason } = response;
        const large = takeLargeBody(response.socket);
        const headers =
          large === undefined ? response.headers : { ...response.headers, 'content-length': String(large.length) };
        const parts: Buffer[] = [];
        onPart();
        response.on('data', (part: Buffer) => {
          onPart();
          parts.push(part);
        });
        const onAnswered = (): void => {
          settle();
          const [only] = parts;
          const body = large ?? (parts.length === 1 && only !== undefined ? only : Buffer.concat(parts));
          const isAskedAway = request.writableFinished;
          // Nobody may ever read the rest, and nothing else goes by that connection before.
          if (!isAskedAway) request.destroy();
          resolve({ statusCode, reason, headers, body, isAskedAway });
        };
        response.on('end', () => {
          // Of one socket Node tells what has come before it tells what has left.
          if (request.writableFinished) onAnswered();
          else setImmediate(onAnswered);
        });
        response.on('error', onError);
      });
      this.#watch(running);
      sendBody(request, asked);
    });
  }

  destroy(): void {
    this.agent.destroy();
    this.secureAgent.destroy();
  }

  #watch(running: Running): void {
    this.#running.add(running);
    // The sockets of what is under way keep the process alive, not the looks at it.
    this.#lookTimer ??= setInterval(() => this.#look(), this.#lookMs).unref();
  }

  #look(): void {
    const { connectionTimeoutMs, requestTimeoutMs } = this.#options;
    for (const running of this.#running) {
      running.lookCount += 1;
      running.silentLookCount += 1;
      // The first look may come at once.
      const lookedForMs = (running.lookCount - 1) * this.#lookMs;
      const silentForMs = (running.silentLookCount - 1) * this.#lookMs;
      if (silentForMs >= requestTimeoutMs)
        end(running, `heard nothing within the ${requestTimeoutMs} ms of requestTimeoutMs`);
      else if (lookedForMs >= connectionTimeoutMs && !isConnected(running.request))
        end(running, `got no connection within the ${connectionTimeoutMs} ms of connectionTimeoutMs`, 'connect');
    }
    if (this.#running.size > 0) return;
    clearInterval(this.#lookTimer);
    this.#lookTimer = undefined;
  }
}

/**
 * A large body goes in parts, the next one when there is room: whole, it would be encrypted whole, into memory that is as large again for each request
 * under way, and is in no cache when the socket takes it.
 */
function sendBody(request: ClientRequest, body: string | Buffer): void {
  if (typeof body === 'string' || body.length <= PART_BYTES) {
    request.end(body);
    return;
  }
  let from = 0;
  const sendParts = (): void => {
    let hasRoom = true;
    while (hasRoom && body.length - from > PART_BYTES) {
      hasRoom = request.write(body.subarray(from, from + PART_BYTES));
      from += PART_BYTES;
    }
    if (!hasRoom) return;
    request.off('drain', sendParts);
    request.end(body.subarray(from));
  };
  request.on('drain', sendParts);
  sendParts();
}

/** @param syscall what did not end, as Node's own errors say it. */
function end({ request, fail }: Running, message: string, syscall?: string): void {
  fail(Object.assign(new Error(message), { name: 'TimeoutError', code: 'ETIMEDOUT', ...(syscall && { syscall }) }));
  request.destroy();
}

function isConnected({ socket }: ClientRequest): boolean {
  return socket !== null && socket !== undefined && !socket.connecting;
}

function abortError(signal: AbortSignal): Error {
  return Object.assign(new Error('Request aborted', { cause: signal.reason }), { name: 'AbortError' });
}
