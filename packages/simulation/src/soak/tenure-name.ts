// How a tenure is known to the soak's ledgers, and why what it did may be done again.

export interface TenureName {
  /** One process: a worker that is started again is another one. */
  readonly worker: string;
  readonly shardId: string;
  readonly fencingToken: number;
}

/**
 * Why records may come again. The first that fits the earlier of the two tenures counts; `window`: it ended well, but within the tumbling
 * window that they arrived in, whose state is nobody else's.
 */
export type Explanation = 'killed' | 'paused' | 'lost' | 'window';

export function nameOf({ worker, shardId, fencingToken }: TenureName): string {
  return `tenure ${fencingToken} of ${shardId} (worker ${worker})`;
}
