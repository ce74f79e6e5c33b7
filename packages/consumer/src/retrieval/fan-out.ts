// Reads one shard by SubscribeToShard: Kinesis pushes events over HTTP/2, and they are taken one at a time, each once there is room
// for it, so that slow handlers hold back the socket, not memory. One of the few files that call AWS. A subscription lasts 5 minutes at most; how
// it ends does not matter if it gave anything, the next one goes on where the last event said. Where to begin and the shard's end follow the KCL
// (FanOutRecordsPublisher, DataRetrievalUtil); back-off is the core's.
// Invariant: `#continuation` is where the last event added to the backlog ends, so that no event is skipped or added twice.
import { type KinesisClient, type StartingPosition, SubscribeToShardCommand } from '@aws-sdk/client-kinesis';
import {
  type Clock,
  delay,
  type ExtendedSequenceNumber,
  type HashKeyRange,
  isShardlineError,
  OperatingError,
  type StreamIdentifier,
  SUBSCRIBE_CALL_INTERVAL_MS,
  SUBSCRIBE_INTERVAL_MS,
} from '@shardline/common';
import { AwsCalls, awsCodeOf } from '../aws-call.ts';
import type { Amount } from '../coordination/room.ts';
import { Beginning, type BeginningOptions, endOf } from './answer.ts';
import { Backlog, type StrayRecords } from './backlog.ts';
import { type ArrivingEvent, readEvents, type ShardEvent, type WaitingEvent } from './event-stream.ts';
import { takeEventStream } from './raw-answer.ts';
import { RetentionEdge } from './retention-edge.ts';
import type { ShardSource, SourceRead } from './source.ts';
import type { Bytes } from './stream-bytes.ts';
import type { StreamConsumer } from './stream-consumer.ts';

export interface FanOutSourceOptions extends BeginningOptions {
  /** For SubscribeToShard alone: HTTP/2, a connection a subscription. */
  readonly client: KinesisClient;
  readonly stream: StreamIdentifier;
  readonly consumer: Pick<StreamConsumer, 'arn' | 'check'>;
  /** The shard's; undefined: strays are not looked for. */
  readonly hashKeyRange: HashKeyRange | undefined;
  /** User records a batch (a single aggregate may pass it). */
  readonly maxRecordsPerBatch: number;
  /** Default `deliver`. */
  readonly strayRecords?: StrayRecords;
  /** From the call to its first answer, ms. */
  readonly requestTimeoutMs: number;
  /** Between two events, or two pieces of a large one, ms; Kinesis sends one every 5 s or so, if it holds no records. After it another subscription is made. */
  readonly silenceTimeoutMs: number;
  readonly clock: Clock;
}

interface Subscription {
  readonly events: AsyncIterator<ShardEvent | WaitingEvent | ArrivingEvent>;
  readonly bytes: Bytes;
  /** Of a whole event at least it has been seen that it came. */
  hasGiven: boolean;
  /** Closes its connection. */
  readonly end: () => void;
}

const ACTION = 'kinesis:SubscribeToShard';

export class FanOutSource implements ShardSource {
  readonly streamName: string;
  readonly #options: FanOutSourceOptions;
  readonly #subscribing: AwsCalls;
  readonly #receiving: AwsCalls;
  readonly #backlog: Backlog;
  readonly #beginning: Beginning;
  readonly #edge: RetentionEdge;
  #subscription: Subscription | undefined;
  /** Undefined: no event came since reading began. */
  #continuation: string | undefined;
  #subscribedAt = Number.NEGATIVE_INFINITY;
  #calledAt = Number.NEGATIVE_INFINITY;
  #closed = false;
  /** What the next event may hold, and what one holds that waits. */
  #roomBytes = Number.POSITIVE_INFINITY;
  #leastBytes = 0;

