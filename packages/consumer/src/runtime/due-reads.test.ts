import { TRIM_HORIZON } from '@shardline/common';
import { ManualClock } from '@shardline/local';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { FetchBatch } from '../coordination/effects.ts';
import { DueReads } from './due-reads.ts';

const readOf = (tenure: number): FetchBatch => ({
  kind: 'fetchBatch',
  leaseKey: `shard-${tenure}`,
  shardId: `shard-${tenure}`,
  tenure,
  after: TRIM_HORIZON,
  most: { bytes: 1000, recordCount: 10 },
});

/** Counts the timers that are set and not fired or cancelled. */
class CountingClock extends ManualClock {
  timerCount = 0;

  override setTimer(callback: () => void, delayMs: number): () => void {
    this.timerCount += 1;
    let isSet = true;
    const end = (): void => {
      if (isSet) this.timerCount -= 1;
      isSet = false;
    };
    const cancel = super.setTimer(() => {
      end();
      callback();
    }, delayMs);
    return () => {
      end();
      cancel();
    };
  }
}

function stage() {
  const clock = new CountingClock(1_000);
  const begun: { tenure: number; at: number }[] = [];
  const reads = new DueReads(clock, ({ tenure }) => begun.push({ tenure, at: clock.now() }));
  return { clock, begun, reads };
}

test('a read that is due is not kept', () => {
  const { clock, begun, reads } = stage();
  expect(reads.keep(readOf(1), 1_000)).toBe(false);
  expect(reads.keep(readOf(1), Number.NEGATIVE_INFINITY)).toBe(false);
  clock.advance(10_000);
  expect(begun).toEqual([]);
});

test('each read that is kept begins when it is due, or is given back, once; one timer is set while any waits', () => {
  const pause = fc.integer({ min: 1, max: 50 });
  const step = fc.oneof(
    fc.record({ kind: fc.constant('keep' as const), pauseMs: pause }),
    fc.record({ kind: fc.constant('giveBack' as const), tenure: fc.nat({ max: 20 }) }),
    fc.record({ kind: fc.constant('advance' as const), ms: pause }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { clock, begun, reads } = stage();
      const dueAt = new Map<number, number>();
      const expected: { tenure: number; at: number }[] = [];
      let tenure = 0;
      for (const each of steps) {
        if (each.kind === 'keep') {
          dueAt.set(tenure, clock.now() + each.pauseMs);
          expect(reads.keep(readOf(tenure), clock.now() + each.pauseMs)).toBe(true);
          tenure += 1;
        } else if (each.kind === 'giveBack') {
          expect(reads.giveBack(each.tenure)?.tenure).toBe(dueAt.has(each.tenure) ? each.tenure : undefined);
          dueAt.delete(each.tenure);
        } else {
          clock.advance(each.ms);
          for (const [due, at] of dueAt) {
            if (at > clock.now()) continue;
            expected.push({ tenure: due, at });
            dueAt.delete(due);
          }
        }
        expect(clock.timerCount).toBe(dueAt.size > 0 ? 1 : 0);
      }
      const inOrder = (all: typeof begun) => all.toSorted((left, right) => left.tenure - right.tenure);
      expect(inOrder(begun)).toEqual(inOrder(expected));
      reads.stop();
      clock.advance(1_000);
      expect(begun).toHaveLength(expected.length);
      expect(clock.timerCount).toBe(0);
    }),
  );
});
