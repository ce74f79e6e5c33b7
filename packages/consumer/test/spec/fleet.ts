// What the spec tests of decisions stand on: the real core of as many workers as a test wants, by events, over the memory lease
// table (whose conditions the contract suite proves equal to DynamoDB's) and a list of shards, in a time of its own. Effects on the
// table are answered at once, and so is the handler; fetches wait for the test. Options are the consumer's defaults.
import { evenRanges, type HashKeyRange, parseCheckpoint } from '@shardline/common';
import type { Done, Effect, Event, Tell } from '../../src/coordination/effects.ts';
import {
  type ChildShard,
  type Lease,
  NOTHING_MEASURED,
  type Shard,
  type Utilization,
} from '../../src/coordination/lease.ts';
import type { Notice } from '../../src/coordination/notice.ts';
import type { Results } from '../../src/coordination/results.ts';
import type { InitialPosition } from '../../src/coordination/shard-sync.ts';
import { Worker, type WorkerOptions } from '../../src/coordination/worker.ts';
import type { WorkerView } from '../../src/coordination/worker-view.ts';
import { MemoryLeaseTable } from '../../src/lease-table/memory.ts';
import { resolveOptions } from '../../src/options.ts';
import { workerOptions } from '../../src/worker-options.ts';
import { leaseOf } from './wire.ts';

export const secondMs = 1_000;
/** failoverTimeMs, by default. */
export const failoverMs: number = 10 * secondMs;
/** leaseAssignmentIntervalMs, by default. */
export const assignmentMs: number = 10 * secondMs;

const [whole] = evenRanges(1) as [HashKeyRange];
const [low, high] = evenRanges(2) as [HashKeyRange, HashKeyRange];
export const ranges = { whole, low, high };

/** An open shard without parents, but for what is given. Shards begin in the order of their ids. */
export function shardOf(shardId: string, fields: Partial<Shard> & { readonly closed?: true } = {}): Shard {
  const { closed, ...given } = fields;
  const startingSequenceNumber = BigInt([...shardId].reduce((sum, char) => 256 * sum + char.charCodeAt(0), 0));
  return {
    shardId,
    parentShardIds: [],
    hashKeyRange: whole,
    startingSequenceNumber,
    endingSequenceNumber: closed ? startingSequenceNumber + 1n : undefined,
    ...given,
  };
}

export function childOf(...parentShardIds: string[]): (shardId: string, hashKeyRange?: HashKeyRange) => ChildShard {
  return (shardId, hashKeyRange = whole) => ({ shardId, parentShardIds, hashKeyRange });
}

export interface Asked {
  readonly at: number;
  readonly worker: string;
  readonly effect: Effect;
}

interface Timer {
  at: number;
  readonly everyMs: number;
  readonly run: () => void;
}

/** A tick more than this, and something spins. */
const MOST_STEPS = 200_000;

export class Fleet {
  now: number = 1_000_000;
  readonly table: MemoryLeaseTable = new MemoryLeaseTable({ wallNow: () => this.now });
  /** What ListShards lists. */
  shards: Shard[] = [];
  /** Of an application of several streams, by stream. */
  readonly shardsOf: Map<string, Shard[]> = new Map();
  initialPosition: InitialPosition = 'TRIM_HORIZON';
  /** Every effect, in order. */
  readonly asked: Asked[] = [];
  readonly #members: Member[] = [];
  readonly #timers: Timer[] = [];

  /** A worker of ours starts. */
  start(workerId: string, options: Partial<WorkerOptions> = {}): Member {
    const member = this.make(workerId, options);
    member.tell({ kind: 'streams', streams: [{ streamId: undefined, initialPosition: this.initialPosition }] });
    member.tell({ kind: 'start' });
    return member;
  }

  /** A worker of ours that is not told anything yet. */
  make(workerId: string, options: Partial<WorkerOptions> = {}): Member {
    const uuid = `00000000-0000-4000-8000-${String(this.#members.length).padStart(12, '0')}`;
    const random = { next: () => 0.5, uuid: () => uuid };
    const resolved = resolveOptions({ application: 'spec', stream: 'orders', workerId, random }, 'host');
    const member = new Member(this, { ...workerOptions(resolved), ...options });
    this.#members.push(member);
    return member;
  }

