// Ready-made places for records that a handler never finished: a file, another stream, a queue of SQS's shape, a bucket of S3's. Each
// makes an `onFailure`. None brings a client along: what sends is given to it.
// Invariant: one that resolves has the record in safe hands; one that cannot, rejects, and the shard waits.
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { checkNames, checkWholeNumber, describe, OperatingError, UsageError } from '@shardline/common';
import { type DeadLetter, deadLettersOf } from './dead-letter.ts';
import type { OnFailure } from './handling-options.ts';

/**
 * Appends a line of JSON for each record, and resolves when the disk has it. A line that a crash cut off is ended before the next;
 * processes may share a file.
 * @param path of a file that is there or whose folder is.
 */
export function deadLetterFile(path: string): OnFailure {
  if (typeof path !== 'string' || path === '') throw new UsageError('path', "a file's path", describe(path));
  let writing: Promise<void> = Promise.resolve();
  return (failure) => {
    const lines = deadLettersOf(failure).map((letter) => `${JSON.stringify(letter)}\n`);
    const written = writing.then(() => append(path, lines.join('')));
    writing = written.catch(() => undefined);
    return written;
  };
}

/** What a dead letter stream needs: a `Producer` of `@shardline/producer`, or anything else that puts, retries and says so. */
export interface DeadLetterProducer {
  /** Resolves once the record is in the stream. */
  put(record: { readonly partitionKey: string; readonly data: string }): Promise<unknown>;
}

/**
 * Puts the JSON of each record into another stream, under the record's partition key, so that dead letters of a key stay in order. In
 * base64 a record takes a third more room: one of more than 7 MiB does not fit into a record again, and its shard waits.
 */
export function deadLetterStream(producer: DeadLetterProducer): OnFailure {
  if (typeof producer?.put !== 'function') throw new UsageError('producer', 'a producer: put', describe(producer));
  return async (failure) => {
    const puts = deadLettersOf(failure).map((letter) =>
      // A record of an AUTO stream may have no partition key.
      producer.put({ partitionKey: letter.partitionKey || letter.sequenceNumber, data: JSON.stringify(letter) }),
    );
    for (const put of await Promise.allSettled(puts)) if (put.status === 'rejected') throw put.reason;
  };
}

/** What SQS's SendMessage takes. */
export interface QueueMessage {
  readonly QueueUrl: string;
  readonly MessageBody: string;
  /** Of a FIFO queue. */
  readonly MessageGroupId?: string;
  readonly MessageDeduplicationId?: string;
}

export interface DeadLetterQueueOptions {
  /** `(message) => sqs.send(new SendMessageCommand(message))` */
  readonly send: (message: QueueMessage) => Promise<unknown>;
  /** One that ends in `.fifo` gets the shard as its message group and an id by which SQS leaves a second copy out. */
  readonly queueUrl: string;
  /** Of a message, in bytes: from 1024, default 1048576, SQS's own. */
  readonly maxMessageBytes?: number;
  /** Where a record goes whose message would be larger, a bucket perhaps. Default: nowhere, and its shard waits. */
  readonly tooLarge?: OnFailure;
}

const MAX_MESSAGE_BYTES = 1_048_576;
const queueOptionNames: readonly string[] = [
  'send',
  'queueUrl',
  'maxMessageBytes',
  'tooLarge',
] satisfies readonly (keyof DeadLetterQueueOptions)[];

