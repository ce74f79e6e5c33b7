import { expect, test } from 'vitest';
import { checkPort, nearestName } from './option-checks.ts';

const known = ['recordTtlMs', 'stream'];

test.each(['recordTtl', 'RecordTtlMillis', 'recordTtlInMillis'])('%s is taken for a slip of recordTtlMs', (name) => {
  expect(nearestName(name, known)).toBe('; did you mean recordTtlMs?');
});

test('a name that is like none gets them all', () => {
  expect(nearestName('colour', known)).toBe('; known are recordTtlMs, stream');
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
