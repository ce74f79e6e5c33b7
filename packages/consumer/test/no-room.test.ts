// Shards that no worker has room for: somebody says so, until there is room.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Cloud, handleInTest, Scene, SHARD, startCloud, until } from './cloud.ts';
import { listen } from './listen.ts';

let cloud: Cloud;
beforeAll(async () => {
  cloud = await startCloud();
});
afterAll(async () => {
  await cloud.close();
});

it('leases that nobody has room for are told of by the leader, with what to do, until another worker takes them', async () => {
  const scene = new Scene(cloud, 'no-room', 2);
  const { logger, texts } = listen();
  const leader = scene.consumer({ workerId: 'a', maxLeasesForWorker: 1, logger });
  handleInTest(leader);
  const noRoom = expect.stringMatching(
    /nobody has room for 1 lease \(shardId-0+[01]\).* at maxLeasesForWorker or .*Start another worker, or raise the limit/,
  );
  await until(() => expect(leader.health().reasons).toEqual([noRoom]));
  expect(leader.health()).toMatchObject({ live: true, ready: false });
  expect(texts('warn')).toEqual([noRoom]);

  const second = scene.consumer({ workerId: 'b', maxLeasesForWorker: 1 });
  handleInTest(second);
  await until(() => expect(leader.health()).toMatchObject({ ready: true, reasons: [] }));
  const held = [...leader.view().shards, ...second.view().shards].map(({ leaseKey }) => leaseKey);
  await until(() => expect(second.view().shards).toHaveLength(1));
  expect([SHARD(0), SHARD(1)]).toEqual(expect.arrayContaining(held));
  expect(texts('info')).toContainEqual(
    expect.stringContaining('finding a worker for every lease (placeLeases) works again'),
  );
  expect(texts('warn')).toEqual([noRoom]);
  expect(second.health().reasons).toEqual([]);
});
