// The way past the SDK's parser for answers that hold records: a middleware takes the body before the SDK does, so that it has
// only the rest to read, or nothing. What is no plain JSON of status 200 stays the SDK's as it is: refusals and the rest. A client that
// takes the short way asks in CBOR, as long as that is answered. It works on any client that the user hands in; calls nothing by itself.

import { buffer } from 'node:stream/consumers';
import type { GetRecordsCommand, GetRecordsCommandOutput, SubscribeToShardCommand } from '@aws-sdk/client-kinesis';
import { READ_ANSWER, READ_CBOR, type ReadAnswer, type ReadCbor } from '@shardline/common';
import type { KinesisRecords } from './backlog.ts';
import { readCborAnswer } from './records-cbor.ts';
import { splitRecords } from './records-json.ts';
import { type Bytes, bytesOf } from './stream-bytes.ts';

/** What the SDK's transport gives. */
interface RawResponse {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  body: unknown;
}

/** All commands' stacks are alike in what is used here. */
type MiddlewareStack = GetRecordsCommand['middlewareStack'];
type Body = AsyncIterable<Uint8Array>;

/** @returns the records once the call was answered, and then no more; undefined: the SDK's own output has them. */
export function readRecordsApart(command: GetRecordsCommand): () => KinesisRecords | undefined {
  let records: KinesisRecords | undefined;
  const readAnswer: ReadAnswer = (bytes) => {
    const split = splitRecords(bytes);
    records = split?.records;
    if (split === undefined) return undefined;
    // Null at the shard's end, which the SDK leaves out.
    const { NextShardIterator, ...rest } = JSON.parse(Buffer.from(split.rest).toString()) as GetRecordsCommandOutput;
    return NextShardIterator ? { ...rest, NextShardIterator } : rest;
  };
  const readCbor: ReadCbor = (bytes) => {
    const answer = readCborAnswer(bytes);
    records = answer.records;
    return answer.rest;
  };
  Object.assign(command, { [READ_ANSWER]: readAnswer, [READ_CBOR]: readCbor });
  onBody(command.middlewareStack, async (response) => {
    if (!isOf(response, 'application/x-amz-json-1.1')) return;
    const bytes = response.body instanceof Uint8Array ? response.body : await buffer(response.body as Body);
    const split = splitRecords(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
    records = split?.records;
    response.body = split?.rest ?? bytes;
  });
  return () => {
    const taken = records;
    records = undefined;
    return taken;
  };
}

/** @returns the event stream's bytes once the call was answered; the SDK's own output then has no event. */
export function takeEventStream(command: SubscribeToShardCommand): () => Bytes | undefined {
  let bytes: Bytes | undefined;
  onBody(command.middlewareStack as unknown as MiddlewareStack, async (response) => {
    if (!isOf(response, 'application/vnd.amazon.eventstream')) return;
    bytes = bytesOf(response.body as Body);
    response.body = noBytes();
  });
  return () => bytes;
}

/** Between the transport and the SDK's deserializer. */
function onBody(middlewareStack: MiddlewareStack, take: (response: RawResponse) => Promise<void>): void {
  middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args);
      await take(result.response as RawResponse);
      return result;
    },
    { step: 'deserialize', priority: 'low', name: 'shardlineRawAnswer' },
  );
}

function isOf({ statusCode, headers, body }: RawResponse, contentType: string): boolean {
  const given = Object.entries(headers).find(([name]) => name.toLowerCase() === 'content-type')?.[1];
  const isIterable = typeof body === 'object' && body !== null && Symbol.asyncIterator in body;
  return statusCode === 200 && given?.startsWith(contentType) === true && (isIterable || body instanceof Uint8Array);
}

async function* noBytes(): AsyncGenerator<Uint8Array> {}
