// The records of an answer, out of its JSON, without a general parser: JSON.parse and the SDK's walk over what it gives cost
// several times as much as all the rest of a record's way. Pure. What is written in a way that is not expected here (an escape in
// a key, an unknown member, blanks) is left to the general parser as a whole: then there is no answer from here.
// Invariants: what this reads, it reads as the SDK would; nothing of it is a view of the JSON.
import { type FoundRecords, type RecordPlaces, RecordRows, somePlaces } from './record-rows.ts';
import { findWithVectors } from './records-wasm.ts';
import { bringScavengeForward } from './sooner-scavenges.ts';

export interface SplitAnswer {
  readonly records: RecordRows;
  /** The same JSON, with no records. */
  readonly rest: Uint8Array;
}

/** The memory that an answer's records stay in. */
interface Own {
  readonly bytes: Buffer;
  /** Of the whole answer, which is read there. */
  readonly isCopy: boolean;
  /** If it is none: how far it is full. */
  at: number;
  readonly records: RecordRows;
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const DOT = 0x2e;
const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;
const COLON = 0x3a;
const EQUALS = 0x3d;
const OPEN_LIST = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_LIST = 0x5d;
const OPEN = 0x7b;
const CLOSE = 0x7d;
const LAST_ASCII = 0x7f;

/** The names of a record's members, as far as their values. */
const DATA = Buffer.from('Data":');
const SEQUENCE_NUMBER = Buffer.from('SequenceNumber":');
const PARTITION_KEY = Buffer.from('PartitionKey":');
const ARRIVED_AT = Buffer.from('ApproximateArrivalTimestamp":');
const ENCRYPTION_TYPE = Buffer.from('EncryptionType":');

/** Characters of a time whose milliseconds are exact. */
const LONGEST_EXACT = 14;
/** Longer ones are faster by Buffer's own decoder, whose call costs more than a short one's decoding. */
const SHORT_BASE64 = 400;
/**
 * Decoded in pieces of so many characters: a text beyond 128 kB has pages of its own in V8, and costs three times as much; one beyond 1 MiB lies outside
 * of its heap, and costs half as much as pieces.
 */
const PIECE_OF_BASE64: number = 64 * 1024;
const OUTSIDE_OF_HEAP: number = 1024 * 1024;
/** From here on what an answer holds beside its data is not worth keeping with them. */
const LONG_BASE64: number = 4 * 1024;
const NOT_BASE64 = 0xff;
const NONE = -1;
/** Of an answer's keys and numbers. */
const FEWEST_TEXT_BYTES = 4 * 1024;
const sextets = new Uint8Array(256).fill(NOT_BASE64);
for (const [value, char] of [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'].entries()) {
  sextets[char.charCodeAt(0)] = value;
}

/** @returns undefined where the general parser has to read it. */
export function splitRecords(json: Buffer, find: typeof findRecords = findRecords): SplitAnswer | undefined {
  const from = startOfRecords(json);
  if (from === undefined) return undefined;
  const found = find(json, from);
  if (found === undefined) return undefined;
  const { records, end } = found;
  bringScavengeForward(records.byteCount, records.length);
  return { records, rest: Buffer.concat([json.subarray(0, from), json.subarray(end - 1)]) };
}

/** @param from behind the bracket that opens their list. */
function findRecords(json: Buffer, from: number): FoundRecords | undefined {
  const isLong = firstDataLength(json, from) > LONG_BASE64;
  // Vectors decode long base64 no faster than Buffer does.
  return (isLong ? undefined : findWithVectors(json, from)) ?? findOneByOne(json, from, isLong);
}

export function findOneByOne(
  json: Buffer,
  from: number,
  isLong: boolean = firstDataLength(json, from) > LONG_BASE64,
): FoundRecords | undefined {
  const own = isLong ? arenaFor(json, from) : copyOf(json);
  const end = readRecords(own.isCopy ? own.bytes : json, from, own);
  return end === undefined ? undefined : { records: own.records, end };
}

/** For long data: nothing else of the answer is worth keeping. */
function arenaFor(json: Buffer, from: number): Own {
  // Three bytes for four characters: whatever the records hold, their data fit in.
  const bytes = Buffer.allocUnsafeSlow(Math.ceil(((json.length - from) * 3) / 4));
  return { bytes, isCopy: false, at: 0, records: new RecordRows(bytes, Buffer.allocUnsafe(FEWEST_TEXT_BYTES)) };
}

/** For short data: to copy all at once takes less than each record's texts one by one. Data are decoded in place. */
function copyOf(json: Buffer): Own {
  const bytes = Buffer.allocUnsafeSlow(json.length);
  json.copy(bytes);
  return { bytes, isCopy: true, at: 0, records: new RecordRows(bytes) };
}

/** Of the first record, as base64; 0 if that can't be told, or there is none. */
function firstDataLength(json: Buffer, from: number): number {
  const start = json.indexOf(DATA, from) + DATA.length + 1;
  return start > DATA.length ? Math.max(0, json.indexOf(QUOTE, start) - start) : 0;
}

/** Behind the bracket that opens the outermost `Records`. */
function startOfRecords(json: Buffer): number | undefined {
  if (json[0] !== OPEN) return undefined;
  let at = 1;
  while (json[at] === QUOTE) {
    const end = json.indexOf(QUOTE, at + 1);
    if (end === -1 || json[end - 1] === BACKSLASH || json[end + 1] !== COLON) return undefined;
    const isRecords = end - at - 1 === 7 && json.toString('latin1', at + 1, end) === 'Records';
    at = end + 2;
    if (isRecords) return json[at] === OPEN_LIST ? at + 1 : undefined;
    const next = endOfValue(json, at);
    if (next === undefined || json[next] !== COMMA) return undefined;
    at = next + 1;
  }
  return undefined;
}

/** Behind a value of any kind. */
function endOfValue(json: Buffer, from: number): number | undefined {
  let depth = 0;
  for (let at = from; at < json.length; at += 1) {
    const char = json[at];
    if (char === QUOTE) {
      at += 1;
      while (at < json.length && json[at] !== QUOTE) at += json[at] === BACKSLASH ? 2 : 1;
    } else if (char === OPEN || char === OPEN_LIST) {
      depth += 1;
    } else if (char === CLOSE || char === CLOSE_LIST) {
      if (depth === 0) return at;
      depth -= 1;
    } else if (char === COMMA && depth === 0) return at;
  }
  return undefined;
}

/** @returns behind the bracket that closes the list. */
function readRecords(json: Buffer, from: number, own: Own): number | undefined {
  if (json[from] === CLOSE_LIST) return from + 1;
  const places = somePlaces();
  let at = from;
  for (;;) {
    const end = readRecord(json, at, places, own);
    if (end === undefined) return undefined;
    own.records.add(places);
    const next = json[end];
    if (next === CLOSE_LIST) return end + 1;
    if (next !== COMMA) return undefined;
    at = end + 1;
  }
}

/** @returns behind the bracket that closes the record. */
function readRecord(json: Buffer, from: number, places: RecordPlaces, own: Own): number | undefined {
  if (json[from] !== OPEN) return undefined;
  places.dataLength = NONE;
  places.numberLength = NONE;
  places.keyLength = 0;
  places.arrivedAtMs = 0;
  let at: number | undefined = from;
  do at = readMember(json, at + 1, places, own);
  while (at !== undefined && json[at] === COMMA);
  const isWhole = at !== undefined && json[at] === CLOSE && places.dataLength !== NONE && places.numberLength !== NONE;
  return isWhole ? (at as number) + 1 : undefined;
}

/** @returns behind its value. */
function readMember(json: Buffer, from: number, places: RecordPlaces, own: Own): number | undefined {
  if (json[from] !== QUOTE) return undefined;
  const name = from + 1;
  if (isAt(json, name, DATA)) {
    const at = name + DATA.length;
    if (json[at] !== QUOTE) return undefined;
    const end = json.indexOf(QUOTE, at + 1);
    const outAt = own.isCopy ? at + 1 : own.at;
    const size = decodeBase64(json, at + 1, end, own.bytes, outAt);
    if (size === undefined) return undefined;
    places.dataAt = outAt;
    places.dataLength = size;
    own.at += size;
    return end + 1;
  }
  if (isAt(json, name, SEQUENCE_NUMBER)) {
    const at = name + SEQUENCE_NUMBER.length;
    const end = endOfDigits(json, at);
    if (end === undefined) return undefined;
    places.numberAt = own.records.keepText(json, at + 1, end);
    places.numberLength = end - at - 1;
    return end + 1;
  }
  if (isAt(json, name, PARTITION_KEY)) {
    const at = name + PARTITION_KEY.length;
    const end = endOfPlainString(json, at);
    if (end === undefined) return undefined;
    places.keyAt = own.records.keepText(json, at + 1, end);
    places.keyLength = end - at - 1;
    return end + 1;
  }
  if (isAt(json, name, ARRIVED_AT)) {
    const at = name + ARRIVED_AT.length;
    const end = endOfNumber(json, at);
    places.arrivedAtMs = millisecondsOf(json, at, end);
    return Number.isNaN(places.arrivedAtMs) ? undefined : end;
  }
  if (isAt(json, name, ENCRYPTION_TYPE)) {
    const end = endOfPlainString(json, name + ENCRYPTION_TYPE.length);
    return end === undefined ? undefined : end + 1;
  }
  return undefined;
}

function isAt(json: Buffer, at: number, bytes: Uint8Array): boolean {
  for (let index = 0; index < bytes.length; index += 1) if (json[at + index] !== bytes[index]) return false;
  return true;
}

/** The closing quote of a string of plain ASCII. */
function endOfPlainString(json: Buffer, from: number): number | undefined {
  if (json[from] !== QUOTE) return undefined;
  for (let at = from + 1; at < json.length; at += 1) {
    const char = json[at] as number;
    if (char === QUOTE) return at;
    if (char === BACKSLASH || char > LAST_ASCII) return undefined;
  }
  return undefined;
}

/** The closing quote of a string of digits that does not begin with a zero. */
function endOfDigits(json: Buffer, from: number): number | undefined {
  if (json[from] !== QUOTE) return undefined;
  let at = from + 1;
  while (isDigit(json[at])) at += 1;
  const isNumber = json[at] === QUOTE && at > from + 1 && (json[from + 1] !== DIGIT_0 || at === from + 2);
  return isNumber ? at : undefined;
}

function isDigit(char: number | undefined): boolean {
  return char !== undefined && char >= DIGIT_0 && char <= DIGIT_9;
}

/** Of seconds with milliseconds, as Kinesis writes them. What is written in another way the SDK reads as a number and rounds. */
function millisecondsOf(json: Buffer, from: number, to: number): number {
  let value = 0;
  let dotAt = to;
  for (let at = from; at < to; at += 1) {
    const char = json[at] as number;
    if (char === DOT && dotAt === to) dotAt = at;
    else if (isDigit(char)) value = value * 10 + (char - DIGIT_0);
    else return roundedMilliseconds(json, from, to);
  }
  const decimals = Math.max(0, to - dotAt - 1);
  if (dotAt === from || to - dotAt === 1 || decimals > 3 || to - from > LONGEST_EXACT)
    return roundedMilliseconds(json, from, to);
  return value * 10 ** (3 - decimals);
}

function roundedMilliseconds(json: Buffer, from: number, to: number): number {
  return Math.round(Number(json.toString('latin1', from, to)) * 1000);
}

/** Behind a number; of what is none, it is the start. */
function endOfNumber(json: Buffer, from: number): number {
  let at = from;
  for (; at < json.length; at += 1) {
    const char = json[at] as number;
    // With an exponent, as some servers write it: 1.7E9.
    if (!isDigit(char) && char !== DOT && char !== MINUS && char !== 0x2b && char !== 0x45 && char !== 0x65) break;
  }
  return at;
}

/** How many bytes were written; undefined for what is not base64 with its padding, or written with escapes. */
function decodeBase64(json: Buffer, from: number, to: number, out: Buffer, outAt: number): number | undefined {
  const length = to - from;
  if (length < 0 || length % 4 !== 0) return undefined;
  if (length === 0) return 0;
  const padding = json[to - 1] !== EQUALS ? 0 : json[to - 2] !== EQUALS ? 1 : 2;
  const size = (length / 4) * 3 - padding;
  if (length > SHORT_BASE64) return decodeLong(json, from, to, out, outAt) === size ? size : undefined;
  let at = outAt;
  const whole = padding === 0 ? to : to - 4;
  for (let index = from; index < whole; index += 4) {
    const a = sextets[json[index] as number] as number;
    const b = sextets[json[index + 1] as number] as number;
    const c = sextets[json[index + 2] as number] as number;
    const d = sextets[json[index + 3] as number] as number;
    if ((a | b | c | d) === NOT_BASE64) return undefined;
    out[at] = (a << 2) | (b >> 4);
    out[at + 1] = (b << 4) | (c >> 2);
    out[at + 2] = (c << 6) | d;
    at += 3;
  }
  if (padding > 0) {
    const a = sextets[json[whole] as number] as number;
    const b = sextets[json[whole + 1] as number] as number;
    const c = padding === 2 ? 0 : (sextets[json[whole + 2] as number] as number);
    if ((a | b | c) === NOT_BASE64) return undefined;
    out[at] = (a << 2) | (b >> 4);
    if (padding === 1) out[at + 1] = (b << 4) | (c >> 2);
  }
  return size;
}

/** How many bytes were written: fewer than they stand for if anything is not base64, which the decoder passes over. */
function decodeLong(json: Buffer, from: number, to: number, out: Buffer, outAt: number): number {
  const most = to - from > OUTSIDE_OF_HEAP ? to - from : PIECE_OF_BASE64;
  let written = 0;
  for (let at = from; at < to; at += most) {
    const end = Math.min(to, at + most);
    written += out.write(json.toString('latin1', at, end), outAt + written, 'base64');
  }
  return written;
}