/** Sends the JSON of each record to a queue, one after the other. @throws UsageError naming the option. */
export function deadLetterQueue(options: DeadLetterQueueOptions): OnFailure {
  checkNames(options, queueOptionNames, { expected: 'an option of deadLetterQueue' });
  const { send, queueUrl, tooLarge } = options;
  checkSend(send);
  if (typeof queueUrl !== 'string' || queueUrl === '') throw new UsageError('queueUrl', 'a URL', describe(queueUrl));
  const maxMessageBytes = checkWholeNumber('maxMessageBytes', options.maxMessageBytes, 1_024) ?? MAX_MESSAGE_BYTES;
  if (tooLarge !== undefined && typeof tooLarge !== 'function')
    throw new UsageError('tooLarge', 'an onFailure', describe(tooLarge));
  const isFifo = queueUrl.endsWith('.fifo');
  return async (failure, context) => {
    for (const [index, letter] of deadLettersOf(failure).entries()) {
      const MessageBody = JSON.stringify(letter);
      const bytes = Buffer.byteLength(MessageBody);
      if (bytes <= maxMessageBytes) {
        await send({ QueueUrl: queueUrl, MessageBody, ...(isFifo && fifoOf(letter)) });
      } else if (tooLarge !== undefined) {
        await tooLarge({ ...failure, records: failure.records.slice(index, index + 1) }, context);
      } else {
        const what = `record ${placeOf(letter)} makes a message of ${bytes} bytes, and ${maxMessageBytes} are allowed`;
        throw new OperatingError('RECORD_FAILED', `${what}: give tooLarge a sink for such`, { retryable: false });
      }
    }
  };
}

/** What S3's PutObject takes. */
export interface BucketObject {
  readonly Bucket: string;
  readonly Key: string;
  readonly Body: string;
  readonly ContentType: string;
}

export interface DeadLetterBucketOptions {
  /** `(object) => s3.send(new PutObjectCommand(object))` */
  readonly send: (object: BucketObject) => Promise<unknown>;
  readonly bucket: string;
  /** Before `application/stream/shard/sequenceNumber-subSequenceNumber.json`. Default: nothing. */
  readonly prefix?: string;
}

const bucketOptionNames: readonly string[] = [
  'send',
  'bucket',
  'prefix',
] satisfies readonly (keyof DeadLetterBucketOptions)[];

/** Writes an object for each record, whose key is its place: handed over twice, it is there once. @throws UsageError naming the option. */
export function deadLetterBucket(options: DeadLetterBucketOptions): OnFailure {
  checkNames(options, bucketOptionNames, { expected: 'an option of deadLetterBucket' });
  const { send, bucket, prefix = '' } = options;
  checkSend(send);
  if (typeof bucket !== 'string' || bucket === '') throw new UsageError('bucket', "a bucket's name", describe(bucket));
  if (typeof prefix !== 'string') throw new UsageError('prefix', 'text', describe(prefix));
  return async (failure) => {
    for (const letter of deadLettersOf(failure)) {
      const { application, streamName, shardId, sequenceNumber, subSequenceNumber } = letter;
      const Key = `${prefix}${application}/${streamName}/${shardId}/${sequenceNumber}-${subSequenceNumber}.json`;
      await send({ Bucket: bucket, Key, Body: JSON.stringify(letter), ContentType: 'application/json' });
    }
  };
}

async function append(path: string, lines: string): Promise<void> {
  const file = await open(path, 'a+');
  try {
    const { size } = await file.stat();
    const { buffer, bytesRead } = await file.read(Buffer.alloc(1), 0, 1, Math.max(0, size - 1));
    const isCutOff = bytesRead === 1 && buffer[0] !== 0x0a;
    await file.appendFile(isCutOff ? `\n${lines}` : lines);
    await file.datasync();
  } finally {
    await file.close();
  }
}

function checkSend(send: unknown): void {
  if (typeof send !== 'function')
    throw new UsageError('send', 'a function that sends with your client', describe(send));
}

/** API_SendMessage: both of at most 128 characters. */
function fifoOf(letter: DeadLetter): Pick<QueueMessage, 'MessageGroupId' | 'MessageDeduplicationId'> {
  const { application, streamName, shardId } = letter;
  const place = [application, streamName, shardId, placeOf(letter)].join('/');
  return { MessageGroupId: shardId, MessageDeduplicationId: createHash('sha256').update(place).digest('hex') };
}

function placeOf({ sequenceNumber, subSequenceNumber }: DeadLetter): string {
  return `${sequenceNumber}:${subSequenceNumber}`;
}
