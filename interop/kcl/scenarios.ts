// What real Java KCL workers go through, in either way of retrieval: a reshard under load, a stream that was resharded before they
// came, a worker that leaves, a storm of faults, and the end of subscriptions.
import { systemClock } from '@shardline/common';
import { type FaultRule, startLocalKinesis } from '@shardline/local';
import { expect } from 'vitest';
import { shardIdOf } from './fed-stream.ts';
import { hurriedClock } from './hurried-clock.ts';
import { Scene, type Setting } from './scene.ts';
import { until } from './worker-process.ts';

/** One shard is split and two others are merged while records come in all the time. */
export function reshardUnderLoad(setting: Setting): Promise<void> {
  return Scene.play(setting, `${setting.mode}-reshard`.toLowerCase(), 3, async (scene) => {
    scene.feed.run();
    const worker = await scene.startWorker('w1');
    await until('records of every shard', scene.workers, () => has(worker.recordShards, [0, 1, 2]));
    scene.splitShard(0);
    scene.mergeShards(1, 2);
    await until('parents ended', scene.workers, () => has(worker.shardsOf('shardEnded'), [0, 1, 2]));
    await until('records of children', scene.workers, () => has(worker.recordShards, [3, 4, 5]));
    await scene.feed.stop();
    await scene.expectAll();
  });
}

/** UpdateShardCount from two shards to three: two splits, then a merge of two shards that were never written to. */
export function rescaleUnderLoad(setting: Setting): Promise<void> {
  return Scene.play(setting, `${setting.mode}-rescale`.toLowerCase(), 2, async (scene) => {
    scene.feed.run();
    const worker = await scene.startWorker('w1');
    await until('records of every shard', scene.workers, () => has(worker.recordShards, [0, 1]));
    scene.updateShardCount(3);
    await until('records of the three', scene.workers, () => has(worker.recordShards, [2, 5, 6]));
    expect(worker.shardsOf('shardEnded').sort()).toEqual([0, 1, 3, 4].map(shardIdOf));
    await scene.feed.stop();
    await scene.expectAll();
  });
}

/** The application is new, the stream is not: shards have ended that still hold records. */
export function freshOnResharded(setting: Setting): Promise<void> {
  return Scene.play(setting, `${setting.mode}-fresh`.toLowerCase(), 2, async (scene) => {
    await scene.feed.put();
    scene.splitShard(0);
    await scene.feed.put();
    scene.mergeShards(3, 1);
    await scene.feed.put();
    scene.splitShard(4);
    await scene.feed.put();
    await scene.startWorker('w1');
    await scene.expectAll();
  });
}

/** Two workers share the shards; one is told to stop, and the other goes on where it ended. */
export function oneOfTwoStops(setting: Setting): Promise<void> {
  return Scene.play(setting, `${setting.mode}-two`.toLowerCase(), 4, async (scene) => {
    scene.feed.run();
    const leaving = await scene.startWorker('w1');
    // Two that make the table together trip over each other (KCL 3.5.1: "AssignmentMode is not initialized", for good).
    await until('the first worker delivers', scene.workers, () => leaving.records.length > 0);
    const staying = await scene.startWorker('w2');
    await until('the second worker delivers', scene.workers, () => staying.records.length > 0);
    const handedOver = new Set(leaving.shardsOf('init'));
    await leaving.stop();
    expect(leaving.events.at(-1)).toMatchObject({ event: 'stopped', graceful: true });
    await until('the other takes over', [staying], () => has(staying.shardsOf('init'), [0, 1, 2, 3]));
    await scene.feed.stop();
    await scene.expectAll();
    expect(handedOver.size).toBeGreaterThan(0);
    expect(new Set(leaving.shardsOf('shutdownRequested')).size).toBeGreaterThan(0);
  });
}

/** What goes wrong with the reading side's requests, each in a share of them. */
const storms: Readonly<Record<Setting['mode'], readonly FaultRule[]>> = {
  POLLING: [
    // A worker that gets on asks for these at its start alone: by chance none would be struck.
    { kind: 'error', type: 'InternalFailure', operation: 'ListShards', count: 2 },
    { kind: 'error', type: 'InternalFailure', operation: 'GetShardIterator', count: 2 },
    { kind: 'error', type: 'InternalFailure', operation: 'GetRecords', probability: 0.1 },
    { kind: 'throttle', operation: 'GetRecords', probability: 0.1 },
    { kind: 'dropConnection', operation: 'GetRecords', probability: 0.1 },
    { kind: 'truncateAnswer', operation: 'GetRecords', probability: 0.1 },
  ],
  FANOUT: [
    { kind: 'error', type: 'InternalFailure', operation: ['ListShards', 'DescribeStreamConsumer'], count: 3 },
    { kind: 'error', type: 'InternalFailure', operation: 'SubscribeToShard', probability: 0.2 },
    { kind: 'cutEvents', operation: 'SubscribeToShard', afterEvents: 5, probability: 0.3 },
    { kind: 'corruptEvents', operation: 'SubscribeToShard', afterEvents: 5, probability: 0.3 },
    { kind: 'endEvents', operation: 'SubscribeToShard', afterEvents: 5, probability: 0.5 },
  ],
};

/** Requests fail, answers and event streams break off, and a shard is split meanwhile. Then all is well again, and all must come. */
export function storm(setting: Setting): Promise<void> {
  return Scene.play(setting, `${setting.mode}-storm`.toLowerCase(), 2, async (scene) => {
    const { faults } = setting.kinesis;
    const rules = storms[setting.mode].map((rule) => faults.add({ ...rule, stream: scene.stream }));
    scene.feed.run();
    const worker = await scene.startWorker('w1');
    await until('records of every shard', scene.workers, () => has(worker.recordShards, [0, 1]));
    scene.splitShard(0);
    await until('records of children', scene.workers, () => has(worker.recordShards, [2, 3]));
    await until('each fault has struck', scene.workers, () => rules.every(({ applied }) => applied > 0));
    for (const rule of rules) rule.remove();
    await scene.feed.stop();
    await scene.expectAll();
  });
}

/** The five minutes of a subscription are over, twice, while records come in all the time: on a server whose time runs fast. */
export async function subscriptionsEnd(setting: Omit<Setting, 'kinesis'>): Promise<void> {
  const clock = hurriedClock(systemClock, 60);
  await using kinesis = await startLocalKinesis({ clock, tlsPort: 0 });
  // Strikes none; it counts.
  const subscriptions = kinesis.faults.add({ kind: 'endEvents', operation: 'SubscribeToShard', probability: 0 });
  const hurried = { ...setting, kinesis, now: () => clock.wallNow() };
  await Scene.play(hurried, `${setting.mode}-five-minutes`.toLowerCase(), 1, async (scene) => {
    scene.feed.run();
    const worker = await scene.startWorker('w1');
    await until('a subscription', scene.workers, () => has(worker.recordShards, [0]));
    const firstMs = scene.now;
    const firstCount = subscriptions.considered;
    await until('two subscriptions more', scene.workers, () => subscriptions.considered >= firstCount + 2);
    expect(scene.now - firstMs).toBeGreaterThan(5 * 60_000);
    await scene.feed.stop();
    await scene.expectAll();
  });
}

function has(shardIds: Iterable<string>, numbers: readonly number[]): boolean {
  const ids = new Set(shardIds);
  return numbers.every((number) => ids.has(shardIdOf(number)));
}
