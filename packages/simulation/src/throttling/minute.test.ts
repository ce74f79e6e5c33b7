import { expect, test } from 'vitest';
import { playMinute, scenes, starved } from './minute.ts';
import { plot } from './plot.ts';

const scene = (name: string): (typeof scenes)[number] =>
  scenes.find((one) => one.name === name) as (typeof scenes)[number];

test('in a throttled minute the adaptive pace uses what is left and is hardly refused, where the constant one is refused mostly', () => {
  const taken = scene('taken');
  const results = [playMinute(taken, 'constant', 7), playMinute(taken, 'adaptive', 7)] as const;
  const [constant, adaptive] = results.map(({ figures }) => figures);
  expect(constant?.refusedShare).toBeGreaterThan(0.6);
  expect(adaptive?.refusedShare).toBeLessThan(0.15);
  expect(adaptive?.goodputShare).toBeGreaterThan(0.95);
  expect(adaptive?.recoverySeconds).toBeLessThanOrEqual(10);
  expect(plot([{ scene: taken, results }])).toMatch(/^<svg [\s\S]*<polyline [\s\S]*<\/svg>\n$/);
}, 60_000);

test('two producers on one shard come to even shares', () => {
  expect(playMinute(scene('shared'), 'adaptive', 7).figures.fairness).toBeGreaterThan(0.9);
}, 60_000);

test('an AUTO stream is not overrun', () => {
  const { figures } = playMinute(scene('auto'), 'adaptive', 7);
  expect(figures.refusedShare).toBeLessThan(0.1);
  expect(figures.goodputShare).toBeGreaterThan(0.95);
}, 60_000);

test('a producer whose process gets the processor once a second uses the shard all the same', () => {
  const { figures } = playMinute(starved, 'adaptive', 7);
  expect(figures.goodputShare).toBeGreaterThan(0.9);
  expect(figures.refusedShare).toBeLessThan(0.15);
}, 60_000);
