// A shard's end in one tenure, after its last record was handled (KCL ShutdownTask): the children's leases are made, the handler agrees,
// SHARD_END is written. What may be made for the children is in shard-family.ts. Pure.
// Invariant: SHARD_END comes after the children's leases exist and the handler agreed.
import { SHARD_END, TRIM_HORIZON } from '@shardline/common';
import type { HandlerGate } from './handler-gate.ts';
import { type ChildShard, isEnded, type Lease, leaseKeyOf, newLease } from './lease.ts';
import type { LeaseHolder } from './lease-holder.ts';
import type { Question } from './question.ts';
import { familyOf, nextChild } from './shard-family.ts';

export interface ShardEndOptions {
  readonly parentShardPollIntervalMs: number;
}

export class ShardEnd {
  readonly #holder: LeaseHolder;
  readonly #options: ShardEndOptions;
  readonly #question: Question;
  readonly #gate: HandlerGate;
  readonly #childShards: readonly ChildShard[];
  #step: 'children' | 'callback' | 'checkpoint' = 'children';

  constructor(
    holder: LeaseHolder,
    options: ShardEndOptions,
    question: Question,
    gate: HandlerGate,
    childShards: readonly ChildShard[],
  ) {
    this.#holder = holder;
    this.#options = options;
    this.#question = question;
    this.#gate = gate;
    this.#childShards = childShards;
    if (childShards.length === 0) this.#step = 'callback';
  }

  /** The handler is asked, or was: it may vouch for the end. */
  get mayBeVouchedFor(): boolean {
    return this.#step !== 'children';
  }

  /** The handler is asked whether it agrees. */
  get isCalling(): boolean {
    return this.#step === 'callback' && this.#question.isOpen;
  }

  /** SHARD_END stands in the table. */
  get isWritten(): boolean {
    return this.#step === 'checkpoint' && isEnded(this.#holder.lease);
  }

  deadline(): number {
    // The last checkpoint is the holder's to write.
    if (this.#gate.isShut || this.#step === 'checkpoint') return Number.POSITIVE_INFINITY;
    return this.#question.deadline();
  }

  advance(now: number): void {
    if (!this.#question.mayAsk(now)) return;
    // A holder that slept may have lost the lease long ago: its family is complete then, or was, and is cleaned up.
    if (!this.#gate.isOpen(now)) return;
    const { tenure } = this.#holder;
    const { leaseKey, shardId, streamId } = this.#holder.lease;
    if (this.#step === 'callback') this.#question.ask({ kind: 'endShard', leaseKey, tenure });
    if (this.#step !== 'children') return;
    const leaseKeys = familyOf(shardId, this.#childShards).map((each) => leaseKeyOf(streamId, each));
    this.#question.ask({ kind: 'readLeases', leaseKey, tenure, leaseKeys });
  }

  /** @returns false: what is to be made has to wait for the other parent of a merge. */
  familyRead(leases: readonly Lease[], now: number): boolean {
    const { leaseKey, shardId, streamId } = this.#holder.lease;
    const next = nextChild(shardId, this.#childShards, leases);
    if (next === 'complete') {
      this.#step = 'callback';
      this.#question.notBefore(0);
      return true;
    }
    if (next === 'notYet') {
      this.#question.notBefore(now + this.#options.parentShardPollIntervalMs);
      return false;
    }
    // Asleep since the family was read, this worker would make a child anew that others have finished and cleaned up.
    if (!this.#gate.isOpen(now)) return true;
    // KCL: children begin at TRIM_HORIZON whatever the application's initial position, so that nothing is skipped.
    const lease = newLease(next, TRIM_HORIZON, streamId);
    this.#question.ask({ kind: 'createLease', leaseKey, tenure: this.#holder.tenure, lease });
    return true;
  }

  /** The handler agreed. */
  agreed(): void {
    this.#holder.vouch(SHARD_END, this.childShardIds);
    this.#holder.hurry();
    this.#step = 'checkpoint';
  }

  get childShardIds(): readonly string[] {
    return this.#childShards.map((child) => child.shardId);
  }
}
