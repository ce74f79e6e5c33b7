// Sends PutRecords: after the collector, before the retrier. One of the two files that call AWS (the other is stream-reader.ts). It
// bounds the requests in flight, over all streams, and turns whatever happens into an Answer; it decides nothing and never throws.
// Invariants: at most maxRequestsInFlight requests are open; every request ends within requestTimeoutMs, of which a pause of the
// process counts as an eighth at most; an answer always has as many entries as the request had.
import { type KinesisClient, PutRecordsCommand, type PutRecordsResultEntry } from '@aws-sdk/client-kinesis';
import {
  type Clock,
  cannotBeHad,
  classifyAwsError,
  hasNeverLeft,
  httpStatusOf,
  type Logger,
  mayBeRenewed,
  messageOfAwsError,
  renewCredentials,
  type StreamIdentifier,
  setCredentialsTimer,
  setPatientTimer,
  streamAddress,
  whenAborted,
} from '@shardline/common';
import PQueue, { type QueueAddOptions } from 'p-queue';
import type { Answer, Entry, EntryAnswer } from './batch.ts';
import { meaningOf } from './error-meaning.ts';
import type { SentMemory } from './sent-memory.ts';
import { type TurnOptions, Turns } from './turns.ts';

export interface SenderOptions {
  readonly client: KinesisClient;
  /** Told who has seen what was sent. */
  readonly memory: Pick<SentMemory, 'sending'>;
  readonly clock: Clock;
  readonly maxRequestsInFlight: number;
  readonly requestTimeoutMs: number;
  readonly log: Logger;
}

const CREDENTIALS_FAIL =
  'the AWS credentials have expired or cannot be had: records are tried again until their recordTtlMs is over. Renew them where the SDK looks for them: environment, profile, SSO, instance or container metadata';

type RequestOptions = QueueAddOptions & TurnOptions;
type RequestQueue = Turns<() => Promise<unknown>>;

export class Sender {
  readonly #options: SenderOptions;
  readonly #queue: PQueue<RequestQueue, RequestOptions>;
  readonly #inFlight = new Set<AbortController>();
  /** Since the last answer of Kinesis. */
  #hasWarned = false;

  constructor(options: SenderOptions) {
    this.#options = options;
    this.#queue = new PQueue({ concurrency: options.maxRequestsInFlight, queueClass: Turns });
  }

  /** Waits for its turn, asks `begin` for the entries, and sends them. Undefined: there was nothing to send any more. Never rejects. */
  send(stream: StreamIdentifier, begin: () => readonly Entry[]): Promise<Answer | undefined> {
    const send = async (): Promise<Answer | undefined> => {
      const entries = begin();
      return entries.length === 0 ? undefined : await this.#putRecords(stream, entries);
    };
    return this.#queue.add(send, { line: stream.streamArn ?? stream.streamName });
  }

