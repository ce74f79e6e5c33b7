// The port through which the runtime reaches the lease table: every table effect of the core, run once, with its result.
// Two implementations obey one contract suite: `memory.ts` (also the simulator's table) and `dynamodb.ts`.
import type { ResultOf, TableEffect } from '../coordination/effects.ts';

export interface LeaseTable {
  /** Creates the table and its owner index if absent, waits until they are usable, checks that it is a lease table. */
  open(): Promise<void>;
  /** Runs one effect, once. Rejects when it can't be known whether it was applied. */
  run<E extends TableEffect>(effect: E): Promise<ResultOf<E>>;
  close(): Promise<void>;
}
