// A batch on its way through a handler that has tumbling windows: the records of each window as a batch of their own (batch-handling.ts),
// with the state of the calls before, and between two windows the call that ends one. Lambda's rules ("Implementing stateful Kinesis Data
// Streams processing"): a call without a state in its answer has failed; the call that ends a window is tried until it succeeds, and nothing behind
// is handled before; a state that grew too large is taken by a call of its own, after which the window goes on with a fresh one.
// Invariants: one call after the other; each window that was begun has exactly one last call that succeeds, behind all of its records.
import { OperatingError, parseSequenceNumber } from '@shardline/common';
import type { Batch, BatchHandler, ShardContext, UserRecord } from '../handler.ts';
import type { SourceBatch } from '../retrieval/source.ts';
import type { WindowRun } from '../retrieval/window-cutter.ts';
import { HandlerThrew, unfinishedOf } from '../runtime/handler-threw.ts';
import {
  BatchHandling,
  type BatchHandlingOptions,
  type HandledBatch,
  type HandledShard,
  type Handling,
  type HandlingReport,
  type Progress,
  SLICE_MS,
  type Threw,
} from './batch-handling.ts';
import { readPartialResult } from './partial-result.ts';
import type { ShardWindow, WindowCall } from './shard-window.ts';

export class WindowedHandling implements Handling {
  readonly #shard: HandledShard;
  readonly #inWindow: HandledShard;
  readonly #batch: SourceBatch;
  readonly #report: HandlingReport;
  readonly #options: BatchHandlingOptions;
  /** The same, with a handler that has the window. */
  readonly #optionsInWindow: BatchHandlingOptions;
  readonly #window: ShardWindow;
  readonly #runs: readonly WindowRun[];
  /** Which of the runs is next, and how far it is. */
  #at = 0;
  #part: BatchHandling | undefined;
  /** Of the call that ends a window. */
  #tries = 0;

