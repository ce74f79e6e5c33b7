// Virtual time: callbacks run in order of their time, those of one time in the order they were put in. Nothing else moves the
// clock.

interface Entry {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

export class EventQueue {
  /** A binary heap, the earliest first. */
  readonly #heap: Entry[] = [];
  #order = 0;
  #now = 0;
  #stopped = false;

  /** Virtual milliseconds. */
  get now(): number {
    return this.#now;
  }

  at(time: number, run: () => void): void {
    this.#push({ at: time > this.#now ? time : this.#now, order: this.#order++, run });
  }

  after(delayMs: number, run: () => void): void {
    this.at(this.#now + delayMs, run);
  }

  /** Runs everything up to and including `time`; leaves the clock at `time`, or where it was stopped. */
  runUntil(time: number): void {
    while (this.runNext(time));
    if (!this.#stopped && time > this.#now) this.#now = time;
  }

  /** Runs the earliest that is due by `time`, for a world in which something has to come to rest between two. False: there is none. */
  runNext(time: number): boolean {
    const next = this.#heap[0];
    if (this.#stopped || next === undefined || next.at > time) return false;
    this.#pop();
    this.#now = next.at;
    next.run();
    return true;
  }

  /** What runs now is the last. */
  stop(): void {
    this.#stopped = true;
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let index = heap.length;
    heap.push(entry);
    while (index > 0) {
      const up = (index - 1) >>> 1;
      const parent = heap[up] as Entry;
      if (before(parent, entry)) break;
      heap[index] = parent;
      index = up;
    }
    heap[index] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Entry;
    if (heap.length === 0) return;
    let index = 0;
    for (;;) {
      const left = 2 * index + 1;
      if (left >= heap.length) break;
      const right = left + 1;
      const child = right < heap.length && before(heap[right] as Entry, heap[left] as Entry) ? right : left;
      if (before(last, heap[child] as Entry)) break;
      heap[index] = heap[child] as Entry;
      index = child;
    }
    heap[index] = last;
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
