// A shard that does not get on, over real sockets: told of with what is waited for, given up where that is asked for, and never
// given to a second handler while the first one runs.
import { type OperatingError, onDiagnostic } from '@shardline/common';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { type Cloud, runInTest, Scene, SHARD, startCloud, textOf, until } from './cloud.ts';

let cloud: Cloud;
beforeAll(async () => {
  cloud = await startCloud();
});
afterAll(async () => {
  await cloud.close();
});

interface Told {
  readonly state: string;
  readonly reason: string;
  readonly worker: string;
}

function stallsOf(application: string): Told[] {
  const told: Told[] = [];
  const forget = onDiagnostic('shardline:consumer:stall', (message) => {
    if (message.application === application) told.push(message);
  });
  onTestFinished(forget);
  return told;
}

const limits = { stallWarningMs: 400, stallLimitMs: 600, shutdownGraceMs: 200 };

describe('a handler that does not return', () => {
  it('is told of with the batch, and the lease is kept, where no limit is set', async () => {
    const scene = new Scene(cloud, 'slow');
    await scene.put('a 1', 'a 2');
    const stalls = stallsOf('slow');
    let goOn = (): void => undefined;
    const consumer = scene.consumer({ workerId: 'w', stallWarningMs: 400 });
    runInTest(
      consumer,
      () =>
        new Promise<void>((resolve) => {
          goOn = resolve;
        }),
    );
    await until(() => expect(stalls.length).toBeGreaterThan(1));
    expect(stalls[0]).toMatchObject({
      worker: 'w',
      leaseKey: SHARD(0),
      state: 'stalled',
      reason: 'handler',
      recordCount: 2,
      byteCount: 6,
      holdsLease: true,
      since: expect.any(Date),
    });
    expect(consumer.health()).toMatchObject({
      live: true,
      ready: false,
      reasons: [expect.stringContaining(`${SHARD(0)}: the handler's processRecords has not returned for`)],
      shards: [{ leaseKey: SHARD(0), phase: 'processing', stalled: { reason: 'handler' } }],
    });
    goOn();
    await until(() => expect(stalls.at(-1)).toMatchObject({ state: 'over' }));
    await until(async () => expect(await scene.checkpointOf(SHARD(0))).toMatch(/^\d{56}:0$/));
    await until(() => expect(consumer.health()).toMatchObject({ ready: true, reasons: [] }));
  });

  it('is told of by the word that hangs, or throws', async () => {
    const scene = new Scene(cloud, 'words');
    const stalls = stallsOf('words');
    let calls = 0;
    const consumer = scene.consumer({ stallWarningMs: 400, shutdownGraceMs: 100 });
    const running = consumer.run({
      initialize: () => {
        calls += 1;
        if (calls < 3) throw new Error('cannot connect to postgres');
        return new Promise<void>(() => undefined);
      },
      processRecords: () => undefined,
    });
    await until(() =>
      expect(consumer.health().reasons.join()).toMatch(
        /^the handler's initialize throws for shardId-0{12} since \S+: Error: cannot connect to postgres; it is called again/,
      ),
    );
    await until(() => expect(stalls[0]).toMatchObject({ state: 'stalled', reason: 'handler', word: 'initialize' }));
    expect(consumer.health().reasons.join()).toContain(`${SHARD(0)}: the handler's initialize has not returned for`);
    await consumer.stop();
    await running;
  });

  it('but heeds its signal loses the lease past the limit, to another worker and nothing is lost', async () => {
    const scene = new Scene(cloud, 'heeds');
    await scene.put('a 1');
    const stalls = stallsOf('heeds');
    const reasons: unknown[] = [];
    let runs = 0;
    const stuck = scene.consumer({ workerId: 'a-stuck', ...limits, stallLimitMs: 3_000 });
    runInTest(stuck, async (_, { signal }) => {
      runs += 1;
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
      reasons.push((signal.reason as OperatingError).message);
    });
    await until(() => expect(runs).toBe(1));
    const handled: string[] = [];
    const heir = scene.consumer({ workerId: 'well' });
    runInTest(heir, (batch) => {
      handled.push(...batch.records.map(textOf));
    });
    await until(() => expect(handled).toEqual(['a 1']));
    expect(stalls.map(({ state }) => state)).toContain('givenUp');
    // By name it would be the first of two that have no lease.
    expect(runs).toBe(1);
    expect(stuck.health()).toMatchObject({
      ready: false,
      reasons: [
        expect.stringMatching(/^shardId-0+: this worker gave the lease up once \d+ s ago, because its handler/),
      ],
    });
    expect(reasons[0]).toMatch(/is given up by this worker/);
  });

  it('and ignores its signal keeps the lease, renewed: no second handler begins, and the process should end', async () => {
    const scene = new Scene(cloud, 'ignores');
    await scene.put('a 1');
    const stalls = stallsOf('ignores');
    let running = 0;
    let most = 0;
    let goOn = (): void => undefined;
    const stuck = scene.consumer({ workerId: 'stuck', ...limits });
    runInTest(stuck, async () => {
      running += 1;
      most = Math.max(most, running);
      await new Promise<void>((resolve) => {
        goOn = resolve;
      });
      running -= 1;
    });
    await until(() => expect(stalls.map(({ state }) => state)).toContain('stuck'));
    const handled: string[] = [];
    const heir = scene.consumer({ workerId: 'heir' });
    runInTest(heir, (batch) => {
      running += 1;
      most = Math.max(most, running);
      handled.push(...batch.records.map(textOf));
      running -= 1;
    });
    expect(stuck.health()).toMatchObject({ live: false, ready: false });
    // Renewed for two failover times and more.
    const counterOf = async (): Promise<number> => Number((await scene.row(SHARD(0)))?.['leaseCounter']?.N);
    const before = await counterOf();
    await until(async () => expect(await counterOf()).toBeGreaterThan(before + 6));
    expect((await scene.row(SHARD(0)))?.['leaseOwner']).toEqual({ S: 'stuck' });
    expect([handled, most]).toEqual([[], 1]);
    await stuck.stop();
    goOn();
    await until(() => expect(handled).toEqual(['a 1']));
    expect(most).toBe(1);
  });
});

