// Records that a handler never finishes, over real sockets: found, handed over or stopped at, by the policy that it is run with, while
// nothing else is left out, repeated or taken out of order.
import { setTimeout } from 'node:timers/promises';
import { type Diagnostics, onDiagnostic } from '@shardline/common';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { Consumer } from '../src/consumer.ts';
import type { BatchHandler, Handler, ShardContext, UserRecord } from '../src/handler.ts';
import type { Failure, HandlingOptions } from '../src/handling/handling-options.ts';
import { type Cloud, keyOf, Scene, SHARD, startCloud, textOf, until } from './cloud.ts';
import { listen } from './listen.ts';

let cloud: Cloud;
beforeAll(async () => {
  cloud = await startCloud();
});
afterAll(async () => {
  await cloud.close();
});

const isPoison = (record: { readonly data: Uint8Array }): boolean => textOf(record).includes('poison');

function runWith(consumer: Consumer, handler: Handler, handling: HandlingOptions): void {
  const running = consumer.run(handler, handling);
  onTestFinished(async () => {
    await consumer.stop();
    await running;
  });
}

/** Handles what is not poison into `handled`, all or nothing. */
const allOrNothing =
  (handled: string[]): BatchHandler =>
  ({ records }) => {
    const bad = records.find(isPoison);
    if (bad !== undefined) throw new Error(`cannot parse ${textOf(bad)}`);
    handled.push(...records.map(textOf));
  };

const line = (n: number): string => `key${n % 5} ${[7, 8, 31].includes(n) ? 'poison' : 'fine'} ${n}`;
const lines = Array.from({ length: 60 }, (_, n) => line(n));
const good = lines.filter((text) => !text.includes('poison'));
const bad = lines.filter((text) => text.includes('poison'));

describe('the log line of a throw says where to look', () => {
  const text = 'the handler threw; the batch is given to it again';

  it('of several records how many there are and the number of the first', async () => {
    const scene = new Scene(cloud, 'told-batch');
    await scene.put('a 1', 'b poison', 'c 3');
    const { logger, lines: told } = listen();
    runWith(scene.consumer({ logger }), allOrNothing([]), {});
    await until(() => expect(told.map((one) => one.text)).toContain(text));
    const [first] = await scene.recordsOf(0);
    const where = { stream: scene.name, shard: SHARD(0), recordCount: 3, sequenceNumber: first?.sequenceNumber };
    const { fields } = told.find((one) => one.text === text) ?? {};
    expect(fields).toMatchObject({
      leaseKey: SHARD(0),
      attempt: 1,
      err: { message: 'cannot parse b poison' },
      ...where,
    });
    expect(fields).not.toHaveProperty('partitionKey');
    expect(fields).not.toHaveProperty('subSequenceNumber');
  });

  it('of a single one out of an aggregated record its sub-sequence number and partition key, too', async () => {
    const scene = new Scene(cloud, 'told-record');
    const sequenceNumber = await scene.putAggregate('a 1', 'b poison', 'c 3');
    const { logger, lines: told } = listen();
    const processRecord = (record: UserRecord): void => {
      if (isPoison(record)) throw new Error('no');
    };
    runWith(scene.consumer({ logger }), { processRecord }, {});
    await until(() => expect(told.map((one) => one.text)).toContain(text));
    const where = { stream: scene.name, shard: SHARD(0), recordCount: 1, sequenceNumber, subSequenceNumber: 1 };
    expect(told.find((one) => one.text === text)?.fields).toMatchObject({ ...where, partitionKey: 'b' });
  });

  it('of a call that finished some of them, those that it did not', async () => {
    const scene = new Scene(cloud, 'told-part');
    await scene.put('a 1', 'b poison', 'c 3');
    const { logger, lines: told } = listen();
    const handler: BatchHandler = ({ records }) => {
      const batchItemFailures = records
        .filter(isPoison)
        .map(({ sequenceNumber }) => ({ itemIdentifier: sequenceNumber }));
      return { batchItemFailures };
    };
    runWith(scene.consumer({ logger }), handler, {});
    const part = 'the handler did not finish all records; it is given again what begins with the first of these';
    await until(() => expect(told.map((one) => one.text)).toContain(part));
    const [, poison] = await scene.recordsOf(0);
    const where = { recordCount: 2, sequenceNumber: poison?.sequenceNumber };
    expect(told.find((one) => one.text === part)?.fields).toMatchObject(where);
  });
});