  constructor(options: FanOutSourceOptions) {
    this.#options = options;
    const { client, stream, shardId, clock, requestTimeoutMs, silenceTimeoutMs } = options;
    this.streamName = stream.streamName;
    this.#backlog = new Backlog(options);
    this.#beginning = new Beginning(options);
    this.#edge = new RetentionEdge(clock);
    const resource = `shard ${shardId} of stream ${stream.streamArn ?? stream.streamName}`;
    const codes = { notFound: 'STREAM_NOT_FOUND', failed: 'REQUEST_FAILED' } as const;
    this.#subscribing = new AwsCalls({ client, resource, codes, clock, timeoutMs: requestTimeoutMs });
    const receiving = { timeoutMs: silenceTimeoutMs, areOfAnswer: true };
    this.#receiving = new AwsCalls({ client, resource, codes, clock, ...receiving });
  }

  /** Kinesis says when, by its events. */
  dueAt(): number {
    return Number.NEGATIVE_INFINITY;
  }

  get heldBytes(): number {
    return this.#backlog.heldBytes;
  }

  get leastBytes(): number {
    return this.#leastBytes;
  }

  async fetch(after: ExtendedSequenceNumber, signal: AbortSignal, most?: Amount): Promise<SourceRead> {
    const { clock, shardId } = this.#options;
    this.#roomBytes = most?.bytes ?? Number.POSITIVE_INFINITY;
    if (this.#closed) throw new OperatingError('CLOSED', `shard ${shardId}: closed`, { retryable: false });
    if (!this.#backlog.isAt(after)) this.#seek(after);
    // Batches out of a big event must not follow each other without letting timers and sockets have their turn.
    if (!this.#backlog.isSpent) await delay(clock, 0, signal);
    else {
      const received = await this.#receive(after, signal);
      if (received === 'gone') return this.#backlog.readGone();
      if (received === 'nothing') return { ...this.#backlog.read(after), isOld: true };
    }
    return this.#backlog.read(after, most?.recordCount);
  }

  close(): void {
    this.#closed = true;
    this.#unsubscribe();
    this.#subscribing.close();
    this.#receiving.close();
    this.#backlog.drop();
  }

  #seek(after: ExtendedSequenceNumber): void {
    this.#unsubscribe();
    this.#continuation = undefined;
    this.#backlog.seek(after);
    this.#edge.begin();
  }

  /** Adds the next event to the backlog; none if the subscription ended, or if it is too large for now. */
  async #receive(after: ExtendedSequenceNumber, signal: AbortSignal): Promise<'event' | 'nothing' | 'gone'> {
    const consumerArn = await this.#options.consumer.arn();
    try {
      this.#subscription ??= await this.#subscribe(consumerArn, after, signal);
      const subscription = this.#subscription;
      const event = await this.#next(subscription.events, signal);
      this.#leastBytes = 0;
      if (event === undefined) {
        if (!subscription.hasGiven) throw this.#gaveNothing(subscription.bytes.failure);
        this.#unsubscribe();
        return 'nothing';
      }
      subscription.hasGiven = true;
      // It stays in the socket.
      if ('waitingBytes' in event) {
        this.#leastBytes = event.waitingBytes;
        return 'nothing';
      }
      this.#take(event);
      return 'event';
    } catch (error) {
      const was = this.#subscription === undefined ? 'refused' : 'ended';
      this.#unsubscribe();
      return await this.#failed(error, after, consumerArn, was);
    }
  }

  /** As long as more of an event comes it is not silent, however long all of it takes. @returns undefined: the subscription ended. */
  async #next(events: Subscription['events'], signal: AbortSignal): Promise<ShardEvent | WaitingEvent | undefined> {
    for (;;) {
      const next = await this.#receiving.call(ACTION, () => events.next(), signal);
      if (next.done === true) return undefined;
      const { value } = next;
      if (!('arrivedBytes' in value)) return value;
    }
  }

  /** Kinesis has an event every few seconds for whoever is subscribed: one that ends without any is no end of five minutes, and who makes another at once reads nothing for ever. */
  #gaveNothing(cause: Error | undefined): OperatingError {
    const { shardId } = this.#options;
    const message = `shard ${shardId}: the subscription ended before its first event${cause === undefined ? '' : `: ${cause.message}`}`;
    return new OperatingError('REQUEST_FAILED', message, { retryable: true, action: ACTION, cause });
  }

