// Code of WebAssembly, as much as is needed here of vectors, which JavaScript does not have: each function gives the bytes of an expression
// or of a statement, the last ones a module, and what it exports (WebAssembly core specification, binary format). It checks nothing: the
// engine does. Numbers have 32 bits, long ones 64; vectors are sixteen bytes, or four numbers, as each function says.

/** Bytes, in a tree: copied from list to list at each level, they took 50 ms. */
export type Code = readonly (number | Code)[];

export interface WasmFunction {
  readonly name: string;
  /** Beside the one argument, a number, which is local 0: so many locals that are numbers, behind them long ones, and then vectors. */
  readonly numberCount: number;
  /** Default: none. */
  readonly longCount?: number;
  readonly vectorCount: number;
  readonly body: Code;
}

export interface WasmModule {
  readonly pages: number;
  readonly memoryName: string;
  /** They return nothing. */
  readonly functions: readonly WasmFunction[];
}

export const PAGE_BYTES: number = 65_536;

/** As much of it as is used: Node's types have none. */
interface WasmEngine {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: unknown };
}

const HEADER: Code = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
const TYPES = 1;
const FUNCTIONS = 3;
const MEMORIES = 5;
const EXPORTS = 7;
const CODE = 10;
const FUNCTION_TYPE = 0x60;
const NUMBER = 0x7f;
const LONG = 0x7e;
const VECTOR = 0x7b;
const NO_RESULT = 0x40;
const END = 0x0b;
const ALIGNED_BY_16 = 4;
const ALIGNED_BY_8 = 3;
const ALIGNED_BY_4 = 2;

export function get(local: number): Code {
  return [0x20, unsigned(local)];
}

export function set(local: number, value: Code): Code {
  return [value, 0x21, unsigned(local)];
}

export function number(value: number): Code {
  return [0x41, signed(value)];
}

/** Of numbers, as all up to `equals`. */
export function plus(a: Code, b: Code): Code {
  return [a, b, 0x6a];
}

export function minus(a: Code, b: Code): Code {
  return [a, b, 0x6b];
}

export function bitAnd(a: Code, b: Code): Code {
  return [a, b, 0x71];
}

export function bitOr(a: Code, b: Code): Code {
  return [a, b, 0x72];
}

export function bitsLeft(a: Code, bits: number): Code {
  return [a, number(bits), 0x74];
}

export function bitsRight(a: Code, bits: number): Code {
  return [a, number(bits), 0x76];
}

/** How many bits below the lowest that is set; 32 of zero. */
export function lowestBit(a: Code): Code {
  return [a, 0x68];
}

/** Without a sign. */
export function isLess(a: Code, b: Code): Code {
  return [a, b, 0x49];
}

export function isZero(a: Code): Code {
  return [a, 0x45];
}

export function equals(a: Code, b: Code): Code {
  return [a, b, 0x46];
}

/** Of a long number: ten times as much, and a number without a sign. */
export function timesTenPlus(a: Code, digit: Code): Code {
  return [a, 0x42, signed(10), 0x7e, digit, 0xad, 0x7c];
}

export function long(value: number): Code {
  return [0x42, signed(value)];
}

/** A long number without a sign, as a double. */
export function doubleOf(a: Code): Code {
  return [a, 0xba];
}

export function double(value: number): Code {
  return [0x44, [...new Uint8Array(Float64Array.of(value).buffer)]];
}

/** Of doubles, as the next. */
export function times(a: Code, b: Code): Code {
  return [a, b, 0xa2];
}

export function isSmaller(a: Code, b: Code): Code {
  return [a, b, 0x63];
}

/** At least once, and again while the condition holds. */
export function repeat(body: Code, condition: Code): Code {
  return [0x03, NO_RESULT, body, condition, 0x0d, 0, END];
}

export function when(condition: Code, then: Code, otherwise: Code = []): Code {
  return [condition, 0x04, NO_RESULT, then, otherwise.length === 0 ? [] : [0x05, otherwise], END];
}

/** The function is over. */
export const leave: Code = [0x0f];

export function loadByte(offset: number, at: Code): Code {
  return [at, 0x2d, 0, unsigned(offset)];
}

export function storeByte(offset: number, value: Code, at: Code): Code {
  return [at, value, 0x3a, 0, unsigned(offset)];
}

export function loadNumber(offset: number, at: Code): Code {
  return [at, 0x28, ALIGNED_BY_4, unsigned(offset)];
}

export function storeNumber(offset: number, value: Code, at: Code = number(0)): Code {
  return [at, value, 0x36, ALIGNED_BY_4, unsigned(offset)];
}

export function loadDouble(offset: number, at: Code): Code {
  return [at, 0x2b, ALIGNED_BY_8, unsigned(offset)];
}

export function storeDouble(offset: number, value: Code, at: Code): Code {
  return [at, value, 0x39, ALIGNED_BY_8, unsigned(offset)];
}

export function load(offset: number, at: Code = number(0)): Code {
  return [at, vector(0x00), ALIGNED_BY_16, unsigned(offset)];
}

/** One number four times. */
export function loadSplat(offset: number): Code {
  return [number(0), vector(0x09), ALIGNED_BY_4, unsigned(offset)];
}

export function store(offset: number, value: Code, at: Code = number(0)): Code {
  return [at, value, vector(0x0b), ALIGNED_BY_16, unsigned(offset)];
}

