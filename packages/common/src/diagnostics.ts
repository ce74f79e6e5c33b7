// Every diagnostics_channel name in one file, each with the type of its message. For tracing and tests from outside: a
// subscriber sees what happened, it can't change it. Nothing is built for a channel that nobody listens to, so a caller asks
// `hasSubscribers` before it makes the message. Times are the port's clock in ms, ids are as Kinesis writes them.
import { channel, subscribe, unsubscribe } from 'node:diagnostics_channel';

/** Messages by channel name: what the producer publishes. `producer` is its id, unique in the process; `streamArn` is there when the stream was given by it. */
export interface ProducerDiagnostics {
  /** A user record was admitted. */
  'shardline:producer:put': {
    producer: string;
    stream: string;
    streamArn?: string;
    partitionKey?: string;
    dataBytes: number;
  };
  /** User records were closed into one Kinesis record. */
  'shardline:producer:aggregate': {
    producer: string;
    stream: string;
    streamArn?: string;
    shardId?: string;
    userRecordCount: number;
    sizeBytes: number;
  };
  /** A PutRecords request leaves. */
  'shardline:producer:request': {
    producer: string;
    stream: string;
    streamArn?: string;
    requestId: number;
    kinesisRecordCount: number;
    userRecordCount: number;
    sizeBytes: number;
  };
  /** A PutRecords request was answered or failed; `errorCode` only for the request as a whole. */
  'shardline:producer:attempt': {
    producer: string;
    stream: string;
    streamArn?: string;
    requestId: number;
    durationMs: number;
    succeededCount: number;
    failedCount: number;
    errorCode?: string;
  };
  /** Kinesis refused records for their rate. */
  'shardline:producer:throttle': {
    producer: string;
    stream: string;
    streamArn?: string;
    shardId?: string;
    kinesisRecordCount: number;
    /** What the producer gives the shard from now on, of its quota; of an AUTO stream, of all of its shards. */
    ratePercent?: number;
  };
  /** The shard map changed its state. */
  'shardline:producer:shard-map': {
    producer: string;
    stream: string;
    streamArn?: string;
    state: 'updating' | 'ready' | 'failed';
    openShardCount: number;
    cause?: unknown;
  };
  /** How the stream gives records to shards has become known, or another way; `unknown`: it could not be asked. */
  'shardline:producer:strategy': {
    producer: string;
    stream: string;
    strategy: 'AUTO' | 'USER_PARTITION_KEY' | 'unknown';
  };
  /** A user record's promise settled. */
  'shardline:producer:settle': {
    producer: string;
    stream: string;
    streamArn?: string;
    /** Absent where the application gave none. */
    partitionKey?: string;
    outcome: 'succeeded' | 'failed';
    attemptCount: number;
    elapsedMs: number;
    shardId?: string;
    sequenceNumber?: string;
    errorCode?: string;
  };
}

