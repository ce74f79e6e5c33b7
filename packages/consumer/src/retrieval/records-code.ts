// What finds records in an answer's JSON with vectors: code of WebAssembly, and where things lie in its memory. Base64 after W. Muła and D. Lemire,
// "Faster Base64 Encoding and Decoding Using AVX2 Instructions" (2018). It gives up, with nothing noted as the list's end, where anything is
// written in another way than usual.
// Invariant: what it writes is behind what it reads, by more than a vector, since every value has a name before it.
import { FRAME_BYTES, MAGIC, wasm } from '@shardline/common';
import { ROW_BYTES, ROW_PLACES } from './record-rows.ts';

type Code = wasm.Code;
const { areEqual, areGreater, areLess, bitAnd, bitOr, bytes, equals, get, isLess, isZero, leave, loadByte } = wasm;
const { loadNumber, minus, number, or, plus, repeat, set, storeByte, storeNumber, upperBits, when } = wasm;

/** Answers beyond it are rare, or of long records, which gain nothing. */
export const MOST_BYTES: number = 4 * 1024 * 1024;
const MOST_ROWS = 16_384;
const VECTOR_BYTES = 16;

/** What came of it, five numbers: behind the list's bracket, or 0; behind what records keep; behind the last row; bytes of data; whether numbers rise. */
export const END_AT = 0;
export const KEPT_AT = 4;
export const ROWS_END_AT = 8;
export const BYTE_COUNT_AT = 12;
export const IS_RISING_AT = 16;
/** To be filled in: of each character what it stands for in base64. */
export const SEXTETS_AT = 256;
export const NO_SEXTET = 0xff;
/** To be filled in: so many powers of ten, from 1 on, doubles. */
export const POWERS_AT = 512;
export const POWERS = 13;
export const ROWS_AT = 1_024;
/** What records keep. */
export const OUT_AT: number = ROWS_AT + MOST_ROWS * ROW_BYTES;
/** The answer, from its first record on, and behind it blanks, with which no text goes on. */
export const IN_AT: number = OUT_AT + VECTOR_BYTES;
export const BLANK_BYTES: number = 4 * VECTOR_BYTES;
const PAGES: number = Math.ceil((IN_AT + MOST_BYTES + BLANK_BYTES) / wasm.PAGE_BYTES);

/** From here on a number is none of base64. */
const SEXTETS = 64;
/** Digits and dot of a time. */
const LONGEST_TIME = 16;
/** A time from here on the SDK's arithmetic may round otherwise. */
const MOST_EXACT_MS = 1e14;
const NONE = -1;
const ONES = 0xff;

// Locals: how far it has read and written, and the row; where a value begins, and three for a while; of all rows the bytes, and whether they
// rise; a long number; vectors: the one that is read, one for a while, and what decides on base64.
const AT = 0;
const OUT = 1;
const ROW = 2;
const START = 3;
const A = 4;
const B = 5;
const C = 6;
const BYTE_COUNT = 7;
const IS_RISING = 8;
const NUMBERS = 8;
const MANTISSA = 9;
const READ = 10;
const UPPER = 11;
const OF_LOWER = 12;
const OF_UPPER = 13;
const SHIFTS = 14;
const VECTORS = 5;

export function recordsModule(): wasm.WasmModule {
  const read = { name: 'read', numberCount: NUMBERS, longCount: 1, vectorCount: VECTORS, body: readCode() };
  return { pages: PAGES, memoryName: 'memory', functions: [read] };
}

