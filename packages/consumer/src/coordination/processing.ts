// One shard in one tenure while it is open and nobody wants it back: fetches ahead (prefetch.ts), gives the handler one batch at a time,
// and vouches for what it has finished. Before and after that it is shard-consumer.ts's. Pure.
// Invariants: a batch is delivered only while the lease is fresh; nothing is vouched for that the handler has not finished; a
// handler that throws gets the same batch again.
import {
  type BackoffOptions,
  backoffMs,
  compareExtended,
  type ExtendedSequenceNumber,
  justBefore,
} from '@shardline/common';
import type { DeliverBatch, Effect, Tell } from './effects.ts';
import type { HandlerGate } from './handler-gate.ts';
import type { ChildShard } from './lease.ts';
import type { LeaseHolder } from './lease-holder.ts';
import { Prefetch, type PrefetchOptions } from './prefetch.ts';
import type { BatchBounds, Delivered, Fetched } from './results.ts';
import type { Share } from './room.ts';

export interface ProcessingOptions extends PrefetchOptions {
  readonly handlerBackoff: BackoffOptions;
}

export class Processing {
  readonly #holder: LeaseHolder;
  readonly #options: ProcessingOptions;
  readonly #out: (Effect | Tell)[];
  readonly #gate: HandlerGate;
  readonly #prefetch: Prefetch;
  #delivering = false;
  #retryAt = 0;
  #attempt = 0;
  /** Somebody asked for the next try. */
  #isAskedFor = false;
  #givenTo: ExtendedSequenceNumber;

  /** @param out where effects are put, in order. @param share of the worker's room. */
  constructor(
    holder: LeaseHolder,
    options: ProcessingOptions,
    out: (Effect | Tell)[],
    gate: HandlerGate,
    share: Share,
  ) {
    this.#holder = holder;
    this.#options = options;
    this.#out = out;
    this.#gate = gate;
    this.#prefetch = new Prefetch(holder.lease.checkpoint, options, share);
    this.#givenTo = holder.lease.checkpoint;
  }

  /** The handler has a batch. */
  get isDelivering(): boolean {
    return this.#delivering;
  }

  /** The newest position the handler was given: manual checkpoints may not pass it. */
  get givenTo(): ExtendedSequenceNumber {
    return this.#givenTo;
  }

  /** From 1 while a batch is delivered or waits for its next try. */
  get attempt(): number {
    return this.#attempt;
  }

  get pendingBatchCount(): number {
    return this.#prefetch.count;
  }

  /** Behind which the next fetch reads. */
  get fetchedTo(): ExtendedSequenceNumber {
    return this.#prefetch.fetchedTo;
  }

  /** See `Prefetch.awaited`. */
  get awaited(): number | undefined {
    return this.#prefetch.awaited;
  }

  /** The batch in the handler. */
  get inHandler(): BatchBounds | undefined {
    return this.#delivering ? this.#prefetch.first : undefined;
  }

  /** The shard's children, once its end was read. */
  get childShards(): readonly ChildShard[] | undefined {
    return this.#prefetch.end?.childShards;
  }

  /** All records of a shard that has ended are handled. */
  get isFinished(): boolean {
    return this.#prefetch.end !== undefined && this.#prefetch.count === 0;
  }

  deadline(): number {
    const deliver = this.#wantsDelivery() && !this.#gate.isShut ? this.#retryAt : Number.POSITIVE_INFINITY;
    return Math.min(this.#prefetch.deadline(), deliver);
  }

  /** Puts out whatever can be done now. */
  advance(now: number): void {
    this.#passEmptyBatches();
    if (this.#wantsDelivery() && now >= this.#retryAt && this.#gate.isOpen(now)) this.#deliver();
    const most = this.#prefetch.begin(now);
    if (most === undefined) return;
    const { leaseKey, shardId } = this.#holder.lease;
    const { tenure } = this.#holder;
    this.#out.push({ kind: 'fetchBatch', leaseKey, tenure, shardId, after: this.#prefetch.fetchedTo, most });
  }

  /** What waits for its next try, or for none, has it now, and begins with fresh ones. @returns whether there is such. */
  retry(): boolean {
    if (!this.#wantsDelivery() || this.#retryAt === 0) return false;
    this.#retryAt = 0;
    this.#attempt = 0;
    this.#isAskedFor = true;
    return true;
  }

  /** @param keeps whether the batch will be handled. */
  fetched(fetched: Fetched, keeps: boolean): void {
    this.#holder.read(fetched.batch?.byteCount ?? 0);
    if (keeps && fetched.batch !== undefined) this.#pinBeginning(fetched.batch);
    this.#prefetch.fetched(fetched, keeps);
  }

  /** @param keeps whether it is tried again. */
  fetchFailed(error: unknown, keeps: boolean, now: number, random: number): void {
    this.#prefetch.failed(error);
    if (!keeps) return;
    const retryInMs = this.#prefetch.retry(now, random);
    const { leaseKey } = this.#holder.lease;
    this.#out.push({
      kind: 'tell',
      notice: { kind: 'effectFailed', effect: 'fetchBatch', leaseKey, retryInMs, error },
    });
  }

  /** @param keeps whether what the handler has finished may still be vouched for. */
  handled({ checkpoint, rest }: Delivered, keeps: boolean, now: number, random: number): void {
    this.#delivering = false;
    this.#attempt = rest?.kind === 'threw' ? rest.attempt : 0;
    this.#retryAt = 0;
    if (!keeps) return;
    if (rest === undefined) this.#prefetch.shift();
    else if (rest.kind === 'threw') {
      const retryInMs = backoffMs(rest.attempt, random, this.#options.handlerBackoff);
      this.#deliverAgain(rest.stops ? Number.POSITIVE_INFINITY : retryInMs, rest.error, now);
    }
    if (checkpoint !== undefined) this.#holder.vouch(checkpoint);
  }

  /** @param keeps whether it is tried again. */
  deliveryFailed(error: unknown, keeps: boolean, now: number, random: number): void {
    this.#delivering = false;
    if (keeps) this.#deliverAgain(backoffMs(this.#attempt, random, this.#options.handlerBackoff), error, now);
  }

  /** Nothing will be delivered any more. */
  clear(): void {
    this.#prefetch.clear(this.#delivering);
  }

  #wantsDelivery(): boolean {
    return !this.#delivering && this.#prefetch.count > 0;
  }

  #deliver(): void {
    const { batchId, last } = this.#prefetch.first as BatchBounds;
    this.#delivering = true;
    this.#attempt += 1;
    if (compareExtended(last, this.#givenTo) > 0) this.#givenTo = last;
    const { leaseKey } = this.#holder.lease;
    const { tenure } = this.#holder;
    const delivery: DeliverBatch = { kind: 'deliverBatch', leaseKey, tenure, batchId, attempt: this.#attempt };
    this.#out.push(this.#isAskedFor ? { ...delivery, anew: true } : delivery);
    this.#isAskedFor = false;
  }

  #deliverAgain(retryInMs: number, error: unknown, now: number): void {
    this.#retryAt = now + retryInMs;
    const { leaseKey } = this.#holder.lease;
    const notice = { kind: 'handlerFailed', leaseKey, attempt: this.#attempt, retryInMs, error } as const;
    this.#out.push({ kind: 'tell', notice });
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

  /** A batch without records (all of them at or before the checkpoint) needs no handler. */
  #passEmptyBatches(): void {
    while (!this.#delivering && this.#prefetch.first?.recordCount === 0) this.#prefetch.shift();
  }
}
