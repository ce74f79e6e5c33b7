// Every write of a lease row, as it leaves for DynamoDB: what it sets, adds and removes, and on what condition
// (KCL DynamoDBLeaseRefresher, DynamoDBLeaseSerializer).
import { LATEST, MAX_HASH_KEY, MIN_HASH_KEY, parseCheckpoint, SHARD_END, TRIM_HORIZON } from '@shardline/common';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { CheckpointLease } from '../../src/coordination/effects.ts';
import type { DynamoDBLeaseTable } from '../../src/lease-table/dynamodb.ts';
import { leaseOf, shownItem, wireScene } from './wire.ts';

const wire = wireScene('one table');
const key = 'shardId-000000000000';
const tenure = 1;
/** A row as a Java worker left it, with an attribute that nobody knows. */
const row = {
  leaseKey: { S: key },
  entityType: { S: 'LEASE' },
  leaseOwner: { S: 'w1' },
  leaseCounter: { N: '4' },
  checkpoint: { S: '17' },
  checkpointSubSequenceNumber: { N: '2' },
  ownerSwitchesSinceCheckpoint: { N: '3' },
  startingHashKey: { S: '0' },
  endingHashKey: { S: '9' },
  ofTheFuture: { S: 'kept' },
};

let table: DynamoDBLeaseTable;
beforeAll(async () => {
  table = await wire.open();
});
beforeEach(() => wire.remove(key));

describe('create', () => {
  const create = (fields: Parameters<typeof leaseOf>[0]) => {
    const lease = leaseOf(fields);
    return table.run({ kind: 'createLease', lease, leaseKey: lease.leaseKey, tenure: undefined });
  };

  test('puts a whole row if its key is absent: counter, sub-sequence number and owner switches 0, entityType LEASE, no owner', async () => {
    await create({
      checkpoint: LATEST,
      parentShardIds: ['shardId-000000000001', 'shardId-000000000002'],
      hashKeyRange: { start: MIN_HASH_KEY, end: MAX_HASH_KEY },
    });
    expect(wire.writes()).toEqual([
      {
        operation: 'PutItem',
        key,
        conditions: new Set(['attribute_not_exists(leaseKey)']),
        item: {
          leaseKey: `"${key}"`,
          entityType: '"LEASE"',
          leaseCounter: '0',
          checkpoint: '"LATEST"',
          checkpointSubSequenceNumber: '0',
          ownerSwitchesSinceCheckpoint: '0',
          parentShardId: '{"shardId-000000000001", "shardId-000000000002"}',
          startingHashKey: '"0"',
          endingHashKey: '"340282366920938463463374607431768211455"',
        },
      },
    ]);
  });

  test('of a shard without parents leaves parentShardId out', async () => {
    await create({});
    expect(wire.writes()[0]?.item).not.toHaveProperty('parentShardId');
  });

  test('of several streams names stream and shard beside the composite key, and the parents by bare shard id', async () => {
    const streamId = '123456789012:orders:1700000000';
    await create({ leaseKey: `${streamId}:${key}`, streamId, shardId: key, parentShardIds: ['shardId-000000000001'] });
    expect(wire.writes()[0]?.item).toMatchObject({
      leaseKey: `"${streamId}:${key}"`,
      streamName: `"${streamId}"`,
      shardId: `"${key}"`,
      parentShardId: '{"shardId-000000000001"}',
    });
  });

  test('of a key that is there changes nothing, and is no error', async () => {
    await wire.put(row);
    expect(await create({})).toEqual({ created: false });
    expect(await wire.get(key)).toEqual(row);
  });
});

