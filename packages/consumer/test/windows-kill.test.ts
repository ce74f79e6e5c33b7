// A Lambda function with tumbling windows in workers that are killed without a word while windows are open, over real sockets: what was in their
// states is gone with them, and is rebuilt from the checkpoint, which lies before the open window. Runs the built package (`npm test`
// builds first). When records came is said, not waited for.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { type Cloud, quick, Scene, startCloud, until } from './cloud.ts';

const WINDOW_MS = 1_000;
const WINDOW_COUNT = 12;
/** Not the same in each: batches end within windows as well as with them. */
const recordsOf = (window: number): number => 2 + ((window * 3) % 7);

let cloud: Cloud;
beforeAll(async () => {
  cloud = await startCloud();
});
afterAll(async () => {
  await cloud.close();
});

/** One call of the function, as it was told before it returned. */
interface Call {
  readonly worker: string;
  readonly call: number;
  /** Of the tenure. */
  readonly token: number;
  readonly shardId: string;
  /** Of the window, ms since 1970. */
  readonly start: number;
  readonly isFinal: boolean;
  /** What the state that it was given holds. */
  readonly before: readonly string[];
  readonly texts: readonly string[];
  /** It was let return. */
  hasReturned: boolean;
}

interface WorkerOptions {
  readonly retrievalMode: string;
  readonly name: string;
  /** In this call; the others return as soon as they have been heard of. */
  readonly dies: (call: Call) => boolean;
}

/** @param heard of all workers, in the order in which it came. */
function startWorker(scene: Scene, heard: Call[], { retrievalMode, name, dies }: WorkerOptions): ChildProcess {
  const options = {
    ...quick,
    failoverTimeMs: 500,
    application: scene.name,
    stream: scene.name,
    workerId: name,
    retrievalMode,
    maxRecordsPerRead: 10,
  };
  const { clientConfig: kinesis } = cloud.kinesisServer;
  const { clientConfig: dynamoDB } = cloud.dynamoDBServer;
  const lambda = { batchSize: 3, tumblingWindowInSeconds: WINDOW_MS / 1_000, tumblingWindowGraceMs: 100 };
  const path = fileURLToPath(new URL('./fixtures/window-worker.mjs', import.meta.url));
  const child = fork(path, [JSON.stringify({ kinesis, dynamoDB, options, lambda })], { execArgv: [] });
  let isDying = false;
  child.on('message', (message: Omit<Call, 'worker' | 'hasReturned'>) => {
    const call = { ...message, worker: name, hasReturned: false };
    heard.push(call);
    isDying ||= dies(call);
    if (isDying) {
      child.kill('SIGKILL');
      return;
    }
    call.hasReturned = true;
    child.send(call.call, () => undefined);
  });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  return child;
}

/** By shard, then by the window's start: what arrived in it, in order. */
type Truth = ReadonlyMap<string, ReadonlyMap<number, readonly string[]>>;

function fill(scene: Scene, firstMs: number): Truth {
  const truth = new Map<string, Map<number, string[]>>();
  const shards = scene.model.stream(scene.name, Date.now()).shards;
  for (const { id, origin } of shards) {
    const windows = new Map<number, string[]>();
    for (let window = 0; window < WINDOW_COUNT; window += 1) {
      const start = firstMs + window * WINDOW_MS;
      // The first of a window arrives with its first millisecond, the last with its last.
      const count = recordsOf(window);
      const texts = Array.from({ length: count }, (_, n) => `${id.slice(-1)} ${window}.${n}`);
      for (const [n, text] of texts.entries()) {
        const record = { partitionKey: 'k', explicitHashKey: origin.range.start, data: Buffer.from(text) };
        const at = start + Math.floor((n * (WINDOW_MS - 1)) / (count - 1));
        scene.model.putRecord({ streamName: scene.name, record }, at);
      }
      windows.set(start, texts);
    }
    truth.set(id, windows);
  }
  return truth;
}

/** By `of`, in order. */
function grouped(calls: readonly Call[], of: (call: Call) => string): Call[][] {
  const groups = new Map<string, Call[]>();
  for (const call of calls) groups.set(of(call), [...(groups.get(of(call)) ?? []), call]);
  return [...groups.values()];
}

