// A fleet on the stage: a stream that is fed all the time, one application with tables of its own, and workers of both kinds that
// come, go and are killed, with waits on what they say. What came of it is an outcome: the counts, what the history shows to be
// wrong, and how long shards rested. Whatever becomes of it, it leaves nothing running.
import { GetItemCommand, ResourceNotFoundException } from '@aws-sdk/client-dynamodb';
import { createDynamoDBClient } from '@shardline/common';
import { FleetReader, type FleetView } from '@shardline/consumer';
import type { LocalKinesis } from '@shardline/local';
import type { JavaProgram } from '../java/build.ts';
import { FedStream } from '../kcl/fed-stream.ts';
import { faultsOf, placeOf } from '../kcl/history.ts';
import { type KclWorkerOptions, startKclWorker } from '../kcl/kcl-worker.ts';
import { until, untilAsked, type WorkerEvent, type WorkerKind, type WorkerProcess } from '../kcl/worker-process.ts';
import { type Move, movesOf } from './moves.ts';
import { type NodeWorkerOptions, startNodeWorker } from './node-worker.ts';
import { tenureFaults, tenuresOf } from './tenures.ts';

/** What a scenario plays on. */
export interface Setting {
  readonly kinesis: LocalKinesis;
  readonly dynamoDBEndpoint: string;
}

/** What came of a scenario. Records are user records. */
export interface Outcome {
  readonly name: string;
  /** That our producer put. */
  readonly records: number;
  /** Of these, given to a handler at least once. */
  readonly handled: number;
  readonly skipped: number;
  /** Given to a handler once more. */
  readonly duplicates: number;
  readonly ok: boolean;
  readonly faults: readonly string[];
  readonly moves: readonly Move[];
}

export interface Casting {
  readonly shardCount: number;
  /** Of its Java workers. */
  readonly program: JavaProgram;
  /** How all of its workers read; by fan-out as one registered consumer. Default: POLLING. */
  readonly mode?: KclWorkerOptions['mode'];
  /** Beside those of all fleets, by the names of the workers' environment. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Beside these, those of one kind of worker. */
  readonly environmentOf?: Readonly<Partial<Record<WorkerKind, Readonly<Record<string, string>>>>>;
  /** A record straight into every shard, so often. Default: what our producer puts. */
  readonly pulseMs?: number;
}

/**
 * Of all workers of a fleet, by the names of their environment. The lease must outlast the time for which a busy machine forgets
 * about a process; what only waits is short.
 */
export const TIMES = {
  FAILOVER_MS: '6000',
  ASSIGNMENT_INTERVAL_MS: '2000',
  LEADER_LEASE_MS: '6000',
  METRICS_REPORT_INTERVAL_MS: '3000',
} as const;
type Row = Record<string, { readonly S?: string | undefined }>;

/** Enough for every shard to have some of either kind. */
const KEYS_EACH = 24;

export class Fleet extends FedStream {
  readonly workers: WorkerProcess[] = [];
  readonly #setting: Setting;
  readonly #program: JavaProgram;
  readonly #mode: KclWorkerOptions['mode'];
  readonly #environments: Readonly<Record<WorkerKind, Readonly<Record<string, string>>>>;
  readonly #dynamoDB;
  readonly #reader: FleetReader;
  readonly #delivered: Set<string> = new Set();
  readonly #unmet: string[] = [];
  /** Those that led when they were killed. */
  readonly #fallen: Set<string> = new Set();
  /** By shard, who delivered its last record, and when. */
  readonly #readers: Map<string, { readonly worker: WorkerProcess; readonly at: number }> = new Map();

  private constructor(setting: Setting, name: string, casting: Casting) {
    const { shardCount, program, mode = 'POLLING', environment = {}, environmentOf = {}, pulseMs } = casting;
    super(setting.kinesis, name, shardCount, { keysEach: KEYS_EACH, pulseMs });
    this.#setting = setting;
    this.#program = program;
    this.#mode = mode;
    const all = { ...TIMES, ...environment };
    this.#environments = { java: { ...all, ...environmentOf.java }, node: { ...all, ...environmentOf.node } };
    const credentials = { accessKeyId: 'local', secretAccessKey: 'local' };
    this.#dynamoDB = createDynamoDBClient({ endpoint: setting.dynamoDBEndpoint, region: 'us-east-1', credentials });
    this.#reader = new FleetReader({ application: name, dynamoDBClient: this.#dynamoDB });
  }

