// An AWS Lambda function of a Kinesis stream as a handler, unchanged: given Lambda's event and context, with the settings of its event
// source mapping by their names. What becomes of records that it fails on is batch-handling.ts's business, as for any handler.
// Invariants: where Lambda would discard records, they go to `onFailure`, or the shard stops; a call has ended when the function says so
// and not before: one that returned no promise may still fail.
import { randomUUID } from 'node:crypto';
import {
  checkFlag,
  checkNames,
  checkWholeNumber,
  describe,
  OperatingError,
  systemClock,
  UsageError,
} from '@shardline/common';
import { type FilterCriteria, readFilterCriteria } from '../filtering/record-filter.ts';
import type { ShardContext, ShardHandler } from '../handler.ts';
import type { HandlingOptions, OnFailure } from './handling-options.ts';
import { canSayNothingLater, watched } from './lambda-end.ts';
import {
  type LambdaContext,
  type LambdaKinesisEvent,
  type LambdaKinesisWindowEvent,
  type LambdaNames,
  lambdaContext,
  lambdaEvent,
} from './lambda-event.ts';
import type { PartialResult } from './partial-result.ts';
import { MAX_TUMBLING_WINDOW_MS, MAX_WINDOW_GRACE_MS, type TumblingWindowOptions } from './tumbling-window.ts';

// biome-ignore lint/suspicious/noConfusingVoidType: Lambda's own type, which handlers are declared by.
export type LambdaCallback = (error?: Error | string | null, result?: PartialResult | void) => void;

/**
 * As Lambda calls it: one that returns a promise, or calls back, or calls `done`, `succeed` or `fail` of the context. A handler of
 * `@types/aws-lambda` is one.
 */
export type LambdaFunction = (
  event: LambdaKinesisEvent,
  context: LambdaContext,
  callback: LambdaCallback,
  // biome-ignore lint/suspicious/noConfusingVoidType: Lambda's own type, which handlers are declared by.
) => void | Promise<PartialResult | void>;

/** One with tumbling windows. A KinesisStreamTumblingWindowHandler of `@types/aws-lambda` is one. */
export type LambdaWindowFunction = (
  event: LambdaKinesisWindowEvent,
  context: LambdaContext,
  // biome-ignore lint/suspicious/noConfusingVoidType: Lambda's own type, which handlers are declared by.
  callback: (error?: Error | string | null, result?: LambdaWindowResult | void) => void,
  // biome-ignore lint/suspicious/noConfusingVoidType: Lambda's own type, which handlers are declared by.
) => void | Promise<LambdaWindowResult | void>;

/** AWS's TimeWindowEventResponse. Without a state the call has failed, but for the last of a window. */
export interface LambdaWindowResult extends PartialResult {
  readonly state?: unknown;
}

/** The event source mapping's settings (API_CreateEventSourceMapping), and what the function is told of itself. */
export interface LambdaOptions {
  /** User records in a call: 1 to 10000, default 100. */
  readonly batchSize?: number;
  /** So long a record may wait until there are `batchSize` of them, 6 MiB of data, or as much as the shard may hold: 0 to 300, default 0. */
  readonly maximumBatchingWindowInSeconds?: number;
  /** Bisects a batch when the function fails on it, at once. Default false. */
  readonly bisectBatchOnFunctionError?: boolean;
  /** -1, the default, is for ever; else from 0. */
  readonly maximumRetryAttempts?: number;
  /** -1, the default, is for ever; else from 1. Unlike in Lambda each record is tried once, however old. */
  readonly maximumRecordAgeInSeconds?: number;
  /** Calls at once in a shard, by partition key: 1 to 10, default 1. */
  readonly parallelizationFactor?: number;
  /** With it the function may return `batchItemFailures`; without it what it returns is ignored, as in Lambda. */
  readonly functionResponseTypes?: readonly 'ReportBatchItemFailures'[];
  /** The records that the function is given: those that one of its patterns matches. Default: all. */
  readonly filterCriteria?: FilterCriteria;
  /**
   * Of a tumbling window: 0 to 900; 0, the default, is none. With it the function gets a window's state and returns it. The state is kept in this
   * process: whoever has the shard next reads the open window again from its beginning, where Lambda keeps the state. Not with
   * `parallelizationFactor`.
   */
  readonly tumblingWindowInSeconds?: number;
  /** So long after its end a window in a shard where nothing comes any more has its last call, ms: 0 to 60000, default 2000. */
  readonly tumblingWindowGraceMs?: number;
  /** A state that takes more, as JSON in UTF-8, terminates the window early: from 1, default 1048576, as in Lambda. */
  readonly maxWindowStateBytes?: number;
  /** The destination of what reached a limit, with the records themselves. Without one the shard stops there; Lambda discards. */
  readonly onFailure?: OnFailure;
  /** Default: the function's own name, or `handler`. */
  readonly functionName?: string;
  /** Default: made of the stream's name, `awsRegion` and account 000000000000. */
  readonly eventSourceARN?: string;
  /** Default: that of `eventSourceARN`, or of the environment (AWS_REGION), or us-east-1. */
  readonly awsRegion?: string;
  readonly invokeIdentityArn?: string;
  /**
   * What `getRemainingTimeInMillis` counts down from: from 1, default 900. A call that returned a promise is not cut off; one that returned
   * none, and has not said by then that it has ended, has failed.
   */
  readonly timeoutSeconds?: number;
}

