// Replays that meet trouble, over real sockets: a handler that outlasts its grace, a worker that is killed on the way, and a lease that
// goes to another worker. Whatever happens, the checkpoint is the one that was or the one that was asked for, and nothing behind it is skipped.
// Runs the built package (`npm test` builds first).
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { ShardHandler } from '../src/handler.ts';
import type { ReplayedShard } from '../src/replay.ts';
import { type Cloud, handleInTest, quick, runInTest, Scene, SHARD, startCloud, textOf, until } from './cloud.ts';

let cloud: Cloud;
beforeAll(async () => {
  cloud = await startCloud();
});
afterAll(async () => {
  await cloud.close();
});

const TEXTS = ['a 1', 'a 2', 'a 3', 'a 4'];

/** A promise that the test settles. */
function gate(): { readonly passed: Promise<void>; open(): void } {
  let open = (): void => undefined;
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { passed, open: () => open() };
}

/** A handler that tells its words, and keeps its call with this text until the gate opens, whatever its signal says. */
function wordsOf(
  held: string,
  until: Promise<void>,
): { words: string[]; signals: AbortSignal[]; handler: ShardHandler } {
  const words: string[] = [];
  const signals: AbortSignal[] = [];
  let isHeld = false;
  const handler: ShardHandler = {
    initialize: ({ sequenceNumber }) => void words.push(`initialize ${sequenceNumber}`),
    processRecords: async ({ records }, { signal }) => {
      const texts = records.map(textOf);
      words.push(`begins ${texts.join()}`);
      if (!isHeld && texts.includes(held)) {
        isHeld = true;
        signals.push(signal);
        await until;
      }
      words.push(`ends ${texts.join()}`);
    },
    shutdownRequested: () => void words.push('shutdownRequested'),
    leaseLost: () => void words.push('leaseLost'),
  };
  return { words, signals, handler };
}

describe('a handler that outlasts its grace when a replay is asked for', () => {
  it('is aborted, keeps its shard to itself until it returns, and only then is the shard read again, by the same worker', async () => {
    const scene = new Scene(cloud, 'replay-outlasted');
    const { passed, open } = gate();
    const { words, signals, handler } = wordsOf('a 2', passed);
    const consumer = scene.consumer({ shutdownGraceMs: 100, workerId: 'slow' });
    runInTest(consumer, handler);
    onTestFinished(open);
    await scene.put('a 1');
    await until(() => expect(words).toEqual(['initialize TRIM_HORIZON', 'begins a 1', 'ends a 1']));
    const [{ sequenceNumber: first } = { sequenceNumber: '' }] = await scene.recordsOf(0);
    await until(async () => expect(await scene.checkpointOf(SHARD(0))).toBe(`${first}:0`));
    await scene.put('a 2');
    await until(() => expect(words.at(-1)).toBe('begins a 2'));
    const before = [...words];
    const { fencingToken = 0 } = consumer.view().shards[0] ?? {};
    let answer: readonly ReplayedShard[] | undefined;
    const replaying = consumer.replay({ from: 'TRIM_HORIZON' }).then((shards) => {
      answer = shards;
    });
    await until(() => expect(signals[0]?.aborted).toBe(true));
    // Through several renewals: no handler begins beside it, the lease stays where it is, and so does the checkpoint.
    const counterOf = async (): Promise<number> => Number((await scene.row(SHARD(0)))?.['leaseCounter']?.N);
    const counter = await counterOf();
    await until(async () => expect(await counterOf()).toBeGreaterThan(counter + 2));
    expect([words, answer]).toEqual([before, undefined]);
    expect(await scene.row(SHARD(0))).toMatchObject({ leaseOwner: { S: 'slow' }, checkpoint: { S: first } });
    expect(await consumer.replay({ from: 'TRIM_HORIZON' })).toMatchObject([{ outcome: 'underWay', heldBy: 'slow' }]);
    open();
    await replaying;
    expect(answer).toMatchObject([{ outcome: 'replayed', checkpoint: 'TRIM_HORIZON', heldBy: 'slow' }]);
    const again = ['initialize TRIM_HORIZON', 'begins a 1,a 2', 'ends a 1,a 2'];
    await until(() => expect(words).toEqual([...before, 'ends a 2', 'leaseLost', ...again]));
    expect(consumer.view().shards[0]?.fencingToken).toBeGreaterThan(fencingToken);
  });
});

