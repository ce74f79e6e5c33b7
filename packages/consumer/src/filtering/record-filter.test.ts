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
