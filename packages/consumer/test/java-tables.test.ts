// The whole consumer on the tables that a Java fleet left, over real sockets: it reads on where that fleet stopped, and leaves
// everything so that the fleet can go on.
import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import { PutRecordCommand } from '@aws-sdk/client-kinesis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Cloud, Scene, SHARD, startCloud, textOf, until } from './cloud.ts';
import { type Item, javaFleet, javaRows, METRICS, makeLeaseTable, put, rows, STATES } from './java-fleet.ts';

let cloud: Cloud;
beforeAll(async () => {
  cloud = await startCloud();
});
afterAll(async () => {
  await cloud.close();
});

const numbered = (count: number): string[] => Array.from({ length: count }, (_, n) => `k${n} ${n}`);

/** A row without sets' order. */
function comparable(row: Item): Record<string, AttributeValue> {
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => [name, value.SS === undefined ? value : { SS: [...value.SS].sort() }]),
  );
}

it('a fleet of three tables is read on, and every row that its Java workers read is still there, in its table', async () => {
  // As the Java fleet's stream: shard 0 split, shards 2 and 3 merged, their leases finished.
  const scene = new Scene(cloud, 'three', 4);
  scene.split(0, 1n << 125n);
  scene.model.settle(Date.now() + 60_000);
  scene.merge(2, 3);
  scene.model.settle(Date.now() + 120_000);
  const left = (row: Item): Item =>
    row['checkpoint'] === undefined || row['checkpoint'].S === 'SHARD_END'
      ? row
      : // The recorded numbers are of another stream.
        { ...row, checkpoint: { S: 'TRIM_HORIZON' } };
  await javaFleet(cloud.dynamoDB, scene.name, undefined, left);
  const texts = numbered(200);
  await scene.put(...texts);

  const seen: string[] = [];
  const consumer = scene.consumer({ workerId: 'node' });
  const running = consumer.run((batch) => {
    seen.push(...batch.records.map(textOf));
  });
  await until(() => expect([...seen].sort()).toEqual([...texts].sort()));
  const metrics = await rows(cloud.dynamoDB, scene.name + METRICS);
  expect(metrics.find((row) => row['wid']?.S === 'node')).toMatchObject({ sup: { N: '1' } });
  expect((await rows(cloud.dynamoDB, scene.name + STATES)).map((row) => row['key']?.S).sort()).toEqual([
    'Leader',
    'Migration3.0',
  ]);
  await consumer.stop();
  await running;

  // What is ours is gone, what was the fleet's is as it was.
  const after = async (suffix: string): Promise<unknown[]> =>
    (await rows(cloud.dynamoDB, scene.name + suffix)).map(comparable);
  for (const suffix of [STATES, METRICS]) {
    const expected = javaRows[suffix]?.map(comparable) ?? [];
    expect(await after(suffix)).toEqual(expect.arrayContaining(expected));
    expect(await after(suffix)).toHaveLength(expected.length);
  }
  const leases = await rows(cloud.dynamoDB, scene.name);
  expect(leases).toHaveLength(javaRows['']?.length ?? 0);
  for (const java of javaRows[''] ?? []) {
    const key = java['leaseKey']?.S;
    const row = leases.find((it) => it['leaseKey']?.S === key);
    // The attributes of a Java worker are there, of the same types; only what a holder writes has other values.
    const { checkpoint, leaseCounter, leaseOwner, throughputKBps, checkpointSubSequenceNumber, ...kept } =
      comparable(java);
    expect(row).toMatchObject({ leaseCounter: { N: expect.any(String) }, checkpoint: { S: expect.any(String) } });
    expect(comparable(row ?? {})).toMatchObject({ ...kept, ownerSwitchesSinceCheckpoint: { N: expect.any(String) } });
    if (checkpoint?.S === 'SHARD_END') expect(row?.['checkpoint']).toEqual(checkpoint);
    else expect(row?.['checkpoint']?.S).toMatch(/^\d+$/);
    expect(Number(row?.['leaseCounter']?.N)).toBeGreaterThanOrEqual(Number(leaseCounter?.N));
  }
});

describe('a table of the KCL 1.x or 2.x', () => {
  /** A lease as those versions leave it: no entityType, no hash keys, no children; 1.x has no sub-sequence number either. */
  async function oldLease(table: string, leaseKey: string, checkpoint: string, more: Item = {}): Promise<void> {
    const row = { leaseKey: { S: leaseKey }, leaseCounter: { N: '7' }, ownerSwitchesSinceCheckpoint: { N: '0' } };
    await put(cloud.dynamoDB, table, { ...row, checkpoint: { S: checkpoint }, leaseOwner: { S: 'java-2' }, ...more });
  }

  it('whose workers are dead is taken over: nothing is skipped, nothing before a checkpoint is read again', async () => {
    const scene = new Scene(cloud, 'dead-2x', 3);
    const read = numbered(30);
    const ids = new Map<string, string>();
    for (const text of read) {
      const { ShardId = '', SequenceNumber = '' } = await cloud.kinesis.send(
        new PutRecordCommand({ StreamName: scene.name, PartitionKey: text, Data: Buffer.from(text) }),
      );
      ids.set(ShardId, SequenceNumber);
    }
    expect([...ids.keys()].sort()).toEqual([SHARD(0), SHARD(1), SHARD(2)]);
    // Shard 0 was finished, and the worker died before it made leases for the children.
    scene.split(0, 1n << 125n);
    scene.model.settle(Date.now() + 60_000);
    await makeLeaseTable(cloud.dynamoDB, scene.name);
    await oldLease(scene.name, SHARD(0), 'SHARD_END');
    await oldLease(scene.name, SHARD(1), ids.get(SHARD(1)) ?? '');
    await oldLease(scene.name, SHARD(2), ids.get(SHARD(2)) ?? '', { checkpointSubSequenceNumber: { N: '0' } });
    const unread = numbered(60).slice(30);
    await scene.put(...unread);

    const seen: string[] = [];
    const consumer = scene.consumer({ initialPosition: 'LATEST', failoverTimeMs: 300 });
    const running = consumer.run((batch) => {
      seen.push(...batch.records.map(textOf));
    });
    await until(() => expect([...seen].sort()).toEqual([...unread].sort()));
    await until(async () => {
      for (const shard of [1, 2]) expect((await scene.row(SHARD(shard)))?.['checkpoint']?.S).toMatch(/^\d+$/);
      expect(await scene.row(SHARD(3))).toMatchObject({ parentShardId: { SS: [SHARD(0)] } });
    });
    expect(await scene.row('Migration3.0')).toMatchObject({ cv: { S: 'CLIENT_VERSION_3X' } });
    await consumer.stop();
    await running;
    expect([...seen].sort()).toEqual([...unread].sort());
  });
});
