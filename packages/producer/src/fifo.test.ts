import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Fifo } from './fifo.ts';

test('behaves as an array does, whatever is done to it', () => {
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.record({ push: fc.nat() }) },
    { weight: 4, arbitrary: fc.constant('shift' as const) },
    { weight: 1, arbitrary: fc.constant('keep' as const) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const fifo = new Fifo<number>();
      let twin: number[] = [];
      for (const what of steps) {
        if (what === 'shift') expect(fifo.shift()).toBe(twin.shift());
        else if (what === 'keep') {
          fifo.keep((item) => item % 2 === 0);
          twin = twin.filter((item) => item % 2 === 0);
        } else {
          fifo.push(what.push);
          twin.push(what.push);
        }
        expect([fifo.length, fifo.peek(), [...fifo]]).toEqual([twin.length, twin[0], twin]);
      }
    }),
  );
});

test('stays sorted, equals in the order in which they came', () => {
  const dues = fc.array(fc.oneof(fc.record({ due: fc.nat(20) }), fc.constant('shift' as const)), { maxLength: 200 });
  fc.assert(
    fc.property(dues, (steps) => {
      type Item = { readonly due: number; readonly at: number };
      const fifo = new Fifo<Item>();
      let twin: Item[] = [];
      for (const [at, step] of steps.entries()) {
        if (step === 'shift') expect(fifo.shift()).toBe(twin.shift());
        else {
          const item = { due: step.due, at };
          fifo.insert(item, (one, other) => one.due < other.due);
          twin = [...twin, item].sort((one, other) => one.due - other.due);
        }
        expect([...fifo]).toEqual(twin);
      }
    }),
  );
});

test('keeps its order through long use with few items in it', () => {
  const fifo = new Fifo<number>();
  for (let i = 0; i < 10_000; i++) {
    fifo.push(i);
    if (i >= 3) expect(fifo.shift()).toBe(i - 3);
  }
  expect([...fifo]).toEqual([9_997, 9_998, 9_999]);
});
