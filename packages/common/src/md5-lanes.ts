// MD5 of several messages at once (RFC 1321), which the aggregated records of a request are. Each step of it waits for the one before, so that a
// processor that could do four things at a time does one: here each of the four numbers of a vector belongs to another message, and two such
// groups take turns. The code is WebAssembly, written when it pays; without it, and for a single message, node:crypto hashes.
// Messages are copied to its memory piece by piece. What becomes of a lane that has no message is nobody's concern.
import { hash } from 'node:crypto';
import {
  add,
  and,
  andNot,
  type Code,
  choose,
  exportsOf,
  get,
  isLess,
  load,
  loadSplat,
  number,
  or,
  PAGE_BYTES,
  plus,
  repeat,
  set,
  shiftLeft,
  shiftRight,
  store,
  subtract,
  type WasmFunction,
  xor,
} from './wasm-code.ts';

/** Of a digest. */
const MD5_BYTES = 16;
const BLOCK_BYTES = 64;
const END_MARK = 0x80;
/** At the end of the last block: the message's length, in bits. */
const LENGTH_BYTES = 8;

const LANES_OF_GROUP = 4;
const MOST_GROUPS = 2;
const VECTOR_BYTES = 16;

// Where things lie in its memory, which is one page: of each group the state, four vectors, and the sixteen of the block that is hashed; the
// constants of the 64 steps; for each lane a piece of its message.
const STATE_AT = 0;
const STATE_BYTES = 4 * VECTOR_BYTES;
const BLOCK_AT: number = STATE_AT + MOST_GROUPS * STATE_BYTES;
const CONSTANTS_AT: number = BLOCK_AT + MOST_GROUPS * 16 * VECTOR_BYTES;
const START_AT: number = CONSTANTS_AT + 64 * 4;
const PIECES_AT = 1_024;
const PIECE_BYTES: number =
  BLOCK_BYTES * Math.floor((PAGE_BYTES - PIECES_AT) / (MOST_GROUPS * LANES_OF_GROUP * BLOCK_BYTES));

const START: readonly number[] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
const ROTATIONS: readonly (readonly number[])[] = [
  [7, 12, 17, 22],
  [5, 9, 14, 20],
  [4, 11, 16, 23],
  [6, 10, 15, 21],
];

/** No message is in a lane. */
const NONE = -1;

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer };
  /** Hash so many bytes of each lane, whole blocks: of the first four, and of all. */
  readonly four: (bytes: number) => void;
  readonly eight: (bytes: number) => void;
}

/** To write and compile the code takes some 10 ms, which are saved by then: who hashes less never has it. */
const WORTHWHILE_BYTES: number = 8 * 1024 * 1024;

let lanes: Md5Lanes | 'none' | undefined;
let companyBytes = 0;

/** Their digests, one behind the other. */
export function md5OfEach(messages: readonly Uint8Array[]): Uint8Array {
  if (messages.length > 1) {
    lanes ??= makeIfWorthwhile(messages);
    if (lanes !== undefined && lanes !== 'none') return lanes.hash(messages);
  }
  const digests = Buffer.allocUnsafe(MD5_BYTES * messages.length);
  // As hex, which Node makes twice as fast as a Buffer.
  messages.forEach((message, index) => {
    digests.write(hash('md5', message, 'hex'), MD5_BYTES * index, 'hex');
  });
  return digests;
}

function makeIfWorthwhile(messages: readonly Uint8Array[]): Md5Lanes | 'none' | undefined {
  for (const { length } of messages) companyBytes += length;
  return companyBytes < WORTHWHILE_BYTES ? undefined : (Md5Lanes.make() ?? 'none');
}

export class Md5Lanes {
  readonly #exports: Exports;
  readonly #bytes: Uint8Array;
  /** For copying: what is little-endian in there is so in a digest. */
  readonly #words: Int32Array;
  readonly #view: DataView;
  /** Of each lane: which message it has, and how much of that was hashed. */
  readonly #message: Int32Array = new Int32Array(MOST_GROUPS * LANES_OF_GROUP);
  readonly #hashed: Int32Array = new Int32Array(MOST_GROUPS * LANES_OF_GROUP);

  /** Undefined where there is no WebAssembly, no vectors, or no memory for it. */
  static make(): Md5Lanes | undefined {
    const functions = [functionOf('four', 1), functionOf('eight', MOST_GROUPS)];
    const exports = exportsOf({ pages: 1, memoryName: 'memory', functions });
    return exports === undefined ? undefined : new Md5Lanes(exports as Exports);
  }

