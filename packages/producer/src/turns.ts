// Whose turn it is when requests of several streams wait for one to end: before the sender. The streams take turns, and within a stream
// the one that waits longest goes first; so a stream with a thousand requests in the queue costs another one turn. Pure; the
// shape is that of p-queue's queues.
// Invariant: what was put in comes out once, each stream's in order; no stream gets two turns while another waits all the time.
import { Fifo } from './fifo.ts';

export interface TurnOptions {
  /** Whose it is. */
  readonly line?: string;
}

export class Turns<Job> {
  /** Those that wait, the one whose turn it is first. */
  readonly #lines = new Map<string, Fifo<Job>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  enqueue(job: Job, { line = '' }: TurnOptions = {}): void {
    let waiting = this.#lines.get(line);
    if (waiting === undefined) {
      waiting = new Fifo();
      this.#lines.set(line, waiting);
    }
    waiting.push(job);
    this.#size++;
  }

  dequeue(): Job | undefined {
    for (const [line, waiting] of this.#lines) {
      const job = waiting.shift();
      this.#lines.delete(line);
      if (waiting.length > 0) this.#lines.set(line, waiting);
      this.#size--;
      return job;
    }
    return undefined;
  }

  /** There are no priorities to filter by. */
  filter(): Job[] {
    return [];
  }

  setPriority(): void {}
}
