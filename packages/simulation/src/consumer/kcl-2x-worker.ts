// A worker of the KCL 2.x in a simulated world, in the language of the core's effects: takes leases (DynamoDBLeaseTaker), renews
// them (DynamoDBLeaseRenewer), reads, checkpoints, makes the children's leases at a shard's end (ShutdownTask), and knows nothing
// of leaders, handoffs and metric rows. It is written from the KCL's source and shares nothing with our taker but the words. What
// the KCL does with a handler that throws, it does not: it tries again, for a lost record would hide ours.
import { compareExtended, type ExtendedSequenceNumber, SHARD_END, TRIM_HORIZON } from '@shardline/common';
import {
  answers,
  type Done,
  type Effect,
  type Event,
  type Failed,
  type Tell,
} from '../../../consumer/dist/coordination/effects.js';
import type { ChildShard } from '../../../consumer/dist/coordination/lease.js';
import { isEnded, type Lease, leaseKeyOf, newLease } from '../../../consumer/dist/coordination/lease.js';
import type { Worker } from '../../../consumer/dist/coordination/worker.js';
import type { WorkerView } from '../../../consumer/dist/coordination/worker-view.js';

/** What a simulated process needs of what runs in it. */
export type Core = Pick<Worker, 'step' | 'deadline' | 'view'>;

interface Held {
  readonly tenure: number;
  lease: Lease;
  /** When the last renewal was answered; the KCL counts from there. */
  renewedAt: number;
  renewAt: number;
  writing: boolean;
  phase: 'parents' | 'opening' | 'reading' | 'children' | 'ended' | 'lost';
  asking: boolean;
  askAt: number;
  fetchedTo: ExtendedSequenceNumber;
  batchId: number | undefined;
  attempt: number;
  atEnd: boolean;
  children: readonly ChildShard[];
  /** What the handler has finished and is not written yet. */
  handledTo: ExtendedSequenceNumber | undefined;
}

/** The KCL bounds no worker's reads together. */
const UNBOUNDED = { bytes: Number.POSITIVE_INFINITY, recordCount: Number.POSITIVE_INFINITY };
const RETRY_MS = 100;

export class Kcl2xWorker implements Core {
  readonly #workerId: string;
  readonly #failoverTimeMs: number;
  readonly #held = new Map<string, Held>();
  readonly #sights = new Map<string, { counter: number; since: number }>();
  #out: (Effect | Tell)[] = [];
  #tenureCount = 0;
  #takeAt = Number.POSITIVE_INFINITY;
  #taking = false;
  #takesOpen = 0;
  #stopping = false;
  #stopped = false;

  constructor(workerId: string, failoverTimeMs: number) {
    this.#workerId = workerId;
    this.#failoverTimeMs = failoverTimeMs;
  }

