// What a handler returns to say that it did not get past some records, in Lambda's words (ReportBatchItemFailures): read into the
// first of them. Pure. Lambda's rules: nothing, or an empty list, is success; the earliest record counts, and what is before it is
// finished; a name that is none of the records given means all of them.
import { describe } from '@shardline/common';
import type { UserRecord } from '../handler.ts';

/** AWS's KinesisStreamBatchResponse. */
export interface PartialResult {
  readonly batchItemFailures?:
    | readonly {
        /** The sequence number of a record; of a user record in an aggregate also `sequenceNumber:subSequenceNumber`. */
        readonly itemIdentifier: string;
      }[]
    | null;
}

/** The first record that was not handled, and how many go by the same name. */
export interface FirstFailure {
  readonly index: number;
  readonly count: number;
  /** What the handler said, for people. */
  readonly said: string;
}

/** Undefined: all were handled. */
export function readPartialResult(result: unknown, records: readonly UserRecord[]): FirstFailure | undefined {
  if (typeof result !== 'object' || result === null || !('batchItemFailures' in result)) return undefined;
  const { batchItemFailures: failures } = result;
  if (failures === null || failures === undefined) return undefined;
  const all = (said: string): FirstFailure => ({ index: 0, count: records.length, said });
  if (!Array.isArray(failures)) return all(`batchItemFailures is no array but ${describe(failures)}`);
  let first: FirstFailure | undefined;
  for (const failure of failures) {
    const name: unknown = failure?.itemIdentifier;
    const found = typeof name === 'string' ? find(name, records) : undefined;
    if (found === undefined) return all(`itemIdentifier ${describe(name)}, which is none of the records given to it`);
    if (first === undefined || found.index < first.index) first = found;
  }
  return first;
}

function find(name: string, records: readonly UserRecord[]): FirstFailure | undefined {
  const [sequenceNumber, sub] = name.split(':');
  const isNamed = (record: UserRecord | undefined): boolean =>
    record?.sequenceNumber === sequenceNumber && (sub === undefined || String(record?.subSequenceNumber) === sub);
  const index = records.findIndex(isNamed);
  if (index === -1) return undefined;
  let count = 1;
  while (isNamed(records[index + count])) count += 1;
  return { index, count, said: `itemIdentifier ${name}` };
}
