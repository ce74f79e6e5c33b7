// Workers that hand bad records over to a file, killed without a word at moments of their own: nothing is lost, nothing is passed over,
// and no checkpoint is ever past a record that nobody has finished. Runs the built package (`npm test` builds first).
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { parseDeadLetter } from '../src/handling/dead-letter.ts';
import type { HandlingOptions } from '../src/handling/handling-options.ts';
import { type Cloud, keyOf, quick, Scene, SHARD, startCloud, textOf, until } from './cloud.ts';

let cloud: Cloud;
let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dead-letters-'));
  cloud = await startCloud();
});
afterAll(async () => {
  await cloud.close();
  rmSync(folder, { recursive: true });
});

const lines = Array.from({ length: 90 }, (_, n) => `key${n % 9} ${n % 11 === 3 ? 'poison' : 'fine'} ${n}`);
const bad = lines.filter((text) => text.includes('poison'));

/** What workers told, in the order in which it came. */
interface Told {
  readonly handled: string[];
  readonly handedOver: string[];
}

function startWorker(scene: Scene, path: string, told: Told, handling: HandlingOptions): ChildProcess {
  const options = { ...quick, failoverTimeMs: 500, application: scene.name, stream: scene.name };
  const { clientConfig: kinesis } = cloud.kinesisServer;
  const { clientConfig: dynamoDB } = cloud.dynamoDBServer;
  const settings = JSON.stringify({ kinesis, dynamoDB, options, handling, path });
  const child = fork(fileURLToPath(new URL('./fixtures/dead-letter-worker.mjs', import.meta.url)), [settings], {
    execArgv: [],
  });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  child.on('message', ({ kind, texts }: { kind: keyof Told; texts: string[] }) => told[kind].push(...texts));
  return child;
}

it.each<[string, HandlingOptions]>([
  ['one call after the other', { maxRetryAttempts: 1, maxBatchSize: 7 }],
  ['keys side by side', { maxRetryAttempts: 1, concurrency: 4 }],
])(
  '%s: killed again and again, workers finish every record, in a handler or in the file',
  async (how, handling) => {
    const scene = new Scene(cloud, `killed-${how.split(' ')[0]}`);
    const path = join(folder, `${scene.name}.ndjson`);
    await scene.put(...lines);
    const records = await scene.recordsOf(0);
    const told: Told = { handled: [], handedOver: [] };
    const finished = (): number => told.handled.length + told.handedOver.length;
    for (let kill = 0; kill < 2; kill += 1) {
      const worker = startWorker(scene, path, told, handling);
      const before = finished();
      // At another place each time: behind a record that was handed over, and in the midst of a batch.
      await until(() => expect(finished()).toBeGreaterThan(before + 4 * kill));
      worker.kill('SIGKILL');
      await once(worker, 'close');
      const checkpoint = await scene.checkpointOf(SHARD(0));
      const number = /^(\d+):/.exec(checkpoint ?? '')?.[1] ?? '0';
      const past = records
        .filter(({ sequenceNumber }) => BigInt(sequenceNumber) <= BigInt(number))
        .map(({ text }) => text);
      expect([...told.handled, ...told.handedOver]).toEqual(expect.arrayContaining(past));
    }
    const worker = startWorker(scene, path, told, handling);
    await until(() => expect(new Set([...told.handled, ...told.handedOver]).size).toBe(lines.length));
    expect(told.handled.filter((text) => bad.includes(text))).toEqual([]);
    const inFile = existsSync(path) ? readFileSync(path, 'utf8').trimEnd().split('\n') : [];
    const letters = inFile.map((line) => parseDeadLetter(line));
    expect(new Set(letters.map(({ record }) => textOf(record)))).toEqual(new Set(bad));
    for (const { letter, record } of letters) {
      expect(letter.error.message).toBe(`cannot parse ${textOf(record)}`);
      expect(letter).toMatchObject({
        application: scene.name,
        streamName: scene.name,
        shardId: SHARD(0),
        limit: 'attempts',
      });
    }
    // Of each key the first copies came in the order of the puts.
    for (let key = 0; key < 9; key += 1) {
      const ofKey = (texts: readonly string[]): string[] => texts.filter((text) => keyOf(text) === `key${key}`);
      expect(ofKey([...new Set(told.handled)])).toEqual(ofKey(lines.filter((text) => !bad.includes(text))));
      expect(ofKey([...new Set(told.handedOver)])).toEqual(ofKey(bad));
    }
    const exited = once(worker, 'exit');
    worker.send('stop');
    expect(await exited).toEqual([0, null]);
  },
  90_000,
);