const optionNames = [
  'batchSize',
  'maximumBatchingWindowInSeconds',
  'bisectBatchOnFunctionError',
  'maximumRetryAttempts',
  'maximumRecordAgeInSeconds',
  'parallelizationFactor',
  'functionResponseTypes',
  'filterCriteria',
  'tumblingWindowInSeconds',
  'tumblingWindowGraceMs',
  'maxWindowStateBytes',
  'onFailure',
  'functionName',
  'eventSourceARN',
  'awsRegion',
  'invokeIdentityArn',
  'timeoutSeconds',
] as const satisfies readonly (keyof LambdaOptions)[];

/**
 * ```ts
 * import { handler } from './function.js';
 * await consumer.run(lambdaHandler(handler, { batchSize: 500, bisectBatchOnFunctionError: true }));
 * ```
 * @throws UsageError naming the option.
 */
export function lambdaHandler(
  call: LambdaWindowFunction,
  options: LambdaOptions & { readonly tumblingWindowInSeconds: number },
): ShardHandler;
export function lambdaHandler(call: LambdaFunction, options?: LambdaOptions): ShardHandler;
export function lambdaHandler(given: LambdaFunction | LambdaWindowFunction, options: LambdaOptions = {}): ShardHandler {
  if (typeof given !== 'function') throw new UsageError('handler', 'a Lambda function', describe(given));
  // Who takes windows is given them: the signatures above see to that.
  const call = given as LambdaFunction;
  const { handling, reports, timeoutMs, names } = readOptions(call, options);
  /** A function that has returned a promise once is not watched any more. */
  let mayBeFinished = canSayNothingLater(call);
  let hasWarned = false;
  /** Whoever declares no callback is most likely finished when it returns, and does not know that it has to say so. */
  const warn = ({ logger }: ShardContext): void => {
    if (hasWarned || call.length > 2) return;
    hasWarned = true;
    const what = `the Lambda function ${names.functionName} returned ${WARN_AFTER_MS / 1_000} s ago, without a promise, and has not called back`;
    logger.warn(
      { timeoutMs },
      `${what}: it is waited for until timeoutSeconds are over, and then its call has failed. ${WHAT_TO_DO}`,
    );
  };
  return {
    handling,
    processRecords: async (batch, shard) => {
      const timers: (() => void)[] = [];
      const result = await new Promise((resolve, reject) => {
        const about = { callId: randomUUID(), shardId: batch.shardId, timeoutMs };
        const context = lambdaContext(names, about, systemClock, { resolve, reject });
        const invoke = (): unknown =>
          call(lambdaEvent(batch, names), context, (error, given) => context.done(error as Error, given));
        const { returned, goesOn } = mayBeFinished ? watched(invoke) : { returned: invoke(), goesOn: true };
        // What else it returned is nothing to Lambda, and neither is how many parameters it has: `arguments`, a rest and a default
        // don't count as one, and `context` alone is enough to fail later.
        if (isThenable(returned)) {
          mayBeFinished = false;
          returned.then(resolve, reject);
        } else if (!goesOn) resolve(undefined);
        else
          timers.push(
            systemClock.setTimer(() => reject(unsettled(names.functionName, timeoutMs)), timeoutMs, false),
            systemClock.setTimer(() => warn(shard), WARN_AFTER_MS, false),
          );
      }).finally(() => {
        for (const cancel of timers) cancel();
      });
      // What else a function returns is nothing to Lambda, a misspelt name included.
      if (typeof result !== 'object' || result === null || !(reports || batch.window)) return undefined;
      const { batchItemFailures, state } = result as LambdaWindowResult;
      return { ...(reports && { batchItemFailures }), ...(batch.window && { state }) };
    },
  };
}

/** Of a call that returned no promise. */
const WARN_AFTER_MS = 10_000;
const WHAT_TO_DO =
  'One that is finished when it returns is made async: async (event) => …; one that goes on returns its promise, or calls its ' +
  'callback, context.succeed or context.fail';

/** Lambda waits for its event loop to be empty, and takes that for success; that of a worker never is. */
function unsettled(functionName: string, timeoutMs: number): OperatingError {
  const what = `the Lambda function ${functionName} returned no promise, and has not called back in ${timeoutMs / 1_000} s (timeoutSeconds)`;
  return new OperatingError('TIMEOUT', `${what}: nothing says that it has ended. ${WHAT_TO_DO}`, { retryable: true });
}

interface ReadLambdaOptions {
  readonly handling: HandlingOptions;
  readonly reports: boolean;
  readonly timeoutMs: number;
  readonly names: LambdaNames;
}