describe('a batch with records that throw', () => {
  it('is bisected to them: they go to onFailure with the error, all others are handled once and in order', async () => {
    const scene = new Scene(cloud, 'bisected');
    await scene.put(...lines);
    const handled: string[] = [];
    const failures: Failure[] = [];
    const told: Diagnostics['shardline:consumer:records-given-up'][] = [];
    onTestFinished(
      onDiagnostic('shardline:consumer:records-given-up', (message) => {
        if (message.application === scene.name) told.push(message);
      }),
    );
    const consumer = scene.consumer();
    const onFailure = (failure: Failure): void => void failures.push(failure);
    runWith(consumer, allOrNothing(handled), { maxRetryAttempts: 1, onFailure });
    await until(() => expect(handled).toEqual(good));
    expect(failures.flatMap(({ records }) => records.map(textOf))).toEqual(bad);
    const [first] = failures;
    expect(first).toMatchObject({ application: 'bisected', streamName: 'bisected', shardId: SHARD(0), attempts: 2 });
    expect(first?.error).toMatchObject({ message: `cannot parse ${bad[0]}` });
    expect(told.map(({ outcome, userRecordCount }) => [outcome, userRecordCount])).toEqual(
      bad.map(() => ['handedOver', 1]),
    );
    await until(() => expect(consumer.health()).toMatchObject({ ready: true, reasons: [] }));
    await until(async () => expect(await scene.checkpointOf(SHARD(0))).toMatch(/^\d{56}:0$/));
  });

  it('stops the shard at the first of them without an onFailure, says so, and goes on elsewhere and after a restart', async () => {
    const scene = new Scene(cloud, 'stopped', 2);
    const handled: string[] = [];
    const consumer = scene.consumer({ workerId: 'strict' });
    const running = consumer.run(allOrNothing(handled), { maxRetryAttempts: 1 });
    await scene.put(...lines);
    const shards = [await scene.recordsOf(0), await scene.recordsOf(1)];
    const shardOfFirst = shards.findIndex((records) => records.some(({ text }) => text === bad[0]));
    await until(() =>
      expect(consumer.health().reasons).toContainEqual(
        expect.stringMatching(
          new RegExp(
            `^${SHARD(shardOfFirst)}: stopped at record \\d+, tried 2 times, after Error: cannot parse .*poison`,
          ),
        ),
      ),
    );
    expect(consumer.health()).toMatchObject({ live: true, ready: false });
    // Just before each shard's first bad record everything is handled and written, and nothing behind it.
    const before = shards.map((records) => {
      const at = records.findIndex(({ text }) => text.includes('poison'));
      return at === -1 ? records : records.slice(0, at);
    });
    const expected = before.flatMap((records) => records.map(({ text }) => text)).sort();
    await until(() => expect([...handled].sort()).toEqual(expected));
    for (const [shard, records] of before.entries()) {
      const position = records.at(-1)?.sequenceNumber ?? 'TRIM_HORIZON';
      await until(async () => expect(await scene.checkpointOf(SHARD(shard))).toBe(`${position}:0`));
    }
    await consumer.stop();
    await running;
    // A worker that begins anew with somewhere to put them goes on from there.
    const passedOn: string[] = [];
    runWith(scene.consumer({ workerId: 'lenient' }), allOrNothing(handled), {
      maxRetryAttempts: 0,
      onFailure: ({ records }) => void passedOn.push(...records.map(textOf)),
    });
    await until(() => expect([...handled].sort()).toEqual([...good].sort()));
    await until(() => expect([...passedOn].sort()).toEqual([...bad].sort()));
  });

  it('has them tried until they are too old, and no longer', async () => {
    const scene = new Scene(cloud, 'aged');
    await scene.put(...lines.slice(0, 10));
    const handled: string[] = [];
    const failures: Failure[] = [];
    runWith(scene.consumer(), allOrNothing(handled), {
      maxRecordAgeMs: 400,
      onFailure: (failure) => void failures.push(failure),
    });
    await until(() => expect(handled).toEqual(good.slice(0, 8)));
    expect(failures).toMatchObject([{ limit: 'age' }, { limit: 'age' }]);
    for (const { records, failedAt } of failures)
      expect(failedAt.getTime() - (records[0]?.approximateArrivalTimestamp.getTime() ?? 0)).toBeGreaterThan(400);
  });
});