function readCode(): Code {
  const members: readonly (readonly [string, Code])[] = [
    ['SequenceNumber":', sequenceNumberCode()],
    ['ApproximateArrivalTimestamp":', timeCode()],
    ['Data":', dataCode()],
    ['PartitionKey":', keyCode()],
    ['EncryptionType":', [textCode(isNoPlainChar()), set(OUT, get(START))]],
  ];
  const member = members.reduceRight<Code>(
    (otherwise, [name, code]) => when(isName(name), [skip(name.length), code], otherwise),
    leave,
  );
  const record = [
    expect(isLess(get(ROW), number(ROWS_AT + MOST_ROWS * ROW_BYTES))),
    expect(isChar('{')),
    storePlace('dataLength', number(NONE)),
    storePlace('numberLength', number(NONE)),
    storePlace('keyLength', number(0)),
    wasm.storeDouble(ROW_PLACES.arrivedAtMs, wasm.double(0), get(ROW)),
    repeat([skip(1), expect(isChar('"')), skip(1), member], isChar(',')),
    expect(isChar('}')),
    skip(1),
    expect(isZero(equals(place('numberLength'), number(NONE)))),
    expect(isZero(equals(place('dataLength'), number(NONE)))),
    set(BYTE_COUNT, plus(get(BYTE_COUNT), place('dataLength'))),
    when(get(IS_RISING), risingCode()),
    set(ROW, plus(get(ROW), number(ROW_BYTES))),
    // Behind a comma the next one.
    set(A, isChar(',')),
    set(AT, plus(get(AT), get(A))),
  ];
  return [
    set(OUT, number(OUT_AT)),
    set(ROW, number(ROWS_AT)),
    set(IS_RISING, number(1)),
    // Of a character's lower and upper half: together they have a bit in common if it is none of base64.
    set(OF_LOWER, bytes([0x15, ...Array(9).fill(0x11), 0x13, 0x1a, 0x1b, 0x1b, 0x1b, 0x1a])),
    set(OF_UPPER, bytes([0x10, 0x10, 0x01, 0x02, 0x04, 0x08, 0x04, 0x08, ...Array(8).fill(0x10)])),
    // By its upper half, one less for the slash: what to add to a character for what it stands for.
    set(SHIFTS, bytes([0, 16, 19, 4, -65 & 0xff, -65 & 0xff, -71 & 0xff, -71 & 0xff, ...Array(8).fill(0)])),
    repeat(record, get(A)),
    expect(isChar(']')),
    storeNumber(KEPT_AT, get(OUT)),
    storeNumber(ROWS_END_AT, get(ROW)),
    storeNumber(BYTE_COUNT_AT, get(BYTE_COUNT)),
    storeNumber(IS_RISING_AT, get(IS_RISING)),
    storeNumber(END_AT, plus(get(AT), number(1))),
  ];
}

/** Gives the answer up where it does not hold. */
function expect(condition: Code): Code {
  return when(isZero(condition), leave);
}

function isChar(char: string, further = 0): Code {
  return equals(loadByte(further, get(AT)), number(char.charCodeAt(0)));
}

function skip(count: number): Code {
  return set(AT, plus(get(AT), number(count)));
}

function place(name: keyof typeof ROW_PLACES): Code {
  return loadNumber(ROW_PLACES[name], get(ROW));
}

function storePlace(name: keyof typeof ROW_PLACES, value: Code): Code {
  return storeNumber(ROW_PLACES[name], value, get(ROW));
}

/** Whether these characters are next: in one vector, or in two that overlap. */
function isName(name: string): Code {
  const chars = [...name].map((char) => char.charCodeAt(0));
  const differs = (from: number): Code => {
    const part = chars.slice(from, from + VECTOR_BYTES);
    const fill: number[] = Array(VECTOR_BYTES - part.length).fill(0);
    const difference = wasm.xor(wasm.load(from, get(AT)), bytes([...part, ...fill]));
    return fill.length === 0 ? difference : wasm.and(difference, bytes([...part.map(() => ONES), ...fill]));
  };
  const last = chars.length - VECTOR_BYTES;
  return isZero(wasm.isAnySet(last > 0 ? or(differs(0), differs(last)) : differs(0)));
}

function allOf(byte: number): Code {
  return bytes(Array(VECTOR_BYTES).fill(byte));
}

function isNoPlainChar(): Code {
  const isQuote = areEqual(get(READ), allOf(0x22));
  const isBackslash = areEqual(get(READ), allOf(0x5c));
  // Control characters, and all beyond ASCII, which are negative.
  return or(or(isQuote, isBackslash), areLess(get(READ), allOf(0x20)));
}

function isNoDigit(): Code {
  return areGreater(wasm.subtractBytes(get(READ), allOf(0x30)), allOf(9));
}

/** Keeps a string's characters, from START on, up to the first that does not belong to it, which has to be the closing quote. */
function textCode(isStop: Code): Code {
  const step = [
    set(READ, wasm.load(0, get(AT))),
    wasm.store(0, get(READ), get(OUT)),
    set(A, upperBits(isStop)),
    set(B, wasm.lowestBit(bitOr(get(A), number(1 << VECTOR_BYTES)))),
    set(AT, plus(get(AT), get(B))),
    set(OUT, plus(get(OUT), get(B))),
  ];
  return [
    expect(isChar('"')),
    skip(1),
    set(START, get(OUT)),
    repeat(step, isZero(get(A))),
    expect(isChar('"')),
    skip(1),
  ];
}

