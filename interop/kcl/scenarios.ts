// What real Java KCL workers go through, in either way of retrieval: a reshard under load, a stream that was resharded before they
// came, a worker that leaves. Each scenario has a stream and an application of its own, so they run side by side.
import { toHashKey } from '@shardline/common';
import type { LocalKinesis, LocalTls } from '@shardline/local';
import { expect } from 'vitest';
import { Feed } from './feed.ts';
import { faultsOf, placeOf } from './history.ts';
import { KclWorker, type KclWorkerOptions, until } from './kcl-worker.ts';

export interface Setting extends Pick<KclWorkerOptions, 'mode' | 'wire' | 'dynamoDBEndpoint'> {
  readonly kinesis: LocalKinesis & LocalTls;
  readonly over: 'clear text' | 'TLS';
}

/** A stream, what is put into it, and the workers that read it; all ended at the end. */
class Scene {
  readonly stream: string;
  readonly feed: Feed;
  readonly workers: KclWorker[] = [];
  readonly #setting: Setting;
  readonly #delivered: Set<string> = new Set();

  private constructor(setting: Setting, stream: string) {
    this.stream = stream;
    this.#setting = setting;
    this.feed = new Feed(stream, setting.kinesis.clientConfig);
  }

  static async play(
    setting: Setting,
    stream: string,
    shardCount: number,
    act: (scene: Scene) => Promise<void>,
  ): Promise<void> {
    setting.kinesis.model.createStream({ name: stream, shardCount }, Date.now());
    const scene = new Scene(setting, stream);
    try {
      await act(scene);
      console.log(scene.#summary());
    } finally {
      await scene.feed.close();
      await Promise.all(scene.workers.map((worker) => worker.end()));
    }
  }

  async startWorker(workerId: string): Promise<KclWorker> {
    const { stream } = this;
    const { mode, wire, over, dynamoDBEndpoint, kinesis } = this.#setting;
    const worker = await KclWorker.start({
      ...{ workerId, application: stream, stream, mode, wire, dynamoDBEndpoint },
      kinesisEndpoint: over === 'TLS' ? kinesis.tlsEndpoint : kinesis.endpoint,
      kinesisCertificate: over === 'TLS' ? kinesis.certificate : undefined,
    });
    worker.onEvent((event) => event.event === 'record' && this.#delivered.add(placeOf(event)));
    this.workers.push(worker);
    return worker;
  }

  /** For the log: how much was delivered, and when what happened, in seconds since the first worker's start. */
  #summary(): string {
    const { stream, feed, workers } = this;
    const delivered = workers.reduce((sum, worker) => sum + worker.records.length, 0);
    const startedAt = workers[0]?.events[0]?.at ?? 0;
    const times = workers.flatMap(({ workerId, events, records }) =>
      [...events, ...records.slice(0, 1)].map((event) => ({
        at: event.at,
        text: `${workerId} ${event.event}${'shard' in event ? ` ${event.shard?.slice(-2)}` : ''}`,
      })),
    );
    const lines = times
      .sort((a, b) => a.at - b.at)
      .map(({ at, text }) => `  ${((at - startedAt) / 1000).toFixed(1)} s ${text}`);
    return [
      `${stream}: ${feed.records.length} user records, ${delivered} deliveries`,
      ...lines,
      ...workers.flatMap(({ workerId, stderr }) => complaints(stderr).map((line) => `  ${workerId} logged ${line}`)),
    ].join('\n');
  }

  get shards(): { readonly id: string; readonly parentIds: readonly string[]; readonly isOpen: boolean }[] {
    const { shards } = this.#setting.kinesis.model.stream(this.stream, Date.now());
    return shards.map(({ id, origin, isOpen }) => ({ id, parentIds: origin.parentIds, isOpen }));
  }

  splitShard(number: number): void {
    const { model } = this.#setting.kinesis;
    const shardId = shardIdOf(number);
    const range = model.stream(this.stream, Date.now()).shard(shardId)?.origin.range;
    if (range === undefined) throw new Error(`${shardId} is not there`);
    const newStartingHashKey = toHashKey((range.start + range.end) / 2n);
    model.splitShard({ streamName: this.stream, shardId, newStartingHashKey }, Date.now());
  }

  mergeShards(number: number, adjacent: number): void {
    const shards = { shardId: shardIdOf(number), adjacentShardId: shardIdOf(adjacent) };
    this.#setting.kinesis.model.mergeShards({ streamName: this.stream, ...shards }, Date.now());
  }

  /** Waits until every record was delivered, and finds that all is as it should be. */
  async expectAll(): Promise<void> {
    const put = this.feed.records;
    const open = this.shards.filter(({ isOpen }) => isOpen).map(({ id }) => id);
    // Worth something only if every shard had records of both kinds.
    expect(new Set(put.map(({ shard }) => shard))).toEqual(new Set(this.shards.map(({ id }) => id)));
    const running = this.workers.filter((worker) => !worker.hasEnded);
    const missing = new Set(put.map(placeOf));
    await until(`all ${put.length} records delivered`, running, () => {
      for (const place of missing) {
        if (!this.#delivered.has(place)) return false;
        missing.delete(place);
      }
      return true;
    });
    expect(faultsOf(put, this.workers, this.shards)).toEqual([]);
    const delivered = this.workers.flatMap((worker) => worker.records);
    for (const shard of open) {
      const kinds = new Set(delivered.filter((record) => record.shard === shard).map(({ aggregated }) => aggregated));
      expect({ shard, kinds }).toEqual({ shard, kinds: new Set([true, false]) });
    }
  }
}

/** One shard is split and two others are merged while records come in all the time. */
export function reshardUnderLoad(setting: Setting): Promise<void> {
  return Scene.play(setting, `${setting.mode}-reshard`.toLowerCase(), 3, async (scene) => {
    scene.feed.run();
    const worker = await scene.startWorker('w1');
    await until('records of every shard', scene.workers, () => has(worker.recordShards, [0, 1, 2]));
    scene.splitShard(0);
    scene.mergeShards(1, 2);
    await until('parents ended', scene.workers, () => has(worker.shardsOf('shardEnded'), [0, 1, 2]));
    await until('records of children', scene.workers, () => has(worker.recordShards, [3, 4, 5]));
    await scene.feed.stop();
    await scene.expectAll();
  });
}

/** The application is new, the stream is not: shards have ended that still hold records. */
export function freshOnResharded(setting: Setting): Promise<void> {
  return Scene.play(setting, `${setting.mode}-fresh`.toLowerCase(), 2, async (scene) => {
    await scene.feed.put();
    scene.splitShard(0);
    await scene.feed.put();
    scene.mergeShards(3, 1);
    await scene.feed.put();
    scene.splitShard(4);
    await scene.feed.put();
    await scene.startWorker('w1');
    await scene.expectAll();
  });
}

/** Two workers share the shards; one is told to stop, and the other goes on where it ended. */
export function oneOfTwoStops(setting: Setting): Promise<void> {
  return Scene.play(setting, `${setting.mode}-two`.toLowerCase(), 4, async (scene) => {
    scene.feed.run();
    const leaving = await scene.startWorker('w1');
    // Two that make the table together trip over each other (KCL 3.5.1: "AssignmentMode is not initialized", for good).
    await until('the first worker delivers', scene.workers, () => leaving.records.length > 0);
    const staying = await scene.startWorker('w2');
    await until('the second worker delivers', scene.workers, () => staying.records.length > 0);
    const handedOver = new Set(leaving.shardsOf('init'));
    await leaving.stop();
    expect(leaving.events.at(-1)).toMatchObject({ event: 'stopped', graceful: true });
    await until('the other takes over', [staying], () => has(staying.shardsOf('init'), [0, 1, 2, 3]));
    await scene.feed.stop();
    await scene.expectAll();
    expect(handedOver.size).toBeGreaterThan(0);
    expect(new Set(leaving.shardsOf('shutdownRequested')).size).toBeGreaterThan(0);
  });
}

/** What a worker warned of, each thing once, without the time. */
function complaints(stderr: string): string[] {
  const lines = stderr.split('\n').filter((line) => /^\S+ (WARN|ERROR)/.test(line));
  return [...new Set(lines.map((line) => line.slice(13, 213)))].slice(0, 20);
}

function shardIdOf(number: number): string {
  return `shardId-${String(number).padStart(12, '0')}`;
}

function has(shardIds: Iterable<string>, numbers: readonly number[]): boolean {
  const ids = new Set(shardIds);
  return numbers.every((number) => ids.has(shardIdOf(number)));
}
