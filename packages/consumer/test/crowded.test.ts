// What a worker holds of five hundred shards that are far behind, over real sockets: no more than its room, however large the records and
// slow the handlers are, and no shard is left out. The lease table is the one in memory: here it only has to be quick.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createKinesisClient } from '@shardline/common';
import { expect, it, onTestFinished, vi } from 'vitest';
import { Worker } from '../src/coordination/worker.ts';
import type { BatchHandler } from '../src/handler.ts';
import { readHandler } from '../src/handling/read-handler.ts';
import { MemoryLeaseTable } from '../src/lease-table/memory.ts';
import { resolveOptions } from '../src/options.ts';
import { Streams } from '../src/retrieval/streams.ts';
import { Failures } from '../src/runtime/failures.ts';
import { Runtime } from '../src/runtime/runtime.ts';
import { workerOptions } from '../src/worker-options.ts';
import { EndlessKinesis } from './endless-kinesis.ts';

const MIB = 1024 * 1024;
const SHARDS = 500;
const ROOM_BYTES = 32 * MIB;
const TEST_TIMEOUT_MS = 120_000;

/** Five hundred shards are many for a busy machine. */
const until = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 100_000, interval: 50 });

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

async function endless(recordBytes: number): Promise<EndlessKinesis> {
  const server = await EndlessKinesis.start({ shardCount: SHARDS, recordBytes });
  onTestFinished(() => server[Symbol.asyncDispose]());
  return server;
}

async function run(server: EndlessKinesis, processRecords: BatchHandler): Promise<Runtime> {
  const client = createKinesisClient({ ...server.clientConfig, maxAttempts: 1 });
  const options = resolveOptions(
    { application: 'crowded', stream: 'endless', failoverTimeMs: 60_000, maxPendingBytesForWorker: ROOM_BYTES },
    'host',
  );
  const { clock, logger, kinesisRequestTimeoutMs: requestTimeoutMs } = options;
  const streams = new Streams({ ...options, client, fanOut: undefined, requestTimeoutMs });
  await streams.refresh();
  const runtime = new Runtime({
    ...options,
    worker: new Worker(workerOptions(options)),
    table: new MemoryLeaseTable({ wallNow: () => clock.wallNow() }),
    streams,
    handler: readHandler(processRecords, {}, 'auto'),
    workerMetrics: undefined,
    failures: new Failures({ clock, logger, patienceMs: 60_000 }),
  });
  const running = runtime.run();
  onTestFinished(async () => {
    runtime.stop();
    await running;
    streams.close();
    client.destroy();
  }, TEST_TIMEOUT_MS);
  return runtime;
}

it.each([
  ['of 256 kB, more than the part of each', 256 * 1024],
  ['of 10 kB, of which some fit into the part of each', 10 * 1024],
])(
  'handlers that do not return hold back five hundred shards with records %s, and each shard gets its turn once they do',
  async (_of, recordBytes) => {
    const server = await endless(recordBytes);
    let handledBytes = 0;
    let mostBytes = 0;
    server.onGiven = () => {
      mostBytes = Math.max(mostBytes, server.givenBytes - handledBytes);
    };
    const handled = new Set<string>();
    const waiting: (() => void)[] = [];
    let isOpen = false;
    collect();
    const { arrayBuffers: before } = process.memoryUsage();
    const runtime = await run(server, async ({ shardId, records }) => {
      if (!isOpen) await new Promise<void>((resolve) => waiting.push(resolve));
      handled.add(shardId);
      for (const { data } of records) handledBytes += data.length;
    });
    await until(() => expect(runtime.view().leases.filter(({ phase }) => phase === 'processing')).toHaveLength(SHARDS));
    await until(() => expect(server.givenBytes).toBeGreaterThan(ROOM_BYTES / 2));
    // What one collection finds to be garbage is freed beside the program, on Node 24 after it.
    await until(() => {
      collect();
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1.5 * ROOM_BYTES);
    });
    isOpen = true;
    for (const release of waiting) release();
    await until(() => expect(handled.size).toBe(SHARDS));
    // One record may be let in beyond it; in ten seconds without a return another one.
    expect(mostBytes).toBeLessThanOrEqual(ROOM_BYTES + 4 * recordBytes);
  },
  TEST_TIMEOUT_MS,
);
