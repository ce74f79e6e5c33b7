// Decides what an answer means for a Kinesis record, and holds what is to be sent again: after the sender, before the limiter.
// The one place where it is decided whether to try again (KPL retrier.cc, with these differences: back-off grows, permanent
// errors fail at once, and an aggregated record on a wrong shard is judged as a whole). Time to live is the pipeline's affair.
// Invariants: nothing permanent is retried; an aggregated record counts as delivered only on a shard whose range holds the hash
// keys of all its user records, because the KCL drops the whole of it for one stray (KCL AggregatorUtil).
import { backoffMs, type OperatingCode } from '@shardline/common';
import type { Answer, EntryAnswer, KinesisRecord } from './batch.ts';
import { meaningOf } from './error-meaning.ts';
import type { Attempt, Failure } from './put.ts';
import type { ShardMap } from './shard-map.ts';

export interface RetrierOptions {
  /** A throttled record fails at once instead of being tried again. */
  readonly failIfThrottled: boolean;
}

/** What is to be done with a Kinesis record. */
export type Verdict =
  /** Its user records have succeeded. */
  | { readonly kind: 'delivered'; readonly shardId: string; readonly sequenceNumber: string }
  /** Written to a shard that the map doesn't know: decided when the map has been read again. */
  | { readonly kind: 'undecided'; readonly shardId: string; readonly sequenceNumber: string }
  /** Written where the KCL would drop it: every user record is to be sent again. */
  | { readonly kind: 'misplaced'; readonly shardId: string; readonly sequenceNumber: string }
  | {
      readonly kind: 'retry';
      readonly attempt: FailedAttempt;
      readonly throttled: boolean;
      /** Kinesis itself failed, or did not answer. */
      readonly serviceFailed: boolean;
      readonly cause?: unknown;
    }
  | {
      readonly kind: 'failed';
      readonly attempt: FailedAttempt;
      readonly throttled: boolean;
      readonly failure: Failure;
    };

export interface FailedAttempt {
  readonly errorCode: string;
  readonly errorMessage: string;
  readonly written: Attempt['written'];
}

/** The bounds of the wait before the second attempt and before any later one; the wait itself is random below it (full jitter). */
const BACKOFF = { baseMs: 100, maxMs: 3_000 } as const;

interface Group {
  readonly dueAtMs: number;
  readonly kinesisRecords: readonly KinesisRecord[];
}

export class Retrier {
  readonly #failIfThrottled: boolean;
  #groups: Group[] = [];
  #dueAtMs = Number.POSITIVE_INFINITY;

  constructor({ failIfThrottled }: RetrierOptions) {
    this.#failIfThrottled = failIfThrottled;
  }

  /** Judges one entry of an answered request. */
  judge(kinesisRecord: KinesisRecord, answer: EntryAnswer, shardMap: ShardMap): Verdict {
    if (answer.kind === 'written') {
      const { shardId, sequenceNumber } = answer;
      return { kind: judgePlace(kinesisRecord, shardId, shardMap), shardId, sequenceNumber };
    }
    const { errorCode, errorMessage } = answer;
    const attempt: FailedAttempt = { errorCode, errorMessage, written: 'no' };
    const { permanent, throttled, serviceFailed } = meaningOf(errorCode);
    if (permanent !== undefined) {
      return { kind: 'failed', attempt, throttled, failure: permanentFailure(permanent, attempt) };
    }
    if (!throttled || !this.#failIfThrottled) {
      return { kind: 'retry', attempt, throttled, serviceFailed };
    }
    return { kind: 'failed', attempt, throttled, failure: throttledFailure(errorMessage) };
  }

  /** Judges a request that failed as a whole; holds for each of its entries. */
  judgeRequest(answer: Extract<Answer, { kind: 'failed' }>): Verdict {
    const { errorCode, errorMessage, written, throttled, permanent, cause } = answer;
    const attempt: FailedAttempt = { errorCode, errorMessage, written };
    if (permanent !== undefined) {
      return { kind: 'failed', attempt, throttled, failure: permanentFailure(permanent, attempt, cause) };
    }
    if (throttled && this.#failIfThrottled) {
      return { kind: 'failed', attempt, throttled, failure: throttledFailure(errorMessage, cause) };
    }
    return { kind: 'retry', attempt, throttled, serviceFailed: meaningOf(errorCode).serviceFailed, cause };
  }

  /**
   * Keeps Kinesis records of one request until their back-off is over. Those with equally many attempts behind them come back
   * together, so that they can be one request again. `random` is 0 ≤ x < 1.
   */
  put(kinesisRecords: readonly KinesisRecord[], nowMs: number, random: number): void {
    const byAttempts = new Map<number, KinesisRecord[]>();
    for (const kinesisRecord of kinesisRecords) {
      kinesisRecord.phase = 'backing-off';
      const group = byAttempts.get(kinesisRecord.attemptCount);
      if (group === undefined) byAttempts.set(kinesisRecord.attemptCount, [kinesisRecord]);
      else group.push(kinesisRecord);
    }
    for (const [attemptCount, group] of byAttempts) {
      const dueAtMs = nowMs + backoffMs(attemptCount, random, BACKOFF);
      this.#groups.push({ dueAtMs, kinesisRecords: group });
      this.#dueAtMs = Math.min(this.#dueAtMs, dueAtMs);
    }
  }

  /** When `expire` wants to be called; Infinity when nothing waits. */
  deadline(): number {
    return this.#dueAtMs;
  }

  /** What is to be tried again now, in the order in which it became due. */
  expire(nowMs: number): KinesisRecord[] {
    if (this.#dueAtMs > nowMs) return [];
    const due = this.#groups.filter((group) => group.dueAtMs <= nowMs).sort((a, b) => a.dueAtMs - b.dueAtMs);
    this.#groups = this.#groups.filter((group) => group.dueAtMs > nowMs);
    this.#dueAtMs = this.#groups.reduce((least, { dueAtMs }) => Math.min(least, dueAtMs), Number.POSITIVE_INFINITY);
    return due.flatMap((group) => group.kinesisRecords);
  }
}

/** A single record is never misplaced: Kinesis put it where its hash key belongs, and the KCL reads it as it is. */
function judgePlace(
  kinesisRecord: KinesisRecord,
  shardId: string,
  shardMap: ShardMap,
): 'delivered' | 'undecided' | 'misplaced' {
  if (!kinesisRecord.aggregated || shardId === kinesisRecord.shardId) return 'delivered';
  for (const record of kinesisRecord.records) {
    const inside = shardMap.contains(shardId, record.hashHex);
    if (inside === undefined) return 'undecided';
    if (!inside) return 'misplaced';
  }
  return 'delivered';
}

function permanentFailure(code: OperatingCode, attempt: FailedAttempt, cause?: unknown): Failure {
  const { errorCode, errorMessage } = attempt;
  return { code, message: `${errorCode}: ${errorMessage}`, retryable: false, cause };
}

function throttledFailure(message: string, cause?: unknown): Failure {
  return { code: 'THROTTLED', message, retryable: true, cause };
}
