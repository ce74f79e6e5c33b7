// An aggregated record while it grows, for the producer's aggregator: each user record is laid down as it will lie on the wire, so that
// nothing but its bytes need be kept of it, and in the end a few long copies make the whole. Without explicit hash keys; who has some takes
// aggregate-writer.ts. Keys are told apart by whoever adds them, who knows where each lies.
// Invariants: the bytes are those of `encodeAggregatedRecord` for the same user records, where equal keys were given one index; the size is
// exact before and after each.
import {
  DATA,
  digestOf,
  FRAME_BYTES,
  fieldBytes,
  MAGIC_BYTES,
  PARTITION_KEY_INDEX,
  PARTITION_KEY_TABLE,
  RECORDS,
  recordBytes,
  writeMagic,
  writeVarint,
} from './aggregate-wire.ts';
import { CHUNK_BYTES, type Chunk, type ChunkMemory } from './chunk-memory.ts';

/** What stands before a user record's data: three tags and three varints, of at most four bytes here. */
const MOST_HEADER_BYTES = 16;
/** Up to here a loop is quicker than a call into Node. */
const SHORT_LENGTH = 32;

const NO_BYTES: Buffer = Buffer.alloc(0);

export class GrowingAggregate {
  readonly #memory: ChunkMemory;
  readonly #keys: Strip;
  readonly #records: Strip;
  /** Distinct keys. */
  keyCount = 0;

  constructor(memory: ChunkMemory) {
    this.#memory = memory;
    this.#keys = new Strip(memory);
    this.#records = new Strip(memory);
  }

  /** Of what `finish` would give; with nothing added, the 20 bytes around the message. */
  get sizeBytes(): number {
    return FRAME_BYTES + this.#keys.length + this.#records.length;
  }

  /** What `sizeBytes` would be with one user record more. `keyIndex`: `keyCount` for a new key. */
  sizeBytesWith(keyIndex: number, keyBytes: number, dataBytes: number): number {
    const newKeyBytes = keyIndex === this.keyCount ? fieldBytes(keyBytes) : 0;
    return this.sizeBytes + newKeyBytes + fieldBytes(recordBytes(keyIndex, -1, dataBytes));
  }

  /** Adds a key that is new. @returns where it lies, for `hasKeyAt`. */
  addKey(key: string, keyBytes: number): number {
    const keys = this.#keys;
    keys.ensure(MOST_HEADER_BYTES + keyBytes);
    keys.byte(PARTITION_KEY_TABLE);
    keys.varint(keyBytes);
    const { at } = keys;
    keys.shortText(key, keyBytes);
    this.keyCount++;
    return at;
  }

  /** Whether the key of that length that lies there is this one. */
  hasKeyAt(at: number, key: string, keyBytes: number): boolean {
    return this.#keys.holds(at, key, keyBytes);
  }

  /** Adds a user record, whose key is there. `data`: text is written as UTF-8, and `dataBytes` long there. */
  add(keyIndex: number, data: Uint8Array | string, dataBytes: number): void {
    const records = this.#records;
    records.ensure(MOST_HEADER_BYTES);
    records.byte(RECORDS);
    records.varint(recordBytes(keyIndex, -1, dataBytes));
    records.byte(PARTITION_KEY_INDEX);
    records.varint(keyIndex);
    records.byte(DATA);
    records.varint(dataBytes);
    if (typeof data !== 'string') records.write(data);
    else if (data.length === dataBytes) records.ascii(data);
    else records.write(Buffer.from(data, 'utf8'));
  }

  /** The aggregated record, in bytes of its own; nothing is kept, and nothing more may be asked. */
  finish(): Buffer {
    const bytes = Buffer.allocUnsafe(this.sizeBytes);
    let at = writeMagic(bytes);
    at = this.#keys.copyTo(bytes, at);
    at = this.#records.copyTo(bytes, at);
    bytes.write(digestOf(bytes.subarray(MAGIC_BYTES, at)), at, 'hex');
    this.#memory.giveBack(this.#keys.chunks);
    this.#memory.giveBack(this.#records.chunks);
    return bytes;
  }
}