describe('a worker that stops in the midst of a replay', () => {
  it('answers, and leaves the checkpoint where it was', async () => {
    const scene = new Scene(cloud, 'replay-stopped');
    const { passed, open } = gate();
    const { words, handler } = wordsOf('a 1', passed);
    const consumer = scene.consumer();
    const stop = runInTest(consumer, handler);
    onTestFinished(open);
    await scene.put('a 1');
    await until(() => expect(words.at(-1)).toBe('begins a 1'));
    const replaying = consumer.replay({ from: 'TRIM_HORIZON' });
    expect(await consumer.replay({ from: 'TRIM_HORIZON' })).toMatchObject([{ outcome: 'underWay' }]);
    const stopping = stop();
    open();
    expect(await replaying).toMatchObject([{ leaseKey: SHARD(0), outcome: 'leaseLost' }]);
    await stopping;
    const [{ sequenceNumber } = { sequenceNumber: '' }] = await scene.recordsOf(0);
    expect(await scene.checkpointOf(SHARD(0))).toBe(`${sequenceNumber}:0`);
  });

  it.each([
    ['just after the replay was asked for', true],
    ['just before', false],
  ] as const)('%s: the lease is given up, and no replay is under way', async (how, isAskedFirst) => {
    const scene = new Scene(cloud, `replay-stop-${isAskedFirst}`);
    const { words, handler } = wordsOf('none', Promise.resolve());
    const consumer = scene.consumer();
    const stop = runInTest(consumer, handler);
    await scene.put('a 1');
    await until(() => expect(words.at(-1)).toBe('ends a 1'));
    const froms = ['TRIM_HORIZON', { timestamp: new Date(0) }] as const;
    const ask = () => Promise.all(froms.map((from) => consumer.replay({ from })));
    const first = isAskedFirst ? ask() : undefined;
    const stopping = stop();
    const [replayed, handedOff] = await Promise.all([first ?? ask(), consumer.handOff()]);
    await stopping;
    const outcomes = [...replayed.flat(), ...handedOff].map(({ outcome }) => outcome);
    expect(outcomes).toEqual(['leaseLost', 'leaseLost', 'leaseLost']);
    const [{ sequenceNumber } = { sequenceNumber: '' }] = await scene.recordsOf(0);
    expect(await scene.checkpointOf(SHARD(0)), how).toBe(`${sequenceNumber}:0`);
  });
});

interface Word {
  readonly word: string;
  readonly fencingToken: number;
  readonly texts: readonly string[];
}

describe('a worker that is killed in the midst of a replay', () => {
  /** In which of the handler's words it dies, the first or the second tenure's, and where the next worker begins. */
  it.each([
    ['while the batch in hand is handled', 'processRecords', 1, 'was'],
    ['when the handler is told that it has to go', 'shutdownRequested', 1, 'was'],
    ['when the handler has gone', 'leaseLost', 1, 'was'],
    ['when the shard is opened again', 'initialize', 2, 'asked'],
    ['when the first records come again', 'processRecords', 2, 'asked'],
  ] as const)('%s: the next one goes on from the one place or the other', async (_when, word, tenure, from) => {
    const scene = new Scene(cloud, `replay-killed-${word}-${tenure}`);
    const options = {
      ...quick,
      failoverTimeMs: 500,
      application: scene.name,
      stream: scene.name,
      maxRecordsPerRead: 1,
    };
    const { clientConfig: kinesis } = cloud.kinesisServer;
    const { clientConfig: dynamoDB } = cloud.dynamoDBServer;
    const path = fileURLToPath(new URL('./fixtures/replay-worker.mjs', import.meta.url));
    const settings = JSON.stringify({ kinesis, dynamoDB, options: { ...options, workerId: 'victim' } });
    const child = fork(path, [settings], { execArgv: [] });
    onTestFinished(() => {
      child.kill('SIGKILL');
    });
    await scene.put(...TEXTS);
    const numbers = (await scene.recordsOf(0)).map(({ sequenceNumber }) => sequenceNumber);
    const tokens: number[] = [];
    let asked = false;
    const heard = async (message: Word): Promise<void> => {
      if (!tokens.includes(message.fencingToken)) tokens.push(message.fencingToken);
      // The third record is in hand, and the second is checkpointed, when it is to begin with the first again.
      if (!asked && message.texts.includes('a 3')) {
        await until(async () => expect(await scene.checkpointOf(SHARD(0))).toBe(`${numbers[1]}:0`));
        asked = true;
        child.send({ from: { sequenceNumber: numbers[0] } });
      }
      if (asked && message.word === word && tokens.length === tenure) child.kill('SIGKILL');
      else child.send('return', () => undefined);
    };
    const failures: unknown[] = [];
    child.on('message', (message: Word) => void heard(message).catch((error: unknown) => failures.push(error)));
    expect(await once(child, 'close')).toEqual([null, 'SIGKILL']);
    expect(failures).toEqual([]);
    // What the handler finished before it was told to go is checkpointed, and then the checkpoint goes back, by one write.
    const place = await scene.checkpointOf(SHARD(0));
    const was = { processRecords: [1], shutdownRequested: [1, 2], leaseLost: [2], initialize: [] }[word];
    expect(from === 'was' ? was.map((at) => `${numbers[at]}:0`) : [`${numbers[0]}:-1`]).toContain(place);
    const next = from === 'asked' ? TEXTS : TEXTS.slice(numbers.indexOf(place?.split(':')[0] ?? '') + 1);
    const handled = handleInTest(scene.consumer({ failoverTimeMs: 500 }));
    await until(() => expect(handled).toEqual(next));
  });
});

