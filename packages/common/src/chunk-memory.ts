// Memory in chunks of one size, used again and again: for what grows by little pieces in thousands of places at once. A buffer for each
// place, grown by doubling, would be twice as large as what is in it. A chunk is a number, and chunks of one owner are linked by theirs: an object
// for each would be one more line of memory to be waited for, at every little piece. They are cut from segments, of which V8 learns one by one. Pure.
// Invariants: a chunk is nobody else's until it is given back; of segments that nobody uses not more are kept than the bound.

const CHUNK_SHIFT = 12;
/** A page of the processor's. */
export const CHUNK_BYTES: number = 1 << CHUNK_SHIFT;
const SEGMENT_SHIFT = 8;
const CHUNKS_A_SEGMENT: number = 1 << SEGMENT_SHIFT;
const SEGMENT_MASK: number = CHUNKS_A_SEGMENT - 1;
/** Of segments that nobody uses. */
const MOST_IDLE_BYTES: number = 64 * 1024 * 1024;
const FEWEST_CHUNKS = 1024;
/** In place of a chunk. */
export const NO_CHUNK = -1;

/** The same memory as bytes, as 32-bit numbers and as 64-bit ones. */
export interface Segment {
  readonly bytes: Buffer;
  readonly words: Int32Array;
  readonly doubles: Float64Array;
}

export class ChunkMemory {
  readonly #segments: (Segment | undefined)[] = [];
  /** Of each segment: its chunks that are free, linked; and how many. */
  readonly #firstFree: number[] = [];
  readonly #freeCounts: number[] = [];
  /** Segments with such. */
  #open: number[] = [];
  readonly #vacant: number[] = [];
  #freeCount = 0;
  /** Of each chunk: the next of its owner, and how far it is filled. */
  #next: Int32Array = new Int32Array(FEWEST_CHUNKS);
  #filled: Int32Array = new Int32Array(FEWEST_CHUNKS);

  /** Bytes kept for whoever comes next. */
  get idleBytes(): number {
    return this.#freeCount * CHUNK_BYTES;
  }

  /** A chunk with anything in it, the last of its owner's. */
  take(): number {
    const number = this.#open.at(-1) ?? this.#addSegment();
    const chunk = this.#firstFree[number] as number;
    this.#firstFree[number] = this.#next[chunk] as number;
    this.#freeCount -= 1;
    const left = (this.#freeCounts[number] as number) - 1;
    this.#freeCounts[number] = left;
    if (left === 0) this.#open.pop();
    this.#next[chunk] = NO_CHUNK;
    return chunk;
  }

  /** Where a chunk lies: in this segment, from `startOf` on. */
  segmentOf(chunk: number): Segment {
    return this.#segments[chunk >> SEGMENT_SHIFT] as Segment;
  }

  /** In bytes of its segment. */
  startOf(chunk: number): number {
    return (chunk & SEGMENT_MASK) << CHUNK_SHIFT;
  }

  /** Another one follows a chunk, in which so many bytes count. */
  follow(chunk: number, next: number, filled: number): void {
    this.#next[chunk] = next;
    this.#filled[chunk] = filled;
  }

  /** The one that follows; NO_CHUNK: it is the last. */
  next(chunk: number): number {
    return this.#next[chunk] as number;
  }

  /** How many bytes count of one that another follows. */
  filled(chunk: number): number {
    return this.#filled[chunk] as number;
  }

  /** It and all that follow: nobody may look at them any more. */
  giveBack(first: number): void {
    for (let chunk = first; chunk !== NO_CHUNK; ) {
      const next = this.#next[chunk] as number;
      const number = chunk >> SEGMENT_SHIFT;
      const freeCount = this.#freeCounts[number] as number;
      if (freeCount === 0) this.#open.push(number);
      this.#next[chunk] = freeCount === 0 ? NO_CHUNK : (this.#firstFree[number] as number);
      this.#firstFree[number] = chunk;
      this.#freeCounts[number] = freeCount + 1;
      this.#freeCount += 1;
      if (freeCount + 1 === CHUNKS_A_SEGMENT && this.idleBytes > MOST_IDLE_BYTES) this.#dropSegment(number);
      chunk = next;
    }
  }

  #addSegment(): number {
    const memory = new ArrayBuffer(CHUNKS_A_SEGMENT << CHUNK_SHIFT);
    const segment = { bytes: Buffer.from(memory), words: new Int32Array(memory), doubles: new Float64Array(memory) };
    const number = this.#vacant.pop() ?? this.#segments.length;
    this.#segments[number] = segment;
    const first = number << SEGMENT_SHIFT;
    if (first + CHUNKS_A_SEGMENT > this.#next.length) {
      this.#next = twiceAsLong(this.#next);
      this.#filled = twiceAsLong(this.#filled);
    }
    for (let index = 0; index < CHUNKS_A_SEGMENT; index++) this.#next[first + index] = first + index + 1;
    this.#next[first + CHUNKS_A_SEGMENT - 1] = NO_CHUNK;
    this.#firstFree[number] = first;
    this.#freeCounts[number] = CHUNKS_A_SEGMENT;
    this.#freeCount += CHUNKS_A_SEGMENT;
    this.#open.push(number);
    return number;
  }

  #dropSegment(number: number): void {
    this.#segments[number] = undefined;
    this.#freeCounts[number] = 0;
    this.#freeCount -= CHUNKS_A_SEGMENT;
    this.#open = this.#open.filter((open) => open !== number);
    this.#vacant.push(number);
  }
}

function twiceAsLong(numbers: Int32Array): Int32Array {
  const longer = new Int32Array(2 * numbers.length);
  longer.set(numbers);
  return longer;
}
