import { expect, test } from 'vitest';
import { FailurePrinter, Heartbeat } from './report.ts';

test('of many failing seeds the first three are shown with their ends, and a bounded number has a line each', () => {
  const lines: string[] = [];
  const printer = new FailurePrinter((line) => lines.push(line));
  for (let seed = 1; seed <= 500; seed += 1) printer.print({ world: 'producer', seed, violations: ['broken'] });
  expect(lines.filter((line) => line.startsWith('All of it:'))).toHaveLength(3);
  expect(lines.filter((line) => line.endsWith(': broken'))).toHaveLength(200);
  expect(lines.at(-1)).toBe('Further failing seeds are only counted.');
});

test('a long run tells how far it is once in thirty seconds', () => {
  const lines: string[] = [];
  const heartbeat = new Heartbeat((line) => lines.push(line), 1_000);
  for (const [schedules, now] of [
    [10, 2_000],
    [3_000, 31_000],
    [3_050, 31_500],
    [6_000, 61_000],
  ] as const) {
    heartbeat.beat({ schedules, failures: [] }, now);
  }
  expect(lines).toEqual([
    '30 s: 3000 schedules, 0 violations, 100 a second',
    '60 s: 6000 schedules, 0 violations, 100 a second',
  ]);
});
