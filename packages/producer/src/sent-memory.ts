// Where aggregated records, and the copies of what travels alone, lie until they have arrived: the memory of one is the next one's, as long as the
// client is one that keeps nothing of what it is given. Any other, a mock of the SDK or one with middleware, may look at it later.
import { forgetsInputs, type MemoryLender, NODES_MEMORY, RecycledMemory } from '@shardline/common';

/** Of shorter ones many share what Node takes at a time. */
const FEWEST_BYTES = 512;
const GRAIN_BYTES = 1024;
const MOST_IDLE_BYTES: number = 16 * 1024 * 1024;

type Client = Parameters<typeof forgetsInputs>[0];

/** For what is sent by that client. */
export function sentMemory(client: Client): MemoryLender {
  return forgetsInputs(client) ? new SentMemory(client) : NODES_MEMORY;
}

class SentMemory implements MemoryLender {
  readonly #client: Client;
  readonly #recycled = new RecycledMemory({
    fewestBytes: FEWEST_BYTES,
    grainBytes: GRAIN_BYTES,
    mostIdleBytes: MOST_IDLE_BYTES,
  });

  constructor(client: Client) {
    this.#client = client;
  }

  take(size: number): Buffer {
    return this.#recycled.take(size);
  }

  /** Middleware may have come since. */
  giveBack(taken: Buffer): void {
    if (forgetsInputs(this.#client)) this.#recycled.giveBack(taken);
  }
}
