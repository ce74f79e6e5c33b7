// What the user's handler threw, on its way from the call to whoever tells of it. Invariant: it is told from a failure of ours all
// the way, whatever it looks like: a handler may throw errors of Shardline's own making, too.
import { messageOf } from '../aws-call.ts';
import type { ShardHandler, UserRecord } from '../handler.ts';

/** What of the user's is called. */
export type HandlerWord = keyof ShardHandler | 'createHandler' | 'onFailure';

/** The records that a call did not finish: where to look for what it threw at. As a log line's fields. */
export interface Unfinished {
  readonly stream: string;
  readonly shard: string;
  readonly recordCount: number;
  /** Of the first of them; undefined in the call that ends a tumbling window, which has none. */
  readonly sequenceNumber?: string;
  /** Of one that came in an aggregated record. */
  readonly subSequenceNumber?: number;
  /** Where there is but one. */
  readonly partitionKey?: string;
}

export function unfinishedOf(stream: string, shard: string, records: readonly UserRecord[]): Unfinished {
  const [first] = records;
  const base = { stream, shard, recordCount: records.length };
  if (first === undefined) return base;
  const { sequenceNumber, subSequenceNumber, aggregated, partitionKey } = first;
  const place = aggregated ? { sequenceNumber, subSequenceNumber } : { sequenceNumber };
  return { ...base, ...place, ...(records.length === 1 && { partitionKey }) };
}

/** Wraps what a word of the handler threw. */
export class HandlerThrew extends Error {
  readonly word: HandlerWord;
  readonly thrown: unknown;
  /** Undefined for a word that is given no records. */
  readonly unfinished: Unfinished | undefined;

  constructor(word: HandlerWord, thrown: unknown, unfinished?: Unfinished) {
    super(`the handler's ${word} threw`);
    this.word = word;
    this.thrown = thrown;
    this.unfinished = unfinished;
  }
}

/** `TypeError: x is undefined`: what was thrown, for people. */
export function thrownText(thrown: unknown): string {
  return `${thrown instanceof Error ? thrown.name : typeof thrown}: ${messageOf(thrown)}`;
}

/** What a batch failed by last, in words, and who threw it: the handler, or `onFailure`, which its records were handed to. */
export interface Thrown {
  readonly by: 'handler' | 'onFailure';
  readonly text: string;
}

export function thrownBy(error: unknown): Thrown {
  const by = error instanceof HandlerThrew && error.word === 'onFailure' ? 'onFailure' : 'handler';
  return { by, text: thrownText(causeOf(error)) };
}

/** What was thrown in the first place. */
export function causeOf(error: unknown): unknown {
  return error instanceof HandlerThrew ? error.thrown : error;
}
