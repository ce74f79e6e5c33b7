// What decides how much a stream takes: its settings, and who may change them by how much and how often. A change is refused
// with AWS's error, or noted in the stream and returned as what the stream is to become; making it is the stream's matter.
import {
  DEFAULT_MAX_RECORD_BYTES,
  DEFAULT_MAX_SHARDS_PER_STREAM,
  MAX_SHARD_COUNT_UPDATES_PER_DAY,
  MAX_STREAM_MODE_UPDATES_PER_DAY,
} from '@shardline/common';
import { KinesisError } from './errors.ts';
import type { Reshard, Stream, StreamChange } from './stream.ts';
import { peakOfOpenShards, uniformScaling } from './uniform-scaling.ts';

export type StreamMode = 'PROVISIONED' | 'ON_DEMAND';

/** Who decides where a record goes: the service, or its partition key (UpdateStreamRecordDistributionStrategy). */
export type RecordDistributionStrategy = 'AUTO' | 'USER_PARTITION_KEY';

/** A stream's settings. Plain data, so that it can be kept and restored. */
export interface StreamCapacity {
  readonly mode: StreamMode;
  readonly recordDistributionStrategy: RecordDistributionStrategy;
  /** Data and partition key of one record (MaxRecordSizeInKiB, 1,024 to 10,240). */
  readonly maxRecordBytes: number;
  /** When UpdateShardCount was called, ms since 1970; those of the last 24 hours count. */
  readonly shardCountUpdatesMs: readonly number[];
  /** When UpdateStreamMode changed the mode, likewise. */
  readonly modeUpdatesMs: readonly number[];
}

/** What the rules look at beside the stream: the account that it belongs to. */
export interface Account {
  readonly accountId: string;
  /** Whether it matters how often something is changed. */
  readonly limits: boolean;
  /** Open shards of all provisioned streams together. */
  readonly shardLimit: number;
  readonly onDemandStreamLimit: number;
  readonly streams: Iterable<Stream>;
}

/** How much of its limits an account uses (Kinesis API, DescribeLimits). */
export interface AccountUsage {
  readonly shardLimit: number;
  readonly openShardCount: number;
  readonly onDemandStreamLimit: number;
  readonly onDemandStreamCount: number;
}

const DAY_MS = 24 * 3_600_000;

/** What a new stream may be given. */
export interface CapacityRequest {
  /** Default PROVISIONED. */
  readonly mode?: StreamMode | undefined;
  /** Default USER_PARTITION_KEY; only on-demand streams may have AUTO. */
  readonly recordDistributionStrategy?: RecordDistributionStrategy | undefined;
  /** Default 1 MiB. */
  readonly maxRecordBytes?: number | undefined;
}

/**
 * Of a new stream with so many shards.
 * @throws KinesisError LimitExceededException, InvalidArgumentException
 */
