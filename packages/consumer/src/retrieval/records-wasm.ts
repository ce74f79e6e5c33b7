// The records of an answer, out of its JSON, sixteen bytes at a time: JavaScript goes over it one by one, and hands base64 to a decoder whose call
// costs as much as a short record. Here is the way into WebAssembly's memory and out of it; what is done there is in records-code.ts. What is
// written in any but the usual way, and what there is no room for, is left to records-json.ts, an answer as a whole. Pure.
// Invariant: what this reads, records-json.ts would read alike.
import { wasm } from '@shardline/common';
import { type FoundRecords, RecordRows } from './record-rows.ts';
import * as layout from './records-code.ts';

/** To write and compile the code takes some 3 ms, which are saved by then: who reads less never has it. */
const WORTHWHILE_BYTES: number = 8 * 1024 * 1024;
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer };
  /** From a first record on, which begins there. */
  readonly read: (at: number) => void;
}

let reader: VectorReader | 'none' | undefined;
let companyBytes = 0;

/** @returns undefined: they are to be read one by one. */
export function findWithVectors(json: Buffer, from: number): FoundRecords | undefined {
  if (reader === undefined) {
    companyBytes += json.length;
    if (companyBytes < WORTHWHILE_BYTES) return undefined;
    reader = VectorReader.make() ?? 'none';
  }
  return reader === 'none' ? undefined : reader.find(json, from);
}

export class VectorReader {
  readonly #exports: Exports;
  readonly #bytes: Uint8Array;
  readonly #words: Int32Array;

  /** Undefined where there is no WebAssembly, no vectors, or no memory for it. */
  static make(): VectorReader | undefined {
    const exports = wasm.exportsOf(layout.recordsModule());
    return exports === undefined ? undefined : new VectorReader(exports as Exports);
  }

  private constructor(exports: Exports) {
    const { buffer } = exports.memory;
    this.#exports = exports;
    this.#bytes = new Uint8Array(buffer);
    this.#words = new Int32Array(buffer);
    this.#bytes.fill(layout.NO_SEXTET, layout.SEXTETS_AT, layout.SEXTETS_AT + 256);
    for (const [value, char] of [...ALPHABET].entries()) this.#bytes[layout.SEXTETS_AT + char.charCodeAt(0)] = value;
    const powers = new Float64Array(buffer, layout.POWERS_AT, layout.POWERS);
    for (let power = 0; power < layout.POWERS; power++) powers[power] = 10 ** power;
  }

  /** @returns undefined where they have to be read one by one. */
  find(json: Buffer, from: number): FoundRecords | undefined {
    const length = json.length - from;
    if (length > layout.MOST_BYTES) return undefined;
    const memory = this.#bytes;
    const words = this.#words;
    memory.set(new Uint8Array(json.buffer, json.byteOffset + from, length), layout.IN_AT);
    memory.fill(0, layout.IN_AT + length, layout.IN_AT + length + layout.BLANK_BYTES);
    words[layout.END_AT / 4] = 0;
    this.#exports.read(layout.IN_AT);
    const end = words[layout.END_AT / 4] as number;
    if (end === 0) return undefined;
    const kept = Buffer.allocUnsafeSlow((words[layout.KEPT_AT / 4] as number) - layout.OUT_AT);
    kept.set(memory.subarray(layout.OUT_AT, layout.OUT_AT + kept.length));
    const rows = words.slice(layout.ROWS_AT / 4, (words[layout.ROWS_END_AT / 4] as number) / 4);
    const byteCount = words[layout.BYTE_COUNT_AT / 4] as number;
    const records = RecordRows.of(kept, rows, byteCount, words[layout.IS_RISING_AT / 4] === 1);
    return { records, end: end - layout.IN_AT + from };
  }
}
