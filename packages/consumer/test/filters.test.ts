// Filters over real sockets: a handler is given what passes and nothing else, and the checkpoint goes over what does not.
import { type Diagnostics, type MetricsSink, noMetrics, onDiagnostic } from '@shardline/common';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { Handler } from '../src/handler.ts';
import { lambdaHandler } from '../src/handling/lambda-handler.ts';
import { type Cloud, runInTest, Scene, SHARD, startCloud, textOf, until } from './cloud.ts';
import { handled, handler, reset } from './fixtures/lambda-function.mjs';

let cloud: Cloud;
beforeAll(async () => {
  cloud = await startCloud();
});
afterAll(async () => {
  await cloud.close();
});

const order = (n: number, type: string): string => JSON.stringify({ n, order: { type, tags: [{ k: 'a', v: n }] } });
/** Scene.put takes the first word for the key, and plain text is no JSON. */
const lines = Array.from({ length: 30 }, (_, n) =>
  n % 5 === 0 ? `key${n} plain` : order(n, n % 3 === 0 ? 'buy' : 'sell'),
);
const buys = lines.filter((line) => line.includes('"buy"'));
const filter = {
  Filters: [{ Pattern: '{"data":{"order":{"type":["buy"],"tags":{"k":["a"],"v":[{"numeric":[">=",0]}]}}}}' }],
};

describe('a handler with a filter', () => {
  it('is given what matches, in order; the checkpoint goes over the rest, to the end, and nothing is read again', async () => {
    const scene = new Scene(cloud, 'filtered');
    const told: Diagnostics['shardline:consumer:records-filtered-out'][] = [];
    onTestFinished(
      onDiagnostic('shardline:consumer:records-filtered-out', (message) => {
        if (message.application === scene.name) told.push(message);
      }),
    );
    await scene.put(...lines);
    const seen: string[] = [];
    const see: Handler = ({ records }) => void seen.push(...records.map(textOf));
    const counted = new Map<string, number>();
    const count: MetricsSink['count'] = (name, value, dimensions) => {
      const key = `${name} ${JSON.stringify(dimensions)}`;
      counted.set(key, (counted.get(key) ?? 0) + value);
    };
    const consumer = scene.consumer({ metrics: { ...noMetrics, count } });
    const stop = runInTest(consumer, see, { filter, maxBatchSize: 3 });
    await until(() => expect(seen).toEqual(buys));
    const [last] = (await scene.recordsOf(0)).slice(-1);
    await until(async () => expect(await scene.checkpointOf(SHARD(0))).toBe(`${last?.sequenceNumber}:0`));
    expect(told.reduce((sum, { userRecordCount }) => sum + userRecordCount, 0)).toBe(lines.length - buys.length);
    const ofShard = JSON.stringify({ Operation: 'ProcessTask', ShardId: SHARD(0) });
    expect(counted.get(`RecordsFilteredOut ${ofShard}`)).toBe(lines.length - buys.length);
    await stop();

    runInTest(scene.consumer(), see, { filter });
    const late = order(31, 'buy');
    await scene.put(late);
    await until(() => expect(seen).toEqual([...buys, late]));
  });

  it('that lets nothing pass is never called, and its shard gets on all the same', async () => {
    const scene = new Scene(cloud, 'nothing-passes');
    await scene.put(...lines);
    let calls = 0;
    const count: Handler = () => {
      calls += 1;
    };
    runInTest(scene.consumer(), count, { filter: { Filters: [{ Pattern: { partitionKey: ['nobody'] } }] } });
    const [last] = (await scene.recordsOf(0)).slice(-1);
    await until(async () => expect(await scene.checkpointOf(SHARD(0))).toBe(`${last?.sequenceNumber}:0`));
    expect(calls).toBe(0);
  });

  it('is refused at the start, with the place in its pattern, when that is none', async () => {
    const scene = new Scene(cloud, 'bad-pattern');
    const bad = { filter: { Filters: [{ Pattern: '{"data":{"order":{"type":"buy"}}}' }] } };
    await expect(scene.consumer().run(() => undefined, bad)).rejects.toThrow(
      'filter.Filters[0].Pattern: data.order.type: expected a list of values',
    );
  });
});

describe('a Lambda function with filterCriteria', () => {
  it('is given the records that match', async () => {
    const scene = new Scene(cloud, 'filtered-lambda');
    reset();
    await scene.put(...lines);
    runInTest(scene.consumer(), lambdaHandler(handler, { filterCriteria: filter, parallelizationFactor: 2 }), {});
    await until(() => expect([...handled].sort()).toEqual([...buys].sort()));
    const [last] = (await scene.recordsOf(0)).slice(-1);
    await until(async () => expect(await scene.checkpointOf(SHARD(0))).toBe(`${last?.sequenceNumber}:0`));
  });
});
