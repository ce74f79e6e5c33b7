// A row of the lease table that another hand has made unreadable, over real sockets: who says what, what nobody does, and how it ends.
import { onDiagnostic } from '@shardline/common';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { type Cloud, handleInTest, Scene, SHARD, startCloud, until } from './cloud.ts';
import { listen } from './listen.ts';

let cloud: Cloud;
beforeAll(async () => {
  cloud = await startCloud();
});
afterAll(async () => {
  await cloud.close();
});

it('is named by its leader and by its holder until it is mended, is made by nobody, and is read on from where it is put', async () => {
  const scene = new Scene(cloud, 'garbage', 2);
  const losses: unknown[] = [];
  onTestFinished(onDiagnostic('shardline:consumer:lease-lost', (message) => void losses.push(message)));
  const { logger, lines } = listen();
  const options = { leaseAssignmentStrategy: 'count', logger } as const;
  // Nothing is checkpointed while the row is bad: a checkpoint would mend it.
  const one = scene.consumer({ ...options, workerId: 'one' });
  const other = scene.consumer({ ...options, workerId: 'other' });
  const handled = [handleInTest(one), handleInTest(other)];
  const consumers = [one, other];
  await until(() => expect(consumers.map((each) => each.view().shards.length)).toEqual([1, 1]));
  const holder = consumers.find((each) => !each.view().leader);
  const leader = consumers.find((each) => each.view().leader);
  const leaseKey = holder?.view().shards[0]?.leaseKey ?? '';
  const before = (await scene.row(leaseKey))?.['checkpoint'];
  const put = (checkpoint: unknown) =>
    scene.meddle(leaseKey, {
      UpdateExpression: 'SET checkpoint = :checkpoint',
      ExpressionAttributeValues: { ':checkpoint': checkpoint as { S: string } },
    });
  await put({ S: 'garbage' });

  const reason = `table garbage: the row of lease ${leaseKey} cannot be read (checkpoint: expected`;
  for (const each of [holder, leader]) {
    await until(() => expect(each?.health().reasons.join()).toContain(reason));
    expect(each?.health()).toMatchObject({ live: true, ready: false });
    expect(each?.health().reasons.join()).toMatch(/got.*"garbage".*nobody reads its shard.*docs\/lease-lifecycle.md/);
  }
  await until(() =>
    expect(losses).toEqual([
      { application: 'garbage', worker: holder?.workerId, leaseKey, reason: 'leaseLost', how: 'unreadable' },
    ]),
  );
  const lost = lines.filter(({ text }) => text.startsWith('lease lost'));
  expect(lost.map(({ text }) => text)).toEqual([expect.stringContaining('its row cannot be read')]);
  // Several listings of the shards later nobody has tried to make it.
  const plansBefore = lines.length;
  const { operations } = watchListings(scene);
  await until(() => expect(operations()).toBeGreaterThan(3));
  const plans = lines.slice(plansBefore).filter(({ text }) => text === 'leases planned');
  expect(plans.filter(({ fields }) => fields['created'] !== 0)).toEqual([]);
  const told = lines.filter(({ text }) => text === 'a row of the lease table cannot be read and is passed over');
  // Once by each of the two, however often it is seen.
  expect(told.map(({ level, fields }) => [level, fields['leaseKey']])).toEqual([
    ['error', leaseKey],
    ['error', leaseKey],
  ]);

  await scene.put(...Array.from({ length: 20 }, (_, n) => `k${n} b`));
  await put(before);
  await until(() => expect(handled.flat()).toHaveLength(20));
  for (const each of consumers) await until(() => expect(each.health()).toMatchObject({ ready: true, reasons: [] }));
  const ends = lines.filter(({ text }) => text === 'the row of the lease table can be read again, or is gone');
  expect(ends.map(({ fields }) => fields['leaseKey'])).toEqual([leaseKey, leaseKey]);
});

it('of a parent keeps its child waiting: it is not taken for one that is finished and gone', async () => {
  const scene = new Scene(cloud, 'garbage-parent');
  const first = scene.consumer();
  const running = first.run(() => undefined);
  await until(() => expect(first.view().shards[0]?.phase).toBe('processing'));
  scene.split(0, 2n ** 127n);
  scene.model.settle(Date.now() + 60_000);
  await until(async () => expect(await scene.row(SHARD(2))).toBeDefined());
  await first.stop();
  await running;
  await scene.meddle(SHARD(0), {
    UpdateExpression: 'SET checkpoint = :checkpoint',
    ExpressionAttributeValues: { ':checkpoint': { S: 'garbage' } },
  });
  for (const child of [1, 2])
    await scene.meddle(SHARD(child), {
      UpdateExpression: 'SET checkpoint = :checkpoint',
      ExpressionAttributeValues: { ':checkpoint': { S: 'TRIM_HORIZON' } },
    });
  await scene.put('a 1', 'b 2');
  const consumer = scene.consumer();
  const handled = handleInTest(consumer);
  await until(() => expect(consumer.health().reasons.join()).toContain('(readLeases) fails'));
  expect(consumer.view().shards.map(({ phase }) => phase)).toContain('waitingForParents');
  expect(handled).toEqual([]);
  await scene.meddle(SHARD(0), {
    UpdateExpression: 'SET checkpoint = :checkpoint',
    ExpressionAttributeValues: { ':checkpoint': { S: 'SHARD_END' } },
  });
  await until(() => expect(handled.toSorted()).toEqual(['a 1', 'b 2']));
  await until(() => expect(consumer.health()).toMatchObject({ ready: true, reasons: [] }));
});

it('that should say who leads is told of with what to do, and once that is done somebody leads', async () => {
  const scene = new Scene(cloud, 'garbage-leader');
  const first = scene.consumer();
  const running = first.run(() => undefined);
  await until(() => expect(first.view().leader).toBe(true));
  await first.stop();
  await running;
  await scene.restore({ leaseKey: { S: 'Leader' }, foo: { S: 'x' } });
  await scene.put('a 1');
  const consumer = scene.consumer();
  const handled = handleInTest(consumer);
  const reason =
    'expected a Leader row, got leaseDuration: expected a string, got nothing. Nobody leads while it is so. ';
  await until(() => expect(consumer.health().reasons.join()).toContain(`${reason}Delete the row Leader`));
  expect(handled).toEqual([]);
  await scene.remove('Leader');
  await until(() => expect(handled).toEqual(['a 1']));
  await until(() => expect(consumer.health()).toMatchObject({ ready: true, reasons: [] }));
});

/** Listings of the scene's stream that were answered from now on. */
function watchListings(scene: Scene): { operations: () => number } {
  const { faults } = scene.cloud.kinesisServer;
  const rule = faults.add({ kind: 'delay', beforeAnswerMs: 1, operation: 'ListShards', stream: scene.name });
  onTestFinished(() => rule.remove());
  return { operations: () => rule.applied };
}