  /** A worker of another kind: its row is written every 30 s and its leases are renewed every 3 s, until it is silenced. */
  other(workerId: string, utilization: Utilization = NOTHING_MEASURED): { silence(): void } {
    const report = () =>
      this.table.apply({ kind: 'reportWorker', workerId, utilization, processId: `process of ${workerId}` });
    const renew = () => {
      for (const lease of this.table.leases.values()) {
        if ((lease.checkpointOwner ?? lease.leaseOwner) === workerId) {
          this.table.leases.set(lease.leaseKey, { ...lease, leaseCounter: lease.leaseCounter + 1 });
        }
      }
    };
    report();
    const timers = [this.every(30 * secondMs, report), this.every(3 * secondMs, renew)];
    const silence = () => {
      for (const timer of timers) this.#timers.splice(this.#timers.indexOf(timer), 1);
    };
    return { silence };
  }

  every(everyMs: number, run: () => void): Timer {
    const timer = { at: this.now + everyMs, everyMs, run };
    this.#timers.push(timer);
    return timer;
  }

  put(leaseKey: string, fields: Partial<Lease> = {}): void {
    this.table.leases.set(leaseKey, leaseOf({ leaseKey, hashKeyRange: whole, ...fields }));
  }

  lease(leaseKey: string): Lease {
    const lease = this.table.leases.get(leaseKey);
    if (lease === undefined) throw new Error(`no lease ${leaseKey}, only ${[...this.table.leases.keys()].join(', ')}`);
    return lease;
  }

  /** Who owns what: `{ a: 'w1' }`. */
  owners(): Record<string, string | undefined> {
    return Object.fromEntries(
      [...this.table.leases.values()].map(({ leaseKey, leaseOwner }) => [leaseKey, leaseOwner]),
    );
  }

  /** How many leases each has. */
  counts(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const { leaseOwner = 'nobody' } of this.table.leases.values())
      counts[leaseOwner] = (counts[leaseOwner] ?? 0) + 1;
    return counts;
  }

  /** The effects of a kind that were asked for, after `since`. */
  of<K extends Effect['kind']>(kind: K, since = 0): (Asked & { readonly effect: Extract<Effect, { kind: K }> })[] {
    return this.asked.filter(({ at, effect }) => effect.kind === kind && at >= since) as never;
  }

  pass(ms: number): void {
    const until = this.now + ms;
    for (let steps = 0; ; steps += 1) {
      if (steps > MOST_STEPS) throw new Error('the fleet spins');
      const [next] = [...this.#members, ...this.#timers].sort((a, b) => a.at - b.at);
      if (next === undefined || next.at > until) break;
      this.now = Math.max(this.now, next.at);
      if (next instanceof Member) next.tell({ kind: 'tick' });
      else {
        next.at += next.everyMs;
        next.run();
      }
    }
    this.now = until;
  }

  /** Passes time until it holds, and says how long that took. */
  passUntil(holds: () => boolean, withinMs: number, stepMs = 10): number {
    for (let passed = 0; passed <= withinMs; passed += stepMs) {
      if (holds()) return passed;
      this.pass(stepMs);
    }
    throw new Error(`not within ${withinMs} ms`);
  }
}

type Kind = Effect['kind'];

/** One worker of ours. */
export class Member {
  readonly id: string;
  readonly worker: Worker;
  readonly notices: Notice[] = [];
  /** Kinds that wait for the test. */
  readonly held: Set<Kind> = new Set(['fetchBatch']);
  /** Kinds that fail, unapplied. */
  readonly failing: Set<Kind> = new Set();
  /** Kinds that are applied, and their answers lost. */
  readonly losing: Set<Kind> = new Set();
  /** What its row says of it. */
  utilization: Utilization = NOTHING_MEASURED;
  /** Of this worker's clock, against the fleet's. */
  skewMs = 0;
  readonly #fleet: Fleet;
  #open: Effect[] = [];
  #dead = false;

  constructor(fleet: Fleet, options: WorkerOptions) {
    this.#fleet = fleet;
    this.id = options.workerId;
    this.worker = new Worker(options);
  }

  /** When it wants to be called, by the fleet's clock. */
  get at(): number {
    return this.#dead ? Number.POSITIVE_INFINITY : this.worker.deadline() - this.skewMs;
  }

