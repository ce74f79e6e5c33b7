// How much of a worker's smoothed figure is of the time before one of its leases came, or went: between what the leader sees of the
// table (fleet.ts) and the assignment by utilization, which must not take a worker that has just given half of its leases away for
// as busy as it was. Pure.
// Invariant: reports count from when this leader saw them, as the changes of owners do, so that no two clocks are compared.

/** Of so many reports the times are kept (KCL: a metric row has ten figures). */
const REPORTS = 10;

/** When the reports of a worker were seen, oldest first: one more, at `now`. */
export function reportSeen(seenAt: readonly number[], now: number): readonly number[] {
  return [...seenAt, now].slice(-REPORTS);
}

/**
 * @param seenAt when the last reports were seen, oldest first; older ones are of the time before.
 * @param figureCount of how many figures the smoothed one is made.
 * @param alpha weight of the last figure against those before it, 0 to 1.
 * @returns from 0, all of it was measured since `at`, to 1.
 */
export function outdatedShare(seenAt: readonly number[], figureCount: number, alpha: number, at: number): number {
  let share = figureCount === 0 ? 0 : 1;
  for (let report = Math.max(0, seenAt.length - figureCount); report < seenAt.length; report += 1) {
    const end = seenAt[report] as number;
    const begin = seenAt[report - 1] ?? Number.NEGATIVE_INFINITY;
    const isFirst = report === seenAt.length - figureCount;
    const before =
      at >= end ? 1 : at <= begin ? 0 : begin === Number.NEGATIVE_INFINITY ? 1 : (at - begin) / (end - begin);
    share = isFirst ? before : alpha * before + (1 - alpha) * share;
  }
  return share;
}
