// Memory in chunks of one size, used again and again: for what grows by little pieces in thousands of places at once. A buffer for each
// place, grown by doubling, would be twice as large as what is in it, and what V8 sees taken outside its heap makes it mark the whole of that. Pure.
// Invariants: a chunk is nobody else's until it is given back; of chunks that nobody uses not more are kept than the bound.

/** A page of the processor's. */
export const CHUNK_BYTES: number = 4 * 1024;
/** Of chunks that nobody uses. */
const MOST_IDLE_BYTES: number = 64 * 1024 * 1024;

/** The same memory as bytes and as 32-bit numbers. */
export interface Chunk {
  readonly bytes: Buffer;
  readonly words: Int32Array;
}

export class ChunkMemory {
  readonly #idle: Chunk[] = [];

  /** Bytes kept for whoever comes next. */
  get idleBytes(): number {
    return this.#idle.length * CHUNK_BYTES;
  }

  /** A chunk with anything in it. */
  take(): Chunk {
    return this.#idle.pop() ?? newChunk();
  }

  /** Nobody may look at them any more. */
  giveBack(chunks: readonly Chunk[]): void {
    for (const chunk of chunks) {
      if (this.idleBytes + CHUNK_BYTES <= MOST_IDLE_BYTES) this.#idle.push(chunk);
    }
  }
}

/** By itself: of chunks cut from one piece each that is kept would keep the others. */
function newChunk(): Chunk {
  const bytes = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  return { bytes, words: new Int32Array(bytes.buffer) };
}
