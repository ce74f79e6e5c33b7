// What of this worker's doings fails and is tried again: remembered by what it is and why, so that a trouble that lasts is one line
// now and then, not one a try. What somebody has to see to is told at once; what may pass, only if it does not. It retries nothing.
// Invariant: bounded by the number of leases; a trouble is over when everything that failed has worked again or is gone.
import { type Clock, isShardlineError, type Logger, type OperatingError } from '@shardline/common';

export interface FailuresOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** What may pass is a trouble only after so long. */
  readonly patienceMs: number;
}

/** Something that does not work. */
export interface Trouble {
  /** What was tried: the name of an effect of the core. */
  readonly step: string;
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
  readonly step: string;
  readonly code: string;
  readonly firstAt: number;
  readonly firstWallAt: number;
  /** What fails: lease keys, and '' for the worker itself. */
  readonly failing: Set<string>;
  failureCount: number;
  lastAt: number;
  quietFrom: number;
  error: unknown;
  toldAt: number | undefined;
}

/** Between two lines about one trouble. */
const TELL_INTERVAL_MS = 60_000;
/** What has not failed for so long after it should have been tried again is over; not everything is tried again. */
const QUIET_MS = 60_000;
/** What the core asks for one lease at a time; of everything else a success means that it works. */
const stepsOfLeases: ReadonlySet<string> = new Set([
  'renewLease',
  'checkpointLease',
  'readLeases',
  'openShard',
  'fetchBatch',
  'drainShard',
  'endShard',
]);
/** What is asked of each stream of several, under the name that the application gives it, and told of each. */
const FIND_STREAM = 'findStream';

export class Failures {
  readonly #options: FailuresOptions;
  readonly #entries = new Map<string, Entry>();
  /** When a trouble that is over was told last: one that comes and goes is not told each time it comes. */
  readonly #toldAt = new Map<string, number>();

  constructor(options: FailuresOptions) {
    this.#options = options;
  }

  /** @param leaseKey the lease that it is about; of `findStream`, the stream. @param retryInMs when it is tried again. */
  failed(step: string, leaseKey: string | undefined, error: unknown, retryInMs: number): void {
    const { clock, logger } = this.#options;
    const code = codeOf(error);
    const key = step === FIND_STREAM ? `${step} ${code} ${leaseKey}` : `${step} ${code}`;
    const entry = this.#present(key) ?? this.#begin(step, code, key);
    entry.failing.add(subjectOf(step, leaseKey));
    entry.failureCount += 1;
    entry.lastAt = clock.now();
    entry.quietFrom = entry.lastAt + retryInMs + QUIET_MS;
    entry.error = error;
    const { text, ...fields } = troubleOf(entry);
    const forMs = Math.round(clock.now() - entry.firstAt);
    const line = { ...fields, forMs, leaseKey, retryInMs, err: error };
    if (!this.#isTrouble(entry)) {
      if (entry.failureCount === 1) logger.info(line, `${step} failed and is tried again`);
      else logger.debug(line, `${step} failed and is tried again`);
    } else if (clock.now() >= (entry.toldAt ?? this.#toldAt.get(key) ?? Number.NEGATIVE_INFINITY) + TELL_INTERVAL_MS) {
      entry.toldAt = clock.now();
      this.#toldAt.set(key, entry.toldAt);
      const isPassing = isRetryable(error);
      logger[isPassing ? 'warn' : 'error'](line, text);
    }
  }

  worked(step: string, leaseKey: string | undefined): void {
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

  #begin(step: string, code: string, key: string): Entry {
    const { clock } = this.#options;
    const firstAt = clock.now();
    const counts = { failing: new Set<string>(), failureCount: 0, lastAt: firstAt, quietFrom: 0 };
    const entry = { step, code, firstAt, firstWallAt: clock.wallNow(), ...counts, error: undefined, toldAt: undefined };
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
    if (entry.toldAt === undefined) return;
    const { clock, logger } = this.#options;
    const { text: _, ...fields } = troubleOf(entry);
    logger.info({ ...fields, forMs: Math.round(clock.now() - entry.firstAt) }, `${entry.step} ${how}`);
  }

  #isTrouble({ error, firstAt, lastAt }: Entry): boolean {
    if (!isRetryable(error) || codeOf(error) === 'CREDENTIALS_UNAVAILABLE') return true;
    return lastAt - firstAt >= this.#options.patienceMs;
  }
}

function troubleOf({ step, code, error, firstWallAt, failureCount, failing }: Entry): Trouble {
  const { action, resource } = isShardlineError(error) && 'action' in error ? (error as OperatingError) : {};
  const since = new Date(firstWallAt);
  const leaseCount = step === FIND_STREAM ? 0 : failing.size - (failing.has('') ? 1 : 0);
  const text = `${step} fails since ${since.toISOString()}: ${advice(error, action, resource)}`;
  return { step, code, action, resource, since, failureCount, leaseCount, text };
}

function advice(error: unknown, action = 'it', resource = 'its resource'): string {
  switch (codeOf(error)) {
    case 'CREDENTIALS_UNAVAILABLE':
      return (
        'the AWS credentials have expired, or their source does not answer. Renew them, or see to their source (profile, ' +
        'role, instance metadata, SSO); calls go on as soon as there are good ones'
      );
    case 'ACCESS_DENIED':
      return `allow ${action} on ${resource} to this worker's role; it is tried again`;
    case 'KEY_UNUSABLE':
      return `the KMS key of ${resource} must be there and enabled; it is tried again`;
    case 'THROTTLED':
      return action.startsWith('kinesis:')
        ? `${resource} is asked more often than Kinesis allows, by all its readers together; it is tried again`
        : `${resource} needs more capacity; leases that cannot be renewed go to other workers`;
    case 'STREAM_REPLACED':
      // One stream and one of several want different things done.
      return messageOf(error);
    case 'STREAM_NOT_FOUND':
      return `${resource} is not there. Was it deleted? It is tried again`;
    default:
      return `no good answer to ${action} (${messageOf(error)}); it is tried again`;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function serviceOf(step: string): 'kinesis' | 'dynamodb' | 'none' {
  if (step === 'fetchBatch' || step === 'listShards' || step === 'refreshStreams') return 'kinesis';
  return ['openShard', 'deliverBatch', 'drainShard', 'endShard', 'closeShard'].includes(step) ? 'none' : 'dynamodb';
}

function subjectOf(step: string, leaseKey: string | undefined): string {
  return step === FIND_STREAM || stepsOfLeases.has(step) ? (leaseKey ?? '') : '';
}

function codeOf(error: unknown): string {
  if (isShardlineError(error)) return error.code;
  return error instanceof Error ? error.name : typeof error;
}

/** A failure that may pass by itself, as opposed to one that somebody has to do something about. */
function isRetryable(error: unknown): boolean {
  return isShardlineError(error) && error.retryable;
}
