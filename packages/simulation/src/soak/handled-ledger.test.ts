// The soak's accounting, on histories made by hand: what is sound passes, and each breach is named.
import { describe, expect, it } from 'vitest';
import { type Beginning, HandledLedger } from './handled-ledger.ts';
import type { Place, Written, WrittenShard } from './written-records.ts';

/** Shards with so many records each; record `index` of a shard is at place `index + 1`, its number is its index. */
function written(...shards: readonly (readonly [id: string, count: number, ...parentIds: string[]])[]): Written {
  const list: WrittenShard[] = shards.map(([id, count, ...parentIds]) => {
    const isClosed = shards.some(([, , ...parents]) => parents.includes(id));
    const numbers = Array.from({ length: count }, (_, index) => index);
    return { id, parentIds, isClosed, numbers, arrivals: numbers };
  });
  const shard = (shardId: string): WrittenShard | undefined => list.find(({ id }) => id === shardId);
  const indexOf = (shardId: string, { sequenceNumber }: Place): number | undefined => {
    const index = Number(sequenceNumber) - 1;
    return index < (shard(shardId)?.numbers.length ?? 0) ? index : undefined;
  };
  return { shards: list, shard, indexOf };
}

const place = (index: number): Place => ({ sequenceNumber: String(index + 1), subSequenceNumber: 0 });

/** A tenure on `a` that is told in one breath: begins behind `behind` and handles `indexes`. */
class Story {
  readonly ledger: HandledLedger;
  #nowMs = 0;

  constructor(truth: Written) {
    this.ledger = new HandledLedger(truth);
  }

