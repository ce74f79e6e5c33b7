// One shard in one tenure: waits for its parents, opens, fetches ahead (prefetch.ts), delivers one batch at a time, sees the shard
// to its end (shard-family.ts) or gives it up in good order. Pure; asks the lease holder whether it may deliver and tells it what was vouched for.
// Invariants: a batch is delivered only while the lease is fresh; nothing is vouched for that the handler has not finished; a
// handler that throws gets the same batch again; SHARD_END comes after the children's leases exist and the handler agreed.
import {
  type BackoffOptions,
  backoffMs,
  compareExtended,
  type ExtendedSequenceNumber,
  justBefore,
  SHARD_END,
  TRIM_HORIZON,
  unreachable,
} from '@shardline/common';
import type { CloseReason, Done, Effect, Failed, Tell } from './effects.ts';
import { answers } from './effects.ts';
import { isEnded, type Lease, leaseKeyOf, newLease } from './lease.ts';
import type { LeaseHolder } from './lease-holder.ts';
import type { Notice } from './notice.ts';
import type { Pauses } from './pauses.ts';
import { Prefetch, type PrefetchOptions } from './prefetch.ts';
import type { BatchBounds, Delivered, Fetched } from './results.ts';
import type { Share } from './room.ts';
import { familyOf, nextChild } from './shard-family.ts';
import type { StallReason, Waits } from './watchdog.ts';

export interface ShardConsumerOptions extends PrefetchOptions {
  readonly parentShardPollIntervalMs: number;
  readonly handlerBackoff: BackoffOptions;
  readonly tableBackoff: BackoffOptions;
}

/** Where a shard stands, for operators. */
export type ShardPhase = 'waitingForParents' | 'opening' | 'processing' | 'ending' | 'draining' | 'closing' | 'closed';

type EndStep = 'children' | 'callback' | 'checkpoint';

