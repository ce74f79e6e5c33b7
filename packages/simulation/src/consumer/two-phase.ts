// The checker of checkpoints in two phases, and of what a holder learns by its writes. Like the others it watches from outside: what
// the rows show, what handlers were told, what workers were answered.
import { compareExtended } from '@shardline/common';
import type { TableEffect } from '../../../consumer/dist/coordination/effects.js';
import type { Lease, PendingCheckpoint } from '../../../consumer/dist/coordination/lease.js';
import type { TenureRef } from './one-handler.ts';

type Pending = PendingCheckpoint | undefined;

interface Row {
  readonly pending: Pending;
  /** The tenure that wrote it last, if a holder did. */
  readonly writer: TenureRef | undefined;
}

export class TwoPhaseChecker {
  readonly #fail: (text: string) => void;
  readonly #rows = new Map<string, Row>();
  /** What the row showed when the tenure wrote it last. */
  readonly #seen = new Map<TenureRef, Pending>();
  /** Tenures that know of their handoff, and until when they may go on: at once, or for as long as their own heir has to be told. */
  readonly #handingOff = new Map<TenureRef, number>();

  constructor(fail: (text: string) => void) {
    this.#fail = fail;
  }

  /** A write was applied; `writer` is the tenure that made it, if a holder did. */
  rowChanged(kind: TableEffect['kind'], before: Lease | undefined, after: Lease, writer: TenureRef | undefined): void {
    const pending = after.pendingCheckpoint;
    // What begins anew has nothing pending.
    const mayChange = kind === 'checkpointLease' || kind === 'resetLease';
    if (before !== undefined && !mayChange && !isSame(pending, before.pendingCheckpoint)) {
      this.#fail(`${kind} of ${after.leaseKey} changed what is pending, which only a checkpoint does`);
    }
    this.#rows.set(after.leaseKey, { pending, writer });
    if (writer !== undefined) this.#seen.set(writer, pending);
  }

  /** The handler was told that its preparation is written. */
  prepared(leaseKey: string, ref: TenureRef, pending: PendingCheckpoint): void {
    const row = this.#rows.get(leaseKey);
    // Somebody else may have the lease by now.
    if (row === undefined || row.writer !== ref || isSame(row.pending, pending)) return;
    this.#fail(`${leaseKey}: a handler was told that its checkpoint is prepared, and the row does not show it`);
  }

  /** A handler was told what is pending, when its shard was opened. */
  opened(leaseKey: string, ref: TenureRef, told: Pending): void {
    if (isSame(told, this.#seen.get(ref))) return;
    this.#fail(`${leaseKey} was opened, and its handler was not told what is pending`);
  }

  /** A holder got an answer that shows the row. */
  answered(ref: TenureRef, row: Lease | undefined, now: number): void {
    if (row?.checkpointOwner !== undefined && !this.#handingOff.has(ref)) this.#handingOff.set(ref, now);
  }

  /** A holder that leaves has begun the handoff itself, and reads on until its heir has had the time to notice. */
  announced(ref: TenureRef, mayDeliverUntil: number): void {
    if (!this.#handingOff.has(ref)) this.#handingOff.set(ref, mayDeliverUntil);
  }

  delivers(leaseKey: string, ref: TenureRef, now: number): void {
    if (now > (this.#handingOff.get(ref) ?? Number.POSITIVE_INFINITY))
      this.#fail(`${leaseKey} was delivered after its holder had been shown that it is to be handed off`);
  }
}

function isSame(left: Pending, right: Pending): boolean {
  if (left === undefined || right === undefined) return left === right;
  const [a, b] = [left.state ?? [], right.state ?? []];
  return (
    compareExtended(left.position, right.position) === 0 &&
    a.length === b.length &&
    a.every((byte, index) => byte === b[index])
  );
}
