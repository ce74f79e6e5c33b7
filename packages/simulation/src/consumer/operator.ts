// An operator of some worlds: pauses workers or some of their leases and resumes them, and tries shards again that their handlers have stopped
// at a record. When the faults end all is resumed and tried again, once, so that a word which was not heeded keeps the world from draining.
// It is the checker of pauses as well: from the pause on no handler is called in that process, but to be told that it is to give up. How it
// is drawn does not touch the sequence of the world, so that all others stay as they are.
import type { Control, Effect } from '../../../consumer/dist/coordination/effects.js';
import { createPrng, type Prng } from '../prng.ts';
import type { SimulatedProcess } from './process.ts';

/** Between two words. */
const PACE_MS = [50, 400] as const;
/** Of the batches so many make their handler throw. */
const FAILS = 0.15;
/** Of the batches that a handler does not finish, so many stop their shard. */
const STOPS = 0.5;

interface Told {
  all: boolean;
  readonly keys: Set<string>;
  readonly exempt: Set<string>;
}

export class Operator {
  readonly #prng: Prng;
  readonly #told = new Map<SimulatedProcess, Told>();
  #isOver = false;

  private constructor(seed: number) {
    this.#prng = createPrng(seed ^ 0x0be7a);
  }

  /** @returns undefined: in this world there is none. */
  static of(seed: number): Operator | undefined {
    // Of those in which shards wait for each other's room, too.
    return seed % 12 === 1 || seed % 24 === 17 ? new Operator(seed) : undefined;
  }

  /** When it says something, up to the end of the faults. */
  *times(untilMs: number): Iterable<number> {
    for (let at = this.#prng.between(...PACE_MS); at < untilMs; at += this.#prng.between(...PACE_MS)) yield at;
  }

  /** Says a word to one of those that hear it at once: it is not to come after the last one. @param leaseKeys that there are. */
  speak(living: readonly SimulatedProcess[], leaseKeys: readonly string[], now: number): void {
    const awake = living.filter(({ pausedUntil }) => pausedUntil <= now);
    if (awake.length === 0) return;
    const process = this.#prng.pick(awake);
    const isAbout = leaseKeys.length > 0 && this.#prng.chance(0.6);
    const keys = isAbout ? leaseKeys.filter(() => this.#prng.chance(0.5)) : undefined;
    this.#say(process, { kind: this.#prng.pick(['pause', 'resume', 'retry', 'resume']), leaseKeys: keys });
  }

  /** The faults end. */
  end(living: readonly SimulatedProcess[]): void {
    this.#isOver = true;
    for (const process of living) {
      this.#say(process, { kind: 'resume', leaseKeys: undefined });
      this.#say(process, { kind: 'retry', leaseKeys: undefined });
    }
  }

  /** Whether a handler throws, beside what befalls it in any world. */
  fails(): boolean {
    return !this.#isOver && this.#prng.chance(FAILS);
  }

  /** Whether a handler that does not finish a batch is not given it again. */
  stops(): boolean {
    return !this.#isOver && this.#prng.chance(STOPS);
  }

  /** A process is about to do that. @returns what is wrong. */
  judge(process: SimulatedProcess, effect: Effect): string | undefined {
    const isCall = effect.kind === 'openShard' || effect.kind === 'deliverBatch' || effect.kind === 'endShard';
    const told = isCall ? this.#told.get(process) : undefined;
    if (told === undefined || !isCall) return undefined;
    const { leaseKey, kind } = effect;
    if (!told.keys.has(leaseKey) && (!told.all || told.exempt.has(leaseKey))) return undefined;
    return `${leaseKey} is paused in process ${process.id}, and its handler is called: ${kind}`;
  }

  #say(process: SimulatedProcess, word: Control): void {
    process.control(word, () => this.#heard(process, word));
  }

  #heard(process: SimulatedProcess, { kind, leaseKeys }: Control): void {
    const told = this.#told.get(process) ?? { all: false, keys: new Set(), exempt: new Set() };
    this.#told.set(process, told);
    if (kind === 'retry') return;
    if (leaseKeys === undefined) {
      told.all = kind === 'pause';
      told.exempt.clear();
      if (kind === 'resume') told.keys.clear();
    }
    for (const leaseKey of leaseKeys ?? []) {
      if (kind === 'pause' && !this.#isPaused(told, leaseKey)) told.keys.add(leaseKey);
      if (kind === 'resume') told.keys.delete(leaseKey);
      if (kind === 'resume' && told.all) told.exempt.add(leaseKey);
    }
  }

  #isPaused({ all, keys, exempt }: Told, leaseKey: string): boolean {
    return keys.has(leaseKey) || (all && !exempt.has(leaseKey));
  }
}
