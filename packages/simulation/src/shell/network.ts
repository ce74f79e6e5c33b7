// What lies between a worker's clients and AWS: a call takes its time, is refused for its rate or for no reason, gets lost before or
// after it was carried out, is carried out long after it was given up, or is sent twice by the SDK. A call that is aborted rejects at once,
// as the SDK's does, and is carried out all the same if it was on its way.
import type { Prng } from '../prng.ts';
import type { Host } from './host.ts';
import type { VirtualTime } from './virtual-time.ts';

/** Chances of what may happen to a call, each 0 to 1. */
export interface NetworkFaults {
  readonly throttled: number;
  /** AWS failed, and did nothing. */
  readonly failed: number;
  /** The call never arrives. */
  readonly lostRequest: number;
  /** It is carried out, maybe late, and nobody hears of it. */
  readonly lostAnswer: number;
  /** The answer takes seconds. */
  readonly slow: number;
  /** The SDK loses the first answer and sends the call again. */
  readonly sentAgain: number;
}

export interface Weather {
  faults: NetworkFaults;
  readonly maxLatencyMs: number;
}

export interface NetworkCall<T> {
  readonly host: Host;
  /** `GetRecords of shardId-…`, for people. */
  readonly what: string;
  readonly signal: AbortSignal | undefined;
  /** How the service says that there were too many: the error's name. */
  readonly throttledAs: string;
  /** The client's SDK tries again by itself. */
  readonly mayBeSentAgain: boolean;
  /** Carries it out; throws what the service answers in place of a result. `attempts`: how often it was sent. */
  readonly carryOut: (attempts: number) => T;
}

export type Log = (mark: ' ' | '!', who: string, what: string) => void;

const SLOW_MS = 4_000;
/** So late may a call arrive whose answer is lost. */
const LATEST_MS = 2_000;

export class Network {
  readonly #time: VirtualTime;
  readonly #prng: Prng;
  readonly #weather: Weather;
  readonly #log: Log;
  callCount = 0;

  constructor(time: VirtualTime, prng: Prng, weather: Weather, log: Log) {
    this.#time = time;
    this.#prng = prng;
    this.#weather = weather;
    this.#log = log;
  }

  send<T>(call: NetworkCall<T>): Promise<T> {
    const { host, what, signal } = call;
    this.callCount += 1;
    const id = `${this.callCount} ${what}`;
    return new Promise((resolve, reject) => {
      host.used(what);
      host.calls.add(id);
      const end = (settle: () => void): void => {
        if (!host.calls.delete(id)) return;
        signal?.removeEventListener('abort', onAbort);
        settle();
      };
      const onAbort = (): void => end(() => reject(abortError()));
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#decide(call, (outcome) =>
        host.reach(() => end(() => ('error' in outcome ? reject(outcome.error) : resolve(outcome.result)))),
      );
    });
  }

  #decide<T>(call: NetworkCall<T>, answer: (outcome: { result: T } | { error: unknown }) => void): void {
    const { queue } = this.#time;
    const prng = this.#prng;
    const { throttled, failed, lostRequest, lostAnswer, slow, sentAgain } = this.#weather.faults;
    const latency = (): number => 1 + prng.int(this.#weather.maxLatencyMs);
    const there = latency();
    const refuse = (name: string, httpStatusCode: number): void => {
      this.#log('!', call.host.name, `${call.what}: ${name}`);
      queue.after(there, () => answer({ error: serviceError(name, 'simulated', httpStatusCode) }));
    };
    if (prng.chance(throttled)) refuse(call.throttledAs, 400);
    else if (prng.chance(failed)) refuse('InternalServerError', 500);
    else if (prng.chance(lostRequest)) this.#log('!', call.host.name, `${call.what}: lost`);
    else if (prng.chance(lostAnswer)) {
      this.#log('!', call.host.name, `${call.what}: its answer is lost`);
      queue.after(prng.int(LATEST_MS), () => this.#outcomeOf(call, 1));
    } else {
      const back = latency() + (prng.chance(slow) ? prng.int(SLOW_MS) : 0);
      const isSentAgain = call.mayBeSentAgain && prng.chance(sentAgain);
      if (isSentAgain) queue.after(there, () => this.#outcomeOf(call, 1));
      queue.after(isSentAgain ? 3 * there : there, () => {
        const outcome = this.#outcomeOf(call, isSentAgain ? 2 : 1);
        queue.after(back, () => answer(outcome));
      });
    }
  }

  #outcomeOf<T>({ host, what, carryOut }: NetworkCall<T>, attempts: number): { result: T } | { error: unknown } {
    try {
      const result = carryOut(attempts);
      this.#log(' ', host.name, what);
      return { result };
    } catch (error) {
      if (!(error instanceof Error) || !('$metadata' in error)) throw error;
      this.#log(' ', host.name, `${what}: ${error.name}`);
      return { error };
    }
  }
}

/** As the SDK throws it. */
export function serviceError(name: string, message: string, httpStatusCode = 400): Error {
  return Object.assign(new Error(message), { name, $metadata: { httpStatusCode, attempts: 1 } });
}

function abortError(): Error {
  return Object.assign(new Error('Request aborted'), { name: 'AbortError' });
}
