// What a probe wants to know of a consumer: whether it works, and if not, why, in words. Put together from what the core, the
// watchdog and the failures say at the moment; it judges nothing by itself and asks nobody.
import { isShardlineError } from '@shardline/common';
import { messageOf } from './aws-call.ts';
import type { ConsumerState } from './consumer.ts';
import type { LeaseView, WorkerView } from './coordination/worker-view.ts';
import type { Thrown } from './runtime/handler-threw.ts';
import { handlerWord } from './runtime/notices.ts';
import { reasonsOf, type Trouble } from './runtime/trouble.ts';

/** Plain data, fit for JSON. */
export interface ConsumerHealth {
  readonly state: ConsumerState;
  /** False: this process will not get well by itself, end it: a handler ignores its aborted signal, or the consumer has ended. */
  readonly live: boolean;
  /** It runs, its calls to AWS work, its leases are renewed in time, and every shard in its hands gets on. */
  readonly ready: boolean;
  /** Why it is not ready, or not live; a sentence each. */
  readonly reasons: readonly string[];
  /** Since when the application has paused all shards. That is no reason not to be ready: it was asked for. */
  readonly pausedSince: Date | undefined;
  readonly shards: readonly ShardHealth[];
}

/** One lease in this worker's hands. */
export interface ShardHealth {
  readonly leaseKey: string;
  readonly phase: LeaseView['phase'];
  /** False: the lease could not be renewed in time. Nothing is delivered meanwhile, and another worker may have it. */
  readonly fresh: boolean;
  /** As the last read said, ms; while records wait for the handler, no less than they have waited. Undefined before the first read. */
  readonly millisBehindLatest: number | undefined;
  /** When it was last seen to get on: a read was answered, the handler returned, a checkpoint was written. Seen once a second. */
  readonly lastProgressAt: Date | undefined;
  /** Above 1: the handler keeps throwing, or `onFailure` does. */
  readonly handlerAttempt: number;
  /** Since when the application has paused it; undefined: it has not. */
  readonly pausedSince: Date | undefined;
  /** Undefined: it gets on. */
  readonly stalled: { readonly reason: 'read' | 'handler' | 'checkpoint'; readonly forMs: number } | undefined;
}

export interface HealthSources {
  readonly state: ConsumerState;
  /** What `run` rejected with, or will once the handlers have returned; undefined: nothing. */
  readonly failure: unknown;
  /** Undefined: not running. */
  readonly view: WorkerView | undefined;
  readonly troubles: readonly Trouble[];
  /** What is wrong with the lease table that only a hand can mend, a sentence each. */
  readonly tableTroubles: readonly string[];
  /** Shards that were given up because they did not get on, a sentence each. */
  readonly givenUp: readonly string[];
  readonly millisBehindLatest: (tenure: number) => number | undefined;
  /** Which of the handler's words a tenure waits for. */
  readonly wordOf: (tenure: number) => string | undefined;
  /** What the batch that a tenure stands at failed by. */
  readonly thrownOf: (tenure: number) => Thrown | undefined;
  /** At which records a tenure stands still for good, and why, in words. */
  readonly stoppedOf: (tenure: number) => string | undefined;
  /** `now` of the view's clock as a time of the calendar. */
  readonly wallTimeOf: (now: number) => Date;
}

export function healthOf({
  state,
  failure,
  view,
  troubles,
  tableTroubles,
  givenUp,
  millisBehindLatest,
  wordOf,
  thrownOf,
  stoppedOf,
  wallTimeOf,
}: HealthSources): ConsumerHealth {
  const leases = view?.leases ?? [];
  const timeOf = (now: number | undefined): Date | undefined => (now === undefined ? undefined : wallTimeOf(now));
  const reasons = [
    ...(state === 'running' ? [] : [`the consumer is ${state}${failure === undefined ? '' : causeOf(failure, state)}`]),
    ...reasonsOf(troubles),
    ...tableTroubles,
    ...givenUp,
    ...staleLeases(leases, wallTimeOf),
    ...leases.flatMap((lease) => stallOf(lease, wordOf)),
    ...leases.flatMap((lease) => throwing(lease, thrownOf, stoppedOf)),
  ];
  return {
    state,
    live: state !== 'stopped' && !leases.some(({ stall }) => stall?.state === 'stuck'),
    ready: reasons.length === 0,
    reasons,
    pausedSince: timeOf(view?.pausedSince),
    shards: leases.map(({ leaseKey, phase, fresh, tenure, handlerAttempt, progressAt, pausedSince, stall }) => ({
      leaseKey,
      phase,
      fresh,
      millisBehindLatest: millisBehindLatest(tenure),
      lastProgressAt: timeOf(progressAt),
      handlerAttempt,
      pausedSince: timeOf(pausedSince),
      stalled: stall && { reason: stall.reason, forMs: Math.round(stall.forMs) },
    })),
  };
}

function causeOf(failure: unknown, state: ConsumerState): string {
  const code = isShardlineError(failure) ? `${failure.code}: ` : '';
  const since = state === 'stopped' ? 'run rejected' : 'everything was given up';
  return `, since ${since}: ${code}${messageOf(failure)}`;
}

/** Of one batch, before it is said that the shard does not get on: a handler may well fail now and then. */
const ATTEMPTS_UNTOLD = 3;

function throwing(
  { leaseKey, tenure, handlerAttempt }: LeaseView,
  thrownOf: HealthSources['thrownOf'],
  stoppedOf: HealthSources['stoppedOf'],
): string[] {
  const stopped = stoppedOf(tenure);
  if (stopped !== undefined) return [`${leaseKey}: ${stopped}`];
  if (handlerAttempt <= ATTEMPTS_UNTOLD) return [];
  const thrown = thrownOf(tenure);
  const last = thrown === undefined ? '' : `, after ${thrown.text}`;
  const what =
    thrown?.by === 'onFailure'
      ? 'onFailure throws for the same records again and again, and nothing behind them is handled'
      : 'the handler throws for the same batch again and again';
  return [`${leaseKey}: ${what}; it is at attempt ${handlerAttempt}${last}`];
}

/** One sentence: what keeps one from being renewed keeps all. */
function staleLeases(leases: readonly LeaseView[], wallTimeOf: HealthSources['wallTimeOf']): string[] {
  const stale = leases.flatMap(({ leaseKey, staleSince }) =>
    staleSince === undefined ? [] : [{ leaseKey, staleSince }],
  );
  const first = stale.reduce<(typeof stale)[number] | undefined>(
    (oldest, each) => (oldest !== undefined && oldest.staleSince <= each.staleSince ? oldest : each),
    undefined,
  );
  if (first === undefined) return [];
  const what = stale.length === 1 ? `${first.leaseKey}: its lease` : `${stale.length} leases, first ${first.leaseKey},`;
  const since = wallTimeOf(first.staleSince).toISOString();
  return [
    `${what} could not be renewed in time, the last time was ${since}; nothing is delivered meanwhile, and another worker may have taken over`,
  ];
}

function stallOf({ leaseKey, tenure, stall }: LeaseView, wordOf: HealthSources['wordOf']): string[] {
  if (stall === undefined) return [];
  const handler = handlerWord(wordOf(tenure));
  const seconds = Math.round(stall.forMs / 1000);
  if (stall.state === 'stuck') {
    return [`${leaseKey}: ${handler} has not returned ${seconds} s after its signal was aborted; end this process`];
  }
  const waited = {
    read: 'no read was answered',
    handler: `${handler} has not returned`,
    checkpoint: 'a checkpoint could not be written',
  };
  return [`${leaseKey}: ${waited[stall.reason]} for ${seconds} s`];
}
