// What a handler has vouched for or prepared and the row does not show yet: the newest wins, and one write carries all of it.
// Pure. Each request has a revision, and is settled by the write that carries that revision or a later one, so that a request
// which a newer one has overtaken ends as if both had been written in their order. Invariant: the checkpoint
// goes back by `rewind` alone.
import { compareExtended, type ExtendedSequenceNumber } from '@shardline/common';
import type { Lease, PendingCheckpoint } from './lease.ts';

export class Unwritten {
  /** The newest position vouched for. */
  checkpoint: ExtendedSequenceNumber | undefined;
  /** The newest one prepared since. */
  pendingCheckpoint: PendingCheckpoint | undefined;
  /** Of the shard's end. */
  childShardIds: readonly string[] | undefined;
  /** Of the newest request. */
  revision = 0;
  /** All requests up to this one are in the table. */
  writtenRevision = 0;
  #vouchedRevision = 0;
  /** The checkpoint goes back. */
  #isRewind = false;

  get isEmpty(): boolean {
    return this.checkpoint === undefined && this.pendingCheckpoint === undefined;
  }

  /** A checkpoint ends what was prepared before it, and one that changes nothing leaves it as it is, as in the KCL. */
  vouch(position: ExtendedSequenceNumber, row: Lease, childShardIds?: readonly string[]): number {
    if (this.#isKnown(position, row)) return this.#vouchedRevision;
    this.checkpoint = position;
    this.pendingCheckpoint = undefined;
    if (childShardIds !== undefined) this.childShardIds = childShardIds;
    this.revision += 1;
    this.#vouchedRevision = this.revision;
    return this.revision;
  }

  /** What is checkpointed already needs no preparation (KCL DoesNothingPreparedCheckpointer). */
  prepare(pending: PendingCheckpoint, row: Lease): number {
    if (this.#isKnown(pending.position, row)) return this.#vouchedRevision;
    this.pendingCheckpoint = pending;
    this.revision += 1;
    return this.revision;
  }

  /** The checkpoint becomes an earlier one, and all that was vouched for or prepared is void. */
  rewind(position: ExtendedSequenceNumber): void {
    this.checkpoint = position;
    this.pendingCheckpoint = undefined;
    this.childShardIds = undefined;
    this.#isRewind = true;
    this.revision += 1;
    this.#vouchedRevision = this.revision;
  }

  /** A write of everything up to `revision` was applied. */
  written(revision: number, row: Lease): void {
    this.writtenRevision = Math.max(this.writtenRevision, revision);
    this.found(row);
  }

  /** The row as it is now: an earlier write, whose answer was lost, may have brought it there. */
  found(row: Lease): void {
    if (this.checkpoint !== undefined) {
      const step = compareExtended(this.checkpoint, row.checkpoint);
      if (step === 0 || (step < 0 && !this.#isRewind)) {
        this.checkpoint = undefined;
        this.#isRewind = false;
      }
    }
    // The write of a checkpoint would end it: then it has to be written again, though it stands there.
    const stays = this.checkpoint === undefined;
    if (stays && this.pendingCheckpoint !== undefined && isSame(this.pendingCheckpoint, row.pendingCheckpoint))
      this.pendingCheckpoint = undefined;
    if (this.isEmpty) this.writtenRevision = this.revision;
  }

  #isKnown(position: ExtendedSequenceNumber, row: Lease): boolean {
    return compareExtended(position, this.checkpoint ?? row.checkpoint) <= 0;
  }
}

function isSame(pending: PendingCheckpoint, written: PendingCheckpoint | undefined): boolean {
  if (written === undefined || compareExtended(pending.position, written.position) !== 0) return false;
  const [left, right] = [pending.state, written.state];
  if (left === undefined || right === undefined) return left === right;
  return left.length === right.length && left.every((byte, index) => byte === right[index]);
}
