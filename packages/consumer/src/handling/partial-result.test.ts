import { expect, test } from 'vitest';
import type { UserRecord } from '../handler.ts';
import { readPartialResult } from './partial-result.ts';

const record = (sequenceNumber: string, subSequenceNumber = 0): UserRecord => ({
  partitionKey: 'k',
  data: new Uint8Array(),
  sequenceNumber,
  subSequenceNumber,
  approximateArrivalTimestamp: new Date(0),
  aggregated: subSequenceNumber > 0,
});
const records = [record('10'), record('11'), record('12', 0), record('12', 1), record('13')];
const failing = (...names: unknown[]): unknown => ({
  batchItemFailures: names.map((itemIdentifier) => ({ itemIdentifier })),
});

test("Lambda's forms of success, and whatever else a handler may return, say that all was handled", () => {
  const success = [undefined, null, 'ok', 7, [], {}, { batchItemFailures: [] }, { batchItemFailures: null }];
  for (const result of success) expect(readPartialResult(result, records)).toBeUndefined();
});

const item = { itemIdentifier: '11' };

test.each<[unknown, string]>([
  [{ batchItemFailure: [item] }, 'batchItemFailure, did you mean batchItemFailures?'],
  [{ BatchItemFailures: [] }, 'BatchItemFailures, did you mean batchItemFailures?'],
  [{ state: {}, batch_item_failures: 'x' }, 'batch_item_failures, did you mean batchItemFailures?'],
  [{ failures: [item] }, 'itemIdentifiers as failures'],
  [[item], 'a bare list of itemIdentifiers'],
  [item, 'a bare itemIdentifier'],
])('%j is not taken for success: all of the records come again, with what was meant', (result, said) => {
  expect(readPartialResult(result, records)).toEqual({
    index: 0,
    count: 5,
    said: `${said}: expected { batchItemFailures: [{ itemIdentifier: … }] }, or nothing of the kind`,
  });
});

test('whatever else a handler may return is its own affair, and none of its code is run by looking', () => {
  const looked = new Set<string>();
  const withGetter = {
    get failures(): unknown {
      looked.add('failures');
      return [item];
    },
  };
  class Result {
    batchItemFailure = [item];
  }
  const many = Object.fromEntries(Array.from({ length: 11 }, (_, n) => [`key${n}`, [item]]));
  const own = [
    { failures: 3, errors: [new Error('one')] },
    [1, 2],
    new Map([['a', item]]),
    new Result(),
    withGetter,
    many,
  ];
  for (const result of own) expect(readPartialResult(result, records)).toBeUndefined();
  expect(looked.size).toBe(0);
});

test('the earliest record that is named counts, in whatever order they are', () => {
  expect(readPartialResult(failing('13', '11'), records)).toMatchObject({ index: 1, count: 1 });
});

test('the sequence number of an aggregate names all of its user records, with the sub-sequence number one', () => {
  expect(readPartialResult(failing('12'), records)).toMatchObject({ index: 2, count: 2 });
  expect(readPartialResult(failing('12:1'), records)).toMatchObject({ index: 3, count: 1 });
});

test("a name that is none of the records' means all of them, as in Lambda, and is told", () => {
  for (const bad of [
    failing('13', ''),
    failing(null),
    failing('9'),
    { batchItemFailures: [{ id: '10' }] },
    failing('12:7'),
  ])
    expect(readPartialResult(bad, records)).toMatchObject({
      index: 0,
      count: 5,
      said: expect.stringContaining('none of'),
    });
  const noArray = readPartialResult({ batchItemFailures: 'all' }, records);
  expect(noArray).toMatchObject({ index: 0, count: 5, said: expect.stringContaining('no array') });
});