  /** @param window the tenure's; the batches of a tenure come one after the other. */
  constructor(
    shard: HandledShard,
    batch: SourceBatch,
    report: HandlingReport,
    options: BatchHandlingOptions,
    window: ShardWindow,
  ) {
    this.#shard = shard;
    // By hand nothing of an open window can be checkpointed.
    const gives = (): void => shard.gives(() => window.finishedTo);
    this.#inWindow = {
      ...shard,
      gives,
      // What is behind a state that has grown too large waits until that is taken.
      isPaused: () => shard.isPaused() || window.isOverfull,
    };
    this.#batch = batch;
    this.#report = report;
    this.#window = window;
    this.#runs = batch.windowRuns ?? [];
    this.#options = options;
    const processRecords: BatchHandler = (given, context) => this.#call(given, context);
    this.#optionsInWindow = { ...options, handler: { processRecords } };
  }

  async run(): Promise<Progress> {
    const { clock } = this.#options;
    const sliceEndsAt = clock.now() + SLICE_MS;
    let handledCount = 0;
    let handledBytes = 0;
    const progress = (rest: Progress['rest']): Progress => ({
      handledCount,
      handledBytes,
      finishedTo: this.#window.finishedTo,
      rest,
    });
    for (let isFirst = true; ; isFirst = false) {
      const next = this.#next();
      if (next === undefined) return progress(undefined);
      if (!isFirst && (clock.now() >= sliceEndsAt || this.#shard.isPaused())) return progress({ kind: 'goesOn' });
      if (next !== 'records') {
        const threw = await this.#end(next);
        if (threw !== undefined) return progress(threw);
        continue;
      }
      const part = await this.#handle(this.#runs[this.#at] as WindowRun);
      handledCount += part.handledCount;
      handledBytes += part.handledBytes;
      if (part.rest?.kind === 'threw') return progress(part.rest);
    }
  }

  beginAnew(): void {
    this.#part?.beginAnew();
    this.#tries = 0;
  }

  #next(): WindowCall | undefined {
    const { start, isOverfull } = this.#window;
    const run = this.#runs[this.#at];
    const isOver = run === undefined ? this.#batch.endsWindow === true : start !== undefined && run.start > start;
    if (start !== undefined && isOver) return 'final';
    if (isOverfull) return 'early';
    return run && 'records';
  }

  /** The records of one window, as far as they get in one go. */
  async #handle(run: WindowRun): Promise<Progress> {
    if (run.passes && this.#window.start === undefined) this.#window.begin(run.start);
    this.#part ??= new BatchHandling(this.#inWindow, this.#partOf(run), this.#report, this.#optionsInWindow);
    const progress = await this.#part.run();
    if (progress.finishedTo !== undefined) this.#window.handled(progress.finishedTo);
    if (progress.rest === undefined) {
      this.#part = undefined;
      this.#at += 1;
    }
    return progress;
  }

  #partOf({ to }: WindowRun): HandledBatch {
    const { records, passing, last, millisBehindLatest } = this.#batch;
    const from = this.#runs[this.#at - 1]?.to ?? 0;
    if (from === 0 && to === records.length) return this.#batch;
    const part = records.slice(from, to);
    return {
      records: part,
      passing: passing?.filter((place) => place >= from && place < to).map((place) => place - from),
      byteCount: part.reduce((sum, { data }) => sum + data.length, 0),
      last: to === records.length ? last : positionOf(part.at(-1) as UserRecord),
      millisBehindLatest,
    };
  }

  /** In the handler's stead: with the window, and the state out of what it returns. */
  #call(batch: Batch, context: ShardContext): Promise<unknown> {
    // By what is in `batch` it is judged below, whatever the handler does to its own list.
    const records = batch.records.slice();
    const given = { ...batch, records, window: this.#window.of('records') };
    const result = this.#options.handler.processRecords(given, context);
    return Promise.resolve(result).then((returned) => {
      // Of records none of which was finished there is nothing in a state.
      if (readPartialResult(returned, batch.records)?.index !== 0) this.#window.adopt(returned);
      return returned;
    });
  }

  /** The call that ends the window, or takes its state. Limits are for records: it is tried until it succeeds. */
  async #end(call: 'final' | 'early'): Promise<Threw | undefined> {
    const endedBy = this.#shard.endedBy();
    if (endedBy !== undefined) throw endedBy;
    const { clock } = this.#options;
    const startedAt = clock.now();
    try {
      await this.#callWithout(call, startedAt);
    } catch (error) {
      this.#tries += 1;
      this.#report.threw(0, clock.now() - startedAt, error);
      const { context, shardId } = this.#inWindow;
      const threw = new HandlerThrew('processRecords', error, unfinishedOf(context.streamName, shardId, []));
      return { kind: 'threw', attempt: this.#tries, error: threw, stops: false };
    }
    this.#tries = 0;
    if (call === 'final') this.#window.end();
    else {
      this.#report.endedEarly(this.#window.stateBytes);
      this.#window.startAfresh();
    }
    return undefined;
  }

  /** Resolves when the handler has succeeded. */
  async #callWithout(call: 'final' | 'early', startedAt: number): Promise<void> {
    const { context, shardId, calls, ranFor } = this.#inWindow;
    const { handler, clock } = this.#options;
    this.#inWindow.gives(() => undefined);
    calls('processRecords');
    const { streamName } = context;
    const { millisBehindLatest } = this.#batch;
    const attempt = this.#tries + 1;
    const batch = { streamName, shardId, records: [], millisBehindLatest, attempt, window: this.#window.of(call) };
    const result = handler.processRecords(batch, context);
    ranFor(clock.now() - startedAt);
    const failure = readPartialResult(await result, []);
    if (failure === undefined) return;
    throw new OperatingError('RECORD_FAILED', `the handler returned ${failure.said}`, {
      retryable: true,
    });
  }
}

function positionOf({ sequenceNumber, subSequenceNumber }: UserRecord): HandledBatch['last'] {
  return { sequenceNumber: parseSequenceNumber(sequenceNumber), subSequenceNumber };
}
