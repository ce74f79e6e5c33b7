// One batch on its way through the handler: asks pieces.ts what is next, calls the handler or `onFailure`, and says how far it came.
// Every face of a handler goes through here: a batch or a record at a time, one call after the other or keys side by side.
// Invariants: within a partition key one call after the other, in order; nothing is called once the shard has ended; a record is
// finished when the handler has returned, or `onFailure` has; what is called finished has no unfinished record before it.
import { type Clock, type ExtendedSequenceNumber, OperatingError, parseSequenceNumber } from '@shardline/common';
import type { RestOfBatch } from '../coordination/results.ts';
import type { Batch, ShardContext, ShardHandler, UserRecord } from '../handler.ts';
import type { SourceBatch } from '../retrieval/source.ts';
import { HandlerThrew, unfinishedOf } from '../runtime/handler-threw.ts';
import { LET_GO } from './batches.ts';
import type { Failure, ResolvedHandling } from './handling-options.ts';
import { lanesOf } from './lanes.ts';
import { readPartialResult } from './partial-result.ts';
import { type Piece, Pieces, type Verdict } from './pieces.ts';

/** The shard of a batch, as far as its handling goes. */
export interface HandledShard {
  readonly shardId: string;
  readonly context: ShardContext;
  /** Why nothing of it counts any more; undefined while it is held. */
  endedBy(): unknown;
  /** No further call is to begin for now. */
  isPaused(): boolean;
  /** The word that is under way. */
  calls(word: 'processRecords' | 'onFailure'): void;
  /**
   * What a checkpoint by hand means in the call that follows, and the most that it may mean; undefined: what was finished before. Asked
   * for when there is one: to make a position takes longer than all the rest of a call.
   */
  gives(position: () => ExtendedSequenceNumber | undefined): void;
  /** How long a call ran in one piece. */
  ranFor(synchronousMs: number): void;
}

/** What is told of the calls. */
export interface HandlingReport {
  /** Records that the filter keeps from the handler. */
  leftOut(recordCount: number): void;
  /** The handler threw, or said that it did not get past a record. */
  threw(recordCount: number, durationMs: number, cause: unknown): void;
  /** `stopped`: there is no `onFailure`. */
  gaveUp(failure: Failure, outcome: 'handedOver' | 'stopped'): void;
  /** The state of a tumbling window has grown past its limit; the handler has taken it. */
  endedEarly(stateBytes: number): void;
}

export interface BatchHandlingOptions extends ResolvedHandling {
  readonly application: string;
  readonly handler: ShardHandler;
  readonly clock: Clock;
}

/** How far a batch has come. */
export interface Progress {
  /** Of what was finished since the last time, without what was handed over. */
  readonly handledCount: number;
  readonly handledBytes: number;
  /** Everything up to here is finished; undefined: nothing of the batch. */
  readonly finishedTo: ExtendedSequenceNumber | undefined;
  /** Undefined: the batch is done with. */
  readonly rest: RestOfBatch | undefined;
}

/** Records that are handled one after the other. */
interface Lane {
  readonly records: readonly UserRecord[];
  /** Their places in the batch, upwards; undefined: they are the batch. */
  readonly places: readonly number[] | undefined;
  readonly pieces: Pieces;
  /** What the handler threw last. */
  thrown: unknown;
  /** How often `onFailure` has thrown. */
  handOverTries: number;
}

export type Threw = Extract<RestOfBatch, { kind: 'threw' }>;

/** After so long the core hears how far it is: it checkpoints, sees that the shard gets on, or takes it away. */
export const SLICE_MS: number = 1_000;
/** With calls side by side each wait for the last of them is lost, so fewer. */
const SLICE_OF_LANES_MS = 5_000;

/** A batch, or a part of one, as far as its handling goes. */
export type HandledBatch = Pick<SourceBatch, 'records' | 'passing' | 'byteCount' | 'last' | 'millisBehindLatest'>;

/** What delivery does with a batch. */
export interface Handling {
  /**
   * Goes on until the batch is done with, or has to wait. Rejects only once the shard has ended.
   * What the handler throws is in the outcome.
   */
  run(): Promise<Progress>;
  /** What is unfinished begins with fresh tries. */
  beginAnew(): void;
}

export class BatchHandling implements Handling {
  readonly #options: BatchHandlingOptions;
  readonly #shard: HandledShard;
  readonly #batch: HandledBatch;
  readonly #report: HandlingReport;
  readonly #lanes: readonly Lane[];
  #handledCount = 0;
  #handledBytes = 0;
  #toldStop = false;
  #sliceEndsAt = 0;

