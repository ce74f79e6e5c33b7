// Neutral values to CBOR bytes (RFC 8949), for answers: maps of indefinite length, as AWS writes them, so that absent members
// need no counting; numbers in their shortest form; big numbers as decimal text; times as tag 1 with whole MILLIseconds, which
// is what AWS's SDKs for Java read and write where the RFC says seconds.
import { Rows, Timestamp, type WireObject, type WireValue } from './wire-format.ts';

const UNSIGNED = 0x00;
const NEGATIVE = 0x20;
const BYTES = 0x40;
const TEXT = 0x60;
const ARRAY = 0x80;
const MAP_UNTIL_BREAK = 0xbf;
const TIME_TAG = 0xc1;
const FALSE = 0xf4;
const TRUE = 0xf5;
const NULL = 0xf6;
const DOUBLE = 0xfb;
const BREAK = 0xff;

/** An initial byte with its argument. */
const MAX_HEAD_BYTES = 9;
const FIRST_BYTES = 16 * 1024;
/** Up to here a loop over the characters is faster than a call of Node's encoder. */
const SHORT_TEXT = 64;

export function writeCbor(value: WireValue): Buffer {
  const writer = new CborWriter();
  writer.value(value);
  return writer.bytes();
}

class CborWriter {
  #buffer: Buffer = Buffer.allocUnsafe(FIRST_BYTES);
  #at = 0;

  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#at);
  }

  value(value: WireValue): void {
    switch (typeof value) {
      case 'string':
        this.#text(value);
        return;
      case 'bigint':
        this.#text(String(value));
        return;
      case 'number':
        this.#number(value);
        return;
      case 'boolean':
        this.#byte(value ? TRUE : FALSE);
        return;
      default:
        if (value === null) this.#byte(NULL);
        else if (Array.isArray(value)) this.#array(value as readonly WireValue[]);
        else if (value instanceof Uint8Array) this.#blob(value);
        else if (value instanceof Timestamp) this.#time(value);
        else if (value instanceof Rows) this.#rows(value);
        else this.#map(value as WireObject);
    }
  }

  #map(object: WireObject): void {
    this.#byte(MAP_UNTIL_BREAK);
    for (const member in object) {
      const value = object[member];
      if (value === undefined) continue;
      this.#text(member);
      this.value(value);
    }
    this.#byte(BREAK);
  }

  #array(values: readonly WireValue[]): void {
    this.#head(ARRAY, values.length);
    for (const value of values) this.value(value);
  }

  #rows(rows: Rows): void {
    this.#head(ARRAY, rows.length);
    for (let row = 0; row < rows.length; row++) {
      this.#byte(MAP_UNTIL_BREAK);
      for (const [column, member] of rows.members.entries()) {
        const value = rows.value(row, column);
        if (value === undefined) continue;
        this.#text(member);
        this.value(value);
      }
      this.#byte(BREAK);
    }
  }

  #blob(bytes: Uint8Array): void {
    this.#head(BYTES, bytes.byteLength);
    this.#reserve(bytes.byteLength);
    this.#buffer.set(bytes, this.#at);
    this.#at += bytes.byteLength;
  }

  #time({ ms }: Timestamp): void {
    this.#byte(TIME_TAG);
    this.#number(Math.floor(ms));
  }

  #number(value: number): void {
    if (!Number.isSafeInteger(value)) {
      this.#reserve(MAX_HEAD_BYTES);
      this.#buffer[this.#at++] = DOUBLE;
      this.#at = this.#buffer.writeDoubleBE(value, this.#at);
    } else if (value >= 0) {
      this.#head(UNSIGNED, value);
    } else {
      this.#head(NEGATIVE, -1 - value);
    }
  }

  #text(text: string): void {
    const { length } = text;
    if (length <= SHORT_TEXT && this.#shortAscii(text, length)) return;
    const byteCount = Buffer.byteLength(text);
    this.#head(TEXT, byteCount);
    this.#reserve(byteCount);
    this.#at += this.#buffer.write(text, this.#at, byteCount, 'utf8');
  }

  /** Nothing is written when a character turns out not to be ASCII. */
  #shortAscii(text: string, length: number): boolean {
    const start = this.#at;
    this.#head(TEXT, length);
    this.#reserve(length);
    const buffer = this.#buffer;
    let at = this.#at;
    for (let index = 0; index < length; index++) {
      const code = text.charCodeAt(index);
      if (code >= 0x80) {
        this.#at = start;
        return false;
      }
      buffer[at++] = code;
    }
    this.#at = at;
    return true;
  }

  #head(major: number, argument: number): void {
    this.#reserve(MAX_HEAD_BYTES);
    const buffer = this.#buffer;
    if (argument < 24) {
      buffer[this.#at++] = major | argument;
    } else if (argument < 0x100) {
      buffer[this.#at++] = major | 24;
      buffer[this.#at++] = argument;
    } else if (argument < 0x1_0000) {
      buffer[this.#at++] = major | 25;
      this.#at = buffer.writeUInt16BE(argument, this.#at);
    } else if (argument < 0x1_0000_0000) {
      buffer[this.#at++] = major | 26;
      this.#at = buffer.writeUInt32BE(argument, this.#at);
    } else {
      buffer[this.#at++] = major | 27;
      this.#at = buffer.writeUInt32BE(Math.floor(argument / 2 ** 32), this.#at);
      this.#at = buffer.writeUInt32BE(argument % 2 ** 32, this.#at);
    }
  }

  #byte(byte: number): void {
    this.#reserve(1);
    this.#buffer[this.#at++] = byte;
  }

  #reserve(byteCount: number): void {
    if (this.#at + byteCount > this.#buffer.length) this.#grow(byteCount);
  }

  #grow(byteCount: number): void {
    const grown = Buffer.allocUnsafe(Math.max(2 * this.#buffer.length, this.#at + byteCount));
    this.#buffer.copy(grown, 0, 0, this.#at);
    this.#buffer = grown;
  }
}
