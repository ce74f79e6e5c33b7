// What lies between Kinesis and a worker while it is subscribed to a shard: one answer over HTTP/2 that goes on. Kinesis's end is the reply that
// the local server's own feed writes its frames to, the worker's is the body that the SDK's transport gives. Bytes come late and in pieces,
// wait in a window until they are read, and stop coming: with a word, with a reset, in the midst of a frame, or in silence.
// Invariants: bytes arrive in the order in which they were written; a silent connection says nothing more, to neither end.

import { exceptionFrame } from '../../../local/dist/server/event-stream.js';
import type { HttpReply } from '../../../local/dist/server/http-exchange.js';
import type { Prng } from '../prng.ts';
import type { Host } from './host.ts';
import type { VirtualTime } from './virtual-time.ts';

export const CONNECTION_FAULTS = ['silence', 'reset', 'cut', 'error'] as const;
export type ConnectionFault = (typeof CONNECTION_FAULTS)[number];

export interface ConnectionOptions {
  readonly host: Host;
  /** `subscription 3 to shardId-…`, for people. */
  readonly what: string;
  readonly time: VirtualTime;
  readonly prng: Prng;
  readonly maxLatencyMs: number;
  /** So much may be on its way or unread before Kinesis has to wait. */
  readonly windowBytes: number;
  /** Of the call: aborted, the worker hangs up. */
  readonly signal: AbortSignal | undefined;
  /** All of a frame has come to the worker's socket. */
  readonly onArrival: (frame: Uint8Array) => void;
}

interface Reader {
  readonly resolve: (read: IteratorResult<Uint8Array, undefined>) => void;
  readonly reject: (error: Error) => void;
}

const NO_MORE = { done: true, value: undefined } as const;
const ERRORS = ['InternalFailureException', 'LimitExceededException', 'KMSThrottlingException'];

export class Connection implements HttpReply, AsyncIterableIterator<Uint8Array, undefined> {
  headersSent = false;
  readonly #options: ConnectionOptions;
  readonly #listeners: Record<'drain' | 'close', (() => void)[]> = { drain: [], close: [] };
  /** In the worker's socket. */
  readonly #arrived: Uint8Array[] = [];
  #unreadBytes = 0;
  #arrivesAt = 0;
  #isBlocked = false;
  /** Kinesis has done with it. */
  #isClosed = false;
  #isSilent = false;
  /** What becomes of it with the next frame. */
  #next: 'cut' | 'reset' | undefined;
  #reader: Reader | undefined;
  /** The worker knows that nothing more comes. */
  #outcome: 'ended' | Error | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    const { signal } = options;
    if (signal?.aborted === true) this.#hangUp();
    else signal?.addEventListener('abort', this.#hangUp, { once: true });
  }

  // --- Kinesis's end ---

  setHeader(): void {}

  writeHead(): void {
    this.headersSent = true;
  }

  on(event: 'drain' | 'close' | 'error', listener: (error: Error) => void): void {
    if (event !== 'error') this.#listeners[event].push(listener as () => void);
  }