export class ShardConsumer {
  readonly #holder: LeaseHolder;
  readonly #options: ShardConsumerOptions;
  readonly #out: (Effect | Tell)[];
  #phase: ShardPhase = 'waitingForParents';
  /** The one question of the phases before and after processing that is open. */
  #asking = false;
  #opened = false;
  #drained = false;
  #retryAt = 0;
  #attempt = 0;
  readonly #prefetch: Prefetch;
  readonly #share: Share;
  readonly #pauses: Pauses;
  #delivering = false;
  #deliverRetryAt = 0;
  #deliverAttempt = 0;
  /** Somebody asked for the next try. */
  #isAskedFor = false;
  /** The newest position the handler was given: manual checkpoints may not pass it. */
  #givenTo: ExtendedSequenceNumber;
  #endStep: EndStep = 'children';
  #leaving: CloseReason | undefined;
  #heldBack = false;
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
    this.#pauses = pauses;
    this.#holder = holder;
    this.#options = options;
    this.#out = out;
    this.#share = share;
    this.#prefetch = new Prefetch(holder.lease.checkpoint, options, share);
    this.#givenTo = holder.lease.checkpoint;
  }

  get phase(): ShardPhase {
    return this.#phase;
  }

  get pendingBatchCount(): number {
    return this.#prefetch.count;
  }

  get handlerAttempt(): number {
    return this.#deliverAttempt;
  }

  get closeReason(): CloseReason | undefined {
    return this.#leaving;
  }

  /** What the shard waits for. A read that failed and is tried again is still waited for; a handler that threw has returned. */
  waits(now: number): Waits {
    return {
      read: this.#phase === 'processing' ? this.#prefetch.awaited : undefined,
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
    const batch = this.#delivering ? this.#prefetch.first : undefined;
    if (reason === 'read') return { position: this.#prefetch.fetchedTo, batch };
    return { position: reason === 'handler' ? this.#givenTo : this.#holder.position, batch };
  }

  /** What waits for its next try, or for none, has it now, and begins with fresh ones. @returns whether there is such. */
  retry(): boolean {
    if (this.#phase !== 'processing' || !this.#wantsDelivery() || this.#deliverRetryAt === 0) return false;
    this.#deliverRetryAt = 0;
    this.#deliverAttempt = 0;
    this.#isAskedFor = true;
    return true;
  }

  /** Finish what runs, let the handler checkpoint, write it, close. */
  drain(reason: 'handedOff' | 'stopping'): void {
    if (this.#leaving !== undefined || this.#phase === 'closing' || this.#phase === 'closed') return;
    this.#leaving = reason;
    this.#retryAt = 0;
  }

  /** Abort at once: the lease is lost, or patience has run out. */
  abort(reason: CloseReason): void {
    if (this.#phase === 'closing' || this.#phase === 'closed') return;
    this.#leaving = reason;
    this.#close(reason);
  }

  /** Whether the handler may vouch for `position` by hand. */
  mayVouch(position: ExtendedSequenceNumber): boolean {
    if (position.sequenceNumber === 'SHARD_END') return this.#phase === 'ending' && this.#endStep !== 'children';
    // Where nothing was finished since the shard was opened at its very beginning, there is nothing to vouch for.
    if (typeof position.sequenceNumber !== 'bigint') return true;
    return compareExtended(position, this.#holder.position) >= 0 && compareExtended(position, this.#givenTo) <= 0;
  }

  get childShardIds(): readonly string[] | undefined {
    return this.#prefetch.end?.childShards.map((child) => child.shardId);
  }

  deadline(): number {
    switch (this.#phase) {
      case 'waitingForParents':
        return this.#asking ? Number.POSITIVE_INFINITY : this.#retryAt;
      case 'opening':
        return this.#asking || this.#heldBack ? Number.POSITIVE_INFINITY : this.#retryAt;
      case 'ending':
        // The last checkpoint is the holder's to write.
        return this.#asking || this.#heldBack || this.#endStep === 'checkpoint'
          ? Number.POSITIVE_INFINITY
          : this.#retryAt;
      case 'processing': {
        const deliver = this.#wantsDelivery() && !this.#heldBack ? this.#deliverRetryAt : Number.POSITIVE_INFINITY;
        return Math.min(this.#prefetch.deadline(), deliver);
      }
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
    if (this.#leaving !== undefined && this.#phase !== 'closing' && this.#phase !== 'closed')
      this.#advanceDraining(now);
    else if (this.#phase === 'waitingForParents') this.#advanceParents(now);
    if (this.#leaving !== undefined) return;
    if (this.#phase === 'opening') this.#advanceOpening(now);
    if (this.#phase === 'processing') this.#advanceProcessing(now);
    if (this.#phase === 'ending') this.#advanceEnding(now);
  }

  /** An effect of this tenure was answered. */
  done(event: Done, now: number, random: number): void {
    if (answers(event, 'fetchBatch')) {
      this.#holder.read(event.result.batch?.byteCount ?? 0);
      this.#fetched(event.result);
      return;
    }
    if (answers(event, 'deliverBatch')) {
      this.#callCount += 1;
      this.#delivered(event.result, now, random);
      return;
    }
    if (answers(event, 'closeShard')) {
      this.#closed();
      return;
    }
    this.#asking = false;
    this.#attempt = 0;
    this.#callCount += 1;
    if (answers(event, 'readLeases')) {
      if (this.#phase === 'waitingForParents') this.#parentsRead(event.result.leases, now);
      else if (this.#phase === 'ending') this.#familyRead(event.result.leases, now);
    } else if (answers(event, 'openShard')) {
      this.#opened = true;
      if (this.#phase === 'opening') this.#phase = 'processing';
    } else if (answers(event, 'endShard')) {
      if (this.#phase === 'closing' || this.#phase === 'closed') return;
      this.#holder.vouch(SHARD_END, this.childShardIds);
      this.#holder.hurry();
      this.#endStep = 'checkpoint';
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
      case 'fetchBatch': {
        this.#prefetch.failed(error);
        if (this.#phase !== 'processing') return;
        const retryInMs = this.#prefetch.retry(now, random);
        this.#tell({ kind: 'effectFailed', effect: effect.kind, leaseKey: this.#key, retryInMs, error });
        return;
      }
      case 'deliverBatch': {
        this.#delivering = false;
        this.#callCount += 1;
        if (this.#phase !== 'processing') return;
        const retryInMs = backoffMs(this.#deliverAttempt, random, this.#options.handlerBackoff);
        this.#deliverAgain(retryInMs, error, now);
        return;
      }
      case 'drainShard':
        // The handler had its chance.
        this.#asking = false;
        this.#callCount += 1;
        this.#drained = true;
        this.#holder.hurry();
        this.#tell({ kind: 'effectFailed', effect: effect.kind, leaseKey: this.#key, retryInMs: 0, error });
        return;
      case 'closeShard':
        this.#closed();
        return;
      default: {
        this.#asking = false;
        this.#callCount += 1;
        this.#attempt += 1;
        const options =
          effect.kind === 'openShard' || effect.kind === 'endShard'
            ? this.#options.handlerBackoff
            : this.#options.tableBackoff;
        const retryInMs = backoffMs(this.#attempt, random, options);
        this.#retryAt = now + retryInMs;
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

  /** Shards know each other by id; their leases' keys name the stream as well. */
  #keysOf(shardIds: readonly string[]): string[] {
    return shardIds.map((shardId) => leaseKeyOf(this.#holder.lease.streamId, shardId));
  }

  #tell(notice: Notice): void {
    this.#out.push({ kind: 'tell', notice });
  }

  #ask(effect: Effect): void {
    this.#asking = true;
    this.#out.push(effect);
  }

  #isCalling(): boolean {
    if (this.#delivering) return true;
    if (this.#phase === 'ending') return this.#asking && this.#endStep === 'callback';
    return this.#asking && (this.#phase === 'opening' || this.#phase === 'draining');
  }

  /**
   * While the lease is stale, or paused, nobody may be called; the holder's next answer, or an operator, brings the shard on, not the
   * passing of time.
   */
  #mayCallHandler(now: number): boolean {
    this.#heldBack = !this.#holder.isFresh(now) || this.#pauses.since(this.#key) !== undefined;
    return !this.#heldBack;
  }

  // --- before processing ---

  #advanceParents(now: number): void {
    const { parentShardIds, checkpoint } = this.#holder.lease;
    const parents = this.#keysOf(parentShardIds);
    // One that stands at a record was begun before, when its parents had ended. A row that an earlier stream of the name left behind may
    // name a parent that is no parent in this one, and is open: it would be waited for for ever.
    const hasBegun = typeof checkpoint.sequenceNumber === 'bigint';
    if (parents.length === 0 || hasBegun) this.#phase = 'opening';
    else if (!this.#asking && now >= this.#retryAt)
      this.#ask({ kind: 'readLeases', ...this.#base, leaseKeys: parents });
  }

  /** KCL BlockOnParentShardTask: an absent parent does not block, an unfinished one does. */
  #parentsRead(leases: readonly Lease[], now: number): void {
    const unfinished = leases.filter((lease) => !isEnded(lease)).map((lease) => lease.leaseKey);
    if (unfinished.length === 0) {
      this.#phase = 'opening';
      this.#retryAt = 0;
      return;
    }
    this.#retryAt = now + this.#options.parentShardPollIntervalMs;
    this.#tell({ kind: 'waitingForParents', leaseKey: this.#key, parents: unfinished });
  }

  #advanceOpening(now: number): void {
    if (this.#asking || now < this.#retryAt || !this.#mayCallHandler(now)) return;
    const { streamId, shardId, hashKeyRange, checkpoint, pendingCheckpoint } = this.#holder.lease;
    const shard = { streamId, shardId, hashKeyRange };
    const { latestSince, fencingToken } = this.#holder;
    this.#ask({ kind: 'openShard', ...this.#base, ...shard, fencingToken, checkpoint, pendingCheckpoint, latestSince });
  }

  // --- processing ---

  #advanceProcessing(now: number): void {
    this.#passEmptyBatches();
    if (this.#wantsDelivery() && now >= this.#deliverRetryAt && this.#mayCallHandler(now)) {
      const batch = this.#prefetch.first as BatchBounds;
      this.#delivering = true;
      this.#deliverAttempt += 1;
      if (compareExtended(batch.last, this.#givenTo) > 0) this.#givenTo = batch.last;
      const { leaseKey, tenure } = this.#base;
      const { batchId } = batch;
      const anew = this.#isAskedFor ? ({ anew: true } as const) : undefined;
      this.#isAskedFor = false;
      this.#out.push({ kind: 'deliverBatch', leaseKey, tenure, batchId, attempt: this.#deliverAttempt, ...anew });
    }
    const most = this.#prefetch.begin(now);
    if (most !== undefined) {
      const { leaseKey, shardId } = this.#holder.lease;
      const { tenure } = this.#holder;
      this.#out.push({ kind: 'fetchBatch', leaseKey, tenure, shardId, after: this.#prefetch.fetchedTo, most });
    }
    if (this.#prefetch.end !== undefined && this.#prefetch.count === 0) this.#phase = 'ending';
  }

  #wantsDelivery(): boolean {
    return !this.#delivering && this.#prefetch.count > 0;
  }

  #fetched(fetched: Fetched): void {
    const keeps = this.#phase === 'processing';
    if (keeps && fetched.batch !== undefined) this.#pinBeginning(fetched.batch);
    this.#prefetch.fetched(fetched, keeps);
  }

  /**
   * LATEST, and a time that is not in the table, are another place for each worker that begins there. From the first record on there
   * is a number: the checkpoint becomes the place just before that record, and nothing after it can be passed over any more.
   */
  #pinBeginning({ first }: BatchBounds): void {
    const { sequenceNumber } = this.#holder.position;
    if (first === undefined || (sequenceNumber !== 'LATEST' && sequenceNumber !== 'AT_TIMESTAMP')) return;
    this.#holder.vouch(justBefore(first));
  }

  #delivered({ checkpoint, rest }: Delivered, now: number, random: number): void {
    this.#delivering = false;
    this.#deliverAttempt = rest?.kind === 'threw' ? rest.attempt : 0;
    this.#deliverRetryAt = 0;
    if (this.#phase === 'closing' || this.#phase === 'closed') return;
    if (rest === undefined) this.#prefetch.shift();
    else if (rest.kind === 'threw') {
      const retryInMs = backoffMs(rest.attempt, random, this.#options.handlerBackoff);
      this.#deliverAgain(rest.stops ? Number.POSITIVE_INFINITY : retryInMs, rest.error, now);
    }
    if (checkpoint !== undefined) this.#holder.vouch(checkpoint);
  }

  #deliverAgain(retryInMs: number, error: unknown, now: number): void {
    this.#deliverRetryAt = now + retryInMs;
    this.#tell({ kind: 'handlerFailed', leaseKey: this.#key, attempt: this.#deliverAttempt, retryInMs, error });
  }

  /** A batch without records (all of them at or before the checkpoint) needs no handler. */
  #passEmptyBatches(): void {
    while (!this.#delivering && this.#prefetch.first?.recordCount === 0) this.#prefetch.shift();
  }

  // --- the shard's end (KCL ShutdownTask) ---

  #advanceEnding(now: number): void {
    if (this.#endStep === 'checkpoint' && isEnded(this.#holder.lease)) {
      this.#leaving = 'shardEnded';
      this.#close('shardEnded');
      return;
    }
    if (this.#endStep === 'children' && this.#prefetch.end?.childShards.length === 0) this.#endStep = 'callback';
    if (this.#asking || now < this.#retryAt) return;
    // A holder that slept may have lost the lease long ago: its family is complete then, or was, and is cleaned up.
    if (!this.#mayCallHandler(now)) return;
    if (this.#endStep === 'children') this.#askFamily();
    else if (this.#endStep === 'callback') this.#ask({ kind: 'endShard', ...this.#base });
  }

  #askFamily(): void {
    const family = familyOf(this.#holder.lease.shardId, this.#prefetch.end?.childShards ?? []);
    this.#ask({ kind: 'readLeases', ...this.#base, leaseKeys: this.#keysOf(family) });
  }

  #familyRead(leases: readonly Lease[], now: number): void {
    const { shardId, streamId } = this.#holder.lease;
    const next = nextChild(shardId, this.#prefetch.end?.childShards ?? [], leases);
    if (next === 'complete') {
      this.#endStep = 'callback';
      this.#retryAt = 0;
      return;
    }
    if (next === 'notYet') {
      this.#retryAt = now + this.#options.parentShardPollIntervalMs;
      return;
    }
    // Asleep since the family was read, this worker would make a child anew that others have finished and cleaned up.
    if (!this.#mayCallHandler(now)) return;
    // KCL: children begin at TRIM_HORIZON whatever the application's initial position, so that nothing is skipped.
    this.#ask({ kind: 'createLease', ...this.#base, lease: newLease(next, TRIM_HORIZON, streamId) });
  }

  // --- leaving ---

  #advanceDraining(now: number): void {
    if (this.#phase !== 'draining') {
      if (this.#asking) return;
      this.#phase = 'draining';
      this.#retryAt = 0;
    }
    if (this.#delivering || this.#asking || now < this.#retryAt) return;
    if (this.#opened && !this.#drained) {
      this.#ask({ kind: 'drainShard', ...this.#base });
      return;
    }
    this.#holder.hurry();
    // A stale lease is not waited for: the next owner begins at the last checkpoint that was written.
    if (this.#holder.flushed || !this.#holder.isFresh(now)) this.#close(this.#leaving as CloseReason);
  }

  #close(reason: CloseReason): void {
    this.#phase = 'closing';
    this.#prefetch.clear(this.#delivering);
    this.#out.push({ kind: 'closeShard', ...this.#base, reason });
  }

  #closed(): void {
    this.#phase = 'closed';
    this.#share.close();
  }
}
