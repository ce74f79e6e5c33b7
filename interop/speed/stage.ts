// What every stage of the benchmark plays on, what comes of it, and the times of the workers that run as their users have them.
import type { Casting, Outcome, Setting } from '../fleet/fleet.ts';
import type { JavaProgram } from '../java/build.ts';
import type { Row } from './rows.ts';

export interface Stage {
  readonly setting: Setting;
  /** Of the Java workers. */
  readonly program: JavaProgram;
  /** A record straight into every shard, so often. */
  readonly pulseMs: number;
}

/** What came of a stage: its figures, and what its histories show to be wrong. */
export interface Played {
  readonly rows: readonly Row[];
  readonly outcomes: readonly Outcome[];
}

/** Each kind with its own default times, the KCL's and ours, but for the pause between reads, which is the same. */
export const DEFAULT_TIMES: NonNullable<Casting['environmentOf']> = {
  java: {
    FAILOVER_MS: '10000',
    ASSIGNMENT_INTERVAL_MS: '20000',
    LEADER_LEASE_MS: '120000',
    METRICS_REPORT_INTERVAL_MS: '30000',
  },
  node: {
    FAILOVER_MS: '10000',
    ASSIGNMENT_INTERVAL_MS: '12000',
    LEADER_LEASE_MS: '30000',
    METRICS_REPORT_INTERVAL_MS: '30000',
  },
};
