// Streams that are deleted under a consumer, and made again under their names: one stream, and one of several.
import { deepStrictEqual } from 'node:assert';
import { type Logger, silentLogger } from '@shardline/common';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { BatchHandler } from '../src/handler.ts';
import { type Cloud, Scene, SHARD, startCloud, textOf, until } from './cloud.ts';

let cloud: Cloud;
beforeAll(async () => {
  cloud = await startCloud();
});
afterAll(async () => {
  await cloud.close();
});

function drop({ model, name }: Scene): void {
  model.deleteStream({ streamName: name }, Date.now());
  model.settle(Date.now() + 60_000);
}

/** A second later, so that its identifier is another one. */
function makeAgain({ model, name }: Scene): string {
  const now = Date.now() + 61_000;
  model.createStream({ name, shardCount: 1 }, now);
  model.settle(now);
  return identifierOf(name, model);
}

function identifierOf(name: string, model: Scene['model']): string {
  return `000000000000:${name}:${Math.floor(model.stream(name, Date.now()).createdMs / 1000)}`;
}

function errorsOf(lines: string[]): Logger {
  const error = (_: object, message?: string): void => void lines.push(message ?? '');
  const logger: Logger = { ...silentLogger, error, child: () => logger };
  return logger;
}

it('of one stream: its shards end, and one of the same name is told of instead of being passed over in silence', async () => {
  const scene = new Scene(cloud, 'once');
  await scene.put('a 1');
  const errors: string[] = [];
  const seen: string[] = [];
  await using consumer = scene.consumer({ logger: errorsOf(errors) });
  void consumer.run((batch) => void seen.push(...batch.records.map(textOf)));
  await until(() => deepStrictEqual(seen, ['a 1']));
  drop(scene);
  await until(async () => expect((await scene.row(SHARD(0)))?.['checkpoint']?.S).toBe('SHARD_END'));
  expect(errors.join()).not.toContain('earlier stream');
  makeAgain(scene);
  await until(() => expect(errors.join()).toContain('leases are of an earlier stream of the same name'));
  // Nothing is deleted: somebody has to decide.
  expect((await scene.row(SHARD(0)))?.['checkpoint']?.S).toBe('SHARD_END');
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
  await using consumer = kept.consumer({ streams, streamsIntervalMs: 1_000, formerStreamsWaitMs: 0 });
  void consumer.run(handler);
  await until(() => deepStrictEqual(seen.get(before), ['a 1']));
  drop(scene);
  await until(async () => expect((await kept.row(`${before}:${SHARD(0)}`))?.['checkpoint']?.S).not.toMatch(/^\d+$/));
  await kept.put('k 2');
  await until(() => deepStrictEqual(seen.get(identifierOf('kept', kept.model)), ['k 1', 'k 2']));
  const after = makeAgain(scene);
  expect(after).not.toBe(before);
  await scene.put('b 2');
  await until(() => deepStrictEqual(seen.get(after), ['b 2']));
  await until(async () => expect(await kept.row(`${before}:${SHARD(0)}`)).toBeUndefined());
  deepStrictEqual(seen.get(before), ['a 1']);
});
