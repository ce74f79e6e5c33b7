// Memory for the producer's copies of data, of records that wait in an open Kinesis record: it is written in the order of the puts, whatever
// their shards, and used again once all that was written in a block has gone into aggregated records. A buffer for each shard grew anew
// every time, touched memory that was in no cache, and what V8 sees taken outside its heap makes it mark the whole of that. Pure.
// Invariants: what is given out is nobody else's until it is given back; blocks that a few late records hold up are bounded by what they hold.

const BLOCK_BYTES: number = 64 * 1024;
/** Longer data has a buffer of its own. */
const LONGEST_DATA_BYTES: number = BLOCK_BYTES / 8;
/** Of blocks that nobody uses. */
const MOST_IDLE_BYTES: number = 32 * 1024 * 1024;
/** Beyond this, blocks may hold so many times what is in use in them. */
const FREELY_HELD_BYTES: number = 4 * 1024 * 1024;
const MOST_HELD_TIMES = 2;

export class DataMemory {
  #current: Block | undefined = undefined;
  readonly #idle: Block[] = [];
  /** Of all blocks that are not idle. */
  #heldBytes = 0;
  #usedBytes = 0;

  /** What is kept: in use, held up, and idle. */
  get bytes(): number {
    return this.#heldBytes + this.#idle.length * BLOCK_BYTES;
  }

  /** A block with room for that much, to be taken at once; undefined when that much is to have a buffer of its own. */
  blockFor(length: number): Block | undefined {
    if (length > LONGEST_DATA_BYTES) return undefined;
    if (this.#current !== undefined && this.#current.filledBytes + length <= BLOCK_BYTES) return this.#current;
    if (this.#heldBytes > FREELY_HELD_BYTES + MOST_HELD_TIMES * this.#usedBytes) return undefined;
    this.#current = this.#idle.pop() ?? new Block(this);
    this.#heldBytes += BLOCK_BYTES;
    return this.#current;
  }

  /** So much more is in use, or less. */
  used(length: number): void {
    this.#usedBytes += length;
  }

  /** Nothing is in use in there any more. */
  emptied(block: Block): void {
    block.filledBytes = 0;
    if (block === this.#current) return;
    this.#heldBytes -= BLOCK_BYTES;
    if ((this.#idle.length + 1) * BLOCK_BYTES <= MOST_IDLE_BYTES) this.#idle.push(block);
  }
}

/** Bytes for the data of many records. */
export class Block {
  readonly bytes: Buffer = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  readonly #memory: DataMemory;
  filledBytes = 0;
  #useCount = 0;

  constructor(memory: DataMemory) {
    this.#memory = memory;
  }

  /** Gives the place of so many bytes. */
  take(length: number): number {
    const at = this.filledBytes;
    this.filledBytes += length;
    this.#useCount++;
    this.#memory.used(length);
    return at;
  }

  /** What was taken, once; nobody may look at it any more. */
  giveBack(length: number): void {
    this.#memory.used(-length);
    if (--this.#useCount === 0) this.#memory.emptied(this);
  }
}
