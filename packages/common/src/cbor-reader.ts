// CBOR (RFC 8949) as Kinesis writes it in answers: a cursor over the whole body, which whoever knows the answer's shape asks for what comes
// next, and reads as values what he does not know. Lengths may be given or left to a break, texts and bytes may come in chunks. Byte
// strings are views of the body. Pure.
// Invariant: nothing beyond the bytes is read and no length is believed for which there are no bytes; what is not well-formed is a CborError.
import { isUtf8 } from 'node:buffer';

const UNSIGNED = 0;
const NEGATIVE = 1;
const BYTES = 2;
const TEXT = 3;
const ARRAY = 4;
const MAP = 5;
const TAG = 6;
const KINDS = [
  'a number',
  'a negative number',
  'bytes',
  'a text',
  'a list',
  'a map',
  'a tag',
  'a simple value',
] as const;
/** The additional information that says: until a break. */
const INDEFINITE = 31;
const BREAK = 0xff;
const NULL = 0xf6;
/** Answers are nested 4 deep. */
const MAX_DEPTH = 32;
/** Up to here a loop over the characters is faster than a call of Node's UTF-8 check. */
const SHORT_TEXT = 64;
const FIRST_NOT_ASCII = 0x80;
const DIGIT_0 = 0x30;

/** The body is no CBOR, or not of the shape that was expected. */
export class CborError extends Error {
  override readonly name = 'CborError';
}

/** A number of members that a break ends. */
export const UNTIL_BREAK: number = Number.POSITIVE_INFINITY;
/** What was to be passed is not of the plain kind, or not well-formed; the cursor has not moved. */
export const NOT_PLAIN = -1;

export class CborReader {
  readonly #bytes: Buffer;
  #at = 0;
  #depth = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Byte of the body that comes next; may be set to one where a value began. */
  get at(): number {
    return this.#at;
  }

  set at(at: number) {
    this.#at = at;
  }

  /** @returns how many members follow, or UNTIL_BREAK; ask `hasMore` before each. @throws CborError */
  openMap(): number {
    return this.#open(MAP);
  }

  /** @returns how many elements follow, or UNTIL_BREAK; ask `hasMore` before each. @throws CborError */
  openList(): number {
    return this.#open(ARRAY);
  }

