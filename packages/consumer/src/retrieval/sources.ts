// How the shards of an application are read: by polling, by enhanced fan-out, or by polling until a registered consumer can be
// had. Makes the source of each tenure, and keeps the registered consumer of each stream.
// Invariant: sources of both kinds begin where they are told, so one may follow the other within a tenure.
import type { KinesisClient } from '@aws-sdk/client-kinesis';
import type { Clock, ExtendedSequenceNumber, Logger, StreamIdentifier } from '@shardline/common';
import type { Amount, LeastBytes } from '../coordination/room.ts';
import { FanOutSource } from './fan-out.ts';
import { type PollingOptions, PollingSource } from './polling.ts';
import type { ShardSource, ShardToRead, SourceRead } from './source.ts';
import { StreamConsumer } from './stream-consumer.ts';

/** What enhanced fan-out takes; KCL FanOutConfig. */
export interface FanOutOptions {
  /** Of a stream for which no ARN is given. */
  readonly consumerName: string;
  /** While the registered consumer is not ACTIVE, or can't be had. */
  readonly fallbackToPolling: boolean;
  /** The longest silence of a subscription, ms. */
  readonly subscriptionTimeoutMs: number;
  /** For SubscribeToShard alone. */
  readonly client: KinesisClient;
}

export interface SourcesOptions extends PollingOptions {
  /** Undefined: polling. */
  readonly fanOut: FanOutOptions | undefined;
  readonly logger: Logger;
}

/** A stream as it is read. */
export interface StreamToRead {
  readonly stream: StreamIdentifier;
  /** What AT_TIMESTAMP stands for. */
  readonly timestamp: Date | undefined;
  /** Undefined: polling. */
  readonly consumer: StreamConsumer | undefined;
}

/** Between two tries to have a registered consumer while shards are polled. */
const TRY_AGAIN_MS = 30_000;

export class Sources {
  readonly #options: SourcesOptions;

  constructor(options: SourcesOptions) {
    this.#options = options;
  }

  /** The registered consumer of a stream; undefined where shards are polled. */
  consumerOf(stream: StreamIdentifier, consumerArn: string | undefined): StreamConsumer | undefined {
    const { fanOut, client, requestTimeoutMs, clock, logger } = this.#options;
    if (fanOut === undefined) return undefined;
    const { consumerName } = fanOut;
    return new StreamConsumer({ client, stream, consumerName, consumerArn, requestTimeoutMs, clock, logger });
  }

  /**
   * Before the first shard is read. Where polling will do meanwhile, it waits for nothing.
   * @throws as `StreamConsumer.arn`
   */
  async prepare(consumer: StreamConsumer | undefined): Promise<void> {
    if (this.#options.fanOut?.fallbackToPolling === false) await consumer?.arn();
  }

  /** A source beside that of a tenure, which a second subscription would end: by polling. */
  openBeside({ stream, timestamp }: StreamToRead, shard: ShardToRead): ShardSource {
    return new PollingSource(this.#options, { ...shard, stream, timestamp });
  }

  open(
    { stream, timestamp, consumer }: StreamToRead,
    { streamId, shardId, hashKeyRange, latestSince }: ShardToRead,
  ): ShardSource {
    const { clock, logger, fanOut, requestTimeoutMs, maxRecordsPerRead, strayRecords } = this.#options;
    const poll = (since: Date | undefined): ShardSource =>
      new PollingSource(this.#options, { stream, streamId, shardId, hashKeyRange, timestamp, latestSince: since });
    if (fanOut === undefined || consumer === undefined) return poll(latestSince);
    const subscribe = (since: Date | undefined): ShardSource =>
      new FanOutSource({
        client: fanOut.client,
        stream,
        consumer,
        shardId,
        hashKeyRange,
        timestamp,
        latestSince: since,
        maxRecordsPerBatch: maxRecordsPerRead,
        ...(strayRecords && { strayRecords }),
        requestTimeoutMs,
        silenceTimeoutMs: fanOut.subscriptionTimeoutMs,
        clock,
      });
    if (!fanOut.fallbackToPolling) return subscribe(latestSince);
    const since = latestSince ?? new Date(clock.wallNow());
    return new EitherSource({
      streamName: stream.streamName,
      consumer,
      poll: () => poll(since),
      subscribe: () => subscribe(since),
      clock,
      logger: logger.child({ stream: stream.streamName, shard: shardId }),
    });
  }
}

interface EitherOptions {
  readonly streamName: string;
  readonly consumer: StreamConsumer;
  readonly poll: () => ShardSource;
  readonly subscribe: () => ShardSource;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Subscribes while the consumer is ACTIVE, polls while it is not. */
class EitherSource implements ShardSource {
  readonly streamName: string;
  readonly #options: EitherOptions;
  #current: { readonly kind: 'poll' | 'subscribe'; readonly source: ShardSource } | undefined;
  #tryAt = Number.NEGATIVE_INFINITY;

  constructor(options: EitherOptions) {
    this.#options = options;
    this.streamName = options.streamName;
  }

  dueAt(after: ExtendedSequenceNumber): number {
    return this.#source(this.#kind).dueAt(after);
  }

  get heldBytes(): number {
    return this.#current?.source.heldBytes ?? 0;
  }

  get leastBytes(): LeastBytes {
    return this.#current?.source.leastBytes ?? 0;
  }

  fetch(after: ExtendedSequenceNumber, signal: AbortSignal, most?: Amount): Promise<SourceRead> {
    const kind = this.#kind;
    if (kind === 'poll') this.#lookForConsumer();
    return this.#source(kind).fetch(after, signal, most);
  }

  close(): void {
    this.#current?.source.close();
  }

  get #kind(): 'poll' | 'subscribe' {
    return this.#options.consumer.activeArn === undefined ? 'poll' : 'subscribe';
  }

  #source(kind: 'poll' | 'subscribe'): ShardSource {
    if (this.#current?.kind === kind) return this.#current.source;
    this.#current?.source.close();
    const source = this.#options[kind]();
    const text = kind === 'poll' ? 'the shard is polled until it can be subscribed to' : 'the shard is subscribed to';
    this.#options.logger.info({}, text);
    this.#current = { kind, source };
    return source;
  }

  #lookForConsumer(): void {
    const { consumer, clock, logger } = this.#options;
    if (clock.now() < this.#tryAt) return;
    this.#tryAt = clock.now() + TRY_AGAIN_MS;
    consumer.arn().catch((error: unknown) => {
      logger.warn(
        { err: error, retryInMs: TRY_AGAIN_MS },
        'there is no registered consumer to read by: the shard is polled',
      );
    });
  }
}
