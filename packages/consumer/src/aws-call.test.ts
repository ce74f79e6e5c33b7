import type { Clock } from '@shardline/common';
import { describe, expect, test } from 'vitest';
import { AwsCalls } from './aws-call.ts';

/** Its timers fire by hand. */
class HandClock implements Clock {
  readonly timers: { readonly callback: () => void; readonly delayMs: number }[] = [];
  now = (): number => 0;
  wallNow = (): number => 0;
  setTimer = (callback: () => void, delayMs: number): (() => void) => {
    const timer = { callback, delayMs };
    this.timers.push(timer);
    return () => {
      const at = this.timers.indexOf(timer);
      if (at >= 0) this.timers.splice(at, 1);
    };
  };
  /** @returns how long it had to wait. */
  fireNext(): number | undefined {
    const timer = this.timers.shift();
    timer?.callback();
    return timer?.delayMs;
  }
}

function begin(): { clock: HandClock; answer: (row: string) => void; answered: Promise<string> } {
  const clock = new HandClock();
  const codes = { notFound: 'LEASE_TABLE_UNAVAILABLE', failed: 'LEASE_TABLE_UNAVAILABLE' } as const;
  const calls = new AwsCalls({ client: { config: {} } as never, timeoutMs: 1000, resource: 'table t', codes, clock });
  let answer = (_row: string): void => undefined;
  const send = (): Promise<string> =>
    new Promise((resolve) => {
      answer = resolve;
    });
  const answered = calls.call('dynamodb:GetItem', send);
  return { clock, answer, answered };
}

describe("a call's time", () => {
  test('of a process that did not run for long is not over: what was answered meanwhile counts', async () => {
    const { clock, answer, answered } = begin();
    // Node looks at its timers first, at each that is overdue once.
    for (const overdue of [...clock.timers]) overdue.callback();
    answer('row');
    await expect(answered).resolves.toBe('row');
  });

  test('is over when nothing has come for as long as is said', async () => {
    const { clock, answered } = begin();
    const refused = expect(answered).rejects.toMatchObject({
      code: 'TIMEOUT',
      retryable: true,
      message: 'dynamodb:GetItem on table t took longer than 1000 ms',
    });
    let waitedMs = 0;
    for (let ms = clock.fireNext(); ms !== undefined; ms = clock.fireNext()) waitedMs += ms;
    expect(waitedMs).toBe(1000);
    await refused;
  });

  test('leaves no timer behind', async () => {
    const { clock, answer, answered } = begin();
    answer('row');
    await answered;
    expect(clock.timers).toEqual([]);
  });
});
