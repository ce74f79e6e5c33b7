// Which records a handler is given at all: an event source mapping's FilterCriteria for a Kinesis stream, by Lambda's rules. A record is
// given to the handler if any of the filters matches it. Pure. Invariant: nothing about a record makes a filter throw: data that is
// not JSON matches no filter that asks for something in it ("Using event filtering with a Kinesis event source" in Lambda's guide).
import { describe, UsageError } from '@shardline/common';
import type { UserRecord } from '../handler.ts';
import { type EventPattern, readEventPattern } from './event-pattern.ts';
import { ExactNumber, type JsonValue, parseExactJson } from './exact-json.ts';

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
    for (const { path, listed } of read.fields) checkField(path, listed);
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
    if (typeof given === 'string') return parseExactJson(given);
    refuseNoJson(at, '', given, new Set());
    return parseExactJson(JSON.stringify(given));
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(at, expected, `${describe(given)}, which is no JSON: ${(error as Error).message}`);
  }
}

/** A variable that is not set would become `null`, or its field be left out: every record finished unseen, or far too many handled. */
function refuseNoJson(at: string, path: string, given: unknown, around: Set<unknown>): void {
  const value = hasToJson(given) ? given.toJSON('') : given;
  const isLost = hasToJson(given) && value === null;
  if (isLost || ['undefined', 'function', 'symbol', 'bigint'].includes(typeof value) || isNoNumber(value)) {
    const expected = 'a value that JSON has: others would become null, or be left out';
    throw new UsageError(`${at}: ${path}`, expected, isLost ? `${describe(given)} without a value` : describe(value));
  }
  // JSON.stringify says so of one that is inside itself.
  if (typeof value !== 'object' || value === null || around.has(value)) return;
  around.add(value);
  // A list by its numbers, so that a hole is one of them.
  if (Array.isArray(value))
    for (let index = 0; index < value.length; index += 1) refuseNoJson(at, `${path}[${index}]`, value[index], around);
  else
    for (const [name, inner] of Object.entries(value))
      refuseNoJson(at, path === '' ? name : `${path}.${name}`, inner, around);
  around.delete(value);
}

function hasToJson(value: unknown): value is { toJSON(key: string): unknown } {
  return typeof value === 'object' && value !== null && 'toJSON' in value && typeof value.toJSON === 'function';
}

function isNoNumber(value: unknown): boolean {
  return typeof value === 'number' && !Number.isFinite(value);
}

/** A slip in a name, or a value that no record can have there, would leave out every record, in silence. */
function checkField(path: string, listed: readonly JsonValue[]): void {
  if (path === 'data')
    throw new UsageError(
      path,
      'an object of the fields of its JSON: Lambda has no patterns for plain text in Kinesis',
      'a list of values',
    );
  const [field = ''] = path.split('.', 1);
  if (!FIELDS.includes(field))
    throw new UsageError(path, `a field of a record: ${FIELDS.join(', ')}`, JSON.stringify(field));
  if (field === 'data') return;
  if (path !== field) throw new UsageError(path, `a list of values of ${field}, which has no fields`, 'a field of it');
  const isTime = field === 'approximateArrivalTimestamp';
  const expected = isTime
    ? 'a number, or numeric, in seconds since 1970: no record would match'
    : 'a string, or an operator of strings: no record would match';
  for (const [index, value] of listed.entries()) {
    const kind = kindOf(value);
    const isOfField = kind === 'any' || kind === (isTime ? 'number' : 'text');
    if (!isOfField || (isTime && numbersIn(value).some((each) => each >= LATEST_SECONDS)))
      throw new UsageError(`${field}[${index}]`, expected, JSON.stringify(value).slice(0, 100));
  }
}

/** In the year 5138; in milliseconds it would be one of 1973. */
const LATEST_SECONDS = 1e11;

/** Of which type a value has to be, for what is listed to match it. */
function kindOf(listed: JsonValue): 'text' | 'number' | 'any' | 'none' {
  if (typeof listed === 'string') return 'text';
  if (typeof listed === 'number' || listed instanceof ExactNumber) return 'number';
  if (typeof listed !== 'object' || listed === null) return 'none';
  if ('numeric' in listed) return 'number';
  // A record has each of these fields.
  if ('exists' in listed) return listed.exists === true ? 'any' : 'none';
  return 'anything-but' in listed ? 'any' : 'text';
}

function numbersIn(listed: JsonValue): readonly number[] {
  if (typeof listed === 'number') return [listed];
  return typeof listed === 'object' && listed !== null ? Object.values(listed).flatMap(numbersIn) : [];
}

function isOverData({ fields }: EventPattern): boolean {
  return fields.some(({ path }) => path.startsWith('data.'));
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
