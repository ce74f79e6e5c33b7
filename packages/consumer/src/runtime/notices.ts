// What the core tells, for those who look on: a log line and, where there is one, a message on the diagnostics channel. What a
// notice means for the runtime itself is the runtime's business; nothing here decides or remembers anything.
import {
  consumerDiagnostics,
  formatExtended,
  isShardlineError,
  type Logger,
  OperatingError,
  unreachable,
} from '@shardline/common';
import type { Notice } from '../coordination/effects.ts';

export interface NoticesOptions {
  readonly application: string;
  readonly workerId: string;
  readonly logger: Logger;
}

export function tellNotice(notice: Notice, { application, workerId: worker, logger }: NoticesOptions): void {
  const who = { application, worker };
  const { leaseBegun, leaseLost, leaseHandedOff, checkpoint, leaderElected, stepError } = consumerDiagnostics;
  switch (notice.kind) {
    case 'leaseBegun': {
      const { leaseKey } = notice;
      const from = formatExtended(notice.checkpoint);
      logger.info({ leaseKey, tenure: notice.tenure, checkpoint: from }, 'lease begun');
      if (leaseBegun.hasSubscribers) leaseBegun.publish({ ...who, leaseKey, checkpoint: from });
      return;
    }
    case 'leaseEnded': {
      const { leaseKey, tenure, reason } = notice;
      if (reason === 'leaseLost') {
        logger.warn({ leaseKey, tenure }, 'lease lost to another worker');
        if (leaseLost.hasSubscribers) leaseLost.publish({ ...who, leaseKey, reason });
      } else {
        logger.info({ leaseKey, tenure, reason }, 'lease ended');
        if (reason !== 'shardEnded' && leaseHandedOff.hasSubscribers) leaseHandedOff.publish({ ...who, leaseKey });
      }
      return;
    }
    case 'checkpointed': {
      const { leaseKey } = notice;
      const written = formatExtended(notice.checkpoint);
      logger.debug({ leaseKey, checkpoint: written }, 'checkpoint written');
      if (checkpoint.hasSubscribers) checkpoint.publish({ ...who, leaseKey, checkpoint: written, outcome: 'written' });
      return;
    }
    case 'checkpointSettled':
      // Between the core and the one who asked.
      return;
    case 'handlerFailed': {
      const { leaseKey, attempt, retryInMs, error } = notice;
      logger.error({ leaseKey, attempt, retryInMs, err: error }, 'the handler threw; the batch is given to it again');
      return;
    }
    case 'effectFailed': {
      const { effect, leaseKey, retryInMs, error } = notice;
      const fields = { effect, leaseKey, retryInMs, err: error };
      if (isRetryable(error)) logger.info(fields, `${effect} failed and is tried again`);
      else logger.error(fields, `${effect} failed`);
      if (stepError.hasSubscribers) stepError.publish({ ...who, step: effect, cause: error });
      return;
    }
    case 'waitingForParents':
      logger.info({ leaseKey: notice.leaseKey, parents: notice.parents }, 'waiting for the parents to be finished');
      return;
    case 'workerIdInUse':
      if (!notice.yields)
        logger.warn({}, 'another process works under the id of this worker; it is the younger one and should end');
      return;
    case 'leadershipGained':
    case 'leadershipLost': {
      const leader = notice.kind === 'leadershipGained';
      logger.info({ leader }, leader ? 'this worker leads' : 'this worker leads no longer');
      if (leaderElected.hasSubscribers) leaderElected.publish({ ...who, leader });
      return;
    }
    case 'leasesPlanned': {
      const { kind: _, ...counts } = notice;
      logger.info(counts, 'leases planned');
      return;
    }
    case 'hole':
      logger.warn({ hole: notice.text }, 'part of the hash key space is not covered');
      return;
    case 'streamReplaced': {
      const { leaseKeys } = notice;
      const { streamReplaced } = consumerDiagnostics;
      logger.error(
        { leaseKeys },
        'these leases are of an earlier stream of the same name, and its records are not read: delete them to begin anew',
      );
      if (streamReplaced.hasSubscribers) streamReplaced.publish({ ...who, leaseKeys });
      return;
    }
    case 'stopped':
      if (notice.abandoned.length === 0) logger.info({}, 'stopped');
      else logger.warn({ abandoned: notice.abandoned }, 'stopped, with handlers still running');
      return;
    default:
      unreachable(notice);
  }
}

/** Why `run` rejects when another process was there first. */
export function workerIdInUse(worker: string): OperatingError {
  const text = `another process works under the id ${worker}, and was there first; give each worker an id of its own`;
  return new OperatingError('WORKER_ID_IN_USE', text, { retryable: false });
}

/** A transient failure, as opposed to one that somebody has to do something about. */
function isRetryable(error: unknown): boolean {
  return isShardlineError(error) && error.retryable;
}
