// What a simulated producer uses again: the memory that it sends from, and the objects of user records. Memory that is given back is spoilt at
// once, so that whoever still looks at it sees something else than was put; and it is given out again as soon as can be.
import { type MemoryLender, RecycledMemory } from '@shardline/common';
import { SpareRecord, type UserRecord } from '../../../producer/dist/user-record.js';

const SPOILT = 0xee;
/** Given out again whatever its length. */
const RECYCLED = { fewestBytes: 1, grainBytes: 64, mostIdleBytes: 64 * 1024 };

/** Sound, or with the planted bug that is about memory. The bugs' list is in planted-bugs.ts. */
export function lenderOf(plantedBug: string | undefined, violate: (text: string) => void): MemoryLender {
  return plantedBug === 'sent-is-over' ? new HastyMemory() : new WatchedMemory(violate);
}

/** The same of objects. */
export function sparesOf(plantedBug: string | undefined): SpareRecord {
  return plantedBug === 'spare-is-had' ? new HastySpare() : new SpareRecord();
}

class HastySpare extends SpareRecord {
  #last: UserRecord | undefined = undefined;

  override take(): UserRecord | undefined {
    const last = this.#last;
    this.#last = undefined;
    return last?.explicitHashKey === undefined ? last : undefined;
  }

  override giveBack(record: UserRecord): void {
    this.#last = record;
  }
}

class WatchedMemory implements MemoryLender {
  readonly #recycled = new RecycledMemory(RECYCLED);
  readonly #lent = new Set<Buffer>();
  readonly #violate: (text: string) => void;

  constructor(violate: (text: string) => void) {
    this.#violate = violate;
  }

  take(size: number): Buffer {
    const taken = this.#recycled.take(size);
    if (size > 0) this.#lent.add(taken);
    return taken;
  }

  giveBack(taken: Buffer): void {
    if (taken.length === 0) return;
    if (!this.#lent.delete(taken)) this.#violate('memory was given back that nobody had');
    taken.fill(SPOILT);
    this.#recycled.giveBack(taken);
  }
}

/** Of the last ones that were taken only so many are left alone. */
const LEFT_ALONE = 2;

class HastyMemory implements MemoryLender {
  readonly #recycled = new RecycledMemory(RECYCLED);
  readonly #taken: Buffer[] = [];

  take(size: number): Buffer {
    const sent = this.#taken.length > LEFT_ALONE ? this.#taken.shift() : undefined;
    if (sent !== undefined) this.#recycled.giveBack(sent);
    const taken = this.#recycled.take(size);
    this.#taken.push(taken);
    return taken;
  }

  giveBack(): void {}
}
