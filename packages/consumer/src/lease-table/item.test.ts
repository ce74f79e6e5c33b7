// Lease rows against what real Java KCL workers wrote (3.5.1 in one table, 3.4.2 in three), and against rows of foes.
import { readFileSync } from 'node:fs';
import { MAX_HASH_KEY, parseCheckpoint, parseHashKey } from '@shardline/common';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Lease, leaseKeyOf, NOTHING_MEASURED } from '../coordination/lease.ts';
import {
  clientVersionItem,
  type Item,
  LEASE_ATTRIBUTES,
  leaderItem,
  leaseItem,
  readRow,
  type Value,
  type WrittenItem,
  workerItem,
} from './item.ts';

interface Fleet {
  readonly variants: readonly { readonly table: string; readonly item: Item }[];
  readonly snapshots: readonly { readonly tables: Readonly<Record<string, readonly Item[]>> }[];
}

const golden: Readonly<Record<string, Fleet>> = JSON.parse(
  readFileSync(new URL('../../test/fixtures/java-kcl-tables.json', import.meta.url), 'utf8'),
);

/** Every item ever seen in the lease table of an application. */
function itemsOf(fleet: string, table: string): Item[] {
  const { variants, snapshots } = golden[fleet] as Fleet;
  return [
    ...variants.filter((variant) => variant.table === table).map((variant) => variant.item),
    ...snapshots.flatMap((snapshot) => snapshot.tables[table] ?? []),
  ];
}

/** Sets have no order. */
function comparable(item: Readonly<Record<string, unknown>>): unknown {
  return Object.fromEntries(
    Object.entries(item).map(([name, value]) => {
      const { SS, N } = value as Value;
      // DynamoDB keeps numbers, not their text: 3.4E-5 is 0.000034.
      if (N !== undefined) return [name, { N: Number(N) }];
      return [name, SS === undefined ? value : { SS: [...SS].sort() }];
    }),
  );
}

function only(item: Item, names: readonly string[]): Record<string, Value> {
  return Object.fromEntries(
    Object.entries(item).flatMap(([name, value]) => (value && names.includes(name) ? [[name, value]] : [])),
  );
}

const plainItem: WrittenItem = {
  leaseKey: { S: 'shardId-000000000000' },
  leaseCounter: { N: '4' },
  checkpoint: { S: 'TRIM_HORIZON' },
  checkpointSubSequenceNumber: { N: '0' },
  ownerSwitchesSinceCheckpoint: { N: '0' },
};

describe('rows that Java KCL workers wrote', () => {
  it.each([
    ['kcl-3.5.1-fresh-app', 'g351'],
    ['kcl-3.4.2-fresh-app', 'g342'],
  ])('%s: every lease row parses, and is written with equal values', (fleet, table) => {
    const items = itemsOf(fleet, table);
    const leases = items.filter((item) => item['checkpoint'] !== undefined);
    expect(leases.length).toBeGreaterThan(50);
    for (const item of leases) {
      const row = readRow(item, 0);
      expect(row.kind).toBe('lease');
      if (row.kind !== 'lease') continue;
      expect(comparable(leaseItem(row.lease))).toEqual(comparable(only(item, LEASE_ATTRIBUTES)));
    }
  });

  it('kcl-3.5.1: the rows beside the leases are known by their entityType', () => {
    const kinds = new Map<string, Set<string>>();
    for (const item of itemsOf('kcl-3.5.1-fresh-app', 'g351')) {
      const type = item['entityType']?.S ?? 'none';
      kinds.set(type, (kinds.get(type) ?? new Set()).add(readRow(item, 0).kind));
    }
    expect(Object.fromEntries([...kinds].map(([type, kind]) => [type, [...kind]]))).toEqual({
      LEASE: ['lease'],
      LEADER: ['leader'],
      CLIENT_VERSION_MIGRATION: ['other'],
      WORKER_METRIC_STATS: ['worker'],
    });
  });

  it('the Leader row and the migration row are written as a Java worker writes them', () => {
    const items = itemsOf('kcl-3.5.1-fresh-app', 'g351');
    const leader = items.find((item) => item['entityType']?.S === 'LEADER') as Item;
    const row = readRow(leader, 0);
    if (row.kind !== 'leader') throw new Error(row.kind);
    expect({ leaseKey: { S: 'Leader' }, ...leaderItem(row.leader) }).toEqual(leader);

    const version = items.find((item) => item['leaseKey']?.S === 'Migration3.0') as Item;
    const written = clientVersionItem('worker-1', 1_795_225_242_946);
    const shape = (item: object): unknown =>
      JSON.parse(JSON.stringify(item, (key, value) => (key === 'N' ? '0' : value)));
    expect(shape(written)).toEqual(shape(version));
  });

  it('a worker row of ours has the attributes of a Java one, with no figures', () => {
    const java = itemsOf('kcl-3.5.1-fresh-app', 'g351').find((item) => item['lut'] !== undefined) as Item;
    const process = { id: 'p', sinceSeconds: 7 };
    const ours: WrittenItem = { leaseKey: { S: 'w' }, ...workerItem(1_795_225_245, NOTHING_MEASURED, process) };
    expect(Object.keys(ours).sort()).toEqual([...Object.keys(java), 'properties'].sort());
    expect(readRow(ours, 1_795_225_247_500)).toEqual({
      kind: 'worker',
      worker: {
        workerId: 'w',
        lastUpdateSeconds: 1_795_225_245,
        ageMs: 2_500,
        utilization: NOTHING_MEASURED,
        process,
        supportCode: 1,
      },
    });
  });

  it('a support code counts as long as the row says it with its reports; who was rolled back to KCL 3.4 leaves it standing', () => {
    const codeAt = (secondsAgo: number): number | undefined => {
      const item = { leaseKey: { S: 'w' }, lut: { N: '1000' }, sup: { N: '1' }, slu: { N: String(1000 - secondsAgo) } };
      const row = readRow({ ...item, entityType: { S: 'WORKER_METRIC_STATS' } }, 1_000_000);
      return row.kind === 'worker' ? row.worker.supportCode : Number.NaN;
    };
    expect([0, 90, 91].map(codeAt)).toEqual([1, 1, undefined]);
  });
});

