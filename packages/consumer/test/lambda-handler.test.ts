// An AWS Lambda function, as it would be deployed there, as a worker over real sockets: given Lambda's events, with the settings of its
// event source mapping.
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { Failure } from '../src/handling/handling-options.ts';
import { lambdaHandler } from '../src/handling/lambda-handler.ts';
import { type Cloud, keyOf, Scene, SHARD, startCloud, textOf, until } from './cloud.ts';
import { calls, handled, handler, reset } from './fixtures/lambda-function.mjs';

let cloud: Cloud;
beforeAll(async () => {
  cloud = await startCloud();
});
afterAll(async () => {
  await cloud.close();
});

function runLambda(scene: Scene, options: Parameters<typeof lambdaHandler>[1]): void {
  reset();
  const consumer = scene.consumer();
  const running = consumer.run(lambdaHandler(handler, options));
  onTestFinished(async () => {
    await consumer.stop();
    await running;
  });
}

const lines = Array.from({ length: 40 }, (_, n) => `key${n % 4} ${n === 13 || n === 30 ? 'poison' : 'fine'} ${n}`);
const good = lines.filter((text) => !text.includes('poison'));
const bad = lines.filter((text) => text.includes('poison'));

it('knows nothing of Shardline', async () => {
  const source = await readFile(new URL('./fixtures/lambda-function.mjs', import.meta.url), 'utf8');
  expect(source).not.toMatch(/import|require/);
});

describe('a Lambda function', () => {
  it('reports the record that it did not get past: what is before it is not given again, and past the limit it is handed over', async () => {
    const scene = new Scene(cloud, 'reports');
    await scene.put(...lines);
    const failures: Failure[] = [];
    runLambda(scene, {
      batchSize: 10,
      bisectBatchOnFunctionError: true,
      maximumRetryAttempts: 2,
      functionResponseTypes: ['ReportBatchItemFailures'],
      onFailure: (failure) => void failures.push(failure),
    });
    await until(() => expect(handled).toEqual(good));
    expect(failures.map(({ records, attempts }) => [records.map(textOf), attempts])).toEqual(
      bad.map((text) => [[text], 3]),
    );
    expect(Math.max(...calls.map(({ size }) => size))).toBe(10);
    expect(calls.every(({ source }) => source === `arn:aws:kinesis:us-east-1:000000000000:stream/reports`)).toBe(true);
    await until(async () => expect(await scene.checkpointOf(SHARD(0))).toMatch(/^\d{56}:0$/));
  });

  it('that is not bisected has its batch given up as a whole, from the record that it reports on', async () => {
    const scene = new Scene(cloud, 'not-bisected');
    await scene.put(...lines);
    const failures: Failure[] = [];
    runLambda(scene, {
      batchSize: 10,
      maximumRetryAttempts: 0,
      functionResponseTypes: ['ReportBatchItemFailures'],
      onFailure: (failure) => void failures.push(failure),
    });
    const given = lines.slice(13, 20);
    await until(() => expect(handled).toEqual([...lines.slice(0, 13), ...lines.slice(20, 30)]));
    await until(() => expect(failures).toHaveLength(2));
    expect(failures.map(({ records }) => records.map(textOf))).toEqual([given, lines.slice(30)]);
  });

  it('runs as often at once as its parallelization factor says, each key in order', async () => {
    const scene = new Scene(cloud, 'parallel');
    await scene.put(...good);
    runLambda(scene, { batchSize: 5, parallelizationFactor: 4 });
    await until(() => expect(handled.length).toBe(good.length));
    for (let key = 0; key < 4; key += 1) {
      const ofKey = (texts: readonly string[]): string[] => texts.filter((text) => keyOf(text) === `key${key}`);
      expect(ofKey(handled)).toEqual(ofKey(good));
    }
    expect(Math.max(...calls.map(({ atOnce }) => atOnce))).toBe(4);
  });
});