  private constructor(exports: Exports) {
    const { buffer } = exports.memory;
    this.#exports = exports;
    this.#bytes = new Uint8Array(buffer);
    this.#words = new Int32Array(buffer);
    this.#view = new DataView(buffer);
    for (const [step, value] of constants().entries()) this.#view.setInt32(CONSTANTS_AT + 4 * step, value, true);
    for (const [word, value] of START.entries()) this.#view.setInt32(START_AT + 4 * word, value, true);
  }

  /** Their digests, one behind the other. A lane whose message is over takes the next one. */
  hash(messages: readonly Uint8Array[]): Uint8Array {
    const digests = new Int32Array((MD5_BYTES / 4) * messages.length);
    const message = this.#message;
    const hashed = this.#hashed;
    const isFew = messages.length <= LANES_OF_GROUP;
    const laneCount = isFew ? LANES_OF_GROUP : MOST_GROUPS * LANES_OF_GROUP;
    let next = 0;
    message.fill(NONE);
    for (let doneCount = 0; doneCount < messages.length; ) {
      let length = PIECE_BYTES;
      for (let lane = 0; lane < laneCount; lane++) {
        if (message[lane] === NONE && next < messages.length) this.#begin(lane, next++);
        const index = message[lane] as number;
        if (index === NONE) continue;
        length = Math.min(length, paddedBytes(messages[index] as Uint8Array) - (hashed[lane] as number));
      }
      for (let lane = 0; lane < laneCount; lane++) {
        const index = message[lane] as number;
        if (index !== NONE) this.#copy(lane, messages[index] as Uint8Array, length);
      }
      if (isFew) this.#exports.four(length);
      else this.#exports.eight(length);
      for (let lane = 0; lane < laneCount; lane++) {
        const index = message[lane] as number;
        if (index === NONE) continue;
        hashed[lane] = (hashed[lane] as number) + length;
        if (hashed[lane] !== paddedBytes(messages[index] as Uint8Array)) continue;
        for (let word = 0; word < START.length; word++) {
          digests[START.length * index + word] = this.#words[stateOf(lane, word)] as number;
        }
        message[lane] = NONE;
        doneCount++;
      }
    }
    return new Uint8Array(digests.buffer);
  }

  #begin(lane: number, index: number): void {
    this.#message[lane] = index;
    this.#hashed[lane] = 0;
    const words = this.#words;
    for (let word = 0; word < START.length; word++) {
      words[stateOf(lane, word)] = words[START_AT / 4 + word] as number;
    }
  }

  /** The next so many bytes of a message, and what follows its end. */
  #copy(lane: number, message: Uint8Array, length: number): void {
    const bytes = this.#bytes;
    const from = this.#hashed[lane] as number;
    const to = PIECES_AT + lane * PIECE_BYTES;
    // Less than none where only the message's length is left to be hashed.
    const left = message.length - from;
    const count = Math.max(0, Math.min(left, length));
    if (count > 0) bytes.set(new Uint8Array(message.buffer, message.byteOffset + from, count), to);
    if (count === length) return;
    bytes.fill(0, to + count, to + length);
    if (left >= 0) bytes[to + count] = END_MARK;
    if (from + length < paddedBytes(message)) return;
    this.#view.setUint32(to + length - 8, message.length << 3, true);
    this.#view.setUint32(to + length - 4, message.length >>> 29, true);
  }
}

/** With the mark of its end and its length, in whole blocks. */
function paddedBytes({ length }: Uint8Array): number {
  return BLOCK_BYTES * Math.ceil((length + 1 + LENGTH_BYTES) / BLOCK_BYTES);
}

/** Where in the memory's words that word of a lane's state is. */
function stateOf(lane: number, word: number): number {
  const group = Math.floor(lane / LANES_OF_GROUP);
  return (STATE_AT + group * STATE_BYTES + word * VECTOR_BYTES) / 4 + (lane % LANES_OF_GROUP);
}

/** RFC 1321, 3.4: of the sine. Those of the last round are less by one, see there. */
function constants(): number[] {
  return Array.from({ length: 64 }, (_, step) => {
    const constant = Math.floor(2 ** 32 * Math.abs(Math.sin(step + 1)));
    return step < 48 ? constant : constant - 1;
  });
}

// Locals of the functions: the argument, how far they are, and of each group the state, what it was before the block, and four for a while.
const LENGTH = 0;
const AT = 1;
const FIRST_VECTOR = 2;
const VECTORS_OF_GROUP = 12;
const STATE = 0;
const BEFORE = 4;
const OTHERS = 8;

