// What of this worker's doings fails and is tried again: remembered by what it is and why, so that a trouble that lasts is one line
// now and then, not one a try. What somebody has to see to is told at once; what may pass, only if it does not. It retries nothing.
// Invariant: bounded by the number of leases; a trouble is over when everything that failed has worked again or is gone.
import { type Clock, isShardlineError, isUnknownKey, type Logger, type OperatingError } from '@shardline/common';
import { awsCodeOf, KEY_NOT_ACCEPTED, messageOf } from '../aws-call.ts';
import { causeOf, HandlerThrew, thrownText } from './handler-threw.ts';
import { inWords, type Step } from './steps.ts';

export interface FailuresOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** What may pass is a trouble only after so long. */
  readonly patienceMs: number;
}

/** Something that does not work. */
export interface Trouble {
  /** What was tried. */
  readonly step: Step;
  /** An OperatingCode, or the name of what was thrown. */
  readonly code: string;
  /** `kinesis:GetRecords`, and what it was about. */
  readonly action: string | undefined;
  readonly resource: string | undefined;
  readonly since: Date;
  readonly failureCount: number;
  /** How many leases it is about; 0: the worker as a whole. */
  readonly leaseCount: number;
  /** What is wrong and what to do. */
  readonly text: string;
}

interface Entry {
  readonly step: Step;
  readonly code: string;
  readonly firstAt: number;
  readonly firstWallAt: number;
  /** What fails, the first first, and with what: lease keys, and '' for the worker itself. */
  readonly failing: Map<string, unknown>;
  failureCount: number;
  lastAt: number;
  quietFrom: number;
  told: boolean;
}

/** Between two lines about one trouble. */
const TELL_INTERVAL_MS = 60_000;
/** What has not failed for so long after it should have been tried again is over; not everything is tried again. */
const QUIET_MS = 60_000;
/** What the core asks for one lease at a time; of everything else a success means that it works. */
const stepsOfLeases: ReadonlySet<Step> = new Set<Step>([
  'renewLease',
  'checkpointLease',
  'readLeases',
  'openShard',
  'fetchBatch',
  'drainShard',
  'endShard',
]);
const stepsOfKinesis: ReadonlySet<Step> = new Set<Step>([
  'fetchBatch',
  'listShards',
  'refreshStreams',
  'findStream',
  'readStream',
]);
/** What is asked of each stream of several, under the name that the application gives it, and told of each. */
const FIND_STREAM = 'findStream';

export class Failures {
  readonly #options: FailuresOptions;
  readonly #entries = new Map<string, Entry>();
  /** When a trouble was told last, over or not: one that comes and goes is not told each time it comes. */
  readonly #toldAt = new Map<string, number>();

  constructor(options: FailuresOptions) {
    this.#options = options;
  }

  /** @param leaseKey the lease that it is about; of `findStream`, the stream. @param retryInMs when it is tried again. */
  failed(step: Step, leaseKey: string | undefined, error: unknown, retryInMs: number): void {
    const { clock, logger } = this.#options;
    const code = codeOf(error);
    const key = step === FIND_STREAM ? `${step} ${code} ${leaseKey}` : `${step} ${code}`;
    const entry = this.#present(key) ?? this.#begin(step, code, key);
    entry.failing.set(subjectOf(step, leaseKey), error);
    entry.failureCount += 1;
    entry.lastAt = clock.now();
    entry.quietFrom = entry.lastAt + retryInMs + QUIET_MS;
    const { text, ...fields } = troubleOf(entry);
    const forMs = Math.round(clock.now() - entry.firstAt);
    const line = { ...fields, forMs, leaseKey, retryInMs, err: causeOf(error) };
    if (!this.#isTrouble(entry)) {
      const failed = `${inWords(step)} failed and is tried again`;
      if (entry.failureCount === 1) logger.info(line, failed);
      else logger.debug(line, failed);
    } else if (clock.now() >= (this.#toldAt.get(key) ?? Number.NEGATIVE_INFINITY) + TELL_INTERVAL_MS) {
      entry.told = true;
      this.#toldAt.set(key, clock.now());
      const isPassing = isRetryable(error);
      logger[isPassing ? 'warn' : 'error'](line, text);
    }
  }

  worked(step: Step, leaseKey: string | undefined): void {
    if (this.#entries.size === 0) return;
    for (const [key, entry] of this.#entries) {
      // One call that is answered shows that the credentials are good for all of its service.
      if (entry.code === 'CREDENTIALS_UNAVAILABLE' && serviceOf(entry.step) === serviceOf(step)) this.#over(key, entry);
      else if (entry.step === step) this.#passed(key, entry, subjectOf(step, leaseKey));
      else this.#present(key);
    }
  }

  /** The lease is no longer this worker's: nothing of it fails any more. */
  forget(leaseKey: string): void {
    for (const [key, entry] of this.#entries) this.#passed(key, entry, leaseKey);
  }

  /** What does not work now, and is more than a passing failure. */
  troubles(): Trouble[] {
    const present = [...this.#entries.keys()].flatMap((key) => this.#present(key) ?? []);
    return present.filter((entry) => this.#isTrouble(entry)).map(troubleOf);
  }

  #present(key: string): Entry | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined || this.#options.clock.now() < entry.quietFrom) return entry;
    this.#over(key, entry, 'has not failed again');
    return undefined;
  }

  #begin(step: Step, code: string, key: string): Entry {
    const { clock } = this.#options;
    const firstAt = clock.now();
    const counts = { failing: new Map<string, unknown>(), failureCount: 0, lastAt: firstAt, quietFrom: 0 };
    const entry = { step, code, firstAt, firstWallAt: clock.wallNow(), ...counts, told: false };
    this.#entries.set(key, entry);
    return entry;
  }

  #passed(key: string, entry: Entry, leaseKey: string): void {
    entry.failing.delete(leaseKey);
    if (entry.failing.size === 0) this.#over(key, entry);
  }

  /** Of what was told, the end is told. */
  #over(key: string, entry: Entry, how = 'works again'): void {
    this.#entries.delete(key);
    if (!entry.told) return;
    const { clock, logger } = this.#options;
    const { step, code, firstWallAt, failureCount } = entry;
    const fields = { step, code, since: new Date(firstWallAt), failureCount };
    logger.info({ ...fields, forMs: Math.round(clock.now() - entry.firstAt) }, `${inWords(step)} ${how}`);
  }

  #isTrouble({ failing, firstAt, lastAt }: Entry): boolean {
    const [error] = failing.values();
    if (!isRetryable(error) || codeOf(error) === 'CREDENTIALS_UNAVAILABLE') return true;
    return lastAt - firstAt >= this.#options.patienceMs;
  }
}

