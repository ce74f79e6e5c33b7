// A worker of ours begins at LATEST, is given records and finishes none of them; a Java worker goes on with the lease. Where ours began
// is a number with sub-sequence number -1 by then, which no Java worker writes: this is what one makes of it.
import { createDynamoDBClient, createKinesisClient } from '@shardline/common';
import { Consumer } from '@shardline/consumer';
import { expect, vi } from 'vitest';
import { startKclWorker } from './kcl-worker.ts';
import type { Setting } from './scene.ts';
import { until } from './worker-process.ts';

const patience = { timeout: 60_000, interval: 100 };

export async function afterOursAtLatest({ kinesis, mode, wire, dynamoDBEndpoint }: Setting): Promise<void> {
  const stream = `${mode}-latest`.toLowerCase();
  kinesis.model.createStream({ name: stream, shardCount: 1 }, Date.now());
  kinesis.model.settle(Date.now());
  let count = 0;
  const put = (): void => {
    const record = { partitionKey: 'k', data: Buffer.from(String(count++)) };
    kinesis.model.putRecord({ streamName: stream, record }, Date.now());
  };
  const clients = {
    kinesisClient: createKinesisClient(kinesis.clientConfig),
    dynamoDBClient: createDynamoDBClient({ ...kinesis.clientConfig, endpoint: dynamoDBEndpoint }),
  };
  put();
  const ours = new Consumer({ application: stream, stream, initialPosition: 'LATEST', ...clients });
  const given: string[] = [];
  const running = ours.run(({ records }) => {
    given.push(...records.map(({ data }) => Buffer.from(data).toString()));
    throw new Error('not today');
  });
  await vi.waitFor(() => {
    put();
    expect(given).not.toEqual([]);
  }, patience);
  await vi.waitFor(() => expect(ours.view().shards[0]?.checkpoint).toMatch(/:-1$/), patience);
  await ours.stop();
  await running;
  const place = { workerId: 'java', application: stream, stream, mode, wire, dynamoDBEndpoint };
  const java = await startKclWorker({
    ...place,
    kinesisEndpoint: kinesis.endpoint,
    kinesisCertificate: undefined,
  });
  try {
    await until('the Java worker delivers', [java], () => java.records.length > 0);
    expect(given[0]).not.toBe('0');
    expect(Buffer.from(java.records[0]?.data ?? '').toString()).toBe(given[0]);
  } finally {
    await java.end();
    clients.kinesisClient.destroy();
    clients.dynamoDBClient.destroy();
  }
}
