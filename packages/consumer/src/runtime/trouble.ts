// A trouble in words: what does not work, since when, and what to do about it. One outage makes many steps fail; a probe is told of it
// once, with all that it stops. It remembers nothing.
import { httpStatusOf, isShardlineError, isUnknownKey, type OperatingError } from '@shardline/common';
import { awsCodeOf, KEY_NOT_ACCEPTED, messageOf } from '../aws-call.ts';
import { causeOf, HandlerThrew, thrownText } from './handler-threw.ts';
import { inWords, type Step } from './steps.ts';

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
  /** What is wrong and what to do, in a sentence made of the next two. */
  readonly text: string;
  /** What fails, and for whom. */
  readonly what: string;
  /** Why, and what to do. */
  readonly advice: string;
  /** The same for all that fails by the same thing. */
  readonly cause: string;
}

/** What fails, and how often it did. */
export interface Failing {
  readonly step: Step;
  readonly code: string;
  readonly firstWallAt: number;
  readonly failureCount: number;
  /** The first first, and with what: lease keys or streams, and '' for the worker itself. */
  readonly failing: ReadonlyMap<string, unknown>;
}

export function troubleOf({ step, code, firstWallAt, failureCount, failing }: Failing): Trouble {
  // The first of many: what is said stays the same while all of them fail.
  const [[subject, error] = ['', undefined]] = failing;
  const { action, resource } = isShardlineError(error) && 'action' in error ? (error as OperatingError) : {};
  const since = new Date(firstWallAt);
  const isOfStreams = step === 'findStream' || step === 'listShards';
  const leaseCount = isOfStreams ? 0 : failing.size - (failing.has('') ? 1 : 0);
  const subjects = leaseCount === 0 ? '' : ` for ${leaseCount > 1 ? `${leaseCount} shards, first ` : ''}${subject}`;
  const when = `since ${since.toISOString()}`;
  const fields = { step, code, action, resource, since, failureCount, leaseCount };
  if (error instanceof HandlerThrew) {
    const advice = `${thrownText(error.thrown)}; ${whatFollows(error)}`;
    const text = `the handler's ${error.word} throws${subjects} ${when}: ${advice}`;
    return { ...fields, text, what: `the handler's ${error.word}${subjects}`, advice, cause: text };
  }
  const what = `${inWords(step)}${subjects}`;
  const known = adviceOn(error, action, resource);
  const advice = known ?? `no good answer${action ? ` to ${action}` : ''} (${messageOf(error)}); it is tried again`;
  const text = `${inWords(step)} fails${subjects} ${when}: ${advice}`;
  return { ...fields, text, what, advice, cause: known ?? `no good answer of ${resource ?? step}` };
}

/** A sentence for each thing that is wrong, however many steps it makes fail. */
export function reasonsOf(troubles: readonly Trouble[]): string[] {
  const byCause = new Map<string, Trouble[]>();
  for (const trouble of troubles) {
    const same = byCause.get(trouble.cause);
    if (same === undefined) byCause.set(trouble.cause, [trouble]);
    else same.push(trouble);
  }
  return [...byCause.values()].map((same) => {
    const [first, ...others] = same.sort((a, b) => a.since.getTime() - b.since.getTime()) as [Trouble, ...Trouble[]];
    const last = others.pop();
    if (last === undefined) return first.text;
    const all = `${[first, ...others].map(({ what }) => what).join(', ')} and ${last.what}`;
    return `${all} fail since ${first.since.toISOString()}: ${first.advice}`;
  });
}

/** Undefined: there was no good answer, and no more is known. */
function adviceOn(error: unknown, action: string | undefined, resource = 'its resource'): string | undefined {
  switch (codeOf(error)) {
    case 'CREDENTIALS_UNAVAILABLE':
      return credentialsAdvice(error);
    case 'ACCESS_DENIED':
      if (isUnknownKey(awsCodeOf(error))) return `${KEY_NOT_ACCEPTED}. Put it right; it is tried again`;
      return `allow ${action ?? 'it'} on ${resource} to this worker's role; it is tried again`;
    case 'KEY_UNUSABLE':
      return `the KMS key of ${resource} must be there and enabled; it is tried again`;
    case 'THROTTLED':
      if (awsCodeOf(error) === 'KMSThrottlingException')
        return `the KMS key of ${resource} is used more often than KMS allows, by all that use it together; it is tried again`;
      return action?.startsWith('kinesis:')
        ? `${resource} is asked more often than Kinesis allows, by all its readers together; it is tried again`
        : `${resource} needs more capacity; leases that cannot be renewed go to other workers`;
    case 'SHARD_IN_USE':
      return (
        `somebody else subscribes by the same registered consumer, ${resource}, and each takes the shards from the other. Is it another ` +
        'application of that name, or a process of this one that reads on without the lease? Give each application a name or a ' +
        'consumerName of its own; it is tried again'
      );
    case 'TOO_MANY_CONSUMERS':
      return `${messageOf(error)}; it is tried again`;
    case 'NO_ROOM_FOR_LEASES':
    case 'STREAM_REPLACED':
    case 'LEASE_TABLE_FORMAT':
      // They say themselves what is to be done.
      return messageOf(error);
    case 'STREAMS_UNLISTED':
      return `${messageOf(error)}; what it listed last goes on, and it is asked again`;
    case 'STREAM_NOT_FOUND':
      return `${resource} is not there. Was it deleted? It is tried again`;
    default:
      return undefined;
  }
}

const SOURCES = 'profile, role, instance metadata, SSO';

/** Refused by the service, or never had: their source said why, or it said nothing at all. */
function credentialsAdvice(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  if (cause === undefined)
    return (
      `the source of the AWS credentials does not answer. See to it (${SOURCES}); calls go on as soon as it answers. The SDK asks it no ` +
      'second time before: where it never will, restart this process'
    );
  if (httpStatusOf(cause) === undefined)
    return `the source of the AWS credentials fails: ${thrownText(cause)}. See to it (${SOURCES}); calls go on as soon as there are good ones`;
  return `the AWS credentials have expired. Renew them, or see to their source (${SOURCES}); calls go on as soon as there are good ones`;
}

function whatFollows({ word }: HandlerThrew): string {
  return word === 'shutdownRequested' ? 'the lease is given up all the same' : 'it is called again';
}

/** An OperatingCode, or the name of what was thrown. */
export function codeOf(error: unknown): string {
  if (isShardlineError(error)) return error.code;
  const cause = causeOf(error);
  return cause instanceof Error ? cause.name : typeof cause;
}
