// Checkpoints by hand: the handler's `checkpoint(...)` and `prepareCheckpoint(...)` become questions to the core, and the core's
// answer settles the promise. It writes nothing and decides nothing: bounds, coalescing and the write itself are the core's.
// Invariant: every promise settles, at the latest when its tenure is over: a handler that waits for one must not hold that up.
import {
  compareExtended,
  type ExtendedSequenceNumber,
  formatExtended,
  OperatingError,
  UsageError,
} from '@shardline/common';
import type { CheckpointRequested, Tenure } from '../coordination/effects.ts';
import type { CheckpointRange, Notice } from '../coordination/notice.ts';
import type { PreparedCheckpointer, ShardContext } from '../handler.ts';
import { asPosition, readCheckpoint, readPrepare } from './checkpoint-arguments.ts';

type Outcome = Extract<Notice, { kind: 'checkpointSettled' }>['outcome'];

/** The shard that checkpoints are asked for. */
export interface CheckpointedShard {
  readonly leaseKey: string;
  readonly tenure: Tenure;
  /** Why nothing of it is written any more; undefined while it is held. */
  readonly endedBy: unknown;
  /** What a call without a position means. */
  newest(): ExtendedSequenceNumber;
  /** Nothing behind it was given to the handler; undefined: the core knows. */
  readonly ceiling: ExtendedSequenceNumber | undefined;
  /** The last sub-sequence number of what the batch in hand has by this sequence number; undefined: nothing. */
  lastSubOf(sequenceNumber: bigint): number | undefined;
  /** Told of each checkpoint that is written. */
  written(position: ExtendedSequenceNumber): void;
}

interface Pending {
  readonly request: CheckpointRequested;
  /** No position was given. */
  readonly isNewest: boolean;
  /** With the position that is written, or prepared. */
  readonly resolve: (position: ExtendedSequenceNumber) => void;
  readonly reject: (error: unknown) => void;
}

export class Checkpointer {
  readonly #post: (event: CheckpointRequested) => void;
  readonly #pending = new Map<number, Pending>();
  #requestCount = 0;
  #closedBy: unknown;

  /** @param post gives an event to the core. */
  constructor(post: (event: CheckpointRequested) => void) {
    this.#post = post;
  }

  /** What the handler of a shard calls. */
  callsFor(shard: CheckpointedShard): Pick<ShardContext, 'checkpoint' | 'prepareCheckpoint'> {
    return {
      checkpoint: async (...given: readonly unknown[]) => this.#checkpoint(shard, readCheckpoint(given)),
      prepareCheckpoint: async (...given: readonly unknown[]): Promise<PreparedCheckpointer> => {
        const { position: asked, state } = readPrepare(given);
        const position = await this.#request(shard, asked, { state });
        return { pendingCheckpoint: asPosition(position), checkpoint: () => this.#checkpoint(shard, position) };
      },
    };
  }

  async #checkpoint(shard: CheckpointedShard, position: ExtendedSequenceNumber | undefined): Promise<void> {
    shard.written(await this.#request(shard, position, undefined));
  }

  #request(
    shard: CheckpointedShard,
    asked: ExtendedSequenceNumber | undefined,
    prepare: CheckpointRequested['prepare'],
  ): Promise<ExtendedSequenceNumber> {
    const { leaseKey, tenure, endedBy, ceiling } = shard;
    const position = asked ?? shard.newest();
    if (endedBy !== undefined) return Promise.reject(endedBy);
    if (this.#closedBy !== undefined) return Promise.reject(this.#closedBy);
    if (ceiling !== undefined && compareExtended(position, ceiling) > 0)
      return Promise.reject(outOfRange(position, { to: ceiling }));
    const { sequenceNumber: number, subSequenceNumber: sub } = position;
    const lastSub = sub > 0 && typeof number === 'bigint' ? shard.lastSubOf(number) : undefined;
    if (lastSub !== undefined && sub > lastSub) return Promise.reject(noSuchSub(position, lastSub));
    return new Promise((resolve, reject) => {
      const request = { kind: 'checkpointRequested', leaseKey, tenure, position, prepare } as const;
      this.#ask(request, { isNewest: asked === undefined, resolve, reject });
    });
  }

  #ask(asked: Omit<CheckpointRequested, 'requestId'>, pending: Omit<Pending, 'request'>): void {
    this.#requestCount += 1;
    const request = { ...asked, requestId: this.#requestCount };
    this.#pending.set(request.requestId, { ...pending, request });
    this.#post(request);
  }

  settle(requestId: number, outcome: Outcome): void {
    const pending = this.#pending.get(requestId);
    if (pending === undefined) return;
    this.#pending.delete(requestId);
    const { leaseKey, position } = pending.request;
    switch (outcome) {
      case 'done':
        pending.resolve(position);
        return;
      case 'leaseLost':
        pending.reject(leaseLost(leaseKey));
        return;
      default:
        // The handler said more before it threw, and is given a part of that again: what it has now is covered by what it said.
        if (pending.isNewest && compareExtended(position, outcome.from) < 0)
          this.#ask({ ...pending.request, position: outcome.from }, pending);
        else pending.reject(outOfRange(position, outcome));
    }
  }

  /** The tenure is over. Whether a write of it will yet be applied is not known, and whoever has the shard next will find out. */
  abandon(tenure: Tenure, reason: unknown): void {
    for (const [requestId, { request, reject }] of this.#pending) {
      if (request.tenure !== tenure) continue;
      this.#pending.delete(requestId);
      reject(reason);
    }
  }

  /** Rejects what is pending and whatever comes. */
  close(reason: unknown): void {
    this.#closedBy = reason;
    for (const { reject } of this.#pending.values()) reject(reason);
    this.#pending.clear();
  }
}

function outOfRange(position: ExtendedSequenceNumber, { from, to }: Partial<CheckpointRange>): UsageError {
  const last = from === undefined ? '' : ` (${formatExtended(from)})`;
  const given = to === undefined ? '' : ` (${formatExtended(to)})`;
  const expected = `a position from the last checkpoint${last} to the last record given to the handler${given}`;
  return new UsageError('position', expected, formatExtended(position));
}

/** It would be taken for the end of the record. The KCL takes it so; but nobody means it. */
function noSuchSub({ sequenceNumber, subSequenceNumber }: ExtendedSequenceNumber, last: number): UsageError {
  const holds = last === 0 ? 'one user record' : `${last + 1} user records`;
  const expected = `${last === 0 ? '0' : `0 to ${last}`}: record ${sequenceNumber} holds ${holds}`;
  return new UsageError('subSequenceNumber', expected, String(subSequenceNumber));
}

export function leaseLost(leaseKey: string): OperatingError {
  return new OperatingError('LEASE_LOST', `lease ${leaseKey} is no longer held by this worker`, { retryable: false });
}

/** The watchdog's: no answer for longer than `stallLimitMs`. */
export function givenUp(leaseKey: string): OperatingError {
  const text = `lease ${leaseKey} is given up by this worker: it did not get on for stallLimitMs`;
  return new OperatingError('LEASE_LOST', text, { retryable: false });
}
