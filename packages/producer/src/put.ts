// What the application gives to a put and what it is told of it: the record, every attempt to deliver it, where it is in the stream or why it is
// not. At both ends of the records' way; the driver makes results and errors here. Pure.
// Invariant: an error holds its record, and shows it to no logger.
import { isShardlineError, type OperatingCode, OperatingError } from '@shardline/common';

/** What the application puts. */
export interface UserRecordInput {
  /** Name or ARN. Default: the producer's `stream`. */
  readonly stream?: string;
  /**
   * 1 to 256 UTF-16 units, well-formed (API_PutRecord; the KPL counts so too). May be left out on a stream whose record
   * distribution strategy is AUTO.
   */
  readonly partitionKey?: string;
  /** Bytes, or text that is sent as UTF-8. May be empty. Copied by put. */
  readonly data: Uint8Array | string;
  /** Overrides the hash of the partition key, which it needs: 0 to 2^128 − 1, as a bigint or as decimal text. */
  readonly explicitHashKey?: bigint | string;
}

/** One try to deliver a user record (KPL Attempt). */
export interface Attempt {
  /** From the put, or from the end of the attempt before, to the start of this one. */
  readonly delayMs: number;
  /** From the start of the request to its answer. */
  readonly durationMs: number;
  /** Absent when it succeeded: Kinesis's own code, the network's, or one of the KPL's words `Wrong Shard`, `Expired`. */
  readonly errorCode?: string;
  readonly errorMessage?: string;
  /** Whether this attempt put the record into the stream. `unknown`: the request left and no answer came. */
  readonly written: 'yes' | 'no' | 'unknown';
}

/** Where a user record is in the stream. */
export interface PutResult {
  readonly shardId: string;
  /** Of the Kinesis record; all user records of one aggregated record share it. */
  readonly sequenceNumber: string;
  /** The place inside the aggregated record, from 0; absent when the user record travelled alone. */
  readonly subSequenceNumber?: number;
  /** Every attempt, the last one being the one that succeeded. */
  readonly attempts: readonly Attempt[];
  /** An earlier attempt put it, or may have put it, into the stream too. */
  readonly duplicate: boolean;
}

/** Why a put failed. `code` and `retryable` as in OperatingError. */
export interface PutError extends OperatingError {
  /** Name or ARN of the stream, as the put or the producer named it. */
  readonly stream: string;
  /** The record, ready to be put again. Not enumerable, so that no logger writes it out. */
  readonly userRecord: UserRecordInput;
  /** Every attempt that was made. */
  readonly attempts: readonly Attempt[];
  /** True when the record is in the stream or may be, although the put failed. */
  readonly mayBeWritten: boolean;
}

/** What the pipeline says about records that failed; `putError` makes the error of each. */
export interface Failure {
  readonly code: OperatingCode;
  readonly message: string;
  readonly retryable: boolean;
  readonly cause?: unknown;
}

export const noAttempts: readonly Attempt[] = [];
/** Nobody is told. */
export const unheard: Settle = { onSuccess: () => undefined, onFailure: () => undefined };

/** Where an outcome is told: to a listener, or by a function that faces.ts knows how to call. */
export type Settle = Listener | ((end: never) => void);

export interface Listener {
  readonly onSuccess: (result: PutResult) => void;
  readonly onFailure: (error: PutError) => void;
}

/** Called once, with one of the two. */
export type OnSettled = (error: PutError | undefined, result: PutResult | undefined) => void;

/** What there is to know of a user record when it has arrived. */
export interface DeliveredRecord {
  readonly hasKey: boolean;
  readonly partitionKey: string;
  readonly sequence: number;
  readonly dataBytes: number;
  readonly sizeBytes: number;
  readonly putAtMs: number;
  readonly settle: Settle;
  /** Those that failed. */
  readonly attempts: readonly Attempt[];
  readonly lastEndMs: number;
  readonly mayBeWritten: boolean;
  /** The application has been told of it. */
  letGo(): void;
}

/** Those of a Kinesis record, in its order. What `at` gives holds until the next is asked for. */
export interface DeliveredRecords {
  readonly length: number;
  at(index: number): DeliveredRecord | undefined;
}

