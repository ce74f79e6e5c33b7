import { ManualClock } from '@shardline/local';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Settled, Telling } from './telling.ts';

interface Numbers extends Settled {
  readonly records: readonly number[];
}

/** Time passes with every record that is told, and the timers' turns are counted. */
class Scene {
  readonly clock = new ManualClock();
  readonly told: number[] = [];
  turnCount = 0;
  onTold: (number: number) => void = () => undefined;
  caughtUpCount = 0;
  readonly telling = new Telling<Numbers>(
    this.clock,
    ({ records }, from, to) => {
      for (const number of records.slice(from, to)) {
        this.#passedMs += this.#msEach;
        this.told.push(number);
        this.onTold(number);
      }
    },
    () => {
      this.caughtUpCount++;
    },
  );
  readonly #msEach: number;
  #passedMs = 0;

  constructor(msEach: number) {
    this.#msEach = msEach;
    const { clock } = this;
    const standing = clock.now.bind(clock);
    clock.now = () => standing() + this.#passedMs;
  }

  settle(...numbers: number[]): void {
    this.telling.put({ records: numbers });
  }

  /** Lets the timers fire, turn by turn, until all is told. @returns how much was told in each. */
  turns(): number[] {
    const counts: number[] = [];
    for (let before = -1; before !== this.told.length; ) {
      before = this.told.length;
      this.clock.advance(0);
      if (this.told.length > before) counts.push(this.told.length - before);
    }
    return counts;
  }
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, number) => number);
}

describe('what has settled', () => {
  test('is told at once while that is quick', () => {
    const scene = new Scene(0);
    scene.settle(0, 1);
    scene.settle(2);
    scene.telling.tell();
    expect(scene.told).toEqual([0, 1, 2]);
  });

  test('a hundred thousand at once are told in slices of some milliseconds, with a turn of the event loop between them', () => {
    const scene = new Scene(0.01);
    scene.settle(...upTo(100_000));
    scene.telling.tell();
    const first = scene.told.length;
    expect(first).toBeLessThanOrEqual(1_100);
    scene.clock.advance(0);
    expect(scene.told.length).toBe(100_000);
  });

  test('leaves the telling behind until it is told, and whoever waits for that is called if it took another turn', () => {
    const scene = new Scene(0.01);
    scene.settle(0);
    expect(scene.telling.isBehind).toBe(true);
    scene.telling.tell();
    expect([scene.telling.isBehind, scene.caughtUpCount]).toEqual([false, 0]);
    scene.settle(...upTo(3_000));
    scene.onTold = () => expect(scene.telling.isBehind).toBe(true);
    scene.telling.tell();
    scene.turns();
    expect([scene.telling.isBehind, scene.caughtUpCount]).toEqual([false, 1]);
  });

  test('is told once and in its order, whatever comes in meanwhile', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 300 }), { maxLength: 20 }),
        fc.constantFrom(0, 0.05, 1, 20),
        fc.integer({ min: 1, max: 200 }),
        (sizes, msEach, putEvery) => {
          const scene = new Scene(msEach);
          let last = 0;
          const settle = (size: number): void => scene.settle(...Array.from({ length: size }, () => last++));
          scene.onTold = (number) => {
            // As a callback that puts again, and is told of that at once.
            if (number % putEvery !== 0 || last > 10_000) return;
            settle(1);
            scene.telling.tell();
          };
          for (const size of sizes) {
            settle(size);
            scene.telling.tell();
          }
          scene.turns();
          expect(scene.told).toEqual(upTo(last));
        },
      ),
      { numRuns: 50 },
    );
  });
});
