// What the user's handler threw, on its way from the call to whoever tells of it. Invariant: it is told from a failure of ours all
// the way, whatever it looks like: a handler may throw errors of Shardline's own making, too.
import { messageOf } from '../aws-call.ts';
import type { ShardHandler } from '../handler.ts';

/** What of the user's is called. */
export type HandlerWord = keyof ShardHandler | 'createHandler' | 'onFailure';

/** Wraps what a word of the handler threw. */
export class HandlerThrew extends Error {
  readonly word: HandlerWord;
  readonly thrown: unknown;

  constructor(word: HandlerWord, thrown: unknown) {
    super(`the handler's ${word} threw`);
    this.word = word;
    this.thrown = thrown;
  }
}

/** `TypeError: x is undefined`: what was thrown, for people. */
export function thrownText(thrown: unknown): string {
  return `${thrown instanceof Error ? thrown.name : typeof thrown}: ${messageOf(thrown)}`;
}

/** The same, with who threw it where that is not the handler. */
export function thrownBy(error: unknown): string {
  const text = thrownText(causeOf(error));
  return error instanceof HandlerThrew && error.word === 'onFailure' ? `onFailure threw ${text}` : text;
}

/** What was thrown in the first place. */
export function causeOf(error: unknown): unknown {
  return error instanceof HandlerThrew ? error.thrown : error;
}