it('a shard whose reads are never answered is told of, and given up past the limit; health says so until they are', async () => {
  const scene = new Scene(cloud, 'silent');
  const stalls = stallsOf('silent');
  const consumer = scene.consumer({ ...limits });
  runInTest(consumer, () => undefined);
  await until(() => expect(consumer.view().shards).toMatchObject([{ phase: 'processing' }]));
  const fault = cloud.kinesisServer.faults.add({ kind: 'stall', operation: 'GetRecords', stream: scene.name });
  await until(() => expect(stalls).toMatchObject([{ state: 'stalled', reason: 'read' }, { state: 'givenUp' }]));
  // Between two tenures, too, none of which is stalled yet.
  expect(consumer.health().reasons).toContainEqual(
    expect.stringContaining('because no read of the shard was answered'),
  );
  fault[Symbol.dispose]();
  await until(() => expect(consumer.health()).toMatchObject({ ready: true, shards: [{ phase: 'processing' }] }));
});

it('a shard at rest, one whose reads are throttled, and a handler that throws are no stalls', async () => {
  const scene = new Scene(cloud, 'at-rest');
  const stalls = stallsOf('at-rest');
  const consumer = scene.consumer({ ...limits });
  let attempts = 0;
  runInTest(consumer, () => {
    attempts += 1;
    throw new Error('not yet');
  });
  using _fault = cloud.kinesisServer.faults.add({
    kind: 'throttle',
    operation: 'GetRecords',
    stream: scene.name,
    count: 6,
  });
  await scene.put('a 1');
  await until(() => expect(attempts).toBeGreaterThan(15));
  expect(stalls).toEqual([]);
});