  tenure(
    worker: string,
    fencingToken: number,
    behind: number | 'TRIM_HORIZON',
    indexes: number[],
    shardId = 'a',
  ): this {
    const name = { worker, fencingToken, shardId };
    const beginning: Beginning = behind === 'TRIM_HORIZON' ? behind : place(behind);
    this.ledger.begun(name, beginning);
    const records = indexes.map((index) => ({ ...place(index), number: index }));
    this.ledger.finished({ ...name, fromMs: this.#nowMs++, toMs: this.#nowMs++, records });
    return this;
  }

  ended(worker: string, fencingToken: number, shardId = 'a'): this {
    this.ledger.ended({ worker, fencingToken, shardId }, this.#nowMs++);
    return this;
  }
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

describe('a sound history', () => {
  it('has nothing against it: handed over between two batches, and again after a kill', () => {
    const story = new Story(written(['a', 9]));
    story
      .tenure('one', 1, 'TRIM_HORIZON', [0, 1, 2])
      .tenure('two', 3, 2, [3, 4, 5])
      .tenure('three', 4, 3, upTo(9).slice(4));
    story.ledger.explain('two', 'killed');
    expect(story.ledger.isDrained).toBe(true);
    expect(story.ledger.audit()).toEqual({
      ...{ records: 9, handled: 9, skipped: 0, duplicates: 2, tenures: 3 },
      explained: { killed: 2, paused: 0, lost: 0, window: 0 },
      ...{ violations: [], violationCount: 0, windows: undefined },
    });
  });

  it('may have a suspended worker run on beside its successor', () => {
    const { ledger } = new Story(written(['a', 2]));
    const slow = { worker: 'w1', shardId: 'a', fencingToken: 1 };
    const next = { worker: 'w2', shardId: 'a', fencingToken: 2 };
    ledger.begun(slow, 'TRIM_HORIZON');
    ledger.begun(next, 'TRIM_HORIZON');
    const both = [0, 1].map((index) => ({ ...place(index), number: index }));
    ledger.finished({ ...next, fromMs: 10, toMs: 11, records: both });
    ledger.finished({ ...slow, fromMs: 1, toMs: 20, records: both });
    ledger.explain('w1', 'paused');
    expect(ledger.audit()).toMatchObject({ duplicates: 2, explained: { paused: 2 }, violations: [] });
  });

  it('has children behind their parents', () => {
    const story = new Story(written(['a', 2], ['b', 1, 'a']));
    story.tenure('one', 1, 'TRIM_HORIZON', [0, 1]).ended('one', 1).tenure('one', 1, 'TRIM_HORIZON', [0], 'b');
    expect(story.ledger.isDrained).toBe(true);
    expect(story.ledger.audit()).toMatchObject({ records: 3, handled: 3, violations: [] });
  });
});

describe('a breach is named', () => {
  const violationsOf = (story: Story): readonly string[] => story.ledger.audit().violations;

  it('a record that nobody handled', () => {
    const story = new Story(written(['a', 4])).tenure('one', 1, 'TRIM_HORIZON', [0, 1, 2]);
    expect(story.ledger.isDrained).toBe(false);
    expect(story.ledger.audit()).toMatchObject({ skipped: 1, violations: ['1 of 4 records of a were never handled'] });
  });

  it('a gap within a tenure, also when another one handles the record later', () => {
    const story = new Story(written(['a', 3])).tenure('one', 1, 'TRIM_HORIZON', [0, 2]);
    story.tenure('two', 2, 0, [1, 2]);
    story.ledger.explain('one', 'killed');
    expect(violationsOf(story)).toEqual([
      'tenure 1 of a (worker one) is out of order or has a gap: expected record 1 of the shard next, got 2 (3:0)',
    ]);
  });

  it('records of a tenure in another order', () => {
    const story = new Story(written(['a', 3])).tenure('one', 1, 'TRIM_HORIZON', [0, 2, 1]);
    expect(violationsOf(story)).toHaveLength(2);
  });

  it('a tenure that begins elsewhere than behind its checkpoint', () => {
    const story = new Story(written(['a', 4])).tenure('one', 1, 'TRIM_HORIZON', [0, 1]).tenure('two', 2, 1, [3]);
    expect(violationsOf(story)[0]).toMatch(
      /^tenure 2 of a \(worker two\) is out of order or has a gap: expected record 2/,
    );
  });

  it('a checkpoint ahead of the handlers, though all is handled in the end', () => {
    const story = new Story(written(['a', 3])).tenure('one', 1, 'TRIM_HORIZON', [0]).tenure('two', 2, 1, [2]);
    story.tenure('three', 3, 0, [1, 2]);
    story.ledger.explain('two', 'killed');
    expect(violationsOf(story)).toEqual([
      'tenure 2 of a (worker two) begins behind 2 records that were not all handled before',
    ]);
  });

  it('records handled again of a tenure that ended in good order', () => {
    const story = new Story(written(['a', 2])).tenure('one', 1, 'TRIM_HORIZON', [0, 1]).tenure('two', 2, 0, [1]);
    expect(violationsOf(story)).toEqual([
      'tenure 2 of a (worker two) handled 1 records again of tenure 1 of a (worker one), which ended in good order',
    ]);
  });

  it('a child before its parent is finished', () => {
    const story = new Story(written(['a', 1], ['b', 1, 'a']));
    story.tenure('one', 1, 'TRIM_HORIZON', [0], 'b').tenure('one', 1, 'TRIM_HORIZON', [0]).ended('one', 1);
    expect(violationsOf(story)).toEqual(['b was begun before its parent a was finished']);
  });

  it('the end of a shard of which records are left, or that is open, or that nobody is told', () => {
    const left = new Story(written(['a', 2], ['b', 0, 'a'])).tenure('one', 1, 'TRIM_HORIZON', [0]).ended('one', 1);
    expect(violationsOf(left)[0]).toBe(
      "tenure 1 of a (worker one) was told of the shard's end with 1 of 2 records handled",
    );
    const open = new Story(written(['a', 1])).tenure('one', 1, 'TRIM_HORIZON', [0]).ended('one', 1);
    expect(violationsOf(open)[0]).toMatch(/1 of 1 records handled, still open$/);
    const untold = new Story(written(['a', 1], ['b', 0, 'a'])).tenure('one', 1, 'TRIM_HORIZON', [0]);
    expect(violationsOf(untold)).toContain('nobody was told of the end of a');
  });

  it('two handlers at once, one token twice, and records that are not in the stream', () => {
    const { ledger } = new Story(written(['a', 2]));
    const one = { worker: 'w1', shardId: 'a', fencingToken: 1 };
    const two = { worker: 'w2', shardId: 'a', fencingToken: 2 };
    ledger.begun(one, 'TRIM_HORIZON');
    ledger.finished({ ...one, fromMs: 0, toMs: 10, records: [{ ...place(0), number: 0 }] });
    ledger.begun(two, place(0));
    ledger.finished({ ...two, fromMs: 5, toMs: 6, records: [{ ...place(1), number: 7 }] });
    ledger.begun({ ...one, worker: 'w3' }, 'TRIM_HORIZON');
    ledger.finished({ ...two, worker: 'w4', fromMs: 6, toMs: 7, records: [] });
    expect(ledger.audit().violations).toEqual([
      'tenure 2 of a (worker w2) handled a record that is not in the stream: 2:0',
      'tenure 1 of a (worker w3) has the token of tenure 1 of a (worker w1)',
      'tenure 2 of a (worker w4) handled records without having begun',
      '1 of 2 records of a were never handled',
      'tenure 1 of a (worker w1) still ran beside tenure 2 of a (worker w2)',
    ]);
  });
});
