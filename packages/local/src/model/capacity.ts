// What decides how much a stream takes: its settings, and who may change them by how much and how often. Each operation refuses
// with AWS's error, or notes the change in the stream and has the account keep it.
import {
  DEFAULT_MAX_RECORD_BYTES,
  DEFAULT_MAX_SHARDS_PER_STREAM,
  MAX_SHARD_COUNT_UPDATES_PER_DAY,
  MAX_STREAM_MODE_UPDATES_PER_DAY,
} from '@shardline/common/base';
import type { Account } from './account.ts';
import { KinesisError } from './errors.ts';
import type { Reshard, Stream } from './stream.ts';
import { peakOfOpenShards, uniformScaling } from './uniform-scaling.ts';
import { shardsFor, type WarmThroughput } from './warm-throughput.ts';

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

/** What a new stream may be given. */
export interface CapacityRequest {
  /** Default PROVISIONED. */
  readonly mode?: StreamMode | undefined;
  /** Default USER_PARTITION_KEY; only on-demand streams may have AUTO. */
  readonly recordDistributionStrategy?: RecordDistributionStrategy | undefined;
  /** Default 1 MiB. */
  readonly maxRecordBytes?: number | undefined;
}

export interface UpdateShardCountRequest {
  readonly streamName: string;
  readonly targetShardCount: number;
}

export interface UpdateStreamModeRequest {
  readonly streamName: string;
  readonly mode: StreamMode;
  readonly warmThroughputMiBps?: number | undefined;
}

export interface UpdateWarmThroughputRequest {
  readonly streamName: string;
  readonly warmThroughputMiBps: number;
}

export interface UpdateDistributionRequest {
  readonly streamName: string;
  readonly strategy: RecordDistributionStrategy;
}

export interface UpdateMaxRecordSizeRequest {
  readonly streamName: string;
  readonly maxRecordBytes: number;
}

/** How much of its limits an account uses (Kinesis API, DescribeLimits). */
export interface AccountUsage {
  readonly shardLimit: number;
  readonly openShardCount: number;
  readonly onDemandStreamLimit: number;
  readonly onDemandStreamCount: number;
}

const DAY_MS = 24 * 3_600_000;

/**
 * Of a new stream with so many shards.
 * @throws KinesisError LimitExceededException, InvalidArgumentException
 */
export function initialCapacity(
  account: Account,
  streamName: string,
  shardCount: number,
  request: CapacityRequest,
): StreamCapacity {
  const { mode = 'PROVISIONED', recordDistributionStrategy = 'USER_PARTITION_KEY' } = request;
  if (mode === 'PROVISIONED') {
    if (recordDistributionStrategy === 'AUTO') throw onlyOnDemand(streamName, recordDistributionStrategy);
    refuseOverShardLimit(account, shardCount);
  } else {
    refuseOverOnDemandLimit(account);
  }
  const { maxRecordBytes = DEFAULT_MAX_RECORD_BYTES } = request;
  return { mode, recordDistributionStrategy, maxRecordBytes, shardCountUpdatesMs: [], modeUpdatesMs: [] };
}

/** @throws KinesisError ResourceInUseException, ValidationException in on-demand mode, LimitExceededException */
export function updateShardCount(
  account: Account,
  { streamName, targetShardCount }: UpdateShardCountRequest,
  now: number,
): { readonly currentShardCount: number } {
  const stream = account.active(streamName, now);
  refuseOnDemand(account, stream);
  const currentShardCount = stream.openShards.length;
  refuseShardCount(currentShardCount, targetShardCount);
  const steps = evenSteps(stream, targetShardCount);
  refuseOverShardLimit(account, peakOfOpenShards(steps));
  const shardCountUpdatesMs = noted(stream.capacity.shardCountUpdatesMs, now);
  if (account.options.limits && shardCountUpdatesMs.length > MAX_SHARD_COUNT_UPDATES_PER_DAY) {
    throw new KinesisError(
      'LimitExceededException',
      `UpdateShardCount may be called ${MAX_SHARD_COUNT_UPDATES_PER_DAY} times in 24 hours for ${account.within(streamName)}.`,
    );
  }
  stream.capacity = { ...stream.capacity, shardCountUpdatesMs };
  account.reshard(stream, steps, now);
  return { currentShardCount };
}

