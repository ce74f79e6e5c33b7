// An operator of some worlds who has shards read again from an earlier place, and the checker of that. A checkpoint goes back only by such a
// word, said to the worker that holds the lease and writes it, and to that very place; every word is answered once, one that is said to
// be done was written, and who stops does not deny what it still holds. What is behind the place counts as unhandled from that write on, so that
// the checkers of covered checkpoints and of drained shards see a record that is passed over. How it is drawn does not touch the sequence of the
// world, so that all others stay as they are.
import { compareExtended, type ExtendedSequenceNumber, formatExtended, TRIM_HORIZON } from '@shardline/common';
import { actualOwner, type Lease } from '../../../consumer/dist/coordination/lease.js';
import type { ReplayOutcome } from '../../../consumer/dist/coordination/replaying.js';
import { createPrng, type Prng } from '../prng.ts';
import type { SimulatedProcess } from './process.ts';
import type { Position } from './shard-history.ts';

/** Between two words. */
const PACE_MS = [80, 500] as const;
/** Of the words so many are about the beginning of the shard. */
const FROM_BEGINNING = 0.2;
/** Of the words so many are about a later place than what was handled, which is refused. */
const AHEAD = 0.1;

interface Asked {
  readonly process: SimulatedProcess;
  readonly leaseKey: string;
  readonly position: ExtendedSequenceNumber;
  isWritten: boolean;
  /** Its process has died, or has said that it lost the lease; what was sent may land yet. */
  isGivenUp: boolean;
  isAnswered: boolean;
}

const NEW = { isWritten: false, isGivenUp: false, isAnswered: false };

export class Replays {
  readonly #prng: Prng;
  /** Those that are not answered yet. */
  readonly #asked = new Map<number, Asked>();
  /** Of each lease, the process that wrote it last as its holder. */
  readonly #writers = new Map<string, number>();
  #count = 0;

  private constructor(seed: number) {
    this.#prng = createPrng(seed ^ 0x4e91a1);
  }

  /** @returns undefined: in this world there are none. */
  static of(seed: number): Replays | undefined {
    return seed % 12 === 10 ? new Replays(seed) : undefined;
  }

  /** When something is said, up to the end of the faults. */
  *times(untilMs: number): Iterable<number> {
    for (let at = this.#prng.between(...PACE_MS); at < untilMs; at += this.#prng.between(...PACE_MS)) yield at;
  }

  /** Says a word to one that hears it at once. @param recordsOf all of a shard. */
  speak(
    living: readonly SimulatedProcess[],
    leases: readonly Lease[],
    recordsOf: (leaseKey: string) => readonly Position[],
    now: number,
  ): void {
    const awake = living.filter(({ pausedUntil }) => pausedUntil <= now);
    if (awake.length === 0 || leases.length === 0) return;
    const lease = this.#prng.pick(leases);
    const holder = awake.find(({ workerId }) => workerId === actualOwner(lease));
    const process = holder !== undefined && this.#prng.chance(0.9) ? holder : this.#prng.pick(awake);
    const position = this.#placeIn(lease, recordsOf(lease.leaseKey));
    this.#count += 1;
    this.#asked.set(this.#count, { process, leaseKey: lease.leaseKey, position, ...NEW });
    process.replay({ kind: 'replay', leaseKey: lease.leaseKey, position, requestId: this.#count });
  }

  /** A write was applied by a holder. @returns whether the checkpoint goes back by it, as it was asked for. */
  rewinds(process: SimulatedProcess, before: Lease, after: Lease): boolean {
    const { leaseKey } = after;
    const writer = this.#writers.get(leaseKey);
    this.#writers.set(leaseKey, process.id);
    if (compareExtended(after.checkpoint, before.checkpoint) >= 0) {
      // To the place where it is already it is written as well.
      for (const asked of this.#of(process, after)) asked.isWritten = true;
      return false;
    }
    if (actualOwner(before) !== process.workerId || writer !== process.id) return false;
    const found = this.#of(process, after);
    for (const asked of found) asked.isWritten = true;
    return found.length > 0;
  }

  /** A checkpoint of a holder was refused, which is told how the row stands: at the place that was meant, there is nothing to write. */
  refused(process: SimulatedProcess, row: Lease): void {
    for (const asked of this.#of(process, row)) asked.isWritten = true;
  }

  /** A worker has answered. @returns what is wrong. */
  settled(
    process: SimulatedProcess,
    requestId: number,
    outcome: ReplayOutcome,
    rowOf: (leaseKey: string) => Lease | undefined,
  ): string | undefined {
    const asked = this.#asked.get(requestId);
    if (asked?.process !== process || asked.isAnswered)
      return `process ${process.id} answers replay ${requestId}, which it was not asked for`;
    asked.isAnswered = true;
    if (outcome === 'leaseLost') asked.isGivenUp = true;
    else this.#asked.delete(requestId);
    const { leaseKey, position, isWritten } = asked;
    if (outcome === 'notHeld' && process.stopping && process.holds(leaseKey))
      return `process ${process.id} stops, holds ${leaseKey} yet, and says that it does not`;
    const row = rowOf(leaseKey);
    // It may have stood there already.
    const isThere = row !== undefined && compareExtended(row.checkpoint, position) === 0;
    if (outcome !== 'replayed' || isWritten || isThere) return undefined;
    return `${leaseKey} is said to be read again from ${formatExtended(position)}, and that was not written`;
  }

  /** A process has ended: what it was asked will not be answered. */
  ended(process: number): void {
    for (const asked of this.#asked.values()) if (asked.process.id === process) asked.isGivenUp = true;
  }

  /** At the end of a world. @returns what is wrong. */
  judge(): string | undefined {
    const asked = [...this.#asked.values()].find(({ isGivenUp }) => !isGivenUp);
    return asked && `process ${asked.process.id} has not answered whether ${asked.leaseKey} is read again`;
  }

  #of(process: SimulatedProcess, { leaseKey, checkpoint }: Lease): Asked[] {
    return [...this.#asked.values()].filter(
      (asked) =>
        asked.process === process && asked.leaseKey === leaseKey && compareExtended(asked.position, checkpoint) === 0,
    );
  }

  /** Mostly of what is behind the checkpoint. */
  #placeIn({ checkpoint }: Lease, records: readonly Position[]): ExtendedSequenceNumber {
    if (records.length === 0 || this.#prng.chance(FROM_BEGINNING)) return TRIM_HORIZON;
    const isBehind = (record: Position): boolean => compareExtended(record as ExtendedSequenceNumber, checkpoint) <= 0;
    const behind = this.#prng.chance(AHEAD) ? records : records.filter(isBehind);
    return behind.length === 0 ? TRIM_HORIZON : (this.#prng.pick(behind) as ExtendedSequenceNumber);
  }
}