  constructor(shard: HandledShard, batch: HandledBatch, report: HandlingReport, options: BatchHandlingOptions) {
    this.#options = options;
    this.#shard = shard;
    this.#batch = batch;
    this.#report = report;
    this.#lanes = this.#divide(batch.passing);
    if (batch.passing !== undefined) report.leftOut(batch.records.length - batch.passing.length);
  }

  async run(): Promise<Progress> {
    this.#handledCount = 0;
    this.#handledBytes = 0;
    this.#sliceEndsAt = this.#options.clock.now() + (this.#lanes.length === 1 ? SLICE_MS : SLICE_OF_LANES_MS);
    const [only, ...others] = this.#lanes;
    const rests = only !== undefined && others.length === 0 ? [await this.#work(only)] : await this.#workAll();
    // What can go on does, what is tried again comes before what has stopped; the wait is that of the ones tried least.
    const rest = rests.filter((each) => each !== undefined).sort((a, b) => urgencyOf(a) - urgencyOf(b))[0];
    const handled = { handledCount: this.#handledCount, handledBytes: this.#handledBytes };
    return { ...handled, finishedTo: rest === undefined ? this.#batch.last : this.#finishedTo(), rest };
  }

  beginAnew(): void {
    this.#toldStop = false;
    for (const lane of this.#lanes) {
      lane.pieces.beginAnew();
      lane.handOverTries = 0;
    }
  }

  /** @param passing what the filter lets pass; undefined: the whole batch. @returns none if there is nothing to handle. */
  #divide(passing: readonly number[] | undefined): readonly Lane[] {
    const all = this.#batch.records;
    const records = passing?.map((place) => all[place] as UserRecord) ?? all;
    if (records.length === 0) return [];
    if (this.#options.concurrency === 1) return [this.#lane(records, passing)];
    return lanesOf(records, this.#options.concurrency).map((lane) => {
      const places = passing === undefined ? lane : lane.map((index) => passing[index] as number);
      return this.#lane(
        places.map((place) => all[place] as UserRecord),
        places,
      );
    });
  }

  #lane(records: readonly UserRecord[], places: readonly number[] | undefined): Lane {
    const arrivedAt = (index: number): number => (records[index] as UserRecord).approximateArrivalTimestamp.getTime();
    const pieces = new Pieces(records.length, arrivedAt, this.#options.rules);
    return { records, places, pieces, thrown: undefined, handOverTries: 0 };
  }

  /** All lanes come to an end before anything is said, so that no call is left behind. */
  async #workAll(): Promise<(RestOfBatch | undefined)[]> {
    const ends = await Promise.allSettled(this.#lanes.map((lane) => this.#work(lane)));
    return ends.map((end) => {
      if (end.status === 'rejected') throw end.reason;
      return end.value;
    });
  }

  async #work(lane: Lane): Promise<RestOfBatch | undefined> {
    let callCount = 0;
    for (let piece = lane.pieces.next(); piece !== undefined; piece = lane.pieces.next()) {
      const now = this.#options.clock.now();
      if (callCount > 0 && (now >= this.#sliceEndsAt || this.#shard.isPaused())) return { kind: 'goesOn' };
      callCount += 1;
      const endedBy = this.#shard.endedBy();
      if (endedBy !== undefined) throw endedBy;
      const rest = piece.kind === 'handle' ? await this.#handle(lane, piece, now) : await this.#handOver(lane, piece);
      if (rest !== undefined) return rest;
    }
    return undefined;
  }

  async #handle(lane: Lane, piece: Extract<Piece, { kind: 'handle' }>, startedAt: number): Promise<Threw | undefined> {
    const { from, to } = piece;
    const { clock } = this.#options;
    const isWhole = from === 0 && to === lane.records.length;
    const records = isWhole ? lane.records : lane.records.slice(from, to);
    this.#giveTo(lane, to);
    let verdict: Verdict | undefined;
    try {
      verdict = this.#read(lane, from, records, await this.#call(records, piece.attempt, startedAt));
    } catch (error) {
      if (error === LET_GO)
        return { kind: 'threw', attempt: 1, error: new HandlerThrew('processRecords', error), stops: true };
      lane.thrown = error;
      verdict = lane.pieces.threw(clock.wallNow());
    }
    if (verdict === undefined) {
      this.#count(records, isWhole && lane.places === undefined);
      lane.pieces.handled();
      return undefined;
    }
    this.#report.threw(records.length, clock.now() - startedAt, lane.thrown);
    if (verdict !== 'again') return undefined;
    // Of a call that finished some of them, the others.
    const error = this.#threw('processRecords', lane.thrown, lane.records.slice(lane.pieces.finishedCount, to));
    return { kind: 'threw', attempt: lane.pieces.tries, error, stops: false };
  }

  #call(records: readonly UserRecord[], attempt: number, startedAt: number): unknown {
    const { handler, clock } = this.#options;
    const { context, shardId } = this.#shard;
    this.#shard.calls('processRecords');
    const { streamName } = context;
    const { millisBehindLatest } = this.#batch;
    // A list of the handler's own: one that it empties or sorts, as it takes what it needs, is not the one that it is judged by and given again.
    const batch: Batch = { streamName, shardId, records: records.slice(), millisBehindLatest, attempt };
    const result = handler.processRecords(batch, context);
    this.#shard.ranFor(clock.now() - startedAt);
    return result;
  }