/**
 * The new mode shows at once, the shards stay unless a warm throughput is named, and the stream is UPDATING for a while. Naming the
 * mode that it has is no switch.
 * @throws KinesisError ResourceInUseException, LimitExceededException, InvalidArgumentException when an AUTO stream would be provisioned
 */
export function updateStreamMode(account: Account, request: UpdateStreamModeRequest, now: number): void {
  const { streamName, mode, warmThroughputMiBps: warmMiBps } = request;
  const stream = account.active(streamName, now);
  const shardCount = warmMiBps === undefined ? undefined : shardsFor(warmMiBps, mode, account.settings, now);
  if (mode !== stream.mode) switchMode(account, stream, mode, now);
  if (shardCount === undefined) account.reshard(stream, [], now);
  else warmUp(account, stream, warmMiBps ?? null, shardCount, now);
}

/**
 * @throws KinesisError ResourceInUseException, LimitExceededException, InvalidArgumentException without a commitment, or in
 *   provisioned mode
 */
export function updateWarmThroughput(
  account: Account,
  { streamName, warmThroughputMiBps }: UpdateWarmThroughputRequest,
  now: number,
): WarmThroughput {
  const stream = account.active(streamName, now);
  const shardCount = shardsFor(warmThroughputMiBps, stream.mode, account.settings, now);
  const currentMiBps = stream.openShards.length;
  warmUp(account, stream, warmThroughputMiBps, shardCount, now);
  return { targetMiBps: warmThroughputMiBps, currentMiBps };
}

/** @throws KinesisError ResourceInUseException, InvalidArgumentException in provisioned mode */
export function updateRecordDistributionStrategy(
  account: Account,
  { streamName, strategy }: UpdateDistributionRequest,
  now: number,
): void {
  const stream = account.active(streamName, now);
  if (stream.mode === 'PROVISIONED') throw onlyOnDemand(streamName, strategy);
  stream.capacity = { ...stream.capacity, recordDistributionStrategy: strategy };
  account.tell(stream);
}

/** @throws KinesisError ResourceInUseException */
export function updateMaxRecordSize(
  account: Account,
  { streamName, maxRecordBytes }: UpdateMaxRecordSizeRequest,
  now: number,
): void {
  const stream = account.active(streamName, now);
  stream.capacity = { ...stream.capacity, maxRecordBytes };
  account.tell(stream);
}

/** @throws KinesisError ResourceInUseException, InvalidArgumentException in provisioned mode */
export function scaleOnDemand(
  account: Account,
  { streamName, targetShardCount }: UpdateShardCountRequest,
  now: number,
): void {
  const stream = account.active(streamName, now);
  if (stream.mode === 'PROVISIONED') {
    throw new KinesisError(
      'InvalidArgumentException',
      `Request is invalid. ${account.where(streamName)} is in Provisioned mode.`,
    );
  }
  account.reshard(stream, evenSteps(stream, targetShardCount), now);
}

export function usageOf({ options, streams }: Account): AccountUsage {
  const { shardLimit, onDemandStreamLimit } = options;
  let openShardCount = 0;
  let onDemandStreamCount = 0;
  for (const { mode, openShards } of streams.values()) {
    openShardCount += openShards.length;
    if (mode === 'ON_DEMAND') onDemandStreamCount++;
  }
  return { shardLimit, openShardCount, onDemandStreamLimit, onDemandStreamCount };
}

/** For what only provisioned streams have. @throws KinesisError ValidationException */
export function refuseOnDemand(account: Account, stream: Stream): void {
  if (stream.mode !== 'ON_DEMAND') return;
  throw new KinesisError(
    'ValidationException',
    `Request is invalid. ${account.where(stream.name)} is in On-Demand mode.`,
  );
}

