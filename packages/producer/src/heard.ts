// A number for who is to be told of a user record, and under which name of its stream it was put: nearly all that are put one after the other are
// alike in that, so that a Kinesis record needs to note it for each only once two of its own differ. Pure.
// Invariant: two with one number, which is not UNLIKE, are alike.
import type { Settle } from './put.ts';
import type { UserRecord } from './user-record.ts';

/** Of one that is taken for unlike all others. */
export const UNLIKE = 0;
/** Numbers are kept as 32 bits. */
const MOST = 2 ** 31 - 1;

export class Heard {
  #settle: Settle | undefined = undefined;
  #stream: string | undefined = undefined;
  #number = UNLIKE;
  #count = 0;

  of({ settle, stream }: UserRecord): number {
    // A promise has a function of its own.
    if (typeof settle === 'function') return UNLIKE;
    if (settle === this.#settle && stream === this.#stream) return this.#number;
    this.#settle = settle;
    this.#stream = stream;
    this.#number = this.#count < MOST ? ++this.#count : UNLIKE;
    return this.#number;
  }
}
