// CBOR (RFC 8949) bytes to values, for requests: strict, because the bytes come from anywhere. What is not well-formed, is cut
// off, goes on after its end, is nested too deeply or holds more values than any request of the API is refused. A length is
// believed only as far as there are bytes for it, so no prefix allocates. Byte strings are views of the input, not copies, where
// they are most of it.
import { isUtf8 } from 'node:buffer';
import { Timestamp } from './wire-format.ts';

/** Requests of the API are nested 4 deep. */
const MAX_DEPTH = 100;
/** A PutRecords of 500 records has about 4,000. Without a bound, 16 MiB of empty arrays would be 16 million objects. */
const MAX_VALUES = 200_000;

/** What views may keep alive beside themselves: the names and keys of a request. */
const MAX_IDLE_BYTES = 64 * 1024;

const UNSIGNED = 0;
const NEGATIVE = 1;
const BYTES = 2;
const TEXT = 3;
const ARRAY = 4;
const MAP = 5;
const TAG = 6;
/** The additional information that says: until a break. */
const INDEFINITE = 31;
const BREAK = 0xff;
/** RFC 8949 3.4.2: a point in time. */
const TIME_TAG = 1;

/** What is read: maps are objects, undefined is null, integers beyond 2^53 the nearest double, a tag other than 1 its content. */
export type CborValue = string | number | boolean | null | Uint8Array | Timestamp | CborValue[] | CborMap;
export interface CborMap {
  [member: string]: CborValue;
}

/** Reads the one value that the bytes hold. @throws CborError */
export function readCbor(bytes: Buffer): CborValue {
  const reader = new CborReader(bytes, 'views');
  const value = reader.document();
  // A view keeps all of the input alive: a record of one byte must not hold megabytes that nobody asked for.
  if (bytes.length <= 2 * reader.viewedBytes + MAX_IDLE_BYTES) return value;
  return new CborReader(bytes, 'copies').document();
}

/** The bytes are no CBOR, or none that this reader takes. */
export class CborError extends Error {
  override readonly name = 'CborError';
}

class CborReader {
  /** Of the input, as byte strings. */
  viewedBytes = 0;
  readonly #bytes: Buffer;
  readonly #byteStrings: 'views' | 'copies';
  #at = 0;
  #depth = 0;
  #valueCount = 0;

  constructor(bytes: Buffer, byteStrings: 'views' | 'copies') {
    this.#bytes = bytes;
    this.#byteStrings = byteStrings;
  }

  document(): CborValue {
    const value = this.#value();
    if (this.#at < this.#bytes.length) throw new CborError(`${this.#bytes.length - this.#at} bytes follow the value`);
    return value;
  }

  #value(): CborValue {
    if (++this.#valueCount > MAX_VALUES) throw new CborError(`more than ${MAX_VALUES} values`);
    const initial = this.#byte();
    const info = initial & 0x1f;
    switch (initial >> 5) {
      case UNSIGNED:
        return this.#argument(info);
      case NEGATIVE:
        return -1 - this.#argument(info);
      case BYTES:
        return info === INDEFINITE ? Buffer.concat(this.#chunks(BYTES)) : this.#byteString(this.#argument(info));
      case TEXT:
        return info === INDEFINITE ? this.#textInChunks() : this.#text(this.#argument(info));
      case ARRAY:
        return this.#array(info);
      case MAP:
        return this.#map(info);
      case TAG:
        return this.#tagged(info);
      default:
        return this.#simple(info);
    }
  }

  #array(info: number): CborValue[] {
    this.#enter();
    const values: CborValue[] = [];
    if (info === INDEFINITE) {
      while (!this.#isBreak()) values.push(this.#value());
    } else {
      for (let left = this.#argument(info); left > 0; left--) values.push(this.#value());
    }
    this.#depth--;
    return values;
  }

  #map(info: number): CborMap {
    this.#enter();
    const map: CborMap = {};
    if (info === INDEFINITE) {
      while (!this.#isBreak()) this.#member(map);
    } else {
      for (let left = this.#argument(info); left > 0; left--) this.#member(map);
    }
    this.#depth--;
    return map;
  }

  #member(map: CborMap): void {
    const name = this.#name();
    // No value is undefined, so this finds what is there already, and what every object inherits.
    if (map[name] !== undefined && Object.hasOwn(map, name)) throw new CborError(`${JSON.stringify(name)} comes twice`);
    const value = this.#value();
    if (name === '__proto__') {
      Object.defineProperty(map, name, { value, enumerable: true, configurable: true, writable: true });
    } else {
      map[name] = value;
    }
  }

  #name(): string {
    const initial = this.#byte();
    if (initial >> 5 !== TEXT) throw new CborError('the name of a member is no text');
    const info = initial & 0x1f;
    if (info === INDEFINITE) return this.#textInChunks();
    const length = this.#argument(info);
    return this.#rememberedName(length) ?? this.#text(length);
  }

  /** The names of members are few and come again and again: the last one of its length and first letters is compared, not decoded. */
  #rememberedName(length: number): string | undefined {
    const bytes = this.#bytes;
    const start = this.#at;
    if (length < 2 || length > 64 || start + length > bytes.length) return undefined;
    const slot = (length * 31 + (bytes[start] ?? 0) * 7 + (bytes[start + 1] ?? 0)) % rememberedNames.length;
    const name = rememberedNames[slot];
    if (name !== undefined && name.length === length) {
      let index = 0;
      while (index < length && bytes[start + index] === name.charCodeAt(index)) index++;
      if (index === length) {
        this.#at += length;
        return name;
      }
    }
    const text = this.#text(length);
    // Text of as many characters as bytes is ASCII.
    if (text.length === length) rememberedNames[slot] = text;
    return text;
  }

  #text(length: number): string {
    const bytes = this.#bytes;
    const start = this.#at;
    const end = this.#endOf(length);
    this.#at = end;
    if (length <= SHORT_TEXT) {
      let at = start;
      while (at < end && (bytes[at] ?? 0) < 0x80) at++;
      if (at === end) return bytes.toString('latin1', start, end);
    }
    if (!isUtf8(bytes.subarray(start, end))) throw new CborError('a text is no UTF-8');
    return bytes.toString('utf8', start, end);
  }

