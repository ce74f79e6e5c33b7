import fc from 'fast-check';
import { expect, test } from 'vitest';
import { KinesisError } from './errors.ts';
import { MAX_TAGS, sortedTags, type Tags, withoutTags, withTags } from './tags.ts';

const where = 'stream orders under account 000000000000';

function refusal(call: () => unknown): { type: string; message: string } | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    if (error instanceof KinesisError) return { type: error.type, message: error.message };
    throw error;
  }
}

function numbered(count: number, from = 0): Tags {
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`key ${from + index}`, '']));
}

test('an added tag overwrites the one of the same key; keys differ by case', () => {
  const tags = withTags({ team: 'a', Team: 'b' }, { team: 'c', cost: '' }, where);
  expect(tags).toEqual({ team: 'c', Team: 'b', cost: '' });
});

test('a change leaves the tags that it was made from as they were', () => {
  const before = { a: '1' };
  withTags(before, { a: '2', b: '3' }, where);
  withoutTags(before, ['a'], where);
  expect(before).toEqual({ a: '1' });
});

test('50 tags are allowed, and a 51st is not, however they come', () => {
  const full = withTags(numbered(30), numbered(20, 30), where);
  expect(Object.keys(full)).toHaveLength(MAX_TAGS);
  expect(withTags(full, { 'key 7': 'new value' }, where)['key 7']).toBe('new value');
  const tooMany = refusal(() => withTags(full, { one: 'more' }, where));
  expect(tooMany).toEqual({
    type: 'InvalidArgumentException',
    message:
      'Failed to add tags to stream orders under account 000000000000 because a given stream cannot have more than 50 tags associated with it.',
  });
});

test.each(['a;b', 'a\tb', 'a\nb', 'a,b', '\u{1f600}', 'a"b', 'a\\b'])('%j is no tag, as key or value', (text) => {
  const message =
    'Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, _ . / = + - % @.';
  const refused = { type: 'InvalidArgumentException', message };
  expect(refusal(() => withTags({}, { [text]: 'v' }, where))).toEqual(refused);
  expect(refusal(() => withTags({}, { k: text }, where))).toEqual(refused);
  expect(refusal(() => withoutTags({}, [text], where))).toEqual(refused);
});

test('a percent sign has a message of its own, as on AWS', () => {
  const because =
    "because some tags contained illegal characters. The allowed characters are Unicode letters, white-spaces, '_',',','/','=','+','-','@'.";
  expect(refusal(() => withTags({}, { 'a%b': '' }, where))?.message).toBe(`Failed to add tags to ${where} ${because}`);
  expect(refusal(() => withoutTags({}, ['a%b'], where))?.message).toBe(
    `Failed to remove tags from ${where} ${because}`,
  );
});

test.each(['aws:cost', 'AWS:cost'])('%s is reserved', (key) => {
  for (const call of [() => withTags({}, { [key]: '' }, where), () => withoutTags({}, [key], where)]) {
    expect(refusal(call)).toMatchObject({
      type: 'InvalidArgumentException',
      message: expect.stringContaining(`the prefix aws: is reserved, and the key ${key} begins with it`),
    });
  }
  expect(withTags({}, { awsome: 'aws:value' }, where)).toEqual({ awsome: 'aws:value' });
});

test('tags added and removed in any order are those of a map', () => {
  const key = fc.stringMatching(/^[\p{L}\p{N} _./=+\-@:]{1,6}$/u).filter((one) => !/^aws:/i.test(one));
  const change = fc.oneof(
    fc.dictionary(key, key, { maxKeys: 4, minKeys: 1 }).map((added) => ({ added })),
    fc.array(key, { minLength: 1, maxLength: 4 }).map((removed) => ({ removed })),
  );
  fc.assert(
    fc.property(fc.array(change, { maxLength: 10 }), (changes) => {
      const twin = new Map<string, string>();
      let tags: Tags = {};
      for (const one of changes) {
        if ('added' in one) {
          tags = withTags(tags, one.added, where);
          for (const [name, value] of Object.entries(one.added)) twin.set(name, value);
        } else {
          tags = withoutTags(tags, one.removed, where);
          for (const name of one.removed) twin.delete(name);
        }
      }
      const expected = [...twin.keys()].sort().map((name) => ({ key: name, value: twin.get(name) }));
      expect(sortedTags(tags)).toEqual(expected);
    }),
  );
});
