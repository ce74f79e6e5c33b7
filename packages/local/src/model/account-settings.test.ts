// Sentences of MinimumThroughputBillingCommitmentInput of the Kinesis API reference.
import { expect, test } from 'vitest';
import {
  type AccountSettings,
  commitmentStatus,
  NEW_ACCOUNT_SETTINGS,
  withCommitment,
  withoutCommitment,
} from './account-settings.ts';

const t0 = 1_700_000_000_000;
const dayMs = 24 * 3_600_000;
const committed = withCommitment(NEW_ACCOUNT_SETTINGS, t0);

function statusAt(settings: AccountSettings, ...times: number[]): string[] {
  return times.map((at) => commitmentStatus(settings, at));
}

test('there is no commitment until one is enabled', () => {
  expect(statusAt(NEW_ACCOUNT_SETTINGS, t0)).toEqual(['DISABLED']);
  expect(withoutCommitment(NEW_ACCOUNT_SETTINGS, t0)).toBe(NEW_ACCOUNT_SETTINGS);
  expect(committed.commitment).toEqual({ startedMs: t0, earliestEndMs: t0 + dayMs, endMs: null });
  expect(statusAt(committed, t0, t0 + 100 * dayMs)).toEqual(['ENABLED', 'ENABLED']);
});

test('enabling a commitment that is enabled changes nothing', () => {
  expect(withCommitment(committed, t0 + dayMs)).toEqual(committed);
});

test('"If you attempt to disable a commitment before the minimum commitment period ends, the commitment will be scheduled for automatic disable at the earliest allowed end time."', () => {
  const ending = withoutCommitment(committed, t0 + 1);
  expect(statusAt(ending, t0 + 1, t0 + dayMs - 1, t0 + dayMs)).toEqual([
    'ENABLED_UNTIL_EARLIEST_ALLOWED_END',
    'ENABLED_UNTIL_EARLIEST_ALLOWED_END',
    'DISABLED',
  ]);
  expect(withoutCommitment(ending, t0 + 2)).toBe(ending);
});

test('"You can cancel a pending disable by enabling the commitment again before the earliest allowed end time."', () => {
  const ending = withoutCommitment(committed, t0 + 1);
  expect(withCommitment(ending, t0 + dayMs - 1)).toEqual(committed);
  const anew = withCommitment(ending, t0 + dayMs);
  expect(anew.commitment).toEqual({ startedMs: t0 + dayMs, earliestEndMs: t0 + 2 * dayMs, endMs: null });
});

test('after the minimum commitment period a commitment ends at once', () => {
  const ended = withoutCommitment(committed, t0 + 2 * dayMs);
  expect(ended.commitment?.endMs).toBe(t0 + 2 * dayMs);
  expect(statusAt(ended, t0 + 2 * dayMs)).toEqual(['DISABLED']);
});
