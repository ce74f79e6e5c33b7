// How busy the workers of a fleet are, beyond doubt and as of now: between the figures of their metric rows (utilization.ts) and the
// assignment that goes by them. Two things are wrong with figures: they jump about, and they are of the time before leases moved. But
// what a worker's leases carry is known, then and now, and what so much makes of a worker can be told from all of them.
// Invariants: with figures that stand still, and leases that stay where they are, nothing is made of them; no figure is taken for
// more than its doubt beside what it says of its time. Pure.
import { median } from './utilization.ts';

export interface Figure {
  /** NaN: the worker doesn't have it. */
  readonly percent: number;
  /** By more than this a figure is off once in twenty times: two standard errors. */
  readonly doubtPercent: number;
  /** What the worker's leases carried while this was measured. */
  readonly carriedKBps: number;
  /** What those carry that it has now, or is about to have. */
  readonly throughputKBps: number;
}

/** The straight line through the figures over what the leases carried. */
interface Explanation {
  readonly percent: number;
  readonly kBps: number;
  readonly percentPerKBps: number;
}

export interface Belief {
  /** For each of the figures. */
  readonly percents: readonly number[];
  /** By so much these may be off still. */
  readonly doubtPercent: number;
}

/** kB a second, or their square: by less than this two loads don't differ, and nothing is divided. */
const NOTHING = 1e-9;
/** What is explained is in doubt as well, though less. */
const DOUBT_LEFT = 1 / 4;

/** @param figures of one metric, of all workers of the fleet. */
export function believed(figures: readonly Figure[]): Belief {
  const measured = figures.filter(({ percent }) => !Number.isNaN(percent));
  // What shakes one worker's figures shakes those of its kind, and ten figures tell little of it.
  const usualDoubt = median(measured.map(({ doubtPercent }) => doubtPercent));
  // Of N figures the one that is furthest off is so by some sqrt(2 ln N) standard errors.
  const widening = Math.max(1, Math.sqrt(2 * Math.log(measured.length)) / 2);
  const { percent: mean, kBps, percentPerKBps } = explain(measured, usualDoubt);
  const percents = figures.map(({ percent, doubtPercent, carriedKBps, throughputKBps }) => {
    const doubt = widening * Math.max(doubtPercent, usualDoubt);
    const explained = mean + percentPerKBps * (carriedKBps - kBps);
    const then = Math.min(percent + doubt, Math.max(percent - doubt, explained));
    return throughputKBps === carriedKBps ? then : Math.max(0, then + percentPerKBps * (throughputKBps - carriedKBps));
  });
  return { percents, doubtPercent: DOUBT_LEFT * usualDoubt };
}

/** Of all lines that the figures allow, the one that is the nearest to a worker without any load doing nothing. */
function explain(figures: readonly Figure[], usualDoubt: number): Explanation {
  const { length } = figures;
  const mean = (of: (figure: Figure) => number): number => figures.reduce((sum, each) => sum + of(each), 0) / length;
  const percent = mean((figure) => figure.percent);
  const kBps = mean((figure) => figure.carriedKBps);
  if (!(kBps > NOTHING)) return { percent, kBps, percentPerKBps: 0 };
  const proportional = percent / kBps;
  const variance = mean((figure) => (figure.carriedKBps - kBps) ** 2);
  if (variance < NOTHING) return { percent, kBps, percentPerKBps: proportional };
  const slope = mean((figure) => (figure.carriedKBps - kBps) * (figure.percent - percent)) / variance;
  const rest = mean((figure) => (figure.percent - percent - slope * (figure.carriedKBps - kBps)) ** 2);
  const doubt = Math.max(usualDoubt, 2 * Math.sqrt(rest)) / Math.sqrt(length * variance);
  const percentPerKBps = Math.max(0, Math.min(slope + doubt, Math.max(slope - doubt, proportional)));
  return { percent, kBps, percentPerKBps };
}
