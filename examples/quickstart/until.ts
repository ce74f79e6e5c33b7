// The quickstart's only way to wait for something that happens in another process: look again until it holds. Every such wait
// ends: by the condition, by the run's signal (its reason is thrown), or, when nothing moves any more, by an error that says
// what was missing.
import { setTimeout as sleep } from 'node:timers/promises';
import { OperatingError } from '@shardline/common';

export interface UntilOptions {
  readonly signal: AbortSignal;
  /** How long to wait without progress. Default 30000. */
  readonly timeoutMs?: number;
  /** A number that changes while things move; the time-out starts again when it does. */
  readonly progress?: () => number;
  /** Said when time runs out: what there was instead. */
  readonly missing: () => string;
}

const DEFAULT_TIMEOUT_MS = 30_000;
const LOOK_EVERY_MS = 20;

/** @throws OperatingError TIMEOUT; the signal's reason. */
export async function until(
  what: string,
  isSo: () => boolean | Promise<boolean>,
  options: UntilOptions,
): Promise<void> {
  const { signal, timeoutMs = DEFAULT_TIMEOUT_MS, progress, missing } = options;
  let movedAtMs = performance.now();
  let position = progress?.();
  for (;;) {
    signal.throwIfAborted();
    if (await isSo()) return;
    const nowMs = performance.now();
    const nowPosition = progress?.();
    if (nowPosition !== position) {
      position = nowPosition;
      movedAtMs = nowMs;
    }
    if (nowMs - movedAtMs > timeoutMs) {
      const message = `waited ${timeoutMs / 1_000} s for ${what}: ${missing()}`;
      throw new OperatingError('TIMEOUT', message, { retryable: true });
    }
    await sleep(LOOK_EVERY_MS);
  }
}