  #take(event: ShardEvent): void {
    const { records, ContinuationSequenceNumber, ChildShards, MillisBehindLatest } = event;
    event.records = [];
    const continuation = ContinuationSequenceNumber || undefined;
    const childShards = endOf(continuation, ChildShards ?? [], this.#options.shardId);
    this.#backlog.add({ records, millisBehindLatest: MillisBehindLatest, childShards });
    this.#continuation = continuation;
    this.#edge.answered(MillisBehindLatest);
    if (childShards !== undefined) this.#unsubscribe();
  }

  async #subscribe(consumerArn: string, after: ExtendedSequenceNumber, signal: AbortSignal): Promise<Subscription> {
    const { client, shardId, clock } = this.#options;
    // Kinesis refuses a second subscription of one consumer to one shard within 5 s of the first, whatever became of that one.
    const dueAt = Math.max(this.#subscribedAt + SUBSCRIBE_INTERVAL_MS, this.#calledAt + SUBSCRIBE_CALL_INTERVAL_MS);
    const pauseMs = dueAt - clock.now();
    if (pauseMs > 0) await delay(clock, pauseMs, signal);
    this.#calledAt = clock.now();
    this.#edge.asks();
    const command = new SubscribeToShardCommand({
      ConsumerARN: consumerArn,
      ShardId: shardId,
      StartingPosition: this.#startingPosition(after),
    });
    const controller = new AbortController();
    const eventStream = takeEventStream(command);
    await this.#subscribing.call(
      ACTION,
      ({ abortSignal }) => client.send(command, { abortSignal: AbortSignal.any([abortSignal, controller.signal]) }),
      signal,
    );
    const bytes = eventStream();
    if (bytes === undefined) {
      const message = `shard ${shardId}: Kinesis gave no event stream`;
      throw new OperatingError('REQUEST_FAILED', message, { retryable: true });
    }
    this.#subscribedAt = clock.now();
    const events = readEvents(bytes, () => this.#roomBytes);
    return { events, bytes, hasGiven: false, end: () => controller.abort() };
  }

  #startingPosition(after: ExtendedSequenceNumber): StartingPosition {
    if (this.#edge.mustCheck(after)) this.#continuation = undefined;
    if (this.#continuation !== undefined) {
      return { Type: 'AFTER_SEQUENCE_NUMBER', SequenceNumber: this.#continuation };
    }
    this.#edge.beginsAt(after, this.#backlog);
    const { type: Type, sequenceNumber, timestamp } = this.#beginning.of(after);
    return {
      Type,
      ...(sequenceNumber !== undefined && { SequenceNumber: sequenceNumber }),
      ...(timestamp !== undefined && { Timestamp: timestamp }),
    };
  }

  #unsubscribe(): void {
    const subscription = this.#subscription;
    this.#subscription = undefined;
    subscription?.end();
    // Whatever it still says is asked of the next one.
    subscription?.events.return?.().catch(() => undefined);
  }

  async #failed(
    error: unknown,
    after: ExtendedSequenceNumber,
    consumerArn: string,
    was: 'refused' | 'ended',
  ): Promise<'gone'> {
    const { shardId, consumer } = this.#options;
    const code = awsCodeOf(error);
    if (code === 'InvalidArgumentException') {
      if (this.#continuation === undefined) throw this.#beginning.refused(error, after);
      // As of a server that was replaced: the next subscription begins at the last record that was given out.
      this.#continuation = undefined;
    }
    if (code === 'ResourceInUseException') {
      // Another worker of the application has just subscribed, or this one has: Kinesis takes the next one 5 s later.
      const message = `shard ${shardId} is subscribed to by another connection of the registered consumer ${consumerArn}`;
      const about = { action: ACTION, resource: consumerArn };
      throw new OperatingError('SHARD_IN_USE', message, { retryable: true, cause: error, ...about });
    }
    if (!isShardlineError(error) || error.code !== 'STREAM_NOT_FOUND') throw error;
    // The shard, or the consumer that somebody deregistered? The KCL takes both for the shard's end. A shard that is being read does not go.
    if ((await consumer.check(consumerArn)) && was === 'refused') return 'gone';
    const message = `the registered consumer of shard ${shardId} is gone: it will be registered again`;
    throw new OperatingError('REQUEST_FAILED', message, { retryable: true, cause: error });
  }
}