it('a worker row with figures is read back as it was written, and as the Java KCL writes it', () => {
  const utilization = { stats: { C: [12.5, -1, 80] }, operatingRange: { C: [100] } };
  const process = { id: 'p', sinceSeconds: 7 };
  const written = workerItem(5, utilization, process);
  expect(written['sts']).toEqual({ M: { C: { L: [{ N: '12.5' }, { N: '-1' }, { N: '80' }] } } });
  expect(written['opr']).toEqual({ M: { C: { L: [{ N: '100' }] } } });
  const row = readRow({ leaseKey: { S: 'w' }, ...written }, 5000);
  expect(row).toEqual({
    kind: 'worker',
    worker: { workerId: 'w', lastUpdateSeconds: 5, ageMs: 0, utilization, process, supportCode: 1 },
  });
});

it.each([['all' as const], [['shardId-000000000001', '1:orders:7:shardId-000000000002']]])(
  'what a worker declines is read back: %j; what nobody understands is nothing',
  (declines) => {
    const process = { id: 'p', sinceSeconds: 7 };
    const item: WrittenItem = {
      leaseKey: { S: 'w' },
      ...workerItem(5, NOTHING_MEASURED, process, undefined, undefined, declines),
    };
    expect(readRow(item, 5000)).toMatchObject({ kind: 'worker', worker: { declines } });
    for (const S of ['some', '["a', '[1]']) {
      const properties = { M: { ...(item['properties'] as { M: object }).M, shardlineDeclines: { S } } };
      const row = readRow({ ...item, properties }, 5000);
      expect(row.kind === 'worker' && 'declines' in row.worker).toBe(false);
    }
  },
);

it.each([
  ['no map', { S: 'x' }, 'sts: expected a map (M), got S "x"'],
  ['no lists', { M: { C: { N: '5' } } }, 'sts.C: expected a list of numbers (L of N), got N "5"'],
  ['no numbers', { M: { C: { L: [{ S: 'x' }] } } }, 'sts.C: expected a list of numbers (L of N), got L'],
])('a worker row whose figures are %s is named, not thrown', (_what, sts, reason) => {
  const row = { leaseKey: { S: 'w' }, ...workerItem(5, NOTHING_MEASURED, { id: 'p', sinceSeconds: 7 }), sts };
  expect(readRow(row, 0)).toEqual({ kind: 'unreadable', key: 'w', isLease: false, reason });
});

describe('which rows are leases (KCL DynamoDBLeaseSerializer, EntityType)', () => {
  it.each([
    ['entityType LEASE', { ...plainItem, entityType: { S: 'LEASE' } }, 'lease'],
    ['no entityType', plainItem, 'lease'],
    ['a stream row', { leaseKey: { S: '1:s:2' }, streamId: { S: 'x' }, entityType: { S: 'STREAM' } }, 'other'],
    ['a kind of the future', { ...plainItem, entityType: { S: 'TOMORROW' } }, 'other'],
    ['no entityType and no checkpoint', { leaseKey: { S: 'x' }, leaseCounter: { N: '1' } }, 'other'],
    ['TableMigration3.5 without entityType', { leaseKey: { S: 'TableMigration3.5' }, tm: { S: 'X' } }, 'other'],
    ['Migration3.0 without entityType, with a checkpoint', { ...plainItem, leaseKey: { S: 'Migration3.0' } }, 'other'],
    [
      'Leader without entityType',
      {
        leaseKey: { S: 'Leader' },
        ownerName: { S: 'w' },
        recordVersionNumber: { S: 'v' },
        leaseDuration: { S: '1000' },
      },
      'leader',
    ],
  ])('%s', (_, item, kind) => {
    expect(readRow(item, 0).kind).toBe(kind);
  });

  it('keeps the multi-stream key apart from the shard id', () => {
    const item = { ...plainItem, leaseKey: { S: '1:s:2:shardId-1' }, shardId: { S: 'shardId-1' } };
    expect(readRow(item, 0)).toMatchObject({ lease: { leaseKey: '1:s:2:shardId-1', shardId: 'shardId-1' } });
  });

  it('a row of an old fleet has neither hash keys nor sub-sequence number', () => {
    const { checkpointSubSequenceNumber: _, ...old } = plainItem;
    expect(readRow(old, 0)).toMatchObject({ lease: { hashKeyRange: undefined, checkpoint: { subSequenceNumber: 0 } } });
  });
});