  /** Whether another member or element comes, of which `left` are left; goes past the break. */
  hasMore(left: number): boolean {
    if (left !== UNTIL_BREAK) return left > 0;
    if (this.#bytes[this.#at] !== BREAK) return true;
    this.#at += 1;
    return false;
  }

  /** Goes past a text if it is this one, of ASCII, its length given. */
  takeName(name: Uint8Array): boolean {
    const bytes = this.#bytes;
    const length = name.length;
    const short = length < 24;
    const head = this.#at;
    if (bytes[head] !== (short ? 0x60 | length : 0x78) || !(short || bytes[head + 1] === length)) return false;
    const start = head + (short ? 1 : 2);
    for (let index = 0; index < length; index += 1) if (bytes[start + index] !== name[index]) return false;
    this.#at = start + length;
    return true;
  }

  /** Goes past a null. */
  takeNull(): boolean {
    if (this.#bytes[this.#at] !== NULL) return false;
    this.#at += 1;
    return true;
  }

  text(): string {
    const info = this.#head(TEXT);
    if (info !== INDEFINITE) return this.#textOf(this.#argument(info));
    let text = '';
    // Every chunk is whole text by itself (RFC 8949 3.2.3).
    while (this.hasMore(UNTIL_BREAK)) text += this.#textOf(this.#argument(this.#head(TEXT)));
    return text;
  }

  /** A text that is a whole number, without leading zeros. @throws CborError */
  digits(): string {
    const at = this.#at;
    const info = this.#peek() & 0x1f;
    let text: string;
    if (info === INDEFINITE) text = this.text();
    else {
      const length = this.#argument(this.#head(TEXT));
      const start = this.#skip(length);
      text = this.#bytes.toString('latin1', start, start + length);
    }
    if (isWholeNumber(text)) return text;
    throw new CborError(`CBOR: expected a text of digits, got ${JSON.stringify(text.slice(0, 100))} at byte ${at}`);
  }

  /** Goes past bytes that stand in one piece. @returns their length, `at` is where they end; NOT_PLAIN */
  passBytes(): number {
    return this.#pass(BYTES);
  }

  /** Goes past a short text of ASCII that stands in one piece. @returns its length, `at` is where it ends; NOT_PLAIN */
  passAscii(): number {
    const from = this.#at;
    const length = this.#pass(TEXT);
    const end = this.#at;
    for (let at = end - length; at < end; at += 1) {
      if (length > SHORT_TEXT || (this.#bytes[at] as number) >= FIRST_NOT_ASCII) {
        this.#at = from;
        return NOT_PLAIN;
      }
    }
    return length;
  }

  /** The same past a whole number, without leading zeros. */
  passDigits(): number {
    const from = this.#at;
    const length = this.#pass(TEXT);
    const end = this.#at;
    let isNumber = length === 1 || (length > 0 && this.#bytes[end - length] !== DIGIT_0);
    for (let at = end - length; isNumber && at < end; at += 1) {
      const digit = (this.#bytes[at] as number) - DIGIT_0;
      isNumber = digit >= 0 && digit <= 9;
    }
    if (isNumber) return length;
    this.#at = from;
    return NOT_PLAIN;
  }

  /** A view of the body, where the bytes stand in one piece. */
  bytes(): Uint8Array {
    const info = this.#head(BYTES);
    if (info !== INDEFINITE) return this.#view(this.#argument(info));
    const chunks: Uint8Array[] = [];
    while (this.hasMore(UNTIL_BREAK)) chunks.push(this.#view(this.#argument(this.#head(BYTES))));
    const { buffer, byteOffset, byteLength } = Buffer.concat(chunks);
    return new Uint8Array(buffer, byteOffset, byteLength);
  }

  /** Of any tag: AWS's times are milliseconds in tag 1, and its SDKs look at no tag. Beyond 2^53 the nearest double. */
  number(): number {
    while (this.#peek() >> 5 === TAG) this.#argument(this.#head(TAG));
    const value = this.#scalar();
    if (typeof value !== 'number') throw this.#expected('a number');
    return value;
  }

  /** Of any kind: maps are objects, undefined is null, a tag is its content. */
  value(): unknown {
    switch (this.#peek() >> 5) {
      case BYTES:
        return this.bytes();
      case TEXT:
        return this.text();
      case ARRAY: {
        const list: unknown[] = [];
        this.#enter();
        for (let left = this.openList(); this.hasMore(left); left -= 1) list.push(this.value());
        this.#depth -= 1;
        return list;
      }
      case MAP: {
        const members: [string, unknown][] = [];
        this.#enter();
        for (let left = this.openMap(); this.hasMore(left); left -= 1) members.push([this.text(), this.value()]);
        this.#depth -= 1;
        return Object.fromEntries(members);
      }
      case TAG: {
        this.#argument(this.#head(TAG));
        this.#enter();
        const content = this.value();
        this.#depth -= 1;
        return content;
      }
      default:
        return this.#scalar();
    }
  }

  /** Goes past a value of any kind. */
  skip(): void {
    const major = this.#peek() >> 5;
    if ((major === TEXT || major === BYTES) && (this.#peek() & 0x1f) !== INDEFINITE)
      this.#skip(this.#argument(this.#head(major)));
    else this.value();
  }

  /** @throws CborError when bytes are left. */
  end(): void {
    const left = this.#bytes.length - this.#at;
    if (left > 0) throw new CborError(`CBOR: ${left} bytes follow the answer`);
  }

  #open(major: number): number {
    const info = this.#head(major);
    return info === INDEFINITE ? UNTIL_BREAK : this.#argument(info);
  }

  /** Goes past an initial byte. @returns its additional information. */
  #head(major: number): number {
    const initial = this.#peek();
    if (initial >> 5 !== major) throw this.#expected(KINDS[major] as string);
    this.#at += 1;
    return initial & 0x1f;
  }

  #scalar(): number | boolean | null {
    const initial = this.#peek();
    const info = initial & 0x1f;
    switch (initial >> 5) {
      case UNSIGNED:
        this.#at += 1;
        return this.#argument(info);
      case NEGATIVE:
        this.#at += 1;
        return -1 - this.#argument(info);
      default:
    }
    if (initial >> 5 !== 7) throw this.#expected('a number or a simple value');
    this.#at += 1;
    switch (info) {
      case 20:
      case 21:
        return info === 21;
      case 22:
      case 23:
        return null;
      case 25:
        return halfFloat(this.#bytes.readUInt16BE(this.#skip(2)));
      case 26:
        return this.#bytes.readFloatBE(this.#skip(4));
      case 27:
        return this.#bytes.readDoubleBE(this.#skip(8));
      default:
        throw new CborError(`CBOR: expected a simple value that is known, got ${info} at byte ${this.#at - 1}`);
    }
  }

  /** The number that belongs to an initial byte: a value, a length, a count or a tag. */
  #argument(info: number): number {
    if (info < 24) return info;
    switch (info) {
      case 24:
        return this.#bytes[this.#skip(1)] as number;
      case 25:
        return this.#uint16(this.#skip(2));
      case 26:
        return this.#uint32(this.#skip(4));
      case 27: {
        const start = this.#skip(8);
        return this.#uint32(start) * 2 ** 32 + this.#uint32(start + 4);
      }
      default:
        throw new CborError(
          `CBOR: expected a number or a length, got additional information ${info} at byte ${this.#at - 1}`,
        );
    }
  }

  /** Of bytes that are there: Buffer's own methods look once more. */
  #uint16(at: number): number {
    const bytes = this.#bytes;
    return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
  }

  #uint32(at: number): number {
    return this.#uint16(at) * 2 ** 16 + this.#uint16(at + 2);
  }

  #textOf(length: number): string {
    const bytes = this.#bytes;
    const start = this.#skip(length);
    const end = this.#at;
    if (length <= SHORT_TEXT) {
      let at = start;
      while (at < end && (bytes[at] as number) < FIRST_NOT_ASCII) at += 1;
      if (at === end) return bytes.toString('latin1', start, end);
    }
    if (!isUtf8(bytes.subarray(start, end)))
      throw new CborError(`CBOR: expected a text of UTF-8, got other bytes at byte ${start}`);
    return bytes.toString('utf8', start, end);
  }

  #view(length: number): Uint8Array {
    const start = this.#skip(length);
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + start, length);
  }

  /** Past a text or bytes in one piece, of a length as they have it mostly. */
  #pass(major: number): number {
    const from = this.#at;
    const initial = this.#bytes[from] as number;
    const info = initial & 0x1f;
    // Of a length of at most four bytes, which are there.
    if (initial >> 5 !== major || info > 26 || from + 5 > this.#bytes.length) return NOT_PLAIN;
    this.#at = from + 1;
    const length = this.#argument(info);
    const end = this.#at + length;
    this.#at = end > this.#bytes.length ? from : end;
    return this.#at === from ? NOT_PLAIN : length;
  }

  /** @returns where the bytes begin that are gone over. */
  #skip(length: number): number {
    const start = this.#at;
    const end = start + length;
    if (end > this.#bytes.length) {
      throw new CborError(
        `CBOR: expected ${length} bytes at byte ${start}, got the end after ${this.#bytes.length - start}`,
      );
    }
    this.#at = end;
    return start;
  }

  #peek(): number {
    const initial = this.#bytes[this.#at];
    if (initial === undefined) throw new CborError(`CBOR: expected a value at byte ${this.#at}, got the end`);
    return initial;
  }

  #enter(): void {
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH)
      throw new CborError(`CBOR: expected at most ${MAX_DEPTH} levels, got more at byte ${this.#at}`);
  }

  #expected(what: string): CborError {
    const kind = KINDS[this.#peek() >> 5] as string;
    return new CborError(`CBOR: expected ${what}, got ${kind} at byte ${this.#at}`);
  }
}

function isWholeNumber(text: string): boolean {
  for (let at = 0; at < text.length; at += 1) {
    const digit = text.charCodeAt(at) - DIGIT_0;
    if (digit < 0 || digit > 9) return false;
  }
  return text.length === 1 || (text.length > 0 && text.charCodeAt(0) !== DIGIT_0);
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