function functionOf(name: string, groupCount: number): WasmFunction {
  const groups = Array.from({ length: groupCount }, (_, group) => group);
  const words = [0, 1, 2, 3];
  const inEach = (code: (group: number, word: number) => Code): Code =>
    groups.map((group) => words.map((word) => code(group, word)));
  const block = [
    groups.map(transpose),
    inEach((group, word) => set(vectorOf(group, BEFORE + word), get(vectorOf(group, STATE + word)))),
    // Step by step of both groups: what one waits for, the other does not.
    Array.from({ length: 64 }, (_, step) => groups.map((group) => hashStep(group, step))),
    inEach((group, word) => {
      const state = vectorOf(group, STATE + word);
      return set(state, add(get(state), get(vectorOf(group, BEFORE + word))));
    }),
    set(AT, plus(get(AT), number(BLOCK_BYTES))),
  ];
  const body = [
    inEach((group, word) => set(vectorOf(group, STATE + word), load(stateAt(group, word)))),
    repeat(block, isLess(get(AT), get(LENGTH))),
    inEach((group, word) => store(stateAt(group, word), get(vectorOf(group, STATE + word)))),
  ];
  return { name, numberCount: 1, vectorCount: VECTORS_OF_GROUP * groupCount, body };
}

function vectorOf(group: number, place: number): number {
  return FIRST_VECTOR + VECTORS_OF_GROUP * group + place;
}

function stateAt(group: number, word: number): number {
  return STATE_AT + group * STATE_BYTES + word * VECTOR_BYTES;
}

function blockAt(group: number, word: number): number {
  return BLOCK_AT + (16 * group + word) * VECTOR_BYTES;
}

/** From a block of each of four messages to sixteen vectors, each with a word of every message. */
function transpose(group: number): Code {
  const row = (lane: number): number => vectorOf(group, BEFORE + lane);
  const pair = (index: number): number => vectorOf(group, OTHERS + index);
  return [0, 1, 2, 3].map((quarter) => [
    [0, 1, 2, 3].map((lane) => {
      const piece = PIECES_AT + (LANES_OF_GROUP * group + lane) * PIECE_BYTES;
      return set(row(lane), load(piece + quarter * VECTOR_BYTES, get(AT)));
    }),
    [0, 2].map((lane) => [
      set(pair(lane), choose(get(row(lane)), get(row(lane + 1)), [0, 4, 1, 5])),
      set(pair(lane + 1), choose(get(row(lane)), get(row(lane + 1)), [2, 6, 3, 7])),
    ]),
    [0, 1, 2, 3].map((word) => {
      const half = word >> 1;
      const places = word % 2 === 0 ? [0, 1, 4, 5] : [2, 3, 6, 7];
      return store(blockAt(group, 4 * quarter + word), choose(get(pair(half)), get(pair(half + 2)), places));
    }),
  ]);
}

/** Of the four words of the state the first is made anew, `a = b + rotated(a + mixed(b, c, d) + word + constant)`; the next step takes them from one further on. */
function hashStep(group: number, step: number): Code {
  const round = step >> 4;
  const [a, b, c, d] = [0, 1, 2, 3].map((place) => vectorOf(group, STATE + ((place + 3 * step) & 3))) as [
    number,
    number,
    number,
    number,
  ];
  const word = [step, 5 * step + 1, 3 * step + 5, 7 * step][round] as number;
  const sum = add(add(get(a), loadSplat(CONSTANTS_AT + 4 * step)), load(blockAt(group, word & 15)));
  const bits = ROTATIONS[round]?.[step & 3] as number;
  return [
    set(a, mixed(round, sum, get(b), get(c), get(d))),
    set(a, add(or(shiftLeft(get(a), bits), shiftRight(get(a), 32 - bits)), get(b))),
  ];
}

/** What the step before has made is `b`: it is taken up as late as can be. */
function mixed(round: number, sum: Code, b: Code, c: Code, d: Code): Code {
  // (b & c) | (~b & d)
  if (round === 0) return add(sum, xor(d, and(b, xor(c, d))));
  // (b & d) | (c & ~d): no bit is in both, so they can be added.
  if (round === 1) return add(add(sum, andNot(c, d)), and(b, d));
  if (round === 2) return add(sum, xor(b, xor(c, d)));
  // c ^ (b | ~d) is ~(c ^ (d & ~b)), and to add ~x is to take away x and one more, which the constant is less by.
  return subtract(sum, xor(c, andNot(d, b)));
}
