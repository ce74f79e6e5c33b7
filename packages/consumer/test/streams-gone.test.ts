// Streams that are deleted under a consumer, and made again under their names: one stream, and one of several.
import { deepStrictEqual } from 'node:assert';
import { onDiagnostic } from '@shardline/common';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, test } from 'vitest';
import type { BatchHandler } from '../src/handler.ts';
import { type Cloud, handleInTest, Scene, SHARD, startCloud, textOf, until } from './cloud.ts';
import { listen } from './listen.ts';

let cloud: Cloud;
beforeAll(async () => {
  cloud = await startCloud();
});
afterAll(async () => {
  await cloud.close();
});

function drop({ model, name }: Scene): void {
  model.deleteStream({ streamName: name, enforceConsumerDeletion: true }, Date.now());
  model.settle(Date.now() + 60_000);
}

/** A second later, so that its identifier is another one. */
function makeAgain({ model, name }: Scene, shardCount = 1): string {
  const now = Date.now() + 61_000;
  model.createStream({ name, shardCount }, now);
  model.settle(now);
  return identifierOf(name, model);
}

function identifierOf(name: string, model: Scene['model']): string {
  return `000000000000:${name}:${Math.floor(model.stream(name, Date.now()).createdMs / 1000)}`;
}

test('one stream that is deleted: each worker that read it says so at once, whoever leads, though it is listed once an hour', async () => {
  const scene = new Scene(cloud, 'deleted', 2);
  const options = { shardSyncIntervalMs: 3_600_000, maxLeasesForWorker: 1 };
  const consumers = ['w1', 'w2'].map((workerId) => scene.consumer({ workerId, ...options }));
  for (const consumer of consumers) handleInTest(consumer);
  await until(() =>
    deepStrictEqual(
      consumers.map((each) => each.view().shards.length),
      [1, 1],
    ),
  );
  drop(scene);
  const told = /^finding a stream that is to be read \(findStream\) fails since .*: stream deleted is not there/;
  for (const consumer of consumers) {
    await until(() =>
      expect(consumer.health()).toMatchObject({ ready: false, reasons: [expect.stringMatching(told)] }),
    );
  }
});

