// How much write throughput an on-demand stream of a committed account is kept ready for, whatever arrives: so many shards, at 1 MiB/s
// each. The target is a setting; what is there now, its open shards tell.
import { DEFAULT_ON_DEMAND_SHARDS } from '@shardline/common/base';
import { type AccountSettings, commitmentStatus } from './account-settings.ts';
import type { StreamMode } from './capacity.ts';
import { KinesisError } from './errors.ts';
import type { Stream } from './stream.ts';

/** Kinesis API, WarmThroughputObject. */
export interface WarmThroughput {
  readonly targetMiBps: number;
  readonly currentMiBps: number;
}

/** "Scale to more than 10 GiBps for an on-demand stream" is what nobody can by default (API_UpdateStreamWarmThroughput). */
export const MAX_WARM_THROUGHPUT_MIBPS = 10_240;

/**
 * The shards for so much. @throws KinesisError InvalidArgumentException for a stream or an account that may not have it,
 * LimitExceededException
 */
export function shardsFor(warmMiBps: number, mode: StreamMode, account: AccountSettings, now: number): number {
  if (mode !== 'ON_DEMAND') {
    throw new KinesisError('InvalidArgumentException', 'Warm throughput is only for streams in on-demand mode.');
  }
  if (commitmentStatus(account, now) === 'DISABLED') {
    throw new KinesisError(
      'InvalidArgumentException',
      'Warm throughput is only for accounts that have MinimumThroughputBillingCommitment enabled.',
    );
  }
  if (warmMiBps > MAX_WARM_THROUGHPUT_MIBPS) {
    throw new KinesisError(
      'LimitExceededException',
      `Warm throughput of ${warmMiBps} MiB/s is more than the ${MAX_WARM_THROUGHPUT_MIBPS} MiB/s that an on-demand stream can be scaled to.`,
    );
  }
  return Math.max(DEFAULT_ON_DEMAND_SHARDS, warmMiBps);
}

/** "Only present for On-Demand Kinesis Data Streams in accounts that have MinimumThroughputBillingCommitment enabled". */
export function warmThroughputOf(stream: Stream, account: AccountSettings, now: number): WarmThroughput | undefined {
  if (stream.mode !== 'ON_DEMAND' || commitmentStatus(account, now) === 'DISABLED') return undefined;
  const currentMiBps = stream.openShards.length;
  return { targetMiBps: stream.settings.warmThroughputMiBps ?? currentMiBps, currentMiBps };
}