/** Sixteen bytes. */
export function bytes(values: readonly number[]): Code {
  return [vector(0x0c), values];
}

/** Of the bytes of a vector those whose places are in another one; 0 for a place that is none. */
export function lookUp(table: Code, places: Code): Code {
  return [table, places, vector(0x0e)];
}

/** Four of the eight numbers of two vectors. */
export function choose(a: Code, b: Code, places: readonly number[]): Code {
  return [a, b, vector(0x0d), places.map((place) => [0, 1, 2, 3].map((byte) => 4 * place + byte))];
}

export function and(a: Code, b: Code): Code {
  return [a, b, vector(0x4e)];
}

/** `a & ~b`. */
export function andNot(a: Code, b: Code): Code {
  return [a, b, vector(0x4f)];
}

export function or(a: Code, b: Code): Code {
  return [a, b, vector(0x50)];
}

export function xor(a: Code, b: Code): Code {
  return [a, b, vector(0x51)];
}

export function shiftLeft(a: Code, bits: number): Code {
  return [a, number(bits), vector(0xab)];
}

export function shiftRight(a: Code, bits: number): Code {
  return [a, number(bits), vector(0xad)];
}

export function add(a: Code, b: Code): Code {
  return [a, b, vector(0xae)];
}

export function subtract(a: Code, b: Code): Code {
  return [a, b, vector(0xb1)];
}

/** Of bytes, as all that follow: all ones where it holds. */
export function areEqual(a: Code, b: Code): Code {
  return [a, b, vector(0x23)];
}

/** With a sign. */
export function areLess(a: Code, b: Code): Code {
  return [a, b, vector(0x25)];
}

/** Without a sign. */
export function areGreater(a: Code, b: Code): Code {
  return [a, b, vector(0x28)];
}

export function addBytes(a: Code, b: Code): Code {
  return [a, b, vector(0x6e)];
}

export function subtractBytes(a: Code, b: Code): Code {
  return [a, b, vector(0x71)];
}

export function shiftBytesRight(a: Code, bits: number): Code {
  return [a, number(bits), vector(0x6d)];
}

/** Of eight 16-bit numbers. */
export function shiftPairsLeft(a: Code, bits: number): Code {
  return [a, number(bits), vector(0x8b)];
}

export function shiftPairsRight(a: Code, bits: number): Code {
  return [a, number(bits), vector(0x8d)];
}

/** Of eight 16-bit numbers each with that of the other: the products of two and two added up, four numbers. */
export function dotPairs(a: Code, b: Code): Code {
  return [a, b, vector(0xba)];
}

/** A number, with the uppermost bit of each byte. */
export function upperBits(a: Code): Code {
  return [a, vector(0x64)];
}

/** A number: whether any bit of a vector is set. */
export function isAnySet(a: Code): Code {
  return [a, vector(0x53)];
}

/** What a module exports; undefined where there is no WebAssembly, no vectors, or no memory for it. */
export function exportsOf(module: WasmModule): unknown {
  const { WebAssembly: engine }: { WebAssembly?: WasmEngine } = globalThis as object;
  if (engine === undefined) return undefined;
  try {
    return new engine.Instance(new engine.Module(moduleOf(module))).exports;
  } catch {
    return undefined;
  }
}

/** Its functions and its memory are exported. */
function moduleOf({ pages, memoryName, functions }: WasmModule): Uint8Array {
  const names = functions.map(({ name }, index) => [text(name), 0x00, unsigned(index)]);
  const code = [
    HEADER,
    section(TYPES, [[FUNCTION_TYPE, 1, NUMBER, 0]]),
    section(
      FUNCTIONS,
      functions.map(() => [0]),
    ),
    section(MEMORIES, [[0x01, unsigned(pages), unsigned(pages)]]),
    section(EXPORTS, [...names, [text(memoryName), 0x02, 0]]),
    section(
      CODE,
      functions.map((each) => sized(codeOf(each))),
    ),
  ];
  return new Uint8Array(bytesOf(code));
}

function codeOf({ numberCount, longCount = 0, vectorCount, body }: WasmFunction): Code {
  const locals = [unsigned(numberCount), NUMBER, unsigned(longCount), LONG, unsigned(vectorCount), VECTOR];
  return [3, locals, body, END];
}

function section(id: number, members: readonly Code[]): Code {
  return [id, sized([unsigned(members.length), members])];
}

function sized(code: Code): Code {
  const written = bytesOf(code);
  return [unsigned(written.length), written];
}

function text(value: string): Code {
  return sized([...Buffer.from(value, 'utf8')]);
}

function vector(operation: number): Code {
  return [0xfd, unsigned(operation)];
}

function bytesOf(code: Code, written: number[] = []): number[] {
  for (const part of code) {
    if (typeof part === 'number') written.push(part);
    else bytesOf(part, written);
  }
  return written;
}

/** LEB128. */
function unsigned(value: number): number[] {
  const written: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest >>>= 7) written.push((rest & 0x7f) | 0x80);
  return [...written, rest];
}

function signed(value: number): number[] {
  const written: number[] = [];
  let rest = value;
  for (; rest < -0x40 || rest > 0x3f; rest >>= 7) written.push((rest & 0x7f) | 0x80);
  return [...written, rest & 0x7f];
}