describe('of one stream, made again under its name', () => {
  it('after its shards have ended: nothing is begun without being told so, health says what to do, and an option does it', async () => {
    const scene = new Scene(cloud, 'once');
    await scene.put('a 1');
    const replaced: unknown[] = [];
    onTestFinished(onDiagnostic('shardline:consumer:stream-replaced', (message) => void replaced.push(message)));
    const seen: string[] = [];
    const consumer = scene.consumer({ workerId: 'w' });
    const ended = consumer.run((batch) => void seen.push(...batch.records.map(textOf)));
    await until(() => deepStrictEqual(seen, ['a 1']));
    drop(scene);
    await until(async () => expect((await scene.row(SHARD(0)))?.['checkpoint']?.S).toBe('SHARD_END'));
    expect(replaced).toEqual([]);
    makeAgain(scene);
    await scene.put('b 1');
    await until(() =>
      expect(consumer.health().reasons.join()).toMatch(/deleted and made again.*onStreamRecreated: 'begin-anew'/),
    );
    expect(consumer.health()).toMatchObject({ live: true, ready: false });
    expect(replaced[0]).toEqual({
      application: 'once',
      worker: 'w',
      strayKeys: [],
      leaseKeys: [SHARD(0)],
      anewCount: 0,
      renewedBy: [],
    });
    expect((await scene.row(SHARD(0)))?.['checkpoint']?.S).toBe('SHARD_END');
    await consumer.stop();
    await ended;
    deepStrictEqual(seen, ['a 1']);

    // Whatever the initial position says: nothing of the new stream is passed over.
    const anew = scene.consumer({ onStreamRecreated: 'begin-anew', initialPosition: 'LATEST' });
    const again = handleInTest(anew);
    await until(() => deepStrictEqual(again, ['b 1']));
    await scene.put('b 2');
    await until(() => deepStrictEqual(again, ['b 1', 'b 2']));
    await until(() => expect(anew.health()).toMatchObject({ ready: true, reasons: [] }));
  });

  it('between two reads: the lease keeps its place instead of ending, and whoever holds it says so', async () => {
    const scene = new Scene(cloud, 'unnoticed');
    await scene.put('a 1');
    const consumer = scene.consumer();
    const seen = handleInTest(consumer);
    await until(() => deepStrictEqual(seen, ['a 1']));
    await until(async () => expect((await scene.row(SHARD(0)))?.['checkpoint']?.S).toMatch(/^\d+$/));
    const before = (await scene.row(SHARD(0)))?.['checkpoint']?.S;
    drop(scene);
    makeAgain(scene);
    await scene.put('b 1');
    await until(() => expect(consumer.health().reasons.join()).toContain('reading a shard (fetchBatch) fails for '));
    expect(consumer.health().reasons.join()).toContain("onStreamRecreated: 'begin-anew'");
    expect((await scene.row(SHARD(0)))?.['checkpoint']?.S).toBe(before);
    deepStrictEqual(seen, ['a 1']);
  });

  it.each(['polling', 'fanout'] as const)(
    'with fewer shards, %s: the lease of one that it has not got keeps its place, goes where the stream begins anew, and a later shard of its name is read',
    async (retrievalMode) => {
      const scene = new Scene(cloud, `fewer-${retrievalMode}`, 2);
      const numbered = (letter: string): string[] => Array.from({ length: 20 }, (_, n) => `k${n} ${letter}`);
      await scene.put(...numbered('a'));
      const first = scene.consumer({ retrievalMode });
      const ended: string[] = [];
      const seen: string[] = [];
      void first.run({
        processRecords: (batch) => void seen.push(...batch.records.map(textOf)),
        shardEnded: ({ shardId }) => void ended.push(shardId),
      });
      const places = async (): Promise<(string | undefined)[]> =>
        Promise.all([0, 1, 2].map(async (shard) => (await scene.row(SHARD(shard)))?.['checkpoint']?.S));
      await until(async () =>
        expect(await places()).toEqual([/^\d+$/, /^\d+$/].map((is) => expect.stringMatching(is)).concat([undefined])),
      );
      await until(() => expect(seen).toHaveLength(20));
      await first.stop();
      const before = await places();
      drop(scene);
      makeAgain(scene);
      const second = scene.consumer({ retrievalMode });
      void second.run({ processRecords: () => {}, shardEnded: ({ shardId }) => void ended.push(shardId) });
      await until(() =>
        expect(second.health().reasons.join()).toContain('reading a shard (fetchBatch) fails for 2 shards'),
      );
      await second.stop();
      expect([await places(), ended]).toEqual([before, []]);
      await scene.put(...numbered('b'));
      const third = scene.consumer({ retrievalMode, onStreamRecreated: 'begin-anew' });
      const anew = handleInTest(third);
      await until(() => expect(anew).toHaveLength(20));
      await until(async () => expect(await scene.row(SHARD(1))).toBeUndefined());
      await until(() => expect(third.health()).toMatchObject({ ready: true, reasons: [] }));
      await third.stop();
      scene.split(0, 2n ** 127n);
      await scene.put(...numbered('c'));
      const fourth = scene.consumer({ retrievalMode });
      const last = handleInTest(fourth);
      await until(() => expect(last.filter((text) => text.endsWith('c'))).toHaveLength(20));
      expect(fourth.health()).toMatchObject({ ready: true, reasons: [] });
    },
  );

  it('under the name of another stream for once: all of the right one is read again', async () => {
    const right = new Scene(cloud, 'right', 2);
    const wrong = new Scene(cloud, 'wrong', 1, Date.now() + 2_000);
    const numbered = (letter: string): string[] => Array.from({ length: 20 }, (_, n) => `k${n} ${letter}`);
    await right.put(...numbered('a'));
    const first = right.consumer();
    const seen = handleInTest(first);
    await until(() => expect(seen).toHaveLength(20));
    await first.stop();
    const mistaken = right.consumer({ stream: wrong.name });
    handleInTest(mistaken);
    await until(() =>
      expect(mistaken.health().reasons.join()).toContain('reading a shard (fetchBatch) fails for 2 shards'),
    );
    await mistaken.stop();
    await right.put(...numbered('b'));
    const again = right.consumer();
    const rest = handleInTest(again);
    await until(() => deepStrictEqual([...rest].sort(), numbered('b').sort()));
    await until(() => expect(again.health()).toMatchObject({ ready: true, reasons: [] }));
  });

  it('while a consumer runs that begins anew: it reads the new stream from its beginning, all of its shards', async () => {
    const scene = new Scene(cloud, 'anew');
    await scene.put('a 1');
    const consumer = scene.consumer({ onStreamRecreated: 'begin-anew', initialPosition: 'LATEST' });
    const seen = handleInTest(consumer);
    await until(() => expect(consumer.view().shards[0]?.phase).toBe('processing'));
    await until(async () => {
      await scene.put('a 2');
      expect(seen).toContain('a 2');
    });
    await until(async () => expect((await scene.row(SHARD(0)))?.['checkpoint']?.S).toMatch(/^\d+$/));
    drop(scene);
    makeAgain(scene, 2);
    const texts = Array.from({ length: 20 }, (_, n) => `k${n} b`);
    await scene.put(...texts);
    await until(() => deepStrictEqual(seen.filter((text) => text.endsWith('b')).sort(), texts.sort()));
    await until(() => expect(consumer.health()).toMatchObject({ ready: true, reasons: [] }));
  });

  it('a lease that a Java worker renews is left alone, and nobody is told to delete it', async () => {
    const scene = new Scene(cloud, 'java-renews');
    await scene.put('a 1');
    const first = scene.consumer();
    const seen: string[] = [];
    const ended = first.run((batch) => void seen.push(...batch.records.map(textOf)));
    await until(() => deepStrictEqual(seen, ['a 1']));
    await first.stop();
    await ended;
    drop(scene);
    makeAgain(scene);
    const renew = {
      UpdateExpression: 'SET leaseOwner = :java ADD leaseCounter :one',
      ExpressionAttributeValues: { ':java': { S: 'java-1' }, ':one': { N: '1' } },
    };
    await scene.meddle(SHARD(0), renew);
    const beats = setInterval(() => void scene.meddle(SHARD(0), renew), 100);
    onTestFinished(() => clearInterval(beats));
    const consumer = scene.consumer({ onStreamRecreated: 'begin-anew' });
    handleInTest(consumer);
    await until(() => expect(consumer.health().reasons.join()).toContain('java-1 renews them'));
    expect(consumer.health().reasons.join()).toContain('another application name');
    expect(consumer.health().reasons.join()).not.toMatch(/delete (it|them)/);
    expect((await scene.row(SHARD(0)))?.['leaseOwner']?.S).toBe('java-1');
  });
});

