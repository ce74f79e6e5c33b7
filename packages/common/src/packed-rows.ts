// Rows of numbers about user records, one after the other in a strip of chunks, each with its key behind it where that is the first of its
// kind: what is kept of a record beside its bytes on the wire, so that one that was put among a million others is found again in one place.
// growing-aggregates.ts writes them; who has the sealed ones reads them here, in their order. Pure.
// Invariants: a row lies in one chunk, key included; memory is given back once.

import { writeText, writeVarint } from './aggregate-wire.ts';
import { CHUNK_BYTES, type ChunkMemory, NO_CHUNK, type Segment } from './chunk-memory.ts';

// A row: six 32-bit numbers, then three of 64 bits.
const ORDER_HASH = 0;
const ORDER_HASH_2 = 1;
const DATA_BYTES = 2;
/** Below zero: the key lies behind. 0: no row lies here, but in the next chunk. */
const KEY_BYTES = 3;
/** Among the keys of the aggregated record. */
const KEY_INDEX = 4;
/** Its lower 32 bits: those of one aggregated record lie nearer to each other than 2^31. */
const SEQUENCE = 5;
const PUT_AT = 3;
const DUE_AT = 4;
const EXPIRES_AT = 5;
export const ROW_BYTES = 48;

/** In place of a key's place: it is not there. */
export const NO_PLACE = -1;
/** The place of the key of the first user record, also before it has one. */
export const FIRST_PLACE = -2;

// A place: the chunk, and which eight bytes in it.
const PLACE_SHIFT = 9;
const PLACE_MASK: number = (1 << PLACE_SHIFT) - 1;
/** Up to here a loop is quicker than a call into Node. */
const SHORT_LENGTH = 48;

export interface RowContent {
  readonly orderHash: number;
  readonly orderHash2: number;
  readonly dataBytes: number;
  readonly keyBytes: number;
  readonly partitionKey: string;
  readonly sequence: number;
  readonly putAtMs: number;
  readonly dueAtMs: number;
  readonly expiresAtMs: number;
}

/** @param isNew the key is the first of its kind, and lies behind the row. */
export function writeRow(
  memory: ChunkMemory,
  chunk: number,
  rowAt: number,
  record: RowContent,
  keyIndex: number,
  isNew: boolean,
): void {
  const { words, doubles, bytes } = memory.segmentOf(chunk);
  const start = memory.startOf(chunk) + rowAt;
  const { keyBytes, partitionKey } = record;
  const word = start >> 2;
  words[word + ORDER_HASH] = record.orderHash;
  words[word + ORDER_HASH_2] = record.orderHash2;
  words[word + DATA_BYTES] = record.dataBytes;
  words[word + KEY_BYTES] = isNew ? -keyBytes : keyBytes;
  words[word + KEY_INDEX] = keyIndex;
  words[word + SEQUENCE] = record.sequence | 0;
  const double = start >> 3;
  doubles[double + PUT_AT] = record.putAtMs;
  doubles[double + DUE_AT] = record.dueAtMs;
  doubles[double + EXPIRES_AT] = record.expiresAtMs;
  if (!isNew) return;
  const at = start + ROW_BYTES;
  writeText(bytes, at, partitionKey, keyBytes);
}

/** Of one row, by its place. */
export const Row = {
  /** Of a row with such a key behind it; 0: none. */
  bytes: (keyBytes: number): number => ROW_BYTES + ((keyBytes + 7) & ~7),

  placeOf: (chunk: number, rowAt: number): number => (chunk << PLACE_SHIFT) | (rowAt >> 3),

  /** No row is here, and those that follow are in the next chunk. */
  end(memory: ChunkMemory, chunk: number, rowAt: number): void {
    memory.segmentOf(chunk).words[((memory.startOf(chunk) + rowAt) >> 2) + KEY_BYTES] = 0;
  },

  keyIndex(memory: ChunkMemory, place: number): number {
    const chunk = place >> PLACE_SHIFT;
    const start = memory.startOf(chunk) + ((place & PLACE_MASK) << 3);
    return memory.segmentOf(chunk).words[(start >> 2) + KEY_INDEX] as number;
  },

  /** Whether this key lies there. */
  hasKey(memory: ChunkMemory, place: number, key: string, keyBytes: number): boolean {
    const chunk = place >> PLACE_SHIFT;
    const { bytes, words } = memory.segmentOf(chunk);
    const start = memory.startOf(chunk) + ((place & PLACE_MASK) << 3);
    if (words[(start >> 2) + KEY_BYTES] !== -keyBytes) return false;
    const at = start + ROW_BYTES;
    if (key.length !== keyBytes) return bytes.toString('utf8', at, at + keyBytes) === key;
    for (let index = 0; index < keyBytes; index++) if (bytes[at + index] !== key.charCodeAt(index)) return false;
    return true;
  },
};

