// The one failure of the lease table that is final: it was deleted under a consumer that works. Without it no lease can be kept or
// found, and another table would begin from the start, so somebody has to decide; the error says between what.
import { isShardlineError, OperatingError } from '@shardline/common';
import { awsCodeOf } from '../aws-call.ts';

/** `error` in words that say what to do, if it is that the table is gone; else undefined. */
export function tableGone(error: unknown): OperatingError | undefined {
  if (!isShardlineError(error) || !(error instanceof OperatingError)) return undefined;
  const { code, retryable, message, action, resource } = error;
  const isGone = awsCodeOf(error) === 'ResourceNotFoundException';
  if (code !== 'LEASE_TABLE_UNAVAILABLE' || retryable || !isGone) return undefined;
  const text =
    `${message}: it was deleted while this worker ran, and every lease and checkpoint with it. Restore it from a backup ` +
    'under the same name, then start again, to go on at the checkpoints. A start without it makes a new table and begins every shard at ' +
    'initialPosition: at TRIM_HORIZON everything is handled again, at LATEST what came since the last checkpoints is never handled';
  return new OperatingError(code, text, { retryable, cause: error, action, resource });
}