/** Messages by channel name: what the consumer publishes. */
export interface ConsumerDiagnostics {
  /** A tenure began: this worker holds the lease now. */
  'shardline:consumer:lease-begun': {
    application: string;
    worker: string;
    leaseKey: string;
    checkpoint: string;
    /** As in the handler's context. */
    fencingToken: number;
  };
  /**
   * A tenure ended without this worker's will. `how`: the row was deleted, made unreadable, taken by worker `by` (or from everybody), given to `to`
   * because a handoff took too long, or written by somebody else in this worker's own name.
   */
  'shardline:consumer:lease-lost': {
    application: string;
    worker: string;
    leaseKey: string;
    reason: string;
    how?: 'deleted' | 'unreadable' | 'taken' | 'handedOver' | 'ownId';
    by?: string | undefined;
    to?: string;
  };
  /** A tenure ended by handing the lease to `to`, or to nobody. */
  'shardline:consumer:lease-handed-off': { application: string; worker: string; leaseKey: string; to?: string };
  /** Kinesis records arrived from a shard. */
  'shardline:consumer:batch-fetched': {
    application: string;
    worker: string;
    leaseKey: string;
    kinesisRecordCount: number;
    userRecordCount: number;
    corruptCount: number;
    /** User records whose hash key lies outside the shard's range. */
    strayCount: number;
    droppedCount: number;
    millisBehindLatest?: number;
  };
  /**
   * Records may be lost: the one last read is no longer in the stream, so what followed it may be gone too, up to the first that could be
   * read. Both are sequence numbers; without `before` no record is left of the shard, which ends. `away`: `after` is the checkpoint that a
   * tenure began at, as of a consumer that was away for longer than the stream's retention; `behind`: records expire before this reader
   * comes to them. Whether any did nobody can say: they are gone.
   */
  'shardline:consumer:gap': {
    application: string;
    worker: string;
    leaseKey: string;
    cause: 'away' | 'behind';
    after: string;
    before?: string;
  };
  /**
   * A lease did not get on for long (`stalled`), was given up for it (`givenUp`), its handler did not return although its signal
   * was aborted (`stuck`: only the end of the process frees the shard), or it gets on again (`over`). `reason`: what is waited for.
   * `position`: behind which the shard is read, up to which the handler was given records, or which is not written; `recordCount`
   * and `byteCount` are those of the batch in the handler, `word` the handler's word that has not returned.
   */
  'shardline:consumer:stall': {
    application: string;
    worker: string;
    leaseKey: string;
    state: 'stalled' | 'givenUp' | 'stuck' | 'over';
    reason: 'read' | 'handler' | 'checkpoint';
    since: Date;
    /** Time in which the process ran. */
    forMs: number;
    position: string;
    recordCount?: number;
    byteCount?: number;
    word?: string;
    holdsLease: boolean;
  };
  /**
   * The process's thread came `delayMs` late to look after itself, by a third of the failover time or more: the event loop was
   * blocked, or the process suspended. `handlers`: calls of the user's handler that ran meanwhile, the longest in one piece first.
   */
  'shardline:consumer:event-loop-delayed': {
    application: string;
    worker: string;
    cause: 'blocked' | 'suspended';
    delayMs: number;
    handlers: readonly { readonly leaseKey: string; readonly word: string; readonly synchronousMs: number }[];
  };
  /**
   * The leases are those of an earlier stream of the same name: the stream was deleted and made again. `strayKeys`: others, of shards that this
   * stream never had: they are of the earlier one, or the table was written for another stream; they stay unless `onStreamRecreated` says
   * otherwise. `anewCount`: leases that begin anew, 0 unless it does; `renewedBy`: Java workers that renew some of all these, which are left
   * alone.
   */
  'shardline:consumer:stream-replaced': {
    application: string;
    worker: string;
    leaseKeys: readonly string[];
    strayKeys: readonly string[];
    anewCount: number;
    renewedBy: readonly string[];
  };
  /** The user's handler finished with a batch or threw. */
  'shardline:consumer:batch-handled': {
    application: string;
    worker: string;
    leaseKey: string;
    userRecordCount: number;
    durationMs: number;
    outcome: 'handled' | 'threw';
    cause?: unknown;
  };
  /**
   * User records from `sequenceNumber` on reached a limit of retries (`maxRetryAttempts` or `maxRecordAgeMs`): they were handed over to
   * `onFailure`, or, as there is none, the shard has stopped at them.
   */
  'shardline:consumer:records-given-up': {
    application: string;
    worker: string;
    leaseKey: string;
    sequenceNumber: string;
    subSequenceNumber: number;
    userRecordCount: number;
    attempts: number;
    limit: 'attempts' | 'age';
    outcome: 'handedOver' | 'stopped';
    cause: unknown;
  };
  /** User records that the application's filter keeps from its handler. They count as finished. */
  'shardline:consumer:records-filtered-out': {
    application: string;
    worker: string;
    leaseKey: string;
    userRecordCount: number;
  };
  /**
   * An operator's word was heeded. Without `leaseKeys` it is about all leases, those that come later among them; `retry` names those that are
   * tried again. `replay` names one, once the earlier checkpoint is written: the shard is read again from behind `checkpoint` (a sequence
   * number and a sub-sequence number, `-1`: with its first user record, or `TRIM_HORIZON`); `handOff` one, once
   * another worker has it: `to`. A word that changes nothing is not told.
   */
  'shardline:consumer:controlled': {
    application: string;
    worker: string;
    what: 'pause' | 'resume' | 'retry' | 'accept' | 'replay' | 'handOff';
    leaseKeys?: readonly string[];
    checkpoint?: string;
    to?: string;
  };
  /** A checkpoint write was answered. */
  'shardline:consumer:checkpoint': {
    application: string;
    worker: string;
    leaseKey: string;
    checkpoint: string;
    outcome: 'written' | 'refused' | 'failed';
  };
  /** A shard was read to its end. */
  'shardline:consumer:shard-ended': {
    application: string;
    worker: string;
    leaseKey: string;
    childShardIds: readonly string[];
  };
  /** This worker became the leader, or ceased to be. */
  'shardline:consumer:leader-elected': { application: string; worker: string; leader: boolean };
  /**
   * This worker leads, and gives away the leases of one that has not renewed them for `silentMs`: it died, is suspended, or cannot
   * write. Of keys and of `heirs`, who get them, those with the most first, 20 at most are named.
   */
  'shardline:consumer:worker-silent': {
    application: string;
    worker: string;
    silentWorker: string;
    silentMs: number;
    leaseCount: number;
    leaseKeys: readonly string[];
    heirs: readonly { readonly worker: string; readonly leaseCount: number }[];
    heirCount: number;
  };
  /** An effect of the coordination failed; the worker goes on. `step` names the effect. */
  'shardline:consumer:step-error': { application: string; worker: string; step: string; cause: unknown };
}

