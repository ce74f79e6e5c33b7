// Which records of a batch the handler is given next, and when some of them have failed for good: tried again as a whole, then in
// halves down to the record that throws, each half in its turn. Pure; `now` and the records' times come from outside, and calling
// anybody is the business of batch-handling.ts. Invariants: records are finished from the first to the last, none is passed over
// unless it was handed over, and with one try each a batch of n records is bisected in at most 2n - 1 calls.

export type Bisecting = 'after-retries' | 'at-once' | 'never';

/** When records are given up, and how they are found. */
export interface PieceRules {
  /** From 1; infinite: they are tried for ever. */
  readonly maxTries: number;
  /** Of a record that was tried at least once; infinite: as long as Kinesis has it. */
  readonly maxAgeMs: number;
  readonly bisecting: Bisecting;
  /** Records that the handler is given at once. */
  readonly maxSize: number;
}

/** Records from `from` up to, not including, `to`. */
export type Piece =
  | { readonly kind: 'handle'; readonly from: number; readonly to: number; readonly attempt: number }
  | {
      readonly kind: 'handOver';
      readonly from: number;
      readonly to: number;
      /** How often the handler was given them, as this piece. */
      readonly attempts: number;
      readonly limit: 'attempts' | 'age';
    };

/** `again`: after a while; `narrowed`: at once, in smaller pieces; `over`: what failed is to be handed over. */
export type Verdict = 'again' | 'narrowed' | 'over';

/** From the first unfinished record on; those inside another end no later. */
interface Range {
  readonly end: number;
  /** A part of what threw. */
  readonly isPart: boolean;
  /** It threw as a whole, and why has not been found. */
  throws: boolean;
  tries: number;
}

export class Pieces {
  readonly #rules: PieceRules;
  readonly #arrivedAt: (index: number) => number;
  /** The innermost one last. */
  readonly #ranges: Range[];
  readonly #count: number;
  #finishedCount = 0;
  #failed: Extract<Piece, { kind: 'handOver' }> | undefined;

  /** @param arrivedAt of each record, by the clock of `now`. */
  constructor(count: number, arrivedAt: (index: number) => number, rules: PieceRules) {
    this.#rules = rules;
    this.#count = count;
    this.#arrivedAt = arrivedAt;
    this.#ranges = [{ end: count, isPart: false, throws: false, tries: 0 }];
  }

  /** So many from the first on were handled, or handed over. */
  get finishedCount(): number {
    return this.#finishedCount;
  }

  /** How often what comes next was tried. */
  get tries(): number {
    return this.#failed?.attempts ?? this.#ranges.at(-1)?.tries ?? 0;
  }

  /** What is unfinished begins with fresh tries, as if it had never thrown. */
  beginAnew(): void {
    if (this.#finishedCount >= this.#count) return;
    this.#failed = undefined;
    this.#ranges.splice(0, this.#ranges.length, { end: this.#count, isPart: false, throws: false, tries: 0 });
  }

  /** What is to be done next; the same until it is answered. Undefined: nothing is left. */
  next(): Piece | undefined {
    if (this.#failed !== undefined) return this.#failed;
    const from = this.#finishedCount;
    for (let range = this.#ranges.at(-1); range !== undefined; range = this.#ranges.at(-1)) {
      const size = range.end - from;
      if (range.throws && size > 1) this.#narrow(from + Math.ceil(size / 2), true);
      else if (size > this.#rules.maxSize) this.#narrow(from + this.#rules.maxSize, range.isPart);
      else return { kind: 'handle', from, to: range.end, attempt: range.tries + 1 };
    }
    return undefined;
  }

  /** The handler has finished what it was given. */
  handled(): void {
    this.#finishTo((this.#ranges.at(-1) as Range).end);
  }

  /** The handler threw: nothing of the piece is finished. */
  threw(now: number): Verdict {
    const range = this.#ranges.at(-1) as Range;
    range.tries += 1;
    const limit = this.#limitOf(range, now);
    if (limit === undefined) return 'again';
    const size = range.end - this.#finishedCount;
    if (size > 1 && this.#rules.bisecting !== 'never') {
      range.throws = true;
      return 'narrowed';
    }
    return this.#fail(range.end, range.tries, limit);
  }

  /**
   * The handler says which record it did not get past: what is before it is finished. `count` records are called by the name that it
   * gave, the user records of one aggregate.
   */
  stoppedAt(index: number, count: number, now: number): Verdict {
    const range = this.#ranges.at(-1) as Range;
    if (index > this.#finishedCount) {
      this.#finishedCount = index;
      range.tries = 0;
    }
    range.tries += 1;
    const end = this.#rules.bisecting === 'never' ? range.end : Math.min(range.end, index + count);
    return this.#exhausted(end, range, now);
  }

  /** What failed is in others' hands now. */
  handedOver(): void {
    const { to } = this.#failed as Extract<Piece, { kind: 'handOver' }>;
    this.#failed = undefined;
    // Whatever threw with these in it may have thrown because of them.
    for (const range of this.#ranges) range.throws = false;
    this.#finishTo(to);
  }

  #exhausted(end: number, range: Range, now: number): Verdict {
    const limit = this.#limitOf({ ...range, end, isPart: false }, now);
    if (limit === undefined) return 'again';
    if (end - this.#finishedCount === 1 || this.#rules.bisecting === 'never')
      return this.#fail(end, range.tries, limit);
    this.#ranges.push({ end, isPart: true, throws: true, tries: 0 });
    return 'narrowed';
  }

  #fail(to: number, attempts: number, limit: 'attempts' | 'age'): 'over' {
    this.#failed = { kind: 'handOver', from: this.#finishedCount, to, attempts, limit };
    return 'over';
  }

  #finishTo(index: number): void {
    this.#finishedCount = index;
    while ((this.#ranges.at(-1)?.end ?? index + 1) <= index) this.#ranges.pop();
    const range = this.#ranges.at(-1);
    if (range !== undefined) range.tries = 0;
  }

  #narrow(end: number, isPart: boolean): void {
    this.#ranges.push({ end, isPart, throws: false, tries: 0 });
  }

  /** Why the piece is not tried again as it is. */
  #limitOf({ end, isPart, tries }: Range, now: number): 'attempts' | 'age' | undefined {
    const { maxTries, maxAgeMs, bisecting } = this.#rules;
    const isSingle = end - this.#finishedCount === 1;
    // A half is only for finding the record; that one has its tries again, alone.
    const once = !isSingle && (bisecting === 'at-once' || (isPart && bisecting !== 'never'));
    if (tries >= (once ? 1 : maxTries)) return 'attempts';
    if (maxAgeMs === Number.POSITIVE_INFINITY) return undefined;
    // To be bisected as soon as its oldest record is too old, to be given up when all are.
    const last = bisecting === 'never' ? end : this.#finishedCount + 1;
    for (let index = this.#finishedCount; index < last; index += 1) {
      if (now - this.#arrivedAt(index) <= maxAgeMs) return undefined;
    }
    return 'age';
  }
}
