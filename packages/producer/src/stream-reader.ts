// Reads what the pipeline must know of the stream. For the shard map the open shards: ListShards with the filter AT_LATEST, page
// after page (KPL shard_map.cc). For the strategy what DescribeStreamSummary says. One of the two files that call AWS. Decides
// nothing: when to read, and what to do when it fails, is the affair of the shard map and of the strategy.
// Invariants: a reading is whole or fails; it ends within requestTimeoutMs a page and a bounded number of pages.
import {
  DescribeStreamSummaryCommand,
  type KinesisClient,
  type Shard as ListedShard,
  ListShardsCommand,
} from '@aws-sdk/client-kinesis';
import {
  type Clock,
  DEFAULT_LIST_SHARDS_RESULTS,
  OperatingError,
  parseHashKey,
  type StreamIdentifier,
  setPatientTimer,
  streamAddress,
  whenAborted,
} from '@shardline/common';
import type { Shard } from './shard-map.ts';
import type { StreamSummary } from './stream-strategy.ts';

export interface StreamReaderOptions {
  readonly client: KinesisClient;
  readonly stream: StreamIdentifier;
  readonly clock: Clock;
  readonly requestTimeoutMs: number;
}

/** Far above any stream's shards; only a server that never ends its pages meets it. */
const MAX_PAGES = 1_000;

export class StreamReader {
  readonly #options: StreamReaderOptions;
  readonly #readings = new Set<AbortController>();

  constructor(options: StreamReaderOptions) {
    this.#options = options;
  }

  /** The open shards. Rejects with what the SDK threw, or an OperatingError for an answer that can't be read. */
  async listShards(): Promise<Shard[]> {
    const shards: Shard[] = [];
    let token: string | undefined;
    for (let page = 0; page < MAX_PAGES; page++) {
      const { Shards: listed = [], NextToken } = await this.#page(token);
      for (const shard of listed) shards.push(readShard(shard));
      if (NextToken === undefined || NextToken === '') return shards;
      token = NextToken;
    }
    throw new OperatingError('REQUEST_FAILED', `ListShards did not end after ${MAX_PAGES} pages`, { retryable: true });
  }

  /** Rejects with what the SDK threw. */
  async describe(): Promise<StreamSummary & { readonly streamArn: string | undefined }> {
    const { client, stream } = this.#options;
    const { StreamDescriptionSummary: summary } = await this.#bounded((abortSignal) =>
      client.send(new DescribeStreamSummaryCommand(streamAddress(stream)), { abortSignal }),
    );
    return {
      strategy: summary?.RecordDistributionStrategy,
      isUpdating: summary?.StreamStatus === 'UPDATING',
      streamArn: summary?.StreamARN,
      openShardCount: summary?.OpenShardCount,
    };
  }

  /** Gives up readings under way. */
  abort(): void {
    for (const reading of this.#readings) reading.abort();
  }

  async #page(token: string | undefined): Promise<{ Shards?: ListedShard[]; NextToken?: string }> {
    const { client, stream } = this.#options;
    const first = { ...streamAddress(stream), ShardFilter: { Type: 'AT_LATEST' as const } };
    const input = { ...(token === undefined ? first : { NextToken: token }), MaxResults: DEFAULT_LIST_SHARDS_RESULTS };
    const { Shards, NextToken } = await this.#bounded((abortSignal) =>
      client.send(new ListShardsCommand(input), { abortSignal }),
    );
    return { ...(Shards === undefined ? {} : { Shards }), ...(NextToken === undefined ? {} : { NextToken }) };
  }

  async #bounded<T>(call: (abortSignal: AbortSignal) => Promise<T>): Promise<T> {
    const { clock, requestTimeoutMs } = this.#options;
    const controller = new AbortController();
    this.#readings.add(controller);
    const stopTimer = setPatientTimer(clock, () => controller.abort(), requestTimeoutMs);
    try {
      // While the SDK waits for credentials it does not look at the signal.
      return await Promise.race([call(controller.signal), whenAborted(controller.signal)]);
    } finally {
      stopTimer();
      this.#readings.delete(controller);
    }
  }
}

function readShard({ ShardId, HashKeyRange }: ListedShard): Shard {
  if (ShardId === undefined || HashKeyRange === undefined) {
    throw new OperatingError('REQUEST_FAILED', 'ListShards answered a shard without id or range', { retryable: true });
  }
  return {
    shardId: ShardId,
    range: {
      start: parseHashKey(HashKeyRange.StartingHashKey ?? '', 'StartingHashKey'),
      end: parseHashKey(HashKeyRange.EndingHashKey ?? '', 'EndingHashKey'),
    },
  };
}
