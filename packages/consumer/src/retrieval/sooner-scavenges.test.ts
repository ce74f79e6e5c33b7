import { constants, type NodeGCPerformanceDetail, PerformanceObserver } from 'node:perf_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { bringScavengeForward } from './sooner-scavenges.ts';

const ANSWER_BYTES = 1024 * 1024;
const ANSWERS = 500;
/** What was collected is told of in a later turn. */
const TURNS = 10;

let scavenges = 0;
const observer = new PerformanceObserver((list) => {
  const kinds = list.getEntries().map((entry) => (entry as { detail?: NodeGCPerformanceDetail }).detail?.kind);
  scavenges += kinds.filter((kind) => kind === constants.NODE_PERFORMANCE_GC_MINOR).length;
});

beforeEach(() => {
  scavenges = 0;
  observer.observe({ entryTypes: ['gc'] });
});
afterEach(() => observer.disconnect());

// 200 MB of young memory, and a semi-space has 16 MB at the most, 32 from V8 13 on.
it('brings scavenges on a V8 that needs them', async () => {
  expect(await scavengesOf(20, true)).toBeGreaterThanOrEqual(4);
});

it('brings none for short records', async () => {
  expect(await scavengesOf(1_000, true)).toBeLessThanOrEqual(1);
});

it('brings none on a V8 that needs none', async () => {
  expect(await scavengesOf(20, false)).toBeLessThanOrEqual(1);
});

async function scavengesOf(records: number, needed: boolean): Promise<number> {
  for (let answer = 0; answer < ANSWERS; answer += 1) bringScavengeForward(ANSWER_BYTES, records, needed);
  for (let turn = 0; turn < TURNS; turn += 1) await nextTurn();
  return scavenges;
}
