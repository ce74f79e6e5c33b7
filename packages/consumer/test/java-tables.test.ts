// The whole consumer on the tables that a Java fleet left, over real sockets: it reads on where that fleet stopped, and leaves
// everything so that the fleet can go on.
import { type AttributeValue, ConditionalCheckFailedException } from '@aws-sdk/client-dynamodb';
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
  const stoppedAt = { N: String(Math.floor(Date.now() / 1_000)) };
  const left = (row: Item): Item => {
    // A leader deletes the metric rows of a fleet that is long gone.
    if (row['lut'] !== undefined) return { ...row, lut: stoppedAt };
    if (row['checkpoint'] === undefined || row['checkpoint'].S === 'SHARD_END') return row;
    // The recorded numbers are of another stream.
    return { ...row, checkpoint: { S: 'TRIM_HORIZON' } };
  };
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
    const expected = javaRows[suffix]?.map(left).map(comparable) ?? [];
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
    const times = { failoverTimeMs: 300, flipTo3xStabilizerTimeMs: 500 };
    const consumer = scene.consumer({ initialPosition: 'LATEST', ...times });
    const running = consumer.run((batch) => {
      seen.push(...batch.records.map(textOf));
    });
    await until(() => expect([...seen].sort()).toEqual([...unread].sort()));
    await until(async () => {
      for (const shard of [1, 2]) expect((await scene.row(SHARD(shard)))?.['checkpoint']?.S).toMatch(/^\d+$/);
      expect(await scene.row(SHARD(3))).toMatchObject({ parentShardId: { SS: [SHARD(0)] } });
    });
    // The fleet is all ours: it goes over to a leader.
    await until(async () => {
      const history = [
        { M: { cv: { S: 'CLIENT_VERSION_UPGRADE_FROM_2X' } } },
        { M: { cv: { S: 'CLIENT_VERSION_INIT' } } },
      ];
      const [row] = (await rows(cloud.dynamoDB, scene.name + STATES)).filter((it) => it['key']?.S === 'Migration3.0');
      expect(row).toMatchObject({ cv: { S: 'CLIENT_VERSION_3X_WITH_ROLLBACK' }, h: { L: history } });
    });
    await consumer.stop();
    await running;
    expect([...seen].sort()).toEqual([...unread].sort());
    // A worker of those versions fails on every row of the table that is no lease, and must be able to come back.
    for (const row of await scene.rows()) expect(row).toHaveProperty('ownerSwitchesSinceCheckpoint');
  });

  it('whose worker lives is shared with it, each taking its part', async () => {
    const scene = new Scene(cloud, 'live-2x', 4);
    await makeLeaseTable(cloud.dynamoDB, scene.name);
    for (const shard of [0, 1, 2, 3]) await oldLease(scene.name, SHARD(shard), 'TRIM_HORIZON');
    const consumer = scene.consumer({ failoverTimeMs: 600, flipTo3xStabilizerTimeMs: 0 });
    const running = consumer.run(() => undefined);
    // As the KCL 2.x renews: on condition of the counter, and a lease that moved is lost.
    const counters = new Map([0, 1, 2, 3].map((shard) => [SHARD(shard), 7]));
    const renew = async (): Promise<void> => {
      for (const [leaseKey, counter] of counters) {
        const ExpressionAttributeValues = { ':was': { N: `${counter}` }, ':is': { N: `${counter + 1}` } };
        const write = { UpdateExpression: 'SET leaseCounter = :is', ConditionExpression: 'leaseCounter = :was' };
        try {
          await scene.meddle(leaseKey, { ...write, ExpressionAttributeValues });
          counters.set(leaseKey, counter + 1);
        } catch (error) {
          if (!(error instanceof ConditionalCheckFailedException)) throw error;
          counters.delete(leaseKey);
        }
      }
    };
    await until(async () => {
      await renew();
      expect(consumer.view().shards.filter(({ phase }) => phase === 'processing')).toHaveLength(2);
      expect(counters.size).toBe(2);
    });
    expect((await rows(cloud.dynamoDB, scene.name + STATES)).find((row) => row['cv'])).toMatchObject({
      cv: { S: 'CLIENT_VERSION_UPGRADE_FROM_2X' },
    });
    // It dies, and its leases are taken; then nothing keeps the fleet from a leader.
    await until(async () => {
      expect(consumer.view().shards).toHaveLength(4);
      expect((await rows(cloud.dynamoDB, scene.name + STATES)).find((row) => row['cv'])).toMatchObject({
        cv: { S: 'CLIENT_VERSION_3X_WITH_ROLLBACK' },
      });
    });
    await consumer.stop();
    await running;
  });
});
