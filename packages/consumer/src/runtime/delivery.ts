// ★ One record's way from its shard to the handler, a tenure at a time: fetched from the source, kept by its batch id, given
// to the handler, dropped. It does what the core asks, in the order in which the core asks, and vouches for nothing by
// itself. Invariants: handler calls of a tenure never overlap; a batch stays here until the handler has finished it or the
// tenure is closed; `closeShard` is done only when nothing of the tenure runs any more.
import { type Clock, invariant, type Logger, SHARD_END, unreachable } from '@shardline/common';
import type {
  CloseShard,
  DeliverBatch,
  DrainShard,
  EndShard,
  FetchBatch,
  OpenShard as OpenShardEffect,
  ResultOf,
  ShardEffect,
  Tenure,
} from '../coordination/effects.ts';
import type { Results } from '../coordination/results.ts';
import type { ReadHandler } from '../handling/read-handler.ts';
import { ShardWindow } from '../handling/shard-window.ts';
import { FilteredSource } from '../retrieval/filtered.ts';
import { GatheringSource } from '../retrieval/gathering.ts';
import type { OpenSource } from '../retrieval/source.ts';
import { WindowedSource } from '../retrieval/windowed.ts';
import { asPosition } from './checkpoint-arguments.ts';
import { type Checkpointer, givenUp, leaseLost } from './checkpointer.ts';
import { DeliveryReport, type DeliveryReportOptions } from './delivery-report.ts';
import type { HandlerCall } from './event-loop.ts';
import type { GivenUp } from './given-up.ts';
import { HandlerThrew, type HandlerWord, type Thrown, thrownBy } from './handler-threw.ts';
import { type LastCall, OpenShard } from './open-shard.ts';
import { handlingOf } from './shard-handling.ts';

export interface DeliveryOptions extends DeliveryReportOptions {
  readonly givenUp: GivenUp;
  readonly handler: ReadHandler;
  /** `manual`: a finished batch vouches for nothing, only `context.checkpoint` does. */
  readonly checkpointing: 'auto' | 'manual';
  readonly openSource: OpenSource;
  /** No handler call of that lease is to begin for now. */
  readonly isPaused: (leaseKey: string) => boolean;
  readonly checkpointer: Checkpointer;
  readonly logger: Logger;
  readonly clock: Clock;
}

/** So much may the clocks of two machines that are kept in time be apart, with room to spare. */
const LATEST_MARGIN_MS = 5_000;

/** Between two looks at how far behind those shards are whose records wait for their handler. */
const BEHIND_INTERVAL_MS = 5_000;

export class Delivery {
  readonly #options: DeliveryOptions;
  readonly #report: DeliveryReport;
  readonly #shards = new Map<Tenure, OpenShard>();
  /** Shards that were let go, each until its handler knows; never reject. */
  readonly #leaving = new Map<OpenShard, Promise<void>>();
  /** The handler's words that are under way, those of closed shards among them. */
  readonly #words = new Map<Tenure, HandlerWord>();
  /** Those with a last call. */
  readonly #called = new Set<OpenShard>();
  /** Of the look at what waits; undefined: nothing did at the last one. */
  #cancelLook: (() => void) | undefined;

  constructor(options: DeliveryOptions) {
    this.#options = options;
    this.#report = new DeliveryReport(options);
  }

  /** When a read that is asked for may begin, by the clock. */
  dueAt({ tenure, after }: FetchBatch): number {
    return this.#shard(tenure).source.dueAt(after);
  }