describe('renew', () => {
  const renew = (handoffKnown: boolean, throughputKBps?: number) =>
    table.run({ kind: 'renewLease', leaseKey: key, tenure, leaseCounter: 4, handoffKnown, throughputKBps });

  test('sets the counter one higher, if it is as it was and no handoff is under way, and asks for the row that refused', async () => {
    await wire.put(row);
    await renew(false);
    expect(wire.writes()).toEqual([
      {
        operation: 'UpdateItem',
        key,
        conditions: new Set(['leaseCounter = 4', 'attribute_not_exists(checkpointOwner)']),
        set: { leaseCounter: '5' },
      },
    ]);
    expect(wire.sent[0]?.input).toMatchObject({ ReturnValuesOnConditionCheckFailure: 'ALL_OLD' });
  });

  test('by a worker that knows of the handoff leaves out the condition on checkpointOwner', async () => {
    await wire.put({ ...row, leaseOwner: { S: 'w2' }, checkpointOwner: { S: 'w1' } });
    expect(await renew(true)).toMatchObject({ applied: true });
    expect(wire.writes()[0]?.conditions).toEqual(new Set(['leaseCounter = 4']));
  });

  test('writes the throughput along as a number when it was measured', async () => {
    await wire.put(row);
    await renew(false, 12.345679);
    expect(wire.writes()[0]?.set).toEqual({ leaseCounter: '5', throughputKBps: '12.345679' });
  });

  test('that is refused changes nothing and gives the row as it is, from the refusal or by a consistent read', async () => {
    await wire.put({ ...row, leaseCounter: { N: '5' } });
    expect(await renew(false)).toMatchObject({ applied: false, lease: { leaseCounter: 5, leaseOwner: 'w1' } });
    expect(await wire.get(key)).toEqual({ ...row, leaseCounter: { N: '5' } });
    for (const { operation, input } of wire.sent.slice(1)) {
      expect([operation, input['ConsistentRead']]).toEqual(['GetItem', true]);
    }
  });
});

describe('assign', () => {
  const assign = (seenOwner?: string, seenCheckpointOwner?: string, seenCounter?: number, newOwner = 'w2') =>
    table.run({
      kind: 'assignLease',
      leaseKey: key,
      seenOwner,
      seenCheckpointOwner,
      seenCounter,
      newOwner,
      tenure: undefined,
    });

  test('sets the owner, removes checkpointOwner, adds 1 to counter and owner switches, if the row exists and both owners are as seen', async () => {
    await wire.put(row);
    await assign('w1');
    expect(wire.writes()).toEqual([
      {
        operation: 'UpdateItem',
        key,
        conditions: new Set([
          'attribute_exists(leaseKey)',
          'leaseOwner = "w1"',
          'attribute_not_exists(checkpointOwner)',
        ]),
        set: { leaseOwner: '"w2"' },
        remove: new Set(['checkpointOwner']),
        add: { leaseCounter: '1', ownerSwitchesSinceCheckpoint: '1' },
      },
    ]);
  });

  test('of a lease that nobody has asks that nobody has it, and is a switch of owners; KCL: is none', async () => {
    const { leaseOwner: _, ...unowned } = row;
    await wire.put(unowned);
    await assign();
    expect(wire.writes()[0]).toMatchObject({
      conditions: new Set([
        'attribute_exists(leaseKey)',
        'attribute_not_exists(leaseOwner)',
        'attribute_not_exists(checkpointOwner)',
      ]),
      add: { leaseCounter: '1', ownerSwitchesSinceCheckpoint: '1' },
    });
  });

  test('at the end of a handoff names the old owner as well, and is a switch of owners; KCL: is none any more', async () => {
    await wire.put({ ...row, leaseOwner: { S: 'w2' }, checkpointOwner: { S: 'w1' } });
    await assign('w2', 'w1', undefined, 'w2');
    expect(wire.writes()[0]).toMatchObject({
      conditions: new Set(['attribute_exists(leaseKey)', 'leaseOwner = "w2"', 'checkpointOwner = "w1"']),
      add: { leaseCounter: '1', ownerSwitchesSinceCheckpoint: '1' },
    });
    expect(await wire.get(key)).not.toHaveProperty('checkpointOwner');
  });

  test.each([
    ['w2', 'w1', 'w1'],
    ['w1', 'w1', 'w1'],
  ])('of a handoff to %s back to the checkpointOwner %s is a switch of owners', async (owner, from, to) => {
    await wire.put({ ...row, leaseOwner: { S: owner }, checkpointOwner: { S: from } });
    await assign(owner, from, undefined, to);
    expect(wire.writes()[0]?.add).toEqual({ leaseCounter: '1', ownerSwitchesSinceCheckpoint: '1' });
  });

  test('by a holder, or from a silent owner or nobody, names the counter as well; KCL: never', async () => {
    await wire.put(row);
    await assign('w1', undefined, 4);
    expect(wire.writes()[0]?.conditions).toContain('leaseCounter = 4');
    expect(await assign('w2', undefined, 4)).toMatchObject({ applied: false, lease: { leaseCounter: 5 } });
  });

  test('makes no row where there is none', async () => {
    expect(await assign()).toEqual({ applied: false, lease: undefined });
    expect(await wire.get(key)).toBeUndefined();
  });
});

