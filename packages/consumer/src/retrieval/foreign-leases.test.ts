// Whose leases they are, judged beside a real model of Kinesis: of its own a stream disowns none, however old the table is.
import type { SequenceNumber } from '@shardline/common';
import { KinesisError, KinesisModel } from '@shardline/local';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Lease, newLease, type Shard } from '../coordination/lease.ts';
import { isStray, type PlaceInShard } from '../coordination/strays.ts';
import { type AskedLease, askLeases, findForeign, type NumberAnswer } from './foreign-leases.ts';

const HOUR_MS = 3_600_000;
const MOST_SHARDS = 8;

/** A stream that lives: what was read of it, shard by shard, is what a lease may say. */
class Life {
  readonly model = new KinesisModel({ limits: false, createStreamMs: 0, reshardMs: 0 });
  readonly checkpoints = new Map<string, SequenceNumber[]>();
  now: number;

  constructor(now: number, shardCount: number) {
    this.now = now;
    this.create(shardCount);
  }

  create(shardCount: number): void {
    this.model.createStream({ name: 's', shardCount }, this.now);
    this.model.settle(this.now);
  }

  remake(shardCount: number): void {
    this.model.deleteStream({ streamName: 's' }, this.now);
    this.later(HOUR_MS);
    this.create(shardCount);
  }

  later(ms: number): void {
    this.now += ms;
    this.model.settle(this.now);
  }

  put(key: string): void {
    const { shardId, sequenceNumber } = this.model.putRecord(
      { streamName: 's', record: { partitionKey: key, data: Buffer.from('x') } },
      this.now,
    );
    this.checkpoints.set(shardId, [...(this.checkpoints.get(shardId) ?? []), sequenceNumber]);
  }

  /** Cuts the open shard number `at` in two, or joins it with its neighbour. */
  reshard(kind: 'split' | 'merge', at: number): void {
    const open = this.model.stream('s', this.now).openShards;
    const shard = open[at % open.length];
    if (shard === undefined) return;
    const { start, end } = shard.origin.range;
    const adjacent = open.find(({ origin }) => origin.range.start === end + 1n);
    if (kind === 'merge') {
      if (adjacent === undefined) return;
      this.model.mergeShards({ streamName: 's', shardId: shard.id, adjacentShardId: adjacent.id }, this.now);
    } else {
      if (open.length >= MOST_SHARDS || end - start < 2n) return;
      const newStartingHashKey = ((start + end) / 2n + 1n) as typeof start;
      this.model.splitShard({ streamName: 's', shardId: shard.id, newStartingHashKey }, this.now);
    }
    this.later(1_000);
  }

  get shards(): Shard[] {
    return this.model.listShards({ streamName: 's' }, this.now).shards.map((shard) => ({
      shardId: shard.id,
      parentShardIds: shard.origin.parentIds,
      hashKeyRange: shard.origin.range,
      startingSequenceNumber: shard.startingSequenceNumber,
      endingSequenceNumber: shard.end?.endingSequenceNumber,
    }));
  }

  /** A lease for each shard that was ever read, at the n-th of its records. */
  leases(n: number): Lease[] {
    return [...this.checkpoints].map(([shardId, numbers]) => {
      const sequenceNumber = numbers[n % numbers.length] as SequenceNumber;
      const shard = { shardId, parentShardIds: [], hashKeyRange: { start: 0n, end: 0n } as Shard['hashKeyRange'] };
      return newLease(shard, { sequenceNumber, subSequenceNumber: 0 });
    });
  }

  readonly ask = async ({ shardId, checkpoint }: Lease): Promise<NumberAnswer> => {
    const sequenceNumber = checkpoint.sequenceNumber as SequenceNumber;
    const position = { kind: 'AT_SEQUENCE_NUMBER', sequenceNumber } as const;
    try {
      this.model.getShardIterator({ streamName: 's', shardId, position }, this.now);
      return 'taken';
    } catch (error) {
      const isRefused = error instanceof KinesisError && error.type === 'InvalidArgumentException';
      return isRefused ? 'refused' : 'noSuchShard';
    }
  };

  async foreignOf(leases: readonly Lease[]): Promise<Lease | undefined> {
    const asked = await askLeases(leases, this.ask);
    return asked === undefined ? undefined : findForeign(asked, this.shards);
  }
}

type Deed = readonly ['put' | 'split' | 'merge' | 'hours' | 'seconds', number];

const deeds: fc.Arbitrary<readonly Deed[]> = fc.array(
  fc.tuple(
    fc.constantFrom('put', 'put', 'put', 'split', 'merge', 'hours', 'seconds'),
    fc.nat(40),
  ) as fc.Arbitrary<Deed>,
  { maxLength: 40 },
);

function live(life: Life, history: readonly Deed[]): void {
  for (const [kind, n] of history) {
    if (kind === 'put') life.put(`k${n}`);
    else if (kind === 'hours') life.later(n * HOUR_MS);
    else if (kind === 'seconds') life.later(n * 1_000);
    else life.reshard(kind, n);
  }
}

const began = 1_700_000_000_000;
const shardCounts = fc.integer({ min: 1, max: 4 });