/** A record whose attempts are noted. */
interface Tried {
  readonly putAtMs: number;
  attempts: readonly Attempt[];
  lastEndMs: number;
  mayBeWritten: boolean;
}

/**
 * Notes an attempt that did not settle the records, which went together. Those that have gone together from the beginning share what is
 * noted: with something for each, a hundred thousand records that are refused for half a minute would need more memory for it than for
 * their data.
 */
export function noteAttempt(
  records: readonly Tried[],
  beganAtMs: number,
  endedAtMs: number,
  outcome: { readonly errorCode: string; readonly errorMessage: string; readonly written: Attempt['written'] },
): void {
  const lists = new AttemptLists(beganAtMs, { durationMs: endedAtMs - beganAtMs, ...outcome });
  for (const record of records) {
    record.attempts = lists.of(record);
    record.lastEndMs = endedAtMs;
    if (outcome.written !== 'no') record.mayBeWritten = true;
  }
}

/** What the attempts of a record are told from. */
type Waited = Pick<DeliveredRecord, 'attempts' | 'lastEndMs' | 'putAtMs' | 'mayBeWritten'>;

/** The attempts of records that were in one request, that one included: those with the same past share a list. */
class AttemptLists {
  readonly #beganAtMs: number;
  readonly #attempt: Omit<Attempt, 'delayMs'>;
  /** The last record's: its attempts before, how long it waited, and its attempts now. */
  #before: readonly Attempt[] | undefined = undefined;
  #delayMs = 0;
  #attempts = noAttempts;

  constructor(beganAtMs: number, attempt: Omit<Attempt, 'delayMs'>) {
    this.#beganAtMs = beganAtMs;
    this.#attempt = attempt;
  }

  of(record: Waited): readonly Attempt[] {
    const delayMs = this.#beganAtMs - startOfDelay(record);
    if (record.attempts !== this.#before || delayMs !== this.#delayMs) {
      this.#before = record.attempts;
      this.#delayMs = delayMs;
      this.#attempts = [...record.attempts, { delayMs, ...this.#attempt }];
    }
    return this.#attempts;
  }
}

/** When and where the request was answered that put a record into the stream. */
interface Arrival {
  readonly shardId: string;
  readonly sequenceNumber: string;
  readonly beganAtMs: number;
  readonly endedAtMs: number;
}

/** Makes the results of records that were written together: what befell them alike is said once. */
export class PutResults {
  readonly #arrival: Arrival;
  readonly #lists: AttemptLists;

  constructor(arrival: Arrival) {
    this.#arrival = arrival;
    const { beganAtMs, endedAtMs } = arrival;
    this.#lists = new AttemptLists(beganAtMs, { durationMs: endedAtMs - beganAtMs, written: 'yes' });
  }

  of(record: Waited, subSequenceNumber: number | undefined): PutResult {
    const { shardId, sequenceNumber } = this.#arrival;
    const attempts = this.#lists.of(record);
    const duplicate = record.mayBeWritten;
    return subSequenceNumber === undefined
      ? { shardId, sequenceNumber, attempts, duplicate }
      : { shardId, sequenceNumber, subSequenceNumber, attempts, duplicate };
  }
}

/** The error of a put that failed, with the record in hand. */
export function putError(
  failure: Failure,
  stream: string,
  userRecord: UserRecordInput,
  attempts: readonly Attempt[] = noAttempts,
  mayBeWritten = false,
): PutError {
  const { code, message, retryable, cause } = failure;
  const error = new OperatingError(code, message, { retryable, cause });
  // Not enumerable: a logger that serializes errors must not write out the application's data.
  Object.defineProperty(error, 'userRecord', { value: userRecord, enumerable: false });
  return Object.assign(error as OperatingError & Pick<PutError, 'userRecord'>, { stream, attempts, mayBeWritten });
}

/** Whether an error came from a put, and so holds its record. */
export function isPutError(error: unknown): error is PutError {
  return isShardlineError(error) && 'userRecord' in error && 'mayBeWritten' in error;
}

function startOfDelay({ lastEndMs, putAtMs }: Waited): number {
  return lastEndMs === -1 ? putAtMs : lastEndMs;
}
