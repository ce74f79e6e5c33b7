import { expect, test } from 'vitest';
import { openToken, sealToken } from './token.ts';

test('a token opens with its key alone, and as it was written', () => {
  for (const last of ['a', 'ab', 'abc']) {
    const token = sealToken('key', ['shards', 7, last]);
    expect(openToken('key', token)).toEqual(['shards', '7', last]);
    expect(openToken('other', token)).toBeUndefined();
    for (const changed of [token.slice(0, -1), `${token}=`, ` ${token}`, token.toLowerCase(), '']) {
      expect(openToken('key', changed)).toBeUndefined();
    }
  }
});