test('initiate handoff: the new owner becomes leaseOwner, the old one checkpointOwner, and the counter stays, so that the old one goes on renewing', async () => {
  await wire.put(row);
  await table.run({ kind: 'handOffLease', leaseKey: key, from: 'w1', to: 'w2' });
  expect(wire.writes()).toEqual([
    {
      operation: 'UpdateItem',
      key,
      conditions: new Set(['leaseOwner = "w1"', 'attribute_not_exists(checkpointOwner)']),
      set: { leaseOwner: '"w2"', checkpointOwner: '"w1"' },
    },
  ]);
  expect(await wire.get(key)).toEqual({ ...row, leaseOwner: { S: 'w2' }, checkpointOwner: { S: 'w1' } });
});

test('evict: the owner goes and the counter grows by 1, if owner and counter are as seen and no handoff is under way; KCL: without the counter, and in a handoff too', async () => {
  await wire.put(row);
  await table.run({ kind: 'evictLease', leaseKey: key, seenOwner: 'w1', seenCounter: 4, tenure });
  expect(wire.writes()).toEqual([
    {
      operation: 'UpdateItem',
      key,
      conditions: new Set(['leaseOwner = "w1"', 'attribute_not_exists(checkpointOwner)', 'leaseCounter = 4']),
      remove: new Set(['leaseOwner']),
      add: { leaseCounter: '1' },
    },
  ]);
  expect(await wire.get(key)).not.toHaveProperty('leaseOwner');
});

describe('take, beside workers of the KCL 2.x', () => {
  const take = (seenOwner: string | undefined, seenCheckpointOwner?: string, newOwner = 'w2') =>
    table.run({ kind: 'takeLease', leaseKey: key, leaseCounter: 4, seenOwner, seenCheckpointOwner, newOwner });

  test('sets the owner and the counter one higher, removes checkpointOwner and adds 1 to the owner switches, on condition of the counter alone', async () => {
    await wire.put({ ...row, checkpointOwner: { S: 'w3' } });
    expect(await take('w1', 'w3')).toMatchObject({ applied: true });
    expect(wire.writes()).toEqual([
      {
        operation: 'UpdateItem',
        key,
        conditions: new Set(['leaseCounter = 4']),
        set: { leaseOwner: '"w2"', leaseCounter: '5' },
        remove: new Set(['checkpointOwner']),
        add: { ownerSwitchesSinceCheckpoint: '1' },
      },
    ]);
    expect(await wire.get(key)).not.toHaveProperty('checkpointOwner');
  });

  test('back from itself is no switch of owners; from nobody, KCL: none, or out of a handoff that it had begun to give away, one', async () => {
    for (const [seenOwner, seenCheckpointOwner, switches] of [
      [undefined, undefined, '1'],
      ['w2', undefined, '0'],
      ['w1', 'w2', '1'],
    ] as const) {
      wire.forget();
      await wire.put(row);
      await take(seenOwner, seenCheckpointOwner);
      expect(wire.writes()).toMatchObject([{ add: { ownerSwitchesSinceCheckpoint: switches } }]);
    }
  });

  test('with another counter than that of the row is refused, and gives the row as it is', async () => {
    await wire.put({ ...row, leaseCounter: { N: '7' } });
    expect(await take('w1')).toMatchObject({ applied: false, lease: { leaseOwner: 'w1', leaseCounter: 7 } });
  });
});

