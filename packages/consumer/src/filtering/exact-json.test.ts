// JSON with numbers as exact as their text.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ExactNumber, parseExactJson } from './exact-json.ts';

test('what has no long numbers is what JSON.parse makes of it', () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      expect(withDoubles(parseExactJson(text))).toEqual(JSON.parse(text));
    }),
  );
});

test('whatever the text, it is read when it is JSON, and is an error when it is not', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom('{', '}', '[', ']', '1', ',', '"', ':', '\\') })),
      (text) => {
        const long = `[12345678901234567890,${text}]`;
        let expected: unknown;
        try {
          expected = JSON.parse(long);
        } catch {
          expect(() => parseExactJson(long)).toThrow(SyntaxError);
          return;
        }
        expect(withDoubles(parseExactJson(long))).toEqual(expected);
      },
    ),
  );
});

test.each([
  ['1234567890123456789', new ExactNumber('1234567890123456789')],
  ['12345678901234567000', 12345678901234567000],
  ['9007199254740993', new ExactNumber('9007199254740993')],
  ['0.10000000000000000', 0.1],
  ['0.10000000000000001', new ExactNumber('0.10000000000000001')],
  ['1e999', new ExactNumber('1e999')],
  ['-0e-999', -0],
  ['1e-999', new ExactNumber('1e-999')],
  ['1234567890.1234567', 1234567890.1234567],
  ['"12345678901234567890"', '12345678901234567890'],
  ['{"a":[{"b":"\\"]","c":12345678901234567890}]}', { a: [{ b: '"]', c: new ExactNumber('12345678901234567890') }] }],
])('%s keeps its text if a double would lose something', (text, expected) => {
  expect(parseExactJson(text)).toEqual(expected);
});

function withDoubles(value: unknown): unknown {
  if (value instanceof ExactNumber) return Number(value.text);
  if (Array.isArray(value)) return value.map(withDoubles);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inside]) => [name, withDoubles(inside)]));
}