  step(event: Event, now: number, random: number): (Effect | Tell)[] {
    if (this.#stopped) return [];
    if (event.kind === 'start') this.#takeAt = now;
    else if (event.kind === 'stop') this.#stopping = true;
    else if (event.kind === 'done') this.#done(event, now, random);
    else if (event.kind === 'failed') this.#failed(event, now);
    this.#advance(now);
    return this.#out.splice(0);
  }

  deadline(): number {
    if (this.#stopped) return Number.POSITIVE_INFINITY;
    let deadline = this.#taking || this.#stopping ? Number.POSITIVE_INFINITY : this.#takeAt;
    for (const held of this.#held.values()) {
      if (held.phase === 'lost') continue;
      deadline = Math.min(deadline, held.renewedAt + this.#failoverTimeMs + 1);
      if (!held.writing) deadline = Math.min(deadline, held.renewAt);
      if (!held.asking && held.phase !== 'ended') deadline = Math.min(deadline, held.askAt);
    }
    return deadline;
  }

  view(): WorkerView {
    return { workerId: this.#workerId, leader: false, stopping: this.#stopping, leases: [] } as unknown as WorkerView;
  }

  #advance(now: number): void {
    if (!this.#stopping && !this.#taking && now >= this.#takeAt) {
      this.#taking = true;
      this.#out.push({ kind: 'readTable', for: 'taker' });
    }
    for (const held of this.#held.values()) this.#advanceLease(held, now);
    if (this.#stopping && this.#held.size === 0) {
      this.#stopped = true;
      this.#out.push({ kind: 'tell', notice: { kind: 'stopped', abandoned: [] } });
    }
  }

  // --- taking: computeLeasesToTake ---

  #take(leases: readonly Lease[], scannedAt: number, random: number): Lease[] {
    const F = this.#failoverTimeMs;
    const known = new Set(leases.map(({ leaseKey }) => leaseKey));
    for (const leaseKey of this.#sights.keys()) if (!known.has(leaseKey)) this.#sights.delete(leaseKey);
    const restOf = ({ leaseKey, leaseCounter: counter, leaseOwner }: Lease): number => {
      const last = this.#sights.get(leaseKey);
      if (last === undefined) {
        this.#sights.set(leaseKey, { counter, since: leaseOwner === undefined ? Number.NEGATIVE_INFINITY : scannedAt });
      } else if (last.counter !== counter) this.#sights.set(leaseKey, { counter, since: scannedAt });
      return scannedAt - (this.#sights.get(leaseKey)?.since ?? scannedAt);
    };
    const rest = new Map(leases.map((lease) => [lease, restOf(lease)]));
    const available = leases.filter((lease) => lease.leaseOwner === undefined || (rest.get(lease) ?? 0) > F);
    const counts = new Map([[this.#workerId, 0]]);
    for (const lease of leases) {
      const owner = lease.leaseOwner;
      if (owner !== undefined && !available.includes(lease)) counts.set(owner, (counts.get(owner) ?? 0) + 1);
    }
    const mine = counts.get(this.#workerId) ?? 0;
    const veryOld = leases.filter((lease) => (rest.get(lease) ?? 0) > 3 * F);
    if (veryOld.length > 0) return veryOld;
    const target = counts.size >= leases.length ? 1 : Math.ceil(leases.length / counts.size);
    const need = target - mine;
    const from = Math.floor(random * 1000);
    const turned = <T>(items: readonly T[]): T[] => items.map((_, at) => items[(at + from) % items.length] as T);
    if (need <= 0 || leases.length === 0) return [];
    if (available.length > 0) return turned(available).slice(0, need);
    const [most = '', load = 0] = [...counts].sort((a, b) => b[1] - a[1])[0] ?? [];
    let steals = Math.min(need, load - target);
    if (steals === 0 && need > 1) steals = 1;
    return turned(leases.filter(({ leaseOwner }) => leaseOwner === most)).slice(0, Math.max(0, Math.min(steals, 1)));
  }

  #endTaking(now: number): void {
    this.#taking = false;
    this.#takeAt = now + 2 * this.#failoverTimeMs;
  }

  // --- answers ---

  #done(event: Done, now: number, random: number): void {
    if (answers(event, 'readTable')) {
      const takes = this.#stopping ? [] : this.#take(event.result.leases, now, random);
      this.#takesOpen = takes.length;
      for (const { leaseKey, leaseCounter, leaseOwner: seenOwner, checkpointOwner: seenCheckpointOwner } of takes) {
        const newOwner = this.#workerId;
        this.#out.push({ kind: 'takeLease', leaseKey, leaseCounter, seenOwner, seenCheckpointOwner, newOwner });
      }
      if (takes.length === 0) this.#endTaking(now);
      return;
    }
    if (answers(event, 'takeLease')) {
      this.#takesOpen -= 1;
      if (this.#takesOpen === 0) this.#endTaking(now);
      if (event.result.applied && !this.#stopping) this.#hold(event.result.lease, now);
      return;
    }
    const held = this.#heldOf(event.effect);
    if (held === undefined) return;
    if (answers(event, 'closeShard')) this.#held.delete(held.lease.leaseKey);
    else if (answers(event, 'renewLease') || answers(event, 'checkpointLease')) {
      held.writing = false;
      const { applied, lease } = event.result;
      const isRenewal = event.effect.kind === 'renewLease';
      // An earlier try of a renewal was applied, and its answer lost; of an update the KCL does not ask.
      const spurious =
        isRenewal && lease?.leaseOwner === this.#workerId && lease.leaseCounter === held.lease.leaseCounter + 1;
      if (!applied && !spurious) {
        this.#lose(held);
        return;
      }
      held.lease = lease as Lease;
      held.renewedAt = now;
      if (isRenewal) held.renewAt = now + this.#failoverTimeMs / 3;
      if (held.handledTo !== undefined && compareExtended(held.handledTo, held.lease.checkpoint) <= 0)
        held.handledTo = undefined;
      if (isEnded(held.lease)) held.phase = 'ended';
    } else this.#read(held, event, now);
  }

  /** An answer on the way from the parents' ends to the children's beginnings. */
  #read(held: Held, event: Done, now: number): void {
    held.asking = false;
    if (held.phase === 'lost') return;
    if (answers(event, 'readLeases')) {
      const { leases } = event.result;
      if (held.phase === 'parents') {
        if (leases.every(isEnded)) held.phase = 'opening';
        else held.askAt = now + 3 * RETRY_MS;
      } else if (leases.length < event.effect.leaseKeys.length) held.askAt = now + 3 * RETRY_MS;
      else this.#createChild(held);
    } else if (answers(event, 'openShard')) held.phase = 'reading';
    else if (answers(event, 'fetchBatch')) {
      const { batch, atShardEnd, childShards } = event.result;
      held.atEnd = atShardEnd;
      held.children = childShards;
      if (batch !== undefined) {
        held.batchId = batch.batchId;
        held.attempt = 1;
        held.fetchedTo = batch.last;
      } else if (atShardEnd) held.phase = 'children';
    } else if (answers(event, 'deliverBatch')) {
      held.batchId = undefined;
      held.handledTo = held.fetchedTo;
      if (held.atEnd) held.phase = 'children';
    } else if (answers(event, 'createLease')) this.#createChild(held, event.effect.lease.leaseKey);
  }

  #failed({ effect }: Failed, now: number): void {
    if (effect.kind === 'readTable') this.#endTaking(now);
    else if (effect.kind === 'takeLease') {
      this.#takesOpen -= 1;
      if (this.#takesOpen === 0) this.#endTaking(now);
    } else {
      const held = this.#heldOf(effect);
      if (held === undefined) return;
      if (effect.kind === 'renewLease' || effect.kind === 'checkpointLease') {
        held.writing = false;
        held.renewAt = now + RETRY_MS;
      } else {
        held.asking = false;
        held.askAt = now + RETRY_MS;
        if (effect.kind === 'deliverBatch') held.attempt += 1;
      }
    }
  }

  #heldOf(effect: Effect): Held | undefined {
    if (!('leaseKey' in effect) || !('tenure' in effect)) return undefined;
    const held = this.#held.get(effect.leaseKey);
    return held?.tenure === effect.tenure ? held : undefined;
  }

  // --- one lease ---

  #hold(lease: Lease, now: number): void {
    // Another tenure of it is still being closed; the lease will expire.
    if (this.#held.has(lease.leaseKey)) return;
    this.#tenureCount += 1;
    this.#held.set(lease.leaseKey, {
      tenure: this.#tenureCount,
      lease,
      renewedAt: now,
      renewAt: now + this.#failoverTimeMs / 3,
      writing: false,
      phase: isEnded(lease) ? 'ended' : 'parents',
      asking: false,
      askAt: now,
      fetchedTo: lease.checkpoint,
      batchId: undefined,
      attempt: 1,
      atEnd: false,
      children: [],
      handledTo: undefined,
    });
  }

  #lose(held: Held): void {
    if (held.phase === 'lost') return;
    held.phase = 'lost';
    const { leaseKey } = held.lease;
    this.#out.push({ kind: 'closeShard', leaseKey, tenure: held.tenure, reason: 'leaseLost' });
  }

  #advanceLease(held: Held, now: number): void {
    if (held.phase === 'lost') return;
    if (this.#stopping || now > held.renewedAt + this.#failoverTimeMs) {
      this.#lose(held);
      return;
    }
    const { tenure, lease } = held;
    const { leaseKey, leaseCounter } = lease;
    const base = { leaseKey, tenure };
    if (!held.writing && now >= held.renewAt) {
      held.writing = true;
      this.#out.push({ kind: 'renewLease', ...base, leaseCounter, handoffKnown: true, throughputKBps: undefined });
    } else if (!held.writing && held.handledTo !== undefined) this.#checkpoint(held, held.handledTo);
    if (!held.asking && now >= held.askAt) this.#ask(held, base);
  }

  #checkpoint(held: Held, checkpoint: ExtendedSequenceNumber): void {
    held.writing = true;
    const { leaseKey, leaseCounter } = held.lease;
    const atEnd = checkpoint.sequenceNumber === 'SHARD_END';
    this.#out.push({
      kind: 'checkpointLease',
      leaseKey,
      tenure: held.tenure,
      leaseCounter,
      checkpoint,
      pendingCheckpoint: undefined,
      childShardIds: atEnd ? held.children.map(({ shardId }) => shardId) : undefined,
      throughputKBps: undefined,
    });
  }

