// The reads that the core has asked for and that are not due yet: in a process with a thousand shards at rest nearly all of them, nearly
// always. So one that waits is its effect and a time on an agenda with one timer for all: no promise, timer or signal of its own.
// It neither reads nor answers. Invariant: each read that is kept is begun or given back, once, unless everything ends.
import type { Clock } from '@shardline/common';
import { Agenda, type Scheduled } from '../coordination/agenda.ts';
import type { FetchBatch, Tenure } from '../coordination/effects.ts';

interface Waiting extends Scheduled {
  readonly read: FetchBatch;
}

export class DueReads {
  readonly #clock: Clock;
  readonly #begin: (read: FetchBatch) => void;
  readonly #agenda = new Agenda<Waiting>();
  /** A tenure has one read under way at most. */
  readonly #waiting = new Map<Tenure, Waiting>();
  #timer: { readonly at: number; readonly cancel: () => void } | undefined;

  /** @param begin is called once a read is due. */
  constructor(clock: Clock, begin: (read: FetchBatch) => void) {
    this.#clock = clock;
    this.#begin = begin;
  }

  /** @returns whether it waits; false: it is due. */
  keep(read: FetchBatch, dueAt: number): boolean {
    if (dueAt <= this.#clock.now()) return false;
    const waiting: Waiting = { read, dueAt, place: -1 };
    this.#waiting.set(read.tenure, waiting);
    this.#agenda.set(waiting, dueAt);
    this.#setTimer();
    return true;
  }

  /** The tenure is over. @returns its read, if one waits: it will not begin. */
  giveBack(tenure: Tenure): FetchBatch | undefined {
    const waiting = this.#waiting.get(tenure);
    if (waiting === undefined) return undefined;
    this.#forget(waiting);
    this.#setTimer();
    return waiting.read;
  }

  /** Begins none any more. */
  stop(): void {
    for (const waiting of [...this.#waiting.values()]) this.#forget(waiting);
    this.#setTimer();
  }

  #forget(waiting: Waiting): void {
    this.#waiting.delete(waiting.read.tenure);
    this.#agenda.remove(waiting);
  }

  #setTimer(): void {
    const at = this.#agenda.earliest;
    if (at === (this.#timer?.at ?? Number.POSITIVE_INFINITY)) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    if (at === Number.POSITIVE_INFINITY) return;
    this.#timer = { at, cancel: this.#clock.setTimer(() => this.#onTime(), at - this.#clock.now()) };
  }

  #onTime(): void {
    this.#timer = undefined;
    const due = this.#agenda.due(this.#clock.now());
    for (const waiting of due) this.#forget(waiting);
    for (const { read } of due) this.#begin(read);
    this.#setTimer();
  }
}