  /** What it returned may say that it did not get past a record. */
  #read(lane: Lane, from: number, records: readonly UserRecord[], result: unknown): Verdict | undefined {
    const failure = readPartialResult(result, records);
    if (failure === undefined) return undefined;
    const { index, count, said } = failure;
    const text = `the handler returned ${said}`;
    lane.thrown = new OperatingError('RECORD_FAILED', text, { retryable: true });
    this.#count(records.slice(0, index));
    return lane.pieces.stoppedAt(from + index, count, this.#options.clock.wallNow());
  }

  async #handOver(
    lane: Lane,
    { from, to, attempts, limit }: Extract<Piece, { kind: 'handOver' }>,
  ): Promise<Threw | undefined> {
    const { application, onFailure, clock } = this.#options;
    const { context, shardId } = this.#shard;
    const failure: Failure = {
      application,
      streamName: context.streamName,
      shardId,
      records: lane.records.slice(from, to),
      error: lane.thrown,
      attempts,
      limit,
      failedAt: new Date(clock.wallNow()),
    };
    if (onFailure === undefined) return this.#stop(failure);
    // Behind these nothing is finished, whatever `onFailure` may be up to.
    this.#giveTo(lane, from);
    this.#shard.calls('onFailure');
    try {
      await onFailure({ ...failure, records: failure.records.slice() }, context);
    } catch (error) {
      lane.handOverTries += 1;
      const threw = this.#threw('onFailure', error, failure.records);
      return { kind: 'threw', attempt: lane.handOverTries, error: threw, stops: false };
    }
    lane.handOverTries = 0;
    this.#report.gaveUp(failure, 'handedOver');
    lane.pieces.handedOver();
    return undefined;
  }

  #stop(failure: Failure): Threw {
    if (!this.#toldStop) this.#report.gaveUp(failure, 'stopped');
    this.#toldStop = true;
    const { attempts, error, records } = failure;
    const threw = this.#threw('processRecords', error, records);
    return { kind: 'threw', attempt: attempts, error: threw, stops: true };
  }

  #threw(word: 'processRecords' | 'onFailure', thrown: unknown, records: readonly UserRecord[]): HandlerThrew {
    const { context, shardId } = this.#shard;
    return new HandlerThrew(word, thrown, unfinishedOf(context.streamName, shardId, records));
  }

  /** In lanes side by side a call knows of no position: by hand only what is finished without a gap can be checkpointed. */
  #giveTo({ places, records }: Lane, to: number): void {
    if (this.#options.concurrency > 1) this.#shard.gives(() => this.#finishedTo());
    else
      this.#shard.gives(() =>
        to === records.length
          ? this.#batch.last
          : this.#positionBefore(places === undefined ? to : (places[to] as number)),
      );
  }

  #finishedTo(): ExtendedSequenceNumber | undefined {
    const unfinished = this.#lanes.flatMap(({ places, pieces, records }) =>
      pieces.finishedCount < records.length ? [places?.[pieces.finishedCount] ?? pieces.finishedCount] : [],
    );
    return unfinished.length === 0 ? this.#batch.last : this.#positionBefore(Math.min(...unfinished));
  }

  #positionBefore(index: number): ExtendedSequenceNumber | undefined {
    const record = this.#batch.records[index - 1];
    if (record === undefined) return undefined;
    const { sequenceNumber, subSequenceNumber } = record;
    return { sequenceNumber: parseSequenceNumber(sequenceNumber), subSequenceNumber };
  }

  #count(records: readonly UserRecord[], isBatch = false): void {
    this.#handledCount += records.length;
    this.#handledBytes += isBatch ? this.#batch.byteCount : records.reduce((sum, { data }) => sum + data.length, 0);
  }
}

function urgencyOf(rest: RestOfBatch): number {
  if (rest.kind === 'goesOn') return 0;
  return rest.stops ? Number.POSITIVE_INFINITY : rest.attempt;
}