/** Those of an aggregated record that grows no more. One of them is looked at at a time, and quickest in their order. */
export class PackedRows {
  readonly #memory: ChunkMemory;
  readonly #first: number;
  readonly length: number;
  /** The one that is looked at: the memory where it lies, and where there. */
  #index = 0;
  #chunk = NO_CHUNK;
  #segment: Segment;
  #at = 0;

  constructor(memory: ChunkMemory, first: number, length: number) {
    this.#memory = memory;
    this.#first = first;
    this.length = length;
    this.#segment = memory.segmentOf(first);
    this.#enter(first);
  }

  /** Looks at one of them: what is asked for is about that. */
  look(index: number): void {
    if (index < this.#index) {
      this.#index = 0;
      this.#enter(this.#first);
    }
    for (; this.#index < index; this.#index++) this.#step();
  }

  get orderHash(): number {
    return this.#word(ORDER_HASH);
  }

  get orderHash2(): number {
    return this.#word(ORDER_HASH_2);
  }

  /** Whether the key lies here: it is none of those before. */
  get isFirstOfKey(): boolean {
    return this.#word(KEY_BYTES) < 0;
  }

  get dataBytes(): number {
    return this.#word(DATA_BYTES);
  }

  get keyBytes(): number {
    return Math.abs(this.#word(KEY_BYTES));
  }

  get putAtMs(): number {
    return this.#double(PUT_AT);
  }

  get dueAtMs(): number {
    return this.#double(DUE_AT);
  }

  get expiresAtMs(): number {
    return this.#double(EXPIRES_AT);
  }

  /** @param near a sequence that is less than 2^31 from it. */
  sequence(near: number): number {
    return near + ((this.#word(SEQUENCE) - (near | 0)) | 0);
  }

  /** Writes the keys that lie here, each with a tag and its length. @returns where they end. */
  copyKeys(target: Buffer, start: number, tag: number): number {
    let end = start;
    for (let index = 0; index < this.length; index++) {
      this.look(index);
      const keyBytes = -this.#word(KEY_BYTES);
      if (keyBytes < 0) continue;
      target[end++] = tag;
      end = writeVarint(target, end, keyBytes);
      const { bytes } = this.#segment;
      const from = this.#at + ROW_BYTES;
      if (keyBytes > SHORT_LENGTH) bytes.copy(target, end, from, from + keyBytes);
      else for (let byte = 0; byte < keyBytes; byte++) target[end + byte] = bytes[from + byte] as number;
      end += keyBytes;
    }
    return end;
  }

  giveBack(): void {
    this.#memory.giveBack(this.#first);
  }

  #word(column: number): number {
    return this.#segment.words[(this.#at >> 2) + column] as number;
  }

  #double(column: number): number {
    return this.#segment.doubles[(this.#at >> 3) + column] as number;
  }

  #enter(chunk: number): void {
    this.#chunk = chunk;
    this.#segment = this.#memory.segmentOf(chunk);
    this.#at = this.#memory.startOf(chunk);
  }

  #step(): void {
    const { words } = this.#segment;
    const keyBytes = words[(this.#at >> 2) + KEY_BYTES] as number;
    this.#at += Row.bytes(keyBytes < 0 ? -keyBytes : 0);
    const left = CHUNK_BYTES - (this.#at - this.#memory.startOf(this.#chunk));
    if (left >= ROW_BYTES && words[(this.#at >> 2) + KEY_BYTES] !== 0) return;
    const next = this.#memory.next(this.#chunk);
    // Of the last row the one behind it is not asked for.
    if (next !== NO_CHUNK) this.#enter(next);
  }
}
