// That memory is one owner's at a time, and that not much is kept.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RecycledMemory } from './recycled-memory.ts';

const MIB = 1024 * 1024;
const options = { fewestBytes: MIB / 16, grainBytes: MIB / 4, mostIdleBytes: 16 * MIB };

test('what was given back is given out again, to a body that fits', () => {
  const memory = new RecycledMemory(options);
  const first = memory.take(MIB - 5);
  expect(first.length).toBe(MIB - 5);
  memory.giveBack(first);
  const larger = memory.take(MIB + 1);
  expect(larger.buffer).not.toBe(first.buffer);
  const second = memory.take(MIB);
  expect(second.length).toBe(MIB);
  expect(second.buffer).toBe(first.buffer);
});

test('no two bodies share memory at a time, and what lies idle stays within 16 MiB', () => {
  const step = fc.oneof(
    fc.record({ take: fc.integer({ min: 0, max: 5 * MIB }) }),
    fc.record({ giveBack: fc.nat({ max: 20 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const memory = new RecycledMemory(options);
      const taken: Buffer[] = [];
      for (const each of steps) {
        if ('take' in each) {
          const body = memory.take(each.take);
          expect(body.length).toBe(each.take);
          // Node's own pool is shared in parts; what is ours is whole.
          const isWhole = body.length >= 64 * 1024;
          if (isWhole) expect(taken.some(({ buffer }) => buffer === body.buffer)).toBe(false);
          taken.push(body);
        } else for (const body of taken.splice(each.giveBack, 1)) memory.giveBack(body);
        expect(memory.idleBytes).toBeLessThanOrEqual(16 * MIB);
      }
    }),
    { numRuns: 40 },
  );
});
