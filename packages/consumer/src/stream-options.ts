// Which streams an application reads, and where it begins on them: part of `options.ts`. A list is read when it is given; one that a
// function gives, each time it was asked.
import {
  type Clock,
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

/**
 * What a worker's clock, or the one that a timestamp was taken from, may be ahead by. AWS takes no call that is signed by a clock further
 * off, so what is more is no difference of clocks: Kinesis would refuse to read until that time has come.
 */
const MAX_AHEAD_MS = 5 * 60_000;

/** @param clock says which times are still to come. @throws UsageError naming the option, what it must be and what it is. */
export function readStreams(
  { stream, streams, initialPosition, consumerArn }: ConsumerOptions,
  clock: Pick<Clock, 'wallNow'>,
): StreamsOptions['from'] {
  const position = readPosition(initialPosition, 'initialPosition', clock);
  if (streams === undefined) return { stream: parseStream(stream as string), ...position, consumerArn };
  if (stream !== undefined) throw new UsageError('streams', 'either stream or streams', 'both');
  const read = (listed: unknown): ListedStream[] => readListed(listed, position, clock);
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

function readListed(listed: unknown, otherwise: PositionOfStream, clock: Pick<Clock, 'wallNow'>): ListedStream[] {
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
      ...(initialPosition === undefined ? otherwise : readPosition(initialPosition, `${field}.initialPosition`, clock)),
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

function readPosition(
  position: InitialPosition = 'TRIM_HORIZON',
  field: string,
  clock: Pick<Clock, 'wallNow'>,
): PositionOfStream {
  if (position === 'TRIM_HORIZON' || position === 'LATEST') return { initialPosition: position, timestamp: undefined };
  if (typeof position !== 'object' || position === null || !('timestamp' in position))
    throw new UsageError(field, "'TRIM_HORIZON', 'LATEST' or { timestamp: Date }", describe(position));
  checkNames(position, ['timestamp'], { owner: field });
  const timestamp: unknown = position.timestamp;
  const place = `${field}.timestamp`;
  if (!(timestamp instanceof Date)) throw new UsageError(place, 'a Date', describe(timestamp));
  if (Number.isNaN(timestamp.getTime())) throw new UsageError(place, 'a valid Date', 'an invalid one');
  const aheadMs = timestamp.getTime() - clock.wallNow();
  if (aheadMs > MAX_AHEAD_MS) {
    const why = 'a time that has come: Kinesis does not read from one in the future, and LATEST begins now';
    throw new UsageError(place, why, `${timestamp.toISOString()}, ${Math.round(aheadMs / 60_000)} minutes ahead`);
  }
  return { initialPosition: 'AT_TIMESTAMP', timestamp };
}