function readOptions(call: LambdaFunction, options: LambdaOptions): ReadLambdaOptions {
  checkNames(options, optionNames, { expected: 'an option of lambdaHandler' });
  const maxRetryAttempts = limit('maximumRetryAttempts', options.maximumRetryAttempts, 0);
  const maxRecordAge = limit('maximumRecordAgeInSeconds', options.maximumRecordAgeInSeconds, 1);
  const hasLimit = maxRetryAttempts !== undefined || maxRecordAge !== undefined;
  const { onFailure, filterCriteria: filter, functionResponseTypes: types = [] } = options;
  readFilterCriteria('filterCriteria', filter);
  if (onFailure !== undefined && !hasLimit) {
    const why =
      'maximumRetryAttempts or maximumRecordAgeInSeconds beside it: without a limit records are tried for ever';
    throw new UsageError('onFailure', why, 'neither');
  }
  if (!Array.isArray(types) || types.some((type) => type !== 'ReportBatchItemFailures'))
    throw new UsageError('functionResponseTypes', "['ReportBatchItemFailures']", describe(types));
  const window =
    checkWholeNumber('maximumBatchingWindowInSeconds', options.maximumBatchingWindowInSeconds, 0, 300) ?? 0;
  const tumblingWindow = readWindow(options);
  const bisects = checkFlag('bisectBatchOnFunctionError', options.bisectBatchOnFunctionError, false);
  return {
    handling: {
      maxBatchSize: checkWholeNumber('batchSize', options.batchSize, 1, 10_000) ?? 100,
      concurrency: checkWholeNumber('parallelizationFactor', options.parallelizationFactor, 1, 10) ?? 1,
      // Without a limit nothing is given up, in one piece or in several.
      ...((bisects || hasLimit) && { bisectBatch: bisects ? 'at-once' : 'never' }),
      ...(maxRetryAttempts !== undefined && { maxRetryAttempts }),
      ...(maxRecordAge !== undefined && { maxRecordAgeMs: 1_000 * maxRecordAge }),
      ...(window > 0 && { batchWindowMs: 1_000 * window }),
      ...(filter !== undefined && { filter }),
      ...(tumblingWindow && { tumblingWindow }),
      ...(onFailure !== undefined && { onFailure }),
    },
    reports: types.length > 0,
    timeoutMs: 1_000 * (checkWholeNumber('timeoutSeconds', options.timeoutSeconds, 1) ?? 900),
    names: readNames(call, options),
  };
}

function readWindow(options: LambdaOptions): TumblingWindowOptions | undefined {
  const { tumblingWindowInSeconds, tumblingWindowGraceMs, maxWindowStateBytes, parallelizationFactor = 1 } = options;
  const seconds =
    checkWholeNumber('tumblingWindowInSeconds', tumblingWindowInSeconds, 0, MAX_TUMBLING_WINDOW_MS / 1_000) ?? 0;
  const graceMs = checkWholeNumber('tumblingWindowGraceMs', tumblingWindowGraceMs, 0, MAX_WINDOW_GRACE_MS);
  const maxStateBytes = checkWholeNumber('maxWindowStateBytes', maxWindowStateBytes, 1);
  if (seconds === 0) return undefined;
  if (parallelizationFactor > 1) {
    const why =
      'parallelizationFactor 1 beside it: a window has one state, which calls side by side would each have for themselves';
    throw new UsageError('tumblingWindowInSeconds', why, String(parallelizationFactor));
  }
  return {
    lengthMs: 1_000 * seconds,
    ...(graceMs !== undefined && { graceMs }),
    ...(maxStateBytes !== undefined && { maxStateBytes }),
  };
}

const NO_ACCOUNT = '000000000000';

function readNames(call: LambdaFunction, options: LambdaOptions): LambdaNames {
  const eventSourceARN = text('eventSourceARN', options.eventSourceARN);
  const [, regionOfStream, accountId = NO_ACCOUNT] =
    /^arn:[\w-]+:kinesis:([\w-]+):(\d{12}):/.exec(eventSourceARN ?? '') ?? [];
  const functionName = text('functionName', options.functionName) ?? (call.name || 'handler');
  const ofEnvironment = process.env['AWS_REGION'] ?? process.env['AWS_DEFAULT_REGION'];
  return {
    functionName,
    accountId,
    eventSourceARN,
    awsRegion: text('awsRegion', options.awsRegion) ?? regionOfStream ?? ofEnvironment ?? 'us-east-1',
    invokeIdentityArn:
      text('invokeIdentityArn', options.invokeIdentityArn) ?? `arn:aws:iam::${accountId}:role/${functionName}`,
  };
}

function text(name: string, value: string | undefined): string | undefined {
  if (value === undefined || (typeof value === 'string' && value !== '')) return value;
  throw new UsageError(name, 'a string that is not empty', describe(value));
}

/** Undefined: for ever, Lambda's -1. */
function limit(name: string, value: number | undefined, min: number): number | undefined {
  if (value === undefined || value === -1) return undefined;
  if (Number.isSafeInteger(value) && value >= min) return value;
  throw new UsageError(name, `-1 or a whole number from ${min} on`, describe(value));
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
