// The whole consumer on the tables that a Java fleet left, over real sockets: it reads on where that fleet stopped, and leaves
// everything so that the fleet can go on.
import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Cloud, Scene, startCloud, textOf, until } from './cloud.ts';
import { type Item, javaRows, keyNames, METRICS, makeTable, put, rows, STATES } from './java-fleet.ts';

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
  for (const [suffix, items] of Object.entries(javaRows)) {
    await makeTable(cloud.dynamoDB, scene.name + suffix, keyNames[suffix] ?? '');
    for (const item of items) await put(cloud.dynamoDB, scene.name + suffix, left(item));
  }
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
