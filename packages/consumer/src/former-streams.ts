// The options about streams that an application of several reads no longer: part of `options.ts`, with the names of the KCL's
// FormerStreamsLeasesDeletionStrategy. Their leases are positions that nobody can restore, so the default keeps them.
import { describe, parseMultiStream, UsageError } from '@shardline/common';
import { listedBy } from './stream-options.ts';

const strategies = [
  'NO_STREAMS_LEASES_DELETION',
  'FORMER_STREAMS_AUTO_DETECTION_DEFERRED_DELETION',
  'PROVIDED_STREAMS_DEFERRED_DELETION',
] as const;

export type FormerStreamsLeasesDeletionStrategy = (typeof strategies)[number];

export interface FormerStreamsOptions {
  /**
   * How long the leases of a stream are kept that `streams` lists no longer, ms; then they are deleted, and a stream that comes
   * back begins anew. From 0, default for ever.
   */
  readonly formerStreamsWaitMs?: number;
  /**
   * Whose leases are deleted after `formerStreamsWaitMs`: nobody's; those of every stream that `streams` lists no longer; of these only
   * those that `formerStreams` names. Default: the first, or the second where `formerStreamsWaitMs` is given, without which no lease goes.
   */
  readonly formerStreamsLeasesDeletionStrategy?: FormerStreamsLeasesDeletionStrategy;
  /** With PROVIDED_STREAMS_DEFERRED_DELETION: streams as `account:name:epoch`, asked for every `streamsIntervalMs`. */
  readonly formerStreams?: () => readonly string[] | Promise<readonly string[]>;
}

/** Which former streams' leases may go: none, all, or those of these streams. */
export type FormerStreams = 'none' | 'all' | readonly string[];

/** @throws UsageError naming the option, what it must be and what it is. */
export function readFormerStreams(options: FormerStreamsOptions): () => Promise<FormerStreams> {
  const byDefault = options.formerStreamsWaitMs === undefined ? strategies[0] : strategies[1];
  const { formerStreamsLeasesDeletionStrategy: strategy = byDefault, formerStreams } = options;
  if (!strategies.includes(strategy)) {
    const expected = strategies.map((each) => `'${each}'`).join(', ');
    throw new UsageError('formerStreamsLeasesDeletionStrategy', `one of ${expected}`, describe(strategy));
  }
  const { formerStreamsWaitMs } = options;
  if (strategy !== 'NO_STREAMS_LEASES_DELETION' && formerStreamsWaitMs === undefined) {
    const expected = `to be given with formerStreamsLeasesDeletionStrategy '${strategy}': without it leases are kept for ever`;
    throw new UsageError('formerStreamsWaitMs', expected, describe(formerStreamsWaitMs));
  }
  if (strategy !== 'PROVIDED_STREAMS_DEFERRED_DELETION') {
    if (formerStreams === undefined) return async () => (strategy === 'NO_STREAMS_LEASES_DELETION' ? 'none' : 'all');
    const expected = "to be given with formerStreamsLeasesDeletionStrategy 'PROVIDED_STREAMS_DEFERRED_DELETION' alone";
    throw new UsageError('formerStreams', expected, describe(strategy));
  }
  if (typeof formerStreams !== 'function') {
    throw new UsageError('formerStreams', 'a function that lists streams', describe(formerStreams));
  }
  return async () => readIdentifiers(await listedBy('formerStreams', formerStreams));
}

function readIdentifiers(listed: unknown): readonly string[] {
  if (!Array.isArray(listed)) throw new UsageError('formerStreams', 'a function that gives an array', describe(listed));
  for (const [index, each] of listed.entries()) parseMultiStream(each as string, `formerStreams[${index}]`);
  return listed as string[];
}
