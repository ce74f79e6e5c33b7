// Looking for leases that were given to this worker: by the owner index at a steady pace, and while a lease is on its way here, which
// its row says from the beginning of the handoff on, often at one lease of each worker that gives some. Pure. It decides nothing about what
// it finds. Invariant: one look at a time; the quick ones end by themselves, whatever becomes of the handoff.
import type { Effect, Tell } from './effects.ts';
import { isEnded, type Lease } from './lease.ts';

export interface DiscoveryOptions {
  readonly workerId: string;
  /** How often to look for leases that were given to us. */
  readonly leaseDiscoveryIntervalMs: number;
  readonly retryMs: number;
}

/** Between looks at a lease that is on its way. */
const QUICK_MS = 100;
/** A handoff that takes longer is looked for at the steady pace: its old owner has a handler that is busy. */
const EXPECTED_FOR_MS = 3_000;

interface Expected {
  readonly from: string;
  /** When it was first seen. */
  readonly since: number;
}

export class Discovery {
  readonly #options: DiscoveryOptions;
  readonly #out: (Effect | Tell)[];
  /** The look that is under way: at all leases, or at some. */
  #asking: { readonly askedAt: number; readonly among: readonly string[] | undefined } | undefined;
  /** When to look at all. */
  #nextAt = Number.POSITIVE_INFINITY;
  #quickAt = Number.POSITIVE_INFINITY;
  /** Leases on their way here. */
  #expected: ReadonlyMap<string, Expected> = new Map();
  /** When the last look at all began that was answered, or that failed. */
  #lookedAt = Number.NEGATIVE_INFINITY;

  constructor(options: DiscoveryOptions, out: (Effect | Tell)[]) {
    this.#options = options;
    this.#out = out;
  }

  /** Look at all as soon as may be. */
  hurry(now: number): void {
    this.#nextAt = Math.min(this.#nextAt, now);
  }

  deadline(): number {
    return this.#asking === undefined ? Math.min(this.#nextAt, this.#quickAt) : Number.POSITIVE_INFINITY;
  }

  /** Begins the look that is due. */
  advance(held: Iterable<string>, now: number): void {
    if (now < this.deadline()) return;
    const isQuick = now < this.#nextAt;
    const among = isQuick ? this.#oneOfEach(now) : undefined;
    this.#quickAt = Number.POSITIVE_INFINITY;
    if (!isQuick) this.#nextAt = now + this.#options.leaseDiscoveryIntervalMs;
    else if (among === undefined || among.length === 0) return;
    this.#asking = { askedAt: now, among };
    this.#out.push({ kind: 'discoverLeases', owner: this.#options.workerId, held: [...held], among });
  }

  found(leases: readonly Lease[], now: number): void {
    const among = this.#answered();
    const coming = new Map(
      leases.flatMap((lease) => (this.#isOnItsWay(lease) ? [[lease.leaseKey, lease.checkpointOwner as string]] : [])),
    );
    if (among === undefined) {
      const since = (leaseKey: string): number => this.#expected.get(leaseKey)?.since ?? now;
      this.#expected = new Map([...coming].map(([key, from]) => [key, { from, since: since(key) }]));
    } else if (among.some((leaseKey) => !coming.has(leaseKey))) {
      // It has come, or went elsewhere; so may have the others.
      this.hurry(now);
    }
    if (this.expects(now)) this.#quickAt = now + QUICK_MS;
  }

  failed(now: number): void {
    if (this.#answered() === undefined) this.#nextAt = now + this.#options.retryMs;
  }

  /** Whether a lease should be here soon. */
  expects(now: number): boolean {
    return this.#oneOfEach(now).length > 0;
  }

  /** See to it that a look at all begins at that time or later, once. */
  lookSince(time: number, now: number): void {
    if (this.#asking === undefined && this.#lookedAt < time) this.hurry(now);
  }

  /** Whether a look at all that began at that time or later is over. */
  hasLookedSince(time: number): boolean {
    return this.#lookedAt >= time;
  }

  /** Of each worker that gives leases up, the one seen first: it gives them all up at about the same time. */
  #oneOfEach(now: number): string[] {
    const seen = new Set<string>();
    const keys: string[] = [];
    for (const [leaseKey, { from, since }] of this.#expected) {
      if (now - since >= EXPECTED_FOR_MS || seen.has(from)) continue;
      seen.add(from);
      keys.push(leaseKey);
    }
    return keys;
  }

  /** @returns what was looked at; undefined: all. */
  #answered(): readonly string[] | undefined {
    const { askedAt = 0, among } = this.#asking ?? {};
    this.#asking = undefined;
    if (among === undefined) this.#lookedAt = askedAt;
    return among;
  }

  #isOnItsWay(lease: Lease): boolean {
    const { workerId } = this.#options;
    const { leaseOwner, checkpointOwner } = lease;
    return leaseOwner === workerId && checkpointOwner !== undefined && checkpointOwner !== workerId && !isEnded(lease);
  }
}
