// Memory for the bodies of requests, for the short way of frequent calls (aws-shortcut.ts). A body of PutRecords is a megabyte or more and
// lives for a round trip: taken from the system anew each time, its pages are zeroed each time, and V8, which counts what lies outside its heap,
// marks the whole heap for every 64 MB of it. So what has been sent is written over.
// Invariants: memory is given out to one body at a time; what is kept idle is bounded.

/** Smaller ones are Node's affair. */
const FEWEST_BYTES: number = 64 * 1024;
/** Memory comes in multiples of it, so that bodies of nearly one size can follow each other. */
const GRAIN_BYTES: number = 256 * 1024;
const MOST_IDLE_BYTES: number = 16 * 1024 * 1024;

export class BodyMemory {
  /** The one given back last is at the end. */
  #idle: ArrayBuffer[] = [];
  #idleBytes = 0;

  get idleBytes(): number {
    return this.#idleBytes;
  }

  /** A buffer of that many bytes, with whatever was in it. */
  take(size: number): Buffer {
    if (size < FEWEST_BYTES) return Buffer.allocUnsafe(size);
    const index = this.#idle.findLastIndex(({ byteLength }) => byteLength >= size);
    const [memory] = index === -1 ? [] : this.#idle.splice(index, 1);
    if (memory === undefined) {
      const capacity = GRAIN_BYTES * Math.ceil(size / GRAIN_BYTES);
      return Buffer.allocUnsafeSlow(capacity).subarray(0, size);
    }
    this.#idleBytes -= memory.byteLength;
    return Buffer.from(memory, 0, size);
  }

  /** Takes back what `take` gave, once; nobody may look at it any more. */
  giveBack({ buffer, length }: Buffer): void {
    if (length < FEWEST_BYTES || !(buffer instanceof ArrayBuffer)) return;
    this.#idle.push(buffer);
    this.#idleBytes += buffer.byteLength;
    while (this.#idleBytes > MOST_IDLE_BYTES) this.#idleBytes -= (this.#idle.shift() as ArrayBuffer).byteLength;
  }
}
