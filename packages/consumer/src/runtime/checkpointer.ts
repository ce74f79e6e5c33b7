// Checkpoints by hand: the handler's `checkpoint(...)` becomes a question to the core, and the core's answer settles the
// promise. It writes nothing and decides nothing: bounds, coalescing and the write itself are the core's.
// Invariant: every promise settles, at the latest when the runtime ends.
import {
  describe,
  type ExtendedSequenceNumber,
  formatExtended,
  OperatingError,
  parseSequenceNumber,
  UsageError,
} from '@shardline/common';
import type { Event, Notice, Tenure } from '../coordination/effects.ts';
import type { Position } from '../handler.ts';

type CheckpointRequested = Extract<Event, { kind: 'checkpointRequested' }>;
type Outcome = Extract<Notice, { kind: 'checkpointSettled' }>['outcome'];

interface Pending {
  readonly request: CheckpointRequested;
  readonly resolve: () => void;
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

  /**
   * Resolves when everything up to `position` is written.
   * @throws OperatingError LEASE_LOST; UsageError for a position outside what may be checkpointed now.
   */
  request(leaseKey: string, tenure: Tenure, position: ExtendedSequenceNumber): Promise<void> {
    if (this.#closedBy !== undefined) return Promise.reject(this.#closedBy);
    this.#requestCount += 1;
    const request = {
      kind: 'checkpointRequested',
      leaseKey,
      tenure,
      position,
      requestId: this.#requestCount,
    } as const;
    return new Promise((resolve, reject) => {
      this.#pending.set(request.requestId, { request, resolve, reject });
      this.#post(request);
    });
  }

  settle(requestId: number, outcome: Outcome): void {
    const pending = this.#pending.get(requestId);
    if (pending === undefined) return;
    this.#pending.delete(requestId);
    const { leaseKey, position } = pending.request;
    switch (outcome) {
      case 'done':
        pending.resolve();
        return;
      case 'leaseLost':
        pending.reject(leaseLost(leaseKey));
        return;
      case 'outOfRange':
        pending.reject(
          new UsageError(
            'position',
            'a position from the last checkpoint to the last record given to the handler',
            formatExtended(position),
          ),
        );
        return;
      default:
        outcome satisfies never;
    }
  }

  /** Rejects what is pending and whatever comes. */
  close(reason: unknown): void {
    this.#closedBy = reason;
    for (const { reject } of this.#pending.values()) reject(reason);
    this.#pending.clear();
  }
}

/** Reads what the handler passes. @throws UsageError naming the field. */
export function readPosition(position: Position): ExtendedSequenceNumber {
  if (typeof position !== 'object' || position === null) {
    throw new UsageError('position', '{ sequenceNumber, subSequenceNumber? } or a record', describe(position));
  }
  const { sequenceNumber, subSequenceNumber = 0 } = position;
  if (!Number.isSafeInteger(subSequenceNumber) || subSequenceNumber < 0) {
    throw new UsageError('subSequenceNumber', 'a whole number of at least 0', describe(subSequenceNumber));
  }
  return { sequenceNumber: parseSequenceNumber(sequenceNumber), subSequenceNumber };
}

export function leaseLost(leaseKey: string): OperatingError {
  return new OperatingError('LEASE_LOST', `lease ${leaseKey} is no longer held by this worker`, { retryable: false });
}

/** The watchdog's: no answer for longer than `stallLimitMs`. */
export function givenUp(leaseKey: string): OperatingError {
  const text = `lease ${leaseKey} is given up by this worker: it did not get on for stallLimitMs`;
  return new OperatingError('LEASE_LOST', text, { retryable: false });
}
