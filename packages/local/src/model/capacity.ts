// What decides how much a stream takes: its settings, and who may change them by how much and how often. A change is refused
// with AWS's error, or noted in the stream and returned as what the stream is to become; making it is the stream's matter.
import { DEFAULT_MAX_SHARDS_PER_STREAM, MAX_SHARD_COUNT_UPDATES_PER_DAY } from '@shardline/common';
import { KinesisError } from './errors.ts';
import type { Stream, StreamChange } from './stream.ts';
import { peakOfOpenShards, uniformScaling } from './uniform-scaling.ts';

export type StreamMode = 'PROVISIONED' | 'ON_DEMAND';

/** A stream's settings. Plain data, so that it can be kept and restored. */
export interface StreamCapacity {
  readonly mode: StreamMode;
  /** When UpdateShardCount was called, ms since 1970; those of the last 24 hours count. */
  readonly shardCountUpdatesMs: readonly number[];
}

/** What the rules look at beside the stream: the account that it belongs to. */
export interface Account {
  readonly accountId: string;
  /** Whether it matters how often something is changed. */
  readonly limits: boolean;
  readonly shardLimit: number;
  readonly streams: Iterable<Stream>;
}

/** What a new on-demand stream begins with: 4 MB/s and 4,000 records/s (Kinesis quotas, "Data stream throughput"). */
export const ON_DEMAND_SHARDS = 4;

const DAY_MS = 24 * 3_600_000;

export function initialCapacity(mode: StreamMode): StreamCapacity {
  return { mode, shardCountUpdatesMs: [] };
}

/**
 * The even ranges of UpdateShardCount (UNIFORM_SCALING). The stream is ACTIVE.
 * @throws KinesisError ValidationException in on-demand mode, LimitExceededException
 */
export function shardCountChange(stream: Stream, target: number, account: Account, now: number): StreamChange {
  refuseOnDemand(stream, account);
  const current = stream.openShards.length;
  const counts = `Current open shard count: ${current}, Target shard count: ${target}`;
  if (target > DEFAULT_MAX_SHARDS_PER_STREAM || (current > target && target === DEFAULT_MAX_SHARDS_PER_STREAM)) {
    throw new KinesisError(
      'LimitExceededException',
      `Target shard count or number of open shards cannot be greater than ${DEFAULT_MAX_SHARDS_PER_STREAM}. ${counts}`,
    );
  }
  if (target > current * 2) {
    throw new KinesisError(
      'LimitExceededException',
      `UpdateShardCount cannot scale up over double your current open shard count. ${counts}`,
    );
  }
  if (target < current / 2) {
    throw new KinesisError(
      'LimitExceededException',
      `UpdateShardCount cannot scale down below half your current open shard count. ${counts}`,
    );
  }
  const steps = uniformScaling(
    stream.openShards.map(({ id, origin }) => ({ id, range: origin.range })),
    target,
    stream.nextShardNumber,
  );
  refuseOverShardLimit(account, peakOfOpenShards(steps));
  const shardCountUpdatesMs = noted(stream.capacity.shardCountUpdatesMs, now);
  if (account.limits && shardCountUpdatesMs.length > MAX_SHARD_COUNT_UPDATES_PER_DAY) {
    throw new KinesisError(
      'LimitExceededException',
      `UpdateShardCount may be called ${MAX_SHARD_COUNT_UPDATES_PER_DAY} times in 24 hours for stream ${stream.name} under account ${account.accountId}.`,
    );
  }
  stream.capacity = { ...stream.capacity, shardCountUpdatesMs };
  return { kind: 'reshard', steps };
}

/** For what only provisioned streams have. @throws KinesisError ValidationException */
export function refuseOnDemand(stream: Stream, account: Account): void {
  if (stream.capacity.mode !== 'ON_DEMAND') return;
  throw new KinesisError(
    'ValidationException',
    `Request is invalid. Stream ${stream.name} under account ${account.accountId} is in On-Demand mode.`,
  );
}

/** @throws KinesisError LimitExceededException */
export function refuseOverShardLimit({ shardLimit, accountId, streams }: Account, additional: number): void {
  let open = 0;
  for (const stream of streams) open += stream.openShards.length;
  if (additional <= 0 || open + additional <= shardLimit) return;
  throw new KinesisError(
    'LimitExceededException',
    `This request would exceed the shard limit for the account ${accountId}. Current shard count for the account: ${open}. Limit: ${shardLimit}. Number of additional shards that would have resulted from this request: ${additional}.`,
  );
}

/** The times of the last 24 hours and this one. */
function noted(timesMs: readonly number[], now: number): readonly number[] {
  return [...timesMs.filter((atMs) => atMs > now - DAY_MS), now];
}