/** On-demand streams may have any number of shards. @throws KinesisError LimitExceededException */
export function refuseOverShardLimit({ options, streams }: Account, additional: number): void {
  const { shardLimit, accountId, region } = options;
  let open = 0;
  for (const { mode, openShards } of streams.values()) if (mode === 'PROVISIONED') open += openShards.length;
  if (additional <= 0 || open + additional <= shardLimit) return;
  throw new KinesisError(
    'LimitExceededException',
    `This request would exceed the shard limit for the account ${accountId} in ${region}. Current shard count for the account: ${open}. Limit: ${shardLimit}. Number of additional shards that would have resulted from this request: ${additional}. Refer to the AWS Service Limits page (http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current limits and how to request higher limits.`,
  );
}

function refuseOverOnDemandLimit({ options, streams }: Account): void {
  const { onDemandStreamLimit, accountId } = options;
  let count = 0;
  for (const { mode } of streams.values()) if (mode === 'ON_DEMAND') count++;
  if (count < onDemandStreamLimit) return;
  throw new KinesisError(
    'LimitExceededException',
    `This request would exceed the limit of on-demand streams for the account ${accountId}. Current on-demand streams: ${count}. Limit: ${onDemandStreamLimit}.`,
  );
}

/** API_UpdateShardCount, "By default, you cannot do the following". */
function refuseShardCount(current: number, target: number): void {
  const max = DEFAULT_MAX_SHARDS_PER_STREAM;
  const broken =
    target > max || (current > max && target === max)
      ? `Target shard count or number of open shards cannot be greater than ${max}.`
      : target > current * 2
        ? 'UpdateShardCount cannot scale up over double your current open shard count.'
        : target < current / 2
          ? 'UpdateShardCount cannot scale down below half your current open shard count.'
          : undefined;
  if (broken === undefined) return;
  throw new KinesisError(
    'LimitExceededException',
    `${broken} Current open shard count: ${current}, Target shard count: ${target}`,
  );
}

function switchMode(account: Account, stream: Stream, mode: StreamMode, now: number): void {
  const { recordDistributionStrategy } = stream.capacity;
  if (mode === 'PROVISIONED') {
    if (recordDistributionStrategy === 'AUTO') throw onlyOnDemand(stream.name, recordDistributionStrategy);
    refuseOverShardLimit(account, stream.openShards.length);
  } else {
    refuseOverOnDemandLimit(account);
  }
  const modeUpdatesMs = noted(stream.capacity.modeUpdatesMs, now);
  if (account.options.limits && modeUpdatesMs.length > MAX_STREAM_MODE_UPDATES_PER_DAY) {
    throw new KinesisError(
      'LimitExceededException',
      `${account.where(stream.name)} may switch its mode ${MAX_STREAM_MODE_UPDATES_PER_DAY} times in 24 hours.`,
    );
  }
  stream.capacity = { ...stream.capacity, mode, modeUpdatesMs };
}

function warmUp(account: Account, stream: Stream, warmMiBps: number | null, shardCount: number, now: number): void {
  stream.settings = { ...stream.settings, warmThroughputMiBps: warmMiBps };
  account.reshard(stream, evenSteps(stream, shardCount), now);
}

function onlyOnDemand(streamName: string, strategy: RecordDistributionStrategy): KinesisError {
  return new KinesisError(
    'InvalidArgumentException',
    `RecordDistributionStrategy=${strategy} is only supported for on-demand streams. Stream ${streamName} is using PROVISIONED mode.`,
  );
}

/** The splits and merges that give the stream so many even shards. */
function evenSteps(stream: Stream, shardCount: number): readonly Reshard[] {
  const open = stream.openShards.map(({ id, origin }) => ({ id, range: origin.range }));
  return uniformScaling(open, shardCount, stream.nextShardNumber);
}

/** The times of the last 24 hours and this one. */
function noted(timesMs: readonly number[], now: number): readonly number[] {
  return [...timesMs.filter((atMs) => atMs > now - DAY_MS), now];
}