describe('a table', () => {
  test('of the stream itself is never refused, through reshards and however long after its records have gone', async () => {
    await fc.assert(
      fc.asyncProperty(shardCounts, deeds, deeds, fc.nat(9), async (count, before, after, n) => {
        const life = new Life(began, count);
        live(life, before);
        const leases = life.leases(n);
        live(life, after);
        expect(await life.foreignOf(leases)).toBeUndefined();
        // And whichever of them is asked alone.
        for (const lease of leases) expect(await life.foreignOf([lease])).toBeUndefined();
      }),
    );
  });

  test('of an earlier stream of the name is not refused: its leader tells of it', async () => {
    await fc.assert(
      fc.asyncProperty(shardCounts, shardCounts, deeds, deeds, async (count, countAfter, before, after) => {
        const life = new Life(began, count);
        live(life, before);
        const leases = life.leases(0);
        life.later(1_000);
        life.remake(countAfter);
        live(life, after);
        expect(await life.foreignOf(leases)).toBeUndefined();
      }),
    );
  });

  test('of a stream whose shards are younger than this one’s is refused', async () => {
    await fc.assert(
      fc.asyncProperty(shardCounts, deeds, async (count, history) => {
        const older = new Life(began, 1);
        const younger = new Life(began + 1_000, count);
        live(younger, [...history, ['put', 0]]);
        older.later(Math.max(0, younger.now - older.now));
        expect(await older.foreignOf(younger.leases(0))).toBeDefined();
      }),
    );
  });
});

describe('of the answers', () => {
  const shard: Shard = {
    shardId: 'shardId-000000000001',
    parentShardIds: [],
    hashKeyRange: { start: 0n, end: 9n } as Shard['hashKeyRange'],
    startingSequenceNumber: 100n,
    endingSequenceNumber: undefined,
  };
  const at = (sequenceNumber: bigint, shardId = shard.shardId): Lease =>
    newLease({ ...shard, shardId }, { sequenceNumber: sequenceNumber as SequenceNumber, subSequenceNumber: 0 });
  const verdict = (...asked: AskedLease[]): boolean => findForeign(asked, [shard]) !== undefined;

  test.each([
    ['a number that is refused and not before the shard’s first is foreign', at(100n), 'refused', true],
    ['one that is before it may be of an earlier stream', at(99n), 'refused', false],
    ['a shard that is not there may have expired', at(500n, 'shardId-000000000000'), 'noSuchShard', false],
    [
      'one whose id and number are after all that are there never was',
      at(500n, 'shardId-000000000002'),
      'noSuchShard',
      true,
    ],
    ['nor was it in an earlier stream, if its number is before', at(50n, 'shardId-000000000002'), 'noSuchShard', false],
  ] as const)('%s', (_, lease, answer, isForeign) => {
    expect(verdict({ lease, answer })).toBe(isForeign);
  });

  test('one that is taken outweighs all that are refused', () => {
    expect(verdict({ lease: at(200n), answer: 'refused' }, { lease: at(300n), answer: 'taken' })).toBe(false);
  });

  test('the first that is taken, or not answered, ends the asking', async () => {
    for (const last of ['taken', undefined] as const) {
      const answers: NumberAnswer[] = ['refused', last, 'refused'];
      let asked = 0;
      const said = await askLeases([at(1n), at(2n), at(3n)], async () => answers[asked++]);
      expect([said, asked]).toEqual([undefined, 2]);
    }
  });
});

describe('a shard that is not listed any more', () => {
  /** All that were ever listed, as far as each was read. */
  const placesOf = (life: Life, history: readonly Deed[], n: number): PlaceInShard[] => {
    const ranges = new Map<string, Shard['hashKeyRange']>();
    const note = (): void => {
      for (const { shardId, hashKeyRange } of life.shards) ranges.set(shardId, hashKeyRange);
    };
    note();
    for (const deed of history) {
      live(life, [deed]);
      note();
    }
    return [...ranges].map(([shardId, hashKeyRange]) => {
      const numbers = life.checkpoints.get(shardId) ?? [];
      const sequenceNumber = numbers[n % Math.max(1, numbers.length)] ?? ('TRIM_HORIZON' as const);
      return { shardId, hashKeyRange, checkpoint: { sequenceNumber, subSequenceNumber: 0 } };
    });
  };

  test('is taken for none of the stream only if that was made again, through reshards and however long ago it was read', () => {
    fc.assert(
      fc.property(shardCounts, deeds, deeds, fc.nat(9), fc.boolean(), (count, before, after, n, knowsKeys) => {
        const life = new Life(began, count);
        const places = placesOf(life, before, n).map((place) =>
          knowsKeys ? place : { ...place, hashKeyRange: undefined },
        );
        live(life, after);
        for (const place of places) expect(isStray(place, life.shards)).toBe(false);
      }),
    );
  });

  test('is taken for none of a stream that was made again and has not come as far', () => {
    fc.assert(
      fc.property(shardCounts, shardCounts, deeds, fc.nat(9), fc.boolean(), (count, later, history, n, knowsKeys) => {
        const life = new Life(began, count);
        const places = placesOf(life, history, n).map((place) =>
          knowsKeys ? place : { ...place, hashKeyRange: undefined },
        );
        life.remake(later);
        const listed = new Set(life.shards.map(({ shardId }) => shardId));
        for (const place of places) expect(isStray(place, life.shards)).toBe(!listed.has(place.shardId));
      }),
    );
  });
});
