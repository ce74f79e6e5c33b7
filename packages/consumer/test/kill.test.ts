// Workers in processes of their own, killed without a word: nothing is lost, and what comes twice comes from the last
// checkpoint on. Runs the built package (`npm test` builds first).
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { type Diagnostics, onDiagnostic } from '@shardline/common';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { type Cloud, handleInTest, keyOf, quick, Scene, SHARD, startCloud, until } from './cloud.ts';
import { type Line, listen } from './listen.ts';

interface Handled {
  readonly worker: string;
  readonly shardId: string;
  readonly text: string;
  readonly sequenceNumber: string;
}

let cloud: Cloud;
beforeAll(async () => {
  cloud = await startCloud();
});
afterAll(async () => {
  await cloud.close();
});

function startWorker(scene: Scene, worker: string, handled: Handled[]): ChildProcess {
  const settings = {
    kinesis: cloud.kinesisServer.clientConfig,
    dynamoDB: cloud.dynamoDBServer.clientConfig,
    options: {
      ...quick,
      failoverTimeMs: 1_000,
      leaderLeaseDurationMs: 1_500,
      workerMetricsReportIntervalMs: 300,
      application: scene.name,
      stream: scene.name,
      workerId: worker,
      maxRecordsPerRead: 20,
    },
  };
  const path = fileURLToPath(new URL('./fixtures/worker.mjs', import.meta.url));
  const child = fork(path, [JSON.stringify(settings)], { execArgv: [] });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  child.on('message', (message: { kind: string } & Omit<Handled, 'worker'>) => {
    if (message.kind === 'handled') handled.push({ ...message, worker });
  });
  return child;
}

const texts = (round: string): string[] => Array.from({ length: 120 }, (_, n) => `key${n % 12} ${round} ${n}`);

