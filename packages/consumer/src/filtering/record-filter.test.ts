// Which records pass, by Lambda's rules for Kinesis: data that is JSON and data that is not, patterns of metadata, several filters.
import { describe, expect, test } from 'vitest';
import { type FilterCriteria, recordFilter } from './record-filter.ts';

const record = (data: string | Uint8Array, partitionKey = 'key'): Parameters<ReturnType<typeof recordFilter>>[0] => ({
  data: typeof data === 'string' ? new TextEncoder().encode(data) : data,
  partitionKey,
  sequenceNumber: '495903382714902566085596925383615710959',
  approximateArrivalTimestamp: new Date(1_545_084_650_987),
});
const passes = (patterns: readonly (string | object)[], ...given: Parameters<typeof record>): boolean =>
  recordFilter({ Filters: patterns.map((Pattern) => ({ Pattern: Pattern as string })) })(record(...given));

describe('a record', () => {
  const buy = { data: { order: { type: ['buy'] } } };

  test('passes by what its JSON says', () => {
    expect(passes([buy], '{"record":12345,"order":{"type":"buy","stock":"ANYCO"}}')).toBe(true);
    expect(passes([JSON.stringify(buy)], '{"order":{"type":"buy"}}')).toBe(true);
    expect(passes([buy], '{"order":{"type":"sell"}}')).toBe(false);
  });

  test('whose data is no JSON passes no filter of data, whatever that asks for', () => {
    const absent = { data: { order: [{ exists: false }] } };
    for (const data of ['buy', '', '{"order":', '{"order":{"type":"buy"}}x']) {
      expect(passes([buy, absent], data)).toBe(false);
    }
    expect(passes([absent], Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d))).toBe(false);
    expect(passes([absent], '{}')).toBe(true);
    expect(passes([absent], '5')).toBe(true);
  });

  test('passes by its metadata, and then its data may be anything', () => {
    expect(passes([{ partitionKey: [{ prefix: 'k' }] }], Uint8Array.of(0xff))).toBe(true);
    expect(passes([{ partitionKey: ['other'] }], '{}')).toBe(false);
    expect(passes([{ sequenceNumber: [{ prefix: '4959' }] }], '')).toBe(true);
    expect(passes([{ approximateArrivalTimestamp: [{ numeric: ['>', 1_545_084_650, '<', 1_545_084_651] }] }], '')).toBe(
      true,
    );
    expect(passes([{ approximateArrivalTimestamp: [{ numeric: ['>', 1_545_084_651] }] }], '')).toBe(false);
  });

  test('must match data and metadata of one filter, and of several any one', () => {
    const both = { ...buy, partitionKey: ['other'] };
    expect(passes([both], '{"order":{"type":"buy"}}')).toBe(false);
    expect(passes([both], '{"order":{"type":"buy"}}', 'other')).toBe(true);
    expect(passes([both, { partitionKey: ['key'] }], 'no JSON')).toBe(true);
    expect(passes([{ $or: [buy, { partitionKey: ['other'] }] }], '{"order":{"type":"buy"}}')).toBe(true);
  });

  test('passes if there is no filter', () => {
    expect(passes([], 'x')).toBe(true);
    expect(recordFilter({})(record('x'))).toBe(true);
  });
});

/** Of what a variable that is not set makes of a pattern, each would finish every record unseen, or hand over too many. */
describe('what JSON has no word for', () => {
  const unset: unknown = undefined;
  const inside: Record<string, unknown> = { a: [1] };
  inside['b'] = inside;
  test.each<[object, string]>([
    [
      { data: { type: [unset] } },
      'data.type[0]: expected a value that JSON has: others would become null, or be left out, got undefined',
    ],
    [{ data: { type: unset, q: [5] } }, 'data.type: expected a value that JSON has'],
    [
      { data: { q: [Number.NaN] } },
      'data.q[0]: expected a value that JSON has: others would become null, or be left out, got NaN',
    ],
    [
      { data: { q: [{ numeric: ['<', Number.POSITIVE_INFINITY] }] } },
      'data.q[0].numeric[1]: expected a value that JSON has',
    ],
    [
      { data: { q: [() => 1] } },
      'data.q[0]: expected a value that JSON has: others would become null, or be left out, got a function',
    ],
    [
      { data: { q: [5n] } },
      'data.q[0]: expected a value that JSON has: others would become null, or be left out, got 5n',
    ],
    // biome-ignore lint/suspicious/noSparseArray: what is tested.
    [{ data: { q: ['a', , 'b'] } }, 'data.q[1]: expected a value that JSON has'],
    [
      { $or: [{ partitionKey: ['a'] }, { partitionKey: unset }] },
      '$or[1].partitionKey: expected a value that JSON has',
    ],
    [
      { data: { at: [new Date(Number.NaN)] } },
      'data.at[0]: expected a value that JSON has: others would become null, or be left out, got an object (Date) without a value',
    ],
    [
      { data: inside },
      'expected a pattern in EventBridge’s language, as JSON or as an object, got an object (Object), which is no JSON: Converting circular',
    ],
  ])('is refused, with its place: %#', (Pattern, message) => {
    const criteria = { Filters: [{ Pattern: Pattern as { [field: string]: unknown } }] };
    expect(() => recordFilter(criteria)).toThrow(message);
    expect(() => recordFilter(criteria)).toThrow(/^criteria\.Filters\[0\]\.Pattern: /);
  });

  test('a date is what its JSON says', () => {
    expect(passes([{ data: { at: [new Date(0)] } }], '{"at":"1970-01-01T00:00:00.000Z"}')).toBe(true);
  });
});

