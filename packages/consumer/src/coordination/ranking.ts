// The first of a few hundred workers by an order that changes with every lease that is given out: a binary heap that knows where
// each of its members stands. Members are numbers, the places of what they stand for in a list of the caller's.

export class Ranking {
  readonly #isBefore: (a: number, b: number) => boolean;
  readonly #heap: number[] = [];
  /** Where in the heap each member stands. */
  readonly #places = new Map<number, number>();

  /** @param isBefore a strict order that leaves no two members equal. */
  constructor(isBefore: (a: number, b: number) => boolean) {
    this.#isBefore = isBefore;
  }

  get first(): number | undefined {
    return this.#heap[0];
  }

  /** The first that is not to be avoided; the first of all where there is no other. */
  firstBut(isAvoided: (member: number) => boolean): number | undefined {
    const avoided: number[] = [];
    let { first } = this;
    while (first !== undefined && isAvoided(first)) {
      this.remove(first);
      avoided.push(first);
      first = this.first;
    }
    for (const member of avoided) this.put(member);
    return first ?? avoided[0];
  }

  /** Puts a member in, or to where it belongs now. */
  put(member: number): void {
    const place = this.#places.get(member);
    if (place === undefined) this.#heap.push(member);
    this.#settle(member, place ?? this.#heap.length - 1);
  }

  /** Changes nothing if it isn't there. */
  remove(member: number): void {
    const place = this.#places.get(member);
    if (place === undefined) return;
    this.#places.delete(member);
    const last = this.#heap.pop() as number;
    if (last !== member) this.#settle(last, place);
  }

  /** Moves others out of the way, up or down, until the member may stand there. */
  #settle(member: number, from: number): void {
    const heap = this.#heap;
    let place = from;
    while (place > 0) {
      const up = (place - 1) >>> 1;
      const parent = heap[up] as number;
      if (!this.#isBefore(member, parent)) break;
      this.#stand(parent, place);
      place = up;
    }
    for (;;) {
      let down = 2 * place + 1;
      if (down >= heap.length) break;
      if (down + 1 < heap.length && this.#isBefore(heap[down + 1] as number, heap[down] as number)) down += 1;
      const child = heap[down] as number;
      if (!this.#isBefore(child, member)) break;
      this.#stand(child, place);
      place = down;
    }
    this.#stand(member, place);
  }

  #stand(member: number, place: number): void {
    this.#heap[place] = member;
    this.#places.set(member, place);
  }
}
