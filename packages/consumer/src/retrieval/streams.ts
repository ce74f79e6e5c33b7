// The streams of an application: one, or several that may change while it runs (KCL SingleStreamTracker, MultiStreamTracker).
// Knows for each what it is called in the lease table, where reading begins, and how its shards are listed and read. Calls
// nothing by itself but StreamShards.
// Invariant: a stream that leases name can be read although the application lists it no longer.
import {
  type Clock,
  describe,
  formatMultiStream,
  invariant,
  isShardlineError,
  type Logger,
  OperatingError,
  parseMultiStream,
  parseStream,
  type Random,
  type StreamIdentifier,
  streamArnOf,
  UsageError,
  whenAborted,
} from '@shardline/common';
import type { ListShards, TrackedStream } from '../coordination/effects.ts';
import type { Lease, Shard } from '../coordination/lease.ts';
import type { InitialPosition } from '../coordination/shard-sync.ts';
import { isStray } from '../coordination/strays.ts';
import type { FormerStreams } from '../former-streams.ts';
import type { Reads } from '../lease-table/belonging.ts';
import { askLeases, findForeign } from './foreign-leases.ts';
import { type IsReplaced, SameStreamSource } from './same-stream.ts';
import { StreamShards, type StreamShardsOptions } from './shards.ts';
import type { ShardSource, ShardToRead } from './source.ts';
import { Sources, type SourcesOptions } from './sources.ts';
import type { StreamConsumer } from './stream-consumer.ts';

/** Where reading of a stream begins that has no checkpoint yet. */
export interface StartOfStream {
  readonly initialPosition: InitialPosition;
  /** With AT_TIMESTAMP. */
  readonly timestamp: Date | undefined;
  /** Its registered consumer; undefined: that is found by its name, or registered. */
  readonly consumerArn: string | undefined;
}

/** A stream as the application lists it: its name, its ARN or `account:name:epoch`. */
export interface ListedStream extends StartOfStream {
  readonly stream: string;
}

export interface StreamsOptions
  extends Pick<StreamShardsOptions, 'client' | 'requestTimeoutMs'>,
    Pick<SourcesOptions, 'maxRecordsPerRead' | 'strayRecords' | 'idleTimeBetweenReadsMs' | 'fanOut'> {
  /** The one stream of the application, or a function that lists its streams. */
  readonly from: (StartOfStream & { readonly stream: StreamIdentifier }) | (() => Promise<readonly ListedStream[]>);
  /** Of one stream. */
  readonly onStreamRecreated: 'stop' | 'begin-anew';
  /** Of the streams that are read no longer, those whose leases may be deleted. */
  readonly former: () => Promise<FormerStreams>;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: Random;
}

interface Known extends StartOfStream {
  readonly stream: StreamIdentifier;
  readonly shards: StreamShards;
  /** Undefined: polling. */
  readonly consumer: StreamConsumer | undefined;
}

const LIST_TIMEOUT_MS = 60_000;

/** Where a stream begins that leases name and nobody lists (the KCL's default for orphaned streams). */
const ORPHAN: StartOfStream = { initialPosition: 'LATEST', timestamp: undefined, consumerArn: undefined };

export class Streams {
  readonly #options: StreamsOptions;
  readonly #sources: Sources;
  readonly #known = new Map<string | undefined, Known>();
  #tracked: readonly TrackedStream[] = [];
  /** By what the application calls them. */
  readonly #identified = new Map<string, string>();
  /** Of those listed as `account:name:epoch`, which may be gone: looked for at each `refresh` until they are there. */
  readonly #doubted = new Set<string>();
  #former: FormerStreams = 'none';
  #leftOut: ReadonlyMap<string, unknown> = new Map();
  /** The one stream of the application, as it was at the start. */
  #recognized: Awaited<ReturnType<StreamShards['identify']>> | undefined;
  #listing: Promise<Shard[]> | undefined;
  /** While a function of the application's is asked. */
  #asking: AbortController | undefined;
  /** Of the client; undefined before the first `refresh`. */
  #region: string | undefined;

  constructor(options: StreamsOptions) {
    this.#options = options;
    this.#sources = new Sources(options);
    if (typeof options.from === 'function') return;
    this.#learn(undefined, options.from.stream, options.from);
    this.#tracked = [{ streamId: undefined, initialPosition: options.from.initialPosition }];
  }

