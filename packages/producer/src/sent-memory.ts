// Where aggregated records, and the copies of what travels alone, lie until they have arrived: the memory of one is the next one's, as long as
// nobody has seen it but the short way of a client of ours. A mock of the SDK, middleware, a wrapper or a logger may look at it later.
import { type MemoryLender, NODES_MEMORY, RecycledMemory, sendsShortly, wasSentShortly } from '@shardline/common';

/** Of shorter ones many share what Node takes at a time. */
const FEWEST_BYTES = 512;
const GRAIN_BYTES = 1024;
const MOST_IDLE_BYTES: number = 16 * 1024 * 1024;

interface Client {
  readonly send: unknown;
}

export class SentMemory implements MemoryLender {
  readonly #client: Client;
  readonly #memory: MemoryLender;
  readonly #seen = new WeakSet<Uint8Array>();

  /** For what is sent by that client. */
  constructor(client: Client) {
    this.#client = client;
    this.#memory = sendsShortly(client)
      ? new RecycledMemory({ fewestBytes: FEWEST_BYTES, grainBytes: GRAIN_BYTES, mostIdleBytes: MOST_IDLE_BYTES })
      : NODES_MEMORY;
  }

  take(size: number): Buffer {
    return this.#memory.take(size);
  }

  giveBack(taken: Buffer): void {
    if (!this.#seen.has(taken)) this.#memory.giveBack(taken);
  }

  /** A command with that data is given to the client: call what comes back when the client has said what became of it. */
  sending(command: object, data: readonly Uint8Array[]): () => void {
    const isOurs = sendsShortly(this.#client);
    return () => {
      if (isOurs && wasSentShortly(command)) return;
      for (const each of data) this.#seen.add(each);
    };
  }
}
