import { expect, test } from 'vitest';
import { systemRandom } from './random.ts';

test('next lies in 0 ≤ x < 1, ids are UUIDs and differ', () => {
  for (let i = 0; i < 1000; i++) {
    const value = systemRandom.next();
    expect(value >= 0 && value < 1).toBe(true);
  }
  const ids = Array.from({ length: 100 }, () => systemRandom.uuid());
  expect(new Set(ids).size).toBe(100);
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});
