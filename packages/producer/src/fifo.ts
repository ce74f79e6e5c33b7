// A queue that takes from the front in constant time, and can be kept sorted. The stages keep what waits in it: user records behind a busy key,
// Kinesis records behind a spent bucket, user records until their time to live is over. Knows nothing of what it holds.
// Invariant: memory is at most about twice what is in it, however long it lives.

const SPARE_COUNT = 1024;

export class Fifo<T> {
  #items: (T | undefined)[] = [];
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  /** As `push`, but in front of those that it comes before: in a queue that is sorted so it stays sorted, and equals keep their order. */
  insert(item: T, comesBefore: (item: T, other: T) => boolean): void {
    let low = this.#head;
    let high = this.#items.length;
    // Most come last.
    if (high > low && !comesBefore(item, this.#items[high - 1] as T)) low = high;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (comesBefore(item, this.#items[middle] as T)) high = middle;
      else low = middle + 1;
    }
    if (low === this.#items.length) this.#items.push(item);
    else this.#items.splice(low, 0, item);
  }

  /** The front item, left in place. */
  peek(): T | undefined {
    return this.#items[this.#head];
  }

  /** Takes the front item. */
  shift(): T | undefined {
    const item = this.#items[this.#head];
    if (this.#head === this.#items.length) return undefined;
    this.#items[this.#head++] = undefined;
    if (this.#head >= SPARE_COUNT && this.#head * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    } else if (this.#head === this.#items.length) {
      this.#items.length = 0;
      this.#head = 0;
    }
    return item;
  }

  /** Keeps only what passes, in order. */
  keep(passes: (item: T) => boolean): void {
    const kept: T[] = [];
    for (const item of this) if (passes(item)) kept.push(item);
    this.#items = kept;
    this.#head = 0;
  }

  *[Symbol.iterator](): Generator<T, void, undefined> {
    for (let at = this.#head; at < this.#items.length; at++) yield this.#items[at] as T;
  }
}
