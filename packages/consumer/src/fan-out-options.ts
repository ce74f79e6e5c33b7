// How shards are read, and what enhanced fan-out takes: part of `options.ts`.
import type { KinesisClient } from '@aws-sdk/client-kinesis';
import {
  checkFlag,
  checkPort,
  checkWord,
  describe,
  parseStream,
  type StreamIdentifier,
  UsageError,
} from '@shardline/common';
import type { FanOutOptions } from './retrieval/sources.ts';

/** The KCL's RetrievalConfig and FanOutConfig. */
export interface RetrievalOptions {
  /**
   * `polling` (the default): GetRecords, whose 2 MB/s a shard all readers share. `fanout`: enhanced fan-out, which costs extra: a
   * registered consumer of its own, pushed to at 2 MB/s a shard (the KCL's default). May differ between workers of one fleet.
   */
  readonly retrievalMode?: 'polling' | 'fanout';
  /** The registered consumer: found under this name, or registered. Default: the application's name, as in the KCL. */
  readonly consumerName?: string;
  /** Instead, one that is there already: needed for a stream of another account. Of several streams each has its own. */
  readonly consumerArn?: string;
  /** Poll while the registered consumer is not ACTIVE or can't be had, instead of waiting for it. Default false. */
  readonly fallbackToPolling?: boolean;
  /** A subscription that is silent for so long is made anew; Kinesis sends an event every 5 s or so. From 100, default 15000. */
  readonly subscriptionTimeoutMs?: number;
  /** For SubscribeToShard alone, over HTTP/2. Default: one like `kinesisClient`, with a connection a subscription. */
  readonly fanOutClient?: KinesisClient;
}

/** As they were read; the client is made when the consumer runs. */
export interface ReadFanOut extends Omit<FanOutOptions, 'client'> {
  readonly consumerArn: string | undefined;
  readonly client: KinesisClient | undefined;
}

const fanOutNames = [
  'consumerName',
  'consumerArn',
  'fallbackToPolling',
  'subscriptionTimeoutMs',
  'fanOutClient',
] as const;
export const retrievalOptionNames: readonly string[] = ['retrievalMode', ...fanOutNames];

const consumerNamePattern = /^[a-zA-Z0-9_.-]{1,128}$/;
const consumerArnPattern =
  /^arn:aws[a-z-]*:kinesis:[a-z0-9-]+:\d{12}:stream\/[a-zA-Z0-9_.-]{1,128}\/consumer\/[a-zA-Z0-9_.-]+:\d+$/;

/**
 * @param stream the one that is read; undefined: there are several.
 * @returns undefined for polling.
 * @throws UsageError naming the option, what it must be and what it is.
 */
export function readFanOut(
  options: RetrievalOptions,
  {
    application,
    subscriptionTimeoutMs,
    stream,
  }: { application: string; subscriptionTimeoutMs: number; stream: StreamIdentifier | undefined },
): ReadFanOut | undefined {
  if (checkWord('retrievalMode', options.retrievalMode, ['polling', 'fanout']) !== 'fanout') {
    const given = fanOutNames.find((name) => options[name] !== undefined);
    if (given === undefined) return undefined;
    throw new UsageError(given, "retrievalMode: 'fanout' beside it", describe(options.retrievalMode));
  }
  const { consumerName, consumerArn } = options;
  if (consumerArn !== undefined) {
    if (consumerName !== undefined) throw new UsageError('consumerArn', 'either consumerName or consumerArn', 'both');
    if (stream === undefined)
      throw new UsageError('consumerArn', 'the ARN in each of streams: { stream, consumerArn }', 'one for all');
    checkConsumerArn('consumerArn', consumerArn, stream);
  }
  const name = consumerName ?? application;
  if (typeof name !== 'string' || !consumerNamePattern.test(name)) {
    const culprit = consumerName === undefined ? 'application' : 'consumerName';
    throw new UsageError(culprit, "a registered consumer's name (1 to 128 of a-z A-Z 0-9 _ . -)", describe(name));
  }
  return {
    consumerName: name,
    consumerArn,
    fallbackToPolling: checkFlag('fallbackToPolling', options.fallbackToPolling, false),
    subscriptionTimeoutMs,
    client: checkPort('fanOutClient', options.fanOutClient, ['send', 'destroy']),
  };
}

/**
 * @param stream that it has to be one of: another one's records would be handled as its own, and their numbers be its checkpoints.
 * @throws UsageError naming the option.
 */
export function checkConsumerArn(
  field: string,
  given: unknown,
  { streamArn, streamName, accountId }: StreamIdentifier,
): asserts given is string {
  if (typeof given !== 'string' || !consumerArnPattern.test(given)) {
    const expected =
      "a registered consumer's ARN, such as arn:aws:kinesis:REGION:ACCOUNT:stream/NAME/consumer/NAME:CREATED";
    throw new UsageError(field, expected, describe(given));
  }
  const [ofArn = ''] = given.split('/consumer/');
  const its = parseStream(ofArn, field);
  const isIts =
    streamArn === undefined
      ? its.streamName === streamName && (accountId === undefined || its.accountId === accountId)
      : ofArn === streamArn;
  if (isIts) return;
  const stream = streamArn ?? (accountId === undefined ? streamName : `${streamName} in account ${accountId}`);
  throw new UsageError(field, `a registered consumer of the stream beside it, ${stream}`, `one of ${ofArn}`);
}
