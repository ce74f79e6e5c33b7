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

function begin(credentials?: () => Promise<object>): {
  clock: HandClock;
  answer: (row: string) => void;
  fail: (error: unknown) => void;
  answered: Promise<string>;
} {
  const clock = new HandClock();
  const codes = { notFound: 'LEASE_TABLE_UNAVAILABLE', failed: 'LEASE_TABLE_UNAVAILABLE' } as const;
  const calls = new AwsCalls({
    client: { config: { credentials } },
    timeoutMs: 1000,
    resource: 'table t',
    codes,
    clock,
  });
  let answer = (_row: string): void => undefined;
  let fail = (_error: unknown): void => undefined;
  const send = (): Promise<string> =>
    new Promise((resolve, reject) => {
      answer = resolve;
      fail = reject;
    });
  const answered = calls.call('dynamodb:GetItem', send);
  return { clock, answer, fail, answered };
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

/** Lets promises that have settled tell so. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Fires all timers in the order of their times, until the call has ended. @returns how long that took. */
async function runUntilSettled(clock: HandClock, answered: Promise<string>): Promise<number> {
  let isSettled = false;
  const settled = (): void => {
    isSettled = true;
  };
  answered.then(settled, settled);
  const due = new Map<object, number>();
  for (let now = 0; ; ) {
    await turn();
    if (isSettled) return now;
    for (const timer of clock.timers) if (!due.has(timer)) due.set(timer, now + timer.delayMs);
    const next = clock.timers.reduce((a, b) => ((due.get(b) ?? 0) < (due.get(a) ?? 0) ? b : a));
    now = due.get(next) ?? now;
    clock.timers.splice(clock.timers.indexOf(next), 1);
    next.callback();
  }
}

describe("a call's credentials", () => {
  test('have a part of its time, and are named when their source hangs', async () => {
    const { clock, answered } = begin(() => new Promise(() => undefined));
    const refused = expect(answered).rejects.toMatchObject({
      code: 'CREDENTIALS_UNAVAILABLE',
      retryable: true,
      action: 'dynamodb:GetItem',
      resource: 'table t',
      message:
        'dynamodb:GetItem on table t was not sent: the source of the AWS credentials has not answered for 500 ms',
    });
    expect(await runUntilSettled(clock, answered)).toBe(500);
    await refused;
    expect(clock.timers).toEqual([]);
  });

  test('that are there leave the rest of the time to the service', async () => {
    const { clock, answered } = begin(async () => ({ accessKeyId: 'a' }));
    const refused = expect(answered).rejects.toMatchObject({ code: 'TIMEOUT' });
    expect(await runUntilSettled(clock, answered)).toBe(1000);
    await refused;
    expect(clock.timers).toEqual([]);
  });

  test.each([
    ['an error of any name', new Error('IMDS is away')],
    ["an error of the network, that is not the service's", Object.assign(new Error('no'), { code: 'ECONNREFUSED' })],
  ])('whose source throws are named, too: %s', async (_, thrown) => {
    const { fail, answered } = begin(() => Promise.reject(thrown));
    fail(thrown);
    await expect(answered).rejects.toMatchObject({
      code: 'CREDENTIALS_UNAVAILABLE',
      retryable: true,
      cause: thrown,
      message: expect.stringContaining('was not sent: the AWS credentials cannot be had'),
    });
  });

  test('are not blamed for a network that fails while they are there', async () => {
    const { fail, answered } = begin(async () => ({ accessKeyId: 'a' }));
    fail(Object.assign(new Error('no'), { code: 'ECONNREFUSED' }));
    await expect(answered).rejects.toMatchObject({ code: 'LEASE_TABLE_UNAVAILABLE' });
  });
});
