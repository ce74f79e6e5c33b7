// What AWS Lambda gives a function for records of a Kinesis stream: the event and the context, field by field as there (the Lambda
// developer guide, "Using Lambda to process records from Kinesis"). Types are such that handlers typed with `@types/aws-lambda` fit.
// Pure, but for what the context says of the time. Invariant: a record's `eventID` is its own, user records of one aggregate too.
import type { Clock } from '@shardline/common';
import type { Batch, UserRecord } from '../handler.ts';

export interface LambdaKinesisRecord {
  readonly kinesis: {
    readonly kinesisSchemaVersion: '1.0';
    readonly partitionKey: string;
    /** Of the Kinesis record: user records of one aggregate share it. */
    readonly sequenceNumber: string;
    /** Base64. */
    readonly data: string;
    /** Seconds, with a fraction. */
    readonly approximateArrivalTimestamp: number;
  };
  readonly eventSource: 'aws:kinesis';
  readonly eventVersion: '1.0';
  /** `shardId:sequenceNumber`; of a record that was aggregated `shardId:sequenceNumber:subSequenceNumber`. */
  readonly eventID: string;
  readonly eventName: 'aws:kinesis:record';
  readonly invokeIdentityArn: string;
  readonly awsRegion: string;
  readonly eventSourceARN: string;
}

export interface LambdaKinesisEvent {
  Records: LambdaKinesisRecord[];
}

/** The event with a tumbling window (KinesisTimeWindowEvent). */
export interface LambdaKinesisWindowEvent extends LambdaKinesisEvent {
  /** As ISO 8601, in whole seconds; the end is the first moment that is not in it. */
  window: { start: string; end: string };
  /** What the call before returned; `{}` in the first of a window. */
  // biome-ignore lint/suspicious/noExplicitAny: Lambda's own type, which handlers are declared by.
  state: { [name: string]: any };
  shardId: string;
  eventSourceARN: string;
  /** The last call of the window, without records. */
  isFinalInvokeForWindow: boolean;
  /** A call without records that takes a state which has grown too large; the next one goes on with `{}`, in the same window. */
  isWindowTerminatedEarly: boolean;
}

export interface LambdaContext {
  /** No matter here: a call ends when its promise settles, or it calls back; whichever comes first. */
  callbackWaitsForEmptyEventLoop: boolean;
  readonly functionName: string;
  readonly functionVersion: string;
  readonly invokedFunctionArn: string;
  readonly memoryLimitInMB: string;
  readonly awsRequestId: string;
  readonly logGroupName: string;
  readonly logStreamName: string;
  /** Down from `timeoutSeconds` to 0. A call that returned a promise is not cut off then. */
  getRemainingTimeInMillis(): number;
  done(error?: Error, result?: unknown): void;
  fail(error: Error | string): void;
  succeed(result: unknown): void;
}

/** Who a function is and where its stream is, in Lambda's words. */
export interface LambdaNames {
  readonly functionName: string;
  readonly awsRegion: string;
  readonly accountId: string;
  readonly eventSourceARN: string | undefined;
  readonly invokeIdentityArn: string;
}

/** With a window if the batch has one. */
export function lambdaEvent(
  { records, shardId, streamName, window }: Batch,
  names: LambdaNames,
): LambdaKinesisEvent | LambdaKinesisWindowEvent {
  const { awsRegion, accountId, invokeIdentityArn } = names;
  const eventSourceARN = names.eventSourceARN ?? `arn:aws:kinesis:${awsRegion}:${accountId}:stream/${streamName}`;
  return {
    Records: records.map((record) => ({
      kinesis: {
        kinesisSchemaVersion: '1.0',
        partitionKey: record.partitionKey,
        sequenceNumber: record.sequenceNumber,
        data: base64Of(record),
        approximateArrivalTimestamp: record.approximateArrivalTimestamp.getTime() / 1_000,
      },
      eventSource: 'aws:kinesis',
      eventVersion: '1.0',
      eventID: `${shardId}:${record.sequenceNumber}${record.aggregated ? `:${record.subSequenceNumber}` : ''}`,
      eventName: 'aws:kinesis:record',
      invokeIdentityArn,
      awsRegion,
      eventSourceARN,
    })),
    ...(window && {
      window: { start: secondOf(window.start), end: secondOf(window.end) },
      state: window.state as LambdaKinesisWindowEvent['state'],
      shardId,
      eventSourceARN,
      isFinalInvokeForWindow: window.isFinal,
      isWindowTerminatedEarly: window.isTerminatedEarly,
    }),
  };
}

/** `2020-12-09T07:04:00Z`. */
function secondOf(time: Date): string {
  return time.toISOString().replace('.000Z', 'Z');
}

/** What a call of a function ends with. */
export interface LambdaEnd {
  resolve(result: unknown): void;
  reject(error: unknown): void;
}

/** @param callId unique. */
export function lambdaContext(
  { functionName, awsRegion, accountId }: LambdaNames,
  { callId, shardId, timeoutMs }: { readonly callId: string; readonly shardId: string; readonly timeoutMs: number },
  clock: Pick<Clock, 'now'>,
  { resolve, reject }: LambdaEnd,
): LambdaContext {
  const endsAt = clock.now() + timeoutMs;
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionName,
    functionVersion: '$LATEST',
    invokedFunctionArn: `arn:aws:lambda:${awsRegion}:${accountId}:function:${functionName}`,
    // The most that Lambda has.
    memoryLimitInMB: '10240',
    awsRequestId: callId,
    logGroupName: `/aws/lambda/${functionName}`,
    logStreamName: shardId,
    getRemainingTimeInMillis: () => Math.max(0, Math.round(endsAt - clock.now())),
    // As in AWS's runtime: what is neither undefined nor null is an error, and `fail` fails without one, too.
    done: (error, result) => (error === undefined || error === null ? resolve(result) : reject(error)),
    fail: (error) => reject(error ?? 'handled'),
    succeed: resolve,
  };
}

function base64Of({ data }: UserRecord): string {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64');
}
