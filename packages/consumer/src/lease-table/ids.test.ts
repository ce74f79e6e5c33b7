import { expect, test } from 'vitest';
import { Ids } from './ids.ts';

test('gives what it was given, also past its bound', () => {
  const ids = new Ids();
  for (let n = 0; n < 10_010; n += 1) expect(ids.one(`w${n}`)).toBe(`w${n}`);
  expect(ids.one('w0')).toBe('w0');
});
