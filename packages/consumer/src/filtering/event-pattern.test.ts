// Patterns by the table whose answers AWS's own rule engine gave (the tier event-ruler asks it again), what an error says, and that
// events made to be slow are not.
import { readFile } from 'node:fs/promises';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readEventPattern } from './event-pattern.ts';
import { type JsonValue, parseExactJson } from './exact-json.ts';

interface Row {
  readonly about: string;
  readonly pattern: JsonValue;
  readonly matches: readonly JsonValue[];
  readonly others: readonly JsonValue[];
  readonly bad?: JsonValue;
}

const table = new URL('../../test/fixtures/event-patterns.json', import.meta.url);
const rows: readonly Row[] = JSON.parse(await readFile(table, 'utf8'));
const asText = (given: unknown): string => (typeof given === 'string' ? given : JSON.stringify(given));
const read = (pattern: unknown): ReturnType<typeof readEventPattern> =>
  readEventPattern(parseExactJson(asText(pattern)));

describe("as AWS's rule engine does", () => {
  test.each(rows.filter(({ bad }) => bad === undefined))('$about', ({ pattern, matches, others }) => {
    const { matches: isMatch } = read(pattern);
    const matching = (event: unknown): boolean => isMatch(parseExactJson(asText(event)));
    expect(matches.filter((event) => !matching(event))).toEqual([]);
    expect(others.filter(matching)).toEqual([]);
  });

  test.each(rows.filter(({ bad }) => bad !== undefined))('$about is refused', ({ bad }) => {
    expect(() => read(bad)).toThrow();
  });
});

test.each([
  [{ a: 'x' }, 'a: expected a list of values, or an object of fields, got "x"'],
  [{ a: { b: [] } }, 'a.b: expected at least one value, got an empty list'],
  [{ a: ['x', { prefix: 5 }] }, "a[1].prefix: expected a string, or { 'equals-ignore-case': a string }, got 5"],
  [
    { a: { b: [{ 'anything-but': { wildcard: ['x', 'y**'] } }] } },
    'a.b[0].anything-but.wildcard: expected no two * side by side, got "y**"',
  ],
  [
    { a: [{ numeric: ['>', 5, '<', 0] }] },
    'a[0].numeric: expected two bounds of which the first is the lower one, got [">",5,"<",0]',
  ],
  [
    '{ "a": [{ "numeric": ["=", 1234567890123456789] }] }',
    'a[0].numeric: expected numbers that a double holds, got 1234567890123456789',
  ],
  ['{ "a": [{ "anything-but": 1234567890123456789 }] }', 'got 1234567890123456789, which no double holds'],
  [{ a: [{ cidr: '10.0.0.0/33' }] }, "a[0].cidr: expected an address, '/' and a length"],
  [{ a: [{ prefx: 'x' }] }, "a[0]: expected one of 'exactly', 'prefix', "],
  [{ a: [{ prefix: 'x', suffix: 'y' }] }, 'got one with 2'],
  [{ $or: [{ a: ['x'] }] }, '$or: expected a list of two patterns or more, got a list of 1'],
  [{ a: { $or: [{ b: ['x'] }, { prefix: ['y'] }] } }, "a.prefix: expected a field's name in $or, got an operator"],
])('%j says where it is wrong, and what was expected there', (pattern, message) => {
  expect(() => read(pattern)).toThrow(expect.objectContaining({ message: expect.stringContaining(message) }));
});

test('a thousand combinations of $or are read, one more is refused', () => {
  const either = (count: number): object => ({ $or: Array.from({ length: count }, (_, n) => ({ [`f${n}`]: [n] })) });
  const pattern = (last: number): object => ({ a: either(10), b: either(10), c: either(last) });
  expect(read(pattern(10)).matches({ a: { f1: 1 }, b: { f9: 9 }, c: { f0: 0 } })).toBe(true);
  expect(() => read(pattern(11))).toThrow('$or: expected 1000 combinations at most, got 1100');
});

test('each alternative of $or counts, though all take the absence of the field', () => {
  const alternative = (value: string): object => ({ b: [{ exists: false }, value] });
  const { matches } = read({ $or: [alternative('x'), alternative('y')] });
  expect([{}, { b: 'x' }, { b: 'y' }, { b: 'z' }].map(matches)).toEqual([true, true, true, false]);
});