describe('metadata that no record has', () => {
  test.each<[object, string]>([
    [
      { sequenceNumber: [123] },
      'sequenceNumber[0]: expected a string, or an operator of strings: no record would match, got 123',
    ],
    [{ sequenceNumber: ['1', { numeric: ['>', 1] }] }, 'sequenceNumber[1]: expected a string'],
    [{ partitionKey: [null] }, 'partitionKey[0]: expected a string'],
    [{ partitionKey: [{ exists: false }] }, 'partitionKey[0]: expected a string'],
    [
      { partitionKey: { a: [1] } },
      'partitionKey.a: expected a list of values of partitionKey, which has no fields, got a field of it',
    ],
    [{ 'partitionKey.a': ['x'] }, 'partitionKey.a: expected a list'],
    [
      { approximateArrivalTimestamp: ['2024-01-01T00:00:00Z'] },
      'approximateArrivalTimestamp[0]: expected a number, or numeric, in seconds since 1970',
    ],
    [{ approximateArrivalTimestamp: [{ prefix: '17' }] }, 'approximateArrivalTimestamp[0]: expected a number'],
    [
      { approximateArrivalTimestamp: [{ numeric: ['>', 1_700_000_000_000] }] },
      'approximateArrivalTimestamp[0]: expected a number, or numeric, in seconds since 1970: no record would match, got {"numeric":[">",1700000000000]}',
    ],
    [{ $or: [{ partitionKey: ['a'] }, { partitionKey: [5] }] }, 'partitionKey[0]: expected a string'],
  ])('is refused: %j', (Pattern, message) => {
    const criteria = { Filters: [{ Pattern: Pattern as { [field: string]: unknown } }] };
    expect(() => recordFilter(criteria)).toThrow(`criteria.Filters[0].Pattern: ${message}`);
  });

  test('what may match is not', () => {
    const key = [{ 'anything-but': [5] }, { exists: true }, { cidr: '10.0.0.0/24' }, { wildcard: 'a*' }];
    expect(passes([{ partitionKey: key }], '')).toBe(true);
    expect(passes([{ approximateArrivalTimestamp: [{ 'anything-but': 5 }] }], '')).toBe(true);
    expect(passes([{ approximateArrivalTimestamp: [1_545_084_650.987] }], '')).toBe(true);
  });
});

describe('a filter that is none', () => {
  test.each<[unknown, string]>([
    [
      { Filters: [{ Pattern: '{"data":' }] },
      'criteria.Filters[0].Pattern: expected a pattern in EventBridge’s language',
    ],
    [
      { Filters: [{ Pattern: { partitionKey: ['a'] } }, { Pattern: { data: { a: [{ prefix: 1 }] } } }] },
      'criteria.Filters[1].Pattern: data.a[0].prefix: expected a string',
    ],
    [
      { Filters: [{ Pattern: { data: ['text'] } }] },
      'criteria.Filters[0].Pattern: data: expected an object of the fields of its JSON',
    ],
    [
      { Filters: [{ Pattern: { partitionkey: ['a'] } }] },
      'criteria.Filters[0].Pattern: partitionkey: expected a field of a record: data, partitionKey',
    ],
    [{ Filters: [{}] }, 'criteria.Filters[0].Pattern: expected a pattern'],
    [{ Filters: {} }, 'criteria.Filters: expected a list'],
    [{ filters: [] }, 'criteria: expected Filters and nothing else, got an object with filters'],
    ['{}', 'criteria: expected an object'],
  ])('%j says so', (criteria, message) => {
    expect(() => recordFilter(criteria as FilterCriteria)).toThrow(
      expect.objectContaining({ code: 'USAGE', message: expect.stringContaining(message) }),
    );
  });
});
