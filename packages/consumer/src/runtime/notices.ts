// What the core tells, for those who look on: a log line and, where there is one, a message on the diagnostics channel. What a
// notice means for the runtime itself is the runtime's business; nothing here decides or remembers anything.
import {
  type Clock,
  consumerDiagnostics,
  formatExtended,
  isShardlineError,
  type Logger,
  OperatingError,
  unreachable,
} from '@shardline/common';
import { takesLeases } from '../coordination/client-version.ts';
import type { Tenure } from '../coordination/effects.ts';
import type { LeaseLoss, Notice } from '../coordination/notice.ts';
import type { Rival } from '../coordination/worker-id.ts';
import { HOW_TO_BEGIN_ANEW } from '../retrieval/same-stream.ts';
import type { Failures } from './failures.ts';
import { causeOf, HandlerThrew } from './handler-threw.ts';

export interface NoticesOptions {
  readonly application: string;
  readonly workerId: string;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly failures: Failures;
  /** Which of the handler's words a tenure waits for. */
  readonly wordOf: (tenure: Tenure) => string | undefined;
  /** Which of several streams could not be listed, with this error. */
  readonly unlistedBy: (error: unknown) => string | undefined;
}

export function tellNotice(notice: Notice, options: NoticesOptions): void {
  const { application, workerId: worker, logger, failures } = options;
  const who = { application, worker };
  const { leaseBegun, leaseLost, leaseHandedOff, checkpoint, leaderElected, stepError } = consumerDiagnostics;
  switch (notice.kind) {
    case 'leaseBegun': {
      const { leaseKey, tenure, fencingToken } = notice;
      const from = formatExtended(notice.checkpoint);
      logger.info({ leaseKey, tenure, fencingToken, checkpoint: from }, 'lease begun');
      if (leaseBegun.hasSubscribers) leaseBegun.publish({ ...who, leaseKey, fencingToken, checkpoint: from });
      return;
    }
    case 'leaseEnded': {
      const { leaseKey, tenure, reason } = notice;
      failures.forget(leaseKey);
      if (reason === 'leaseLost') {
        logger.warn({ leaseKey, tenure, ...notice.loss }, describeLoss(notice.loss));
        if (leaseLost.hasSubscribers) leaseLost.publish({ ...who, leaseKey, reason, ...notice.loss });
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
    case 'runPlanned':
    case 'runEnded':
    case 'takesPlanned':
    case 'takesEnded':
    case 'fleetReadiness':
      // Between the core and the one who asked; figures for effect-metrics.ts.
      return;
    case 'handlerFailed': {
      const { leaseKey, attempt, retryInMs, error } = notice;
      // A shard that stands still is told of when it stops.
      if (retryInMs === Number.POSITIVE_INFINITY) return;
      const err = causeOf(error);
      const isHandOver = error instanceof HandlerThrew && error.word === 'onFailure';
      const isPart = isShardlineError(err) && err.code === 'RECORD_FAILED';
      const ofCall = isPart
        ? 'the handler did not finish all records; it is given again what begins with the first of these'
        : 'the handler threw; the batch is given to it again';
      const text = isHandOver
        ? 'onFailure threw; the records are handed to it again, and nothing behind them is handled'
        : ofCall;
      const unfinished = error instanceof HandlerThrew ? error.unfinished : undefined;
      logger.error({ leaseKey, ...unfinished, attempt, retryInMs: Math.round(retryInMs), err }, text);
      return;
    }
    case 'effectFailed': {
      const { effect, leaseKey, retryInMs, error } = notice;
      failures.failed(effect, leaseKey ?? options.unlistedBy(error), error, retryInMs);
      if (stepError.hasSubscribers) stepError.publish({ ...who, step: effect, cause: causeOf(error) });
      return;
    }
    case 'stall':
      tellStall(notice, options);
      return;
    case 'controlled': {
      const { what, leaseKeys } = notice;
      const keys = leaseKeys === undefined ? {} : { leaseKeys };
      logger.info({ what, ...keys }, controlled[what]);
      const { controlled: channel } = consumerDiagnostics;
      if (channel.hasSubscribers) channel.publish({ ...who, what, ...keys });
      return;
    }
    case 'replaySettled': {
      const { leaseKey, outcome } = notice;
      const behind = formatExtended(notice.position);
      const text =
        outcome === 'replayed' ? 'reads the shard again from an earlier place' : 'the shard is not read again';
      logger.info({ leaseKey, outcome, checkpoint: behind }, `${text}, as the application asked`);
      const { controlled: channel } = consumerDiagnostics;
      if (outcome !== 'replayed' || !channel.hasSubscribers) return;
      channel.publish({ ...who, what: 'replay', leaseKeys: [leaseKey], checkpoint: behind });
      return;
    }
    case 'handOffSettled': {
      const { leaseKey, outcome, to } = notice;
      const text = outcome === 'handedOff' ? `the shard was handed off to ${to}` : 'the shard was not handed off';
      logger.info({ leaseKey, outcome, to }, `${text}, as the application asked`);
      const { controlled: channel } = consumerDiagnostics;
      if (outcome === 'handedOff' && to !== undefined && channel.hasSubscribers)
        channel.publish({ ...who, what: 'handOff', leaseKeys: [leaseKey], to });
      return;
    }
    case 'handedBack': {
      const { leaseKey } = notice;
      logger.warn(
        { leaseKey },
        'a shard that was handed off has come back, and is read here again: somebody gave it to this worker',
      );
      return;
    }
    case 'waitingForParents':
      logger.info({ leaseKey: notice.leaseKey, parents: notice.parents }, 'waiting for the parents to be finished');
      return;
    case 'waitingForOtherParent':
      logger.info({ leaseKey: notice.leaseKey }, 'the child of a merge waits for the lease of the other parent');
      return;
    case 'leadershipForfeited':
      logger.warn(
        { failingForMs: notice.failingForMs },
        'the lease table could not be read for so long: another worker may lead',
      );
      return;
    case 'workerIdInUse': {
      const { how, process: other } = notice;
      logger.error({ how, other }, workerIdInUse(worker, notice).message);
      return;
    }
    case 'leaderSeen': {
      const { workerId: leader, leaseDurationMs } = notice;
      const text = `worker ${leader} leads; should it be gone, another one does once its row has stood still for ${leaseDurationMs} ms`;
      logger.info({ leader, leaseDurationMs }, text);
      // Who gave the lead up because it could not do it has not got rid of what is wrong before somebody else can.
      failures.anotherLeads();
      return;
    }
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
    case 'workerSilent':
      tellSilence(notice, options);
      return;
    case 'leasesUnplaced': {
      const { leaseKeys, againInMs } = notice;
      if (leaseKeys.length === 0) failures.worked('placeLeases', undefined);
      else {
        const error = new OperatingError('NO_ROOM_FOR_LEASES', unplacedText(notice), { retryable: true });
        failures.failed('placeLeases', undefined, error, againInMs);
      }
      return;
    }
    case 'leasesTaken': {
      const { taken, stolen } = notice;
      logger.info({ taken, stolen }, 'takes leases');
      return;
    }
    case 'clientVersionChanged': {
      const { from, to, by } = notice;
      const takes = takesLeases(to);
      const text = takes ? 'workers take leases themselves from now on' : 'a leader assigns the leases from now on';
      if (takesLeases(from) === takes) logger.info({ from, to, by }, 'the fleet changed its client version');
      else logger.info({ from, to, by }, text);
      return;
    }
    case 'workersOf2x': {
      const { workerIds, goesBack } = notice;
      const text = goesBack
        ? 'workers of the KCL 2.x hold leases again; the fleet goes back to taking leases beside them'
        : 'workers of the KCL 2.x hold leases of a fleet that speaks 3.x for good: stop them';
      if (goesBack) logger.warn({ workers: workerIds }, text);
      else logger.error({ workers: workerIds }, text);
      return;
    }
    case 'hole':
      logger.warn({ hole: notice.text }, 'part of the hash key space is not covered');
      return;
    case 'streamSettled':
      failures.worked('readStream', undefined);
      return;
    case 'streamReplaced': {
      const { leaseKeys, strayKeys, anewCount, toDeleteCount, renewedBy, againInMs } = notice;
      const { streamReplaced } = consumerDiagnostics;
      const fields = { leaseKeys, strayKeys, anewCount, renewedBy };
      if (anewCount > 0) logger.warn(fields, 'the stream was deleted and made again: its leases begin anew');
      else if (leaseKeys.length > 0) logger.warn(fields, 'these leases are of an earlier stream of the same name');
      if (strayKeys.length > 0) logger.warn(fields, toDeleteCount > 0 ? STRAYS_GO : STRAYS_STAY);
      const error = new OperatingError('STREAM_REPLACED', replacedText(notice), { retryable: false });
      const isSeenTo = anewCount + toDeleteCount > 0 && renewedBy.length === 0;
      if (isSeenTo) failures.worked('readStream', undefined);
      else failures.failed('readStream', undefined, error, againInMs);
      if (streamReplaced.hasSubscribers) streamReplaced.publish({ ...who, leaseKeys, strayKeys, anewCount, renewedBy });
      return;
    }
    case 'stopped':
      if (notice.abandoned.length === 0) logger.info({}, 'stopped');
      else {
        logger.warn(
          { abandoned: notice.abandoned },
          'stopped, with handlers still running: what they have in hand comes again. One that awaits stop() waits for itself',
        );
      }
      return;
    default:
      unreachable(notice);
  }
}

const controlled = {
  pause: 'paused by the application: no handler call begins until it is resumed',
  resume: 'resumed by the application',
  retry: 'tried again by the application, with fresh attempts',
  accept: 'may be given to this worker again, says the application',
} as const;

/** Keys, and workers, that one line names. */
const MOST_NAMED = 20;

/** The line that says who died; a worker of hundreds of leases is one line, too. */
function tellSilence(
  { workerId: silentWorker, silentMs, leases }: Extract<Notice, { kind: 'workerSilent' }>,
  options: NoticesOptions,
): void {
  const { application, workerId: worker, logger } = options;
  const leaseCount = leases.length;
  const leaseKeys = leases.slice(0, MOST_NAMED).map(({ leaseKey }) => leaseKey);
  const counts = new Map<string, number>();
  for (const { to } of leases) counts.set(to, (counts.get(to) ?? 0) + 1);
  const shares = [...counts].map(([heir, count]) => ({ worker: heir, leaseCount: count }));
  const heirs = shares.sort((a, b) => b.leaseCount - a.leaseCount).slice(0, MOST_NAMED);
  const fields = {
    silentWorker,
    silentMs: Math.round(silentMs),
    leaseCount,
    leaseKeys,
    heirs,
    heirCount: shares.length,
  };
  const more = leaseCount - leaseKeys.length;
  const keys = `${leaseKeys.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
  const others = shares.length - 1;
  const to = `worker ${heirs[0]?.worker}${others > 0 ? ` and ${others} more` : ''}`;
  const text = `worker ${silentWorker} is silent for ${(silentMs / 1000).toFixed(1)} s`;
  logger.warn(fields, `${text}: its ${leaseCount} ${leaseCount === 1 ? 'lease' : 'leases'} (${keys}) go to ${to}`);
  const { workerSilent } = consumerDiagnostics;
  if (workerSilent.hasSubscribers) workerSilent.publish({ application, worker, ...fields });
}

function unplacedText({ leaseKeys }: Extract<Notice, { kind: 'leasesUnplaced' }>): string {
  const named = leaseKeys.slice(0, MOST_NAMED);
  const more = leaseKeys.length - named.length;
  const keys = `${named.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
  const have = leaseKeys.length === 1 ? '1 lease' : `${leaseKeys.length} leases`;
  return (
    `nobody has room for ${have} (${keys}), so their records are not read: all workers are at maxLeasesForWorker ` +
    'or maxThroughputPerHostKBps, as this leader has them for all. Start another worker, or raise the limit here, where it counts'
  );
}

const STRAYS_STAY = 'these leases are of shards that the stream never had: they stay where they stand';
const STRAYS_GO = 'these leases are of shards that the stream never had: they are deleted once all others have begun';
const ABOUT_STRAYS =
  "Where the stream was deleted and made again, a consumer that runs with onStreamRecreated: 'begin-anew' deletes them; a later shard of " +
  'such a name would find them. Where they were written for another stream, give this consumer that one, or another application (or ' +
  'tableName): they stay where they stand';

function replacedText(notice: Extract<Notice, { kind: 'streamReplaced' }>): string {
  const { streamId, leaseKeys, strayKeys, renewedBy } = notice;
  const of = [
    ...(leaseKeys.length > 0 ? [`${leasesText(leaseKeys)} of another stream of the name than is there now`] : []),
    ...(strayKeys.length > 0 ? [`${leasesText(strayKeys)} of shards that this stream never had`] : []),
  ];
  const what = of.join(', and ');
  if (streamId !== undefined)
    return (
      `${what} in ${streamId}. Listed by its name or ARN, the new one is read from its beginning under an identifier of its own, ` +
      'with the next look at the list (streamsIntervalMs); listed as account:name:epoch, give it the new epoch'
    );
  const advice = leaseKeys.length > 0 ? HOW_TO_BEGIN_ANEW : ABOUT_STRAYS;
  if (renewedBy.length === 0) return `${what}. ${advice}`;
  return (
    `${what}, and ${renewedBy.join(', ')} renews them. If that is a worker of another stream's application, give this one ` +
    `another application name; if it is a Java worker of this one, stop it before anything is begun anew. ${advice}`
  );
}

function leasesText(leaseKeys: readonly string[]): string {
  const [first = ''] = leaseKeys;
  return leaseKeys.length === 1 ? `the lease ${first} is` : `${leaseKeys.length} leases, ${first} first, are`;
}

type StallNotice = Extract<Notice, { kind: 'stall' }>;

function tellStall(notice: StallNotice, options: NoticesOptions): void {
  const { application, workerId: worker, logger, clock } = options;
  const { leaseKey, state, reason, batch, holdsLease } = notice;
  const forMs = Math.round(notice.forMs);
  const since = new Date(clock.wallNow() - (clock.now() - notice.since));
  const position = formatExtended(notice.position);
  const size = batch && { recordCount: batch.recordCount, byteCount: batch.byteCount };
  const word = reason === 'handler' && state !== 'over' ? options.wordOf(notice.tenure) : undefined;
  const handler = handlerWord(word);
  const waited = reason === 'handler' ? `${handler} ${unreturned}` : unanswered[reason];
  const fields = {
    leaseKey,
    reason,
    state,
    since: since.toISOString(),
    forMs,
    position,
    ...size,
    ...(word && { word }),
  };
  if (state === 'over') logger.info(fields, `the shard gets on again: ${answered[reason]}`);
  else if (state === 'stuck') logger.error(fields, stuck(handler, holdsLease));
  else if (state === 'givenUp') logger.error(fields, `${waited} for longer than stallLimitMs: ${givesUp}`);
  else logger.warn(fields, `${waited} for long: ${advice[reason]}`);
  const { stall } = consumerDiagnostics;
  if (stall.hasSubscribers) stall.publish({ application, worker, ...fields, since, holdsLease });
}

const givesUp = "the handler's signal is aborted, and the lease is released once the handler has returned";
/** With the word that is under way, so that it need not be guessed which of five hangs. */
export function handlerWord(word: string | undefined): string {
  return word === undefined ? 'the handler' : `the handler's ${word}`;
}

const unreturned = 'has not returned';
const unanswered = {
  read: 'no read of the shard was answered',
  checkpoint: 'a checkpoint that is due could not be written',
} as const;
const answered = {
  read: 'a read was answered',
  handler: 'the handler returned',
  checkpoint: 'the checkpoint was written',
} as const;
const advice = {
  read: 'see the errors of reading in this log, and whether Kinesis can be reached',
  handler: 'look for a promise in it that is never settled, or set stallLimitMs to have its signal aborted',
  checkpoint: 'see the errors of writing in this log, and whether the lease table can be reached',
} as const;

function stuck(handler: string, holdsLease: boolean): string {
  const what = `${handler} ${unreturned} after its signal was aborted`;
  return holdsLease
    ? `${what}: the lease is kept, so that no second handler begins beside it. End this process to free the shard`
    : `${what}: this worker cannot take the shard again before it does. End this process, or let the handler heed its signal`;
}

/** In the words of an operator who looks for who has the shard now. */
function describeLoss(loss: LeaseLoss | undefined): string {
  switch (loss?.how) {
    case 'deleted':
      return 'lease lost: its row was deleted, by the clean-up of leases that are finished or of a former stream, or by hand';
    case 'unreadable':
      return 'lease lost: its row cannot be read any more; see the error of that row in this log, and health';
    case 'taken':
      return loss.by === undefined
        ? 'lease lost: it was taken away, and nobody has it yet'
        : `lease lost: it was taken by worker ${loss.by}, as happens when it was not renewed in time`;
    case 'handedOver':
      return `lease lost: it was handed over to worker ${loss.to} before this worker had finished, which took too long`;
    case 'ownId':
      return (
        'lease lost: it was written in the name of this worker. Its stream was made again and it begins anew, or it was freed and a leader ' +
        'gave it back, or a second process works under the worker id'
      );
    default:
      return 'lease lost';
  }
}

/** Why `run` rejects when another process has the worker id. */
export function workerIdInUse(worker: string, { how, process: other }: Rival): OperatingError {
  const since = other && new Date(other.sinceSeconds * 1000).toISOString();
  const who = other ? `another process${other.host ? ` (${other.host})` : ''}` : 'another worker, none of Shardline,';
  const what = {
    live: `${who} works under the worker id ${worker}${since ? ` since ${since}` : ''}: this one has not begun`,
    tookOver: `${who} has taken over the worker id ${worker}, because this one did not answer when it asked: this one ends`,
    shares: `${who} writes leases under the worker id ${worker}: this one ends, and leaves them to it`,
  };
  const advice = 'Give each process a worker id of its own, or none, and each makes up its own';
  return new OperatingError('WORKER_ID_IN_USE', `${what[how]}. ${advice}`, { retryable: false });
}
