// Between the pure core and the world: gives the core its events one at a time, carries out what it asks for, answers each
// effect exactly once, keeps its one timer, has its notices told. The only caller of `Worker.step`. It decides nothing.
// Invariants: `step` is never entered while it runs; effects of one step are started in list order; when the core breaks a
// rule of its own, everything is given up at once and the leases are left to expire; `run` ends after the handlers, in bounded time.
import {
  type ExtendedSequenceNumber,
  isShardlineError,
  type MetricsSink,
  OperatingError,
  type Random,
  type SequenceNumber,
} from '@shardline/common';
import PQueue from 'p-queue';
import type {
  CloseShard,
  Control,
  Done,
  Effect,
  Event,
  ListShards,
  ReportWorker,
  ResultOf,
  ShardEffect,
  TableEffect,
  Tell,
} from '../coordination/effects.ts';
import type { Notice } from '../coordination/notice.ts';
import type { ReplayOutcome } from '../coordination/replaying.ts';
import type { Results } from '../coordination/results.ts';
import type { Worker } from '../coordination/worker.ts';
import type { WorkerView } from '../coordination/worker-view.ts';
import type { HandedOffShard } from '../hand-off.ts';
import type { ReadHandler } from '../handling/read-handler.ts';
import type { LeaseTable } from '../lease-table/lease-table.ts';
import type { ShardSource } from '../retrieval/source.ts';
import type { Streams } from '../retrieval/streams.ts';
import { Checkpointer, leaseLost } from './checkpointer.ts';
import { Delivery } from './delivery.ts';
import { DueReads } from './due-reads.ts';
import { EffectMetrics } from './effect-metrics.ts';
import { EventLoopWatch } from './event-loop.ts';
import { GivenUp } from './given-up.ts';
import type { Thrown } from './handler-threw.ts';
import { type NoticesOptions, tellNotice, workerIdInUse } from './notices.ts';
import { PendingWords } from './pending-words.ts';
import { StreamWatch, type StreamWatchOptions } from './stream-watch.ts';
import { tableGone } from './table-gone.ts';
import type { WorkerMetrics } from './worker-metrics.ts';

export interface RuntimeOptions extends StreamWatchOptions {
  readonly application: string;
  readonly workerId: string;
  readonly failoverTimeMs: number;
  /** So long handlers may take to return when everything is given up. */
  readonly shutdownGraceMs: number;
  readonly worker: Worker;
  readonly table: LeaseTable;
  readonly streams: StreamWatchOptions['streams'] &
    Pick<Streams, 'list' | 'isAnother' | 'open' | 'openBeside' | 'takes'>;
  readonly handler: ReadHandler;
  readonly checkpointing: 'auto' | 'manual';
  /** Undefined: the worker says nothing of itself. */
  readonly workerMetrics: WorkerMetrics | undefined;
  readonly random: Random;
  readonly metrics: MetricsSink;
}

type HandedOff = Pick<HandedOffShard, 'outcome' | 'to'>;

/** Effects on the table under way at once. A leader writes 16 of its plan at a time, but checkpoints can be thousands. */
const CONCURRENT_TABLE_EFFECTS = 32;
/** The longest an effect on the table, or a listing, may take; it may be many calls, each with a shorter bound. */
const EFFECT_TIMEOUT_MS = 60_000;

