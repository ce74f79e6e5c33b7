// When a shard that is polled may be read next: at once while it is behind, in bunches at its tip, and slower where Kinesis refuses reads,
// since five reads and 2 MB a second of a shard are shared by all who poll it. Pure; polling.ts reads at these times, and how long
// a refused read waits before it is tried again is the core's, with jitter.
// Invariants: never sooner than 200 ms after the read before; at the tip never later than the idle time, but for what was refused.
import { SHARD_GET_RECORDS_PER_SECOND, SHARD_READ_BYTES_PER_SECOND } from '@shardline/common';

const SHORTEST_INTERVAL_MS = 1000 / SHARD_GET_RECORDS_PER_SECOND;
/**
 * Shards at rest are read in so many bunches in an idle time, those of a bunch together: a thousand that are each read at a moment of
 * their own wake the process a thousand times, and waking it costs as much as a read.
 */
const BUNCHES = 32;

export class Pace {
  readonly #idleTimeMs: number;
  #startedAt = Number.NEGATIVE_INFINITY;
  #dueAt = Number.NEGATIVE_INFINITY;
  /** Between two reads of a shard that is behind. */
  #intervalMs = SHORTEST_INTERVAL_MS;
  /** When all that was read would have come at 2 MB/s. Heeded once a read was refused: until then it is not known that anybody counts. */
  #paidAt = Number.NEGATIVE_INFINITY;
  #isCounted = false;

  /** @param idleTimeMs between reads at the tip, at least 200. */
  constructor(idleTimeMs: number) {
    this.#idleTimeMs = idleTimeMs;
  }

  /** When the next read may begin. */
  get dueAt(): number {
    return this.#dueAt;
  }

  began(now: number): void {
    this.#startedAt = now;
    this.#dueAt = now + SHORTEST_INTERVAL_MS;
  }

  /** @param bytes of its records. @param isBehind there was more. */
  answered(bytes: number, isBehind: boolean): void {
    this.#paidAt = Math.max(this.#paidAt, this.#startedAt) + (1000 * bytes) / SHARD_READ_BYTES_PER_SECOND;
    this.#intervalMs = Math.max(SHORTEST_INTERVAL_MS, this.#intervalMs * (7 / 8));
    this.#dueAt = isBehind ? this.#nextAt() : Math.max(this.#bunchAt(), this.#nextAt());
  }

  /** Kinesis took it for one too many. */
  refused(): void {
    this.#isCounted = true;
    this.#intervalMs = Math.min(2 * this.#intervalMs, Math.max(SHORTEST_INTERVAL_MS, this.#idleTimeMs));
    this.#dueAt = this.#nextAt();
  }

  #nextAt(): number {
    const nextAt = this.#startedAt + this.#intervalMs;
    return this.#isCounted ? Math.max(nextAt, this.#paidAt) : nextAt;
  }

  /** The last bunch within an idle time after the read. */
  #bunchAt(): number {
    const periodMs = this.#idleTimeMs / BUNCHES;
    return Math.floor((this.#startedAt + this.#idleTimeMs) / periodMs) * periodMs;
  }
}