it('by hand nothing behind the part that the handler was given can be checkpointed', async () => {
  const scene = new Scene(cloud, 'ceiling');
  await scene.put(...lines.slice(0, 10));
  const refused: unknown[] = [];
  const written: (string | undefined)[] = [];
  let whole: readonly { readonly sequenceNumber: string }[] = [];
  runWith(
    scene.consumer({ checkpointing: 'manual' }),
    async ({ records }, { checkpoint }) => {
      if (whole.length === 0) whole = records;
      if (records.some(isPoison)) throw new Error('bad');
      const behind = whole[whole.indexOf(records.at(-1) as never) + 1];
      if (behind !== undefined) await checkpoint(behind).catch((error: unknown) => refused.push(error));
      await checkpoint();
      written.push(await scene.checkpointOf(SHARD(0)));
    },
    { maxRetryAttempts: 0, onFailure: () => undefined },
  );
  await until(() => expect(written.at(-1)).toBe(`${whole.at(-1)?.sequenceNumber}:0`));
  const at = (index: number): string => `${whole[index]?.sequenceNumber}:0`;
  expect(written).toEqual([at(4), at(6), at(9)]);
  expect(refused).toEqual([
    expect.objectContaining({
      code: 'USAGE',
      message: expect.stringContaining('to the last record given to the handler'),
    }),
    expect.objectContaining({ code: 'USAGE' }),
  ]);
});

it('a handler of one record at a time is given each again alone, and those before it are done', async () => {
  const scene = new Scene(cloud, 'one-by-one');
  await scene.put(...lines);
  const calls: string[] = [];
  const handled: string[] = [];
  let failuresLeft = 3;
  runWith(
    scene.consumer(),
    {
      processRecord: (record) => {
        calls.push(textOf(record));
        if (isPoison(record) && failuresLeft-- > 0) throw new Error('not yet');
        handled.push(textOf(record));
      },
    },
    {},
  );
  await until(() => expect(handled).toEqual(lines));
  const [first = ''] = bad;
  expect(calls).toEqual([...lines.slice(0, 8), first, first, first, ...lines.slice(8)]);
});

it('a batch that takes long is checkpointed on the way, and handed over in the midst of it', async () => {
  const scene = new Scene(cloud, 'in-parts');
  await scene.put(...lines);
  const handled: string[] = [];
  const processRecord = async (record: { readonly data: Uint8Array }, { signal }: ShardContext): Promise<void> => {
    // Some twelve seconds for all of them.
    await setTimeout(200, undefined, { signal });
    handled.push(textOf(record));
  };
  const first = scene.consumer({ workerId: 'first' });
  const running = first.run({ processRecord });
  const records = await scene.recordsOf(0);
  const finished = async (): Promise<number> => {
    const checkpoint = await scene.checkpointOf(SHARD(0));
    return records.findIndex(({ sequenceNumber }) => `${sequenceNumber}:0` === checkpoint) + 1;
  };
  await until(async () => expect(await finished()).toBeGreaterThan(3));
  expect(handled.length).toBeLessThan(lines.length);
  await first.stop();
  await running;
  // It stopped where it was, and what it had handled is written.
  expect(handled.length).toBeLessThan(lines.length);
  expect(await finished()).toBe(handled.length);
  const rest: string[] = [];
  runWith(scene.consumer({ workerId: 'second' }), { processRecord: (record) => void rest.push(textOf(record)) }, {});
  await until(() => expect([...handled, ...rest]).toEqual(lines));
});

it('keys side by side: each key in order, one call of it at a time, and the checkpoint waits for the slowest', async () => {
  const scene = new Scene(cloud, 'side-by-side');
  await scene.put(...lines);
  const handled: string[] = [];
  const running = new Set<string>();
  let most = 0;
  let goOn = (): void => undefined;
  const held = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  runWith(
    scene.consumer(),
    {
      processRecord: async (record) => {
        expect(running.has(record.partitionKey)).toBe(false);
        running.add(record.partitionKey);
        most = Math.max(most, running.size);
        if (textOf(record) === line(5)) await held;
        else await new Promise((resolve) => setImmediate(resolve));
        running.delete(record.partitionKey);
        handled.push(textOf(record));
      },
    },
    { concurrency: 5 },
  );
  // Key 0 hangs at its second record; all others go on to the end of the batch.
  const others = lines.filter((text) => keyOf(text) !== 'key0');
  await until(() => expect(handled.length).toBe(others.length + 1));
  expect(await scene.checkpointOf(SHARD(0))).toBe('TRIM_HORIZON:0');
  expect([running, most]).toEqual([new Set(['key0']), 5]);
  goOn();
  await until(() => expect(handled.length).toBe(lines.length));
  for (let key = 0; key < 5; key += 1) {
    const ofKey = (texts: readonly string[]): string[] => texts.filter((text) => keyOf(text) === `key${key}`);
    expect(ofKey(handled)).toEqual(ofKey(lines));
  }
  await until(async () => expect(await scene.checkpointOf(SHARD(0))).toMatch(/^\d{56}:0$/));
});
