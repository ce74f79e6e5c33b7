// What an operator can say to a consumer that runs, over real sockets: paused, it calls no handler and keeps its leases; a shard that has
// stopped at a record is tried again by the worker that stopped.
import { type Diagnostics, onDiagnostic } from '@shardline/common';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { type Cloud, handleInTest, runInTest, Scene, SHARD, startCloud, textOf, until } from './cloud.ts';
import { listen } from './listen.ts';

let cloud: Cloud;
beforeAll(async () => {
  cloud = await startCloud();
});
afterAll(async () => {
  await cloud.close();
});

const counterOf = async (scene: Scene): Promise<number> => Number((await scene.row(SHARD(0)))?.['leaseCounter']?.N);

/** Long enough for several reads and renewals, by what stands in the table. */
async function renewed(scene: Scene): Promise<void> {
  const before = await counterOf(scene);
  await until(async () => expect(await counterOf(scene)).toBeGreaterThan(before + 2));
}

function heardOf(scene: Scene): Diagnostics['shardline:consumer:controlled'][] {
  const heard: Diagnostics['shardline:consumer:controlled'][] = [];
  onTestFinished(
    onDiagnostic('shardline:consumer:controlled', (message) => {
      if (message.application === scene.name) heard.push(message);
    }),
  );
  return heard;
}

describe('pause', () => {
  it('lets the call under way finish and be checkpointed, begins none, and renews the lease, until resume', async () => {
    const scene = new Scene(cloud, 'paused');
    const heard = heardOf(scene);
    const { logger, lines } = listen();
    const consumer = scene.consumer({ logger, stallWarningMs: 400, maxPendingBatchCount: 2 });
    const handled: string[] = [];
    let finish = (): void => undefined;
    const finished = new Promise<void>((resolve) => {
      finish = resolve;
    });
    runInTest(consumer, async ({ records }) => {
      handled.push(...records.map(textOf));
      await finished;
    });
    await scene.put('a 1');
    await until(() => expect(handled).toEqual(['a 1']));
    consumer.pause();
    finish();
    const [{ sequenceNumber } = { sequenceNumber: '' }] = await scene.recordsOf(0);
    await until(async () => expect(await scene.checkpointOf(SHARD(0))).toBe(`${sequenceNumber}:0`));
    for (const text of ['a 2', 'a 3', 'a 4']) {
      await scene.put(text);
      await renewed(scene);
    }
    expect(handled).toEqual(['a 1']);
    const since = { pausedSince: expect.any(Date) };
    // It was asked for, and is no trouble: nothing is said to stall.
    expect(consumer.health()).toMatchObject({ ready: true, reasons: [], ...since, shards: [since] });
    expect(consumer.view()).toMatchObject({ ...since, shards: [{ ...since, pendingBatchCount: 2 }] });
    expect(lines.filter(({ level }) => level !== 'info' && level !== 'debug')).toEqual([]);
    consumer.resume();
    await until(() => expect(handled).toEqual(['a 1', 'a 2', 'a 3', 'a 4']));
    expect(consumer.health()).toMatchObject({ pausedSince: undefined, shards: [{ pausedSince: undefined }] });
    const who = { application: scene.name, worker: consumer.workerId };
    expect(heard).toEqual([
      { ...who, what: 'pause' },
      { ...who, what: 'resume' },
    ]);
  });

  it('of one shard leaves the others alone, and of all of them may be ended for one', async () => {
    const scene = new Scene(cloud, 'paused-one', 2);
    const consumer = scene.consumer();
    const handled: string[] = [];
    runInTest(consumer, ({ shardId }) => {
      handled.push(shardId);
    });
    await until(() => expect(consumer.view().shards.map(({ phase }) => phase)).toEqual(['processing', 'processing']));
    consumer.pause(SHARD(1));
    const texts = Array.from({ length: 20 }, (_, n) => `key${n}`);
    await scene.put(...texts);
    await until(() => expect(handled).toContain(SHARD(0)));
    await renewed(scene);
    expect(handled).not.toContain(SHARD(1));
    consumer.pause();
    consumer.resume([SHARD(1)]);
    await until(() => expect(handled).toContain(SHARD(1)));
    const before = handled.length;
    await scene.put(...texts);
    await until(() => expect(handled.slice(before)).toContain(SHARD(1)));
    await renewed(scene);
    expect(handled.slice(before)).not.toContain(SHARD(0));
  });

  it('stops between two records of a batch where the handler is given them one at a time', async () => {
    const scene = new Scene(cloud, 'paused-within');
    const consumer = scene.consumer();
    const handled: string[] = [];
    const running = consumer.run({
      processRecord: async (record) => {
        handled.push(textOf(record));
        if (handled.length === 3) consumer.pause();
      },
    });
    const texts = Array.from({ length: 10 }, (_, n) => `a ${n}`);
    await scene.putAggregate(...texts);
    await until(() => expect(handled).toHaveLength(3));
    await renewed(scene);
    expect(handled).toHaveLength(3);
    const [{ sequenceNumber } = { sequenceNumber: '' }] = await scene.recordsOf(0);
    expect(await scene.checkpointOf(SHARD(0))).toBe(`${sequenceNumber}:2`);
    consumer.resume();
    await until(() => expect(handled).toEqual(texts));
    await consumer.stop();
    await running;
  });

  it('holds for a lease that is lost and comes back: not even initialize is called', async () => {
    const scene = new Scene(cloud, 'paused-lost');
    const words: string[] = [];
    const consumer = scene.consumer({ workerId: 'me' });
    const running = consumer.run({
      initialize: () => void words.push('initialize'),
      processRecords: ({ records }) => void words.push(...records.map(textOf)),
      leaseLost: () => void words.push('leaseLost'),
    });
    await until(() => expect(words).toEqual(['initialize']));
    consumer.pause(SHARD(0));
    await scene.meddle(SHARD(0), {
      UpdateExpression: 'ADD leaseCounter :two',
      ExpressionAttributeValues: { ':two': { N: '2' } },
    });
    await until(() => expect(words).toEqual(['initialize', 'leaseLost']));
    await scene.put('a 1');
    await until(() => expect(consumer.view().shards[0]).toMatchObject({ phase: 'opening' }));
    await renewed(scene);
    expect(words).toEqual(['initialize', 'leaseLost']);
    consumer.resume(SHARD(0));
    await until(() => expect(words).toEqual(['initialize', 'leaseLost', 'initialize', 'a 1']));
    await consumer.stop();
    await running;
  });

  it('stands in the way of no handoff and no stop: the next worker reads on', async () => {
    const scene = new Scene(cloud, 'paused-handoff');
    const words: string[] = [];
    const paused = scene.consumer();
    const running = paused.run({
      processRecords: ({ records }) => void words.push(...records.map(textOf)),
      shutdownRequested: () => void words.push('shutdownRequested'),
    });
    await scene.put('a 1');
    await until(() => expect(words).toEqual(['a 1']));
    paused.pause();
    await scene.put('a 2');
    await until(() => expect(paused.view().pendingRecordCount).toBe(1));
    const heir = handleInTest(scene.consumer());
    await paused.stop();
    await running;
    expect(words).toEqual(['a 1', 'shutdownRequested']);
    await until(() => expect(heir).toEqual(['a 2']));
  });

  it('is refused with reason before the consumer runs, and for what is no lease key', async () => {
    const scene = new Scene(cloud, 'paused-wrong');
    const consumer = scene.consumer();
    expect(() => consumer.pause()).toThrow('pause: expected a consumer that runs, got one that is idle');
    handleInTest(consumer);
    await until(() => expect(consumer.view().state).toBe('running'));
    expect(() => consumer.pause([])).toThrow('leaseKeys: expected a lease key or a list of some');
    expect(() => consumer.resume(7 as never)).toThrow('leaseKeys: expected a lease key or a list of some');
    expect(() => consumer.retry('nobody')).toThrow(
      'leaseKeys: expected keys of leases that this worker holds, got nobody',
    );
  });
});