  /** RFC 8949 3.2.3: every chunk is whole text by itself. */
  #textInChunks(): string {
    let text = '';
    for (const chunk of this.#chunks(TEXT)) {
      if (!isUtf8(chunk)) throw new CborError('a chunk of a text is no UTF-8');
      text += chunk.toString('utf8');
    }
    return text;
  }

  #chunks(major: number): Buffer[] {
    const chunks: Buffer[] = [];
    while (!this.#isBreak()) {
      if (++this.#valueCount > MAX_VALUES) throw new CborError(`more than ${MAX_VALUES} values`);
      const initial = this.#byte();
      if (initial >> 5 !== major) throw new CborError('a chunk of another kind than its string');
      chunks.push(this.#slice(this.#argument(initial & 0x1f)));
    }
    return chunks;
  }

  #byteString(length: number): Buffer {
    const view = this.#slice(length);
    this.viewedBytes += length;
    return this.#byteStrings === 'views' ? view : Buffer.from(view);
  }

  #slice(length: number): Buffer {
    const start = this.#at;
    this.#at = this.#endOf(length);
    return this.#bytes.subarray(start, this.#at);
  }

  /** Tags may be stacked; each counts as a level. */
  #tagged(info: number): CborValue {
    const tag = this.#argument(info);
    this.#enter();
    const value = this.#value();
    this.#depth--;
    if (tag !== TIME_TAG) return value;
    if (typeof value !== 'number') throw new CborError('a time is no number');
    return new Timestamp(value);
  }

  #simple(info: number): CborValue {
    switch (info) {
      case 20:
        return false;
      case 21:
        return true;
      case 22:
      case 23:
        return null;
      case 25:
        return halfFloat(this.#unsigned(2));
      case 26:
        return this.#bytes.readFloatBE(this.#advance(4));
      case 27:
        return this.#bytes.readDoubleBE(this.#advance(8));
      case INDEFINITE:
        throw new CborError('a break where there is nothing to end');
      default:
        throw new CborError(`an unknown simple value (${info})`);
    }
  }

  /** The number that belongs to an initial byte: a value, a length, a count or a tag. */
  #argument(info: number): number {
    if (info < 24) return info;
    switch (info) {
      case 24:
        return this.#byte();
      case 25:
        return this.#unsigned(2);
      case 26:
        return this.#unsigned(4);
      case 27:
        return this.#unsigned(4) * 2 ** 32 + this.#unsigned(4);
      default:
        throw new CborError(`an additional information that is reserved or out of place (${info})`);
    }
  }

  #isBreak(): boolean {
    if (this.#bytes[this.#at] !== BREAK) return false;
    this.#at++;
    return true;
  }

  #enter(): void {
    if (++this.#depth > MAX_DEPTH) throw new CborError(`nested more than ${MAX_DEPTH} deep`);
  }

  #unsigned(byteCount: 2 | 4): number {
    const start = this.#advance(byteCount);
    return byteCount === 2 ? this.#bytes.readUInt16BE(start) : this.#bytes.readUInt32BE(start);
  }

  #byte(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw cutOff();
    this.#at++;
    return byte;
  }

  /** Where the bytes begin that are gone over. */
  #advance(byteCount: number): number {
    const start = this.#at;
    this.#at = this.#endOf(byteCount);
    return start;
  }

  #endOf(length: number): number {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw cutOff();
    return end;
  }
}

/** Up to here a loop over the characters is faster than a call of Node's UTF-8 check. */
const SHORT_TEXT = 64;
const rememberedNames: (string | undefined)[] = new Array<string | undefined>(256).fill(undefined);

function cutOff(): CborError {
  return new CborError('the bytes end in the midst of a value');
}

/** RFC 8949 appendix D. */
function halfFloat(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
