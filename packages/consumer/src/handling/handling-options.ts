// What an application may say of how its handler is given records, and of what becomes of those that it never finishes. Read once,
// when the consumer is run; past this file every option has a valid value.
// Invariant: no record is ever passed over but by `onFailure`: without one, a record that may not be tried again stops its shard.
import { checkNames, checkWholeNumber, checkWord, describe, UsageError } from '@shardline/common';
import { type FilterCriteria, type RecordFilter, readFilterCriteria } from '../filtering/record-filter.ts';
import type { ShardContext, UserRecord } from '../handler.ts';
import type { GatheringOptions } from '../retrieval/gathering.ts';
import { thrownText } from '../runtime/handler-threw.ts';
import type { Bisecting, PieceRules } from './pieces.ts';
import { type ResolvedTumblingWindow, readTumblingWindow, type TumblingWindowOptions } from './tumbling-window.ts';

/** Records that the handler did not finish, with all that is known of why. */
export interface Failure {
  readonly application: string;
  readonly streamName: string;
  readonly shardId: string;
  /** One, unless `bisectBatch` is 'never'. */
  readonly records: readonly UserRecord[];
  /** What the handler threw at last. */
  readonly error: unknown;
  /** How often the handler was given just these records. */
  readonly attempts: number;
  /** Which limit was reached: `maxRetryAttempts` or `maxRecordAgeMs`. */
  readonly limit: 'attempts' | 'age';
  readonly failedAt: Date;
}

/** Resolving says that the records are in safe hands: only then is anything behind them handled. */
export type OnFailure = (failure: Failure, context: ShardContext) => unknown;

/** What `run` takes beside the handler; a handler that is an object may also have it as `handling`. */
export interface HandlingOptions {
  /**
   * How often records are tried again after the handler threw: from 0, default for ever. A batch is tried so often as a whole, and
   * the single record to which it is bisected again so often.
   */
  readonly maxRetryAttempts?: number;
  /** Since its approximateArrivalTimestamp, ms, a record that throws is tried again: from 1, default for ever. Each is tried once. */
  readonly maxRecordAgeMs?: number;
  /**
   * Once a limit is reached: `after-retries` (the default) bisects the batch to the records that throw, `never` gives up the batch as
   * it is; said without a limit either is refused, for none would be reached. `at-once` bisects after the first throw already.
   */
  readonly bisectBatch?: Bisecting;
  /**
   * Is given what has reached a limit, again and again until it resolves; then the shard goes on behind it. It may be called twice
   * for the same records, as a handler may. Without it the shard stops there, `health()` says so, and the next worker to have the
   * shard begins anew.
   */
  readonly onFailure?: OnFailure;
  /** User records that the handler is given at once: from 1, default all that a read brought. */
  readonly maxBatchSize?: number;
  /**
   * So long a record may wait, ms, until there are `maxBatchSize` (times `concurrency`) records for a call, 6 MiB of data, or as much as the
   * shard may hold: 0 to 300000, default 0, no longer than three quarters of `stallWarningMs`. What is gathered is in no checkpoint: a shard that changes
   * hands is read from there again.
   */
  readonly batchWindowMs?: number;
  /**
   * Calls of the handler at once in a shard: 1 to 1000, default 1. The records of a partition key are never in two of them, and stay
   * in order; the checkpoint is the lowest that is not finished. Not with `checkpointing: 'manual'`.
   */
  readonly concurrency?: number;
  /**
   * The records that the handler is given: those that one of its patterns matches, by the rules of Lambda's event filtering. The others
   * are finished without it. Default: all.
   */
  readonly filter?: FilterCriteria;
  /**
   * Batches of one time window each, with a state that a window's calls hand on to each other, as AWS Lambda has them: `batch.window` says
   * which, and the handler returns `{ state }`. Nothing of a window counts as finished before its last call has succeeded: whoever has
   * the shard next reads the open window again from its beginning. Not with `concurrency`, nor with `checkpointing: 'manual'`. Default: none.
   */
  readonly tumblingWindow?: TumblingWindowOptions;
}

/** With every value filled in. */
export interface ResolvedHandling {
  readonly rules: PieceRules;
  readonly onFailure: OnFailure | undefined;
  readonly concurrency: number;
  /** Undefined: all records. */
  readonly filter?: RecordFilter;
  /** Undefined: nothing waits. */
  readonly gathering?: GatheringOptions;
  /** Undefined: there are none. */
  readonly tumblingWindow?: ResolvedTumblingWindow;
}

export const handlingOptionNames: readonly string[] = [
  'maxRetryAttempts',
  'maxRecordAgeMs',
  'bisectBatch',
  'onFailure',
  'maxBatchSize',
  'batchWindowMs',
  'concurrency',
  'filter',
  'tumblingWindow',
] satisfies readonly (keyof HandlingOptions)[];

/** Lambda's. */
const MAX_WINDOW_MS = 300_000;
/** Of the time after which a read is told of as one that stalls. */
const PATIENCE = 0.75;