describe('checkpoint', () => {
  const checkpoint = (fields: Partial<CheckpointLease> = {}) =>
    table.run({
      kind: 'checkpointLease',
      leaseKey: key,
      tenure,
      leaseCounter: 4,
      checkpoint: parseCheckpoint('19', 7),
      pendingCheckpoint: undefined,
      childShardIds: undefined,
      throughputKBps: undefined,
      ...fields,
    });
  const pending = ['pendingCheckpoint', 'pendingCheckpointSubSequenceNumber', 'pendingCheckpointState'];

  test('sets number, sub-sequence number, counter + 1 and owner switches 0, and removes what was pending, on condition of the counter alone; ours: and since when LATEST was', async () => {
    await wire.put({ ...row, pendingCheckpoint: { S: '18' }, pendingCheckpointState: { B: Buffer.from('x') } });
    await checkpoint();
    expect(wire.writes()).toEqual([
      {
        operation: 'UpdateItem',
        key,
        conditions: new Set(['leaseCounter = 4']),
        set: {
          leaseCounter: '5',
          checkpoint: '"19"',
          checkpointSubSequenceNumber: '7',
          ownerSwitchesSinceCheckpoint: '0',
        },
        remove: new Set([...pending, 'shardlineLatestSince']),
      },
    ]);
    expect(Object.keys((await wire.get(key)) ?? {}).filter((name) => pending.includes(name))).toEqual([]);
  });

  test('during a handoff is written as ever, and leaves both owners alone', async () => {
    const handingOff = { ...row, leaseOwner: { S: 'w2' }, checkpointOwner: { S: 'w1' } };
    await wire.put(handingOff);
    expect(await checkpoint()).toMatchObject({ applied: true });
    const { leaseOwner, checkpointOwner } = handingOff;
    expect(await wire.get(key)).toMatchObject({ leaseOwner, checkpointOwner });
  });

  test('of which only the first phase is written sets what is pending, its state as bytes, and leaves checkpoint and owner switches alone', async () => {
    await wire.put({ ...row, pendingCheckpoint: { S: '18' } });
    const state = Buffer.from('state');
    await checkpoint({ checkpoint: undefined, pendingCheckpoint: { position: parseCheckpoint('19', 7), state } });
    expect(wire.writes()).toEqual([
      {
        operation: 'UpdateItem',
        key,
        conditions: new Set(['leaseCounter = 4']),
        set: {
          leaseCounter: '5',
          pendingCheckpoint: '"19"',
          pendingCheckpointSubSequenceNumber: '7',
          pendingCheckpointState: expect.any(String),
        },
      },
    ]);
    expect((await wire.get(key))?.['pendingCheckpointState']?.B).toEqual(new Uint8Array(state));
  });

  test("at a shard's end the children go along in the same write; KCL: in a write of their own before it", async () => {
    await wire.put(row);
    await checkpoint({ checkpoint: SHARD_END, childShardIds: ['b', 'c'] });
    expect(wire.writes()).toMatchObject([{ set: { checkpoint: '"SHARD_END"', childShardIds: '{"b", "c"}' } }]);
  });

  test('carries the throughput and asks for the new row, since it stands for a renewal; KCL: renews beside it', async () => {
    await wire.put({ ...row, leaseOwner: { S: 'w2' }, checkpointOwner: { S: 'w1' } });
    const answer = await checkpoint({ throughputKBps: 2.5 });
    expect(wire.writes()[0]?.set).toMatchObject({ throughputKBps: '2.5' });
    expect(wire.sent[0]?.input).toMatchObject({ ReturnValues: 'ALL_NEW' });
    // What the leader began meanwhile comes back with the answer.
    expect(answer).toMatchObject({ applied: true, lease: { leaseOwner: 'w2', checkpointOwner: 'w1' } });
  });

  test('with another counter than that of the row is refused, whoever the owner is', async () => {
    await wire.put({ ...row, leaseCounter: { N: '6' } });
    expect(await checkpoint()).toMatchObject({ applied: false, lease: { leaseCounter: 6 } });
    expect((await wire.get(key))?.['checkpoint']).toEqual({ S: '17' });
  });
});

describe('begin anew on a stream that was made again under its name; KCL: its leases are never read again, without a word', () => {
  test('is one write on condition of counter and checkpoint, which leaves nothing of the stream before', async () => {
    await wire.put({ ...row, leaseCounter: { N: '5' }, checkpoint: { S: 'SHARD_END' } });
    await table.run({
      kind: 'resetLease',
      leaseKey: key,
      seenCounter: 5,
      seenCheckpoint: SHARD_END,
      parentShardIds: [],
      hashKeyRange: { start: MIN_HASH_KEY, end: MAX_HASH_KEY },
    });
    const [write] = wire.writes();
    expect(write?.conditions).toEqual(new Set(['leaseCounter = 5', 'checkpoint = "SHARD_END"']));
    expect(write?.set).toMatchObject({
      leaseCounter: '6',
      checkpoint: '"TRIM_HORIZON"',
      endingHashKey: `"${MAX_HASH_KEY}"`,
    });
    expect(write?.remove).toEqual(
      new Set([
        'leaseOwner',
        'checkpointOwner',
        'childShardIds',
        'shardlineLatestSince',
        'pendingCheckpoint',
        'pendingCheckpointSubSequenceNumber',
        'pendingCheckpointState',
        'parentShardId',
      ]),
    );
  });
});

