// Code of WebAssembly, as much as vectors of four 32-bit numbers need, which JavaScript does not have: each function here gives the bytes of an
// expression or of a statement, the last one those of a module (WebAssembly core specification, binary format). It checks nothing: the engine does.

/** Bytes, in a tree: copied from list to list at each level, they took 50 ms. */
export type Code = readonly (number | Code)[];

export interface WasmFunction {
  readonly name: string;
  /** Beside the one argument, a number, which is local 0: so many locals that are numbers, and behind them vectors. */
  readonly numberCount: number;
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

const HEADER: Code = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
const TYPES = 1;
const FUNCTIONS = 3;
const MEMORIES = 5;
const EXPORTS = 7;
const CODE = 10;
const FUNCTION_TYPE = 0x60;
const NUMBER = 0x7f;
const VECTOR = 0x7b;
const NO_RESULT = 0x40;
const END = 0x0b;
const ALIGNED_BY_16 = 4;
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

/** Of numbers. */
export function plus(a: Code, b: Code): Code {
  return [a, b, 0x6a];
}

/** Of numbers without a sign. */
export function isLess(a: Code, b: Code): Code {
  return [a, b, 0x49];
}

/** At least once, and again while the condition holds. */
export function repeat(body: Code, condition: Code): Code {
  return [0x03, NO_RESULT, body, condition, 0x0d, 0, END];
}

export function load(offset: number, at: Code = number(0)): Code {
  return [at, vector(0x00), ALIGNED_BY_16, unsigned(offset)];
}

/** One number four times. */
export function loadSplat(offset: number): Code {
  return [number(0), vector(0x09), ALIGNED_BY_4, unsigned(offset)];
}

export function store(offset: number, value: Code): Code {
  return [number(0), value, vector(0x0b), ALIGNED_BY_16, unsigned(offset)];
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

/** Its functions and its memory are exported. */
export function moduleOf({ pages, memoryName, functions }: WasmModule): Uint8Array {
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

function codeOf({ numberCount, vectorCount, body }: WasmFunction): Code {
  return [2, unsigned(numberCount), NUMBER, unsigned(vectorCount), VECTOR, body, END];
}

function section(id: number, members: readonly Code[]): Code {
  return [id, sized([unsigned(members.length), members])];
}

function sized(code: Code): Code {
  const bytes = bytesOf(code);
  return [unsigned(bytes.length), bytes];
}

function text(value: string): Code {
  return sized([...Buffer.from(value, 'utf8')]);
}

function vector(operation: number): Code {
  return [0xfd, unsigned(operation)];
}

function bytesOf(code: Code, bytes: number[] = []): number[] {
  for (const part of code) {
    if (typeof part === 'number') bytes.push(part);
    else bytesOf(part, bytes);
  }
  return bytes;
}

/** LEB128. */
function unsigned(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return [...bytes, rest];
}

function signed(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest < -0x40 || rest > 0x3f; rest >>= 7) bytes.push((rest & 0x7f) | 0x80);
  return [...bytes, rest & 0x7f];
}