  get view(): WorkerView {
    return this.worker.view(this.#now);
  }

  /** The phase of a shard here, or undefined. */
  phase(leaseKey: string): string | undefined {
    return this.view.leases.find((lease) => lease.leaseKey === leaseKey)?.phase;
  }

  tell(event: Event): void {
    if (!this.#dead) this.#take(this.worker.step(event, this.#now, 0.5));
  }

  stop(): void {
    this.tell({ kind: 'stop' });
  }

  /** Nothing is heard of it any more. */
  crash(): void {
    this.#dead = true;
  }

  /** The open effect of a kind, of a lease where there are several. */
  open<K extends Kind>(kind: K, leaseKey?: string): Extract<Effect, { kind: K }> {
    const found = this.#find(kind, leaseKey);
    if (found === undefined) throw new Error(`no ${kind} is open, only ${this.#open.map((it) => it.kind).join(', ')}`);
    return found;
  }

  isOpen(kind: Kind, leaseKey?: string): boolean {
    return this.#find(kind, leaseKey) !== undefined;
  }

  done<K extends Kind>(kind: K, result: Results[K], leaseKey?: string): void {
    this.#answer({ kind: 'done', effect: this.#settle(kind, leaseKey), result } as unknown as Done);
  }

  fail(kind: Kind, leaseKey?: string): void {
    this.#answer({ kind: 'failed', effect: this.#settle(kind, leaseKey), error: new Error('scripted') });
  }

  /** An open effect on the table is carried out now. */
  carryOut(kind: Kind, leaseKey?: string): void {
    this.#perform(this.#settle(kind, leaseKey));
  }

  /** The open fetch finds one record, at that number; the handler gets it. */
  batch(leaseKey: string, sequenceNumber: number, byteCount = 1): void {
    const last = parseCheckpoint(String(sequenceNumber));
    const batch = { batchId: sequenceNumber, recordCount: 1, byteCount, last };
    this.#vouches.set(`${leaseKey} ${sequenceNumber}`, last);
    this.done('fetchBatch', { batch, atShardEnd: false, childShards: [] }, leaseKey);
  }

  /** The open fetch finds the end of the shard. */
  end(leaseKey: string, ...childShards: ChildShard[]): void {
    this.done('fetchBatch', { batch: undefined, atShardEnd: true, childShards }, leaseKey);
  }

  readonly #vouches = new Map<string, Results['deliverBatch']['checkpoint']>();

  get #now(): number {
    return this.#fleet.now + this.skewMs;
  }

  #find<K extends Kind>(kind: K, leaseKey?: string): Extract<Effect, { kind: K }> | undefined {
    const matches = (effect: Effect): boolean =>
      effect.kind === kind && (leaseKey === undefined || ('leaseKey' in effect && effect.leaseKey === leaseKey));
    return this.#open.find(matches) as Extract<Effect, { kind: K }> | undefined;
  }

  #settle(kind: Kind, leaseKey?: string): Effect {
    const effect = this.open(kind, leaseKey) as Effect;
    this.#open = this.#open.filter((other) => other !== effect);
    return effect;
  }

  #answer(event: Event): void {
    this.tell(event);
  }

  #take(effects: (Effect | Tell)[]): void {
    for (const effect of effects) {
      if (effect.kind === 'tell') {
        this.notices.push(effect.notice);
        continue;
      }
      this.#fleet.asked.push({ at: this.#fleet.now, worker: this.id, effect });
      if (this.held.has(effect.kind)) this.#open.push(effect);
      else if (this.failing.has(effect.kind)) this.#answer({ kind: 'failed', effect, error: new Error('scripted') });
      else this.#perform(effect);
    }
  }

  #perform(effect: Effect): void {
    const result = this.#resultOf(effect);
    if (this.losing.has(effect.kind)) this.#answer({ kind: 'failed', effect, error: new Error('answer lost') });
    else this.#answer({ kind: 'done', effect, result } as Done);
  }

  #resultOf(effect: Effect): unknown {
    switch (effect.kind) {
      case 'listShards': {
        const { streamId } = effect;
        return { shards: streamId === undefined ? this.#fleet.shards : (this.#fleet.shardsOf.get(streamId) ?? []) };
      }
      case 'deliverBatch':
        return { checkpoint: this.#vouches.get(`${effect.leaseKey} ${effect.batchId}`) };
      case 'reportWorker':
        return this.#fleet.table.apply({
          ...effect,
          ...(!effect.leaves && effect.declines !== 'all' && { utilization: this.utilization }),
        });
      case 'openShard':
      case 'fetchBatch':
      case 'drainShard':
      case 'endShard':
      case 'closeShard':
        return undefined;
      default:
        return this.#fleet.table.apply(effect);
    }
  }
}

/** A fleet of one, that leads and holds lease `a` of an open shard, with its first fetch under way. */
export function lone(options: Partial<WorkerOptions> = {}): { readonly fleet: Fleet; readonly me: Member } {
  const fleet = new Fleet();
  fleet.shards = [shardOf('a')];
  return { fleet, me: fleet.start('me', options) };
}