  /** Plays it to its end, while records come in all the time. Whatever goes wrong is in the outcome. */
  static async play(
    setting: Setting,
    name: string,
    casting: Casting,
    act: (fleet: Fleet) => Promise<void>,
  ): Promise<Outcome> {
    const fleet = new Fleet(setting, name, casting);
    const troubles: string[] = [];
    try {
      fleet.feed.run();
      await act(fleet);
      await fleet.feed.stop();
      await fleet.#untilAllDelivered();
    } catch (error) {
      troubles.push(error instanceof Error ? error.message : String(error));
    } finally {
      await fleet.feed.close();
      await Promise.all(fleet.workers.map((worker) => worker.end()));
      fleet.#dynamoDB.destroy();
    }
    return fleet.#outcome(troubles);
  }

  async startJava(workerId: string): Promise<WorkerProcess> {
    return this.#enter(
      await startKclWorker({
        ...this.#place(workerId, 'java'),
        wire: 'CBOR',
        kinesisCertificate: undefined,
        program: this.#program,
      }),
    );
  }

  start(kind: WorkerKind, workerId: string): Promise<WorkerProcess> {
    return kind === 'java' ? this.startJava(workerId) : this.startNode(workerId);
  }

  async startNode(workerId: string): Promise<WorkerProcess> {
    return this.#enter(await startNodeWorker(this.#place(workerId, 'node')));
  }

  /** SIGKILL, and a note of whether it led. */
  async kill(worker: WorkerProcess): Promise<void> {
    if ((await this.#leader()) === worker.workerId) this.#fallen.add(worker.workerId);
    await worker.kill();
  }

  /** What does not hold is a fault, but the scenario goes on. */
  demand(holds: boolean, what: string): void {
    if (!holds) this.#unmet.push(`expected that ${what}`);
  }

  /** Until it leads. */
  untilLeads(worker: WorkerProcess, timeoutMs?: number): Promise<void> {
    const { workerId } = worker;
    return untilAsked(`${workerId} leads`, this.#alive, async () => (await this.#leader()) === workerId, timeoutMs);
  }

  /** Until the fleet says in its row `Migration3.0` that it speaks this, without the prefix CLIENT_VERSION_. */
  untilSpeaks(version: string, timeoutMs?: number): Promise<void> {
    const speaks = async (): Promise<boolean> =>
      (await this.#state('Migration3.0'))?.['cv']?.S === `CLIENT_VERSION_${version}`;
    return untilAsked(`the fleet speaks ${version}`, this.#alive, speaks, timeoutMs);
  }

  /** Until it has delivered records of so many shards that are its own now. */
  untilReads(worker: WorkerProcess, shardCount: number): Promise<void> {
    const what = `${worker.workerId} reads ${shardCount} shards`;
    return until(what, this.#alive, () => this.readBy(worker).length >= shardCount);
  }

  /** Until each open shard has had a record delivered from now on, and by one of these. */
  untilReadBy(...workers: readonly WorkerProcess[]): Promise<void> {
    const since = Date.now();
    const what = `every shard is read by ${workers.map(({ workerId }) => workerId).join(' or ')}`;
    return until(what, this.#alive, () =>
      this.shards.every(({ id, isOpen }) => {
        const reader = this.#readers.get(id);
        return !isOpen || (reader !== undefined && reader.at > since && workers.includes(reader.worker));
      }),
    );
  }

  /** The open shards of which it delivered the last record. */
  readBy(worker: WorkerProcess): string[] {
    return this.shards.flatMap(({ id, isOpen }) => (isOpen && this.#readers.get(id)?.worker === worker ? [id] : []));
  }

  /** Until others can see that it lives: it has written its metric row. */
  untilReports({ workerId }: WorkerProcess): Promise<void> {
    const reports = async (): Promise<boolean> => (await this.#row(this.stream, 'leaseKey', workerId)) !== undefined;
    return untilAsked(`${workerId} reports`, this.#alive, reports);
  }

  /** What the tables show of it. */
  seen(): Promise<FleetView> {
    return this.#reader.read();
  }

  /** Until the tables show this. */
  untilSeen(what: string, isSo: (view: FleetView) => boolean): Promise<void> {
    return untilAsked(what, this.#alive, async () => isSo(await this.seen()));
  }

  /** Until what is said by workers makes it so. */
  until(what: string, isSo: () => boolean): Promise<void> {
    return until(what, this.#alive, isSo);
  }

  /** Who delivered the last record of a shard. */
  readerOf(shardId: string): WorkerProcess | undefined {
    return this.#readers.get(shardId)?.worker;
  }

  /** Who leads, as its row says. */
  async leading(): Promise<WorkerProcess | undefined> {
    const leader = await this.#leader();
    return this.workers.find(({ workerId }) => workerId === leader);
  }

  async #leader(): Promise<string | undefined> {
    return (await this.#state('Leader'))?.['ownerName']?.S;
  }

  /** A row of the fleet's state: in one of the three tables of the KCL 3.0 to 3.4, or in the one of 3.5. */
  async #state(key: string): Promise<Row | undefined> {
    return (
      (await this.#row(`${this.stream}-CoordinatorState`, 'key', key)) ??
      (await this.#row(this.stream, 'leaseKey', key))
    );
  }

  async #row(TableName: string, keyName: string, key: string): Promise<Row | undefined> {
    try {
      const Key = { [keyName]: { S: key } };
      return (await this.#dynamoDB.send(new GetItemCommand({ TableName, Key, ConsistentRead: true }))).Item;
    } catch (error) {
      if (error instanceof ResourceNotFoundException) return undefined;
      throw error;
    }
  }

  get #alive(): WorkerProcess[] {
    return this.workers.filter(({ hasEnded }) => !hasEnded);
  }

  #place(workerId: string, kind: WorkerKind): NodeWorkerOptions {
    const { stream } = this;
    const { kinesis, dynamoDBEndpoint } = this.#setting;
    const endpoints = { kinesisEndpoint: kinesis.endpoint, dynamoDBEndpoint };
    const times = this.#environments[kind];
    return { workerId, application: stream, stream, mode: this.#mode, ...endpoints, times };
  }

  #enter(worker: WorkerProcess): WorkerProcess {
    const note = (event: WorkerEvent): void => {
      if (event.event !== 'record') return;
      this.#delivered.add(placeOf(event));
      const last = this.#readers.get(event.shard);
      // A worker that has lost the lease may go on for a while.
      if (last === undefined || last.at <= event.at) this.#readers.set(event.shard, { worker, at: event.at });
    };
    worker.onEvent(note);
    // What it said before it was listened to.
    worker.said.forEach(note);
    this.workers.push(worker);
    return worker;
  }

  async #untilAllDelivered(): Promise<void> {
    const missing = new Set(this.feed.records.map(placeOf));
    await until(`all ${missing.size} records are delivered`, this.#alive, () => {
      for (const place of missing) {
        if (!this.#delivered.has(place)) return false;
        missing.delete(place);
      }
      return true;
    });
  }

  #outcome(troubles: readonly string[]): Outcome {
    const put = this.feed.records;
    const deliveries = this.workers.flatMap(({ records }) => records.map(({ key, data }) => `${key} ${data}`));
    const names = new Set(put.map(({ key, number }) => `${key} ${number}`));
    const handled = [...new Set(deliveries)].filter((name) => names.has(name)).length;
    const tenures = tenuresOf(this.workers);
    const failoverMs = Math.max(...Object.values(this.#environments).map((times) => Number(times['FAILOVER_MS'])));
    // A scene that was broken off has lost everything, which says nothing.
    const told = [...this.#unmet, ...faultsOf(put, this.workers, this.shards), ...tenureFaults(tenures, failoverMs)];
    const faults = troubles.length > 0 ? troubles : told;
    return {
      name: this.stream,
      records: put.length,
      handled,
      skipped: put.length - handled,
      duplicates: deliveries.length - handled,
      ok: faults.length === 0,
      faults,
      moves: movesOf(tenures, this.workers, this.#fallen),
    };
  }
}