/** Each tenure by itself: from the beginning of a window on, each record in its own window, and each window's last call once, with all of it. */
function judge(calls: readonly Call[], truth: Truth): void {
  for (const tenure of grouped(calls, ({ worker, shardId, token }) => `${worker} ${shardId} ${token}`)) {
    const windows = grouped(tenure, ({ start }) => String(start));
    const starts = windows.map(([first]) => first?.start ?? 0);
    expect(starts).toEqual([...starts].sort((a, b) => a - b));
    for (const ofWindow of windows) {
      const [{ shardId, start } = { shardId: '', start: 0 }] = ofWindow;
      const expected = truth.get(shardId)?.get(start) ?? [];
      const given = ofWindow.flatMap(({ texts }) => texts);
      expect(given).toEqual(expected.slice(0, given.length));
      const finals = ofWindow.filter(({ isFinal }) => isFinal);
      expect(finals.length).toBeLessThanOrEqual(1);
      for (const { before, texts } of finals) expect([...before, ...texts]).toEqual(expected);
      if (finals.length === 1) expect(ofWindow.at(-1)?.isFinal).toBe(true);
    }
    // All windows but the one that the tenure ended in.
    for (const ofWindow of windows.slice(0, -1)) expect(ofWindow.at(-1)).toMatchObject({ isFinal: true });
    // No window between two of a tenure is left out.
    const all = [...(truth.get(tenure[0]?.shardId ?? '')?.keys() ?? [])];
    const from = all.indexOf(starts[0] ?? 0);
    expect(starts).toEqual(all.slice(from, from + starts.length));
  }
}

const isOpen = ({ isFinal, before }: Call): boolean => !isFinal && before.length > 0;

/** In which call each of the workers dies; all that came before is theirs to look at. */
const deaths: Record<string, (call: Call, finished: number) => boolean> = {
  'in the midst of a window': (call, finished) => finished >= 3 && isOpen(call),
  'in the last call of a window': (call, finished) => finished >= 6 && call.isFinal,
  'in the call after a window was closed': (call, finished) => finished >= 9 && isOpen(call),
};

it.each([
  ['polling', Object.keys(deaths)],
  ['fanout', ['in the midst of a window']],
] as const)(
  'by %s: every record is in the window it arrived in, and each window is closed with all of its records',
  async (retrievalMode, killed) => {
    const firstMs = Math.floor(Date.now() / WINDOW_MS) * WINDOW_MS - 10 * WINDOW_COUNT * WINDOW_MS;
    const scene = new Scene(cloud, `windows-killed-${retrievalMode}`, 2, firstMs - 1);
    const truth = fill(scene, firstMs);
    const heard: Call[] = [];
    const isClosed = (shardId: string, start: number): boolean =>
      heard.some((call) => call.isFinal && call.hasReturned && call.shardId === shardId && call.start === start);
    for (const how of killed) {
      const dies = (call: Call): boolean => {
        const finals = new Set(heard.filter(({ isFinal }) => isFinal).map(({ start }) => start));
        return deaths[how]?.(call, finals.size) ?? false;
      };
      const child = startWorker(scene, heard, { retrievalMode, name: how, dies });
      expect(await once(child, 'close')).toEqual([null, 'SIGKILL']);
      // With it went a state that nobody else has, and no checkpoint is past the beginning of its window.
      const gone = heard.filter(({ worker, hasReturned }) => worker === how && !hasReturned);
      expect(gone.some(({ before }) => before.length > 0)).toBe(true);
      for (const [shardId, windows] of truth) {
        const checkpoint = /^(\d+):/.exec((await scene.checkpointOf(shardId)) ?? '')?.[1] ?? '0';
        const records = await scene.recordsOf(Number(shardId.slice(-1)));
        const past = records.filter(({ sequenceNumber }) => BigInt(sequenceNumber) <= BigInt(checkpoint));
        const whole = [...windows].flatMap(([start, texts]) => (isClosed(shardId, start) ? texts : []));
        expect(past.map(({ text }) => text)).toEqual(whole.slice(0, past.length));
      }
    }
    const last = startWorker(scene, heard, { retrievalMode, name: 'last', dies: () => false });
    const all = [...truth].flatMap(([shardId, windows]) =>
      [...windows.keys()].map((start) => [shardId, start] as const),
    );
    await until(() => expect(all.filter(([shardId, start]) => !isClosed(shardId, start))).toEqual([]));
    const exited = once(last, 'exit');
    last.send('stop');
    expect(await exited).toEqual([0, null]);
    judge(heard, truth);
  },
  90_000,
);
