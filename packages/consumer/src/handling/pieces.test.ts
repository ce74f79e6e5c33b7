import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type PieceRules, Pieces } from './pieces.ts';

const forever: PieceRules = {
  maxTries: Number.POSITIVE_INFINITY,
  maxAgeMs: Number.POSITIVE_INFINITY,
  bisecting: 'after-retries',
  maxSize: Number.POSITIVE_INFINITY,
};

interface Walk {
  /** What the handler finished, in the order of its calls. */
  readonly handled: number[];
  /** Each time something was handed over. */
  readonly handedOver: number[][];
  readonly calls: string[];
  readonly waits: number;
}

/** Walks a batch of `count` with a handler that says of each call where it fails, or that it throws: -1; undefined: it does not. */
function walk(
  count: number,
  rules: Partial<PieceRules>,
  handler: (from: number, to: number, call: number) => number | undefined,
  { arrivedAt = (_index: number): number => 0, stepMs = 1, maxCalls = 100_000 } = {},
): Walk {
  const pieces = new Pieces(count, arrivedAt, { ...forever, ...rules });
  const seen = { handled: [] as number[], handedOver: [] as number[][], calls: [] as string[] };
  let now = 0;
  let waits = 0;
  for (let piece = pieces.next(); piece !== undefined && seen.calls.length < maxCalls; piece = pieces.next()) {
    const { from, to } = piece;
    // The same question has the same answer until it is settled.
    expect(pieces.next()).toEqual(piece);
    expect(from).toBe(pieces.finishedCount);
    expect(to).toBeGreaterThan(from);
    if (piece.kind === 'handOver') {
      seen.handedOver.push(range(from, to));
      pieces.handedOver();
      continue;
    }
    now += stepMs;
    seen.calls.push(`${from}-${to}`);
    const failed = handler(from, to, seen.calls.length);
    if (failed === undefined) {
      seen.handled.push(...range(from, to));
      pieces.handled();
    } else {
      if (failed >= 0) seen.handled.push(...range(from, failed));
      const verdict = failed === -1 ? pieces.threw(now) : pieces.stoppedAt(failed, 1, now);
      if (verdict === 'again') waits += 1;
    }
  }
  return { ...seen, waits };
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, index) => from + index);

const batches = fc
  .integer({ min: 1, max: 200 })
  .chain((count) => fc.record({ count: fc.constant(count), poison: fc.uniqueArray(fc.nat(count - 1)) }));
const rulesOf = fc.record({
  maxTries: fc.integer({ min: 1, max: 4 }),
  bisecting: fc.constantFrom('after-retries' as const, 'at-once' as const),
  maxSize: fc.oneof(fc.constant(Number.POSITIVE_INFINITY), fc.integer({ min: 1, max: 50 })),
});

describe('bisecting', () => {
  test('finds exactly the records that throw, whichever and however many they are, and handles all others once, in order', () => {
    fc.assert(
      fc.property(batches, rulesOf, ({ count, poison }, rules) => {
        const isPoison = new Set(poison);
        const { handled, handedOver } = walk(count, rules, (from, to) =>
          range(from, to).some((index) => isPoison.has(index)) ? -1 : undefined,
        );
        expect(handedOver.flat()).toEqual([...poison].sort((a, b) => a - b));
        expect(handedOver.every(({ length }) => length === 1)).toBe(true);
        expect(handled).toEqual(range(0, count).filter((index) => !isPoison.has(index)));
      }),
    );
  });

  test('a handler that says where it failed is taken at its word: no other record is handed over, nor handled twice', () => {
    fc.assert(
      fc.property(batches, rulesOf, ({ count, poison }, rules) => {
        const sorted = [...poison].sort((a, b) => a - b);
        const { handled, handedOver, waits } = walk(count, rules, (from, to) =>
          sorted.find((index) => index >= from && index < to),
        );
        expect(handedOver.flat()).toEqual(sorted);
        expect(handled).toEqual(range(0, count).filter((index) => !sorted.includes(index)));
        if (rules.maxTries === 1) expect(waits).toBe(0);
      }),
    );
  });

  test('leaves nothing out and passes nothing over in silence, however the handler throws', () => {
    const answers = fc.infiniteStream(fc.constantFrom(undefined, undefined, -1, 0, 3));
    fc.assert(
      fc.property(batches, rulesOf, answers, ({ count }, rules, stream) => {
        const { handled, handedOver } = walk(count, rules, (from, to) => {
          const answer = stream.next().value as number | undefined;
          return answer === undefined || answer === -1 ? answer : Math.min(from + answer, to - 1);
        });
        const finished = [...handled, ...handedOver.flat()].sort((a, b) => a - b);
        expect(finished).toEqual(range(0, count));
      }),
    );
  });

  test('takes 2n - 1 calls at most for n records with one try each, and about 2 log n for one bad record', () => {
    fc.assert(
      fc.property(batches, ({ count, poison }) => {
        const isPoison = new Set(poison);
        const { calls } = walk(count, { maxTries: 1 }, (from, to) =>
          range(from, to).some((index) => isPoison.has(index)) ? -1 : undefined,
        );
        expect(calls.length).toBeLessThanOrEqual(2 * count - 1);
      }),
    );
    for (const bad of [0, 1, 4_999, 5_000, 9_999]) {
      const { calls } = walk(10_000, { maxTries: 1 }, (from, to) => (from <= bad && bad < to ? -1 : undefined));
      expect(calls.length).toBeLessThanOrEqual(1 + 2 * Math.ceil(Math.log2(10_000)));
    }
  });

  test('after retries: the batch is tried as a whole, halves once, the record by itself again', () => {
    const { calls, handedOver } = walk(4, { maxTries: 3 }, (from, to) => (from <= 2 && 2 < to ? -1 : undefined));
    expect(calls).toEqual(['0-4', '0-4', '0-4', '0-2', '2-3', '2-3', '2-3', '3-4']);
    expect(handedOver).toEqual([[2]]);
  });

  test('at once: the first throw narrows it already, without waiting, and without limits the one record is tried for ever', () => {
    const isBad = (from: number, to: number): -1 | undefined => (from <= 2 && 2 < to ? -1 : undefined);
    const { calls, handedOver, waits } = walk(4, { bisecting: 'at-once' }, isBad, { maxCalls: 1_000 });
    expect(calls.slice(0, 4)).toEqual(['0-4', '0-2', '2-3', '2-3']);
    expect([calls.length, handedOver, waits]).toEqual([1_000, [], 998]);
  });

  test('never: the batch is given up as it is', () => {
    const { calls, handedOver } = walk(4, { maxTries: 2, bisecting: 'never' }, (from) => (from === 0 ? -1 : undefined));
    expect([calls, handedOver]).toEqual([['0-4', '0-4'], [[0, 1, 2, 3]]]);
  });

  test('of an aggregate that goes by one name the user records are told apart', () => {
    const pieces = new Pieces(6, () => 0, { ...forever, maxTries: 1 });
    expect(pieces.stoppedAt(2, 3, 0)).toBe('narrowed');
    expect(pieces.next()).toEqual({ kind: 'handle', from: 2, to: 4, attempt: 1 });
    pieces.handled();
    expect(pieces.threw(0)).toBe('over');
    expect(pieces.next()).toMatchObject({ kind: 'handOver', from: 4, to: 5 });
    pieces.handedOver();
    expect(pieces.next()).toEqual({ kind: 'handle', from: 5, to: 6, attempt: 1 });
  });
});

