import fc from 'fast-check';
import { expect, test } from 'vitest';
import { shardNumberOf } from './sequence.ts';
import { Shard, shardIdOf } from './shard.ts';

const range = { start: 0n, end: 10n } as Shard['origin']['range'];
const data = new Uint8Array(1);

function shardAt(number: number, createdMs: number, epoch: number): Shard {
  return new Shard({ number, range, createdMs, epoch, parentIds: [] });
}

const shardNumber = fc.integer({ min: 0, max: 2 ** 31 - 1 });
const timeMs = fc.integer({ min: 0, max: 4_000_000_000_000 });

test("the KCL's SequenceNumberValidator finds 186 bits, version 2 and the shard in every number", () => {
  fc.assert(
    fc.property(shardNumber, timeMs, fc.integer({ min: 1, max: 50 }), (number, createdMs, count) => {
      const shard = shardAt(number, createdMs, Math.floor(createdMs / 1000));
      for (let i = 0; i < count; i++) shard.append('key', data, 4, createdMs + i * 700);
      shard.close([], createdMs + count * 700);
      const numbers = [
        shard.startingSequenceNumber,
        ...shard.log.read(1, count, Number.POSITIVE_INFINITY).records.map((record) => record.sequenceNumber),
        shard.end?.endingSequenceNumber ?? 0n,
      ];
      for (const [index, sequenceNumber] of numbers.entries()) {
        expect(sequenceNumber.toString(2)).toHaveLength(186);
        expect(sequenceNumber.toString()).toHaveLength(56);
        expect((sequenceNumber >> 184n) & 0xfn).toBe(2n);
        expect(shardIdOf(shardNumberOf(sequenceNumber))).toBe(shard.id);
        expect(shard.owns(sequenceNumber)).toBe(true);
        if (index > 0) expect(sequenceNumber).toBeGreaterThan(numbers[index - 1] ?? 0n);
      }
    }),
    { numRuns: 50 },
  );
});

test('numbers increase although the clock steps back', () => {
  const shard = shardAt(3, 5_000_000, 5_000);
  const numbers = [5_000_000, 9_000_000, 1_000, 9_000_500].map((now) => shard.append('key', data, 4, now));
  const records = shard.log.from(1);
  expect(records.map((record) => record.sequenceNumber)).toEqual(numbers);
  for (let i = 1; i < records.length; i++) {
    expect(records[i]?.sequenceNumber).toBeGreaterThan(records[i - 1]?.sequenceNumber ?? 0n);
    expect(records[i]?.arrivalMs).toBeGreaterThanOrEqual(records[i - 1]?.arrivalMs ?? 0);
  }
});

test('a continuation number reads on from the next record with AT_ and with AFTER_, also when nothing is there yet', () => {
  const shard = shardAt(1, 1_700_000_000_000, 1_700_000_000);
  for (let counter = 1; counter <= 5; counter++) {
    const continuation = shard.continuationAt(counter);
    expect(shard.owns(continuation)).toBe(true);
    expect(shard.counterAtOrAfter(continuation)).toBe(counter);
    expect(shard.counterAfter(continuation)).toBe(counter);
    shard.append('key', data, 4, 1_700_000_000_000 + counter * 400);
    expect(shard.counterAtOrAfter(continuation)).toBe(counter);
    expect(shard.counterAfter(continuation)).toBe(counter);
  }
});

test('a number of another shard or of an earlier stream is not its own', () => {
  const shard = shardAt(1, 1_700_000_000_000, 1_700_000_000);
  const neighbour = shardAt(2, 1_700_000_000_000, 1_700_000_000);
  const earlier = shardAt(1, 1_600_000_000_000, 1_600_000_000);
  expect(shard.owns(neighbour.startingSequenceNumber)).toBe(false);
  expect(shard.owns(earlier.startingSequenceNumber)).toBe(false);
  expect(shard.owns(1n)).toBe(false);
});