describe('retry', () => {
  it('begins again at the record at which the shard has stopped, with fresh attempts, in the same tenure', async () => {
    const scene = new Scene(cloud, 'retried');
    const heard = heardOf(scene);
    const consumer = scene.consumer();
    const handled: string[] = [];
    const tries: string[] = [];
    let isMended = false;
    const running = consumer.run(
      ({ records, attempt }) => {
        const texts = records.map(textOf);
        if (!isMended && texts.includes('a bad')) {
          tries.push(`${attempt}`);
          throw new TypeError('cannot read it');
        }
        handled.push(...texts);
      },
      { maxRetryAttempts: 1 },
    );
    await scene.put('a 1', 'a bad', 'a 3');
    const stopped = [expect.stringMatching(/^shardId-0{12}: .*cannot read it/)];
    await until(() => expect(consumer.health()).toMatchObject({ ready: false, reasons: stopped }));
    const { fencingToken } = consumer.view().shards[0] ?? {};
    const before = tries.length;
    // Not mended yet: it is tried as often as the policy says, and stops again.
    consumer.retry(SHARD(0));
    await until(() => expect(tries.length).toBeGreaterThan(before + 1));
    expect(tries.at(before)).toBe('1');
    await until(() => expect(consumer.health()).toMatchObject({ ready: false, reasons: stopped }));
    isMended = true;
    consumer.retry();
    await until(() => expect([...new Set(handled)]).toEqual(['a 1', 'a bad', 'a 3']));
    expect(handled).toEqual(['a 1', 'a bad', 'a 3']);
    await until(() => expect(consumer.health()).toMatchObject({ ready: true, reasons: [] }));
    expect(consumer.view().shards[0]?.fencingToken).toBe(fencingToken);
    const word = { application: scene.name, worker: consumer.workerId, what: 'retry', leaseKeys: [SHARD(0)] };
    expect(heard).toEqual([word, word]);
    // Where nothing waits there is nothing to say.
    consumer.retry();
    expect(heard).toHaveLength(2);
    await consumer.stop();
    await running;
  });
});