it('of several: the others go on, and one of the same name is another stream, read from its beginning', async () => {
  const kept = new Scene(cloud, 'kept');
  const scene = new Scene(cloud, 'twice');
  const before = identifierOf('twice', scene.model);
  await kept.put('k 1');
  await scene.put('a 1');
  const seen = new Map<string, string[]>();
  const handler: BatchHandler = (batch, { leaseKey }) => {
    const stream = leaseKey.slice(0, -batch.shardId.length - 1);
    seen.set(stream, [...(seen.get(stream) ?? []), ...batch.records.map(textOf)]);
  };
  // A function: it is asked again and again.
  const streams = () => ['kept', 'twice'];
  const { logger, texts } = listen();
  // The list is not looked at again so soon: who reads the stream finds out.
  const options = { streams, streamsIntervalMs: 4_000, formerStreamsWaitMs: 0, logger };
  await using consumer = kept.consumer(options);
  void consumer.run(handler);
  await until(() => deepStrictEqual(seen.get(before), ['a 1']));
  drop(scene);
  // At SHARD_END, or already deleted: nobody waits before the leases of a former stream go.
  await until(async () =>
    expect((await kept.row(`${before}:${SHARD(0)}`))?.['checkpoint']?.S ?? 'deleted').not.toMatch(/^\d+$/),
  );
  const missing =
    /^finding a stream that is to be read \(findStream\) fails since .*: stream twice is not there. Was it deleted/;
  await until(() => expect(consumer.health().reasons).toContainEqual(expect.stringMatching(missing)));
  expect(consumer.health()).toMatchObject({ live: true, ready: false });
  expect(texts('error')).toContainEqual(expect.stringMatching(missing));
  await kept.put('k 2');
  await until(() => deepStrictEqual(seen.get(identifierOf('kept', kept.model)), ['k 1', 'k 2']));
  const after = makeAgain(scene);
  expect(after).not.toBe(before);
  await scene.put('b 2');
  await until(() => deepStrictEqual(seen.get(after), ['b 2']));
  await until(() => expect(consumer.health()).toMatchObject({ ready: true, reasons: [] }));
  expect(texts('error').join()).not.toContain('onStreamRecreated');
  await until(async () => expect(await kept.row(`${before}:${SHARD(0)}`)).toBeUndefined());
  deepStrictEqual(seen.get(before), ['a 1']);
});

