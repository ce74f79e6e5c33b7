// How rows of the lease table are read: leases, attribute by attribute, checkpoints and their order, and the rows of other kinds
// that stand between them (KCL DynamoDBLeaseSerializer, ExtendedSequenceNumber, SentinelCheckpoint, EntityType).
import {
  compareExtended,
  type ExtendedSequenceNumber,
  LATEST,
  parseCheckpoint,
  SHARD_END,
  TRIM_HORIZON,
} from '@shardline/common';
import { describe, expect, test } from 'vitest';
import { actualOwner, type Lease, leaseKeyOf } from '../../src/coordination/lease.ts';
import { type Item, leaseOf, recordingLogger, wireScene } from './wire.ts';

const wire = wireScene();
const key = 'shardId-000000000000';
/** The least that a Java worker of any version wrote. */
const least: Item = { leaseKey: { S: key }, leaseCounter: { N: '4' }, checkpoint: { S: 'TRIM_HORIZON' } };

async function readAll(...items: Item[]) {
  const { logger, lines } = recordingLogger();
  const table = await wire.open({ logger });
  for (const item of items) await wire.put(item);
  lines.length = 0;
  const { leases, workers } = await table.run({ kind: 'readTable', for: 'leader' });
  return { leases, workers, lines };
}

async function readOne(item: Item): Promise<Lease | undefined> {
  return (await readAll(item)).leases[0];
}

describe('a lease row', () => {
  test('of the KCL 1.x and 2.x has no entityType, no children, no hash keys: what is absent is unassigned, 0, or unknown', async () => {
    expect(await readOne(least)).toEqual(leaseOf({ leaseCounter: 4 }));
  });

  test('of the KCL 3.5 is read attribute by attribute', async () => {
    const item: Item = {
      ...least,
      entityType: { S: 'LEASE' },
      leaseOwner: { S: 'w2' },
      checkpointOwner: { S: 'w1' },
      checkpoint: { S: '49590338271490256608559692538361571095921575989136588898' },
      checkpointSubSequenceNumber: { N: '3' },
      ownerSwitchesSinceCheckpoint: { N: '2' },
      parentShardId: { SS: ['shardId-000000000001', 'shardId-000000000002'] },
      childShardIds: { SS: ['shardId-000000000003'] },
      startingHashKey: { S: '0' },
      endingHashKey: { S: '170141183460469231731687303715884105727' },
      throughputKBps: { N: '0.123456' },
    };
    expect(await readOne(item)).toEqual({
      leaseKey: key,
      streamId: undefined,
      shardId: key,
      leaseOwner: 'w2',
      leaseCounter: 4,
      checkpointOwner: 'w1',
      checkpoint: parseCheckpoint('49590338271490256608559692538361571095921575989136588898', 3),
      ownerSwitchesSinceCheckpoint: 2,
      parentShardIds: ['shardId-000000000001', 'shardId-000000000002'],
      childShardIds: ['shardId-000000000003'],
      hashKeyRange: { start: 0n, end: 170141183460469231731687303715884105727n },
      throughputKBps: 0.123456,
      pendingCheckpoint: undefined,
    });
  });

  test('belongs to its checkpointOwner while there is one, else to its leaseOwner', async () => {
    expect(actualOwner(leaseOf({ leaseOwner: 'w2', checkpointOwner: 'w1' }))).toBe('w1');
    expect(actualOwner(leaseOf({ leaseOwner: 'w2' }))).toBe('w2');
    expect(actualOwner(leaseOf())).toBeUndefined();
  });

  test('with a pending checkpoint is read, even where the KCL wrote its state as a number', async () => {
    const pending = { pendingCheckpoint: { S: '19' }, pendingCheckpointSubSequenceNumber: { N: '0' } };
    const { leases, lines } = await readAll(
      { ...least, ...pending, pendingCheckpointState: { B: Buffer.from('state') } },
      { ...least, leaseKey: { S: 'b' }, ...pending, pendingCheckpointState: { N: '0' } },
    );
    expect(leases.map(({ leaseKey }) => leaseKey).sort()).toEqual(['b', key]);
    expect(lines).toEqual([]);
  });

  test('with one hash key and not the other has no range', async () => {
    expect((await readOne({ ...least, startingHashKey: { S: '0' } }))?.hashKeyRange).toBeUndefined();
  });

  test('of several streams has the key account:stream:epoch:shard, and names stream and shard beside it', async () => {
    const streamId = '123456789012:orders:1700000000';
    const leaseKey = leaseKeyOf(streamId, key);
    expect(leaseKey).toBe(`123456789012:orders:1700000000:${key}`);
    const item = { ...least, leaseKey: { S: leaseKey }, streamName: { S: streamId }, shardId: { S: key } };
    expect(await readOne(item)).toMatchObject({ leaseKey, streamId, shardId: key });
  });

  test('of one stream has the shard id as its key', () => {
    expect(leaseKeyOf(undefined, key)).toBe(key);
  });
});

