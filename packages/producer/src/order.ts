// Keeps the order of each key. PutRecords promises no order, and a request that timed out may still be applied, so at most
// one Kinesis record per order key is unsettled at any time: a user record joins its key's open Kinesis record or is held
// back until the key's sealed one settles. Keys without contention never wait, so any number of Kinesis records of one
// shard may be in flight; one hot key moves at one Kinesis record a round trip, filled up meanwhile.
// Invariants: a key has one line, and that at most one carrier; a line with held records has a carrier that takes no more; held
// records of a line are in put order.
import type { HashKey } from '@shardline/common';
import type { KinesisRecord } from './batch.ts';
import { Fifo } from './fifo.ts';
import type { UserRecord } from './user-record.ts';

const FEWEST_SLOTS = 1_024;
const EMPTY = 0;

/**
 * The unsettled user records of one order key. The first of them is its line: most keys have no other, and an object more for each
 * would be one more to make, to find in memory, and to be collected.
 */
export interface Line {
  readonly partitionKey: string;
  readonly explicitHashKey?: HashKey;
  readonly orderHash: number;
  /** The key's unsettled Kinesis record. */
  lineCarrier: KinesisRecord | undefined;
  held: Fifo<UserRecord> | undefined;
}

export class KeyOrder {
  /**
   * A hash table, since most keys come and go with a single record: a Map keeps the places of what was deleted until it is
   * made anew, and took more time than all else that is done for a record. The next free slot is taken, and at most half of them are; the
   * hashes lie by themselves, so that a line is only looked at, which is in no cache, where it is the one.
   */
  #lines: (Line | undefined)[] = new Array(FEWEST_SLOTS).fill(undefined);
  #hashes: Int32Array = new Int32Array(FEWEST_SLOTS);
  #lineCount = 0;

  /** The line of the user record's key, until it is idle again. */
  lineOf(record: UserRecord): Line {
    const hashes = this.#hashes;
    const mask = hashes.length - 1;
    const hash = hashOf(record);
    let slot = hash & mask;
    for (; hashes[slot] !== EMPTY; slot = (slot + 1) & mask) {
      if (hashes[slot] !== hash) continue;
      const line = this.#lines[slot] as Line;
      if (haveOneKey(line, record)) return line;
    }
    hashes[slot] = hash;
    this.#lines[slot] = record;
    if (++this.#lineCount * 2 > hashes.length) this.#grow();
    return record;
  }

  /** The line's unsettled Kinesis record. */
  carrierOf(line: Line): KinesisRecord | undefined {
    return line.lineCarrier;
  }

  /** Notes the Kinesis record that a line's user record went into. */
  carry(line: Line, carrier: KinesisRecord): void {
    line.lineCarrier = carrier;
  }

  /** Holds a user record back behind its line's carrier. */
  hold(line: Line, record: UserRecord): void {
    line.held ??= new Fifo();
    line.held.push(record);
  }

  /** The carrier holds the line no more. False when it did not hold it. */
  free(line: Line, carrier: KinesisRecord): boolean {
    if (line.lineCarrier !== carrier) return false;
    line.lineCarrier = undefined;
    if (line.held === undefined) this.#remove(line);
    return true;
  }

  /** The user record that is next in a line; expired ones are passed over. */
  next(line: Line): UserRecord | undefined {
    const { held } = line;
    if (held === undefined) return undefined;
    for (let record = held.peek(); record !== undefined; record = held.peek()) {
      if (!record.settled) return record;
      held.shift();
    }
    this.#emptied(line);
    return undefined;
  }

  /** Takes what `next` gave. */
  take(line: Line): void {
    line.held?.shift();
  }

  /** Takes all that is held in a line. */
  takeAll(line: Line): Iterable<UserRecord> {
    const { held } = line;
    if (held === undefined) return [];
    this.#emptied(line);
    return held;
  }

  #emptied(line: Line): void {
    line.held = undefined;
    if (line.lineCarrier === undefined) this.#remove(line);
  }

  /** What comes behind moves up, as far as its own place allows: so nothing marks what was removed. */
  #remove(line: Line): void {
    const lines = this.#lines;
    const hashes = this.#hashes;
    const mask = hashes.length - 1;
    let free = hashOf(line) & mask;
    while (lines[free] !== line) {
      if (hashes[free] === EMPTY) return;
      free = (free + 1) & mask;
    }
    this.#lineCount--;
    for (let slot = (free + 1) & mask; hashes[slot] !== EMPTY; slot = (slot + 1) & mask) {
      const hash = hashes[slot] as number;
      if (((slot - (hash & mask)) & mask) < ((slot - free) & mask)) continue;
      hashes[free] = hash;
      lines[free] = lines[slot];
      free = slot;
    }
    hashes[free] = EMPTY;
    lines[free] = undefined;
  }

  /** Never shrinks: the bound of what is outstanding bounds it. */
  #grow(): void {
    const lines = this.#lines;
    const hashes = this.#hashes;
    const length = lines.length * 2;
    this.#lines = new Array(length).fill(undefined);
    this.#hashes = new Int32Array(length);
    for (const [from, line] of lines.entries()) {
      if (line === undefined) continue;
      const hash = hashes[from] as number;
      let slot = hash & (length - 1);
      while (this.#hashes[slot] !== EMPTY) slot = (slot + 1) & (length - 1);
      this.#hashes[slot] = hash;
      this.#lines[slot] = line;
    }
  }
}

function hashOf({ orderHash }: { readonly orderHash: number }): number {
  return orderHash === EMPTY ? 1 : orderHash;
}

function haveOneKey(a: Line, b: Line): boolean {
  return a.explicitHashKey === b.explicitHashKey && a.partitionKey === b.partitionKey;
}
