// Shards that are handed off to another worker while the consumer runs, over real sockets: nothing is lost, nothing comes twice, and the shard
// does not come back.
import { onDiagnostic } from '@shardline/common';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { Consumer } from '../src/consumer.ts';
import { type Cloud, handleInTest, runInTest, Scene, SHARD, startCloud, textOf, until } from './cloud.ts';

let cloud: Cloud;
beforeAll(async () => {
  cloud = await startCloud();
});
afterAll(async () => {
  await cloud.close();
});

const keysOf = (consumer: Consumer): string[] => consumer.view().shards.map(({ leaseKey }) => leaseKey);

describe.each(['polling', 'fanout'] as const)('handOff, %s', (retrievalMode) => {
  it('lets the handler finish, and another worker goes on behind what it has finished; the shard stays there', async () => {
    const scene = new Scene(cloud, `handed-off-${retrievalMode}`);
    const first = scene.consumer({ retrievalMode, workerId: 'first' });
    const handled: string[] = [];
    const words: string[] = [];
    let finish = (): void => undefined;
    const finished = new Promise<void>((resolve) => {
      finish = resolve;
    });
    runInTest(first, {
      processRecords: async ({ records }) => {
        handled.push(...records.map((record) => `first ${textOf(record)}`));
        await finished;
      },
      shutdownRequested: () => {
        words.push('shutdownRequested');
      },
      leaseLost: () => {
        words.push('leaseLost');
      },
    });
    await scene.put('a 1');
    await until(() => expect(handled).toEqual(['first a 1']));
    const second = scene.consumer({ retrievalMode, workerId: 'second' });
    runInTest(second, ({ records }) => {
      handled.push(...records.map((record) => `second ${textOf(record)}`));
    });
    await until(async () => expect((await scene.rows()).some(({ leaseKey }) => leaseKey?.S === 'second')).toBe(true));
    const going = first.handOff({ leaseKeys: SHARD(0) });
    await until(() => expect(first.view().shards[0]?.handingOffTo).toBe('second'));
    await scene.put('a 2');
    finish();
    expect(await going).toEqual([{ leaseKey: SHARD(0), outcome: 'handedOff', to: 'second' }]);
    expect(words).toEqual(['shutdownRequested', 'leaseLost']);
    await until(() =>
      expect(new Set(handled.map((text) => text.slice(text.indexOf(' ') + 1)))).toEqual(new Set(['a 1', 'a 2'])),
    );
    await scene.put('a 3');
    await until(() => expect(handled.at(-1)).toBe('second a 3'));
    expect(handled.map((text) => text.slice(text.indexOf(' ') + 1))).toEqual(['a 1', 'a 2', 'a 3']);
    expect(first.view()).toMatchObject({ declines: [SHARD(0)], shards: [] });
  });
});

describe('handOff', () => {
  it('drains a worker that works on, and gives it its share again once it accepts', async () => {
    const scene = new Scene(cloud, 'drained', 4);
    const first = scene.consumer();
    const second = scene.consumer();
    handleInTest(first);
    handleInTest(second);
    await until(() => expect([keysOf(first).length, keysOf(second).length]).toEqual([2, 2]));
    const told: unknown[] = [];
    onTestFinished(
      onDiagnostic('shardline:consumer:controlled', ({ application, what, to }) => {
        if (application === scene.name) told.push({ what, to });
      }),
    );
    const shards = await first.handOff();
    expect(shards.map(({ outcome, to }) => `${outcome} ${to}`)).toEqual(
      Array.from({ length: 2 }, () => `handedOff ${second.workerId}`),
    );
    expect(told).toEqual(Array.from({ length: 2 }, () => ({ what: 'handOff', to: second.workerId })));
    await until(() => expect([keysOf(first).length, keysOf(second).length]).toEqual([0, 4]));
    expect(first.view().declines).toBe('all');
    const leader = [first, second].find((consumer) => consumer.view().leader);
    expect(leader).toBeDefined();
    // A renewal of a lease is later than the leader's next look by these times.
    const before = (await scene.row(SHARD(0)))?.['leaseCounter']?.N;
    await until(async () =>
      expect(Number((await scene.row(SHARD(0)))?.['leaseCounter']?.N)).toBeGreaterThan(Number(before) + 2),
    );
    expect(keysOf(first)).toEqual([]);
    // Of all that is declined no single lease can be taken out.
    expect(() => first.accept(SHARD(0))).toThrow(
      `leaseKeys: expected none while all leases are declined, as handOff() without keys said; accept() takes that back, got ${SHARD(0)}`,
    );
    expect(first.view().declines).toBe('all');
    expect(told).toHaveLength(2);
    first.accept();
    expect(first.view().declines).toBeUndefined();
    await until(() => expect([keysOf(first).length, keysOf(second).length]).toEqual([2, 2]));
  });

  it('says so where nobody is there, and reads on; refuses what is no key, too many, and no time', async () => {
    const scene = new Scene(cloud, 'alone');
    const consumer = scene.consumer();
    await expect(consumer.handOff()).rejects.toThrow('a consumer that runs');
    const handled = handleInTest(consumer);
    await scene.put('a 1');
    await until(() => expect(handled).toEqual(['a 1']));
    const nobody = [{ leaseKey: SHARD(0), outcome: 'noHeir', to: undefined }];
    expect(await consumer.handOff()).toEqual(nobody);
    expect(await consumer.handOff({ leaseKeys: [SHARD(0), SHARD(0)] })).toEqual(nobody);
    expect(await consumer.handOff({ leaseKeys: SHARD(7) })).toMatchObject([{ outcome: 'notHeld' }]);
    expect(consumer.view().declines).toBeUndefined();
    await scene.put('a 2');
    await until(() => expect(handled).toEqual(['a 1', 'a 2']));
    await expect(consumer.handOff({ leaseKeys: [] })).rejects.toThrow('a lease key or a list of some');
    await expect(consumer.handOff({ awayMs: -1 })).rejects.toThrow('awayMs');
    // All leases would be meant.
    const misspelt = { leaseKey: SHARD(0) } as object;
    await expect(consumer.handOff(misspelt)).rejects.toThrow('leaseKey: expected an option of handOff');
    const many = Array.from({ length: 101 }, (_, index) => SHARD(index));
    await expect(consumer.handOff({ leaseKeys: many })).rejects.toThrow('at most 100');
  });
});
