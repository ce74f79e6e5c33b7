import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { believed, type Figure } from './believed.ts';

const percent = fc.double({ min: 0, max: 100, noNaN: true });
const kBps = fc.double({ min: 0, max: 100_000, noNaN: true });
const doubt = fc.double({ min: 0, max: 20, noNaN: true });
const figure = fc.record({ percent, doubtPercent: doubt, carriedKBps: kBps, throughputKBps: kBps });

/** Leases that stay where they are. */
const settled = (each: Figure): Figure => ({ ...each, throughputKBps: each.carriedKBps });

describe('believed', () => {
  test('figures that stand still are believed as they are while leases stay where they are', () => {
    fc.assert(
      fc.property(fc.array(figure), (figures) => {
        const still = figures.map((each) => ({ ...settled(each), doubtPercent: 0 }));
        expect(believed(still)).toEqual({ percents: still.map((each) => each.percent), doubtPercent: 0 });
      }),
    );
  });

  test('no figure is taken for more than its doubt beside itself, wider the more workers there are', () => {
    fc.assert(
      fc.property(fc.array(figure, { minLength: 1, maxLength: 40 }), doubt, (given, doubtPercent) => {
        const figures = given.map((each) => ({ ...settled(each), doubtPercent }));
        const widening = Math.max(1, Math.sqrt(2 * Math.log(figures.length)) / 2);
        for (const [index, percent] of believed(figures).percents.entries()) {
          const off = Math.abs(percent - (figures[index] as Figure).percent);
          expect(off).toBeLessThanOrEqual(widening * doubtPercent + 1e-6);
        }
      }),
    );
  });

  test('who got leases is busier than its figure says, who gave some away is less busy, and nobody is below nothing', () => {
    fc.assert(
      fc.property(fc.array(figure, { minLength: 1 }), (figures) => {
        const now = believed(figures).percents;
        const then = believed(figures.map(settled)).percents;
        for (const [index, { throughputKBps, carriedKBps }] of figures.entries()) {
          const [after, before] = [now[index] as number, then[index] as number];
          expect(after).toBeGreaterThanOrEqual(throughputKBps < carriedKBps ? 0 : before);
          if (throughputKBps < carriedKBps) expect(after).toBeLessThanOrEqual(Math.max(0, before));
        }
      }),
    );
  });

  test('where the figures follow the leases exactly, moves are foreseen exactly, idle load and all', () => {
    const followed = fc.record({ idle: fc.integer({ min: 0, max: 20 }), perKBps: fc.integer({ min: 1, max: 50 }) });
    const moved = fc.array(fc.tuple(fc.integer({ min: 0, max: 1_000 }), fc.integer({ min: 0, max: 1_000 })), {
      minLength: 3,
    });
    fc.assert(
      fc.property(followed, moved, ({ idle, perKBps }, loads) => {
        fc.pre(new Set(loads.map(([carriedKBps]) => carriedKBps)).size > 1);
        const percentOf = (load: number): number => idle + (perKBps * load) / 1_000;
        const figures = loads.map(([carriedKBps, throughputKBps]) => {
          return { percent: percentOf(carriedKBps), doubtPercent: 0, carriedKBps, throughputKBps };
        });
        for (const [index, percent] of believed(figures).percents.entries())
          expect(percent).toBeCloseTo(percentOf((loads[index] as [number, number])[1]), 6);
      }),
    );
  });

  test('a figure that its leases do not explain is believed but for its doubt', () => {
    const figures = Array.from({ length: 20 }, (_, index) => ({
      percent: index === 0 ? 90 : 40,
      doubtPercent: 2,
      carriedKBps: 1_000 + index,
      throughputKBps: 1_000 + index,
    }));
    expect(believed(figures).percents[0]).toBeGreaterThan(87);
  });

  test('a worker without the metric has none afterwards, and says nothing of the others', () => {
    const known = { percent: 40, doubtPercent: 0, carriedKBps: 10, throughputKBps: 10 };
    expect(believed([known, { ...known, percent: Number.NaN, carriedKBps: 900 }]).percents).toEqual([40, Number.NaN]);
    expect(believed([])).toEqual({ percents: [], doubtPercent: 0 });
  });
});