function storeStart(name: keyof typeof ROW_PLACES): Code {
  return storePlace(name, minus(get(START), number(OUT_AT)));
}

function keyCode(): Code {
  return [textCode(isNoPlainChar()), storeStart('keyAt'), storePlace('keyLength', minus(get(OUT), get(START)))];
}

function sequenceNumberCode(): Code {
  return [
    textCode(isNoDigit()),
    expect(isLess(get(START), get(OUT))),
    expect(isZero(equals(loadByte(0, get(START)), number(0x30)))),
    storeStart('numberAt'),
    storePlace('numberLength', minus(get(OUT), get(START))),
  ];
}

/** Seconds with a dot or none, and an exponent or none, as milliseconds. */
function timeCode(): Code {
  const digit = minus(loadByte(0, get(AT)), number(0x30));
  const start = START;
  const dotAt = B;
  const decimals = C;
  return [
    set(start, get(AT)),
    set(dotAt, number(0)),
    set(MANTISSA, wasm.long(0)),
    repeat(
      [
        set(A, digit),
        when(
          isLess(get(A), number(10)),
          [set(MANTISSA, wasm.timesTenPlus(get(MANTISSA), get(A))), set(A, number(1))],
          [set(A, number(0)), when(bitAnd(isChar('.'), isZero(get(dotAt))), [set(dotAt, get(AT)), set(A, number(1))])],
        ),
        set(AT, plus(get(AT), get(A))),
      ],
      get(A),
    ),
    expect(isLess(minus(get(AT), get(start)), number(LONGEST_TIME + 1))),
    // No digits, or none on a side of the dot; a zero that leads.
    expect(isLess(minus(loadByte(0, get(start)), number(0x31)), number(9))),
    set(decimals, number(0)),
    when(get(dotAt), [set(decimals, minus(minus(get(AT), get(dotAt)), number(1))), expect(get(decimals))]),
    // The power of ten that makes milliseconds of the digits.
    set(A, minus(number(3), get(decimals))),
    when(equals(bitOr(loadByte(0, get(AT)), number(0x20)), number(0x65)), [
      skip(1),
      set(B, digit),
      expect(isLess(get(B), number(10))),
      set(A, plus(get(A), get(B))),
      skip(1),
    ]),
    expect(isLess(get(A), number(POWERS))),
    wasm.storeDouble(
      ROW_PLACES.arrivedAtMs,
      wasm.times(wasm.doubleOf(get(MANTISSA)), wasm.loadDouble(POWERS_AT, wasm.bitsLeft(get(A), 3))),
      get(ROW),
    ),
    expect(wasm.isSmaller(wasm.loadDouble(ROW_PLACES.arrivedAtMs, get(ROW)), wasm.double(MOST_EXACT_MS))),
  ];
}

function dataCode(): Code {
  return [
    expect(isChar('"')),
    skip(1),
    set(START, get(OUT)),
    repeat(
      [
        set(READ, wasm.load(0, get(AT))),
        set(UPPER, wasm.shiftBytesRight(get(READ), 4)),
        set(A, isZero(wasm.isAnySet(strangers()))),
        when(get(A), [
          wasm.store(0, decoded(), get(OUT)),
          set(AT, plus(get(AT), number(VECTOR_BYTES))),
          set(OUT, plus(get(OUT), number((VECTOR_BYTES / 4) * 3))),
        ]),
      ],
      get(A),
    ),
    lastQuartersCode(),
    paddingCode(),
    expect(isChar('"')),
    skip(1),
    storeStart('dataAt'),
    storePlace('dataLength', minus(get(OUT), get(START))),
  ];
}

/** Not zero where a character is none of base64. */
function strangers(): Code {
  const lower = wasm.and(get(READ), allOf(0x0f));
  return wasm.and(wasm.lookUp(get(OF_LOWER), lower), wasm.lookUp(get(OF_UPPER), get(UPPER)));
}

/** Twelve bytes of sixteen characters: sextets, two and two together, and those again, of which three bytes are turned round. */
function decoded(): Code {
  const row = wasm.addBytes(get(UPPER), areEqual(get(READ), allOf(0x2f)));
  const values = wasm.addBytes(get(READ), wasm.lookUp(get(SHIFTS), row));
  const low = bytes(Array.from({ length: VECTOR_BYTES }, (_, index) => (index % 2 === 0 ? ONES : 0)));
  const factors = bytes(Array.from({ length: VECTOR_BYTES / 4 }, () => [0x00, 0x10, 0x01, 0x00]).flat());
  const pairs = or(wasm.shiftPairsLeft(wasm.and(get(READ), low), 6), wasm.shiftPairsRight(get(READ), 8));
  const places = [2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, ONES, ONES, ONES, ONES];
  return [set(READ, values), wasm.lookUp(wasm.dotPairs(pairs, factors), bytes(places))];
}