describe('rows between the leases', () => {
  test('whose entityType is another kind, known or of the future, are no leases, and no reason to fail', async () => {
    const kinds = ['STREAM', 'TABLE_MIGRATION', 'CLIENT_VERSION_MIGRATION', 'OF_THE_FUTURE'];
    const others = kinds.map((kind): Item => ({ leaseKey: { S: kind }, entityType: { S: kind }, x: { S: '1' } }));
    const { leases, lines } = await readAll(least, ...others);
    expect(leases.map(({ leaseKey }) => leaseKey)).toEqual([key]);
    expect(lines).toEqual([]);
  });

  test('without an entityType are told by their well-known keys', async () => {
    const { leases } = await readAll(
      least,
      { leaseKey: { S: 'Leader' }, checkpoint: { S: 'LATEST' }, leaseCounter: { N: '0' } },
      { leaseKey: { S: 'TableMigration3.5' }, checkpoint: { S: 'LATEST' }, leaseCounter: { N: '0' } },
    );
    expect(leases.map(({ leaseKey }) => leaseKey)).toEqual([key]);
  });

  test('that are leases but cannot be read do not hide the others; they are named, once', async () => {
    const bad: Item = { ...least, leaseKey: { S: 'bad' }, checkpoint: { S: 'not-a-number' } };
    const { logger, lines } = recordingLogger();
    const table = await wire.open({ logger });
    for (const item of [least, bad]) await wire.put(item);
    lines.length = 0;
    for (let look = 0; look < 3; look += 1) {
      const { leases } = await table.run({ kind: 'readTable', for: 'leader' });
      expect(leases.map(({ leaseKey }) => leaseKey)).toEqual([key]);
    }
    expect(lines).toEqual([
      { level: 'error', fields: expect.objectContaining({ leaseKey: 'bad' }), text: expect.any(String) },
    ]);
  });
});

describe('checkpoints', () => {
  test('are a decimal number, or one of TRIM_HORIZON, LATEST, AT_TIMESTAMP and SHARD_END as it stands', async () => {
    for (const word of ['TRIM_HORIZON', 'LATEST', 'AT_TIMESTAMP', 'SHARD_END']) {
      expect((await readOne({ ...least, checkpoint: { S: word } }))?.checkpoint.sequenceNumber).toBe(word);
    }
    expect((await readOne({ ...least, checkpoint: { S: '007' } }))?.checkpoint.sequenceNumber).toBe(7n);
  });

  test('come in the order AT_TIMESTAMP, TRIM_HORIZON, LATEST, numbers by their value, SHARD_END', () => {
    const texts = ['AT_TIMESTAMP', 'TRIM_HORIZON', 'LATEST', '0', '9', '10', '49590338271490256608', 'SHARD_END'];
    const inOrder = texts.map((text) => parseCheckpoint(text));
    const signs = (a: ExtendedSequenceNumber) => inOrder.map((b) => Math.sign(compareExtended(a, b)));
    inOrder.forEach((a, index) => {
      expect(signs(a)).toEqual(inOrder.map((_, other) => Math.sign(index - other)));
    });
  });

  test('of one number come in the order of their sub-sequence numbers, of which a missing one is 0; all SHARD_ENDs are one', async () => {
    expect(compareExtended(parseCheckpoint('7', 1), parseCheckpoint('7', 2))).toBeLessThan(0);
    expect((await readOne({ ...least, checkpoint: { S: '7' } }))?.checkpoint).toEqual(parseCheckpoint('7', 0));
    expect(compareExtended({ ...SHARD_END, subSequenceNumber: 9 }, SHARD_END)).toBe(0);
    expect(compareExtended(TRIM_HORIZON, LATEST)).toBeLessThan(0);
  });
});

