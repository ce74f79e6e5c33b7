// The native KPL and our producer put into one stream while it is split and merged; a worker of the Java KCL and one of ours, each
// of an application of its own, read it. Then all are counted: what either producer said is stored has to come to either reader. What the
// KPL leaves in an aggregated record with a stray in it the KCL drops; that is told apart, and ours must have none of it.
import type { LocalKinesis, LocalTls } from '@shardline/local';
import { TIMES } from '../fleet/fleet.ts';
import { startNodeWorker } from '../fleet/node-worker.ts';
import { FedStream, shardIdOf } from '../kcl/fed-stream.ts';
import { faultsOf } from '../kcl/history.ts';
import { startKclWorker } from '../kcl/kcl-worker.ts';
import { type RecordEvent, until, type WorkerKind, type WorkerProcess } from '../kcl/worker-process.ts';
import { KplFeed } from './kpl-feed.ts';
import { KplProducer } from './kpl-producer.ts';
import { readStream } from './read-stream.ts';
import { nameOf, readableNames } from './readable.ts';

export interface Setting {
  readonly kinesis: LocalKinesis & LocalTls;
  readonly dynamoDBEndpoint: string;
}

type Writer = 'kpl' | 'ours';

/** User records of a producer that came to a reader. */
export interface Count {
  readonly handled: number;
  /** Stored, and never given to the handler. */
  readonly missing: number;
  /** Of the missing, those that lie nowhere but in aggregated records which the KCL drops. */
  readonly dropped: number;
  /** Given to the handler once more. */
  readonly duplicates: number;
}

export interface Outcome {
  /** User records that each producer has stored. */
  readonly records: Readonly<Record<Writer, number>>;
  readonly readers: Readonly<Record<WorkerKind, Readonly<Record<Writer, Count>>>>;
  readonly ok: boolean;
  readonly faults: readonly string[];
}

const KPL_KEYS = 1_000;
/** Enough for every shard to have some of either kind of ours. */
const KEYS_EACH = 24;
const KPL_KEY_PREFIX = 'key-';

export async function playBesideOurs(setting: Setting, stream: string): Promise<Outcome> {
  await using stage = new Stage(setting, stream);
  return await stage.play();
}

class Stage extends FedStream implements AsyncDisposable {
  readonly #setting: Setting;
  readonly #readers: WorkerProcess[] = [];
  #kpl: KplProducer | undefined;

  constructor(setting: Setting, stream: string) {
    super(setting.kinesis, stream, 3, { keysEach: KEYS_EACH });
    this.#setting = setting;
  }

  async play(): Promise<Outcome> {
    const { stream } = this;
    const port = this.#setting.kinesis.tlsPort;
    const [java, node, kpl] = await Promise.all([
      this.#startJava(),
      this.#startNode(),
      KplProducer.start({ stream, port, aggregation: true, keyCount: KPL_KEYS }),
    ]);
    this.#readers.push(java, node);
    this.#kpl = kpl;
    const kplFeed = new KplFeed(kpl);
    this.feed.run();
    kplFeed.run();
    await this.#untilBothReadBoth([0, 1, 2]);
    this.splitShard(0);
    await this.#untilBothReadBoth([3, 4]);
    this.mergeShards(1, 2);
    await this.#untilBothReadBoth([5]);
    await Promise.all([this.feed.stop(), kplFeed.stop()]);
    return await this.#count(kplFeed, { java, node });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.feed.close();
    await Promise.all([this.#kpl?.end(), ...this.#readers.map((reader) => reader.end())]);
  }

  #startJava(): Promise<WorkerProcess> {
    const { kinesis, dynamoDBEndpoint } = this.#setting;
    const application = `${this.stream}-java`;
    return startKclWorker({
      ...{ workerId: 'java', application, stream: this.stream, mode: 'POLLING', wire: 'CBOR', dynamoDBEndpoint },
      kinesisEndpoint: kinesis.endpoint,
      kinesisCertificate: undefined,
    });
  }

  #startNode(): Promise<WorkerProcess> {
    const { kinesis, dynamoDBEndpoint } = this.#setting;
    const application = `${this.stream}-node`;
    const endpoints = { kinesisEndpoint: kinesis.endpoint, dynamoDBEndpoint };
    const place = { workerId: 'node', application, stream: this.stream, mode: 'POLLING' } as const;
    return startNodeWorker({ ...place, ...endpoints, times: TIMES });
  }

