import { describe, expect, test } from 'vitest';
import { cborFormat } from './cbor-format.ts';
import {
  blob,
  boolean,
  type Check,
  checkInput,
  integer,
  list,
  oneOf,
  optional,
  required,
  structure,
  text,
  textList,
  textMap,
  timestamp,
} from './input-check.ts';
import { jsonFormat } from './json-format.ts';
import { Timestamp } from './wire-format.ts';

const key = text({ min: 1, max: 4 });
const name = text({ min: 1, max: 4, pattern: '[a-z]+' });

function refusal(check: Check<unknown>, value: unknown, format = jsonFormat): string {
  try {
    checkInput(structure({ Member: required(check) }), { Member: value }, format);
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('it was taken');
}

function taken<T>(check: Check<T>, value: unknown): T {
  return checkInput(check, value, jsonFormat);
}

test('what is right is taken, absent and null members are undefined, what nobody asks for is ignored', () => {
  const check = structure({ Name: required(name), Keys: optional(list(key, { min: 1, max: 3 })), Size: optional(key) });
  expect(taken(check, { Name: 'ab', Keys: ['', 'x'].slice(1), Size: null, Hats: {} })).toEqual({
    Name: 'ab',
    Keys: ['x'],
  });
});

describe('a broken constraint', () => {
  const message = (value: string, rule: string): string =>
    `1 validation error detected: Value ${value} at 'member' failed to satisfy constraint: Member must ${rule}`;

  test.each<[Check<unknown>, unknown, string]>([
    [name, null, message('null', 'not be null')],
    [name, 'abcde', message("'abcde'", 'have length less than or equal to 4')],
    [name, 'a/b', message("'a/b'", 'satisfy regular expression pattern: [a-z]+')],
    [oneOf('A', 'B'), 'C', message("'C'", 'satisfy enum value set: [A, B]')],
    [integer({ min: 1, max: 9 }), 0, message("'0'", 'have value greater than or equal to 1')],
    [integer({ min: 1, max: 9 }), 9.9e300, message("'2147483647'", 'have value less than or equal to 9')],
    [
      integer({ min: 1, max: 9 }),
      Number.NEGATIVE_INFINITY,
      message("'-2147483648'", 'have value greater than or equal to 1'),
    ],
    [blob(2), 'AAAA', message("'java.nio.HeapByteBuffer[pos=0 lim=3 cap=3]'", 'have length less than or equal to 2')],
    [list(key, { min: 1, max: 2 }), [], message("'[]'", 'have length greater than or equal to 1')],
    [list(key, { min: 1, max: 2 }), ['a', 'b', 'c'], message("'[3 members]'", 'have length less than or equal to 2')],
    [
      textList({ min: 1, max: 2 }, { min: 1, max: 3 }),
      ['a', 'abc'],
      message(
        "'[a, abc]'",
        'satisfy constraint: [Member must have length less than or equal to 2, Member must have length greater than or equal to 1]',
      ),
    ],
    [
      textMap({ min: 1, max: 2 }, { min: 0, max: 2 }, { min: 1, max: 2 }),
      {},
      message("'{}'", 'have length greater than or equal to 1'),
    ],
  ])('%#', (check, value, expected) => {
    expect(refusal(check, value)).toBe(expected);
  });
});

test('all that is wrong is told at once, with the way to each', () => {
  const check = structure({
    Name: required(name),
    Entries: required(
      list(structure({ Key: required(key), Size: optional(integer({ min: 1, max: 9 })) }), { min: 1, max: 3 }),
    ),
  });
  const input = { Name: '', Entries: [{ Key: 'a' }, { Size: 10 }, null] };
  expect(() => taken(check, input)).toThrow(
    [
      "5 validation errors detected: Value '' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-z]+",
      "Value '' at 'name' failed to satisfy constraint: Member must have length greater than or equal to 1",
      "Value null at 'entries.2.member.key' failed to satisfy constraint: Member must not be null",
      "Value '10' at 'entries.2.member.size' failed to satisfy constraint: Member must have value less than or equal to 9",
      "Value null at 'entries.3.member' failed to satisfy constraint: Member must not be null",
    ].join('; '),
  );
});

test('ten at most', () => {
  const check = structure({ Keys: required(list(key, { min: 1, max: 20 })) });
  const each = (index: number): string =>
    `Value '' at 'keys.${index}.member' failed to satisfy constraint: Member must have length greater than or equal to 1`;
  expect(() => taken(check, { Keys: new Array(20).fill('') })).toThrow(
    `10 validation errors detected: ${Array.from({ length: 10 }, (_, index) => each(index + 1)).join('; ')}`,
  );
});

test('a wrong type comes before every broken constraint, wherever it stands', () => {
  const check = structure({ Name: required(name), Keys: required(list(key, { min: 1, max: 2 })) });
  expect(() => taken(check, { Name: '', Keys: ['', 5] })).toThrow('can not be converted to an String');
});

describe('a wrong type', () => {
  const number = 'class com.amazon.coral.value.json.numbers.TruncatingBigNumber';
  const aList = 'Start of list found where not expected';
  const aStructure = 'Start of structure or map found where not expected.';

  test.each<[string, Check<unknown>, unknown, string]>([
    ['a number for a text', name, 5, `${number} can not be converted to an String`],
    ['a boolean for a text', name, true, 'class java.lang.Boolean can not be converted to an String'],
    ['a list for a text', name, [], aList],
    ['a structure for a text', name, {}, aStructure],
    ['a number for one of several', oneOf('A'), 5, `${number} can not be converted to an String`],
    [
      'a text for a number',
      integer({ min: 0, max: 9 }),
      '5',
      'class java.lang.String can not be converted to an Integer',
    ],
    ['no number', integer({ min: 0, max: 9 }), Number.NaN, `${number} can not be converted to an Integer`],
    ['a number for a boolean', boolean, 1, `${number} can not be converted to an Boolean`],
    ['a text for a boolean', boolean, 'maybe', "'MAYBE' can not be converted to an Boolean"],
    ['a number for a blob', blob(9), 5, `${number} can not be converted to a Blob`],
    ['no base64 for a blob', blob(9), '%%%%', "'%%%%' can not be converted to a Blob: Invalid Base64 character: '%'"],
    ['a text for a time', timestamp, '5', 'class java.lang.String can not be converted to milliseconds since epoch'],
    [
      'an endless time',
      timestamp,
      Number.POSITIVE_INFINITY,
      `${number} can not be converted to milliseconds since epoch`,
    ],
    ['a text for a list', list(name, { min: 0, max: 9 }), 'x', 'Expected list or null'],
    ['a structure for a list', list(name, { min: 0, max: 9 }), {}, aStructure],
    ['a structure for texts', textList({ min: 0, max: 9 }, { min: 0, max: 9 }), {}, aStructure],
    ['a list for a map', textMap({ min: 0, max: 9 }, { min: 0, max: 9 }, { min: 0, max: 9 }), [], aList],
    [
      'a number for a map',
      textMap({ min: 0, max: 9 }, { min: 0, max: 9 }, { min: 0, max: 9 }),
      5,
      'Expected map or null',
    ],
    ['a text for a structure', structure({}), 'x', 'Expected null'],
    ['a list for a structure', structure({}), [], aList],
  ])('%s', (_, check, value, expected) => {
    expect(refusal(check, value)).toBe(expected);
  });

  test.each<[string, Check<unknown>, unknown, string]>([
    ['a blob for a text', name, Buffer.from('a'), 'class java.nio.HeapByteBuffer can not be converted to an String'],
    ['a blob for a structure', structure({}), Buffer.from('a'), 'Expected null'],
    ['a text for a blob', blob(9), 'eA==', 'class java.lang.String can not be converted to a Blob'],
    ['a time for a text', name, new Timestamp(1), 'class java.util.Date can not be converted to an String'],
    ['a time for a structure', structure({}), new Timestamp(1), 'Expected null'],
  ])('of CBOR: %s', (_, check, value, expected) => {
    expect(refusal(check, value, cborFormat)).toBe(expected);
  });
});

test('half a surrogate pair is U+FFFD, wherever a text may stand', () => {
  const any = { min: 0, max: 9 };
  expect(taken(text(any), 'a\ud83d')).toBe('a\ufffd');
  expect(taken(text(any), '\u{1f600}')).toBe('\u{1f600}');
  expect(taken(textList(any, any), ['\ude00'])).toEqual(['\ufffd']);
  expect(taken(textMap(any, any, any), { '\ud83d': '\ude00' })).toEqual({ '\ufffd': '\ufffd' });
});

test('a text that is long enough to keep its pattern busy is not matched', () => {
  const check = text({ min: 1, max: 10, pattern: 'a.*b.*c.*d' });
  const message = refusal(check, 'abc'.repeat(100_000));
  expect(message).toMatch(
    /^1 validation error detected: Value '(abc)+a?b?…' at 'member' failed to satisfy constraint: Member must have length less than or equal to 10$/,
  );
});

test('a member called __proto__ of a map is one like any other', () => {
  const any = { min: 0, max: 9 };
  const map = taken(textMap(any, any, any), JSON.parse('{"__proto__":"x"}'));
  expect(Object.entries(map)).toEqual([['__proto__', 'x']]);
});
