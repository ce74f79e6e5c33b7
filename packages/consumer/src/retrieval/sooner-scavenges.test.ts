import { constants, type NodeGCPerformanceDetail, PerformanceObserver } from 'node:perf_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { bringScavengeForward } from './sooner-scavenges.ts';

const TEXT_BYTES = 64 * 1024;
const TEXTS = 6_000;
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

// 192 MB of young memory, and a semi-space has 16 MB at the most, 32 from V8 13 on.
it('brings scavenges on a V8 that needs them', async () => {
  expect(await scavengesOf(true)).toBeGreaterThanOrEqual(4);
});

it('brings none on one that does not', async () => {
  expect(await scavengesOf(false)).toBeLessThanOrEqual(1);
});

async function scavengesOf(needed: boolean): Promise<number> {
  for (let text = 0; text < TEXTS; text += 1) bringScavengeForward(TEXT_BYTES, needed);
  for (let turn = 0; turn < TURNS; turn += 1) await nextTurn();
  return scavenges;
}
