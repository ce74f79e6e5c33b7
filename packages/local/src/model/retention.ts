// IncreaseStreamRetentionPeriod and DecreaseStreamRetentionPeriod: how long a stream may keep its records, and which way.
import { DEFAULT_RETENTION_HOURS, MAX_RETENTION_HOURS } from '@shardline/common/base';
import type { Account } from './account.ts';
import { KinesisError } from './errors.ts';
import type { Stream } from './stream.ts';

export interface SetRetentionRequest {
  readonly streamName: string;
  /** 24 to 8,760. */
  readonly hours: number;
  readonly direction: 'increase' | 'decrease';
}

/** @throws KinesisError ResourceInUseException, InvalidArgumentException when it does not go the way asked for */
export function setRetention(account: Account, request: SetRetentionRequest, now: number): void {
  const stream = account.active(request.streamName, now);
  checkHours(stream, request);
  // "It does not make previous, expired data … accessible after the operation has been called" (API_IncreaseStreamRetentionPeriod).
  for (const shard of stream.shards) account.trim(stream, shard, now);
  stream.setRetention(request.hours);
  account.tell(stream);
}

function checkHours({ name, retentionHours: current }: Stream, { hours, direction }: SetRetentionRequest): void {
  if (hours < DEFAULT_RETENTION_HOURS) {
    throw invalid(
      `Minimum allowed retention period is ${DEFAULT_RETENTION_HOURS} hours. Requested retention period (${hours} hours) is too short.`,
    );
  }
  if (hours > MAX_RETENTION_HOURS) {
    throw invalid(
      `Maximum allowed retention period is ${MAX_RETENTION_HOURS} hours. Requested retention period (${hours} hours) is too long.`,
    );
  }
  if (direction === 'increase' ? hours >= current : hours <= current) return;
  const [than, other] = direction === 'increase' ? ['shorter', 'Decrease'] : ['longer', 'Increase'];
  throw invalid(
    `Requested retention period (${hours} hours) for stream ${name} can not be ${than} than existing retention period (${current} hours). Use ${other}RetentionPeriod API.`,
  );
}

function invalid(message: string): KinesisError {
  return new KinesisError('InvalidArgumentException', message);
}
