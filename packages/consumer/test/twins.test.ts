// One worker id for two processes, over real sockets: the one that is there goes on, the other one is told and never touches a shard;
// and a process that is started again under its id, after a crash, has its leases back before any leader could give them away.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Cloud, handleInTest, Scene, SHARD, startCloud, until } from './cloud.ts';

let cloud: Cloud;
beforeAll(async () => {
  cloud = await startCloud();
});
afterAll(async () => {
  await cloud.close();
});

it('a second process under a worker id is refused, whoever it is, and handles nothing; the first one goes on', async () => {
  const scene = new Scene(cloud, 'twins');
  // Long enough for a busy machine to answer in.
  const options = { workerId: 'twin', failoverTimeMs: 10_000 };
  const first = scene.consumer(options);
  const handled = handleInTest(first);
  await scene.put('a 1');
  await until(() => expect(handled).toEqual(['a 1']));

  const second = scene.consumer(options);
  const touched: unknown[] = [];
  await expect(
    second.run({ initialize: () => touched.push(1), processRecords: () => touched.push(1) }),
  ).rejects.toThrow(
    expect.objectContaining({
      code: 'WORKER_ID_IN_USE',
      retryable: false,
      message: expect.stringMatching(
        new RegExp(
          `^another process \\(.*, pid ${process.pid}\\) works under the worker id twin since .*: this one has not begun`,
        ),
      ),
    }),
  );
  expect(touched).toEqual([]);
  const reasons = [
    expect.stringMatching(/^the consumer is stopped, since run rejected: WORKER_ID_IN_USE: another process/),
  ];
  expect(second.health()).toMatchObject({ state: 'stopped', live: false, ready: false, reasons });
  // The watchdog looks once a second.
  const shards = [{ leaseKey: SHARD(0), lastProgressAt: expect.any(Date) }];
  await until(() => expect(first.view().shards).toMatchObject(shards));

  await scene.put('b 2');
  await until(() => expect(handled).toEqual(['a 1', 'b 2']));
  expect(first.health()).toMatchObject({ state: 'running', ready: true });
});

it('a process that is started again under the id of one that died has its leases back without a leader', async () => {
  const scene = new Scene(cloud, 'restarted');
  await scene.put('a 1');
  const options = { workerId: 'stable', failoverTimeMs: 600_000, leaderLeaseDurationMs: 600_000 };
  const first = scene.consumer(options);
  const before = handleInTest(first);
  await until(() => expect(before).toEqual(['a 1']));
  const [metricRow, lease] = [await scene.row('stable'), await scene.row(SHARD(0))];
  await first.stop();
  // As it would have left them, had it been killed.
  await scene.restore(metricRow, lease);

  const second = scene.consumer(options);
  const after = handleInTest(second);
  await scene.put('b 2');
  await until(() => expect(after).toContain('b 2'));
  expect((await scene.row(SHARD(0)))?.['leaseOwner']?.S).toBe('stable');
});
