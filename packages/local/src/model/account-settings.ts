// What is set for an account as a whole: its commitment to a minimum of throughput, which makes its on-demand streams "On-demand
// Advantage" ones. Plain data; what it is worth at a moment is told by the time. Nothing is billed.

/** Plain data. */
export interface AccountSettings {
  /** Null when there never was one. */
  readonly commitment: Commitment | null;
}

export interface Commitment {
  readonly startedMs: number;
  /** "Commitments have a minimum duration of 24 hours that must be honored before they can be disabled." */
  readonly earliestEndMs: number;
  /** When it ended, or will end; null while nobody has disabled it. */
  readonly endMs: number | null;
}

/** MinimumThroughputBillingCommitmentOutputStatus. */
export type CommitmentStatus = 'ENABLED' | 'ENABLED_UNTIL_EARLIEST_ALLOWED_END' | 'DISABLED';

export const NEW_ACCOUNT_SETTINGS: AccountSettings = { commitment: null };

/** On-demand Advantage: registered consumers of one on-demand stream (API_RegisterStreamConsumer: 50). */
export const MAX_CONSUMERS_PER_ADVANTAGE_STREAM = 50;

const MINIMUM_MS = 24 * 3_600_000;

export function commitmentStatus({ commitment }: AccountSettings, now: number): CommitmentStatus {
  if (commitment === null) return 'DISABLED';
  if (commitment.endMs === null) return 'ENABLED';
  return now < commitment.endMs ? 'ENABLED_UNTIL_EARLIEST_ALLOWED_END' : 'DISABLED';
}

/** Begins a commitment; one that is to end goes on instead: "You can cancel a pending disable by enabling the commitment again". */
export function withCommitment(settings: AccountSettings, now: number): AccountSettings {
  const { commitment } = settings;
  if (commitment === null || commitmentStatus(settings, now) === 'DISABLED') {
    return { ...settings, commitment: { startedMs: now, earliestEndMs: now + MINIMUM_MS, endMs: null } };
  }
  return { ...settings, commitment: { ...commitment, endMs: null } };
}

/** Ends a commitment: "before the minimum commitment period ends, … at the earliest allowed end time". */
export function withoutCommitment(settings: AccountSettings, now: number): AccountSettings {
  const { commitment } = settings;
  if (commitment === null || commitment.endMs !== null) return settings;
  return { ...settings, commitment: { ...commitment, endMs: Math.max(now, commitment.earliestEndMs) } };
}
