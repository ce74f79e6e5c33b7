// The events of a subscription, out of its bytes: the framing of application/vnd.amazon.eventstream, checked, and what an event
// of SubscribeToShard holds. Pure but for waiting for bytes. A stream that breaks off ends, as one that the service ended: the
// next subscription goes on where the last event said. What the service says of a failure is thrown under the name it gives it.
// Invariants: an event is given out whole and checked, or not at all; of one for which there is no room yet the bytes are not taken
// from the socket, but for the first pieces; what an event is gathered in is used again, and nothing of what is given out is a view of it.
import { crc32 } from 'node:zlib';
import type { SubscribeToShardEvent } from '@aws-sdk/client-kinesis';
import { OperatingError, RecycledMemory } from '@shardline/common';
import { readRecord } from './answer.ts';
import type { KinesisRecords } from './backlog.ts';
import type { KinesisRecord } from './deaggregate.ts';
import { splitRecords } from './records-json.ts';
import type { Bytes } from './stream-bytes.ts';

export interface ShardEvent
  extends Pick<SubscribeToShardEvent, 'ContinuationSequenceNumber' | 'MillisBehindLatest' | 'ChildShards'> {
  /** Whoever takes them leaves none here: who reads the events has the last one until the next has come, and with many shards that is long. */
  records: KinesisRecords;
}

/** Total length, length of the headers, their checksum. */
const PRELUDE_BYTES = 12;
const CHECKSUM_BYTES = 4;
/** A record of 10 MiB in base64, and room to spare. */
const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;
const STRING_HEADER = 7;
/** Of an event that is larger. */
const TOLD_EVERY_BYTES = 1024 * 1024;

/**
 * What events are gathered in. Memory of an event's own would be old to the collector by the time it has come, and be freed only once all of the heap was
 * marked: with records of 50 kB that happened five times as often.
 */
const memory = new RecycledMemory({ fewestBytes: 64 * 1024, grainBytes: 256 * 1024, mostIdleBytes: 8 * 1024 * 1024 });

/** An event that waits until there is room for it: the data bytes that it may hold. */
export interface WaitingEvent {
  readonly waitingBytes: number;
}

/** More of a large event has come: who waits for it sees that it does. */
export interface ArrivingEvent {
  readonly arrivedBytes: number;
}

/**
 * @param room the data bytes that the next event may hold, asked each time; until there is room, it is given out that one waits.
 * @throws an error with the exception's name and message; OperatingError for bytes that are no event.
 */
export async function* readEvents(
  bytes: Bytes,
  room: () => number = () => Number.POSITIVE_INFINITY,
): AsyncGenerator<ShardEvent | WaitingEvent | ArrivingEvent, undefined> {
  const prelude = Buffer.alloc(PRELUDE_BYTES);
  let lent: Buffer | undefined;
  try {
    while ((await bytes.readInto(prelude)) === PRELUDE_BYTES) {
      const wanted = messageBytes(prelude);
      const waitingBytes = dataBytes(wanted);
      while (waitingBytes > room()) yield { waitingBytes };
      lent = memory.take(wanted);
      for (let at = prelude.copy(lent); at < wanted; ) {
        const part = lent.subarray(at, Math.min(wanted, at + TOLD_EVERY_BYTES));
        if ((await bytes.readInto(part)) < part.length) return undefined;
        at += part.length;
        if (at < wanted) yield { arrivedBytes: at };
      }
      const event = readEvent(lent.subarray(0, wanted));
      memory.giveBack(lent);
      lent = undefined;
      if (event !== undefined) yield event;
    }
    return undefined;
  } finally {
    if (lent !== undefined) memory.giveBack(lent);
    bytes.close();
  }
}

/** What base64 of that length stands for, at most. */
function dataBytes(textBytes: number): number {
  return Math.ceil((textBytes * 3) / 4);
}

/** Of the message that begins so. */
function messageBytes(prelude: Buffer): number {
  if (crc32(prelude.subarray(0, PRELUDE_BYTES - CHECKSUM_BYTES)) !== prelude.readUInt32BE(8)) throw damaged('prelude');
  const total = prelude.readUInt32BE(0);
  if (total < PRELUDE_BYTES + CHECKSUM_BYTES + prelude.readUInt32BE(4) || total > MAX_MESSAGE_BYTES)
    throw damaged('length');
  return total;
}

/** Undefined: it holds no records, and never will (`initial-response`, or what is not known yet). */
function readEvent(message: Buffer): ShardEvent | undefined {
  const end = message.length - CHECKSUM_BYTES;
  if (crc32(message.subarray(0, end)) !== message.readUInt32BE(end)) throw damaged('checksum');
  const payloadFrom = PRELUDE_BYTES + message.readUInt32BE(4);
  const headers = readHeaders(message.subarray(PRELUDE_BYTES, payloadFrom));
  const payload = message.subarray(payloadFrom, end);
  const type = headers.get(':message-type');
  if (type === 'exception') throw named(headers.get(':exception-type'), textOf(payload));
  if (type === 'error') throw named(headers.get(':error-code'), headers.get(':error-message'));
  if (headers.get(':event-type') !== 'SubscribeToShardEvent') return undefined;
  const split = splitRecords(payload);
  const rest = JSON.parse(Buffer.from(split?.rest ?? payload).toString()) as SubscribeToShardEvent;
  const { ContinuationSequenceNumber, MillisBehindLatest, ChildShards, Records } = rest;
  const records = split?.records ?? ((Records ?? []) as unknown as JsonRecord[]).map(fromJson);
  return { records, ContinuationSequenceNumber, MillisBehindLatest, ChildShards };
}

function readHeaders(bytes: Buffer): Map<string, string> {
  const headers = new Map<string, string>();
  let at = 0;
  while (at < bytes.length) {
    const nameEnd = at + 1 + (bytes[at] as number);
    const name = bytes.toString('latin1', at + 1, nameEnd);
    // All headers of this operation are strings.
    if (bytes[nameEnd] !== STRING_HEADER || nameEnd + 3 > bytes.length) throw damaged('header');
    const valueFrom = nameEnd + 3;
    at = valueFrom + bytes.readUInt16BE(nameEnd + 1);
    headers.set(name, bytes.toString('utf8', valueFrom, at));
  }
  return headers;
}

/** A record as JSON writes it. */
interface JsonRecord {
  readonly Data: string;
  readonly ApproximateArrivalTimestamp?: number;
}

function fromJson({ Data, ApproximateArrivalTimestamp, ...record }: JsonRecord): KinesisRecord {
  return readRecord({
    ...record,
    Data: Buffer.from(Data, 'base64'),
    ApproximateArrivalTimestamp:
      ApproximateArrivalTimestamp === undefined ? undefined : new Date(Math.round(ApproximateArrivalTimestamp * 1000)),
  });
}

function textOf(payload: Buffer): string | undefined {
  try {
    const { message, Message } = JSON.parse(payload.toString()) as { message?: string; Message?: string };
    return message ?? Message;
  } catch {
    return payload.toString();
  }
}

function named(name = 'InternalFailureException', message = ''): Error {
  return Object.assign(new Error(message), { name });
}

function damaged(what: string): OperatingError {
  return new OperatingError('REQUEST_FAILED', `Kinesis pushed an event with a wrong ${what}`, { retryable: true });
}