  /** Gives up the requests in flight and those that wait for their turn. */
  abort(): void {
    this.#queue.clear();
    for (const controller of this.#inFlight) controller.abort();
  }

  async #putRecords(stream: StreamIdentifier, entries: readonly Entry[]): Promise<Answer> {
    const { client, memory, clock, requestTimeoutMs } = this.#options;
    const command = new PutRecordsCommand({
      ...streamAddress(stream),
      // The SDK leaves out what is undefined.
      Records: entries.map(({ data, partitionKey, explicitHashKey }) => ({
        Data: data,
        PartitionKey: partitionKey,
        ExplicitHashKey: explicitHashKey,
      })),
    });
    const controller = new AbortController();
    let late = false;
    // An answer that waits for a busy process is no failure of Kinesis, which would be sent less for it.
    const giveUp = (): void => {
      late = true;
      controller.abort();
    };
    const stopTimer = setPatientTimer(clock, giveUp, requestTimeoutMs);
    let hangsMs: number | undefined;
    const stopCredentialsTimer = setCredentialsTimer(client, clock, requestTimeoutMs, (waitedMs) => {
      hangsMs = waitedMs;
      controller.abort();
    });
    this.#inFlight.add(controller);
    const sent = memory.sending(
      command,
      entries.map(({ data }) => data),
    );
    try {
      const answer = client.send(command, { abortSignal: controller.signal });
      // While the SDK waits for credentials it does not look at the signal.
      const { Records: results = [] } = await Promise.race([answer, whenAborted(controller.signal)]);
      this.#hasWarned = false;
      return readResults(results, entries.length);
    } catch (error) {
      if (late) return timedOut(requestTimeoutMs, error);
      if (hangsMs !== undefined) {
        this.#warnOfCredentials(error);
        return withoutCredentials(hangsMs, error);
      }
      return readError(error, await this.#areCredentialsAtFault(error));
    } finally {
      sent();
      this.#inFlight.delete(controller);
      stopTimer();
      stopCredentialsTimer();
    }
  }

  /** Refused for credentials that may be better soon: asks for them anew, and says once what to do. */
  async #areCredentialsAtFault(error: unknown): Promise<boolean> {
    const { client, clock } = this.#options;
    const { kind, code } = classifyAwsError(error);
    if (kind !== 'expired-credentials' && !(await mayBeRenewed(code, client, clock))) {
      // It may have been that, but not for certain: what was written stays unknown.
      if (await cannotBeHad(error, client, clock)) this.#warnOfCredentials(error);
      return false;
    }
    renewCredentials(client, clock);
    this.#warnOfCredentials(error);
    return true;
  }

  #warnOfCredentials(error: unknown): void {
    this.#options.log[this.#hasWarned ? 'debug' : 'warn']({ err: error }, CREDENTIALS_FAIL);
    this.#hasWarned = true;
  }
}

function readResults(results: readonly PutRecordsResultEntry[], entryCount: number): Answer {
  if (results.length !== entryCount) {
    const errorMessage = `${entryCount} records sent, ${results.length} results received`;
    return {
      kind: 'failed',
      errorCode: 'Record Count Mismatch',
      errorMessage,
      throttled: false,
      written: 'unknown',
      permanent: 'REQUEST_FAILED',
    };
  }
  return { kind: 'answered', entries: results.map(readResult) };
}

function readResult({ ShardId, SequenceNumber, ErrorCode, ErrorMessage }: PutRecordsResultEntry): EntryAnswer {
  if (ShardId !== undefined && SequenceNumber !== undefined) {
    return { kind: 'written', shardId: ShardId, sequenceNumber: SequenceNumber };
  }
  return { kind: 'refused', errorCode: ErrorCode ?? 'Unknown', errorMessage: ErrorMessage ?? 'no reason given' };
}

function timedOut(requestTimeoutMs: number, cause: unknown): Answer {
  const errorMessage = `no answer within requestTimeoutMs, ${requestTimeoutMs}`;
  return { kind: 'failed', errorCode: 'RequestTimeout', errorMessage, throttled: false, written: 'unknown', cause };
}

/** A client that tries again by itself may have sent it before it asked for them once more. */
function withoutCredentials(waitedMs: number, cause: unknown): Answer {
  const errorMessage = `the source of the AWS credentials has not answered for ${waitedMs} ms`;
  return { kind: 'failed', errorCode: 'CredentialsTimeout', errorMessage, throttled: false, written: 'unknown', cause };
}

/** What was refused for credentials is not permanent, whatever the service calls it: nothing was written, and it is tried again. */
function readError(cause: unknown, areCredentialsAtFault: boolean): Answer {
  const { kind, code } = classifyAwsError(cause);
  const { permanent, throttled } = meaningOf(code, areCredentialsAtFault ? 'expired-credentials' : kind);
  // An answer of the 4xx kind says that nothing was applied; without an answer, or with 5xx, nobody knows.
  const status = httpStatusOf(cause);
  const refused = status !== undefined && status >= 400 && status < 500;
  return {
    kind: 'failed',
    errorCode: code,
    errorMessage: messageOfAwsError(cause),
    throttled,
    written: refused || hasNeverLeft(cause) || areCredentialsAtFault ? 'no' : 'unknown',
    cause,
    ...(permanent === undefined ? {} : { permanent }),
  };
}
