import fc from 'fast-check';
import { expect, test } from 'vitest';
import { userRecord } from '../test/records.ts';
import { type Block, DataMemory } from './data-memory.ts';

const KIB = 1024;
const MIB = KIB * KIB;

test('gives no byte to two, however places are taken and given back', () => {
  const step = fc.record({ length: fc.integer({ min: 0, max: 8 * KIB }), givesBack: fc.nat(30) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const memory = new DataMemory();
      const taken: { block: Block; at: number; length: number; mark: number }[] = [];
      for (const [index, { length, givesBack }] of steps.entries()) {
        const block = memory.blockFor(length);
        if (block === undefined) throw new Error('so little always has room');
        const mark = index % 251;
        const at = block.take(length);
        block.bytes.fill(mark, at, at + length);
        taken.push({ block, at, length, mark });
        const [done] = givesBack < taken.length ? taken.splice(givesBack, 1) : [];
        done?.block.giveBack(done.length);
        for (const one of taken) {
          const bytes = one.block.bytes.subarray(one.at, one.at + one.length);
          expect(bytes.every((byte) => byte === one.mark)).toBe(true);
        }
      }
    }),
    { numRuns: 30 },
  );
});

test('uses its blocks again', () => {
  const memory = new DataMemory();
  for (let round = 0; round < 50; round++) {
    const taken = Array.from({ length: 3_000 }, () => {
      const block = memory.blockFor(100);
      block?.take(100);
      return block;
    });
    for (const block of taken) block?.giveBack(100);
  }
  expect(memory.bytes).toBeLessThan(0.5 * MIB);
});

test('a few late records hold up no more than some blocks: then data has buffers of its own, until they have left', () => {
  const memory = new DataMemory();
  const late: Block[] = [];
  let refusedCount = 0;
  for (let count = 0; count < 100_000; count++) {
    const block = memory.blockFor(1_000);
    if (block === undefined) refusedCount++;
    else {
      block.take(1_000);
      if (count % 60 === 0) late.push(block);
      else block.giveBack(1_000);
    }
  }
  expect(refusedCount).toBeGreaterThan(0);
  expect(memory.bytes).toBeLessThan(5 * MIB);
  for (const block of late) block.giveBack(1_000);
  expect(memory.blockFor(1_000)).toBeDefined();
});

test('a long record has a buffer of its own', () => {
  expect(new DataMemory().blockFor(8 * KIB + 1)).toBeUndefined();
});

test('keeps the data of a user record until that owns it, drops it, or has it written elsewhere', () => {
  const memory = new DataMemory();
  const records = ['own', 'drop', 'write', 'text: \u00e9'].map((data) => userRecord({ data: Buffer.from(data) }));
  for (const record of records) record.keepDataIn(memory);
  const [own, drop, write, text] = records;
  const target = Buffer.alloc(20, '.');
  write?.writeData(target, 3);
  drop?.dropData();
  own?.ownData();
  text?.letGo();
  expect(target.toString()).toBe('...write............');
  expect(Buffer.from(write?.data ?? []).toString()).toBe('write');
  const block = memory.blockFor(8 * KIB);
  // All have left: it is filled from its beginning again.
  expect(block?.take(8 * KIB)).toBe(0);
  block?.bytes.fill(0);
  expect(Buffer.from(own?.data ?? []).toString()).toBe('own');
});
