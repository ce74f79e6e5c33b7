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

const FEWEST_BUCKETS = 1_024;

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
  /** Of the same bucket. */
  nextLine: Line | undefined;
}

export class KeyOrder {
  /**
   * A hash table, since most keys come and go with a single record: a Map keeps the places of what was deleted until it is
   * made anew, and took more time than all else that is done for a record.
   */
  #buckets: (Line | undefined)[] = new Array(FEWEST_BUCKETS).fill(undefined);
  #lineCount = 0;

  /** The line of the user record's key, until it is idle again. */
  lineOf(record: UserRecord): Line {
    const bucket = this.#bucketOf(record);
    const first = this.#buckets[bucket];
    for (let line = first; line !== undefined; line = line.nextLine) if (haveOneKey(line, record)) return line;
    record.nextLine = first;
    this.#buckets[bucket] = record;
    if (++this.#lineCount > this.#buckets.length) this.#grow();
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

  #bucketOf({ orderHash }: { readonly orderHash: number }): number {
    return orderHash & (this.#buckets.length - 1);
  }

  #remove(line: Line): void {
    const bucket = this.#bucketOf(line);
    const first = this.#buckets[bucket];
    this.#lineCount--;
    if (first === line) this.#buckets[bucket] = line.nextLine;
    else {
      for (let before = first; before !== undefined; before = before.nextLine) {
        if (before.nextLine === line) before.nextLine = line.nextLine;
      }
    }
    line.nextLine = undefined;
  }

  /** Never shrinks: the bound of what is outstanding bounds it. */
  #grow(): void {
    const lines = this.#buckets;
    this.#buckets = new Array(lines.length * 2).fill(undefined);
    for (const first of lines) {
      for (let line = first; line !== undefined; ) {
        const { nextLine } = line;
        const bucket = this.#bucketOf(line);
        line.nextLine = this.#buckets[bucket];
        this.#buckets[bucket] = line;
        line = nextLine;
      }
    }
  }
}

function haveOneKey(a: Line, b: Line): boolean {
  return a.explicitHashKey === b.explicitHashKey && a.orderHash === b.orderHash && a.partitionKey === b.partitionKey;
}
