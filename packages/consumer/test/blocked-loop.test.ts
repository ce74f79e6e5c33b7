// A process whose thread does not get to work: blocked by its own handler, or stopped from outside. Others take its leases; once it
// is back it delivers nothing from them, says what happened, and goes on with what it is given then. Runs the built package.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { type Cloud, handleInTest, quick, Scene, SHARD, startCloud, until } from './cloud.ts';

interface Told {
  readonly kind: string;
  readonly texts?: readonly string[];
  readonly [field: string]: unknown;
}

let cloud: Cloud;
beforeAll(async () => {
  cloud = await startCloud();
});
afterAll(async () => {
  await cloud.close();
});

const failoverTimeMs = 1_000;

function startWorker(scene: Scene, blockMs: number): { readonly child: ChildProcess; readonly told: Told[] } {
  const settings = {
    kinesis: cloud.kinesisServer.clientConfig,
    dynamoDB: cloud.dynamoDBServer.clientConfig,
    blockMs,
    options: {
      ...quick,
      failoverTimeMs,
      leaderLeaseDurationMs: 1_500,
      workerMetricsReportIntervalMs: 300,
      stallWarningMs: 2_000,
      application: scene.name,
      stream: scene.name,
      workerId: 'blocked',
      maxRecordsPerRead: 1,
    },
  };
  const path = fileURLToPath(new URL('./fixtures/blocking-worker.mjs', import.meta.url));
  const child = spawn(process.execPath, [path, JSON.stringify(settings)], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  const told: Told[] = [];
  createInterface({ input: child.stdout as NodeJS.ReadableStream & { readonly readable: boolean } }).on(
    'line',
    (line) => told.push(JSON.parse(line) as Told),
  );
  return { child, told };
}

/** Another worker, in this process, which takes what the first one loses. */
function startHeir(scene: Scene): string[] {
  return handleInTest(scene.consumer({ workerId: 'heir', failoverTimeMs, leaderLeaseDurationMs: 1_500 }));
}

const kinds = (told: readonly Told[]): string[] => told.map(({ kind }) => kind);

it('a loop that its handler blocks for longer than the failover time delivers nothing from the leases it lost', async () => {
  const scene = new Scene(cloud, 'blocked-loop');
  const { child, told } = startWorker(scene, 5 * failoverTimeMs);
  await scene.put('a 1');
  await until(() => expect(told).toContainEqual({ kind: 'given', texts: ['a 1'] }));
  // Fetched ahead, so that it lies ready when the block ends.
  await scene.put('block 2', 'c 3', 'd 4');
  await until(() => expect(kinds(told)).toContain('blocking'));
  const handled = startHeir(scene);
  await until(() => expect(handled).toEqual(['block 2', 'c 3', 'd 4']));
  expect(kinds(told)).not.toContain('unblocked');

  await until(() => expect(kinds(told)).toContain('lease-lost'));
  const after = told.slice(kinds(told).indexOf('unblocked'));
  expect(after.filter(({ kind }) => kind === 'given')).toEqual([]);
  expect(told).toContainEqual(
    expect.objectContaining({
      kind: 'event-loop-delayed',
      cause: 'blocked',
      handlers: [{ leaseKey: SHARD(0), word: 'processRecords', synchronousMs: expect.any(Number) }],
    }),
  );
  expect(kinds(told)).not.toContain('stall');
  expect(await scene.checkpointOf(SHARD(0))).not.toBe('TRIM_HORIZON:0');
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  expect(await exited).toEqual([0, null]);
});

it('a process that is stopped and goes on is told from a blocked one, and no stall is seen in its sleep', async () => {
  const scene = new Scene(cloud, 'suspended');
  const { child, told } = startWorker(scene, 0);
  await scene.put('a 1');
  await until(() => expect(told).toContainEqual({ kind: 'given', texts: ['a 1'] }));
  await until(async () => expect(await scene.checkpointOf(SHARD(0))).toMatch(/^\d{56}:0$/));
  child.kill('SIGSTOP');
  const handled = startHeir(scene);
  await scene.put('b 2');
  await until(() => expect(handled).toContain('b 2'));
  child.kill('SIGCONT');
  await until(() => expect(kinds(told)).toContain('event-loop-delayed'));
  expect(told.find(({ kind }) => kind === 'event-loop-delayed')).toMatchObject({ cause: 'suspended', handlers: [] });
  await until(() => expect(kinds(told)).toContain('lease-lost'));
  expect(kinds(told)).not.toContain('stall');
  expect(told.filter(({ texts }) => texts?.includes('b 2'))).toEqual([]);
});
