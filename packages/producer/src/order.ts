// Keeps the order of each key. PutRecords promises no order, and a request that timed out may still be applied, so at most
// one Kinesis record per order key is unsettled at any time: a user record joins its key's open Kinesis record or is held
// back until the key's sealed one settles. Keys without contention never wait, so any number of Kinesis records of one
// shard may be in flight; one hot key moves at one Kinesis record a round trip, filled up meanwhile.
// Invariants: a key has at most one carrier; a key with held records has a carrier that takes no more; held records of a
// key are in put order.
import type { KinesisRecord } from './batch.ts';
import { Fifo } from './fifo.ts';
import type { UserRecord } from './user-record.ts';

export class KeyOrder {
  readonly #carriers = new Map<string, KinesisRecord>();
  readonly #held = new Map<string, Fifo<UserRecord>>();

  /** The key's unsettled Kinesis record. */
  carrierOf(orderKey: string): KinesisRecord | undefined {
    return this.#carriers.get(orderKey);
  }

  /** Notes the Kinesis record that a key's user record went into. */
  carry(orderKey: string, carrier: KinesisRecord): void {
    this.#carriers.set(orderKey, carrier);
  }

  /** Holds a user record back behind its key's carrier. */
  hold(record: UserRecord): void {
    const queue = this.#held.get(record.orderKey);
    if (queue !== undefined) {
      queue.push(record);
      return;
    }
    const fresh = new Fifo<UserRecord>();
    fresh.push(record);
    this.#held.set(record.orderKey, fresh);
  }

  /** The carrier holds the key no more. False when it did not hold it. */
  free(orderKey: string, carrier: KinesisRecord): boolean {
    if (this.#carriers.get(orderKey) !== carrier) return false;
    this.#carriers.delete(orderKey);
    return true;
  }

  /** The user record that is next for a key; expired ones are passed over. */
  next(orderKey: string): UserRecord | undefined {
    const queue = this.#held.get(orderKey);
    if (queue === undefined) return undefined;
    for (let record = queue.peek(); record !== undefined; record = queue.peek()) {
      if (!record.settled) return record;
      queue.shift();
    }
    this.#held.delete(orderKey);
    return undefined;
  }

  /** Takes what `next` gave. */
  take(orderKey: string): void {
    this.#held.get(orderKey)?.shift();
  }

  /** Takes all that is held for a key. */
  takeAll(orderKey: string): Iterable<UserRecord> {
    const queue = this.#held.get(orderKey);
    if (queue === undefined) return [];
    this.#held.delete(orderKey);
    return queue;
  }
}