  #ask(held: Held, base: { leaseKey: string; tenure: number }): void {
    const { lease } = held;
    const { streamId, shardId, hashKeyRange, parentShardIds, checkpoint, pendingCheckpoint } = lease;
    const keysOf = (ids: readonly string[]): string[] => ids.map((id) => leaseKeyOf(streamId, id));
    held.asking = true;
    if (held.phase === 'parents') {
      this.#out.push({ kind: 'readLeases', leaseKeys: keysOf(parentShardIds), ...base });
    } else if (held.phase === 'opening') {
      const shard = { streamId, shardId, hashKeyRange };
      const told = { checkpoint, pendingCheckpoint, latestSince: undefined };
      // The KCL has none.
      this.#out.push({ kind: 'openShard', ...base, ...shard, ...told, fencingToken: 0 });
    } else if (held.phase === 'reading' && held.batchId !== undefined) {
      this.#out.push({ kind: 'deliverBatch', ...base, batchId: held.batchId, attempt: held.attempt });
    } else if (held.phase === 'reading') {
      this.#out.push({ kind: 'fetchBatch', ...base, shardId, after: held.fetchedTo, most: UNBOUNDED });
    } else if (held.phase === 'children') {
      // A merge's child is made when both parents have leases.
      this.#out.push({ kind: 'readLeases', leaseKeys: keysOf(held.children[0]?.parentShardIds ?? []), ...base });
    } else held.asking = false;
  }

  /** One after the other, then the shard's end is written. */
  #createChild(held: Held, after?: string): void {
    const { streamId, leaseKey } = held.lease;
    const keys = held.children.map(({ shardId }) => leaseKeyOf(streamId, shardId));
    const child = held.children[after === undefined ? 0 : keys.indexOf(after) + 1];
    if (child === undefined) {
      held.phase = 'ended';
      held.handledTo = SHARD_END;
      return;
    }
    held.asking = true;
    const lease = newLease(child, TRIM_HORIZON, streamId);
    this.#out.push({ kind: 'createLease', lease, leaseKey, tenure: held.tenure });
  }
}

/** A KCL 2.x does not know `checkpointOwner`, and leaves it where it is. */
export function takenBy2x(before: Lease, taken: Lease): Lease {
  return { ...taken, checkpointOwner: before.checkpointOwner };
}
