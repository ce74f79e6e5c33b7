// An operator of some worlds who has workers hand leases off, and the checker of that. Every word is answered once for each lease that it is
// about; of one that is said to be handed off the row went to another worker since the word; and no leader hands a live lease to a worker
// that declines it, as far as the reading shows by which it plans; nor does a worker that gives one away (heirs.ts). That it is given up
// only when its handler has returned is seen to by one-handler.ts, as for all handoffs. When the faults end all is accepted again, so that the fleet has to come to rest. How it is drawn does
// not touch the sequence of the world, so that all others stay as they are.
import type { Done, Effect } from '../../../consumer/dist/coordination/effects.js';
import type { HandOffOutcome } from '../../../consumer/dist/coordination/handing-off.js';
import { actualOwner, type Lease } from '../../../consumer/dist/coordination/lease.js';
import type { MemoryLeaseTable } from '../../../consumer/dist/lease-table/memory.js';
import { createPrng, type Prng } from '../prng.ts';
import { declinesIt, Heirs } from './heirs.ts';
import type { SimulatedProcess } from './process.ts';

/** Between two words. */
const PACE_MS = [150, 700] as const;
/** Of the words so many are about all leases. */
const ABOUT_ALL = 0.4;
const AWAY_MS = [0, 3_000] as const;

type Declines = ReadonlyMap<string, 'all' | readonly string[]>;

interface Asked {
  readonly process: SimulatedProcess;
  readonly leaseKey: string;
  /** Its row went from this worker to another. */
  hasLeft: boolean;
}

export class HandOffs {
  readonly #prng: Prng;
  /** Those that are not answered yet. */
  readonly #asked = new Map<number, Asked>();
  /** By the reading: what stood in the metric rows. */
  readonly #readings = new WeakMap<object, Declines>();
  /** By process: what it was shown last, as the leader. */
  readonly #shown = new Map<number, Declines>();
  readonly #heirs = new Heirs();
  #count = 0;

  private constructor(seed: number) {
    this.#prng = createPrng(seed ^ 0x4a2d0f);
  }

  /** @param often for a bug that shows in such worlds alone. @returns undefined: in this world there are none. */
  static of(seed: number, often: boolean): HandOffs | undefined {
    const has = often ? seed % 2 === 0 && seed % 12 !== 10 : seed % 36 === 6 || seed % 36 === 18;
    return has ? new HandOffs(seed) : undefined;
  }

  /** When something is said, up to the end of the faults. */
  *times(untilMs: number): Iterable<number> {
    for (let at = this.#prng.between(...PACE_MS); at < untilMs; at += this.#prng.between(...PACE_MS)) yield at;
  }

  /** Says a word to one that hears it at once. */
  speak(living: readonly SimulatedProcess[], leases: readonly Lease[], now: number): void {
    const awake = living.filter(({ pausedUntil }) => pausedUntil <= now);
    if (awake.length === 0 || leases.length === 0) return;
    const holder = awake.find(({ workerId }) => workerId === actualOwner(this.#prng.pick(leases)));
    const process = holder ?? this.#prng.pick(awake);
    const areAll = this.#prng.chance(ABOUT_ALL);
    const its = leases.filter((lease) => actualOwner(lease) === process.workerId);
    const meant = areAll ? its : [this.#prng.pick(its.length > 0 ? its : leases)];
    const named = meant.map(({ leaseKey }) => {
      this.#count += 1;
      this.#asked.set(this.#count, { process, leaseKey, hasLeft: false });
      return { leaseKey, requestId: this.#count };
    });
    process.handOff({ kind: 'handOff', leases: named, areAll, awayMs: this.#prng.between(...AWAY_MS) });
  }

  /** The faults end. */
  end(living: readonly SimulatedProcess[]): void {
    for (const process of living) process.control({ kind: 'accept', leaseKeys: undefined }, () => undefined);
  }

  /** A write was applied, by whomever. */
  changed(before: Lease | undefined, after: Lease | undefined): void {
    const owner = before && actualOwner(before);
    if (owner === undefined || (after !== undefined && actualOwner(after) === owner)) return;
    for (const asked of this.#asked.values())
      if (asked.leaseKey === before?.leaseKey && asked.process.workerId === owner) asked.hasLeft = true;
  }

  /** The table was read; what is told of it may be something else. */
  read(effect: Effect, table: MemoryLeaseTable): void {
    if (effect.kind !== 'readTable') return;
    this.#heirs.read(effect, table);
    if (effect.for !== 'leader') return;
    const { workers } = table;
    const declines = [...workers].flatMap(([id, row]) =>
      row.declines === undefined ? [] : [[id, row.declines] as const],
    );
    this.#readings.set(effect, new Map(declines));
  }

  /** A process is shown what it asked for. */
  shown(process: number, { effect }: Done): void {
    this.#heirs.shown(process, effect);
    const declines = this.#readings.get(effect);
    if (declines !== undefined) this.#shown.set(process, declines);
  }

  /** What is wrong with what a process asks for now. */
  judge({ id, workerId }: SimulatedProcess, effect: Effect): string | undefined {
    if (effect.kind !== 'handOffLease' || effect.tenure !== undefined) return this.#heirs.judge(id, workerId, effect);
    const declines = this.#shown.get(id)?.get(effect.to);
    if (!declinesIt(declines, effect.leaseKey)) return undefined;
    return `${effect.leaseKey} was to go from ${effect.from} to ${effect.to}, which declines it`;
  }

  /** A worker has answered. @returns what is wrong. */
  settled(process: SimulatedProcess, requestId: number, outcome: HandOffOutcome): string | undefined {
    const asked = this.#asked.get(requestId);
    if (asked?.process !== process)
      return `process ${process.id} answers hand-off ${requestId}, which it was not asked for, or has answered`;
    this.#asked.delete(requestId);
    if (outcome !== 'handedOff' || asked.hasLeft) return undefined;
    return `${asked.leaseKey} is said to be handed off by ${process.workerId}, and its row never went to another worker`;
  }

  /** A process has ended: what it was asked will not be answered. */
  ended(process: number): void {
    for (const [requestId, asked] of this.#asked) if (asked.process.id === process) this.#asked.delete(requestId);
  }

  /** At the end of a world. @returns what is wrong. */
  judgeEnd(): string | undefined {
    const [asked] = this.#asked.values();
    return asked && `process ${asked.process.id} has not answered whether ${asked.leaseKey} is handed off`;
  }
}
