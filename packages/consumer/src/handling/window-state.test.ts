import { OperatingError } from '@shardline/common';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { stateOf } from './window-state.ts';

class Totals {
  count = 1;
}
const circle: Record<string, unknown> = {};
circle['self'] = circle;

test.each<[unknown, string]>([
  [new Map([['a', 1]]), 'state is an object (Map)'],
  [{ totals: { users: new Set(['a']) } }, 'state.totals.users is an object (Set)'],
  [[0, new Totals()], 'state[1] is an object (Totals)'],
  [{ bytes: new Uint8Array(2) }, 'state.bytes is an object (Uint8Array)'],
  [{ last: new Error('e') }, 'state.last is an object (Error)'],
  [{ add: () => 1 }, 'state.add is a function'],
  [() => 1, 'state is a function'],
  [Symbol('s'), 'state is a symbol'],
  [{ average: 0 / 0 }, 'state.average is NaN'],
  [{ least: Number.POSITIVE_INFINITY }, 'state.least is Infinity'],
  [['a', undefined], 'state[1] is undefined'],
  [{ count: 1n }, 'BigInt'],
  [circle, 'circular'],
])('a state of %o is refused, and the error says where it is and what it may hold', (state, where) => {
  const read = (): string => stateOf({ state });
  expect(read).toThrow(OperatingError);
  expect(read).toThrow('the handler returned a state that JSON cannot say: ');
  expect(read).toThrow(where);
  expect(read).toThrow('it may hold text, finite numbers, true, false, null, and lists and plain objects of these');
});

test.each([[undefined], ['state'], [{}], [{ state: undefined }]])('%o holds none', (returned) => {
  expect(() => stateOf(returned)).toThrow('the handler returned no state: expected { state: … } for a tumbling window');
});

test('a member that is undefined is no member, and what has a toJSON is what that returns', () => {
  const since = new Date(0);
  expect(stateOf({ state: { since, none: undefined } })).toBe('{"since":"1970-01-01T00:00:00.000Z"}');
  expect(stateOf({ state: null })).toBe('null');
  expect(stateOf({ state: Object.assign(Object.create(null), { count: 1 }) })).toBe('{"count":1}');
});

test('whatever is taken comes back as it was', () => {
  const values = fc.anything({
    withBigInt: true,
    withMap: true,
    withSet: true,
    withTypedArray: true,
    withSparseArray: true,
    withNullPrototype: true,
    withBoxedValues: true,
  });
  fc.assert(
    fc.property(fc.oneof(values, fc.jsonValue()), (state) => {
      let json: string;
      try {
        json = stateOf({ state });
      } catch (error) {
        expect(error).toBeInstanceOf(OperatingError);
        expect(() => expect(JSON.parse(JSON.stringify(state))).toStrictEqual(state)).toThrow();
        return;
      }
      expect(withoutSigns(JSON.parse(json))).toEqual(withoutSigns(state));
    }),
  );
});

/** Zero has no sign in JSON. */
function withoutSigns(value: unknown): unknown {
  if (value === 0) return 0;
  if (Array.isArray(value)) return value.map(withoutSigns);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, withoutSigns(each)]));
}
