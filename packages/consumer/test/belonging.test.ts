// Whose lease table it is, over real sockets: an application that goes from one stream to several and back, and two streams under one
// application name.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ConsumerOptions } from '../src/consumer-options.ts';
import { type Cloud, handleInTest, Scene, SHARD, startCloud, textOf, until } from './cloud.ts';
import { listen } from './listen.ts';

let cloud: Cloud;
beforeAll(async () => {
  cloud = await startCloud();
});
afterAll(async () => {
  await cloud.close();
});

/** Reads until the text is handled and its checkpoint written, and stops. */
async function readUntil(scene: Scene, text: string, options: Partial<ConsumerOptions> = {}): Promise<void> {
  const seen: string[] = [];
  const consumer = scene.consumer(options);
  const ended = consumer.run((batch) => void seen.push(...batch.records.map(textOf)));
  await until(() => expect(seen).toContain(text));
  await consumer.stop();
  await ended;
}

const refusal = (...texts: string[]) =>
  expect.objectContaining({
    code: 'LEASE_TABLE_FORMAT',
    retryable: false,
    message: expect.toSatisfy((message: string) => texts.every((text) => message.includes(text))),
  });

describe('who goes from one way of reading to the other on one lease table is told instead of beginning anew', () => {
  it('from stream to streams', async () => {
    const scene = new Scene(cloud, 'becomes-several');
    await scene.put('a 1');
    await readUntil(scene, 'a 1');
    const run = scene.consumer({ streams: ['becomes-several'] }).run(() => undefined);
    await expect(run).rejects.toEqual(
      refusal('table becomes-several', 'several streams (option streams)', SHARD(0), 'give option stream as before'),
    );
    // Nothing was begun: going back goes on.
    await scene.put('a 2');
    const seen = handleInTest(scene.consumer());
    await until(() => expect(seen).toEqual(['a 2']));
  });

  it('from streams to stream', async () => {
    const scene = new Scene(cloud, 'becomes-one');
    await scene.put('a 1');
    await readUntil(scene, 'a 1', { streams: ['becomes-one'] });
    const run = scene.consumer().run(() => undefined);
    await expect(run).rejects.toEqual(
      refusal('one stream (option stream)', `:becomes-one:`, 'give option streams as before'),
    );
  });

  it('where both kinds of leases are there, as an earlier change has left them, a warning names one that is passed over', async () => {
    const scene = new Scene(cloud, 'was-both');
    await scene.put('a 1');
    await readUntil(scene, 'a 1');
    await scene.meddle(`000000000000:was-both:1700000000:${SHARD(0)}`, {
      UpdateExpression:
        'SET entityType = :type, leaseCounter = :zero, checkpoint = :at, streamName = :stream, shardId = :shard',
      ExpressionAttributeValues: {
        ':type': { S: 'LEASE' },
        ':zero': { N: '0' },
        ':at': { S: 'TRIM_HORIZON' },
        ':stream': { S: '000000000000:was-both:1700000000' },
        ':shard': { S: SHARD(0) },
      },
    });
    const { logger, texts } = listen();
    await scene.put('a 2');
    await readUntil(scene, 'a 2', { logger });
    expect(texts('warn').join()).toContain('also holds leases of an application that reads several streams');
  });
});

describe('two streams under one application name', () => {
  it('made in the same second: the second consumer is refused with both names, and nobody is told to delete anything', async () => {
    const first = new Scene(cloud, 'shared-name');
    const second = new Scene(cloud, 'other-stream');
    await first.put('a 1');
    const seen = handleInTest(first.consumer());
    await until(() => expect(seen).toEqual(['a 1']));
    const late = second.consumer({ application: 'shared-name' });
    await expect(late.run(() => undefined)).rejects.toEqual(
      refusal(
        'stream/other-stream',
        'which lives and reads',
        'stream/shared-name',
        'another application (or tableName)',
      ),
    );
    await expect(second.consumer({ application: 'shared-name' }).run(() => undefined)).rejects.toEqual(
      expect.objectContaining({ message: expect.not.stringMatching(/delete/) }),
    );
    await first.put('a 2');
    await until(() => expect(seen).toEqual(['a 1', 'a 2']));
  });

  it('one given by its name and one by its ARN are the same stream', async () => {
    const scene = new Scene(cloud, 'by-arn');
    const stream = 'arn:aws:kinesis:us-east-1:000000000000:stream/by-arn';
    await scene.put('a 1');
    const seen = handleInTest(scene.consumer());
    await until(() => expect(seen).toEqual(['a 1']));
    const other = scene.consumer({ stream });
    handleInTest(other);
    await until(() => expect(other.view().state).toBe('running'));
  });
});