function sextetAt(further: number): Code {
  return loadByte(SEXTETS_AT, loadByte(further, get(AT)));
}

/** Up to three times four characters, one by one. */
function lastQuartersCode(): Code {
  const all = [1, 2, 3].reduce<Code>((former, further) => bitOr(former, sextetAt(further)), sextetAt(0));
  return repeat(
    [
      set(A, isLess(all, number(SEXTETS))),
      when(get(A), [
        set(B, bitOr(wasm.bitsLeft(sextetAt(0), 18), wasm.bitsLeft(sextetAt(1), 12))),
        set(B, bitOr(get(B), bitOr(wasm.bitsLeft(sextetAt(2), 6), sextetAt(3)))),
        storeByte(0, wasm.bitsRight(get(B), 16), get(OUT)),
        storeByte(1, wasm.bitsRight(get(B), 8), get(OUT)),
        storeByte(2, get(B), get(OUT)),
        set(OUT, plus(get(OUT), number(3))),
        skip(4),
      ]),
    ],
    get(A),
  );
}

/** What is left if it is not the closing quote: one or two bytes. */
function paddingCode(): Code {
  return when(isZero(isChar('"')), [
    set(A, sextetAt(0)),
    set(B, sextetAt(1)),
    expect(isLess(bitOr(get(A), get(B)), number(SEXTETS))),
    storeByte(0, bitOr(wasm.bitsLeft(get(A), 2), wasm.bitsRight(get(B), 4)), get(OUT)),
    set(OUT, plus(get(OUT), number(1))),
    when(isZero(isChar('=', 2)), [
      set(C, sextetAt(2)),
      expect(isLess(get(C), number(SEXTETS))),
      storeByte(0, bitOr(wasm.bitsLeft(get(B), 4), wasm.bitsRight(get(C), 2)), get(OUT)),
      set(OUT, plus(get(OUT), number(1))),
    ]),
    expect(isChar('=', 3)),
    skip(4),
  ]);
}

/** Whether the record is none that may be aggregated, and its number is greater than that before. */
function risingCode(): Code {
  const magic = MAGIC.reduceRight((value, byte) => (value << 8) | byte, 0);
  const out = number(OUT_AT);
  const before = (name: keyof typeof ROW_PLACES): Code =>
    loadNumber(ROW_PLACES[name], minus(get(ROW), number(ROW_BYTES)));
  const ofNumber = A;
  const ofBefore = B;
  const differing = C;
  return [
    set(START, plus(place('dataAt'), out)),
    when(
      bitAnd(equals(loadNumber(0, get(START)), number(magic)), isLess(number(FRAME_BYTES), place('dataLength'))),
      set(IS_RISING, number(0)),
    ),
    when(isLess(number(ROWS_AT), get(ROW)), [
      when(
        equals(place('numberLength'), before('numberLength')),
        [
          set(ofNumber, plus(place('numberAt'), out)),
          set(ofBefore, plus(before('numberAt'), out)),
          repeat(
            [
              set(differing, upperBits(differing16(ofNumber, ofBefore))),
              set(START, wasm.lowestBit(bitOr(get(differing), number(1 << VECTOR_BYTES)))),
              set(ofNumber, plus(get(ofNumber), get(START))),
              set(ofBefore, plus(get(ofBefore), get(START))),
            ],
            bitAnd(isZero(get(differing)), isLess(get(ofNumber), endOfNumber())),
          ),
          when(
            isZero(
              bitAnd(
                isLess(get(ofNumber), endOfNumber()),
                isLess(loadByte(0, get(ofBefore)), loadByte(0, get(ofNumber))),
              ),
            ),
            set(IS_RISING, number(0)),
          ),
        ],
        when(isLess(place('numberLength'), before('numberLength')), set(IS_RISING, number(0))),
      ),
    ]),
  ];
}

/** All ones in each byte that differs. */
function differing16(a: number, b: number): Code {
  return wasm.xor(areEqual(wasm.load(0, get(a)), wasm.load(0, get(b))), allOf(ONES));
}

function endOfNumber(): Code {
  return plus(plus(place('numberAt'), place('numberLength')), number(OUT_AT));
}