/** Bytes that grow, in chunks. */
class Strip {
  readonly #memory: ChunkMemory;
  readonly chunks: Chunk[] = [];
  /** Of each chunk but the last one: how many bytes of it count. */
  readonly #filled: number[] = [];
  #tail = NO_BYTES;
  #tailAt = 0;
  /** Bytes in all. */
  length = 0;

  constructor(memory: ChunkMemory) {
    this.#memory = memory;
  }

  /** Where the next byte goes. */
  get at(): number {
    return (this.chunks.length - 1) * CHUNK_BYTES + this.#tailAt;
  }

  /** The next so many bytes, at most a chunk, will lie side by side. */
  ensure(length: number): void {
    if (this.#tailAt + length <= this.#tail.length) return;
    if (this.chunks.length > 0) this.#filled.push(this.#tailAt);
    const chunk = this.#memory.take();
    this.chunks.push(chunk);
    this.#tail = chunk.bytes;
    this.#tailAt = 0;
  }

  byte(value: number): void {
    this.#tail[this.#tailAt++] = value;
    this.length++;
  }

  varint(value: number): void {
    const end = writeVarint(this.#tail, this.#tailAt, value);
    this.length += end - this.#tailAt;
    this.#tailAt = end;
  }

  /** Text for which there is room; `bytes`: its length as UTF-8. */
  shortText(text: string, bytes: number): void {
    const tail = this.#tail;
    const at = this.#tailAt;
    this.#tailAt += bytes;
    this.length += bytes;
    if (text.length !== bytes) tail.write(text, at, 'utf8');
    else if (bytes > SHORT_LENGTH) tail.write(text, at, 'latin1');
    else for (let index = 0; index < bytes; index++) tail[at + index] = text.charCodeAt(index);
  }

  write(bytes: Uint8Array): void {
    const { length } = bytes;
    if (this.#tailAt + length <= this.#tail.length) {
      this.#tail.set(bytes, this.#tailAt);
      this.#tailAt += length;
      this.length += length;
      return;
    }
    for (let from = 0; from < length; ) {
      this.ensure(1);
      const to = Math.min(length, from + this.#tail.length - this.#tailAt);
      this.#tail.set(bytes.subarray(from, to), this.#tailAt);
      this.#advance(to - from);
      from = to;
    }
  }

  /** Text of which each unit is one byte. */
  ascii(text: string): void {
    const { length } = text;
    for (let from = 0; from < length; ) {
      this.ensure(1);
      const to = Math.min(length, from + this.#tail.length - this.#tailAt);
      const part = from === 0 && to === length ? text : text.slice(from, to);
      this.#tail.write(part, this.#tailAt, 'latin1');
      this.#advance(to - from);
      from = to;
    }
  }

  holds(at: number, text: string, bytes: number): boolean {
    const chunk = this.chunks[Math.floor(at / CHUNK_BYTES)]?.bytes ?? NO_BYTES;
    const start = at % CHUNK_BYTES;
    if (text.length !== bytes) return chunk.toString('utf8', start, start + bytes) === text;
    for (let index = 0; index < bytes; index++) if (chunk[start + index] !== text.charCodeAt(index)) return false;
    return true;
  }

  /** @returns where it ends. */
  copyTo(target: Buffer, start: number): number {
    let at = start;
    for (const [index, { bytes }] of this.chunks.entries()) {
      const length = this.#filled[index] ?? this.#tailAt;
      target.set(new Uint8Array(bytes.buffer, bytes.byteOffset, length), at);
      at += length;
    }
    return at;
  }

  #advance(length: number): void {
    this.#tailAt += length;
    this.length += length;
  }
}
