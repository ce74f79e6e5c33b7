// The streams of the application while it runs: those of several are asked for again and again, for they may change; one that may be
// gone is looked for at once, and until it is there. Tells the core what is read, and operators what is missing. It judges no lease.
// Invariant: one look at a time, none after `stop`; what can't be asked stays as it was.
import type { Clock, Logger } from '@shardline/common';
import type { Event } from '../coordination/effects.ts';
import type { Notice } from '../coordination/notice.ts';
import type { Results } from '../coordination/results.ts';
import { describeReads } from '../lease-table/belonging.ts';
import type { Streams } from '../retrieval/streams.ts';
import type { Failures } from './failures.ts';

export interface StreamWatchOptions {
  readonly streams: Pick<
    Streams,
    'tracked' | 'leftOut' | 'former' | 'mayChange' | 'reads' | 'refresh' | 'find' | 'forget' | 'beganAnew'
  >;
  /** How often the streams are asked for anew. */
  readonly streamsIntervalMs: number;
  /** What fails and is tried again. */
  readonly failures: Failures;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A stream that is gone is looked for so often; sooner once after each look when something of it was read, which may be what was held. */
const LOOK_AGAIN_MS = 10_000;
const LOOK_SOON_MS = 1_000;
const SHARD_GONE =
  'the shard is not there any more: its stream was deleted, or the shard with all its records has expired. As in the KCL this is its ' +
  "end, though no reshard made it: the handler's shardEnded comes next, and the lease goes to SHARD_END";

export class StreamWatch {
  readonly #options: StreamWatchOptions;
  readonly #post: (event: Event) => void;
  #cancel: () => void = () => undefined;
  #looking = false;
  /** The one stream was looked for and not found: what it was told as. */
  #missing: string | undefined;
  #looksSoon = false;
  #stopped = false;
  /** Of several streams those that are listed, and whose name is another stream's by now. */
  readonly #replaced = new Set<string>();
  #toldLeftOut: readonly string[] = [];

  /** @param post to the core. */
  constructor(options: StreamWatchOptions, post: (event: Event) => void) {
    this.#options = options;
    this.#post = post;
  }

  start(): void {
    this.#postStreams();
    this.#tellLeftOut();
    if (this.#options.streams.mayChange) this.#plan(this.#options.streamsIntervalMs);
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  /** A shard was read: one that ends without children may be that of a stream that is gone. */
  fetched(leaseKey: string, { atShardEnd, childShards }: Results['fetchBatch']): void {
    if (!atShardEnd && this.#missing !== undefined && !this.#looking && !this.#looksSoon) {
      this.#looksSoon = true;
      this.#plan(LOOK_SOON_MS);
    }
    if (!atShardEnd || childShards.length > 0) return;
    const { streams, logger } = this.#options;
    logger.warn({ leaseKey }, SHARD_GONE);
    if (streams.mayChange) {
      const gone = streams.tracked.find(
        ({ streamId }) => streamId !== undefined && leaseKey.startsWith(`${streamId}:`),
      );
      if (gone === undefined) return;
      streams.forget(gone.streamId);
    }
    // At once, not at the next look at the list.
    if (!this.#looking && this.#missing === undefined) this.#plan(0);
  }

  /** The one stream was listed, by whoever asked: it is there. */
  listed(): void {
    if (this.#missing === undefined) return;
    this.#cancel();
    this.#found();
  }

  replaced({ streamId }: Extract<Notice, { kind: 'streamReplaced' }>): void {
    if (streamId === undefined) return;
    this.#options.streams.forget(streamId);
    this.#replaced.add(streamId);
  }

  #postStreams(): void {
    const { tracked: streams, former } = this.#options.streams;
    this.#post({ kind: 'streams', streams, former });
  }

  #plan(inMs: number): void {
    const look = this.#options.streams.mayChange ? this.#refresh : this.#find;
    const begin = async (): Promise<void> => {
      this.#looking = true;
      const againInMs = await look();
      this.#looking = false;
      if (againInMs !== undefined && !this.#stopped) this.#plan(againInMs);
    };
    this.#cancel();
    this.#cancel = this.#options.clock.setTimer(() => void begin(), inMs, false);
  }

  /** Of several. @returns when to look again. */
  readonly #refresh = async (): Promise<number> => {
    const { streams, streamsIntervalMs, failures } = this.#options;
    try {
      await streams.refresh();
      failures.worked('refreshStreams', undefined);
      this.#postStreams();
      this.#forgetReplaced();
      this.#tellLeftOut();
    } catch (error) {
      // The list stays as it was.
      if (!this.#stopped) failures.failed('refreshStreams', undefined, error, streamsIntervalMs);
    }
    return streamsIntervalMs;
  };

  /** The one stream. @returns when to look again; undefined: it is there. */
  readonly #find = async (): Promise<number | undefined> => {
    const { streams, failures } = this.#options;
    const stream = describeReads(streams.reads);
    try {
      await streams.find();
      this.#found();
      return undefined;
    } catch (error) {
      if (!this.#stopped) failures.failed('findStream', stream, error, LOOK_AGAIN_MS);
      this.#missing = stream;
      this.#looksSoon = false;
      return LOOK_AGAIN_MS;
    }
  };

  #found(): void {
    if (this.#missing !== undefined) this.#options.failures.worked('findStream', this.#missing);
    this.#missing = undefined;
    this.#looksSoon = false;
  }

  /** Those of several streams that are listed and are not there: told until they are, or are listed no longer. */
  #tellLeftOut(): void {
    const { streams, streamsIntervalMs, failures } = this.#options;
    for (const name of this.#toldLeftOut) if (!streams.leftOut.has(name)) failures.worked('findStream', name);
    for (const [name, error] of streams.leftOut) failures.failed('findStream', name, error, streamsIntervalMs);
    this.#toldLeftOut = [...streams.leftOut.keys()];
  }

  /** Of several streams, one that was made again is read as another one from the next look at the list on: that is its end. */
  #forgetReplaced(): void {
    const { streams, failures } = this.#options;
    if (this.#replaced.size === 0) return;
    const tracked = new Set(streams.tracked.map(({ streamId }) => streamId));
    for (const streamId of this.#replaced) if (!tracked.has(streamId)) this.#replaced.delete(streamId);
    if (this.#replaced.size === 0) failures.worked('readStream', undefined);
  }
}
