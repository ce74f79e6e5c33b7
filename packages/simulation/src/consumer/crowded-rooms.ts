// Worlds in which the room of each worker for what is read and not handled is so narrow that shards wait for each other; and the
// checker of it: what the handlers of a process have and will get never takes more than its room, whatever befalls it. How the room
// is drawn does not touch the sequence of the world, so that all others stay as they are.
import type { FetchBatch } from '../../../consumer/dist/coordination/effects.js';
import type { RoomOptions } from '../../../consumer/dist/coordination/room.js';
import { createPrng } from '../prng.ts';

/** A Kinesis record stands for so many user records at most, of a byte each. */
const KINESIS_RECORD_BYTES = 3;

export const WIDE: RoomOptions = {
  maxPendingBytesForWorker: 1e6,
  maxPendingRecordCountForWorker: 1e6,
  roomPatienceMs: 1000,
};

/**
 * All is read in less by a worker whose shards wait for each other: 23 of them, a read each of 0.4 s in turn, and thirty records of a
 * shard that come one by one.
 */
export const CROWDED_READ_MS = 360_000;

/** @returns undefined: in this world nobody waits for room. */
export function crowdedRoom(seed: number): RoomOptions | undefined {
  if (seed % 3 !== 2) return undefined;
  const maxPendingBytesForWorker = createPrng(seed ^ 0xc0de).between(4, 12);
  return { ...WIDE, maxPendingBytesForWorker };
}

/** @returns Kinesis records that may be read; 0: not even one. */
export function readable({ most }: FetchBatch): number {
  return Math.floor(most.bytes / KINESIS_RECORD_BYTES);
}

export const LEAST_BYTES: number = KINESIS_RECORD_BYTES;

/** Of one process. */
export class RoomWatch {
  readonly #bytes: number;
  readonly #held = new Map<number, Map<number, number>>();
  /** Of all tenures, at most, by now. */
  #tenureCount = 0;

  constructor({ maxPendingBytesForWorker }: RoomOptions) {
    this.#bytes = maxPendingBytesForWorker;
  }

  opened(tenure: number): void {
    this.#held.set(tenure, new Map());
  }

  /** @returns what is wrong. */
  fetched(tenure: number, batchId: number, bytes: number): string | undefined {
    // What comes for one that is closed is dropped.
    this.#held.get(tenure)?.set(batchId, bytes);
    this.#tenureCount = Math.max(this.#tenureCount, this.#held.size);
    const held = [...this.#held.values()].reduce((sum, each) => sum + total(each), 0);
    if (held <= this.#most) return undefined;
    return `${held} bytes are read and not handled, in ${this.#held.size} shards of a worker with room for ${this.#bytes}`;
  }

  handled(tenure: number, batchId: number): void {
    this.#held.get(tenure)?.delete(batchId);
  }

  closed(tenure: number): void {
    this.#held.delete(tenure);
  }

  /** And a record for each that was let in all the same, or that was told before how much it may read and did not know whether there is any. */
  get #most(): number {
    return this.#bytes + this.#tenureCount * KINESIS_RECORD_BYTES;
  }
}

function total(batches: ReadonlyMap<number, number>): number {
  return [...batches.values()].reduce((sum, bytes) => sum + bytes, 0);
}
