// Tells the application what became of its records, after all decisions: the driver puts in what has settled. All that was put within a
// while may settle at once, by expiring together, and an error for each of a hundred thousand records takes most of a second; so it is done
// in slices, between which the process does what else there is to do.
// Invariants: what has settled is told once, in the order in which it settled; what waits here is outstanding still.
import type { Clock } from '@shardline/common';
import { Fifo } from './fifo.ts';

/** Told in one turn of the event loop, ms; the application's callbacks included, not what it has promises do. */
const SLICE_MS = 10;
/** Told between two looks at the clock. */
const LOOK_COUNT = 64;

/** Records that have settled together. */
export interface Settled {
  readonly records: { readonly length: number };
}

export class Telling<S extends Settled> {
  readonly #clock: Clock;
  readonly #tell: (settled: S, from: number, to: number) => void;
  readonly #onCaughtUp: () => void;
  readonly #waiting = new Fifo<S>();
  /** Of the front one, so many records are told. */
  #toldCount = 0;
  #isTelling = false;
  #isTimed = false;

  /**
   * `tell`: of the records from one index up to another. It must not throw. `onCaughtUp`: called when all has been told in a later turn of
   * the event loop than it was to be told in.
   */
  constructor(
    clock: Clock,
    tell: (settled: S, from: number, to: number) => void,
    onCaughtUp: () => void = () => undefined,
  ) {
    this.#clock = clock;
    this.#tell = tell;
    this.#onCaughtUp = onCaughtUp;
  }

  /** Something has settled that the application does not know of. */
  get isBehind(): boolean {
    return this.#waiting.length > 0;
  }

  put(settled: S): void {
    this.#waiting.push(settled);
  }

  /** Tells what waits: some of it now, the rest soon. */
  tell(): void {
    if (!this.isBehind || this.#isTelling || this.#isTimed) return;
    this.#isTelling = true;
    this.#tellSlice();
    this.#isTelling = false;
  }

  #tellSlice(): void {
    const untilMs = this.#clock.now() + SLICE_MS;
    let lookInCount = LOOK_COUNT;
    for (let settled = this.#waiting.peek(); settled !== undefined; settled = this.#waiting.peek()) {
      const { length } = settled.records;
      const from = this.#toldCount;
      const to = Math.min(length, from + lookInCount);
      this.#toldCount = to;
      this.#tell(settled, from, to);
      if (to === length) {
        this.#waiting.shift();
        this.#toldCount = 0;
      }
      lookInCount -= to - from;
      if (lookInCount > 0) continue;
      lookInCount = LOOK_COUNT;
      if (this.#clock.now() >= untilMs) break;
    }
    if (!this.isBehind) return;
    this.#isTimed = true;
    this.#clock.setTimer(() => {
      this.#isTimed = false;
      this.tell();
      if (!this.isBehind) this.#onCaughtUp();
    }, 0);
  }
}
