// A batch of an open shard on its way into its handling: what the handling may know of the shard, and to whom it tells what. Wiring alone:
// delivery says when, batch-handling.ts and windowed-handling.ts do it. Invariant: the handling sees the shard as it is at each call.
import { type Clock, invariant } from '@shardline/common';
import { BatchHandling, type HandledShard, type Handling, type HandlingReport } from '../handling/batch-handling.ts';
import { stoppedText } from '../handling/handling-options.ts';
import { WindowedHandling } from '../handling/windowed-handling.ts';
import type { SourceBatch } from '../retrieval/source.ts';
import type { DeliveryReport } from './delivery-report.ts';
import type { HandlerWord } from './handler-threw.ts';
import type { OpenShard } from './open-shard.ts';

export interface ShardHandlingOptions {
  readonly application: string;
  /** No handler call of that lease is to begin for now. */
  readonly isPaused: (leaseKey: string) => boolean;
  readonly clock: Clock;
}

/** @param calls is told of each word that the handling calls. */
export function handlingOf(
  shard: OpenShard,
  batch: SourceBatch,
  options: ShardHandlingOptions,
  report: DeliveryReport,
  calls: (word: HandlerWord) => void,
): Handling {
  const { application, clock, isPaused } = options;
  const { called } = shard;
  invariant(called !== undefined, `${shard.leaseKey} has a batch and no handler`);
  const handled: HandledShard = {
    shardId: shard.shardId,
    context: shard.context,
    endedBy: () => shard.endedBy,
    isPaused: () => isPaused(shard.leaseKey),
    calls,
    gives: (position) => {
      shard.givenTo = position;
      shard.reach = position;
    },
    ranFor: (synchronousMs) => {
      const { lastCall } = shard;
      if (lastCall !== undefined) lastCall.synchronousMs = Math.max(lastCall.synchronousMs, synchronousMs);
    },
  };
  const parts = { ...called.handling, handler: called.handler, application, clock };
  if (shard.window !== undefined)
    return new WindowedHandling(handled, batch, reportOf(shard, report), parts, shard.window);
  return new BatchHandling(handled, batch, reportOf(shard, report), parts);
}

function reportOf(shard: OpenShard, report: DeliveryReport): HandlingReport {
  return {
    leftOut: (recordCount) => report.leftOut(shard, recordCount),
    threw: (recordCount, durationMs, cause) => report.threw(shard, recordCount, durationMs, cause),
    gaveUp: (failure, outcome) => {
      if (outcome === 'stopped') shard.stopped = stoppedText(failure);
      report.gaveUp(shard, failure, outcome);
    },
    endedEarly: (stateBytes) => report.endedEarly(shard, stateBytes),
  };
}
