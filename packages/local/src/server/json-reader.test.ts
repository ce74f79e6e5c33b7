import { expect, test } from 'vitest';
import { readJson } from './json-reader.ts';

const read = (text: string): unknown => readJson(Buffer.from(text));

test.each([
  ['nothing', ''],
  ['half a member', '{"a":'],
  ['bytes behind the value', '{} {}'],
  ['a comma too many', '[1,]'],
  ['a comment', '{} // x'],
  ['a byte order mark', '\ufeff{}'],
  ['a number with a leading zero', '[01]'],
  ['NaN', '[NaN]'],
  ['a control character in a text', '["\n"]'],
  ['half an escape', '["\\u00"]'],
])('%s is refused', (_, text) => {
  expect(() => read(text)).toThrow(SyntaxError);
});

test.each(['7b22c3283a317d', '5b22eda08022 5d', 'ff', '5b22c022 5d'])('%s, which is no UTF-8, is refused', (hex) => {
  expect(() => readJson(Buffer.from(hex.replace(' ', ''), 'hex'))).toThrow('UTF-8');
});

test('of two members of one name the last one counts', () => {
  expect(read('{"a":1,"a":2}')).toEqual({ a: 2 });
});

test('a member called __proto__ is one like any other', () => {
  const value = read('{"__proto__":{"x":1}}') as object;
  expect(Object.keys(value)).toEqual(['__proto__']);
  expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
  expect('x' in value).toBe(false);
});

test('a number beyond a double is infinite', () => {
  expect(read('[1e999,-1e999]')).toEqual([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]);
});

test.each(['[],', '{},', '0,'])(
  'a large body of %s again and again is refused, of one fewer than the bound read',
  (unit) => {
    const padding = ' '.repeat(256 * 1024);
    expect(() => read(`[${unit.repeat(200_000)}0]${padding}`)).toThrow('200000 values');
    const each = unit.length === 2 ? 1 : 2;
    expect(read(`[${unit.repeat(199_999 / each)}0]${padding}`)).toBeInstanceOf(Array);
  },
);

test('a large blob is one value', () => {
  const bytes = Buffer.alloc(1024 * 1024, '[{,');
  const { Data } = read(JSON.stringify({ Data: bytes.toString('base64') })) as { Data: Buffer };
  expect(Data.equals(bytes)).toBe(true);
});