describe('fill in', () => {
  const fill = (childShardIds?: string[]) =>
    table.run({
      kind: 'fillLease',
      leaseKey: key,
      hashKeyRange: childShardIds === undefined ? { start: MIN_HASH_KEY, end: MAX_HASH_KEY } : undefined,
      childShardIds,
    });

  test('sets hash keys alone, or children alone, if the row exists and lacks them, and no counter; KCL: only if the row exists', async () => {
    const { startingHashKey: _, endingHashKey: __, ...bare } = row;
    await wire.put(bare);
    await fill();
    await fill(['b', 'c']);
    expect(wire.writes()).toEqual([
      {
        operation: 'UpdateItem',
        key,
        conditions: new Set(['attribute_exists(leaseKey)', 'attribute_not_exists(startingHashKey)']),
        set: { startingHashKey: '"0"', endingHashKey: `"${MAX_HASH_KEY}"` },
      },
      {
        operation: 'UpdateItem',
        key,
        conditions: new Set(['attribute_exists(leaseKey)', 'attribute_not_exists(childShardIds)']),
        set: { childShardIds: '{"b", "c"}' },
      },
    ]);
    expect((await wire.get(key))?.['leaseCounter']).toEqual({ N: '4' });
  });

  test('changes nothing that is there', async () => {
    await wire.put(row);
    expect(await fill()).toMatchObject({ applied: false });
    expect(await wire.get(key)).toEqual(row);
  });
});

describe('delete', () => {
  test('of a finished lease asks that it is at SHARD_END and counts as it was seen; KCL: asks nothing', async () => {
    await wire.put(row);
    await table.run({ kind: 'deleteLease', leaseKey: key, onlyEnded: true, seenCounter: 4 });
    expect(wire.writes()).toEqual([
      { operation: 'DeleteItem', key, conditions: new Set(['checkpoint = "SHARD_END"', 'leaseCounter = 4']) },
    ]);
    expect(await wire.get(key)).toBeDefined();
  });

  test('of a lease whose stream is no longer read asks that it counts no lower than it was seen; KCL: asks nothing', async () => {
    await wire.put(row);
    expect(await table.run({ kind: 'deleteLease', leaseKey: key, onlyEnded: false, seenCounter: 4 })).toEqual({
      deleted: true,
    });
    expect(wire.writes()).toEqual([{ operation: 'DeleteItem', key, conditions: new Set(['leaseCounter >= 4']) }]);
  });
});

test('no write touches an attribute that it does not set: what nobody knows is kept', async () => {
  await wire.put(row);
  const renewal = { kind: 'renewLease', leaseKey: key, tenure, leaseCounter: 4, handoffKnown: false } as const;
  await table.run({ ...renewal, throughputKBps: undefined });
  await table.run({ kind: 'handOffLease', leaseKey: key, from: 'w1', to: 'w2' });
  const given = { leaseKey: key, seenOwner: 'w2', seenCheckpointOwner: 'w1', newOwner: 'w2' };
  await table.run({ kind: 'assignLease', ...given, seenCounter: 5, tenure });
  await table.run({ kind: 'evictLease', leaseKey: key, seenOwner: 'w2', seenCounter: 6, tenure });
  await table.run({
    kind: 'checkpointLease',
    leaseKey: key,
    tenure,
    leaseCounter: 7,
    checkpoint: TRIM_HORIZON,
    pendingCheckpoint: undefined,
    childShardIds: undefined,
    throughputKBps: undefined,
  });
  const { leaseOwner: _, ...unowned } = shownItem(row);
  expect(shownItem((await wire.get(key)) ?? {})).toEqual({
    ...unowned,
    leaseCounter: '8',
    checkpoint: '"TRIM_HORIZON"',
    checkpointSubSequenceNumber: '0',
    ownerSwitchesSinceCheckpoint: '0',
  });
});