  write(frame: Uint8Array): boolean {
    const { prng, windowBytes, onArrival } = this.#options;
    this.#unreadBytes += frame.length;
    const middle = 1 + prng.int(frame.length - 1);
    if (this.#next === 'cut') {
      this.#travel(() => this.#arrive(frame.subarray(0, middle)));
      this.end();
      return true;
    }
    if (this.#next === 'reset') {
      this.#close(() => {
        onArrival(frame);
        this.#finish(resetError());
      });
      return true;
    }
    const isInPieces = prng.chance(0.3);
    if (isInPieces) this.#travel(() => this.#arrive(frame.subarray(0, middle)));
    this.#travel(() => {
      onArrival(frame);
      this.#arrive(isInPieces ? frame.subarray(middle) : frame);
    });
    this.#isBlocked = this.#unreadBytes > windowBytes;
    return !this.#isBlocked;
  }

  end(): void {
    this.#close(() => this.#finish('ended'));
  }

  destroy(): void {
    this.#close(() => this.#finish(resetError()));
  }

  /** Faults can strike it. */
  get isSound(): boolean {
    return !this.#isClosed && !this.#isSilent && this.#next === undefined;
  }

  strike(fault: ConnectionFault): void {
    if (fault === 'silence') this.#isSilent = true;
    else if (fault === 'cut') this.#next = 'cut';
    // The reset overtakes the reader of a frame that has just come, or comes alone.
    else if (fault === 'reset' && this.#options.prng.chance(0.5)) this.#next = 'reset';
    else if (fault === 'reset') this.destroy();
    else {
      this.write(exceptionFrame(this.#options.prng.pick(ERRORS), 'simulated'));
      this.end();
    }
  }

  // --- the worker's end ---

  /** The answer's head is there. */
  open(): this {
    const { host, what } = this.#options;
    if (this.#outcome === undefined) host.calls.add(what);
    return this;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Uint8Array, undefined>> {
    const { host, what } = this.#options;
    host.used(what);
    const chunk = this.#arrived.shift();
    if (chunk !== undefined) return Promise.resolve(this.#taken(chunk));
    if (this.#outcome === 'ended') return Promise.resolve(NO_MORE);
    if (this.#outcome !== undefined) return Promise.reject(this.#outcome);
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject };
    });
  }

  return(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#hangUp();
    return Promise.resolve(NO_MORE);
  }

  readonly #hangUp = (): void => {
    this.#over(Object.assign(new Error('Request aborted'), { name: 'AbortError' }));
    this.#arrived.length = 0;
    this.#travel(() => this.#close());
  };

  #arrive(chunk: Uint8Array): void {
    if (this.#outcome !== undefined) return;
    this.#arrived.push(chunk);
    this.#options.host.reach(() => {
      const [reader, next] = [this.#reader, this.#arrived[0]];
      if (reader === undefined || next === undefined) return;
      this.#arrived.shift();
      this.#reader = undefined;
      reader.resolve(this.#taken(next));
    });
  }

  #finish(outcome: 'ended' | Error): void {
    this.#options.host.reach(() => {
      // What a reset finds unread is lost with it.
      if (outcome !== 'ended') this.#arrived.length = 0;
      this.#over(outcome);
    });
  }

  #over(outcome: 'ended' | Error): void {
    const { host, what, signal } = this.#options;
    if (this.#outcome !== undefined) return;
    this.#outcome = outcome;
    signal?.removeEventListener('abort', this.#hangUp);
    host.calls.delete(what);
    const reader = this.#reader;
    this.#reader = undefined;
    if (outcome === 'ended') reader?.resolve(NO_MORE);
    else reader?.reject(outcome);
  }

  // --- in between ---

  #taken(value: Uint8Array): { done: false; value: Uint8Array } {
    this.#unreadBytes -= value.length;
    if (this.#isBlocked && this.#unreadBytes <= this.#options.windowBytes) {
      this.#isBlocked = false;
      this.#travel(() => this.#tell('drain'));
    }
    return { done: false, value };
  }

  /** Once Kinesis has closed it, nothing is written any more. */
  #close(tellWorker: () => void = () => undefined): void {
    if (this.#isClosed) return;
    this.#travel(tellWorker);
    this.#isClosed = true;
    this.#tell('close');
  }

  #tell(event: 'drain' | 'close'): void {
    for (const listener of this.#listeners[event]) listener();
  }

  #travel(arrive: () => void): void {
    const { time, prng, maxLatencyMs } = this.#options;
    this.#arrivesAt = Math.max(this.#arrivesAt, time.now + 1 + prng.int(maxLatencyMs));
    time.queue.at(this.#arrivesAt, () => {
      if (!this.#isSilent) arrive();
    });
  }
}

function resetError(): Error {
  return Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' });
}