  /** What is read now; of several streams nothing before the first `refresh`. */
  get tracked(): readonly TrackedStream[] {
    return this.#tracked;
  }

  /** Of those that are read no longer, whose leases may be deleted. */
  get former(): FormerStreams {
    return this.#former;
  }

  /** Of several streams those that are listed and could not be found at the last `refresh`, by what the application calls them, and why. */
  get leftOut(): ReadonlyMap<string, unknown> {
    return this.#leftOut;
  }

  /** As the rows of this worker say it. */
  get reads(): Reads {
    const { from } = this.#options;
    if (typeof from === 'function') return { kind: 'several' };
    return { kind: 'one', stream: this.#recognized?.streamArn ?? from.stream.streamArn ?? from.stream.streamName };
  }

  get mayChange(): boolean {
    return typeof this.#options.from === 'function';
  }

  /**
   * Asks what is to be read. Of several streams those that can't be found are left out: `leftOut`.
   * @throws OperatingError STREAM_NOT_FOUND, ACCESS_DENIED and others when there is nothing to read; STREAMS_UNLISTED when the list throws, or is empty
   */
  async refresh(): Promise<void> {
    const { from, client } = this.#options;
    this.#region ??= await client.config.region();
    if (typeof from !== 'function') {
      this.#checkRegion(from.stream, 'stream');
      const { shards, consumer } = this.#of(undefined);
      await this.#check(shards);
      await this.#recognize(shards);
      await this.#sources.prepare(consumer);
      return;
    }
    const listed = await this.#answerOf('streams', from);
    // Most likely a fault of whoever lists: no lease goes because of it, and no stream is left.
    if (listed.length === 0)
      throw new OperatingError('STREAMS_UNLISTED', 'the function given as streams listed no stream', {
        retryable: false,
      });
    const former = await this.#answerOf('formerStreams', this.#options.former);
    const found = await Promise.allSettled(listed.map((each) => this.#track(each)));
    const tracked = found.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    const failures = found.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as unknown] : []));
    if (tracked.length === 0 && failures.length > 0) throw failures[0];
    this.#leftOut = new Map(
      found.flatMap((outcome, index) =>
        outcome.status === 'rejected' ? [[listed[index]?.stream ?? '', outcome.reason as unknown] as const] : [],
      ),
    );
    this.#tracked = [...new Map(tracked.map((each) => [each.streamId, each])).values()];
    // A stream that could not be asked for is listed all the same: whose leases look like a former stream's may be its own.
    this.#former = failures.every(isStreamNotFound) ? former : 'none';
  }

  async list({ streamId, filter }: ListShards): Promise<Shard[]> {
    try {
      return await this.#of(streamId).shards.list(filter);
    } catch (error) {
      // It may come back under the same name, as another stream.
      if (isStreamNotFound(error)) this.forget(streamId);
      throw error;
    }
  }

  /** Looks for the one stream of the application. @throws OperatingError STREAM_NOT_FOUND when it is gone, and others */
  async find(): Promise<void> {
    await this.#of(undefined).shards.checkListing();
  }

  /** Whether the one stream of the application is another one than when this process began to read it. */
  async isAnother({ streamId }: ListShards): Promise<boolean> {
    if (streamId !== undefined || this.#recognized === undefined) return false;
    const { creationEpochSeconds } = (await this.#of(undefined).shards.identify()).identifier;
    return creationEpochSeconds !== this.#recognized.identifier.creationEpochSeconds;
  }

  /** Its leases begin anew: from now on it is this one that another is told from. */
  async beganAnew(): Promise<void> {
    await this.#recognize(this.#of(undefined).shards);
  }

  /** Whether Kinesis reads a shard from a number; undefined: it could not be asked. */
  async takes(streamId: string | undefined, shardId: string, sequenceNumber: bigint): Promise<boolean | undefined> {
    const answer = await this.#of(streamId).shards.knows(shardId, sequenceNumber);
    return answer === undefined || answer === 'noSuchShard' ? undefined : answer === 'taken';
  }

  /** For a look at a shard that a tenure reads. It polls, in either mode. */
  openBeside(shard: ShardToRead): ShardSource {
    return this.#sources.openBeside(this.#of(shard.streamId), shard);
  }

  open(shard: ShardToRead): ShardSource {
    const { streamId } = shard;
    const source = this.#sources.open(this.#of(streamId), shard);
    // Of several streams each is known by its age.
    return streamId === undefined
      ? new SameStreamSource(source, shard, this.#isReplaced, this.#options.onStreamRecreated === 'begin-anew')
      : source;
  }

  /** Shards that ask at once share one listing. */
  readonly #isReplaced: IsReplaced = async ({ shardId, hashKeyRange }, after) => {
    this.#listing ??= this.#of(undefined)
      .shards.list('all')
      .finally(() => {
        this.#listing = undefined;
      });
    const shards = await this.#listing;
    const shard = shards.find((each) => each.shardId === shardId);
    if (shard === undefined) return isStray({ shardId, hashKeyRange, checkpoint: after }, shards);
    return typeof after.sequenceNumber === 'bigint' && after.sequenceNumber < shard.startingSequenceNumber;
  };

  /** Ends the registered consumers of the streams that are listed; of those that have none there is nothing to end. @throws OperatingError */
  async deregister(): Promise<void> {
    const { from, client } = this.#options;
    if (typeof from !== 'function') {
      await this.#of(undefined).consumer?.deregister();
      return;
    }
    this.#region ??= await client.config.region();
    for (const { stream: named, consumerArn } of await from()) {
      const stream = named.split(':').length === 3 ? this.#addressOf(named) : parseStream(named, 'streams');
      const consumer = this.#sources.consumerOf(stream, consumerArn);
      await consumer?.deregister().finally(() => consumer.close());
    }
  }

  close(): void {
    this.#asking?.abort(new OperatingError('CLOSED', 'the consumer was stopped', { retryable: false }));
    for (const { shards, consumer } of this.#known.values()) {
      shards.close();
      consumer?.close();
    }
  }

  /** Of a function of the application's: it may never answer. */
  async #answerOf<T>(option: string, list: () => Promise<T>): Promise<T> {
    const asking = new AbortController();
    this.#asking = asking;
    const tooLate = (): void => {
      const text = `the function given as ${option} has not answered for ${LIST_TIMEOUT_MS / 1_000} s`;
      asking.abort(new OperatingError('TIMEOUT', text, { retryable: true }));
    };
    const cancel = this.#options.clock.setTimer(tooLate, LIST_TIMEOUT_MS);
    try {
      return await Promise.race([list(), whenAborted(asking.signal)]);
    } finally {
      cancel();
      this.#asking = undefined;
    }
  }

  async #track({ stream, ...start }: ListedStream): Promise<TrackedStream> {
    const streamId = this.#identified.get(stream) ?? (await this.#identify(stream, start));
    if (this.#doubted.has(streamId)) await this.#refuseMissing(streamId);
    return { streamId, initialPosition: start.initialPosition };
  }

  async #identify(named: string, start: StartOfStream): Promise<string> {
    const isIdentifier = named.split(':').length === 3;
    const parsed = isIdentifier ? this.#addressOf(named) : parseStream(named, 'streams');
    this.#checkRegion(parsed, 'streams');
    if (isIdentifier) {
      await this.#refuseUnreadable(this.#learn(named, parsed, start));
      this.#identified.set(named, named);
      return named;
    }
    const asking = this.#shardsOf(parsed, start);
    try {
      const { identifier, streamArn } = await asking.identify();
      const streamId = formatMultiStream(identifier);
      // By its ARN from now on, as the KCL does: a name is looked for in the account of whoever asks.
      await this.#refuseUnreadable(this.#learn(streamId, parseStream(streamArn, 'StreamARN'), start));
      this.#identified.set(named, streamId);
      return streamId;
    } finally {
      asking.close();
    }
  }

  /** Of several a stream that is there and doesn't answer is its leases' business. */
  async #refuseUnreadable({ shards, consumer }: Known): Promise<void> {
    const outcomes = await Promise.allSettled([this.#check(shards), this.#sources.prepare(consumer)]);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected' && isDenied(outcome.reason)) throw outcome.reason;
    }
    const [checked] = outcomes;
    if (checked.status === 'rejected' && isStreamNotFound(checked.reason)) throw checked.reason;
  }

  /** A stream that doesn't answer is not one that is gone. */
  async #refuseMissing(streamId: string): Promise<void> {
    try {
      await this.#of(streamId).shards.checkListing();
      this.#doubted.delete(streamId);
    } catch (error) {
      if (isStreamNotFound(error)) throw error;
    }
  }

  /**
   * Of the one stream's leases that have a number one that was written for another stream, if Kinesis takes none of them. Where
   * shards are only pushed, nobody may ask; a failure proves nothing.
   */
  async findForeign(leases: readonly Lease[]): Promise<Lease | undefined> {
    if (this.mayChange || !this.#polls) return undefined;
    const { shards } = this.#of(undefined);
    const { random } = this.#options;
    // Workers that start together don't all ask about the same shard: its iterators are limited for all of them.
    const inAnyOrder = leases.map((lease) => ({ lease, rank: random.next() })).sort((a, b) => a.rank - b.rank);
    try {
      const asked = await askLeases(
        inAnyOrder.map(({ lease }) => lease),
        ({ shardId, checkpoint: { sequenceNumber } }) =>
          typeof sequenceNumber === 'bigint' ? shards.knows(shardId, sequenceNumber) : Promise.resolve(undefined),
      );
      return asked === undefined || asked.length === 0 ? undefined : findForeign(asked, await shards.list('all'));
    } catch (error) {
      this.#options.logger.info({ err: error }, 'whether the leases are of this stream could not be told at the start');
      return undefined;
    }
  }

  get #polls(): boolean {
    const { fanOut } = this.#options;
    return fanOut === undefined || fanOut.fallbackToPolling;
  }

  /** By a read only where shards are polled: who is pushed to may not be allowed to. */
  async #check(shards: StreamShards): Promise<void> {
    await (this.#polls ? shards.check(this.#options.random.next()) : shards.checkListing());
  }

  /** Which stream of its name it is; who may not ask works without. */
  async #recognize(shards: StreamShards): Promise<void> {
    try {
      this.#recognized = await shards.identify();
    } catch (error) {
      if (!isDenied(error)) return;
      const text =
        'the stream may not be asked for its age: one that is made again under its name is told by its records alone';
      this.#options.logger.warn({ err: error }, text);
    }
  }

  /** The ARN of `account:name:epoch`, in the client's region (KCL Scheduler, StreamARNConstructor). */
  #addressOf(streamId: string): StreamIdentifier {
    const { accountId, streamName } = parseMultiStream(streamId, 'streams');
    invariant(this.#region !== undefined, 'streams are addressed after the first refresh');
    return parseStream(streamArnOf({ accountId, streamName, region: this.#region }), 'streams');
  }

  #checkRegion({ streamArn, region }: StreamIdentifier, field: string): void {
    if (region === undefined || region === this.#region) return;
    throw new UsageError(field, `an ARN of the Kinesis client's region, ${this.#region}`, describe(streamArn));
  }

  /** What the application calls so may be gone, or another stream by now: it is asked for anew at the next `refresh`. */
  forget(streamId: string | undefined): void {
    for (const [named, id] of this.#identified) {
      if (id !== streamId) continue;
      if (named === id) this.#doubted.add(id);
      else this.#identified.delete(named);
    }
  }

  #of(streamId: string | undefined): Known {
    const known = this.#known.get(streamId);
    if (known !== undefined) return known;
    if (streamId === undefined) {
      const text = 'a lease of an application that reads one stream, in one that reads several';
      throw new OperatingError('LEASE_TABLE_FORMAT', text, { retryable: false });
    }
    return this.#learn(streamId, this.#addressOf(streamId), ORPHAN);
  }

  #learn(streamId: string | undefined, stream: StreamIdentifier, start: StartOfStream): Known {
    const { initialPosition, timestamp, consumerArn } = start;
    const consumer = this.#sources.consumerOf(stream, consumerArn);
    const known = { stream, initialPosition, timestamp, consumerArn, consumer, shards: this.#shardsOf(stream, start) };
    const former = this.#known.get(streamId);
    former?.shards.close();
    former?.consumer?.close();
    this.#known.set(streamId, known);
    return known;
  }

  #shardsOf(stream: StreamIdentifier, { initialPosition, timestamp }: StartOfStream): StreamShards {
    const { client, clock, requestTimeoutMs } = this.#options;
    return new StreamShards({ client, clock, requestTimeoutMs, stream, initialPosition, timestamp });
  }
}

function isDenied(error: unknown): boolean {
  return isShardlineError(error) && error.code === 'ACCESS_DENIED';
}

function isStreamNotFound(error: unknown): boolean {
  return isShardlineError(error) && error.code === 'STREAM_NOT_FOUND';
}
