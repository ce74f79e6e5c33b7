// What of this worker's doings fails and is tried again: remembered by what it is and why, so that a trouble that lasts is one line
// now and then, not one a try. What somebody has to see to is told at once; what may pass, only if it does not. It retries nothing.
// Invariant: bounded by the number of leases; a trouble is over when everything that failed has worked again or is gone.
import { type Clock, isShardlineError, type Logger } from '@shardline/common';
import { causeOf } from './handler-threw.ts';
import { inWords, isLeaderStep, type Step } from './steps.ts';
import { LONGEST_REST_MS, SubscriptionRests } from './subscription-rests.ts';
import { codeOf, type Failing, type Trouble, troubleOf } from './trouble.ts';

export interface FailuresOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** What may pass is a trouble only after so long. */
  readonly patienceMs: number;
}

interface Entry extends Failing {
  readonly firstAt: number;
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
const LEFT_WITH_THE_LEASES = 'has ended: the last lease that it failed for is no longer with this worker';
const LEFT_TO_ANOTHER = 'is left to the worker that leads now';
/** What the core asks for one lease, or one stream, at a time; of everything else a success means that it works. */
const stepsOfOne: ReadonlySet<Step> = new Set<Step>([
  'renewLease',
  'checkpointLease',
  'readLeases',
  'openShard',
  'fetchBatch',
  'drainShard',
  'endShard',
  'listShards',
]);
const stepsOfKinesis: ReadonlySet<Step> = new Set<Step>([
  'fetchBatch',
  'listShards',
  'refreshStreams',
  'findStream',
  'readStream',
]);

export class Failures {
  readonly #options: FailuresOptions;
  readonly #entries = new Map<string, Entry>();
  /** When a trouble was told last, over or not: one that comes and goes is not told each time it comes. */
  readonly #toldAt = new Map<string, number>();
  readonly #rests = new SubscriptionRests();

  constructor(options: FailuresOptions) {
    this.#options = options;
  }

  /** @param leaseKey the lease that it is about; of `findStream` and `listShards`, the stream. @param retryInMs when it is tried again. */
  failed(step: Step, leaseKey: string | undefined, error: unknown, retryInMs: number): void {
    const { clock, logger } = this.#options;
    const code = codeOf(error);
    const firstAt = code === 'SHARD_IN_USE' ? this.#rests.refused(leaseKey ?? '', clock.now()) : clock.now();
    if (code === 'SHARD_IN_USE' && clock.now() - firstAt < LONGEST_REST_MS) {
      const rests = 'the shard rests until its last subscription is 5 s old, as after a restart; it is tried again';
      logger[firstAt === clock.now() ? 'info' : 'debug']({ leaseKey, code, retryInMs, err: causeOf(error) }, rests);
      return;
    }
    const key = step === 'findStream' ? `${step} ${code} ${leaseKey}` : `${step} ${code}`;
    const entry = this.#present(key) ?? this.#begin(step, code, key, firstAt);
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
    if (this.#entries.size === 0 && this.#rests.areNone) return;
    const isIts = step !== 'fetchBatch' || this.#rests.read(leaseKey ?? '', this.#options.clock.now());
    for (const [key, entry] of this.#entries) {
      // One call that is answered shows that the credentials are good for all of its service.
      if (entry.code === 'CREDENTIALS_UNAVAILABLE' && serviceOf(entry.step) === serviceOf(step)) this.#over(key, entry);
      else if (entry.code === 'SHARD_IN_USE' && !isIts) this.#present(key);
      else if (entry.step === step) this.#passed(key, entry, subjectOf(step, leaseKey));
      else this.#present(key);
    }
  }

  /** The lease is no longer this worker's: nothing of it fails any more. */
  forget(leaseKey: string): void {
    this.#rests.forget(leaseKey);
    for (const [key, entry] of this.#entries) this.#passed(key, entry, leaseKey, LEFT_WITH_THE_LEASES);
  }

  /** Another worker leads: what the leader does is not this one's business any more, and nothing here will show it to work again. */
  anotherLeads(): void {
    for (const [key, entry] of this.#entries) if (isLeaderStep(entry.step)) this.#over(key, entry, LEFT_TO_ANOTHER);
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

  #begin(step: Step, code: string, key: string, firstAt: number): Entry {
    const { clock } = this.#options;
    const counts = { failing: new Map<string, unknown>(), failureCount: 0, lastAt: firstAt, quietFrom: 0 };
    const firstWallAt = clock.wallNow() - (clock.now() - firstAt);
    const entry = { step, code, firstAt, firstWallAt, ...counts, told: false };
    this.#entries.set(key, entry);
    return entry;
  }

  #passed(key: string, entry: Entry, leaseKey: string, how?: string): void {
    entry.failing.delete(leaseKey);
    if (entry.failing.size === 0) this.#over(key, entry, how);
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
    const code = codeOf(error);
    if (!isRetryable(error) || code === 'CREDENTIALS_UNAVAILABLE' || code === 'SHARD_IN_USE') return true;
    return lastAt - firstAt >= this.#options.patienceMs;
  }
}

function serviceOf(step: Step): 'kinesis' | 'dynamodb' | 'none' {
  if (stepsOfKinesis.has(step)) return 'kinesis';
  return ['openShard', 'deliverBatch', 'drainShard', 'endShard', 'closeShard', 'placeLeases'].includes(step)
    ? 'none'
    : 'dynamodb';
}

function subjectOf(step: Step, leaseKey: string | undefined): string {
  return step === 'findStream' || stepsOfOne.has(step) ? (leaseKey ?? '') : '';
}

/** A failure that may pass by itself, as opposed to one that somebody has to do something about. */
function isRetryable(error: unknown): boolean {
  return isShardlineError(error) && error.retryable;
}
