// Virtual time for what is made of promises: one event at a time, and before the next one everything that it set off has come to
// rest: microtasks, and what waits for `setImmediate`. So the order in which promises go on is part of the schedule, and a seed
// replays to the byte. Real time enters nowhere.
// Invariant: between two events nobody waits for anything but an event.
import { EventQueue } from '../event-queue.ts';

/** After so many turns of the event loop that each did something, it never comes to rest. */
const MOST_TURNS = 1_000;
/** Turns in which nothing was done, before all is at rest: what a first one's immediates set off is seen in the next. */
const QUIET_TURNS = 2;
/** A timer of no time that is set again each time it fires would hold the time still for ever. */
const MOST_EVENTS_AT_ONCE = 10_000;

export class VirtualTime {
  readonly queue: EventQueue = new EventQueue();
  /** How often anybody was. */
  #touched = 0;

  get now(): number {
    return this.queue.now;
  }

  /** Somebody in the simulated world was reached, or asked for something. */
  touch(): void {
    this.#touched += 1;
  }

  /** Everything up to and including `time`, or as long as `goesOn`. */
  async runUntil(time: number, goesOn: () => boolean): Promise<void> {
    let before = this.#touched;
    let [at, count] = [this.now, 0];
    while (goesOn() && this.queue.runNext(time)) {
      count = this.now === at ? count + 1 : 0;
      at = this.now;
      if (count === MOST_EVENTS_AT_ONCE)
        throw new Error(`at ${at} ms: expected fewer than ${MOST_EVENTS_AT_ONCE} events at one time`);
      if (this.#touched !== before) await this.#rest();
      before = this.#touched;
    }
    if (goesOn()) this.queue.runUntil(time);
  }

  async #rest(): Promise<void> {
    let quiet = 0;
    for (let turn = 0; quiet < QUIET_TURNS; turn += 1) {
      if (turn === MOST_TURNS) throw new Error(`at ${this.now} ms: expected rest within ${MOST_TURNS} turns, got none`);
      const before = this.#touched;
      await new Promise<void>((resolve) => {
        setImmediate(resolve);
      });
      quiet = this.#touched === before ? quiet + 1 : 0;
    }
  }
}
