// What a throttled producer holds, counted on the heap: a full queue of records that expire all the time, and are put anew.
import { queryObjects } from 'node:v8';
import { KinesisModel } from '@shardline/local';
import { expect, test } from 'vitest';
import { KinesisRecord } from '../../../producer/dist/batch.js';
import { UserRecord } from '../../../producer/dist/user-record.js';
import { EventQueue } from '../event-queue.ts';
import { createPrng } from '../prng.ts';
import { EagerProducer, foreignLoad } from './eager-producer.ts';

const STREAM = 'throttled';
const OUTSTANDING_COUNT = 2_000;
const TTL_MS = 4_000;

test('while nearly all is refused for minutes a producer holds what is outstanding, and hardly more after the eighth time to live than after the second', () => {
  const queue = new EventQueue();
  const model = new KinesisModel({ limits: true, maxStoredBytesPerShard: 1_048_576 });
  model.createStream({ name: STREAM, shardCount: 1 }, 0);
  foreignLoad(model, queue, { stream: STREAM, share: 0.98, fromMs: 0, untilMs: 8 * TTL_MS });
  const options = { dataBytes: 200, outstandingCount: OUTSTANDING_COUNT, startAtMs: 0, recordTtlMs: TTL_MS, turnMs: 0 };
  const producer = new EagerProducer(
    { name: 'p', stream: STREAM, pace: 'adaptive', ...options },
    model,
    queue,
    createPrng(1),
  );
  const held = [2, 4, 6, 8].map((times) => {
    queue.runUntil(times * TTL_MS);
    const [records, kinesisRecords] = [UserRecord, KinesisRecord].map((kind) =>
      queryObjects(kind, { format: 'count' }),
    ) as [number, number];
    return { records, kinesisRecords };
  });
  const expired = producer.seconds.reduce((sum, second) => sum + (second?.expired ?? 0), 0);
  expect(expired).toBeGreaterThan(4 * OUTSTANDING_COUNT);
  for (const { records, kinesisRecords } of held) {
    // One that has expired out of an aggregated record is let go with that.
    expect(records).toBeLessThan(1.2 * OUTSTANDING_COUNT);
    expect(kinesisRecords).toBeLessThan(OUTSTANDING_COUNT / 20);
  }
  expect(held.at(-1)?.records).toBeLessThan(1.1 * (held[0]?.records ?? 0));
}, 60_000);
