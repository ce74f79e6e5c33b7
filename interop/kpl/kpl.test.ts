// The native KPL against the local Kinesis over TLS, limits on: what it says is stored lies in the stream, where it says so.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toHashKey } from '@shardline/common';
import { type LocalKinesis, type LocalTls, startLocalKinesis } from '@shardline/local';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildJava } from '../java/build.ts';
import { type KplOutcome, KplProducer, type KplProducerOptions } from './kpl-producer.ts';
import { readStream, type StoredUserRecord } from './read-stream.ts';

let kinesis: LocalKinesis & LocalTls;
let authorityFile: string;
const closing: (() => Promise<void>)[] = [];
beforeAll(async () => {
  await buildJava('kpl');
  kinesis = await startLocalKinesis({ tlsPort: 0 });
  closing.push(() => kinesis.close());
  const folder = await mkdtemp(join(tmpdir(), 'shardline-kpl-'));
  closing.push(() => rm(folder, { recursive: true }));
  authorityFile = join(folder, 'authority.pem');
  await writeFile(authorityFile, kinesis.certificate);
});
afterAll(async () => {
  for (const close of closing.reverse()) await close();
});

type Given = Omit<KplProducerOptions, 'stream' | 'port'>;

async function withProducer(
  stream: string,
  shardCount: number | 'AUTO',
  given: Given,
  act: (kpl: KplProducer) => Promise<void>,
): Promise<void> {
  const auto = { mode: 'ON_DEMAND', recordDistributionStrategy: 'AUTO' } as const;
  kinesis.model.createStream({ name: stream, ...(shardCount === 'AUTO' ? auto : { shardCount }) }, Date.now());
  const kpl = await KplProducer.start({ stream, port: kinesis.tlsPort, ...given });
  try {
    await act(kpl);
  } finally {
    await kpl.end();
  }
}

function splitFirstShard(streamName: string): void {
  const newStartingHashKey = toHashKey(2n ** 126n);
  kinesis.model.splitShard({ streamName, shardId: 'shardId-000000000000', newStartingHashKey }, Date.now());
}

/** Every user record was stored, and lies where the KPL says. It may lie elsewhere as well: a request may be sent twice. */
function expectStored(outcomes: readonly KplOutcome[], found: readonly StoredUserRecord[], count: number): void {
  expect(outcomes.filter(({ stored }) => !stored)).toEqual([]);
  const numbers = Array.from({ length: count }, (_, number) => String(number));
  expect(outcomes.map(({ data }) => data).sort(byNumber)).toEqual(numbers);
  const hasKeys = outcomes.every(({ key }) => key !== null);
  const line = ({ shard, sequence, key, data }: KplOutcome | StoredUserRecord): string =>
    `${data}${hasKeys ? ` of ${key}` : ''} at ${shard} ${sequence}`;
  const lying = new Set(found.map(line));
  expect(outcomes.map(line).filter((text) => !lying.has(text))).toEqual([]);
  expect([...new Set(found.map(({ data }) => data))].sort(byNumber)).toEqual(numbers);
}

function byNumber(a: string, b: string): number {
  return Number(a) - Number(b);
}

describe.concurrent('the native KPL', () => {
  it('stores aggregated records through a split', async () => {
    const stream = 'kpl-aggregated';
    await withProducer(stream, 2, { aggregation: true, keyCount: 1_000 }, async (kpl) => {
      kpl.put(30_000);
      await kpl.untilOutcomes(10_000);
      splitFirstShard(stream);
      await kpl.untilOutcomes(30_000);
      kpl.put(5_000);
      await kpl.untilOutcomes(35_000);
      const found = readStream(kinesis.model, stream);
      expectStored(kpl.outcomes, found, 35_000);
      expect(found.filter(({ aggregated }) => aggregated).length).toBeGreaterThan(30_000);
      expect(new Set(kpl.outcomes.slice(-5_000).map(({ shard }) => shard.at(-1)))).toEqual(new Set(['1', '2', '3']));
    });
  });

  it('stores records one by one through a split, and trusts the certificate of the server', async () => {
    const stream = 'kpl-plain';
    await withProducer(stream, 2, { aggregation: false, keyCount: 1_000, authorityFile }, async (kpl) => {
      kpl.put(4_000);
      await kpl.untilOutcomes(1_000);
      splitFirstShard(stream);
      await kpl.untilOutcomes(4_000);
      const found = readStream(kinesis.model, stream);
      expectStored(kpl.outcomes, found, 4_000);
      expect(found.filter(({ aggregated }) => aggregated)).toEqual([]);
    });
  });

  it('meets the limits of a shard, and stores every record all the same', async () => {
    const stream = 'kpl-throttled';
    await withProducer(stream, 1, { aggregation: false, keyCount: 10 }, async (kpl) => {
      kpl.put(4_000);
      await kpl.untilOutcomes(4_000);
      expectStored(kpl.outcomes, readStream(kinesis.model, stream), 4_000);
      const errors = new Set(kpl.outcomes.flatMap((outcome) => outcome.errors));
      expect(errors).toContain('ProvisionedThroughputExceededException');
    });
  });

  it('learns that a stream is AUTO, and stores records without partition keys all over its shards, none aggregated', async () => {
    const stream = 'kpl-auto';
    await withProducer(stream, 'AUTO', { aggregation: true, keyCount: 0 }, async (kpl) => {
      kpl.put(3_000);
      await kpl.untilOutcomes(3_000);
      const found = readStream(kinesis.model, stream);
      expectStored(kpl.outcomes, found, 3_000);
      expect(found.filter(({ aggregated }) => aggregated)).toEqual([]);
      expect(new Set(found.map(({ shard }) => shard)).size).toBe(4);
    });
  });
});
