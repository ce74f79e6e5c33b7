// Watches the worker metric rows of a simulated world from outside: a leader may delete what a dead worker left, never the row of
// one that has reported since. By a history of its own reports, not by what stands in the rows.
import type { TableEffect } from '../../../consumer/dist/coordination/effects.js';
import type { Results } from '../../../consumer/dist/coordination/results.js';
import { MAX_CLOCK_DRIFT } from './swarm.ts';
import { TIMES } from './worker-options.ts';

/** A row tells its age in whole seconds, and the leader's clock may run fast. */
const YOUNGEST_MS = (TIMES.staleWorkerMetricsEntryCleanupDurationMs - 1000) * (1 - MAX_CLOCK_DRIFT);

export class MetricRowChecker {
  readonly #reportedAt = new Map<string, number>();

  /** What is wrong with an effect that was sent at `sentAt` and run just now. A report says when it was sent, and one that lingers takes the place of a newer one. */
  judge(effect: TableEffect, result: unknown, now: number, sentAt: number): string | undefined {
    if (effect.kind === 'reportWorker' && (result as Results['reportWorker']).applied)
      this.#reportedAt.set(effect.workerId, sentAt);
    if (effect.kind !== 'deleteWorker' || !(result as Results['deleteWorker']).deleted) return undefined;
    const reportedAt = this.#reportedAt.get(effect.workerId);
    if (reportedAt === undefined || now - reportedAt >= YOUNGEST_MS) return undefined;
    return `the metric row of ${effect.workerId} was deleted at ${now}, and it reported at ${reportedAt}`;
  }
}