/** Every message by its channel's name. */
export interface Diagnostics extends ProducerDiagnostics, ConsumerDiagnostics {}

export type DiagnosticName = keyof Diagnostics;

/** A channel with its message's type. Ask `hasSubscribers` before building the message. */
export interface DiagnosticChannel<Name extends DiagnosticName> {
  readonly name: string | symbol;
  readonly hasSubscribers: boolean;
  publish(message: Readonly<Diagnostics[Name]>): void;
}

const open = <Name extends DiagnosticName>(name: Name): DiagnosticChannel<Name> => channel(name);

/** The producer's channels. */
export const producerDiagnostics: {
  readonly put: DiagnosticChannel<'shardline:producer:put'>;
  readonly aggregate: DiagnosticChannel<'shardline:producer:aggregate'>;
  readonly request: DiagnosticChannel<'shardline:producer:request'>;
  readonly attempt: DiagnosticChannel<'shardline:producer:attempt'>;
  readonly throttle: DiagnosticChannel<'shardline:producer:throttle'>;
  readonly shardMap: DiagnosticChannel<'shardline:producer:shard-map'>;
  readonly strategy: DiagnosticChannel<'shardline:producer:strategy'>;
  readonly settle: DiagnosticChannel<'shardline:producer:settle'>;
} = {
  put: open('shardline:producer:put'),
  aggregate: open('shardline:producer:aggregate'),
  request: open('shardline:producer:request'),
  attempt: open('shardline:producer:attempt'),
  throttle: open('shardline:producer:throttle'),
  shardMap: open('shardline:producer:shard-map'),
  strategy: open('shardline:producer:strategy'),
  settle: open('shardline:producer:settle'),
};

/** The consumer's channels. */
export const consumerDiagnostics: {
  readonly leaseBegun: DiagnosticChannel<'shardline:consumer:lease-begun'>;
  readonly leaseLost: DiagnosticChannel<'shardline:consumer:lease-lost'>;
  readonly leaseHandedOff: DiagnosticChannel<'shardline:consumer:lease-handed-off'>;
  readonly batchFetched: DiagnosticChannel<'shardline:consumer:batch-fetched'>;
  readonly gap: DiagnosticChannel<'shardline:consumer:gap'>;
  readonly stall: DiagnosticChannel<'shardline:consumer:stall'>;
  readonly eventLoopDelayed: DiagnosticChannel<'shardline:consumer:event-loop-delayed'>;
  readonly streamReplaced: DiagnosticChannel<'shardline:consumer:stream-replaced'>;
  readonly batchHandled: DiagnosticChannel<'shardline:consumer:batch-handled'>;
  readonly recordsGivenUp: DiagnosticChannel<'shardline:consumer:records-given-up'>;
  readonly recordsFilteredOut: DiagnosticChannel<'shardline:consumer:records-filtered-out'>;
  readonly controlled: DiagnosticChannel<'shardline:consumer:controlled'>;
  readonly checkpoint: DiagnosticChannel<'shardline:consumer:checkpoint'>;
  readonly shardEnded: DiagnosticChannel<'shardline:consumer:shard-ended'>;
  readonly leaderElected: DiagnosticChannel<'shardline:consumer:leader-elected'>;
  readonly workerSilent: DiagnosticChannel<'shardline:consumer:worker-silent'>;
  readonly stepError: DiagnosticChannel<'shardline:consumer:step-error'>;
} = {
  leaseBegun: open('shardline:consumer:lease-begun'),
  leaseLost: open('shardline:consumer:lease-lost'),
  leaseHandedOff: open('shardline:consumer:lease-handed-off'),
  batchFetched: open('shardline:consumer:batch-fetched'),
  gap: open('shardline:consumer:gap'),
  stall: open('shardline:consumer:stall'),
  eventLoopDelayed: open('shardline:consumer:event-loop-delayed'),
  streamReplaced: open('shardline:consumer:stream-replaced'),
  batchHandled: open('shardline:consumer:batch-handled'),
  recordsGivenUp: open('shardline:consumer:records-given-up'),
  recordsFilteredOut: open('shardline:consumer:records-filtered-out'),
  controlled: open('shardline:consumer:controlled'),
  checkpoint: open('shardline:consumer:checkpoint'),
  shardEnded: open('shardline:consumer:shard-ended'),
  leaderElected: open('shardline:consumer:leader-elected'),
  workerSilent: open('shardline:consumer:worker-silent'),
  stepError: open('shardline:consumer:step-error'),
};

/** Listens to one channel; the returned function stops. The listener runs inside the publishing call, so keep it short. */
export function onDiagnostic<Name extends DiagnosticName>(
  name: Name,
  listener: (message: Readonly<Diagnostics[Name]>) => void,
): () => void {
  const onMessage = (message: unknown): void => listener(message as Diagnostics[Name]);
  subscribe(name, onMessage);
  return () => {
    unsubscribe(name, onMessage);
  };
}