describe('of an event that is made to be slow', () => {
  /** Each look at a value of the event counts: time is no measure. */
  function looksAt(pattern: unknown, event: JsonValue): { readonly isMatch: boolean; readonly looks: number } {
    let looks = 0;
    const watched = (value: JsonValue): JsonValue => {
      if (typeof value !== 'object' || value === null) return value;
      const copy = Array.isArray(value)
        ? value.map(watched)
        : Object.fromEntries(Object.entries(value).map(([k, v]) => [k, watched(v as JsonValue)]));
      return new Proxy(copy, {
        get: (target, name) => {
          looks += 1;
          return Reflect.get(target, name);
        },
      });
    };
    return {
      isMatch: read(pattern).matches(watched(event)),
      get looks() {
        return looks;
      },
    };
  }
  const many = <T>(make: (index: number) => T): T[] => Array.from({ length: 300 }, (_, index) => make(index));

  test.each([
    [
      'four lists of values',
      { a: [1], b: [1], c: [1], d: [2] },
      { a: many(() => 1), b: many(() => 1), c: many(() => 1), d: many(() => 1) },
    ],
    [
      'four lists of objects',
      { a: { x: [1] }, b: { x: [1] }, c: { x: [1] }, d: { x: [2] } },
      { a: many(() => ({ x: 1 })), b: many(() => ({ x: 1 })), c: many(() => ({ x: 1 })), d: many(() => ({ x: 1 })) },
    ],
    ['one list of objects', { a: { x: [1], y: [1], z: [2] } }, { a: many(() => ({ x: 1, y: 1, z: 1 })) }],
  ])('%s are gone through once, not once for each of the others', (_, pattern, event) => {
    const { isMatch, looks } = looksAt(pattern, event);
    expect(isMatch).toBe(false);
    expect(looks).toBeLessThan(30_000);
  });
});

test('what is found in lists is what a search of all choices finds', () => {
  const leaf = fc.constantFrom(1, 2);
  const event = fc.letrec<{ node: JsonValue; object: JsonValue }>((tie) => ({
    node: fc.oneof({ depthSize: 'small' }, leaf, fc.array(tie('node'), { maxLength: 3 }), tie('object')),
    object: fc.dictionary(fc.constantFrom('a', 'b'), tie('node'), { maxKeys: 2, noNullPrototype: true }),
  })).object;
  const paths = fc.uniqueArray(fc.constantFrom('a', 'b', 'a.a', 'a.b', 'b.a', 'b.b', 'a.a.b', 'a.b.a'), {
    minLength: 1,
    maxLength: 4,
  });
  fc.assert(
    fc.property(paths, leaf, event, (names, wanted, given) => {
      const pattern = Object.fromEntries(names.map((name) => [name, [wanted]]));
      expect(read(pattern).matches(given)).toBe(matchesByAllChoices(names, wanted, given));
    }),
    { numRuns: 2_000 },
  );
});

/** A dumb twin: of every list of objects or lists one element is chosen beforehand, in every way. */
function matchesByAllChoices(names: readonly string[], wanted: number, event: JsonValue): boolean {
  const lists: (readonly JsonValue[])[] = [];
  const collect = (node: JsonValue): void => {
    if (typeof node !== 'object' || node === null) return;
    if (Array.isArray(node)) lists.push(node);
    for (const inside of Object.values(node)) collect(inside as JsonValue);
  };
  collect(event);
  const choose = (index: number, chosen: ReadonlyMap<unknown, number>): boolean => {
    const list = lists[index];
    if (list === undefined) return names.every((name) => valuesAt(event, name.split('.'), chosen).includes(wanted));
    return (list.length === 0 ? [0] : [...list.keys()]).some((place) =>
      choose(index + 1, new Map([...chosen, [list, place]])),
    );
  };
  return lists.reduce((product, list) => product * Math.max(1, list.length), 1) > 3_000
    ? read(Object.fromEntries(names.map((name) => [name, [wanted]]))).matches(event)
    : choose(0, new Map());
}

function valuesAt(
  node: JsonValue | undefined,
  path: readonly string[],
  chosen: ReadonlyMap<unknown, number>,
): JsonValue[] {
  if (node === undefined) return [];
  if (Array.isArray(node)) {
    const plain = path.length === 0 ? node.filter((item) => typeof item !== 'object') : [];
    const inside = node[chosen.get(node) ?? 0] as JsonValue | undefined;
    return [...plain, ...(typeof inside === 'object' ? valuesAt(inside, path, chosen) : [])];
  }
  if (typeof node !== 'object' || node === null) return path.length === 0 ? [node] : [];
  const [name, ...rest] = path;
  const fields = node as { readonly [name: string]: JsonValue };
  return name === undefined || !Object.hasOwn(fields, name) ? [] : valuesAt(fields[name], rest, chosen);
}
