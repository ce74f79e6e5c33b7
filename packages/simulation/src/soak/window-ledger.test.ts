// The soak's accounting of tumbling windows, on histories made by hand: what is sound passes, and each breach is named.
import { describe, expect, it } from 'vitest';
import { HandledLedger } from './handled-ledger.ts';
import { WindowLedger } from './window-ledger.ts';
import type { Place, Written, WrittenShard } from './written-records.ts';

const LENGTH_MS = 1_000;
/** Nine records of shard `a`, three in each of the windows at 0, 1 s and 3 s; the number of a record is its index. */
const arrivals = [0, 10, 999, 1_000, 1_500, 1_999, 3_000, 3_000, 3_400];

function written(isClosed: boolean): Written {
  const a: WrittenShard = { id: 'a', parentIds: [], isClosed, numbers: arrivals.map((_, index) => index), arrivals };
  const indexOf = (_: string, { sequenceNumber }: Place): number => Number(sequenceNumber) - 1;
  return { shards: [a], shard: (shardId) => (shardId === 'a' ? a : undefined), indexOf };
}

const place = (index: number): Place => ({ sequenceNumber: String(index + 1), subSequenceNumber: 0 });
const sumOf = (indexes: readonly number[]): number => indexes.reduce((sum, index) => sum + index, 0);

/** Tenures on `a`, told in one breath. */
class Story {
  readonly windows: WindowLedger;
  readonly ledger: HandledLedger;
  #nowMs = 0;

  constructor(isClosed = false) {
    const truth = written(isClosed);
    this.windows = new WindowLedger(truth, LENGTH_MS);
    this.ledger = new HandledLedger(truth, this.windows);
  }

