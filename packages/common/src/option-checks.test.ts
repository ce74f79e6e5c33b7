import { expect, test } from 'vitest';
import { checkNames, checkPort, checkWholeNumber, meantName, nearestName } from './option-checks.ts';

const known = ['recordTtlMs', 'stream'];

test.each(['recordTtl', 'RecordTtlMillis', 'recordTtlInMillis'])('%s is taken for a slip of recordTtlMs', (name) => {
  expect(nearestName(name, known)).toBe('; did you mean recordTtlMs?');
});

test('a name that is like none gets them all', () => {
  expect(nearestName('colour', known)).toBe('; known are recordTtlMs, stream');
});

test.each([
  ['recodTtlMs', 'recordTtlMs'],
  ['recodTtlMillis', 'recordTtlMs'],
  ['steram', 'stream'],
  ['streams', 'stream'],
])('%s is taken for a slip of %s in an option, too', (name, meant) => {
  expect(nearestName(name, known)).toBe(`; did you mean ${meant}?`);
});

test('of several names the nearest is meant, whichever comes first', () => {
  expect(meantName('maxRetryAttempt', ['maxRetryAttemptsA', 'maxRetryAttempts'])).toBe('maxRetryAttempts');
});

test.each(['shardEnd', 'onShardEnded', 'ShardEnded', 'shardEndde', 'sahrdEnded'])('%s means shardEnded', (name) => {
  expect(meantName(name, ['initialize', 'shardEnded'])).toBe('shardEnded');
});

test.each(['shard', 'shards', 'end', 'init', '', 'lags', 'isShardEnded!'])('%j means none of them', (name) => {
  expect(meantName(name, ['initialize', 'shardEnded', 'tags'.repeat(3)])).toBeUndefined();
});

test('in a short word one letter is a slip, two are another word', () => {
  expect(meantName('tag', ['tags'])).toBe('tags');
  expect(meantName('lags', ['tags'])).toBe('tags');
  expect(meantName('logs', ['tags'])).toBeUndefined();
});

test('a port is known by its methods', () => {
  const port = { now: () => 1, wallNow: () => 2 };
  expect(checkPort('clock', port, ['now', 'wallNow'])).toBe(port);
  expect(checkPort('clock', undefined as typeof port | undefined, ['now'])).toBeUndefined();
  const half = { now: () => 1 } as typeof port;
  expect(() => checkPort('clock', half, ['now', 'wallNow'])).toThrow(
    'clock: expected an object with the methods now, wallNow, got an object (Object)',
  );
});

test('a whole number is within its bounds, and they are named', () => {
  expect(checkWholeNumber('count', undefined, 1)).toBeUndefined();
  expect([1, 7].map((value) => checkWholeNumber('count', value, 1, 7))).toEqual([1, 7]);
  expect(checkWholeNumber('count', Number.MAX_SAFE_INTEGER, 1)).toBe(Number.MAX_SAFE_INTEGER);
  const wrong = [0, 8, 1.5, Number.NaN, Number.MAX_SAFE_INTEGER + 1, '3', null, 3n];
  for (const value of wrong) {
    expect(() => checkWholeNumber('count', value, 1, 7), String(value)).toThrow(
      'count: expected a whole number from 1 to 7, got ',
    );
  }
  expect(() => checkWholeNumber('count', -1, 0)).toThrow('count: expected a whole number from 0 on, got -1');
});

test('a member that is not known is named, with where it stands and what was probably meant', () => {
  expect(checkNames({ stream: 'a', recordTtlMs: undefined }, known)).toBeUndefined();
  const given = { recordTtl: 1 };
  const meant = 'got an unknown one; did you mean recordTtlMs?';
  expect(() => checkNames(given, known)).toThrow(`recordTtl: expected a known option, ${meant}`);
  const asked = { expected: 'an option of it', owner: 'streams[0]' };
  expect(() => checkNames(given, known, asked)).toThrow(`streams[0].recordTtl: expected an option of it, ${meant}`);
});
