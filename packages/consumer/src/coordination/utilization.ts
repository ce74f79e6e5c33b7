// What the leader makes of the figures in a worker's metric row (KCL WorkerMetricStats): how busy the worker is, and how sure that
// is. On the way from the table to the assignment by utilization, which only sees what comes out here.
// Invariant: what a figure is worth follows from the row alone, so that two leaders, or two runs over one table, judge alike.
import type { WorkerMetric } from './assignment.ts';
import type { Utilization } from './lease.ts';

/** A smoothed figure is off by more than twice its standard error once in twenty times. */
const STANDARD_ERRORS = 2;
/** From fewer steps than this between figures nothing can be said of how they jump about. */
const FEWEST_STEPS = 3;
/** The median of |a - b| of two values with the standard deviation 1, if they scatter as most things do (normally). */
const MEDIAN_STEP = 0.954;

/** Its worker may be given leases: the row is valid, and none of its metrics fails. */
export function isSound(utilization: Utilization): boolean {
  return isValid(utilization) && !isFailing(utilization);
}

/** KCL WorkerMetricStats.isValidWorkerMetric: every metric has a limit that is not 0. A row without any metric is valid. */
export function isValid({ stats, operatingRange }: Utilization): boolean {
  const names = [...Object.keys(stats), ...Object.keys(operatingRange)];
  return names.every((name) => (operatingRange[name]?.[0] ?? 0) > 0);
}

/** KCL WorkerMetricStats.isAnyWorkerMetricFailing: one could not be measured the last time. */
export function isFailing({ stats }: Utilization): boolean {
  return Object.values(stats).some((values) => values.at(-1) === -1);
}

/** Of how many figures a smoothed one is made; of several metrics the one with the most. */
export function figureCountOf({ stats }: Utilization): number {
  return Math.max(0, ...Object.values(stats).map((values) => values.filter((value) => value !== -1).length));
}

/** @param alpha weight of the last figure against those before it, 0 to 1. */
export function metricsOf({ stats, operatingRange }: Utilization, alpha: number): WorkerMetric[] {
  return Object.entries(stats).map(([name, values]) => {
    const figures = values.filter((value) => value !== -1);
    return {
      name,
      percent: smoothed(figures, alpha),
      limitPercent: operatingRange[name]?.[0] ?? 0,
      doubtPercent: doubtOf(figures, alpha),
    };
  });
}

/** Exponentially, oldest first. */
function smoothed(figures: readonly number[], alpha: number): number {
  return (
    figures.reduce((average: number | undefined, figure) => {
      return average === undefined ? figure : alpha * figure + (1 - alpha) * average;
    }, undefined) ?? 0
  );
}

/**
 * From the steps between neighbouring figures, so that a load that grows is no noise, and from their median, so that one that
 * jumped when leases moved is none either.
 */
function doubtOf(figures: readonly number[], alpha: number): number {
  const steps = figures.slice(1).map((figure, index) => Math.abs(figure - (figures[index] as number)));
  if (steps.length < FEWEST_STEPS) return 0;
  const deviation = median(steps) / MEDIAN_STEP;
  return STANDARD_ERRORS * deviation * Math.sqrt(alpha / (2 - alpha));
}

/** The lower one of two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? 0;
}
