// Who waits for room, in the order in which they came: the application at `ready`, and the faces for whole sources with a record each.
// In front of `put`, beside outstanding.ts, which counts. It holds no record.
// Invariants: nobody waits while there is room for them and nobody came before; whoever was told of room finds it, unless others put
// without asking or a record is larger than those before it; nobody is forgotten: `stop` lets all of them go on.
import type { Clock } from '@shardline/common';
import { Fifo } from './fifo.ts';
import type { Outstanding } from './outstanding.ts';

interface Waiting {
  /** Of the record to be put as soon as it may be; undefined: who was told will put one soon, or not. */
  readonly sizeBytes: number | undefined;
  readonly goOn: () => void;
}

/** Whoever was told of room and has put nothing within this time does not count any more. */
const PROMISE_MS = 1;

export class RoomQueue {
  readonly #outstanding: Outstanding;
  readonly #clock: Clock;
  readonly #waiting = new Fifo<Waiting>();
  /** Told of room, with nothing put since. */
  #promisedCount = 0;
  #stopTimer: (() => void) | undefined;
  #isStopped = false;

  constructor(outstanding: Outstanding, clock: Clock) {
    this.#outstanding = outstanding;
    this.#clock = clock;
  }

  /** Whether there is room, for a record of this size that is put at once; without a size it counts as promised. If not: `wait`. */
  take(sizeBytes?: number): boolean {
    if (this.#isStopped) return true;
    if (this.#waiting.length > 0 || !this.#outstanding.isFree(this.#promisedCount, sizeBytes)) return false;
    if (sizeBytes === undefined) this.#promisedCount++;
    return true;
  }

  /** Calls when there is room; with a size, such a record is put then and there. After a `take` in vain. */
  wait(goOn: () => void, sizeBytes?: number): void {
    this.#waiting.push({ sizeBytes, goOn });
    this.#letGoOn();
  }

  /** A record has been put. */
  put(): void {
    if (this.#promisedCount > 0) this.#promisedCount--;
  }

  /** A record has settled. */
  settled(): void {
    if (this.#waiting.length > 0) this.#letGoOn();
  }

  /** Nobody has to wait any more, since nothing is taken. */
  stop(): void {
    this.#isStopped = true;
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    while (this.#waiting.length > 0) this.#waiting.shift()?.goOn();
    this.#outstanding.isAwaited = false;
  }

  #letGoOn(): void {
    for (;;) {
      const first = this.#waiting.peek();
      if (first === undefined || !this.#outstanding.isFree(this.#promisedCount, first.sizeBytes)) break;
      this.#waiting.shift();
      if (first.sizeBytes === undefined) this.#promisedCount++;
      first.goOn();
    }
    this.#outstanding.isAwaited = this.#waiting.length > 0;
    if (this.#waiting.length > 0 && this.#promisedCount > 0) this.#forgetPromisesLater();
  }

  /** They may never be kept. */
  #forgetPromisesLater(): void {
    this.#stopTimer ??= this.#clock.setTimer(() => {
      this.#stopTimer = undefined;
      this.#promisedCount = 0;
      this.#letGoOn();
    }, PROMISE_MS);
  }
}