describe('reads', () => {
  test('are consistent, rows and scans; KCL: eventually consistent, unless consistentReads says otherwise, and scans always', async () => {
    const table = await wire.open();
    await table.run({ kind: 'readLeases', leaseKeys: [key], leaseKey: key, tenure: 1 });
    await table.run({ kind: 'readTable', for: 'leader' });
    await table.run({ kind: 'readLeader' });
    const said = wire.sent.map(({ operation, input }) => [operation, input['ConsistentRead']]);
    expect(said).toEqual([
      ['GetItem', true],
      ['Scan', true],
      ['GetItem', true],
    ]);
  });

  test("for a worker's own leases ask the owner index by its id, page by page, and then each row that it does not hold", async () => {
    const table = await wire.open();
    for (const id of ['a', 'b', 'c']) await wire.put({ ...least, leaseKey: { S: id }, leaseOwner: { S: 'w1' } });
    await wire.put({ ...least, leaseOwner: { S: 'w2' } });
    const { leases } = await table.run({ kind: 'discoverLeases', owner: 'w1', held: ['a'] });
    expect(leases.map(({ leaseKey }) => leaseKey).sort()).toEqual(['b', 'c']);
    const [query, ...gets] = wire.sent;
    expect(query).toMatchObject({
      operation: 'Query',
      input: {
        IndexName: 'LeaseOwnerToLeaseKeyIndex',
        KeyConditionExpression: 'leaseOwner = :owner',
        ExpressionAttributeValues: { ':owner': { S: 'w1' } },
      },
    });
    expect(gets.map(({ operation }) => operation)).toEqual(['GetItem', 'GetItem']);
  });

  test('of a row that the index still lists for its former owner leave it out', async () => {
    const table = await wire.open();
    await wire.put({ ...least, leaseOwner: { S: 'w1' } });
    // The index lags: the row has another owner by the time it is read.
    wire.tamper = (operation, answer) => {
      if (operation === 'GetItem') (answer['Item'] as Item)['leaseOwner'] = { S: 'w2' };
    };
    expect(await table.run({ kind: 'discoverLeases', owner: 'w1', held: [] })).toEqual({ leases: [] });
  });

  test('without an index that can be asked scan for the owner instead, three times before a lease expires', async () => {
    let now = 0;
    const clock = { now: () => now, wallNow: () => now, setTimer: () => () => undefined };
    const table = await wire.open();
    await table.close();
    await wire.put({ ...least, leaseOwner: { S: 'w1' } });
    wire.tamper = (operation, answer) => {
      if (operation !== 'Query') return;
      for (const name of Object.keys(answer)) delete answer[name];
      answer['__type'] = 'com.amazonaws.dynamodb.v20120810#ResourceNotFoundException';
    };
    const blind = wire.table({ clock });
    const discover = { kind: 'discoverLeases', owner: 'w1', held: [] } as const;
    expect((await blind.run(discover)).leases).toHaveLength(1);
    // Of a failover time of 10 s.
    now += 3_333;
    expect((await blind.run(discover)).leases).toHaveLength(0);
    now += 1;
    expect((await blind.run(discover)).leases).toHaveLength(1);
    expect(wire.sent.filter(({ operation }) => operation === 'Scan')).toHaveLength(2);
    await blind.close();
  });
});
