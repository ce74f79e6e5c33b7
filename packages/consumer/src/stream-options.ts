// Which streams an application reads, and where it begins on them: part of `options.ts`. A list is read when it is given; one that a
// function gives, each time it was asked.
import {
  checkNames,
  describe,
  isShardlineError,
  OperatingError,
  parseMultiStream,
  parseStream,
  UsageError,
} from '@shardline/common';
import type { ConsumerOptions, InitialPosition } from './consumer-options.ts';
import { checkConsumerArn } from './fan-out-options.ts';
import type { ListedStream, StartOfStream, StreamsOptions } from './retrieval/streams.ts';
import { thrownText } from './runtime/handler-threw.ts';

type PositionOfStream = Omit<StartOfStream, 'consumerArn'>;

/** @throws UsageError naming the option, what it must be and what it is. */
export function readStreams({
  stream,
  streams,
  initialPosition,
  consumerArn,
}: ConsumerOptions): StreamsOptions['from'] {
  const position = readPosition(initialPosition);
  if (streams === undefined) return { stream: parseStream(stream as string), ...position, consumerArn };
  if (stream !== undefined) throw new UsageError('streams', 'either stream or streams', 'both');
  const read = (listed: unknown): ListedStream[] => readListed(listed, position);
  if (typeof streams === 'function') return async () => read(await listedBy('streams', streams));
  const listed = read(streams);
  if (listed.length === 0) throw new UsageError('streams', 'at least one stream', 'none');
  const names = new Set<string>();
  for (const [index, { stream: name }] of listed.entries()) {
    if (names.has(name)) throw new UsageError(`streams[${index}]`, 'each stream once', describe(name));
    names.add(name);
  }
  return async () => listed;
}

/** What a function of the application's lists. @throws OperatingError STREAMS_UNLISTED, its cause what the function threw. */
export async function listedBy(option: 'streams' | 'formerStreams', list: () => unknown): Promise<unknown> {
  try {
    return await list();
  } catch (cause) {
    const text = `the function given as ${option} threw ${thrownText(cause)}`;
    throw new OperatingError('STREAMS_UNLISTED', text, {
      retryable: isShardlineError(cause) && cause.retryable,
      cause,
    });
  }
}

function readListed(listed: unknown, otherwise: PositionOfStream): ListedStream[] {
  if (!Array.isArray(listed))
    throw new UsageError('streams', 'an array, or a function that gives one', describe(listed));
  return listed.map((each: unknown, index): ListedStream => {
    const { stream, initialPosition, consumerArn }: Listed =
      typeof each === 'string' ? { stream: each } : ((each ?? {}) as Listed);
    const field = `streams[${index}]`;
    if (typeof each === 'object' && each !== null) checkNames(each, listedNames, { owner: field });
    if (typeof stream !== 'string')
      throw new UsageError(field, 'a stream, or { stream, initialPosition, consumerArn }', describe(each));
    const identifier = stream.split(':').length === 3 ? parseMultiStream(stream, field) : parseStream(stream, field);
    if (consumerArn !== undefined) checkConsumerArn(`${field}.consumerArn`, consumerArn, identifier);
    return {
      stream,
      ...(initialPosition === undefined ? otherwise : readPosition(initialPosition, `${field}.initialPosition`)),
      consumerArn,
    };
  });
}

const listedNames = ['stream', 'initialPosition', 'consumerArn'];

interface Listed {
  readonly stream?: unknown;
  readonly consumerArn?: unknown;
  readonly initialPosition?: InitialPosition;
}

function readPosition(position: InitialPosition = 'TRIM_HORIZON', field = 'initialPosition'): PositionOfStream {
  if (position === 'TRIM_HORIZON' || position === 'LATEST') return { initialPosition: position, timestamp: undefined };
  const timestamp = typeof position === 'object' && position !== null ? position.timestamp : undefined;
  if (timestamp instanceof Date && !Number.isNaN(timestamp.getTime())) {
    return { initialPosition: 'AT_TIMESTAMP', timestamp };
  }
  throw new UsageError(field, "'TRIM_HORIZON', 'LATEST' or { timestamp: Date }", describe(position));
}