  /** Until each reader has had records of each producer from all of these shards. */
  async #untilBothReadBoth(numbers: readonly number[]): Promise<void> {
    const wanted = new Set(
      this.#readers.flatMap(({ workerId }) =>
        numbers.flatMap((number) => (['kpl', 'ours'] as const).map((by) => `${workerId} ${shardIdOf(number)} ${by}`)),
      ),
    );
    await this.#untilDelivered(
      wanted,
      `both readers have records of both producers from ${numbers.join(', ')}`,
      (of, record) => `${of} ${record.shard} ${writerOf(record)}`,
    );
  }

  /** Until every one of these names has been given to somebody; what was given before counts. */
  async #untilDelivered(
    missing: Set<string>,
    what: string,
    nameFor: (workerId: string, record: RecordEvent) => string,
  ): Promise<void> {
    const seen = new Map(this.#readers.map((reader) => [reader, 0]));
    await until(what, this.#readers, () => {
      for (const [reader, from] of seen) {
        for (const record of reader.records.slice(from)) missing.delete(nameFor(reader.workerId, record));
        seen.set(reader, reader.records.length);
      }
      return missing.size === 0;
    });
  }

  async #count(kplFeed: KplFeed, readers: Readonly<Record<WorkerKind, WorkerProcess>>): Promise<Outcome> {
    const refused = kplFeed.outcomes.filter(({ stored }) => !stored);
    const stored: Readonly<Record<Writer, ReadonlySet<string>>> = {
      kpl: new Set(kplFeed.outcomes.filter((outcome) => outcome.stored).map(nameOf)),
      ours: new Set(this.feed.records.map(({ key, number }) => `${key} ${number}`)),
    };
    const ranges = new Map(this.shards.map(({ id, range }) => [id, range]));
    const readable = readableNames(readStream(this.#setting.kinesis.model, this.stream), (shard) => {
      const range = ranges.get(shard);
      if (range === undefined) throw new Error(`${shard} is not there`);
      return range;
    });
    const all = [...stored.kpl, ...stored.ours];
    // Ours delivers what is in a wrong shard as well.
    const due = [
      ...all.map((name) => `node ${name}`),
      ...all.filter((name) => readable.has(name)).map((name) => `java ${name}`),
    ];
    const troubles: string[] = [];
    await this.#untilDelivered(
      new Set(due),
      `all ${all.length} records are delivered`,
      (of, record) => `${of} ${nameOf(record)}`,
    ).catch((error: unknown) => troubles.push(String(error)));
    const countsOf = (reader: WorkerProcess): Readonly<Record<Writer, Count>> => ({
      kpl: countOf(stored.kpl, reader.records, readable),
      ours: countOf(stored.ours, reader.records, readable),
    });
    const counts = { java: countsOf(readers.java), node: countsOf(readers.node) };
    const faults = [
      ...troubles,
      ...refused.map((outcome) => `the KPL did not store ${nameOf(outcome)}: ${outcome.errors.join(', ')}`),
      ...Object.values(readers).flatMap((reader) => this.#faultsOf(reader)),
      ...shortfalls('java', counts.java, true),
      ...shortfalls('node', counts.node, false),
    ];
    return {
      records: { kpl: stored.kpl.size, ours: stored.ours.size },
      readers: counts,
      ok: faults.length === 0,
      faults,
    };
  }

  /** What must hold of our own records: each as it is and where it lies, in the order of its shard and of its key. */
  #faultsOf({ workerId, events, records }: WorkerProcess): string[] {
    const ofOurs = records.filter((record) => writerOf(record) === 'ours');
    return faultsOf(this.feed.records, [{ workerId, events, records: ofOurs }], this.shards).map(
      (fault) => `${workerId}: ${fault}`,
    );
  }
}

function countOf(stored: ReadonlySet<string>, records: readonly RecordEvent[], readable: ReadonlySet<string>): Count {
  const given = records.map(nameOf).filter((name) => stored.has(name));
  const handled = new Set(given);
  const missing = [...stored].filter((name) => !handled.has(name));
  return {
    handled: handled.size,
    missing: missing.length,
    dropped: missing.filter((name) => !readable.has(name)).length,
    duplicates: given.length - handled.size,
  };
}

function shortfalls(reader: WorkerKind, counts: Readonly<Record<Writer, Count>>, mayDropKpls: boolean): string[] {
  return (['kpl', 'ours'] as const).flatMap((writer) => {
    const { missing, dropped } = counts[writer];
    const allowed = writer === 'kpl' && mayDropKpls ? dropped : 0;
    return missing > allowed
      ? [`${reader}: ${missing} records of ${writer} are missing, ${dropped} of them dropped`]
      : [];
  });
}

function writerOf({ key }: Pick<RecordEvent, 'key'>): Writer {
  return key.startsWith(KPL_KEY_PREFIX) ? 'kpl' : 'ours';
}
