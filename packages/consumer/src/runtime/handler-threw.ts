// What the user's handler threw, on its way from the call to whoever tells of it. Invariant: it is told from a failure of ours all
// the way, whatever it looks like: a handler may throw errors of Shardline's own making, too.
import { messageOf } from '../aws-call.ts';

/** Wraps what a word of the handler threw. */
export class HandlerThrew extends Error {
  /** The handler's word: `initialize`. */
  readonly word: string;
  readonly thrown: unknown;

  constructor(word: string, thrown: unknown) {
    super(`the handler's ${word} threw`);
    this.word = word;
    this.thrown = thrown;
  }
}

/** `TypeError: x is undefined`: what was thrown, for people. */
export function thrownText(thrown: unknown): string {
  return `${thrown instanceof Error ? thrown.name : typeof thrown}: ${messageOf(thrown)}`;
}

/** What was thrown in the first place. */
export function causeOf(error: unknown): unknown {
  return error instanceof HandlerThrew ? error.thrown : error;
}
