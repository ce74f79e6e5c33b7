// The records of a GetRecords answer, out of its CBOR: data are views of the body, nothing is decoded twice. The whole is looked through at once,
// and where each record has what is noted in a row of numbers; an object is made of it when it is asked for, and by then it is soon
// handled. Ten thousand objects an answer that wait, of many shards, are most of a process's memory, and moved and marked until they go. Pure.
// Members that are not known are passed over, as the SDK's parsers do.
// Invariants: what this reads, it reads as records-json.ts would read the same answer; an answer is refused as a whole, before any record is given.
import { CborError, CborReader, NOT_PLAIN } from '@shardline/common';
import type { KinesisRecords } from './backlog.ts';
import type { KinesisRecord } from './deaggregate.ts';

export interface CborAnswer {
  readonly records: KinesisRecords;
  /** The other members, null ones left out, as the SDK gives them. */
  readonly rest: Readonly<Record<string, unknown>>;
}

const RECORDS = Buffer.from('Records');
const DATA = Buffer.from('Data');
const SEQUENCE_NUMBER = Buffer.from('SequenceNumber');
const PARTITION_KEY = Buffer.from('PartitionKey');
const ARRIVED_AT = Buffer.from('ApproximateArrivalTimestamp');

// A row: six 32-bit numbers, and one of 64 bits.
const ROW_SHIFT = 3;
const DATA_AT = 0;
const DATA_LENGTH = 1;
const NUMBER_AT = 2;
const NUMBER_LENGTH = 3;
const KEY_AT = 4;
const KEY_LENGTH = 5;
const ARRIVED = 3;
const FEWEST_ROWS = 16;

/** @throws CborError saying where the body is no such answer. */
export function readCborAnswer(body: Buffer): CborAnswer {
  const reader = new CborReader(body);
  const records = new CborRecords(body);
  const rest: [string, unknown][] = [];
  for (let left = reader.openMap(); reader.hasMore(left); left -= 1) {
    if (reader.takeName(RECORDS)) readRecords(reader, records);
    else {
      const name = reader.text();
      const value = reader.value();
      if (value !== null) rest.push([name, value]);
    }
  }
  reader.end();
  return { records, rest: Object.fromEntries(rest) };
}

function readRecords(reader: CborReader, records: CborRecords): void {
  if (reader.takeNull()) return;
  for (let left = reader.openList(); reader.hasMore(left); left -= 1) records.read(reader);
}

class CborRecords implements KinesisRecords {
  readonly #body: Buffer;
  readonly #memory: ArrayBufferLike;
  readonly #offset: number;
  #words = new Int32Array(FEWEST_ROWS << ROW_SHIFT);
  #times = new Float64Array(this.#words.buffer);
  /** Those that are written in another way than usual. */
  readonly #unusual = new Map<number, KinesisRecord>();
  length = 0;
  byteCount = 0;

  constructor(body: Buffer) {
    this.#body = body;
    this.#memory = body.buffer;
    this.#offset = body.byteOffset;
  }