describe('of several that begin at LATEST, one that is made again', () => {
  /** Records before the new stream is found, and closed shards: all that LATEST would pass over. */
  async function putUnseen(scene: Scene, ...texts: string[]): Promise<void> {
    makeAgain(scene);
    await scene.put(...texts);
    scene.split(0, 2n ** 127n);
    scene.model.settle(Date.now() + 61_000);
  }
  const texts = Array.from({ length: 50 }, (_, n) => `k${n} b`);

  /** Until it is read: what came before LATEST is not. */
  async function putUntilSeen(scene: Scene, seen: readonly string[]): Promise<void> {
    await until(async () => {
      await scene.put('a 1');
      expect(seen).toContain('a 1');
    });
  }

  it.each([
    ['and its leases are kept', {}],
    ['and its leases are deleted at once', { formerStreamsWaitMs: 0 }],
  ])('is read from its beginning %s', async (when, former) => {
    const scene = new Scene(cloud, `latest-again-${Object.keys(former).length}`);
    const kept = new Scene(cloud, `${scene.name}-beside`);
    const before = identifierOf(scene.name, scene.model);
    const streams = () => [scene.name, kept.name];
    const consumer = scene.consumer({ streams, streamsIntervalMs: 1_000, initialPosition: 'LATEST', ...former });
    const seen = handleInTest(consumer);
    await putUntilSeen(scene, seen);
    drop(scene);
    const row = () => scene.row(`${before}:${SHARD(0)}`);
    if (when.includes('deleted')) await until(async () => expect(await row()).toBeUndefined());
    else await until(async () => expect((await row())?.['checkpoint']?.S).toBe('SHARD_END'));
    await putUnseen(scene, ...texts);
    await until(() => deepStrictEqual(seen.filter((text) => text.endsWith('b')).sort(), texts.toSorted()));
  });

  it('while no worker runs is read from its beginning', async () => {
    const scene = new Scene(cloud, 'latest-again-stopped');
    const options = { streams: [scene.name], initialPosition: 'LATEST' } as const;
    const first = scene.consumer(options);
    const seen: string[] = [];
    const ended = first.run((batch) => void seen.push(...batch.records.map(textOf)));
    await putUntilSeen(scene, seen);
    await first.stop();
    await ended;
    drop(scene);
    await putUnseen(scene, ...texts);
    const again = handleInTest(scene.consumer(options));
    await until(() => deepStrictEqual(again.toSorted(), texts.toSorted()));
  });
});

describe('of several, one listed as account:name:epoch', () => {
  const missing = (name: string) => {
    // Alone, or after the listing of its shards, which fails for the same reason.
    const steps = '(finding [^(]* \\(findStream\\) fails|listing .* and finding [^(]* \\(findStream\\) fail)';
    return expect.stringMatching(new RegExp(`^${steps} since .*: stream .*/${name} is not there. Was it deleted`));
  };

  it('that is deleted is told of as missing, and its shard as gone and not resharded; the others go on', async () => {
    const kept = new Scene(cloud, 'kept-beside');
    const scene = new Scene(cloud, 'gone-by-id');
    await kept.put('k 1');
    await scene.put('a 1');
    const { logger, texts } = listen();
    const listed = ['kept-beside', identifierOf('gone-by-id', scene.model)];
    const consumer = kept.consumer({
      streams: () => listed,
      streamsIntervalMs: 60_000,
      logger,
    });
    const seen = handleInTest(consumer);
    await until(() => deepStrictEqual(seen.toSorted(), ['a 1', 'k 1']));
    expect(consumer.health().reasons).toEqual([]);
    drop(scene);
    await until(() => expect(consumer.health().reasons).toContainEqual(missing('gone-by-id')));
    await until(() =>
      expect(texts('warn')).toContainEqual(expect.stringMatching(/its stream was deleted.*shardEnded/)),
    );
    await kept.put('k 2');
    await until(() => expect(seen).toContain('k 2'));
  });

  it('that is not there at the start is left out and told of, until it is there', async () => {
    const kept = new Scene(cloud, 'kept-alone');
    await kept.put('k 1');
    const streams = () => ['kept-alone', '000000000000:comes-late:1700000000'];
    const consumer = kept.consumer({ streams, streamsIntervalMs: 1_000 });
    const seen = handleInTest(consumer);
    await until(() => expect(consumer.health().reasons).toContainEqual(missing('comes-late')));
    await until(() => deepStrictEqual(seen, ['k 1']));
    await new Scene(cloud, 'comes-late').put('b 1');
    await until(() => deepStrictEqual(seen, ['k 1', 'b 1']));
    await until(() => expect(consumer.health()).toMatchObject({ ready: true, reasons: [] }));
  });
});
