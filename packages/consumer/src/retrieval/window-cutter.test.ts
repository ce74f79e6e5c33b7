import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { WindowCutter } from './window-cutter.ts';

const recordsAt = (...times: readonly number[]): { approximateArrivalTimestamp: Date }[] =>
  times.map((time) => ({ approximateArrivalTimestamp: new Date(time) }));

describe('windows of 100 ms', () => {
  test('begin at whole lengths since 1970, and a record at the end of one is of the next', () => {
    const cutter = new WindowCutter(100);
    expect(cutter.cut(recordsAt(250, 299, 300, 399, 700), undefined)).toEqual([
      { start: 200, to: 2, passes: true },
      { start: 300, to: 4, passes: true },
      { start: 700, to: 5, passes: true },
    ]);
    expect(cutter.endsAt).toBe(800);
  });

  test('go on from one batch to the next', () => {
    const cutter = new WindowCutter(100);
    cutter.cut(recordsAt(210), undefined);
    expect(cutter.cut(recordsAt(220, 310), undefined)).toEqual([
      { start: 200, to: 1, passes: true },
      { start: 300, to: 2, passes: true },
    ]);
  });

  test('never go back: a record that arrived before the open one began is of the open one', () => {
    const cutter = new WindowCutter(100);
    expect(cutter.cut(recordsAt(310, 290, 305), undefined)).toEqual([{ start: 300, to: 3, passes: true }]);
    // Nor to one that has been closed since.
    cutter.close();
    expect(cutter.endsAt).toBeUndefined();
    expect(cutter.cut(recordsAt(295), undefined)).toEqual([{ start: 300, to: 1, passes: true }]);
    expect(cutter.endsAt).toBe(400);
  });

  test('are opened by a record that passes the filter, and ended by any', () => {
    const cutter = new WindowCutter(100);
    expect(cutter.cut(recordsAt(210, 220), [])).toEqual([{ start: 200, to: 2, passes: false }]);
    expect(cutter.endsAt).toBeUndefined();
    expect(cutter.cut(recordsAt(230, 240, 310), [1])).toEqual([
      { start: 200, to: 2, passes: true },
      { start: 300, to: 3, passes: false },
    ]);
    expect(cutter.endsAt).toBeUndefined();
  });
});

test('however records are cut into batches, their windows are the same', () => {
  const records = fc.array(fc.record({ at: fc.nat(2_000), passes: fc.boolean() }), { maxLength: 40 });
  fc.assert(
    fc.property(records, fc.integer({ min: 1, max: 500 }), fc.array(fc.nat(40)), (all, lengthMs, cuts) => {
      // By the words of the rule, one record after the other.
      let start = Number.NEGATIVE_INFINITY;
      let isOpen = false;
      const starts = all.map(({ at, passes }) => {
        const begins = at - (at % lengthMs);
        if (begins > start) [start, isOpen] = [begins, false];
        if (passes) isOpen = true;
        return start;
      });
      const cutter = new WindowCutter(lengthMs);
      const places = [...new Set([...cuts.map((cut) => Math.min(cut, all.length)), all.length])].sort((a, b) => a - b);
      const found: number[] = [];
      let from = 0;
      for (const to of places) {
        const part = all.slice(from, to);
        const passing = part.flatMap(({ passes }, place) => (passes ? [place] : []));
        let at = 0;
        for (const run of cutter.cut(recordsAt(...part.map((each) => each.at)), passing)) {
          expect(run.passes).toBe(passing.some((place) => place >= at && place < run.to));
          for (; at < run.to; at += 1) found.push(run.start);
        }
        expect(at).toBe(part.length);
        from = to;
      }
      expect(found).toEqual(starts);
      expect(cutter.endsAt).toBe(isOpen ? start + lengthMs : undefined);
    }),
  );
});