describe('a row that cannot be read is named with the attribute, and never thrown', () => {
  const spoilt: [string, Item, RegExp][] = [
    ['a counter that is text', { ...plainItem, leaseCounter: { S: 'four' } }, /^leaseCounter: .*S "four"/],
    ['a counter below 0', { ...plainItem, leaseCounter: { N: '-1' } }, /^leaseCounter: .*N "-1"/],
    ['no counter', { leaseKey: { S: 'x' }, checkpoint: { S: 'LATEST' } }, /^leaseCounter: .*nothing/],
    ['a checkpoint that is no number', { ...plainItem, checkpoint: { S: 'soon' } }, /^checkpoint: .*"soon"/],
    ['a checkpoint of type N', { ...plainItem, checkpoint: { N: '5' } }, /^checkpoint: .*N "5"/],
    ['parents that are no set', { ...plainItem, parentShardId: { S: 'a' } }, /^parentShardId: .*S "a"/],
    [
      'a hash key of 2^128',
      { ...plainItem, startingHashKey: { S: '0' }, endingHashKey: { S: String(MAX_HASH_KEY + 1n) } },
      /^endingHashKey: /,
    ],
    ['a worker row without time', { leaseKey: { S: 'w' }, entityType: { S: 'WORKER_METRIC_STATS' } }, /^lut: /],
  ];
  it.each(spoilt)('%s', (_, item, reason) => {
    const row = readRow(item, 0);
    expect(row).toMatchObject({ kind: 'unreadable', key: item['leaseKey']?.S });
    if (row.kind === 'unreadable') expect(row.reason).toMatch(reason);
  });

  it('whatever a row holds', () => {
    const value = fc.oneof(
      fc.record({ S: fc.string() }),
      fc.record({ N: fc.oneof(fc.string(), fc.integer().map(String)) }),
      fc.record({ B: fc.uint8Array() }),
      fc.record({ SS: fc.array(fc.string(), { minLength: 1 }) }),
      fc.constant({}),
    );
    const names = [...LEASE_ATTRIBUTES, 'entityType', 'lut', 'ownerName', 'shardId', 'leaseDuration'];
    const item = fc.dictionary(fc.constantFrom(...names), value);
    fc.assert(fc.property(item, (it) => typeof readRow(it, 0).kind === 'string'));
  });
});

describe('leaseItem', () => {
  const id = fc.stringMatching(/^shardId-\d{1,12}$/);
  const checkpoint = fc.oneof(
    fc.constantFrom('TRIM_HORIZON', 'LATEST', 'AT_TIMESTAMP', 'SHARD_END').map((text) => parseCheckpoint(text)),
    fc.tuple(fc.bigInt(0n, 1n << 186n), fc.nat()).map(([number, sub]) => parseCheckpoint(String(number), sub)),
  );
  const range = fc
    .tuple(fc.bigInt(0n, MAX_HASH_KEY), fc.bigInt(0n, MAX_HASH_KEY))
    .map(([a, b]) => ({ start: parseHashKey(String(a < b ? a : b)), end: parseHashKey(String(a < b ? b : a)) }));
  const ids = (maxLength: number) => fc.uniqueArray(id, { maxLength }).map((list) => list.sort());
  const state = fc.option(fc.uint8Array({ minLength: 1 }), { nil: undefined });
  const owner = fc.option(fc.string({ minLength: 1 }), { nil: undefined });
  const lease: fc.Arbitrary<Lease> = fc
    .record({
      leaseKey: id,
      leaseOwner: owner,
      leaseCounter: fc.nat(),
      checkpointOwner: owner,
      checkpoint: fc.oneof(
        checkpoint,
        fc.bigInt(0n, 1n << 186n).map((number) => parseCheckpoint(String(number), -1)),
      ),
      latestSince: fc.option(fc.nat(), { nil: undefined }),
      pendingCheckpoint: fc.option(fc.record({ position: checkpoint, state }), { nil: undefined }),
      ownerSwitchesSinceCheckpoint: fc.nat(),
      parentShardIds: ids(2),
      childShardIds: ids(2),
      hashKeyRange: fc.option(range, { nil: undefined }),
      throughputKBps: fc.option(fc.double({ min: 0, max: 1e9, noNaN: true }).map(Math.abs), { nil: undefined }),
    })
    .chain((it) =>
      fc.constantFrom(undefined, '123456789012:orders:1700000000').map((streamId) => ({
        ...it,
        leaseKey: leaseKeyOf(streamId, it.leaseKey),
        streamId,
        shardId: it.leaseKey,
      })),
    );

  it('is read back as the same lease', () => {
    fc.assert(
      fc.property(lease, (it) => {
        expect(readRow(leaseItem(it), 0)).toEqual({ kind: 'lease', lease: it });
      }),
    );
  });
});
