// A stream of the local Kinesis with what is put into it, and the Java KCL workers of an application of its own that read it, so
// that scenes play side by side on one server. Whatever becomes of a scene, it leaves nothing running.
import type { LocalKinesis, LocalTls } from '@shardline/local';
import { expect } from 'vitest';
import { FedStream } from './fed-stream.ts';
import { faultsOf, placeOf } from './history.ts';
import { type KclWorkerOptions, startKclWorker } from './kcl-worker.ts';
import { until, type WorkerProcess } from './worker-process.ts';

export interface Setting extends Pick<KclWorkerOptions, 'mode' | 'wire' | 'dynamoDBEndpoint'> {
  readonly kinesis: LocalKinesis & LocalTls;
  readonly over: 'clear text' | 'TLS';
  /** The server's time. Default: the system's. */
  readonly now?: () => number;
}

export class Scene extends FedStream {
  readonly workers: WorkerProcess[] = [];
  readonly #setting: Setting;
  readonly #delivered: Set<string> = new Set();

  private constructor(setting: Setting, stream: string, shardCount: number) {
    super(setting.kinesis, stream, shardCount, { now: setting.now });
    this.#setting = setting;
  }

  static async play(
    setting: Setting,
    stream: string,
    shardCount: number,
    act: (scene: Scene) => Promise<void>,
  ): Promise<void> {
    const scene = new Scene(setting, stream, shardCount);
    try {
      await act(scene);
      console.log(scene.#summary());
    } finally {
      await scene.feed.close();
      await Promise.all(scene.workers.map((worker) => worker.end()));
    }
  }

  async startWorker(workerId: string): Promise<WorkerProcess> {
    const { stream } = this;
    const { mode, wire, over, dynamoDBEndpoint, kinesis } = this.#setting;
    const worker = await startKclWorker({
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

  /** Waits until every record was delivered, and finds that all is as it should be. */
  async expectAll(): Promise<void> {
    const put = this.feed.records;
    const open = this.shards.filter(({ isOpen }) => isOpen).map(({ id }) => id);
    // Worth something only if every shard had records of both kinds.
    const written = this.shards.filter(({ isShortLived }) => !isShortLived);
    expect(new Set(put.map(({ shard }) => shard))).toEqual(new Set(written.map(({ id }) => id)));
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

/** What a worker warned of, each thing once, without the time. */
function complaints(stderr: string): string[] {
  const lines = stderr.split('\n').filter((line) => /^\S+ (WARN|ERROR)/.test(line));
  return [...new Set(lines.map((line) => line.slice(13, 213)))].slice(0, 20);
}
