// Tells whoever listens what the producer does, on the diagnostics channels of common. Beside the records' way: it reads, it
// changes nothing, and builds no message for a channel without a listener.
import { producerDiagnostics } from '@shardline/common';
import type { Answer, KinesisRecord } from './batch.ts';
import type { Effect } from './effects.ts';
import type { PutError, PutResult } from './put.ts';
import type { StrategyState } from './stream-strategy.ts';
import type { UserRecord } from './user-record.ts';

/** The fields that every message has. */
export interface ProducerName {
  readonly producer: string;
  readonly stream: string;
  /** Of a stream that was given by its ARN. */
  readonly streamArn?: string;
}

export function publishPut(name: ProducerName, record: UserRecord): void {
  const channel = producerDiagnostics.put;
  if (!channel.hasSubscribers) return;
  channel.publish({ ...name, ...keyOf(record), dataBytes: record.dataBytes });
}

/** A request leaves, and with it, for the first time, some aggregated records. */
export function publishRequest(name: ProducerName, requestId: number, sent: readonly KinesisRecord[]): void {
  if (producerDiagnostics.aggregate.hasSubscribers) {
    for (const { aggregated, attemptCount, count, shardId, sizeBytes } of sent) {
      if (!aggregated || attemptCount > 1) continue;
      producerDiagnostics.aggregate.publish({
        ...name,
        userRecordCount: count,
        sizeBytes,
        ...(shardId === undefined ? {} : { shardId }),
      });
    }
  }
  if (producerDiagnostics.request.hasSubscribers) {
    producerDiagnostics.request.publish({
      ...name,
      requestId,
      kinesisRecordCount: sent.length,
      userRecordCount: sum(sent, ({ count }) => count),
      sizeBytes: sum(sent, ({ sizeBytes }) => sizeBytes),
    });
  }
}

export function publishAttempt(
  name: ProducerName,
  requestId: number,
  entryCount: number,
  answer: Answer,
  durationMs: number,
): void {
  const channel = producerDiagnostics.attempt;
  if (!channel.hasSubscribers) return;
  if (answer.kind === 'failed') {
    const { errorCode } = answer;
    channel.publish({ ...name, requestId, durationMs, succeededCount: 0, failedCount: entryCount, errorCode });
    return;
  }
  const succeededCount = answer.entries.filter((entry) => entry.kind === 'written').length;
  channel.publish({ ...name, requestId, durationMs, succeededCount, failedCount: entryCount - succeededCount });
}

export function publishThrottle(name: ProducerName, effect: Extract<Effect, { kind: 'throttled' }>): void {
  const channel = producerDiagnostics.throttle;
  if (!channel.hasSubscribers) return;
  const { shardId, kinesisRecordCount, ratePercent } = effect;
  channel.publish({
    ...name,
    kinesisRecordCount,
    ...(shardId === undefined ? {} : { shardId }),
    ...(ratePercent === undefined ? {} : { ratePercent }),
  });
}

export function publishShardMap(
  name: ProducerName,
  { state, openShardCount }: Extract<Effect, { kind: 'shard-map-changed' }>,
  cause?: unknown,
): void {
  const channel = producerDiagnostics.shardMap;
  if (!channel.hasSubscribers) return;
  const known = state === 'loading' ? 'updating' : state;
  channel.publish({ ...name, state: known, openShardCount, ...(cause === undefined ? {} : { cause }) });
}

export function publishStrategy(name: ProducerName, strategy: StrategyState): void {
  const channel = producerDiagnostics.strategy;
  // `asking` is where every producer begins; nothing ever changes to it.
  if (!channel.hasSubscribers || strategy === 'asking') return;
  channel.publish({ ...name, strategy });
}

export function publishSettle(
  name: ProducerName,
  record: KeyHolder & { readonly putAtMs: number },
  endedAtMs: number,
  end: PutResult | PutError,
): void {
  const channel = producerDiagnostics.settle;
  if (!channel.hasSubscribers) return;
  const attemptCount = end.attempts.length;
  const elapsedMs = endedAtMs - record.putAtMs;
  if ('sequenceNumber' in end) {
    const { shardId, sequenceNumber } = end;
    channel.publish({
      ...name,
      ...keyOf(record),
      outcome: 'succeeded',
      attemptCount,
      elapsedMs,
      shardId,
      sequenceNumber,
    });
  } else {
    channel.publish({ ...name, ...keyOf(record), outcome: 'failed', attemptCount, elapsedMs, errorCode: end.code });
  }
}

type KeyHolder = Pick<UserRecord, 'hasKey' | 'partitionKey'>;

/** Of a record that was packed the key must be read: so not before it is known to have one that is wanted. */
function keyOf(record: KeyHolder): { partitionKey?: string } {
  return record.hasKey ? { partitionKey: record.partitionKey } : {};
}

function sum(kinesisRecords: readonly KinesisRecord[], amount: (kinesisRecord: KinesisRecord) => number): number {
  return kinesisRecords.reduce((total, kinesisRecord) => total + amount(kinesisRecord), 0);
}
