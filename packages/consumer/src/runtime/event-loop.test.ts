import { type Logger, onDiagnostic, silentLogger } from '@shardline/common';
import { ManualClock } from '@shardline/local';
import { expect, onTestFinished, test } from 'vitest';
import { EventLoopWatch, type HandlerCall } from './event-loop.ts';

/** A clock on which a timer can come late, as on a loop that is blocked. */
function scene(calls: readonly HandlerCall[]) {
  const clock = new ManualClock();
  let due = (): void => undefined;
  let dueInMs = 0;
  let usage = { activeMs: 0, cpuMs: 0 };
  let askedSince = 0;
  const warnings: [object, string | undefined][] = [];
  const logger: Logger = { ...silentLogger, warn: (fields, text) => warnings.push([fields, text]) };
  const watch = new EventLoopWatch({
    application: 'a',
    workerId: 'w',
    failoverTimeMs: 3_000,
    clock: {
      now: () => clock.now(),
      wallNow: () => clock.wallNow(),
      setTimer: (callback, delayMs) => {
        due = callback;
        dueInMs = delayMs;
        return () => {
          due = () => undefined;
        };
      },
    },
    logger,
    callsSince: (since) => {
      askedSince = since;
      return calls;
    },
    usage: () => usage,
  });
  const told: unknown[] = [];
  onTestFinished(onDiagnostic('shardline:consumer:event-loop-delayed', (message) => told.push(message)));
  /** The timer comes so late, after the loop was active for a share of the time, and on the CPU for another. */
  const late = (lateMs: number, share: number, cpuShare = share): void => {
    clock.advance(dueInMs + lateMs);
    const elapsedMs = dueInMs + lateMs;
    usage = { activeMs: elapsedMs * share, cpuMs: elapsedMs * cpuShare };
    due();
  };
  return { clock, watch, warnings, told, late, askedSince: () => askedSince };
}

const call = (leaseKey: string, synchronousMs: number): HandlerCall => ({
  leaseKey,
  word: 'processRecords',
  synchronousMs,
});

test('a loop that is blocked for a third of the failover time is told of with the handlers that ran, the longest first', () => {
  const { clock, watch, warnings, told, late, askedSince } = scene([call('b', 2), call('a', 1999.6)]);
  watch.start();
  late(999, 1);
  expect(warnings).toEqual([]);
  const since = clock.now();
  late(2_000, 1);
  expect(askedSince()).toBe(since);
  const handlers = [call('a', 2000), call('b', 2)];
  expect(told).toEqual([{ application: 'a', worker: 'w', cause: 'blocked', delayMs: 2_000, handlers }]);
  expect(warnings).toEqual([
    [
      { cause: 'blocked', delayMs: 2_000, failoverTimeMs: 3_000, handlers, count: 1 },
      expect.stringMatching(
        /^the event loop was blocked for 2000 ms, and no lease could be renewed meanwhile: let handlers/,
      ),
    ],
  ]);
});

test('it is warned of once a minute, with how often it was, and each time on the channel', () => {
  const { clock, watch, warnings, told, late } = scene([]);
  watch.start();
  for (let block = 0; block < 5; block += 1) late(4_000, 1);
  clock.advance(60_000);
  late(4_000, 1);
  expect(told).toHaveLength(6);
  expect(warnings.map(([fields]) => (fields as { count: number }).count)).toEqual([1, 5]);
  expect(warnings[0]?.[1]).toContain('leases may have gone to other workers');
});

test('a process that was suspended blames no handler', () => {
  const { watch, warnings, told, late } = scene([call('a', 1)]);
  watch.start();
  late(3_600_000, 0.001);
  // Stopped in the midst of its work.
  late(3_600_000, 1, 0.001);
  const suspended = { cause: 'suspended', handlers: [] };
  expect(told).toMatchObject([suspended, suspended]);
  expect(warnings[0]?.[1]).toMatch(/^this process did not run for 3600000 ms, .* was it suspended\?$/);
  watch.stop();
  late(3_600_000, 1);
  expect(told).toHaveLength(2);
});

test('a handler that waits in one piece, for a child process say, blocks the loop without using the CPU', () => {
  const { watch, told, late } = scene([call('a', 2_000)]);
  watch.start();
  late(2_000, 1, 0);
  expect(told).toMatchObject([{ cause: 'blocked', handlers: [{ leaseKey: 'a' }] }]);
});