describe('two workers, of which one is asked to replay a shard that goes to the other', () => {
  interface Moving {
    readonly scene: Scene;
    readonly first: ReturnType<Scene['consumer']>;
    readonly second: ReturnType<Scene['consumer']>;
    readonly leaseKey: string;
    /** By worker, what its handlers finished. */
    readonly handled: Record<'first' | 'second', string[]>;
    open(): void;
  }

  /** To whom a worker knows that it hands a shard over. */
  const heirOf = (consumer: Moving['first'], leaseKey: string): string | undefined =>
    consumer.view().shards.find((shard) => shard.leaseKey === leaseKey)?.handingOffTo;

  /** One worker has both shards and all records of them in hand; by `move` another comes, and one shard is being handed over to it. */
  async function held(name: string): Promise<Omit<Moving, 'second' | 'leaseKey'> & { move(): Promise<Moving> }> {
    const scene = new Scene(cloud, name, 2);
    const { passed, open } = gate();
    const handled = { first: [] as string[], second: [] as string[] };
    const begun: string[] = [];
    const first = scene.consumer({ workerId: 'first', gracefulLeaseHandoffTimeoutMs: 60_000 });
    runInTest(first, async ({ records, shardId }) => {
      begun.push(shardId);
      await passed;
      handled.first.push(...records.map((record) => `${shardId} ${textOf(record)}`));
    });
    onTestFinished(open);
    await scene.put(...Array.from({ length: 40 }, (_, n) => `key${n} ${n}`));
    await until(() => expect(begun).toHaveLength(2));
    const move = async (): Promise<Moving> => {
      const second = scene.consumer({ workerId: 'second', gracefulLeaseHandoffTimeoutMs: 60_000 });
      runInTest(second, ({ records, shardId }) => {
        handled.second.push(...records.map((record) => `${shardId} ${textOf(record)}`));
      });
      const row = await until(async () => {
        const moving = (await scene.rows()).find(({ checkpointOwner }) => checkpointOwner?.S === 'first');
        expect(moving).toMatchObject({ leaseOwner: { S: 'second' } });
        return moving;
      });
      return { scene, first, second, leaseKey: row?.['leaseKey']?.S ?? '', handled, open };
    };
    return { scene, first, handled, open, move };
  }

  it('is refused once the handoff is known, with the heir in heldBy, which replays it when it has it', async () => {
    const { leaseKey, first, second, handled, open } = await (await held('replay-moving')).move();
    await until(() => expect(heirOf(first, leaseKey)).toBe('second'));
    const [answer] = await first.replay({ leaseKeys: leaseKey, from: 'TRIM_HORIZON' });
    expect(answer).toEqual({ leaseKey, outcome: 'notHeld', checkpoint: 'TRIM_HORIZON', heldBy: 'second' });
    open();
    const [shard] = await until(async () => {
      const shards = await second.replay({ leaseKeys: leaseKey, from: 'TRIM_HORIZON' });
      expect(shards).toMatchObject([{ outcome: 'replayed', heldBy: 'second' }]);
      return shards;
    });
    expect(shard?.checkpoint).toBe('TRIM_HORIZON');
    const ofShard = (texts: readonly string[]): string[] => texts.filter((text) => text.startsWith(leaseKey));
    const all = ofShard(handled.first);
    expect(all.length).toBeGreaterThan(0);
    // What the one had finished comes to the other again, because it was asked for, and not before.
    await until(() => expect(ofShard(handled.second)).toEqual(all));
  });

  it('and is handed over before it was done: it says so, and the heir goes on where the first one stopped', async () => {
    const moving = await held('replay-overtaken');
    const replaying = moving.first.replay({ from: 'TRIM_HORIZON' });
    const { leaseKey, handled, open, scene } = await moving.move();
    await until(() => expect(heirOf(moving.first, leaseKey)).toBe('second'));
    open();
    const shards = await replaying;
    const outcomes = new Map(shards.map((shard) => [shard.leaseKey, shard]));
    const other = shards.find((shard) => shard.leaseKey !== leaseKey)?.leaseKey ?? '';
    expect(outcomes.get(other)).toMatchObject({ outcome: 'replayed', heldBy: 'first' });
    expect(outcomes.get(leaseKey)).toMatchObject({ outcome: 'leaseLost', heldBy: 'second' });
    const ofShard = (shardId: string, texts: readonly string[]): string[] =>
      texts.filter((text) => text.startsWith(shardId));
    const records = await scene.recordsOf(Number(other.slice(-1)));
    const all = records.map(({ text }) => `${other} ${text}`);
    await until(() => expect(ofShard(other, handled.first)).toEqual([...all, ...all]));
    await scene.put(...Array.from({ length: 40 }, (_, n) => `key${n} later ${n}`));
    const moved = await scene.recordsOf(Number(leaseKey.slice(-1)));
    // Each record of the shard that went is handled once, by the one or the other: the replay was not done.
    await until(() =>
      expect([...ofShard(leaseKey, handled.first), ...ofShard(leaseKey, handled.second)]).toEqual(
        moved.map(({ text }) => `${leaseKey} ${text}`),
      ),
    );
    expect(ofShard(leaseKey, handled.second).length).toBeGreaterThan(0);
  });
});