  /** Runs one effect. Rejects with HandlerThrew, or with what the source threw. */
  async run<E extends ShardEffect>(effect: E): Promise<ResultOf<E>> {
    // The switch pairs each kind with its result; TypeScript can't follow that through a type parameter.
    return (await this.#run(effect)) as ResultOf<E>;
  }

  /** How far behind its tip a tenure's shard is. It grows while its handler does not get on. */
  millisBehindLatest(tenure: Tenure): number | undefined {
    return this.#shards.get(tenure)?.millisBehindLatest(this.#options.clock.now());
  }

  /** Which of the handler's words a tenure waits for. */
  wordOf(tenure: Tenure): string | undefined {
    return this.#words.get(tenure);
  }

  /** What the batch that a tenure stands at failed by; undefined: nothing. */
  thrownOf(tenure: Tenure): Thrown | undefined {
    return this.#shards.get(tenure)?.thrown;
  }

  /** At which records a tenure stands still for good, and why, in words; undefined: it does not. */
  stoppedOf(tenure: Tenure): string | undefined {
    return this.#shards.get(tenure)?.stopped;
  }

  /** The last call on each shard, if it was still under way at `since`. Those before are forgotten. */
  callsSince(since: number): HandlerCall[] {
    const calls: HandlerCall[] = [];
    for (const shard of this.#called) {
      const { leaseKey, word, synchronousMs, endedAt = since } = shard.lastCall as LastCall;
      if (endedAt >= since) calls.push({ leaseKey, word, synchronousMs });
      else {
        shard.lastCall = undefined;
        this.#called.delete(shard);
      }
    }
    return calls;
  }

  /** Aborts whatever is left: the runtime has ended. Resolves when no handler runs any more, and each was told that its lease is lost. */
  async abandon(reason: unknown): Promise<void> {
    this.#cancelLook?.();
    this.#cancelLook = undefined;
    for (const shard of this.#shards.values()) void this.#letGo(shard, reason, true);
    this.#shards.clear();
    await Promise.all(this.#leaving.values());
  }

  /** Leases that were let go, whose handlers still run. */
  get leaving(): string[] {
    return [...this.#leaving.keys()].map(({ leaseKey }) => leaseKey);
  }

  #run(effect: ShardEffect): Promise<Results[ShardEffect['kind']]> {
    switch (effect.kind) {
      case 'openShard':
        return this.#open(effect);
      case 'fetchBatch':
        return this.#fetch(effect);
      case 'deliverBatch':
        return this.#deliver(effect);
      case 'drainShard':
        return this.#drain(effect);
      case 'endShard':
        return this.#end(effect);
      case 'closeShard':
        return this.#close(effect);
      default:
        return unreachable(effect);
    }
  }

  // --- in the order of a tenure's life ---

  async #open(effect: OpenShardEffect): Promise<undefined> {
    // There already when the handler threw and is asked again.
    const shard = this.#shards.get(effect.tenure) ?? this.#admit(effect);
    this.#shards.set(effect.tenure, shard);
    const position = asPosition(effect.checkpoint);
    const { context } = shard;
    // Within the call, so that a close that waits for it knows whether there is anything to lose.
    await this.#call(shard, 'initialize', undefined, async () => {
      shard.called ??= this.#options.handler.forTenure(context);
      await shard.called.handler.initialize?.(position, context);
      shard.opened = true;
    });
    return undefined;
  }