describe('a lease table whose fleet has ended, under the application name of another stream', () => {
  it('that is older than its own: the start is refused with what to do, and the first fleet goes on where it was', async () => {
    const younger = new Scene(cloud, 'ended', 2);
    new Scene(cloud, 'older', 1, Date.now() - 60_000);
    await younger.put('k1 1', 'k2 2', 'k3 3');
    await readUntil(younger, 'k3 3');
    const before = await younger.rows();
    const late = younger.consumer({ stream: 'older' });
    await expect(late.run(() => undefined)).rejects.toEqual(
      refusal('stream/older', 'written for another stream', 'shardId-', 'another application (or tableName)'),
    );
    expect(await younger.rows()).toEqual(before);
    await younger.put('k1 4');
    const seen = handleInTest(younger.consumer());
    await until(() => expect(seen).toEqual(['k1 4']));
  });

  it('that is younger: its records are not read from there, the leases keep their places, and health says what to do', async () => {
    const older = new Scene(cloud, 'ended-before', 1, Date.now() - 60_000);
    const younger = new Scene(cloud, 'younger');
    await older.put('a 1');
    await readUntil(older, 'a 1');
    const before = await older.checkpointOf(SHARD(0));
    await younger.put('b 1');
    const late = older.consumer({ stream: 'younger' });
    const seen = handleInTest(late);
    await until(() => expect(late.health().reasons.join()).toContain('give this consumer another application'));
    await until(() => expect(late.health().reasons.join()).toContain('(fetchBatch)'));
    expect([seen, await older.checkpointOf(SHARD(0))]).toEqual([[], before]);
  });
});

describe('a checkpoint of another stream in a row of a table that is this one’s', () => {
  it.each(['polling', 'fanout'] as const)(
    'does not keep the others from being read, and is told of with what to do: %s',
    async (retrievalMode) => {
      const scene = new Scene(cloud, `one-foreign-${retrievalMode}`, 2, Date.now() - 60_000);
      const other = new Scene(cloud, `gave-the-number-${retrievalMode}`);
      await other.put('a 1');
      await readUntil(other, 'a 1');
      const foreign = (await other.row(SHARD(0)))?.['checkpoint'];
      await scene.put(...Array.from({ length: 20 }, (_, n) => `k${n} 1`));
      const first = scene.consumer();
      const handled = handleInTest(first);
      await until(() => expect(handled).toHaveLength(20));
      await until(async () => expect(await scene.checkpointOf(SHARD(1))).toMatch(/^\d{56}:0$/));
      await first.stop();
      await scene.meddle(SHARD(0), {
        UpdateExpression: 'SET checkpoint = :foreign',
        ExpressionAttributeValues: { ':foreign': foreign ?? { S: '' } },
      });
      await scene.put(...Array.from({ length: 20 }, (_, n) => `k${n} 2`));
      const consumer = scene.consumer({ retrievalMode });
      const seen = handleInTest(consumer);
      await until(() => expect(seen.length).toBeGreaterThan(0));
      const told = new RegExp(
        `\\(fetchBatch\\) fails for ${SHARD(0)} .*written for another stream, or changed by hand`,
      );
      await until(() => expect(consumer.health().reasons).toEqual([expect.stringMatching(told)]));
      expect((await scene.row(SHARD(0)))?.['checkpoint']).toEqual(foreign);
    },
  );
});
