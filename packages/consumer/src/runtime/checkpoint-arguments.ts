// The forms of `checkpoint` and `prepareCheckpoint` (KCL RecordProcessorCheckpointer): nothing, a position or a user record, a
// sequence number with or without the sub-sequence number, and the application's state behind each. Pure.
// Invariant: what leaves here is a number of a record; the words that stand in a checkpoint in place of one are refused.
import { describe, type ExtendedSequenceNumber, parseSequenceNumber, UsageError } from '@shardline/common';
import type { PendingCheckpoint as Pending } from '../coordination/lease.ts';
import type { PendingCheckpoint, Position } from '../handler.ts';

/**
 * A row of DynamoDB holds 400 KB, and a write that never fits would cost the lease. Mind the price: each write of the row pays for
 * all of its bytes.
 */
const MOST_STATE_BYTES = 262_144;

/** A record that is undefined is a mistake, not a wish to checkpoint everything. @returns undefined where no position is given. @throws UsageError naming the field. */
export function readCheckpoint(given: readonly unknown[]): ExtendedSequenceNumber | undefined {
  if (given.length === 0) return undefined;
  const [where, sub] = given;
  if (typeof where === 'string') return readPosition({ sequenceNumber: where, subSequenceNumber: sub ?? 0 });
  if (typeof where !== 'object' || where === null || where instanceof Uint8Array) {
    const expected = 'nothing, a record, { sequenceNumber, subSequenceNumber? } or a sequence number';
    throw new UsageError('position', expected, describe(where));
  }
  return readPosition(where);
}

/** As `readCheckpoint`, with the state in the last place. */
export function readPrepare(given: readonly unknown[]): {
  readonly position: ExtendedSequenceNumber | undefined;
  readonly state: Uint8Array | undefined;
} {
  const last = given.findLastIndex((each) => each !== undefined);
  const state = given[last];
  if (!(state instanceof Uint8Array)) {
    if (last >= (typeof given[0] === 'string' ? 2 : 1))
      throw new UsageError('applicationState', 'bytes: a Uint8Array or a Buffer', describe(state));
    return { position: readCheckpoint(given), state: undefined };
  }
  if (state.length === 0 || state.length > MOST_STATE_BYTES) {
    throw new UsageError('applicationState', `1 to ${MOST_STATE_BYTES} bytes`, `${state.length} bytes`);
  }
  // The caller may use its buffer again.
  return { position: readCheckpoint(given.slice(0, last)), state: state.slice() };
}

/** As the handler is given it. */
export function asPosition({ sequenceNumber, subSequenceNumber }: ExtendedSequenceNumber): Required<Position> {
  return { sequenceNumber: String(sequenceNumber), subSequenceNumber };
}

export function asPendingCheckpoint(pending: Pending | undefined): PendingCheckpoint | undefined {
  if (pending === undefined) return undefined;
  const { position, state } = pending;
  return { ...asPosition(position), ...(state !== undefined && { state }) };
}

function readPosition({ sequenceNumber, subSequenceNumber = 0 }: { [K in keyof Position]?: unknown }) {
  if (!Number.isSafeInteger(subSequenceNumber) || (subSequenceNumber as number) < 0) {
    throw new UsageError('subSequenceNumber', 'a whole number of at least 0', describe(subSequenceNumber));
  }
  const number = parseSequenceNumber(sequenceNumber as string);
  return { sequenceNumber: number, subSequenceNumber: subSequenceNumber as number };
}