describe('a worker killed with SIGKILL', () => {
  it('loses nothing: another one goes on from its checkpoints', async () => {
    const scene = new Scene(cloud, 'killed', 2);
    const handled: Handled[] = [];
    const victim = startWorker(scene, 'victim', handled);
    await scene.put(...texts('first'));
    await until(() => expect(handled.length).toBeGreaterThan(30));
    victim.kill('SIGKILL');
    await once(victim, 'exit');
    const checkpoints = new Map<string, bigint>();
    for (const row of await scene.rows()) {
      const checkpoint = row['checkpoint']?.S;
      if (checkpoint !== undefined && /^\d+$/.test(checkpoint)) {
        checkpoints.set(row['leaseKey']?.S ?? '', BigInt(checkpoint));
      }
    }
    const heir = startWorker(scene, 'heir', handled);
    await scene.put(...texts('second'));
    const all = [...texts('first'), ...texts('second')];
    await until(() => expect(new Set(handled.map(({ text }) => text)).size).toBe(all.length));

    // The heir got nothing that was checkpointed before it came.
    for (const { worker, shardId, sequenceNumber } of handled) {
      if (worker !== 'heir') continue;
      expect(BigInt(sequenceNumber)).toBeGreaterThan(checkpoints.get(shardId) ?? 0n);
    }
    // Each key's first copies came in the order of the puts.
    for (let key = 0; key < 12; key += 1) {
      const ofKey = (list: readonly string[]): string[] => list.filter((text) => keyOf(text) === `key${key}`);
      expect(ofKey([...new Set(handled.map(({ text }) => text))])).toEqual(ofKey(all));
    }

    // The heir stops in good order and its process ends by itself: no timer, no socket is left.
    const exited = once(heir, 'exit');
    heir.send('stop');
    expect(await exited).toEqual([0, null]);
  });

  it('is named by the leader, on the log and on a channel, with its leases and who gets them', async () => {
    const scene = new Scene(cloud, 'named', 4);
    const { logger, lines } = listen();
    const messages: Diagnostics['shardline:consumer:worker-silent'][] = [];
    onTestFinished(
      onDiagnostic('shardline:consumer:worker-silent', (message) => {
        if (message.application === scene.name) messages.push(message);
      }),
    );
    handleInTest(scene.consumer({ workerId: 'leader', failoverTimeMs: 1_000, logger }));
    await until(async () => expect((await scene.row('Leader'))?.['ownerName']?.S).toBe('leader'));
    const victim = startWorker(scene, 'victim', []);
    const ownedBy = async (worker: string): Promise<(string | undefined)[]> =>
      (await scene.rows())
        .filter((row) => row['leaseOwner']?.S === worker && row['checkpointOwner'] === undefined)
        .map((row) => row['leaseKey']?.S);
    await until(async () => expect(await ownedBy('victim')).toHaveLength(2));
    expect(messages).toEqual([]);
    const leaseKeys = (await ownedBy('victim')).sort();
    victim.kill('SIGKILL');
    await until(async () => expect(await ownedBy('leader')).toHaveLength(4));
    // One that runs out a moment before the other may be told of by itself.
    expect(messages.flatMap((message) => message.leaseKeys).sort()).toEqual(leaseKeys);
    const told = messages.map(({ leaseKeys: its }) => ({
      silentWorker: 'victim',
      silentMs: expect.toSatisfy((ms: number) => ms > 1_000),
      leaseCount: its.length,
      leaseKeys: its,
      heirs: [{ worker: 'leader', leaseCount: its.length }],
      heirCount: 1,
    }));
    expect(messages).toEqual(told.map((each) => ({ application: scene.name, worker: 'leader', ...each })));
    const written = told.map((fields) => {
      const what = `${fields.leaseCount} ${fields.leaseCount === 1 ? 'lease' : 'leases'} \\(${fields.leaseKeys.join(', ')}\\)`;
      return { level: 'warn', fields, text: expect.stringMatching(new RegExp(` s: its ${what} go to worker leader$`)) };
    });
    const isOfVictim = (line: Line): boolean => line.text.startsWith('worker victim is silent for ');
    expect(lines.filter(isOfVictim)).toEqual(written);
  });

  it('is not taken for a rival when it comes back at once under its id, and goes on', async () => {
    const scene = new Scene(cloud, 'came-back', 2);
    const handled: Handled[] = [];
    const first = startWorker(scene, 'stable', handled);
    await scene.put(...texts('first'));
    await until(() => expect(handled.length).toBeGreaterThan(30));
    first.kill('SIGKILL');
    const second = startWorker(scene, 'stable', handled);
    await scene.put(...texts('second'));
    await until(() => expect(new Set(handled.map(({ text }) => text)).size).toBe(240));
    // Long enough for several reports of its own, which would show it the rival.
    const counterOf = async (): Promise<number> => Number((await scene.row(SHARD(0)))?.['leaseCounter']?.N);
    const before = await counterOf();
    await until(async () => expect(await counterOf()).toBeGreaterThan(before + 5));
    const exited = once(second, 'exit');
    second.send('stop');
    expect(await exited).toEqual([0, null]);
  });

  it('leaves its leadership too', async () => {
    const scene = new Scene(cloud, 'leaderless', 2);
    const handled: Handled[] = [];
    const leader = startWorker(scene, 'leader', handled);
    await until(async () => expect((await scene.row('Leader'))?.['ownerName']?.S).toBe('leader'));
    const other = startWorker(scene, 'other', handled);
    await until(async () => {
      const owners = (await scene.rows()).map((row) => row['leaseOwner']?.S).filter((owner) => owner !== undefined);
      expect(owners.sort()).toEqual(['leader', 'other']);
    });
    leader.kill('SIGKILL');
    await until(async () => {
      expect((await scene.row('Leader'))?.['ownerName']?.S).toBe('other');
      const owners = (await scene.rows()).map((row) => row['leaseOwner']?.S).filter((owner) => owner !== undefined);
      expect(owners).toEqual(['other', 'other']);
    });
    await scene.put(...texts('after'));
    await until(() => expect(new Set(handled.map(({ text }) => text)).size).toBe(120));
    expect(handled.every(({ worker }) => worker === 'other')).toBe(true);
    const exited = once(other, 'exit');
    other.send('stop');
    expect(await exited).toEqual([0, null]);
  });
});
