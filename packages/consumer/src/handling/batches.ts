// A handler turned inside out: `for await (const batch of consumer.batches())`. The loop's body handles one batch at a time, whichever shard
// it is from; asking for the next one vouches for the last. It is a handler like any other to those below.
// Invariant: each batch that was given is settled: vouched for by the next turn of the loop, or let go, when the loop is left. To leave is a way
// to end, not a failure: what is let go is neither vouched for nor told as thrown, and not given again.
import { OperatingError } from '@shardline/common';
import type { Batch, BatchHandler, ShardContext } from '../handler.ts';

/** A batch with what a handler is given beside it. */
export interface BatchInHand extends Batch {
  readonly context: ShardContext;
}

interface Given {
  readonly batch: BatchInHand;
  readonly settle: (error?: unknown) => void;
}

/** What a batch is settled with that nobody handles any more: the loop was left, or its lease was lost before it came to hand. */
export const LET_GO: OperatingError = new OperatingError('CLOSED', 'the loop over batches was left', {
  retryable: false,
});

/**
 * @param run with a handler, once, when the first batch is asked for; throws, rather than rejects, when nothing has begun by it: that loop
 * has nothing to stop.
 * @param stop when the loop is left.
 */
export async function* batchesOf(
  run: (handler: BatchHandler) => Promise<void>,
  stop: () => Promise<void>,
): AsyncGenerator<BatchInHand, void, undefined> {
  const waiting: Given[] = [];
  let inHand: Given | undefined;
  let isOver = false;
  let wasLeftBehind = false;
  let wake = (): void => undefined;
  const give: BatchHandler = (batch, context) =>
    new Promise<void>((resolve, reject) => {
      const { signal } = context;
      const settle = (error?: unknown): void => {
        signal.removeEventListener('abort', onAbort);
        if (error === undefined) resolve();
        else reject(error);
      };
      const given: Given = { batch: { ...batch, context }, settle };
      // Not in hand yet, it must not be: another worker may have the shard. In hand, the loop's body sees the signal itself.
      const onAbort = (): void => {
        const index = waiting.indexOf(given);
        if (index === -1) return;
        waiting.splice(index, 1);
        settle(LET_GO);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      if (isOver) settle(LET_GO);
      else waiting.push(given);
      wake();
    });
  const running = run(give).finally(() => {
    isOver = true;
    wake();
  });
  // Whoever loops is told at the end.
  running.catch(() => undefined);
  try {
    for (;;) {
      inHand = waiting.shift();
      if (inHand !== undefined) {
        yield inHand.batch;
        // What the loop asks for now can vouch for nothing any more.
        wasLeftBehind = isOver;
        inHand.settle();
      } else if (isOver) break;
      else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  } finally {
    isOver = true;
    for (const given of [inHand, ...waiting]) given?.settle(LET_GO);
    await stop();
  }
  await running;
  if (wasLeftBehind) throw leftBehind();
}

function leftBehind(): OperatingError {
  const text =
    'the consumer has stopped without the batch that the loop had in hand for longer than shutdownGraceMs: it is in no checkpoint, and comes ' +
    'again. A loop whose body awaits stop() waits for itself: leave it by break, or call stop() without await';
  return new OperatingError('TIMEOUT', text, { retryable: false });
}