export function initialCapacity(
  streamName: string,
  {
    mode = 'PROVISIONED',
    recordDistributionStrategy = 'USER_PARTITION_KEY',
    maxRecordBytes = DEFAULT_MAX_RECORD_BYTES,
  }: CapacityRequest,
  shardCount: number,
  account: Account,
): StreamCapacity {
  if (mode === 'PROVISIONED') refuseAuto(streamName, recordDistributionStrategy);
  if (mode === 'ON_DEMAND') refuseOverOnDemandLimit(account);
  else refuseOverShardLimit(account, shardCount);
  return { mode, recordDistributionStrategy, maxRecordBytes, shardCountUpdatesMs: [], modeUpdatesMs: [] };
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
  const steps = evenSteps(stream, target);
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

/**
 * UpdateStreamMode. The new mode shows at once, the shards stay, and the stream is UPDATING for a while. Naming the mode that
 * it has is no switch. The stream is ACTIVE.
 * @throws KinesisError LimitExceededException, InvalidArgumentException when it is AUTO and is to be provisioned
 */
export function modeChange(stream: Stream, mode: StreamMode, account: Account, now: number): StreamChange {
  if (mode !== stream.mode) {
    if (mode === 'PROVISIONED') refuseAuto(stream.name, stream.capacity.recordDistributionStrategy);
    if (mode === 'ON_DEMAND') refuseOverOnDemandLimit(account);
    else refuseOverShardLimit(account, stream.openShards.length);
    const modeUpdatesMs = noted(stream.capacity.modeUpdatesMs, now);
    if (account.limits && modeUpdatesMs.length > MAX_STREAM_MODE_UPDATES_PER_DAY) {
      throw new KinesisError(
        'LimitExceededException',
        `Stream ${stream.name} under account ${account.accountId} may switch its mode ${MAX_STREAM_MODE_UPDATES_PER_DAY} times in 24 hours.`,
      );
    }
    stream.capacity = { ...stream.capacity, mode, modeUpdatesMs };
  }
  return { kind: 'reshard', steps: [] };
}

/**
 * UpdateStreamRecordDistributionStrategy: it holds from the next record on.
 * @throws KinesisError InvalidArgumentException in provisioned mode
 */
export function setDistribution(stream: Stream, recordDistributionStrategy: RecordDistributionStrategy): void {
  if (stream.mode === 'PROVISIONED') throw onlyOnDemand(stream.name, recordDistributionStrategy);
  stream.capacity = { ...stream.capacity, recordDistributionStrategy };
}

/** The splits and merges that give the stream so many even shards. */
export function evenSteps(stream: Stream, shardCount: number): readonly Reshard[] {
  const open = stream.openShards.map(({ id, origin }) => ({ id, range: origin.range }));
  return uniformScaling(open, shardCount, stream.nextShardNumber);
}

/** For what only provisioned streams have. @throws KinesisError ValidationException */
export function refuseOnDemand(stream: Stream, account: Account): void {
  if (stream.mode !== 'ON_DEMAND') return;
  throw new KinesisError(
    'ValidationException',
    `Request is invalid. Stream ${stream.name} under account ${account.accountId} is in On-Demand mode.`,
  );
}

/** For what only on-demand streams have. @throws KinesisError InvalidArgumentException */
export function refuseProvisioned(stream: Stream, account: Account): void {
  if (stream.mode === 'ON_DEMAND') return;
  throw new KinesisError(
    'InvalidArgumentException',
    `Request is invalid. Stream ${stream.name} under account ${account.accountId} is in Provisioned mode.`,
  );
}

export function usageOf({ shardLimit, onDemandStreamLimit, streams }: Account): AccountUsage {
  let openShardCount = 0;
  let onDemandStreamCount = 0;
  for (const { mode, openShards } of streams) {
    openShardCount += openShards.length;
    if (mode === 'ON_DEMAND') onDemandStreamCount++;
  }
  return { shardLimit, openShardCount, onDemandStreamLimit, onDemandStreamCount };
}

/** On-demand streams may have any number of shards. @throws KinesisError LimitExceededException */
export function refuseOverShardLimit({ shardLimit, accountId, streams }: Account, additional: number): void {
  let open = 0;
  for (const { capacity, openShards } of streams) if (capacity.mode === 'PROVISIONED') open += openShards.length;
  if (additional <= 0 || open + additional <= shardLimit) return;
  throw new KinesisError(
    'LimitExceededException',
    `This request would exceed the shard limit for the account ${accountId}. Current shard count for the account: ${open}. Limit: ${shardLimit}. Number of additional shards that would have resulted from this request: ${additional}.`,
  );
}

function refuseAuto(streamName: string, strategy: RecordDistributionStrategy): void {
  if (strategy === 'AUTO') throw onlyOnDemand(streamName, strategy);
}

function onlyOnDemand(streamName: string, strategy: RecordDistributionStrategy): KinesisError {
  return new KinesisError(
    'InvalidArgumentException',
    `RecordDistributionStrategy=${strategy} is only supported for on-demand streams. Stream ${streamName} is using PROVISIONED mode.`,
  );
}

function refuseOverOnDemandLimit({ onDemandStreamLimit, accountId, streams }: Account): void {
  let count = 0;
  for (const { capacity } of streams) if (capacity.mode === 'ON_DEMAND') count++;
  if (count < onDemandStreamLimit) return;
  throw new KinesisError(
    'LimitExceededException',
    `This request would exceed the limit of on-demand streams for the account ${accountId}. Current on-demand streams: ${count}. Limit: ${onDemandStreamLimit}.`,
  );
}

/** The times of the last 24 hours and this one. */
function noted(timesMs: readonly number[], now: number): readonly number[] {
  return [...timesMs.filter((atMs) => atMs > now - DAY_MS), now];
}