export class Runtime {
  readonly #options: RuntimeOptions;
  readonly #checkpointer: Checkpointer;
  readonly #replays = new PendingWords<ReplayOutcome>({ asked: 'leaseLost', unasked: 'leaseLost' });
  readonly #handOffs = new PendingWords<HandedOff>({
    asked: { outcome: 'leaseLost', to: undefined },
    unasked: { outcome: 'notHeld', to: undefined },
  });
  readonly #delivery: Delivery;
  readonly #dueReads: DueReads;
  readonly #eventLoop: EventLoopWatch;
  readonly #streamWatch: StreamWatch;
  readonly #givenUp: GivenUp;
  readonly #telling: NoticesOptions;
  /** Which of several streams could not be listed, by the error: the core tells of the failure alone. */
  readonly #unlisted = new WeakMap<Error, string>();
  readonly #effectMetrics: EffectMetrics;
  readonly #tableQueue = new PQueue({ concurrency: CONCURRENT_TABLE_EFFECTS });
  readonly #events: Event[] = [];
  #settle: { readonly resolve: () => void; readonly reject: (error: unknown) => void } | undefined;
  #stepping = false;
  #over = false;
  #timer: { readonly at: number; readonly cancel: () => void } | undefined;
  #failure: unknown;
  /** Why the core stopped by itself. */
  #lastError: OperatingError | undefined;

  constructor(options: RuntimeOptions) {
    this.#options = options;
    this.#checkpointer = new Checkpointer((event) => this.#post(event));
    const openSource = options.streams.open.bind(options.streams);
    this.#givenUp = new GivenUp(options.clock);
    this.#delivery = new Delivery({
      ...options,
      openSource,
      isPaused: (leaseKey) => options.worker.isPaused(leaseKey),
      checkpointer: this.#checkpointer,
      givenUp: this.#givenUp,
    });
    this.#dueReads = new DueReads(options.clock, (read) => this.#begin(read));
    const callsSince = this.#delivery.callsSince.bind(this.#delivery);
    this.#eventLoop = new EventLoopWatch({ ...options, callsSince });
    this.#streamWatch = new StreamWatch(options, (event) => this.#post(event));
    this.#effectMetrics = new EffectMetrics(options);
    const unlistedBy = (error: unknown): string | undefined =>
      error instanceof Error ? this.#unlisted.get(error) : undefined;
    this.#telling = { ...options, wordOf: this.#delivery.wordOf.bind(this.#delivery), unlistedBy };
  }

  /**
   * Begins to work. Resolves when the core has stopped; rejects when it broke a rule of its own, or when the lease table is gone: once
   * the handlers have returned, or after `shutdownGraceMs`.
   */
  run(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      this.#options.workerMetrics?.start().catch((error: unknown) => {
        this.#options.logger.warn({ err: error }, 'this worker cannot say how busy it is');
      });
      this.#eventLoop.start();
      this.#streamWatch.start();
      this.#post({ kind: 'start', clientVersion: this.#options.table.clientVersion });
    });
  }

  /** Gives all leases up in good order, in bounded time. */
  stop(): void {
    this.#post({ kind: 'stop' });
  }

  /** An operator's word. */
  control(event: Control): void {
    this.#post(event);
  }

  /** Reads a shard again from behind an earlier place. */
  replay(leaseKey: string, position: ExtendedSequenceNumber): Promise<ReplayOutcome> {
    return this.#replays.ask((requestId) => this.#post({ kind: 'replay', leaseKey, position, requestId }));
  }

  /** Has other workers take over these shards, and this one take none of them, or nothing at all, for so long. */
  handOff(leaseKeys: readonly string[], areAll: boolean, awayMs: number): Promise<readonly HandedOffShard[]> {
    const leases: { readonly leaseKey: string; readonly requestId: number }[] = [];
    const settled = leaseKeys.map(async (leaseKey) => {
      const { outcome, to } = await this.#handOffs.ask((requestId) => leases.push({ leaseKey, requestId }));
      return { leaseKey, outcome, to };
    });
    this.#post({ kind: 'handOff', leases, areAll, awayMs });
    return Promise.all(settled);
  }

  /** A source beside the tenure's, polled, that begins at a time where it is read at LATEST. */
  openSource(leaseKey: string, since: Date): ShardSource {
    return this.#options.streams.openBeside({ ...shardOf(leaseKey), hashKeyRange: undefined, latestSince: since });
  }

  /** Whether Kinesis reads the shard from a number; undefined: it could not be asked. */
  takes(leaseKey: string, sequenceNumber: SequenceNumber): Promise<boolean | undefined> {
    const { streamId, shardId } = shardOf(leaseKey);
    return this.#options.streams.takes(streamId, shardId, sequenceNumber);
  }

  /** Whose a lease is, by the table, or, while it is handed over, whose it is going to be; undefined: nobody's. */
  async ownerOf(leaseKey: string): Promise<string | undefined> {
    const { leases } = await this.#onTable({ kind: 'readLeases', leaseKey, leaseKeys: [leaseKey], tenure: undefined });
    return leases[0]?.leaseOwner;
  }

  /** Why everything was given up; handlers may still run. */
  get failure(): unknown {
    return this.#failure;
  }

  view(): WorkerView {
    return this.#options.worker.view(this.#options.clock.now());
  }

  /** Which of the handler's words a tenure waits for. */
  wordOf(tenure: number): string | undefined {
    return this.#delivery.wordOf(tenure);
  }

  /** What the batch that a tenure stands at failed by. */
  thrownOf(tenure: number): Thrown | undefined {
    return this.#delivery.thrownOf(tenure);
  }

  /** At which records a tenure stands still for good, and why, in words. */
  stoppedOf(tenure: number): string | undefined {
    return this.#delivery.stoppedOf(tenure);
  }

  /** Shards that were given up because the handler had not returned, a sentence each. */
  get givenUp(): readonly string[] {
    return this.#givenUp.reasons();
  }

  millisBehindLatest(tenure: number): number | undefined {
    return this.#delivery.millisBehindLatest(tenure);
  }

  // --- events in, effects out ---

  #post(event: Event): void {
    if (this.#over) return;
    this.#events.push(event);
    // What is posted while a step's effects are started waits its turn.
    if (!this.#stepping) this.#drain();
  }

  #drain(): void {
    const { worker, clock, random } = this.#options;
    this.#stepping = true;
    try {
      for (let event = this.#events.shift(); event !== undefined && !this.#over; event = this.#events.shift()) {
        const asked = worker.step(event, clock.now(), random.next());
        for (const each of asked) this.#carryOut(each);
      }
      this.#setTimer();
    } catch (error) {
      this.#giveUp(error);
    } finally {
      this.#stepping = false;
    }
  }

  #setTimer(): void {
    const { worker, clock } = this.#options;
    const at = this.#over ? Number.POSITIVE_INFINITY : worker.deadline();
    if (at === this.#timer?.at) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    if (at === Number.POSITIVE_INFINITY) return;
    const onTime = (): void => {
      this.#timer = undefined;
      this.#post({ kind: 'tick' });
    };
    this.#timer = { at, cancel: clock.setTimer(onTime, at - clock.now()) };
  }

  #carryOut(asked: Effect | Tell): void {
    if (asked.kind === 'tell') {
      if (asked.notice.kind === 'streamReplaced') this.#streamWatch.replaced(asked.notice);
      if (asked.notice.kind === 'streamSettled') void this.#options.streams.beganAnew();
      this.#tell(asked.notice);
      return;
    }
    if (asked.kind === 'fetchBatch' && this.#dueReads.keep(asked, this.#delivery.dueAt(asked))) return;
    if (asked.kind === 'closeShard') this.#giveBack(asked);
    this.#begin(asked);
  }

  /** What of the tenure has not begun will not. */
  #giveBack({ tenure, leaseKey }: CloseShard): void {
    const read = this.#dueReads.giveBack(tenure);
    if (read !== undefined) this.#post({ kind: 'failed', effect: read, error: leaseLost(leaseKey) });
  }

  #begin(asked: Effect): void {
    const startedAt = this.#options.clock.now();
    this.#effectMetrics.began(asked);
    this.#start(asked).then(
      // `#start` gives the result that belongs to the effect's kind; TypeScript can't see the pair.
      (result) => {
        if (asked.kind === 'fetchBatch') {
          this.#streamWatch.fetched(asked.leaseKey, result as Results['fetchBatch']);
          this.#givenUp.gotOn(asked.leaseKey, 'read');
        } else if (asked.kind === 'listShards' && asked.streamId === undefined) this.#streamWatch.listed();
        else if (asked.kind === 'checkpointLease') this.#givenUp.gotOn(asked.leaseKey, 'checkpoint');
        this.#effectMetrics.ended(asked, startedAt, { result });
        this.#options.failures.worked(asked.kind, subjectOf(asked));
        this.#post({ kind: 'done', effect: asked, result } as Done);
      },
      (error: unknown) => {
        this.#effectMetrics.ended(asked, startedAt, undefined);
        // What the user's handler throws is wrapped, so it is the user's even if it should look like a bug of ours.
        const final = isShardlineError(error) && error.code === 'INVARIANT' ? error : tableGone(error);
        if (asked.kind === 'listShards' && asked.streamId !== undefined && error instanceof Error)
          this.#unlisted.set(error, asked.streamId);
        if (final !== undefined) this.#giveUp(final);
        else this.#post({ kind: 'failed', effect: asked, error });
      },
    );
  }

  #start(effect: Effect): Promise<Results[Effect['kind']]> {
    switch (effect.kind) {
      case 'openShard':
      case 'fetchBatch':
      case 'deliverBatch':
      case 'drainShard':
      case 'endShard':
      case 'closeShard':
        return this.#delivery.run<ShardEffect>(effect);
      case 'listShards':
        return this.#inTime(effect, this.#list(effect));
      case 'renewLease':
        // In no queue: what begins together goes together, behind nothing. There is one at most for each lease that is held.
        return this.#inTime(effect, this.#options.table.run(effect));
      case 'reportWorker':
        return this.#inTime(effect, this.#reported(effect)).then((report) => this.#onTable(report));
      default:
        return this.#onTable<TableEffect>(effect);
    }
  }

  #onTable<E extends TableEffect>(effect: E): Promise<ResultOf<E>> {
    return this.#tableQueue.add(() => this.#inTime(effect, this.#options.table.run(effect)));
  }

  async #reported(effect: ReportWorker): Promise<ReportWorker> {
    // What one that leaves, or wants no more, says of itself is no figure.
    if (effect.leaves || effect.declines === 'all') return effect;
    return { ...effect, utilization: (await this.#options.workerMetrics?.report()) ?? effect.utilization };
  }

  async #list(listing: ListShards): Promise<Results['listShards']> {
    const { streams } = this.#options;
    const shards = await streams.list(listing);
    // Who may not ask, or gets no answer, goes by the shards alone.
    return { shards, isAnother: await streams.isAnother(listing).catch(() => false) };
  }

  /** Ends the wait for an effect, not the effect: a write that lands late is one whose outcome was not known. */
  #inTime<T>({ kind }: Effect, result: Promise<T>): Promise<T> {
    const { clock } = this.#options;
    return new Promise((resolve, reject) => {
      const cancel = clock.setTimer(() => {
        const message = `${kind} took longer than ${EFFECT_TIMEOUT_MS} ms`;
        reject(new OperatingError('TIMEOUT', message, { retryable: true }));
      }, EFFECT_TIMEOUT_MS);
      result.then(resolve, reject).finally(cancel);
    });
  }

  // --- the end ---

  #finish(): void {
    void this.#end(new OperatingError('CLOSED', 'the consumer has stopped', { retryable: false }));
    if (this.#lastError === undefined) this.#settle?.resolve();
    else this.#settle?.reject(this.#lastError);
  }

  #giveUp(error: unknown): void {
    if (this.#over) return;
    const { logger, clock, shutdownGraceMs } = this.#options;
    const why = error instanceof OperatingError ? 'the lease table is gone' : 'a rule of our own was broken';
    logger.error({ err: error }, `${why}: everything is given up`);
    this.#failure = error;
    const reject = (): void => this.#settle?.reject(error);
    const cancel = clock.setTimer(() => {
      const leaseKeys = this.#delivery.leaving;
      logger.error({ leaseKeys }, 'handlers have not returned after their signals were aborted: end this process');
      reject();
    }, shutdownGraceMs);
    void this.#end(error).then(() => {
      cancel();
      reject();
    });
  }

  /** @returns resolves when no handler runs any more. */
  #end(reason: unknown): Promise<void> {
    this.#over = true;
    this.#events.length = 0;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#tableQueue.clear();
    this.#dueReads.stop();
    this.#streamWatch.stop();
    this.#eventLoop.stop();
    this.#options.workerMetrics?.stop();
    this.#checkpointer.close(reason);
    this.#replays.close();
    this.#handOffs.close();
    return this.#delivery.abandon(reason);
  }

  #tell(notice: Notice): void {
    tellNotice(notice, this.#telling);
    this.#effectMetrics.told(notice);
    if (notice.kind === 'checkpointSettled') this.#checkpointer.settle(notice.requestId, notice.outcome);
    else if (notice.kind === 'replaySettled') this.#replays.settle(notice.requestId, notice.outcome);
    else if (notice.kind === 'handOffSettled') this.#handOffs.settle(notice.requestId, notice);
    else if (notice.kind === 'stall' && notice.state === 'givenUp')
      this.#givenUp.gaveUp(notice.leaseKey, notice.reason);
    else if (notice.kind === 'workerIdInUse') this.#lastError = workerIdInUse(this.#options.workerId, notice);
    else if (notice.kind === 'stopped') this.#finish();
  }
}

function shardOf(leaseKey: string): { readonly streamId: string | undefined; readonly shardId: string } {
  const at = leaseKey.lastIndexOf(':');
  return { streamId: at < 0 ? undefined : leaseKey.slice(0, at), shardId: leaseKey.slice(at + 1) };
}

/** The lease, or the stream, that an effect is about. */
function subjectOf(effect: Effect): string | undefined {
  if (effect.kind === 'listShards') return effect.streamId;
  return 'leaseKey' in effect ? effect.leaseKey : undefined;
}
