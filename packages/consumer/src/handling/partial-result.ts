// What a handler returns to say that it did not get past some records, in Lambda's words (ReportBatchItemFailures): read into the
// first of them. Pure. Lambda's rules: nothing, or an empty list, is success; the earliest record counts, and what is before it is
// finished; a name that is none of the records given means all of them. Where Lambda takes an answer that almost says so for success, and the
// records are lost, it means all of them here (lambda-handler.ts lets no such answer through).
import { describe, meantName } from '@shardline/common';
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
  /** What the handler returned, for people. */
  readonly said: string;
}

/** Undefined: all were handled. */
export function readPartialResult(result: unknown, records: readonly UserRecord[]): FirstFailure | undefined {
  if (typeof result !== 'object' || result === null) return undefined;
  const all = (said: string): FirstFailure => ({ index: 0, count: records.length, said });
  if (!('batchItemFailures' in result)) {
    const almost = almostFailures(result);
    if (almost === undefined) return undefined;
    return all(`${almost}: expected { batchItemFailures: [{ itemIdentifier: … }] }, or nothing of the kind`);
  }
  const { batchItemFailures: failures } = result;
  if (failures === null || failures === undefined) return undefined;
  if (!Array.isArray(failures)) return all(`batchItemFailures: no array but ${describe(failures)}`);
  let first: FirstFailure | undefined;
  for (const failure of failures) {
    const name: unknown = failure?.itemIdentifier;
    const found = typeof name === 'string' ? find(name, records) : undefined;
    if (found === undefined)
      return all(`batchItemFailures: itemIdentifier ${describe(name)}, which is none of the records given to it`);
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
  return { index, count, said: `batchItemFailures: itemIdentifier ${name}` };
}

/** One with more is data of the handler's, which it takes time to look through. */
const MOST_NAMES = 10;

/** How an answer that holds no batchItemFailures almost does, in words. Of plain objects and lists alone: to ask others may run code of theirs. */
function almostFailures(result: object): string | undefined {
  if (Array.isArray(result)) return isFailures(result) ? 'a bare list of itemIdentifiers' : undefined;
  const prototype: unknown = Object.getPrototypeOf(result);
  if (prototype !== Object.prototype && prototype !== null) return undefined;
  const names = Object.keys(result);
  if (names.length > MOST_NAMES) return undefined;
  for (const name of names) {
    if (meantName(name, ['batchItemFailures']) !== undefined) return `${name}, did you mean batchItemFailures?`;
    if (isFailures(Object.getOwnPropertyDescriptor(result, name)?.value)) return `itemIdentifiers as ${name}`;
  }
  return isFailures([result]) ? 'a bare itemIdentifier' : undefined;
}

function isFailures(value: unknown): boolean {
  if (!Array.isArray(value)) return false;
  const first: unknown = value[0];
  return typeof first === 'object' && first !== null && Object.hasOwn(first, 'itemIdentifier');
}
