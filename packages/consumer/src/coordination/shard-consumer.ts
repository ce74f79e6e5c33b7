// One shard in one tenure, from phase to phase: waits for its parents, opens, is processed (processing.ts), is seen to its end
// (shard-end.ts) or given up in good order. Pure; asks the lease holder whether the lease is fresh and tells it what was vouched for.
// Invariants: whatever the phase, nothing is asked of the handler while the lease is stale, but that it lets go; once the shard is
// closing, no answer brings anything on but the one that closes it.
import { type BackoffOptions, compareExtended, type ExtendedSequenceNumber, unreachable } from '@shardline/common';
import type { CloseReason, Done, Effect, Failed, Tell } from './effects.ts';
import { answers } from './effects.ts';
import { HandlerGate } from './handler-gate.ts';
import { isEnded, type Lease, leaseKeyOf } from './lease.ts';
import type { LeaseHolder } from './lease-holder.ts';
import type { Notice } from './notice.ts';
import type { Pauses } from './pauses.ts';
import { Processing, type ProcessingOptions } from './processing.ts';
import { Question } from './question.ts';
import type { BatchBounds } from './results.ts';
import type { Share } from './room.ts';
import { ShardEnd, type ShardEndOptions } from './shard-end.ts';
import type { StallReason, Waits } from './watchdog.ts';

export interface ShardConsumerOptions extends ProcessingOptions, ShardEndOptions {
  readonly tableBackoff: BackoffOptions;
}

/** Where a shard stands, for operators. */
export type ShardPhase = 'waitingForParents' | 'opening' | 'processing' | 'ending' | 'draining' | 'closing' | 'closed';

export class ShardConsumer {
  readonly #holder: LeaseHolder;
  readonly #options: ShardConsumerOptions;
  readonly #out: (Effect | Tell)[];
  #phase: ShardPhase = 'waitingForParents';
  readonly #gate: HandlerGate;
  readonly #question: Question;
  readonly #processing: Processing;
  /** Once all records of a shard that has ended are handled. */
  #end: ShardEnd | undefined;
  #opened = false;
  #drained = false;
  readonly #share: Share;
  #leaving: CloseReason | undefined;
  /** The handler's answers so far: what the watchdog goes by. */
  #callCount = 0;

  /** @param out where effects are put, in order. @param share of the worker's room. */
  constructor(
    holder: LeaseHolder,
    options: ShardConsumerOptions,
    out: (Effect | Tell)[],
    share: Share,
    pauses: Pauses,
  ) {
    this.#holder = holder;
    this.#options = options;
    this.#out = out;
    this.#share = share;
    this.#gate = new HandlerGate(holder, pauses);
    this.#question = new Question(out);
    this.#processing = new Processing(holder, options, out, this.#gate, share);
  }

  get phase(): ShardPhase {
    return this.#phase;
  }

  get pendingBatchCount(): number {
    return this.#processing.pendingBatchCount;
  }

  get handlerAttempt(): number {
    return this.#processing.attempt;
  }

  get closeReason(): CloseReason | undefined {
    return this.#leaving;
  }

  /** What the shard waits for. A read that failed and is tried again is still waited for; a handler that threw has returned. */
  waits(now: number): Waits {
    return {
      read: this.#phase === 'processing' ? this.#processing.awaited : undefined,
      handler: this.#isCalling() ? this.#callCount : undefined,
      checkpoint: this.#holder.checkpointOwed(now),
      closing: this.#phase === 'closing',
    };
  }

