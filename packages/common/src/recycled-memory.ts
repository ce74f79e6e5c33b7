// Memory for what is written once, sent, and then nobody's: bodies of requests (aws-shortcut.ts) and aggregated records. They are large and
// live for a round trip: taken from the system anew each time, their pages are zeroed each time, and V8, which counts what lies outside its heap,
// marks the whole heap for every 64 MB of it. So what is over is written over.
// Invariants: memory is given out to one owner at a time; what is kept idle is bounded; nobody gets four times as much as was asked for, but for a grain.

/** Gives out memory, and may use again what it gets back. */
export interface MemoryLender {
  /** A buffer of that many bytes, with whatever was in it. */
  take(size: number): Buffer;
  /** Takes back what `take` gave, once; nobody may look at it any more. */
  giveBack(taken: Buffer): void;
}

/** Uses nothing again. */
export const NODES_MEMORY: MemoryLender = { take: (size) => Buffer.allocUnsafe(size), giveBack: () => undefined };

export interface RecycledMemoryOptions {
  /** Smaller ones are Node's affair. */
  readonly fewestBytes: number;
  /** Memory comes in multiples of it, so that what is of nearly one size can follow each other. */
  readonly grainBytes: number;
  readonly mostIdleBytes: number;
}

/** From the end: where all are of nearly one size the last one fits. */
const MOST_LOOKED_AT = 16;

/** Idle memory whose lengths have as many binary digits; the one given back last is at the end. */
interface Idle {
  readonly memories: ArrayBuffer[];
  bytes: number;
}

export class RecycledMemory implements MemoryLender {
  readonly #options: RecycledMemoryOptions;
  readonly #idle: readonly Idle[] = Array.from({ length: 33 }, () => ({ memories: [], bytes: 0 }));
  #idleBytes = 0;

  constructor(options: RecycledMemoryOptions) {
    this.#options = options;
  }

  get idleBytes(): number {
    return this.#idleBytes;
  }

  take(size: number): Buffer {
    const { fewestBytes, grainBytes } = this.#options;
    if (size < fewestBytes) return Buffer.allocUnsafe(size);
    const capacity = grainBytes * Math.ceil(size / grainBytes);
    const digits = digitsOf(capacity);
    const memory = this.#takeFrom(digits, size) ?? this.#takeFrom(digits + 1, size);
    if (memory !== undefined) return Buffer.from(memory, 0, size);
    return Buffer.allocUnsafeSlow(capacity).subarray(0, size);
  }

  giveBack({ buffer, length }: Buffer): void {
    const { fewestBytes, mostIdleBytes } = this.#options;
    if (length < fewestBytes || !(buffer instanceof ArrayBuffer)) return;
    const idle = this.#idle[digitsOf(buffer.byteLength)] as Idle;
    idle.memories.push(buffer);
    idle.bytes += buffer.byteLength;
    this.#idleBytes += buffer.byteLength;
    while (this.#idleBytes > mostIdleBytes) this.#dropOne();
  }

  #takeFrom(digits: number, size: number): ArrayBuffer | undefined {
    const idle = this.#idle[digits] as Idle;
    const { memories } = idle;
    for (let index = memories.length - 1; index >= Math.max(0, memories.length - MOST_LOOKED_AT); index--) {
      const memory = memories[index] as ArrayBuffer;
      if (memory.byteLength < size) continue;
      memories[index] = memories.at(-1) as ArrayBuffer;
      memories.pop();
      idle.bytes -= memory.byteLength;
      this.#idleBytes -= memory.byteLength;
      return memory;
    }
    return undefined;
  }

  /** Of the lengths that most of it has. */
  #dropOne(): void {
    const most = this.#idle.reduce((most, idle) => (idle.bytes > most.bytes ? idle : most));
    const { byteLength } = most.memories.shift() as ArrayBuffer;
    most.bytes -= byteLength;
    this.#idleBytes -= byteLength;
  }
}

function digitsOf(length: number): number {
  return 32 - Math.clz32(length);
}
