import { type Clock, silentLogger, systemRandom } from '@shardline/common';
import { ManualClock } from '@shardline/local';
import { expect, test } from 'vitest';
import { Streams, type StreamsOptions } from './streams.ts';

test('a list that does not come is waited for for a minute, and its timer goes with it', async () => {
  const clock = new ManualClock();
  let timerCount = 0;
  const counting: Clock = {
    now: () => clock.now(),
    wallNow: () => clock.wallNow(),
    setTimer: (callback, delayMs) => {
      const cancel = clock.setTimer(callback, delayMs);
      timerCount += 1;
      return () => {
        timerCount -= 1;
        cancel();
      };
    },
  };
  let answer = (_listed: readonly never[]): void => undefined;
  const from = (): Promise<readonly never[]> =>
    new Promise((resolve) => {
      answer = resolve;
    });
  const options: Partial<StreamsOptions> = {
    from,
    former: async () => 'none',
    client: { config: { region: async () => 'us-east-1' } } as never,
    logger: silentLogger,
    clock: counting,
    random: systemRandom,
  };
  const streams = new Streams(options as StreamsOptions);
  const asked = async (): Promise<{ outcome: Promise<unknown> }> => {
    const outcome = streams.refresh().catch((error: unknown) => error);
    await new Promise((resolve) => setImmediate(resolve));
    return { outcome };
  };
  const late = await asked();
  clock.advance(60_000);
  expect(await late.outcome).toMatchObject({
    code: 'TIMEOUT',
    retryable: true,
    message: 'the function given as streams has not answered for 60 s',
  });
  const answered = await asked();
  answer([]);
  expect(await answered.outcome).toMatchObject({ code: 'STREAMS_UNLISTED' });
  const closed = await asked();
  streams.close();
  expect(await closed.outcome).toMatchObject({ code: 'CLOSED' });
  expect(timerCount).toBe(0);
});
