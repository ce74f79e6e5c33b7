// A producer that aggregated across shards, over real sockets: what becomes of its records, what is counted, and that it is said once.
import { PutRecordCommand } from '@aws-sdk/client-kinesis';
import { encodeAggregatedRecord, type MetricsSink, noMetrics } from '@shardline/common';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ConsumerOptions } from '../src/consumer-options.ts';
import { type Cloud, handleInTest, Scene, startCloud, until } from './cloud.ts';
import { listen } from './listen.ts';

let cloud: Cloud;
beforeAll(async () => {
  cloud = await startCloud();
});
afterAll(async () => {
  await cloud.close();
});

/** Of two shards: a key of each. */
const LOW = 'a';
const HIGH = 'b';

function counting(): { readonly counts: Map<string, number>; readonly metrics: MetricsSink } {
  const counts = new Map<string, number>();
  const count = (name: string, value: number): void => void counts.set(name, (counts.get(name) ?? 0) + value);
  return { counts, metrics: { ...noMetrics, count } };
}

it.each<[NonNullable<ConsumerOptions['strayRecords']> | undefined, readonly string[], number, RegExp]>([
  [undefined, ['1', '2', '3', '4', 'last'], 0, /all are delivered/],
  ['deliver', ['1', '2', '3', '4', 'last'], 0, /all are delivered/],
  ['kcl', ['last'], 4, /left out, as strayRecords: 'kcl' has it/],
])(
  'strayRecords %s: of two aggregated records with a stray each, and a good one, come %s',
  async (strayRecords, come, dropped, said) => {
    const scene = new Scene(cloud, `strays-${strayRecords ?? 'unsaid'}`, 2);
    const { logger, lines } = listen();
    const { counts, metrics } = counting();
    const handled = handleInTest(scene.consumer({ logger, metrics, ...(strayRecords && { strayRecords }) }));
    const putTogether = async (...records: [partitionKey: string, text: string][]): Promise<void> => {
      const Data = encodeAggregatedRecord(
        records.map(([partitionKey, text]) => ({ partitionKey, data: Buffer.from(text) })),
      );
      const command = new PutRecordCommand({ StreamName: scene.name, PartitionKey: LOW, ExplicitHashKey: '0', Data });
      await cloud.kinesis.send(command);
    };
    await putTogether([LOW, '1'], [HIGH, '2']);
    await putTogether([LOW, '3'], [HIGH, '4']);
    await putTogether([LOW, 'last']);
    await until(() => expect(handled).toEqual(come));
    expect(counts.get('StrayRecords')).toBe(2);
    expect(counts.get('DroppedRecords') ?? 0).toBe(dropped);
    expect(
      lines
        .filter(({ level, text }) => level === 'warn' && text.includes('hash keys lie outside'))
        .map(({ text }) => text),
    ).toEqual([expect.stringMatching(said)]);
  },
);
