// The option `tumblingWindow`: its values, and what it can't be together with. Read once, with the others of handling.
import { checkNames, checkWholeNumber, describe, UsageError } from '@shardline/common';

/** AWS Lambda's tumbling windows, for a handler of batches. */
export interface TumblingWindowOptions {
  /** Of a window, ms: 1 to 900000. Windows begin at whole lengths since 1970, by the records' approximateArrivalTimestamp. */
  readonly lengthMs: number;
  /**
   * Where no record of a later window comes, the last call of a window comes with the first read at the shard's tip that begins this long
   * after the window's end, ms: 0 to 60000, default 2000. It makes up for clocks that differ, and for records that can be read a little after
   * they arrived.
   */
  readonly graceMs?: number;
  /** A state that takes more, as JSON in UTF-8, is taken by a call of its own (`isTerminatedEarly`): from 1, default 1048576. */
  readonly maxStateBytes?: number;
}

export type ResolvedTumblingWindow = Required<TumblingWindowOptions>;

/** Lambda's. */
export const MAX_TUMBLING_WINDOW_MS = 900_000;
export const MAX_WINDOW_GRACE_MS = 60_000;
const DEFAULT_GRACE_MS = 2_000;
/** Lambda's: 1 MB a shard. */
const DEFAULT_STATE_BYTES: number = 1024 * 1024;

const optionNames = [
  'lengthMs',
  'graceMs',
  'maxStateBytes',
] as const satisfies readonly (keyof TumblingWindowOptions)[];

/** @throws UsageError naming the option. */
export function readTumblingWindow(
  options: TumblingWindowOptions | undefined,
  beside: { readonly checkpointing: 'auto' | 'manual'; readonly eachRecord: boolean; readonly concurrency: number },
): ResolvedTumblingWindow | undefined {
  if (options === undefined) return undefined;
  if (typeof options !== 'object' || options === null)
    throw new UsageError('tumblingWindow', 'an object like { lengthMs: 60_000 }', describe(options));
  checkNames(options, optionNames, { expected: 'an option of tumblingWindow' });
  const { lengthMs, graceMs, maxStateBytes } = options;
  const length = checkWholeNumber('tumblingWindow.lengthMs', lengthMs, 1, MAX_TUMBLING_WINDOW_MS);
  if (length === undefined)
    throw new UsageError('tumblingWindow.lengthMs', `a whole number from 1 to ${MAX_TUMBLING_WINDOW_MS}`, 'undefined');
  const { checkpointing, eachRecord, concurrency } = beside;
  if (eachRecord) throw new UsageError('tumblingWindow', 'a handler with processRecords', 'one with processRecord');
  if (concurrency > 1) {
    const why =
      'concurrency 1 beside it: a window has one state, which calls side by side would each have for themselves';
    throw new UsageError('tumblingWindow', why, String(concurrency));
  }
  if (checkpointing === 'manual') {
    const why =
      "checkpointing 'auto' beside it: nothing of an open window may be checkpointed, and what lies before it is by itself";
    throw new UsageError('tumblingWindow', why, "'manual'");
  }
  return {
    lengthMs: length,
    graceMs: checkWholeNumber('tumblingWindow.graceMs', graceMs, 0, MAX_WINDOW_GRACE_MS) ?? DEFAULT_GRACE_MS,
    maxStateBytes: checkWholeNumber('tumblingWindow.maxStateBytes', maxStateBytes, 1) ?? DEFAULT_STATE_BYTES,
  };
}
