// What the real Java KCL delivers of aggregated records with strays, and what our worker does with `strayRecords: 'kcl'`: the same. The
// records of both, each with its place, are compared; with `deliver` ours has the strays and what came with them besides.
import { PutRecordCommand } from '@aws-sdk/client-kinesis';
import { createDynamoDBClient, createKinesisClient, encodeAggregatedRecord } from '@shardline/common';
import { Consumer } from '@shardline/consumer';
import { expect } from 'vitest';
import { Scene, type Setting } from './scene.ts';
import { until } from './worker-process.ts';

/** The last one is of one shard alone: once it has come, all before it has. */
const AGGREGATES: readonly (readonly string[])[] = [
  ['a', 'c', 'h'],
  ['a', 'b', 'c'],
  ['b', 'a'],
  ['a', 'c', 'b'],
  ['a', 'a', 'c'],
];
const LAST = '4.2';

export function straysAsOurs(setting: Setting): Promise<void> {
  return Scene.play(setting, `${setting.mode}-strays`.toLowerCase(), 2, async (scene) => {
    const kinesis = createKinesisClient({ ...setting.kinesis.clientConfig, maxAttempts: 1 });
    const dynamoDB = createDynamoDBClient({
      endpoint: setting.dynamoDBEndpoint,
      region: 'us-east-1',
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    });
    try {
      for (const [index, keys] of AGGREGATES.entries()) {
        const texts = keys.map((partitionKey, sub) => ({ partitionKey, data: Buffer.from(`${index}.${sub}`) }));
        const Data = encodeAggregatedRecord(texts);
        const command = { StreamName: scene.stream, PartitionKey: 'a', ExplicitHashKey: '0', Data };
        await kinesis.send(new PutRecordCommand(command));
      }
      const worker = await scene.startWorker('w1');
      await until('the last record', scene.workers, () => worker.records.some(({ data }) => data === LAST));
      const javas = worker.records.map(({ data, sub }) => `${data} at ${sub}`);
      const ours = async (strayRecords: 'kcl' | 'deliver'): Promise<string[]> => {
        const handled: string[] = [];
        const application = `${scene.stream}-${strayRecords}`;
        const clients = { kinesisClient: kinesis, dynamoDBClient: dynamoDB };
        const consumer = new Consumer({ application, stream: scene.stream, strayRecords, ...clients });
        await consumer.run(({ records }) => {
          for (const { data, subSequenceNumber } of records)
            handled.push(`${Buffer.from(data).toString()} at ${subSequenceNumber}`);
          if (handled.some((each) => each.startsWith(LAST))) void consumer.stop();
        });
        return handled;
      };
      expect(await ours('kcl')).toEqual(javas);
      const all = AGGREGATES.flatMap((keys, index) => keys.map((_, sub) => `${index}.${sub} at ${sub}`));
      expect(await ours('deliver')).toEqual(all);
      expect(javas.length).toBeLessThan(all.length);
    } finally {
      kinesis.destroy();
      dynamoDB.destroy();
    }
  });
}