  /** The next one. @throws CborError */
  read(reader: CborReader): void {
    const index = this.length;
    if ((index + 1) << ROW_SHIFT > this.#words.length) this.#lengthen();
    const from = reader.at;
    if (this.#note(reader, index << ROW_SHIFT))
      this.byteCount += this.#words[(index << ROW_SHIFT) + DATA_LENGTH] as number;
    else {
      reader.at = from;
      const record = readRecord(reader);
      this.#unusual.set(index, record);
      this.byteCount += record.data.length;
    }
    this.length = index + 1;
  }

  at(index: number): KinesisRecord | undefined {
    if (index >= this.length) return undefined;
    const unusual = this.#unusual.size > 0 ? this.#unusual.get(index) : undefined;
    if (unusual !== undefined) return unusual;
    const words = this.#words;
    const row = index << ROW_SHIFT;
    const keyLength = words[row + KEY_LENGTH] as number;
    const approximateArrivalTimestamp = new Date(this.#times[(row >> 1) + ARRIVED] as number);
    return {
      partitionKey: keyLength === 0 ? '' : this.#textAt(words[row + KEY_AT] as number, keyLength),
      data: new Uint8Array(
        this.#memory,
        this.#offset + (words[row + DATA_AT] as number),
        words[row + DATA_LENGTH] as number,
      ),
      sequenceNumber: this.#textAt(words[row + NUMBER_AT] as number, words[row + NUMBER_LENGTH] as number),
      subSequenceNumber: 0,
      approximateArrivalTimestamp,
      aggregated: false,
    };
  }

  /** @returns false: it is another kind of record, or none. */
  #note(reader: CborReader, row: number): boolean {
    const words = this.#words;
    let dataLength = NOT_PLAIN;
    let numberLength = NOT_PLAIN;
    let keyLength = 0;
    let arrivedAtMs = 0;
    for (let left = reader.openMap(); reader.hasMore(left); left -= 1) {
      if (reader.takeName(SEQUENCE_NUMBER)) {
        numberLength = reader.passDigits();
        if (numberLength === NOT_PLAIN) return false;
        words[row + NUMBER_AT] = reader.at - numberLength;
      } else if (reader.takeName(ARRIVED_AT)) arrivedAtMs = readTime(reader);
      else if (reader.takeName(DATA)) {
        dataLength = reader.passBytes();
        if (dataLength === NOT_PLAIN) return false;
        words[row + DATA_AT] = reader.at - dataLength;
      } else if (reader.takeName(PARTITION_KEY)) {
        keyLength = reader.takeNull() ? 0 : reader.passAscii();
        if (keyLength === NOT_PLAIN) return false;
        words[row + KEY_AT] = reader.at - keyLength;
      } else {
        reader.skip();
        reader.skip();
      }
    }
    words[row + DATA_LENGTH] = dataLength;
    words[row + NUMBER_LENGTH] = numberLength;
    words[row + KEY_LENGTH] = keyLength;
    this.#times[(row >> 1) + ARRIVED] = arrivedAtMs;
    return dataLength !== NOT_PLAIN && numberLength !== NOT_PLAIN;
  }

  #textAt(at: number, length: number): string {
    return this.#body.toString('latin1', at, at + length);
  }

  #lengthen(): void {
    const words = new Int32Array(2 * this.#words.length);
    words.set(this.#words);
    this.#words = words;
    this.#times = new Float64Array(words.buffer);
  }
}

function readRecord(reader: CborReader): KinesisRecord {
  let data: Uint8Array | undefined;
  let partitionKey = '';
  let sequenceNumber: string | undefined;
  let arrivedAtMs = 0;
  for (let left = reader.openMap(); reader.hasMore(left); left -= 1) {
    if (reader.takeName(SEQUENCE_NUMBER)) sequenceNumber = reader.digits();
    else if (reader.takeName(ARRIVED_AT)) arrivedAtMs = readTime(reader);
    else if (reader.takeName(DATA)) data = reader.bytes();
    else if (reader.takeName(PARTITION_KEY)) partitionKey = reader.takeNull() ? '' : reader.text();
    else {
      reader.skip();
      reader.skip();
    }
  }
  if (data === undefined) throw new CborError('CBOR: expected a record with Data, got one without');
  if (sequenceNumber === undefined) throw new CborError('CBOR: expected a record with SequenceNumber, got one without');
  const approximateArrivalTimestamp = new Date(arrivedAtMs);
  return { partitionKey, data, sequenceNumber, subSequenceNumber: 0, approximateArrivalTimestamp, aggregated: false };
}

/** Milliseconds, with tag 1 or none: the SDK for Java looks at no tag. */
function readTime(reader: CborReader): number {
  return reader.takeNull() ? 0 : Math.round(reader.number());
}
