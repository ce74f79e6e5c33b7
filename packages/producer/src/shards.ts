// Reads the open shards for the shard map: ListShards with the filter AT_LATEST, page after page (KPL shard_map.cc). One of the
// two files that call AWS. Decides nothing: when to read, and what to do when it fails, is the shard map's affair.
// Invariants: a reading is whole or fails; it ends within requestTimeoutMs a page and a bounded number of pages.
import { type KinesisClient, type Shard as ListedShard, ListShardsCommand } from '@aws-sdk/client-kinesis';
import {
  type Clock,
  DEFAULT_LIST_SHARDS_RESULTS,
  OperatingError,
  parseHashKey,
  type StreamIdentifier,
  streamAddress,
} from '@shardline/common';
import type { Shard } from './shard-map.ts';

export interface ShardListerOptions {
  readonly client: KinesisClient;
  readonly stream: StreamIdentifier;
  readonly clock: Clock;
  readonly requestTimeoutMs: number;
}

/** Far above any stream's shards; only a server that never ends its pages meets it. */
const MAX_PAGES = 1_000;

export class ShardLister {
  readonly #options: ShardListerOptions;
  #reading: AbortController | undefined;

  constructor(options: ShardListerOptions) {
    this.#options = options;
  }

  /** The open shards. Rejects with what the SDK threw, or an OperatingError for an answer that can't be read. */
  async list(): Promise<Shard[]> {
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

  /** Gives up a reading under way. */
  abort(): void {
    this.#reading?.abort();
  }

  async #page(token: string | undefined): Promise<{ Shards?: ListedShard[]; NextToken?: string }> {
    const { client, stream, clock, requestTimeoutMs } = this.#options;
    const first = { ...streamAddress(stream), ShardFilter: { Type: 'AT_LATEST' as const } };
    const input = { ...(token === undefined ? first : { NextToken: token }), MaxResults: DEFAULT_LIST_SHARDS_RESULTS };
    const controller = new AbortController();
    this.#reading = controller;
    const stopTimer = clock.setTimer(() => controller.abort(), requestTimeoutMs);
    try {
      const { Shards, NextToken } = await client.send(new ListShardsCommand(input), { abortSignal: controller.signal });
      return { ...(Shards === undefined ? {} : { Shards }), ...(NextToken === undefined ? {} : { NextToken }) };
    } finally {
      stopTimer();
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
