// What others keep in the lease table, through a whole run: rows of kinds and attributes of rows that this version does not know.
import { type AttributeValue, PutItemCommand } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { BatchHandler } from '../src/handler.ts';
import { type Cloud, Scene, SHARD, startCloud, textOf, until } from './cloud.ts';

let cloud: Cloud;
beforeAll(async () => {
  cloud = await startCloud();
});
afterAll(async () => {
  await cloud.close();
});

/** One of every type, and one whose bytes are no text. */
const foreign: Record<string, AttributeValue> = {
  futureText: { S: 'kept' },
  futureNumber: { N: '12345678901234567890.5' },
  futureBytes: { B: Uint8Array.of(0, 255, 128, 10) },
  futureTexts: { SS: ['a', 'b'] },
  futureMap: { M: { list: { L: [{ N: '1' }, { NULL: true }] }, flag: { BOOL: true } } },
};

it('rows and attributes of the future are the same, to the byte, after claims, checkpoints, a handoff, a split and two stops', async () => {
  const scene = new Scene(cloud, 'future', 2);
  const stranger = { leaseKey: { S: 'tomorrow' }, entityType: { S: 'OF_THE_FUTURE' }, ...foreign };
  const lookalike = {
    ...stranger,
    leaseKey: { S: `${SHARD(7)}-tomorrow` },
    leaseOwner: { S: 'w9' },
    leaseCounter: { N: '3' },
  };
  const seen = new Set<string>();
  const options = { leaseAssignmentStrategy: 'count' } as const;
  const handler: BatchHandler = (batch) => {
    for (const record of batch.records) seen.add(textOf(record));
  };
  const first = scene.consumer({ ...options, workerId: 'w1' });
  const running = first.run(handler);
  await until(async () => expect(await scene.rows().catch(() => [])).not.toHaveLength(0));
  for (const Item of [stranger, lookalike])
    await cloud.dynamoDB.send(new PutItemCommand({ TableName: scene.name, Item }));
  for (const shard of [0, 1]) {
    await until(async () => expect(await scene.row(SHARD(shard))).toBeDefined());
    await scene.meddle(SHARD(shard), {
      UpdateExpression: `SET ${Object.keys(foreign)
        .map((name) => `${name} = :${name}`)
        .join(', ')}`,
      ExpressionAttributeValues: Object.fromEntries(
        Object.entries(foreign).map(([name, value]) => [`:${name}`, value]),
      ),
    });
  }
  await scene.put('a 1', 'b 2', 'c 3');
  await until(() => expect(seen.size).toBe(3));

  const second = scene.consumer({ ...options, workerId: 'w2' });
  const alsoRunning = second.run(handler);
  await until(async () => {
    const owners = (await scene.rows()).map((row) => row['leaseOwner']?.S);
    expect(owners).toEqual(expect.arrayContaining(['w1', 'w2']));
  });
  scene.split(0, 2n ** 125n);
  scene.model.settle(Date.now() + 60_000);
  await until(async () => expect((await scene.row(SHARD(0)))?.['checkpoint']?.S).toBe('SHARD_END'));
  await first.stop();
  await second.stop();
  await Promise.all([running, alsoRunning]);

  expect(await scene.row('tomorrow')).toEqual(stranger);
  expect(await scene.row(`${SHARD(7)}-tomorrow`)).toEqual(lookalike);
  for (const shard of [0, 1]) expect(await scene.row(SHARD(shard))).toMatchObject(foreign);
});