  /** Where a shard stands that waits, and for what. */
  stalledAt(reason: StallReason): {
    readonly position: ExtendedSequenceNumber;
    readonly batch: BatchBounds | undefined;
  } {
    const batch = this.#processing.inHandler;
    if (reason === 'read') return { position: this.#processing.fetchedTo, batch };
    return { position: reason === 'handler' ? this.#processing.givenTo : this.#holder.position, batch };
  }

  /** What waits for its next try, or for none, has it now, and begins with fresh ones. @returns whether there is such. */
  retry(): boolean {
    return this.#phase === 'processing' && this.#processing.retry();
  }

  /** Finish what runs, let the handler checkpoint, write it, close. */
  drain(reason: 'handedOff' | 'stopping' | 'replaying'): void {
    if (this.#leaving !== undefined || this.#isOver) return;
    this.#leaving = reason;
    this.#question.notBefore(0);
  }

  /** Abort at once: the lease is lost, or patience has run out. */
  abort(reason: CloseReason): void {
    if (this.#isOver) return;
    this.#leaving = reason;
    this.#close(reason);
  }

  /** Whether the handler may vouch for `position` by hand. */
  mayVouch(position: ExtendedSequenceNumber): boolean {
    if (position.sequenceNumber === 'SHARD_END') return this.#phase === 'ending' && this.#end?.mayBeVouchedFor === true;
    // Where nothing was finished since the shard was opened at its very beginning, there is nothing to vouch for.
    if (typeof position.sequenceNumber !== 'bigint') return true;
    return (
      compareExtended(position, this.#holder.position) >= 0 && compareExtended(position, this.#processing.givenTo) <= 0
    );
  }

  /** The last that the handler was given. */
  get givenTo(): ExtendedSequenceNumber {
    return this.#processing.givenTo;
  }

  get childShardIds(): readonly string[] | undefined {
    return this.#processing.childShards?.map((child) => child.shardId);
  }

  deadline(): number {
    switch (this.#phase) {
      case 'waitingForParents':
        return this.#question.deadline();
      case 'opening':
        return this.#gate.isShut ? Number.POSITIVE_INFINITY : this.#question.deadline();
      case 'processing':
        return this.#processing.deadline();
      case 'ending':
        return this.#end?.deadline() ?? Number.POSITIVE_INFINITY;
      case 'draining':
      case 'closing':
      case 'closed':
        // Only answers bring these on.
        return Number.POSITIVE_INFINITY;
      default:
        return unreachable(this.#phase);
    }
  }

  /** Puts out whatever can be done now. */
  advance(now: number): void {
    if (this.#leaving !== undefined && !this.#isOver) this.#advanceDraining(now);
    else if (this.#phase === 'waitingForParents') this.#advanceParents(now);
    if (this.#leaving !== undefined) return;
    if (this.#phase === 'opening') this.#advanceOpening(now);
    if (this.#phase === 'processing') this.#advanceProcessing(now);
    if (this.#phase === 'ending' && this.#end !== undefined) this.#advanceEnding(this.#end, now);
  }

  /** An effect of this tenure was answered. */
  done(event: Done, now: number, random: number): void {
    if (answers(event, 'fetchBatch')) {
      this.#processing.fetched(event.result, this.#phase === 'processing');
      return;
    }
    if (answers(event, 'deliverBatch')) {
      this.#callCount += 1;
      this.#processing.handled(event.result, !this.#isOver, now, random);
      return;
    }
    if (answers(event, 'closeShard')) {
      this.#closed();
      return;
    }
    this.#question.answered();
    this.#callCount += 1;
    if (answers(event, 'readLeases')) {
      if (this.#phase === 'waitingForParents') this.#parentsRead(event.result.leases, now);
      else if (this.#phase === 'ending' && this.#end?.familyRead(event.result.leases, now) === false)
        this.#tell({ kind: 'waitingForOtherParent', leaseKey: this.#key });
    } else if (answers(event, 'openShard')) {
      this.#opened = true;
      if (this.#phase === 'opening') this.#phase = 'processing';
    } else if (answers(event, 'endShard')) {
      if (this.#isOver) return;
      this.#end?.agreed();
      // After shardEnded there is nothing left to ask the handler.
      this.#drained = true;
    } else if (answers(event, 'drainShard')) {
      this.#drained = true;
    }
    // createLease: made now or there already, by the other parent's holder or by an earlier try; the family is read again.
  }

  /** An effect of this tenure failed, or may have. */
  failed(event: Failed, now: number, random: number): void {
    const { effect, error } = event;
    switch (effect.kind) {
      case 'fetchBatch':
        this.#processing.fetchFailed(error, this.#phase === 'processing', now, random);
        return;
      case 'deliverBatch':
        this.#callCount += 1;
        this.#processing.deliveryFailed(error, this.#phase === 'processing', now, random);
        return;
      case 'drainShard':
        // The handler had its chance.
        this.#question.dropped();
        this.#callCount += 1;
        this.#drained = true;
        this.#holder.hurry();
        this.#tell({ kind: 'effectFailed', effect: effect.kind, leaseKey: this.#key, retryInMs: 0, error });
        return;
      case 'closeShard':
        this.#closed();
        return;
      default: {
        this.#callCount += 1;
        const { handlerBackoff, tableBackoff } = this.#options;
        const isCall = effect.kind === 'openShard' || effect.kind === 'endShard';
        const retryInMs = this.#question.failed(now, random, isCall ? handlerBackoff : tableBackoff);
        this.#tell({ kind: 'effectFailed', effect: effect.kind, leaseKey: this.#key, retryInMs, error });
      }
    }
  }

  get #key(): string {
    return this.#holder.lease.leaseKey;
  }

  get #base(): { readonly leaseKey: string; readonly tenure: number } {
    return { leaseKey: this.#key, tenure: this.#holder.tenure };
  }

  #tell(notice: Notice): void {
    this.#out.push({ kind: 'tell', notice });
  }

  #isCalling(): boolean {
    if (this.#processing.isDelivering) return true;
    if (this.#phase === 'ending') return this.#end?.isCalling === true;
    return this.#question.isOpen && (this.#phase === 'opening' || this.#phase === 'draining');
  }

  get #isOver(): boolean {
    return this.#phase === 'closing' || this.#phase === 'closed';
  }

  // --- before processing ---

  #advanceParents(now: number): void {
    const { streamId, parentShardIds, checkpoint } = this.#holder.lease;
    // Shards know each other by id; their leases' keys name the stream as well.
    const parents = parentShardIds.map((shardId) => leaseKeyOf(streamId, shardId));
    // One that stands at a record was begun before, when its parents had ended. A row that an earlier stream of the name left behind may
    // name a parent that is no parent in this one, and is open: it would be waited for for ever.
    const hasBegun = typeof checkpoint.sequenceNumber === 'bigint';
    if (parents.length === 0 || hasBegun) this.#phase = 'opening';
    else if (this.#question.mayAsk(now)) this.#question.ask({ kind: 'readLeases', ...this.#base, leaseKeys: parents });
  }

  /** KCL BlockOnParentShardTask: an absent parent does not block, an unfinished one does. */
  #parentsRead(leases: readonly Lease[], now: number): void {
    const unfinished = leases.filter((lease) => !isEnded(lease)).map((lease) => lease.leaseKey);
    if (unfinished.length === 0) {
      this.#phase = 'opening';
      this.#question.notBefore(0);
      return;
    }
    this.#question.notBefore(now + this.#options.parentShardPollIntervalMs);
    this.#tell({ kind: 'waitingForParents', leaseKey: this.#key, parents: unfinished });
  }

  #advanceOpening(now: number): void {
    if (!this.#question.mayAsk(now) || !this.#gate.isOpen(now)) return;
    const { streamId, shardId, hashKeyRange, checkpoint, pendingCheckpoint } = this.#holder.lease;
    const shard = { streamId, shardId, hashKeyRange };
    const { latestSince, fencingToken } = this.#holder;
    const from = { checkpoint, pendingCheckpoint, latestSince };
    this.#question.ask({ kind: 'openShard', ...this.#base, ...shard, fencingToken, ...from });
  }

  // --- processing, and the shard's end ---

  #advanceProcessing(now: number): void {
    this.#processing.advance(now);
    if (!this.#processing.isFinished) return;
    this.#phase = 'ending';
    const children = this.#processing.childShards ?? [];
    this.#end = new ShardEnd(this.#holder, this.#options, this.#question, this.#gate, children);
  }

  #advanceEnding(end: ShardEnd, now: number): void {
    if (!end.isWritten) {
      end.advance(now);
      return;
    }
    this.#leaving = 'shardEnded';
    this.#close('shardEnded');
  }

  // --- leaving ---

  #advanceDraining(now: number): void {
    if (this.#phase !== 'draining') {
      if (this.#question.isOpen) return;
      this.#phase = 'draining';
      this.#question.notBefore(0);
    }
    if (this.#processing.isDelivering || !this.#question.mayAsk(now)) return;
    if (this.#opened && !this.#drained) {
      this.#question.ask({ kind: 'drainShard', ...this.#base });
      return;
    }
    this.#holder.hurry();
    // A stale lease is not waited for: the next owner begins at the last checkpoint that was written.
    if (this.#holder.flushed || !this.#holder.isFresh(now)) this.#close(this.#leaving as CloseReason);
  }

  #close(reason: CloseReason): void {
    this.#phase = 'closing';
    this.#processing.clear();
    this.#out.push({ kind: 'closeShard', ...this.#base, reason });
  }

  #closed(): void {
    this.#phase = 'closed';
    this.#share.close();
  }
}
