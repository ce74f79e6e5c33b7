// Some seconds of what `npm run soak` does for minutes, in both modes, and the proof that its accounting would notice.
import { expect, test } from 'vitest';
import { runSoak, type SoakOptions } from '../src/soak/soak.ts';

const short: SoakOptions = {
  seed: 5,
  durationMs: 8_000,
  modes: ['polling', 'fanout'],
  recordsPerSecond: 200,
  mortalCount: 1,
  reshardEveryMs: 2_000,
  sampleEveryMs: 1_000,
  drainMs: 60_000,
};

test('through kill -9, faults and reshards nothing is skipped, what comes again is explained, and parents come first', async () => {
  const { applications, faults, splits, merges } = await runSoak(short);
  for (const { mode, records, handled, violations, samples, duplicates, explained } of applications) {
    expect({ mode, violations }).toEqual({ mode, violations: [] });
    expect(records).toBeGreaterThan(0);
    expect(handled).toBe(records);
    expect(explained.killed + explained.paused + explained.lost).toBe(duplicates);
    expect(samples.length).toBeGreaterThan(0);
  }
  // A fair day would prove nothing; how much strikes in so short a time is the machine's affair.
  expect(splits + merges).toBeGreaterThan(0);
  expect(Object.values(faults).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(0);
}, 240_000);

test('and with tumbling windows each record counts in the window it arrived in, and each window is ended with all of them', async () => {
  const { applications } = await runSoak({ ...short, windowLengthMs: 500 });
  for (const { mode, records, handled, violations, windows } of applications) {
    expect({ mode, violations, handled }).toEqual({ mode, violations: [], handled: records });
    expect(windows?.windows).toBeGreaterThan(0);
    expect(windows?.ended).toBe(windows?.windows);
  }
}, 240_000);

test('handlers that leave records out are found, in windows too', async () => {
  const rest = { durationMs: 4_000, drainMs: 8_000, skipsRecords: true, windowLengthMs: 500 };
  const plan: SoakOptions = { ...short, modes: ['polling'], ...rest };
  const { applications } = await runSoak(plan);
  const [{ skipped, violations } = { skipped: 0, violations: [] }] = applications;
  expect(skipped).toBeGreaterThan(0);
  expect(violations).toContainEqual(expect.stringMatching(/ is out of order or has a gap: expected record \d+ /));
  expect(violations).toContainEqual(expect.stringMatching(/ records of shardId-\d+ were never handled$/));
  expect(violations).toContainEqual(expect.stringMatching(/ ended the window .* records of sum \d+: expected \d+ of /));
}, 240_000);