  /** @param calls the records of one call each, in the window they arrived in; `end`: the last call of the window before. */
  tenure(worker: string, fencingToken: number, ...calls: (readonly number[] | 'end')[]): this {
    const name = { worker, fencingToken, shardId: 'a' };
    const first = calls.find((call) => call !== 'end')?.[0] ?? 0;
    this.ledger.begun(name, first === 0 ? 'TRIM_HORIZON' : place(first - 1));
    let inState: number[] = [];
    for (const call of calls) {
      if (call === 'end') {
        this.end(worker, fencingToken, Math.floor((arrivals[inState[0] ?? 0] ?? 0) / LENGTH_MS) * LENGTH_MS, inState);
        inState = [];
        continue;
      }
      const windowStart = Math.floor((arrivals[call[0] ?? 0] ?? 0) / LENGTH_MS) * LENGTH_MS;
      const records = call.map((index) => ({ ...place(index), number: index }));
      this.ledger.finished({ ...name, fromMs: this.#nowMs++, toMs: this.#nowMs++, records, windowStart });
      inState.push(...call);
    }
    return this;
  }

  end(worker: string, fencingToken: number, start: number, indexes: readonly number[]): this {
    const told = { start, count: indexes.length, sum: sumOf(indexes), atMs: this.#nowMs++ };
    this.windows.ended({ worker, fencingToken, shardId: 'a', ...told });
    return this;
  }

  shardEnded(worker: string, fencingToken: number): this {
    this.ledger.ended({ worker, fencingToken, shardId: 'a' }, this.#nowMs++);
    return this;
  }
}

const whole = [[0, 1, 2], 'end', [3, 4, 5], 'end', [6, 7, 8], 'end'] as const;
const violationsOf = (story: Story): readonly string[] => story.ledger.audit().violations;

describe('a sound history', () => {
  it('has every record in its window, and every window ended once', () => {
    const story = new Story().tenure('one', 1, ...whole);
    expect(story.ledger.isDrained).toBe(true);
    expect(story.ledger.audit()).toMatchObject({
      ...{ handled: 9, duplicates: 0, violations: [] },
      windows: { lengthMs: LENGTH_MS, windows: 3, ended: 3, again: 0 },
    });
  });

  it('has a window that was open at a handoff begun anew, and all of it in its last call', () => {
    const story = new Story().tenure('one', 1, [0, 1, 2], 'end', [3, 4]).tenure('two', 2, ...whole.slice(2));
    expect(story.ledger.audit()).toMatchObject({
      ...{ duplicates: 2, explained: { window: 2 }, violations: [] },
      windows: { ended: 3, again: 0 },
    });
  });

  it('may have a window ended twice after a kill', () => {
    const story = new Story().tenure('one', 1, [0, 1, 2], 'end').tenure('two', 2, ...whole);
    story.ledger.explain('one', 'killed');
    expect(story.ledger.audit()).toMatchObject({
      ...{ duplicates: 3, explained: { killed: 3, window: 0 }, violations: [] },
      windows: { ended: 3, again: 1, explained: { killed: 1 } },
    });
  });

  it('is not drained before each window is ended', () => {
    const story = new Story().tenure('one', 1, ...whole.slice(0, 5));
    expect(story.ledger.handled).toBe(9);
    expect(story.ledger.isDrained).toBe(false);
    story.end('one', 1, 3_000, [6, 7, 8]);
    expect(story.ledger.isDrained).toBe(true);
  });
});

describe('a breach is named', () => {
  it('a window that is ended with other records than arrived in it, also when it is right another time', () => {
    const lost = new Story().tenure('one', 1, ...whole.slice(0, 4), [6, 7, 8]).end('one', 1, 3_000, [6, 8]);
    expect(violationsOf(lost)).toEqual([
      'tenure 1 of a (worker one) ended the window 00:00:03.000 of a with 2 records of sum 14: expected 3 of 21',
    ]);
    const twice = new Story().tenure('one', 1, ...whole.slice(0, 5)).end('one', 1, 3_000, [6, 7, 8, 8]);
    twice.ledger.explain('one', 'killed');
    twice.tenure('two', 2, ...whole.slice(4));
    expect(twice.ledger.audit()).toMatchObject({ windows: { windows: 3, ended: 2, again: 1 }, violationCount: 1 });
  });

  it('a window of the right count and another sum', () => {
    const story = new Story().tenure('one', 1, ...whole.slice(0, 5)).end('one', 1, 3_000, [6, 7, 7]);
    expect(violationsOf(story)[0]).toMatch(/with 3 records of sum 20: expected 3 of 21$/);
  });

  it('a window that nobody ended, and one without records', () => {
    const story = new Story().tenure('one', 1, ...whole.slice(0, 5)).end('one', 1, 2_000, []);
    expect(violationsOf(story)).toEqual([
      'the window 00:00:03.000 of a with 3 records was never ended',
      'tenure 1 of a (worker one) ended a window of a without records: 00:00:02.000',
    ]);
  });

  it('a record in a window that it did not arrive in', () => {
    const story = new Story().tenure('one', 1, [0, 1, 2, 3], 'end', [4, 5], 'end', [6, 7, 8], 'end');
    expect(violationsOf(story)[0]).toBe('tenure 1 of a (worker one) handled 4:0 in a window that it did not arrive in');
    expect(story.ledger.audit().windows?.ended).toBe(1);
  });

  it('a tenure that begins in the midst of a window, whose state is gone', () => {
    const story = new Story().tenure('one', 1, [0, 1, 2], 'end', [3]).tenure('two', 2, [4, 5], 'end', [6, 7, 8], 'end');
    expect(violationsOf(story)).toEqual([
      'tenure 2 of a (worker two) begins in the midst of a window, behind 4 records',
      'tenure 2 of a (worker two) ended the window 00:00:01.000 of a with 2 records of sum 9: expected 3 of 12',
    ]);
  });

  it('records handled again of a window that its tenure had ended, in good order', () => {
    const story = new Story().tenure('one', 1, [0, 1, 2], 'end', [3]).tenure('two', 2, ...whole);
    expect(violationsOf(story)).toEqual([
      'tenure 2 of a (worker two) handled 3 records again of tenure 1 of a (worker one), which ended in good order',
      'tenure 2 of a (worker two) ended the window 00:00:00.000 of a again, which tenure 1 of a (worker one) had ended',
    ]);
  });

  it('a window that is ended twice within a tenure, killed or not', () => {
    const story = new Story().tenure('one', 1, ...whole).end('one', 1, 3_000, [6, 7, 8]);
    story.ledger.explain('one', 'killed');
    expect(violationsOf(story)).toHaveLength(1);
  });

  it("a window that is ended behind its shard's end", () => {
    const story = new Story(true).tenure('one', 1, ...whole.slice(0, 5)).shardEnded('one', 1);
    story.end('one', 1, 3_000, [6, 7, 8]);
    expect(violationsOf(story)).toEqual(["the window 00:00:03.000 of a was ended after the shard's end was told"]);
  });
});
