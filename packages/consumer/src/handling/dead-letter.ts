// A record that a handler never finished, as a document: what `onFailure` is told, in JSON, the data in base64. The same in a file, on
// a stream, in a queue and in a bucket, and read back into the record that it was. Pure.
// Invariant: parse ∘ format gives the record back, byte for byte.
import { describe, toHashKey, UsageError } from '@shardline/common';
import type { UserRecord } from '../handler.ts';
import type { Failure } from './handling-options.ts';

/** One record; JSON as it stands. */
export interface DeadLetter {
  readonly application: string;
  readonly streamName: string;
  readonly shardId: string;
  readonly sequenceNumber: string;
  readonly subSequenceNumber: number;
  readonly partitionKey: string;
  /** Decimal. */
  readonly explicitHashKey?: string;
  /** ISO 8601. */
  readonly approximateArrivalTimestamp: string;
  readonly aggregated: boolean;
  /** Base64. */
  readonly data: string;
  readonly error: { readonly name: string; readonly message: string; readonly stack?: string };
  readonly attempts: number;
  readonly limit: Failure['limit'];
  /** ISO 8601. */
  readonly failedAt: string;
}

/** One for each record of the failure, in order. */
export function deadLettersOf(failure: Failure): DeadLetter[] {
  const { application, streamName, shardId, attempts, limit } = failure;
  const error = errorOf(failure.error);
  const failedAt = failure.failedAt.toISOString();
  return failure.records.map(({ data, explicitHashKey, approximateArrivalTimestamp, ...record }) => ({
    application,
    streamName,
    shardId,
    sequenceNumber: record.sequenceNumber,
    subSequenceNumber: record.subSequenceNumber,
    partitionKey: record.partitionKey,
    ...(explicitHashKey !== undefined && { explicitHashKey: String(explicitHashKey) }),
    approximateArrivalTimestamp: approximateArrivalTimestamp.toISOString(),
    aggregated: record.aggregated,
    data: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64'),
    error,
    attempts,
    limit,
    failedAt,
  }));
}

/**
 * A line of a dead letter file, the data of a record on a dead letter stream, a message or an object, read back.
 * @throws UsageError for something else.
 */
export function parseDeadLetter(text: string | Uint8Array): {
  readonly letter: DeadLetter;
  readonly record: UserRecord;
} {
  if (typeof text !== 'string' && !(text instanceof Uint8Array))
    throw new UsageError('deadLetter', 'the JSON of a dead letter, as text or bytes', describe(text));
  const letter = parsed(typeof text === 'string' ? text : Buffer.from(text).toString());
  const { sequenceNumber, subSequenceNumber, partitionKey, explicitHashKey, aggregated } = letter;
  const record: UserRecord = {
    partitionKey,
    ...(explicitHashKey !== undefined && { explicitHashKey: toHashKey(BigInt(explicitHashKey)) }),
    data: Buffer.from(letter.data, 'base64'),
    sequenceNumber,
    subSequenceNumber,
    approximateArrivalTimestamp: new Date(letter.approximateArrivalTimestamp),
    aggregated,
  };
  return { letter, record };
}

/** What deadLetterFile had not finished is handed over again, by whoever has the shard next. */
const CUT_OFF =
  ', which is no whole JSON: a line of a file that a crash has cut off may be left out, as its record is handed over again';

function parsed(text: string): DeadLetter {
  let value: unknown;
  let why = '';
  try {
    value = JSON.parse(text);
  } catch {
    why = text.trimStart().startsWith('{') ? CUT_OFF : ', which is no JSON';
  }
  const letter = value as Partial<DeadLetter> | null | undefined;
  if (typeof letter?.data === 'string' && typeof letter.sequenceNumber === 'string') return letter as DeadLetter;
  const got = text.length > 80 ? `${text.slice(0, 80)}…` : text;
  throw new UsageError(
    'deadLetter',
    'the JSON of a dead letter, with data and sequenceNumber',
    `${describe(got)}${why}`,
  );
}

function errorOf(thrown: unknown): DeadLetter['error'] {
  if (!(thrown instanceof Error)) return { name: typeof thrown, message: describe(thrown) };
  const { name, message, stack } = thrown;
  return { name, message, ...(stack !== undefined && { stack }) };
}
