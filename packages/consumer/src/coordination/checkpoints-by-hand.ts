// The checkpoints that a handler asks for by hand, of one lease: what it vouches for is checked, given to the lease's holder, and
// each call is settled once its revision is written, or when the lease is gone. Pure.
// Invariant: every call is settled exactly once.
import type { CheckpointRequested, Effect, Tell } from './effects.ts';
import type { LeaseHolder } from './lease-holder.ts';
import type { CheckpointRange } from './notice.ts';
import type { ShardConsumer } from './shard-consumer.ts';

/** What a call waits for. */
export interface Waiter {
  readonly requestId: number;
  readonly revision: number;
}

/** A lease whose calls they are. */
export interface Vouching {
  readonly holder: LeaseHolder;
  readonly consumer: ShardConsumer | undefined;
  readonly waiters: Waiter[];
}

/** @returns whether the holder has something to write now. */
export function vouchByHand(
  { holder, consumer, waiters }: Vouching,
  { position, prepare, requestId }: CheckpointRequested,
  out: (Effect | Tell)[],
): boolean {
  if (consumer?.mayVouch(position) !== true) {
    settle(requestId, { from: holder.position, to: consumer?.givenTo ?? holder.position }, out);
    return false;
  }
  const childShardIds = position.sequenceNumber === 'SHARD_END' ? consumer.childShardIds : undefined;
  const revision =
    prepare === undefined ? holder.vouch(position, childShardIds) : holder.prepare({ position, state: prepare.state });
  holder.hurry();
  waiters.push({ requestId, revision });
  return true;
}

/** Settles those whose revision is written; all of them when the lease is gone or `over`. */
export function settleWaiters({ holder, waiters }: Vouching, out: (Effect | Tell)[], over = false): void {
  for (let index = waiters.length - 1; index >= 0; index -= 1) {
    const { requestId, revision } = waiters[index] as Waiter;
    const written = revision <= holder.writtenRevision;
    if (!written && holder.gone === undefined && !over) continue;
    waiters.splice(index, 1);
    settle(requestId, written ? 'done' : 'leaseLost', out);
  }
}

export function settle(
  requestId: number,
  outcome: 'done' | 'leaseLost' | CheckpointRange,
  out: (Effect | Tell)[],
): void {
  out.push({ kind: 'tell', notice: { kind: 'checkpointSettled', requestId, outcome } });
}