  async #fetch({ tenure, after, most }: FetchBatch): Promise<Results['fetchBatch']> {
    const shard = this.#shard(tenure);
    const read = await shard.fetch(after, most);
    const { heldBytes, leastBytes } = shard.source;
    const { batch, atShardEnd, childShards, gap } = read;
    const now = this.#options.clock.now();
    shard.read(read.millisBehindLatest);
    if (gap !== undefined) this.#report.missed(shard, gap);
    if (atShardEnd) shard.childShardIds = childShards.map((child) => child.shardId);
    if (batch === undefined) {
      this.#report.readNothing(shard);
      this.#report.behind(shard, now);
      return { batch: undefined, atShardEnd, childShards, heldBytes, leastBytes };
    }
    this.#report.fetched(shard, batch);
    const batchId = shard.hold(batch, now);
    this.#report.behind(shard, now);
    this.#lookAgain();
    const { first, byteCount, last } = batch;
    // To the core, what is to be handled is a record.
    const recordCount = batch.endsWindow === true ? Math.max(1, batch.recordCount) : batch.recordCount;
    const bounds = { batchId, recordCount, byteCount, first, last };
    return { batch: bounds, atShardEnd, childShards, heldBytes, leastBytes };
  }

  async #deliver({ tenure, batchId, anew }: DeliverBatch): Promise<Results['deliverBatch']> {
    const { checkpointing, clock } = this.#options;
    const shard = this.#shard(tenure);
    const calls = (word: HandlerWord): unknown => this.#words.set(tenure, word);
    const handling = shard.handlingOf(batchId, (batch) => handlingOf(shard, batch, this.#options, this.#report, calls));
    if (anew === true) {
      handling.beginAnew();
      shard.stopped = undefined;
    }
    const startedAt = clock.now();
    const { finishedTo, rest, handledCount, handledBytes } = await this.#call(shard, 'processRecords', undefined, () =>
      handling.run(),
    );
    if (handledCount > 0) this.#report.handled(shard, handledCount, handledBytes, clock.now() - startedAt);
    if (finishedTo !== undefined) shard.written(finishedTo);
    if (rest === undefined) {
      shard.finish(batchId);
      if (shard.endedBy === undefined) this.#options.givenUp.handled(shard.leaseKey);
      this.#report.behind(shard, clock.now());
    } else shard.thrown = rest.kind === 'threw' ? thrownBy(rest.error) : undefined;
    return { checkpoint: checkpointing === 'auto' ? finishedTo : undefined, ...(rest && { rest }) };
  }

  async #drain({ tenure }: DrainShard): Promise<undefined> {
    const shard = this.#shard(tenure);
    await this.#call(shard, 'shutdownRequested', undefined, () =>
      shard.called?.handler.shutdownRequested?.(shard.context),
    );
    return undefined;
  }

  async #end({ tenure }: EndShard): Promise<undefined> {
    const shard = this.#shard(tenure);
    await this.#call(
      shard,
      'shardEnded',
      () => SHARD_END,
      () => shard.called?.handler.shardEnded?.(shard.context),
    );
    this.#report.ended(shard, shard.childShardIds);
    return undefined;
  }

  async #close({ tenure, reason }: CloseShard): Promise<undefined> {
    const shard = this.#shards.get(tenure);
    // A lease that never got past waiting for its parents.
    if (shard === undefined) return undefined;
    this.#shards.delete(tenure);
    const why = reason === 'stalled' ? givenUp(shard.leaseKey) : leaseLost(shard.leaseKey);
    await this.#letGo(shard, why, reason !== 'shardEnded');
    return undefined;
  }

  #letGo(shard: OpenShard, why: unknown, isLost: boolean): Promise<void> {
    shard.end(why);
    this.#options.checkpointer.abandon(shard.tenure, why);
    const gone = this.#seeOff(shard, isLost).finally(() => this.#leaving.delete(shard));
    this.#leaving.set(shard, gone);
    return gone;
  }

  async #seeOff(shard: OpenShard, isLost: boolean): Promise<void> {
    await shard.call;
    if (!isLost || !shard.opened) return;
    this.#words.set(shard.tenure, 'leaseLost');
    const { clock } = this.#options;
    const startedAt = clock.now();
    try {
      await shard.called?.handler.leaseLost?.(shard.context);
    } catch (error) {
      shard.logger.error({ err: error }, 'leaseLost of the handler threw; the shard is closed all the same');
    } finally {
      this.#words.delete(shard.tenure);
      this.#report.leaseLost(clock.now() - startedAt);
    }
  }

  // --- parts ---

  /** A handler that hangs soon ends the reads, too: while anything waits for one, how far behind its shard is is told by the clock. */
  #lookAgain(): void {
    const { clock } = this.#options;
    const look = (): void => {
      this.#cancelLook = undefined;
      const waiting = [...this.#shards.values()].filter(({ isWaiting }) => isWaiting);
      for (const shard of waiting) this.#report.behind(shard, clock.now());
      if (waiting.length > 0) this.#lookAgain();
    };
    this.#cancelLook ??= clock.setTimer(look, BEHIND_INTERVAL_MS, false);
  }

  #admit(effect: OpenShardEffect): OpenShard {
    const { streamId, shardId, hashKeyRange } = effect;
    const { openSource, checkpointer, clock } = this.#options;
    const { gathering, filter, tumblingWindow } = this.#options.handler.handling;
    const opened = openSource({ streamId, shardId, hashKeyRange, latestSince: sinceThen(effect) });
    const filtered = filter === undefined ? opened : new FilteredSource(opened, filter);
    const gathered = gathering === undefined ? filtered : new GatheringSource(filtered, gathering, clock);
    const source = tumblingWindow === undefined ? gathered : new WindowedSource(gathered, tumblingWindow, clock);
    const logger = this.#options.logger.child({ stream: source.streamName, shard: shardId });
    const window = tumblingWindow && new ShardWindow(tumblingWindow);
    return new OpenShard(effect, source, logger, checkpointer, window);
  }

  #shard(tenure: Tenure): OpenShard {
    const shard = this.#shards.get(tenure);
    invariant(shard !== undefined, `tenure ${tenure} is not open`);
    return shard;
  }

  /** Calls the handler, and lets `closeShard` wait for it. */
  async #call<T>(
    shard: OpenShard,
    word: HandlerWord,
    givenTo: OpenShard['givenTo'],
    call: () => T,
  ): Promise<Awaited<T>> {
    const { clock } = this.#options;
    invariant(shard.call === undefined, `two handler calls at once on ${shard.leaseKey}`);
    let returned = (): void => undefined;
    shard.call = new Promise((resolve) => {
      returned = resolve;
    });
    shard.givenTo = givenTo;
    const startedAt = clock.now();
    const lastCall: LastCall = { leaseKey: shard.leaseKey, word, synchronousMs: 0, endedAt: undefined };
    shard.lastCall = lastCall;
    this.#called.add(shard);
    this.#words.set(shard.tenure, word);
    try {
      const result = call();
      lastCall.synchronousMs = clock.now() - startedAt;
      return await result;
    } catch (error) {
      throw error instanceof HandlerThrew ? error : new HandlerThrew(word, error);
    } finally {
      lastCall.endedAt = clock.now();
      shard.givenTo = undefined;
      shard.call = undefined;
      this.#words.delete(shard.tenure);
      returned();
    }
  }
}

/** The clocks of workers and of Kinesis differ: rather a few records from before LATEST than a hole after it. */
function sinceThen({ latestSince }: OpenShardEffect): Date | undefined {
  return latestSince === undefined ? undefined : new Date(latestSince - LATEST_MARGIN_MS);
}