test('a transient failure of everything costs tries and no record', () => {
  const { handled, handedOver } = walk(50, { maxTries: 3 }, (_from, _to, call) => (call <= 6 ? -1 : undefined));
  expect([handled, handedOver]).toEqual([range(0, 50), []]);
});

test('without limits a batch is tried as it is for ever', () => {
  const { calls, waits } = walk(3, {}, () => -1, { maxCalls: 500 });
  expect([new Set(calls), waits]).toEqual([new Set(['0-3']), 500]);
});

describe('by age', () => {
  test('a record is given up once it is older than the limit, not before, and each was tried', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 5, max: 400 }), (count, maxAgeMs) => {
        const triedAt = new Map<number, number>();
        const arrivedAt = (index: number): number => 10 * index;
        const { handedOver, calls } = walk(
          count,
          { maxAgeMs },
          (from, _to, call) => {
            triedAt.set(from, call);
            return -1;
          },
          { arrivedAt },
        );
        expect(handedOver).toEqual(range(0, count).map((index) => [index]));
        expect(calls.length).toBeGreaterThan(0);
        for (const index of range(0, count)) {
          const age = (triedAt.get(index) as number) - arrivedAt(index);
          expect(age).toBeGreaterThan(maxAgeMs);
        }
      }),
      { numRuns: 50 },
    );
  });

  test('a batch that is not bisected is given up when its newest record is too old', () => {
    const rules = { maxAgeMs: 100, bisecting: 'never' as const };
    const { calls, handedOver } = walk(3, rules, () => -1, { arrivedAt: (index) => 50 * index, stepMs: 10 });
    expect([calls.length, handedOver]).toEqual([21, [[0, 1, 2]]]);
  });
});

describe('asked for again after it has stopped', () => {
  test('what is unfinished is tried as if it had never thrown, what is finished does not come again', () => {
    const count = fc.integer({ min: 1, max: 40 });
    fc.assert(
      fc.property(count, count, rulesOf, (size, place, rules) => {
        const bad = place % size;
        const pieces = new Pieces(size, () => 0, { ...forever, ...rules, maxAgeMs: Infinity });
        const handled: number[] = [];
        const callsToTheStop = (): number => {
          let calls = 0;
          for (let piece = pieces.next(); piece?.kind === 'handle'; piece = pieces.next()) {
            calls += 1;
            if (piece.from <= bad && bad < piece.to) pieces.threw(0);
            else {
              handled.push(...range(piece.from, piece.to));
              pieces.handled();
            }
          }
          return calls;
        };
        callsToTheStop();
        const finished = pieces.finishedCount;
        expect(pieces.next()).toMatchObject({ kind: 'handOver', from: finished });
        pieces.beginAnew();
        expect(pieces.next()).toMatchObject({ kind: 'handle', from: finished, attempt: 1 });
        callsToTheStop();
        expect(pieces.next()).toMatchObject({ kind: 'handOver', from: finished });
        pieces.beginAnew();
        for (let piece = pieces.next(); piece !== undefined; piece = pieces.next()) {
          handled.push(...range(piece.from, piece.to));
          pieces.handled();
        }
        expect(handled).toEqual(range(0, size));
      }),
    );
  });

  test('a batch that is done with stays so', () => {
    const pieces = new Pieces(2, () => 0, forever);
    pieces.next();
    pieces.handled();
    pieces.beginAnew();
    expect(pieces.next()).toBeUndefined();
  });
});