function troubleOf({ step, code, firstWallAt, failureCount, failing }: Entry): Trouble {
  // The first of many: what is said stays the same while all of them fail.
  const [[subject, error] = ['', undefined]] = failing;
  const { action, resource } = isShardlineError(error) && 'action' in error ? (error as OperatingError) : {};
  const since = new Date(firstWallAt);
  const leaseCount = step === FIND_STREAM ? 0 : failing.size - (failing.has('') ? 1 : 0);
  const subjects = leaseCount === 0 ? '' : ` for ${leaseCount > 1 ? `${leaseCount} shards, first ` : ''}${subject}`;
  const when = `${subjects} since ${since.toISOString()}`;
  const text =
    error instanceof HandlerThrew
      ? `the handler's ${error.word} throws${when}: ${thrownText(error.thrown)}; ${whatFollows(error)}`
      : `${inWords(step)} fails${when}: ${advice(error, action, resource)}`;
  return { step, code, action, resource, since, failureCount, leaseCount, text };
}

function advice(error: unknown, action: string | undefined, resource = 'its resource'): string {
  switch (codeOf(error)) {
    case 'CREDENTIALS_UNAVAILABLE':
      return (
        'the AWS credentials have expired, or their source does not answer. Renew them, or see to their source (profile, ' +
        'role, instance metadata, SSO); calls go on as soon as there are good ones'
      );
    case 'ACCESS_DENIED':
      if (isUnknownKey(awsCodeOf(error))) return `${KEY_NOT_ACCEPTED}. Put it right; it is tried again`;
      return `allow ${action ?? 'it'} on ${resource} to this worker's role; it is tried again`;
    case 'KEY_UNUSABLE':
      return `the KMS key of ${resource} must be there and enabled; it is tried again`;
    case 'THROTTLED':
      return action?.startsWith('kinesis:')
        ? `${resource} is asked more often than Kinesis allows, by all its readers together; it is tried again`
        : `${resource} needs more capacity; leases that cannot be renewed go to other workers`;
    case 'NO_ROOM_FOR_LEASES':
    case 'STREAM_REPLACED':
    case 'LEASE_TABLE_FORMAT':
      // They say themselves what is to be done.
      return messageOf(error);
    case 'STREAM_NOT_FOUND':
      return `${resource} is not there. Was it deleted? It is tried again`;
    default:
      return `no good answer${action === undefined ? '' : ` to ${action}`} (${messageOf(error)}); it is tried again`;
  }
}

function whatFollows({ word }: HandlerThrew): string {
  return word === 'shutdownRequested' ? 'the lease is given up all the same' : 'it is called again';
}

function serviceOf(step: Step): 'kinesis' | 'dynamodb' | 'none' {
  if (stepsOfKinesis.has(step)) return 'kinesis';
  return ['openShard', 'deliverBatch', 'drainShard', 'endShard', 'closeShard', 'placeLeases'].includes(step)
    ? 'none'
    : 'dynamodb';
}

function subjectOf(step: Step, leaseKey: string | undefined): string {
  return step === FIND_STREAM || stepsOfLeases.has(step) ? (leaseKey ?? '') : '';
}

function codeOf(error: unknown): string {
  if (isShardlineError(error)) return error.code;
  const cause = causeOf(error);
  return cause instanceof Error ? cause.name : typeof cause;
}

/** A failure that may pass by itself, as opposed to one that somebody has to do something about. */
function isRetryable(error: unknown): boolean {
  return isShardlineError(error) && error.retryable;
}
