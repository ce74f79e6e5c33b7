// Which records a handler is given at all: an event source mapping's FilterCriteria for a Kinesis stream, by Lambda's rules. A record is
// given to the handler if any of the filters matches it. Pure. Invariant: nothing about a record makes a filter throw: data that is
// not JSON matches no filter that asks for something in it ("Using event filtering with a Kinesis event source" in Lambda's guide).
import { describe, UsageError } from '@shardline/common';
import type { UserRecord } from '../handler.ts';
import { type EventPattern, readEventPattern } from './event-pattern.ts';
import { type JsonValue, parseExactJson } from './exact-json.ts';

/** As for Lambda's CreateEventSourceMapping. */
export interface FilterCriteria {
  /** Any number of them, where Lambda takes 5 or, on request, 10. None: all records. */
  readonly Filters?: readonly {
    /**
     * In EventBridge's language, as JSON or as what that JSON says: `{ data: { order: { type: ['buy'] } } }`. Its fields are `data`, what
     * the record's JSON says, and `partitionKey`, `sequenceNumber` and `approximateArrivalTimestamp` (seconds).
     */
    readonly Pattern: string | { readonly [field: string]: unknown };
  }[];
}

export type RecordFilter = (
  record: Pick<UserRecord, 'data' | 'partitionKey' | 'sequenceNumber' | 'approximateArrivalTimestamp'>,
) => boolean;

const FIELDS: readonly string[] = ['data', 'partitionKey', 'sequenceNumber', 'approximateArrivalTimestamp'];

/**
 * What `filter` and `filterCriteria` do, as a function of a record: to try a pattern before it runs.
 * @throws UsageError naming the place in the pattern, and what was expected there.
 */
export function recordFilter(criteria: FilterCriteria): RecordFilter {
  return readFilterCriteria('criteria', criteria) ?? (() => true);
}

/** @param name of the option. @returns undefined: all records. @throws as `recordFilter`. */
export function readFilterCriteria(name: string, criteria: FilterCriteria | undefined): RecordFilter | undefined {
  if (criteria === undefined) return undefined;
  if (typeof criteria !== 'object' || criteria === null)
    throw new UsageError(name, "an object like { Filters: [{ Pattern: '…' }] }", describe(criteria));
  const { Filters: filters = [], ...others } = criteria;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw new UsageError(name, 'Filters and nothing else', `an object with ${unknown}`);
  if (!Array.isArray(filters)) throw new UsageError(`${name}.Filters`, 'a list', describe(filters));
  if (filters.length === 0) return undefined;
  const patterns = filters.map((filter, index) => readPattern(`${name}.Filters[${index}].Pattern`, filter?.Pattern));
  const overData = patterns.filter(isOverData);
  const overOthers = patterns.filter((pattern) => !isOverData(pattern));
  return (record) => {
    const about = {
      partitionKey: record.partitionKey,
      sequenceNumber: record.sequenceNumber,
      approximateArrivalTimestamp: record.approximateArrivalTimestamp.getTime() / 1_000,
    };
    if (overOthers.some((pattern) => pattern.matches(about))) return true;
    if (overData.length === 0) return false;
    const data = jsonOf(record);
    return data !== undefined && overData.some((pattern) => pattern.matches({ ...about, data }));
  };
}

function readPattern(at: string, given: unknown): EventPattern {
  const pattern = parsePattern(at, given);
  try {
    const read = readEventPattern(pattern);
    for (const path of read.paths) checkField(path);
    return read;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError(`${at}: ${error.field}`, error.expected, error.got);
  }
}

function parsePattern(at: string, given: unknown): JsonValue {
  const expected = 'a pattern in EventBridge’s language, as JSON or as an object';
  if (typeof given !== 'string' && (typeof given !== 'object' || given === null))
    throw new UsageError(at, expected, describe(given));
  try {
    return parseExactJson(typeof given === 'string' ? given : JSON.stringify(given));
  } catch (error) {
    throw new UsageError(at, expected, `${describe(given)}, which is no JSON: ${(error as Error).message}`);
  }
}

/** A slip in a name would leave out every record, in silence. */
function checkField(path: string): void {
  if (path === 'data')
    throw new UsageError(
      path,
      'an object of the fields of its JSON: Lambda has no patterns for plain text in Kinesis',
      'a list of values',
    );
  const [field = ''] = path.split('.', 1);
  if (!FIELDS.includes(field))
    throw new UsageError(path, `a field of a record: ${FIELDS.join(', ')}`, JSON.stringify(field));
}

function isOverData({ paths }: EventPattern): boolean {
  return [...paths].some((path) => path.startsWith('data.'));
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Undefined: it is none. */
function jsonOf({ data }: Pick<UserRecord, 'data'>): JsonValue | undefined {
  try {
    return parseExactJson(utf8.decode(data));
  } catch {
    return undefined;
  }
}
