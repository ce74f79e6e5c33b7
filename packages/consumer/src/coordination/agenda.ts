// When each of a worker's leases has something to do next, the earliest first: a binary heap in which every item knows its
// place. A worker with thousands of leases asks after each event when it wants to be woken; with this that costs no look at
// those leases that the event had nothing to do with. Pure.

/** What an agenda keeps; both fields are the agenda's own. */
export interface Scheduled {
  /** Infinite: nothing to do before an answer comes. */
  dueAt: number;
  /** Where it stands in the heap; −1: not in it. */
  place: number;
}

export class Agenda<T extends Scheduled> {
  readonly #heap: T[] = [];

  /** When the first item is due; infinite when none ever is. */
  get earliest(): number {
    return this.#heap[0]?.dueAt ?? Number.POSITIVE_INFINITY;
  }

  /** Enters an item, or moves it to another time. */
  set(item: T, dueAt: number): void {
    if (item.place >= 0 && item.dueAt === dueAt) return;
    item.dueAt = dueAt;
    if (item.place < 0) {
      item.place = this.#heap.length;
      this.#heap.push(item);
    }
    this.#settle(item);
  }

  remove(item: T): void {
    const { place } = item;
    if (place < 0) return;
    item.place = -1;
    const last = this.#heap.pop() as T;
    if (last === item) return;
    this.#put(last, place);
    this.#settle(last);
  }

  /** The items that are due, in no special order. They stay where they are. */
  due(now: number): T[] {
    const due: T[] = [];
    this.#collect(0, now, due);
    return due;
  }

  /** Nothing below an item that is not due is due. */
  #collect(place: number, now: number, due: T[]): void {
    const item = this.#heap[place];
    if (item === undefined || item.dueAt > now) return;
    due.push(item);
    this.#collect(2 * place + 1, now, due);
    this.#collect(2 * place + 2, now, due);
  }

  #settle(item: T): void {
    const heap = this.#heap;
    let { place } = item;
    while (place > 0) {
      const parent = heap[(place - 1) >>> 1] as T;
      if (parent.dueAt <= item.dueAt) break;
      this.#put(parent, place);
      place = (place - 1) >>> 1;
    }
    for (;;) {
      const child = this.#earlierChild(place);
      if (child === undefined || child.dueAt >= item.dueAt) break;
      const freed = child.place;
      this.#put(child, place);
      place = freed;
    }
    this.#put(item, place);
  }

  #earlierChild(place: number): T | undefined {
    const left = this.#heap[2 * place + 1];
    const right = this.#heap[2 * place + 2];
    return left !== undefined && right !== undefined && right.dueAt < left.dueAt ? right : left;
  }

  #put(item: T, place: number): void {
    this.#heap[place] = item;
    item.place = place;
  }
}