/** What the options are held against. */
export interface HandlingSetting {
  readonly checkpointing: 'auto' | 'manual';
  /** The handler takes one record at a time. */
  readonly eachRecord: boolean;
  readonly stallWarningMs?: number;
  /** For those who say them in the wrong place. */
  readonly consumerOptionNames?: readonly string[];
}

const OF_CONSUMER = 'it is an option of new Consumer';

/** @throws UsageError naming the option. */
export function readHandling(options: HandlingOptions, given: HandlingSetting): ResolvedHandling {
  const hints = Object.fromEntries((given.consumerOptionNames ?? []).map((name) => [name, OF_CONSUMER]));
  checkNames(options, handlingOptionNames, { expected: 'an option of handling', self: 'handling', hints });
  const { onFailure } = options;
  if (onFailure !== undefined && typeof onFailure !== 'function')
    throw new UsageError('onFailure', 'a function of a failure', describe(onFailure));
  const maxRetryAttempts = checkWholeNumber('maxRetryAttempts', options.maxRetryAttempts, 0);
  const maxRecordAgeMs = checkWholeNumber('maxRecordAgeMs', options.maxRecordAgeMs, 1);
  const bisecting = checkWord('bisectBatch', options.bisectBatch, ['after-retries', 'at-once', 'never']);
  if (maxRetryAttempts === undefined && maxRecordAgeMs === undefined) {
    const limit = 'maxRetryAttempts or maxRecordAgeMs beside';
    const why = 'without a limit records are tried for ever';
    if (onFailure !== undefined) throw new UsageError('onFailure', `${limit} it: ${why}`, 'neither');
    if (bisecting === 'never' || bisecting === 'after-retries')
      throw new UsageError('bisectBatch', `${limit} '${bisecting}': ${why}, in the batch as it is`, 'neither');
  }
  const maxBatchSize = checkWholeNumber('maxBatchSize', options.maxBatchSize, 1);
  if (given.eachRecord && maxBatchSize !== undefined)
    throw new UsageError('maxBatchSize', 'a handler with processRecords', 'one with processRecord');
  const concurrency = checkWholeNumber('concurrency', options.concurrency, 1, 1_000) ?? 1;
  if (concurrency > 1 && given.checkpointing === 'manual') {
    const why = "1 with checkpointing 'manual': of calls side by side none knows what the others have finished";
    throw new UsageError('concurrency', why, String(concurrency));
  }
  const filter = readFilterCriteria('filter', options.filter);
  const windowMs = checkWholeNumber('batchWindowMs', options.batchWindowMs, 0, MAX_WINDOW_MS) ?? 0;
  if (given.eachRecord && windowMs > 0)
    throw new UsageError('batchWindowMs', 'a handler with processRecords', 'one with processRecord');
  const { stallWarningMs = Number.POSITIVE_INFINITY } = given;
  if (windowMs > PATIENCE * stallWarningMs) {
    const least = Math.ceil(windowMs / PATIENCE);
    const why = `at most three quarters of stallWarningMs, ${stallWarningMs}: the watchdog would take a shard that gathers for one that stalls`;
    const what = `${windowMs} (of lambdaHandler: maximumBatchingWindowInSeconds), for which the consumer needs stallWarningMs: ${least}`;
    throw new UsageError('batchWindowMs', why, what);
  }
  const tumblingWindow = readTumblingWindow(options.tumblingWindow, { ...given, concurrency });
  const recordCount = (maxBatchSize ?? Number.POSITIVE_INFINITY) * concurrency;
  return {
    rules: {
      maxTries: maxRetryAttempts === undefined ? Number.POSITIVE_INFINITY : maxRetryAttempts + 1,
      maxAgeMs: maxRecordAgeMs ?? Number.POSITIVE_INFINITY,
      bisecting: bisecting ?? 'after-retries',
      maxSize: given.eachRecord ? 1 : (maxBatchSize ?? Number.POSITIVE_INFINITY),
    },
    onFailure,
    concurrency,
    ...(filter && { filter }),
    ...(tumblingWindow && { tumblingWindow }),
    ...(windowMs > 0 && { gathering: { windowMs, recordCount } }),
  };
}

/** Why a shard stands still, for operators. */
export function stoppedText({ records, error, attempts, limit }: Failure): string {
  const [first, last] = [records[0], records.at(-1)].map((record) => record && formatPosition(record));
  const which = records.length === 1 ? `record ${first}` : `records ${first} to ${last}`;
  const tried = attempts === 1 ? 'tried once' : `tried ${attempts} times`;
  const why = limit === 'age' ? 'older than maxRecordAgeMs' : tried;
  return (
    `stopped at ${which}, ${why}, after ${thrownText(error)}. Nothing behind is handled until retry() is called here, ` +
    'or another worker has the shard: with a handler that can do it, or an onFailure to hand the record to'
  );
}

function formatPosition({ sequenceNumber, subSequenceNumber }: UserRecord): string {
  return subSequenceNumber === 0 ? sequenceNumber : `${sequenceNumber}:${subSequenceNumber}`;
}
