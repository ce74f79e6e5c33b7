// The KCL's metrics, row by row of kcl-metrics.ts: each is told by a worker of ours, under the same name, dimensions and unit as CloudWatch
// gets them, and at the same level; or docs/metrics.md says why not. And the page says neither more nor less than what is told.
import { readFileSync } from 'node:fs';
import { GetItemCommand, QueryCommand } from '@aws-sdk/client-dynamodb';
import { createDynamoDBClient, type MetricsSink, silentLogger } from '@shardline/common';
import { type CloudWatchDatum, type CloudWatchMetrics, consumerCloudWatch } from '@shardline/common/cloudwatch';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { ConsumerOptions } from '../src/consumer-options.ts';
import { readMetrics } from '../src/metrics-selection.ts';
import { EffectMetrics } from '../src/runtime/effect-metrics.ts';
import { WorkerMetrics } from '../src/runtime/worker-metrics.ts';
import { type Cloud, handleInTest, runInTest, Scene, SHARD, startCloud, until } from './cloud.ts';
import { type Fault, type ProxiedRequest, startFaultProxy } from './fault-proxy.ts';
import { type KclMetric, kclMetrics, ourMetrics, type Shown } from './kcl-metrics.ts';
import { testCredentials } from './local-dynamodb.ts';
import { childOf, lone, secondMs } from './spec/fleet.ts';

let cloud: Cloud;
beforeAll(async () => {
  cloud = await startCloud();
});
afterAll(async () => {
  await cloud.close();
});

/** `Unit name Operation[other dimensions]`. */
function keyOf(unit: string, name: string, operation: string, dimensions: readonly string[]): string {
  return `${unit} ${name} ${operation}[${[...dimensions].sort()}]`;
}

function keyOfRow({ unit, name, operation, dimensions }: KclMetric, ofSeveral: boolean): string {
  return keyOf(unit, name, operation, ofSeveral ? dimensions : dimensions.filter((each) => each !== 'StreamId'));
}

/** What CloudWatch is sent, with all metrics and with those of level SUMMARY. */
class Told {
  readonly all: Set<string> = new Set();
  readonly summary: Set<string> = new Set();
  readonly sums: Map<string, number> = new Map();
  readonly #clouds: readonly CloudWatchMetrics[];
  readonly sink: MetricsSink;

  constructor() {
    const cloudWatch = (keep: (key: string, datum: CloudWatchDatum) => void): CloudWatchMetrics =>
      consumerCloudWatch('told', {
        send: async ({ MetricData }) => {
          for (const datum of MetricData) {
            const others = datum.Dimensions.filter(({ Name }) => Name !== 'Operation').map(({ Name }) => Name);
            const operation = datum.Dimensions.find(({ Name }) => Name === 'Operation')?.Value ?? 'none';
            keep(keyOf(datum.Unit, datum.MetricName, operation, others), datum);
          }
        },
      });
    const detailed = cloudWatch((key, { StatisticValues }) => {
      this.all.add(key);
      this.sums.set(key, (this.sums.get(key) ?? 0) + (StatisticValues?.Sum ?? 0));
    });
    const summary = cloudWatch((key) => this.summary.add(key));
    this.#clouds = [detailed, summary];
    const selected = readMetrics({ metrics: summary, metricsLevel: 'summary' });
    this.sink = {
      count: (...given) => [detailed, selected].forEach((each) => void each.count(...given)),
      sample: (...given) => [detailed, selected].forEach((each) => void each.sample(...given)),
      samples: (...given) => [detailed, selected].forEach((each) => void each.samples(...given)),
      gauge: (...given) => [detailed, selected].forEach((each) => void each.gauge(...given)),
    };
    onTestFinished(async () => {
      await Promise.all(this.#clouds.map((each) => each.close()));
    });
  }

  /** Waits until every row of this test was told; and nothing is told that neither the KCL has nor is said to be ours. */
  async shows(shown: Shown, ofSeveral = false): Promise<void> {
    const wanted = kclMetrics.filter((row) => row.shown === shown);
    expect(wanted).not.toEqual([]);
    await until(async () => {
      await Promise.all(this.#clouds.map((each) => each.flush()));
      const missing = wanted.map((row) => keyOfRow(row, ofSeveral)).filter((key) => !this.all.has(key));
      expect(missing).toEqual([]);
    });
    this.isTheKcls(ofSeveral);
  }

  async hears(name: string): Promise<boolean> {
    await Promise.all(this.#clouds.map((each) => each.flush()));
    return [...this.all].some((key) => key.includes(` ${name} `));
  }

  isTheKcls(ofSeveral = false): void {
    const rows = new Map(kclMetrics.map((row) => [keyOfRow(row, ofSeveral), row]));
    const strange = [...this.all].filter((key) => {
      const level = rows.get(key)?.level ?? (ourMetrics.some((name) => key.includes(` ${name} `)) ? 'SUMMARY' : 'none');
      return level !== (this.summary.has(key) ? 'SUMMARY' : 'DETAILED');
    });
    expect(strange).toEqual([]);
  }
}

/** A client of a DynamoDB that answers some requests with an error. */
async function faulty(fault: (asked: ProxiedRequest) => Fault | undefined): Promise<Partial<ConsumerOptions>> {
  const proxy = await startFaultProxy(cloud.dynamoDBServer.clientConfig.endpoint);
  proxy.fault = fault;
  const dynamoDBClient = createDynamoDBClient({
    endpoint: proxy.endpoint,
    region: 'us-east-1',
    credentials: testCredentials,
  });
  onTestFinished(async () => {
    dynamoDBClient.destroy();
    await proxy.close();
  });
  return { dynamoDBClient };
}

const failure: Fault = { type: 'InternalServerError', message: 'scripted', status: 500 };

describe('told as the KCL tells them are the metrics', () => {
  it('of a worker that leads, polls two shards and stops', async () => {
    const told = new Told();
    const scene = new Scene(cloud, 'told-worker', 2);
    const consumer = scene.consumer({ metrics: told.sink });
    const handled = handleInTest(consumer);
    await scene.put(...Array.from({ length: 8 }, (_, number) => `${number} text`));
    await until(() => expect(handled).toHaveLength(8));
    await until(() => expect(consumer.view().shards.map(({ checkpoint }) => checkpoint)).not.toContain('TRIM_HORIZON'));
    await until(async () => expect(await told.hears('FleetMinSupportCode')).toBe(true));
    await consumer.stop();
    await told.shows('worker');
    // What these say of one healthy worker of ours.
    const sumOf = (key: string): number | undefined => told.sums.get(key);
    expect(sumOf('Count NumWorkersWithInvalidEntry LeaseAssignmentManager[]')).toBe(0);
    expect(sumOf('Count NumWorkersWithFailingWorkerMetric LeaseAssignmentManager[]')).toBe(0);
    expect(sumOf('Count Initialize.Success Scheduler:Initialize[]')).toBe(1);
    expect(sumOf('Count Fault LeaseRenewerInitialize[]')).toBe(0);
    expect(sumOf('None FleetMinSupportCode WorkerMetrics[]')).toBeGreaterThanOrEqual(1);
    expect(sumOf('Count NumOfLeasesReassignment LeaseAssignmentManager[]')).toBe(0);
  });

  it.each<[Shown, ConsumerOptions['initialPosition']]>([
    ['begins at LATEST', 'LATEST'],
    ['begins at a time', { timestamp: new Date(1_700_000_000_000) }],
  ])('of a lease that %s', async (shown, initialPosition) => {
    const told = new Told();
    const scene = new Scene(cloud, `told-${shown.split(' ').at(-1)}`);
    runInTest(scene.consumer({ metrics: told.sink, initialPosition: initialPosition ?? 'LATEST' }), () => undefined);
    await told.shows(shown);
  });

  it('of a shard that ends in a split', async () => {
    const told = new Told();
    const scene = new Scene(cloud, 'told-split');
    const handled = handleInTest(scene.consumer({ metrics: told.sink }));
    await scene.put('a 1');
    await until(() => expect(handled).toEqual(['a 1']));
    scene.split(0, 2n ** 127n);
    await told.shows('shard end');
  });

  it('of an iterator that has expired', async () => {
    const told = new Told();
    const scene = new Scene(cloud, 'told-iterator');
    const type = 'ExpiredIteratorException';
    // One of them may strike the look whether the stream is still the same.
    cloud.kinesisServer.faults.add({ kind: 'error', type, operation: 'GetRecords', count: 2 });
    runInTest(scene.consumer({ metrics: told.sink }), () => undefined);
    await told.shows('expired iterator');
  });

  it('of a merge whose child waits for the lease of the other parent', async () => {
    const told = new Told();
    const { fleet, me } = lone();
    me.end('a', childOf('a', 'z')('m'));
    fleet.pass(60 * secondMs);
    const clock = { now: () => fleet.now, wallNow: () => fleet.now, setTimer: () => () => undefined };
    const metrics = new EffectMetrics({ workerId: 'me', metrics: told.sink, clock });
    for (const notice of me.notices) metrics.told(notice);
    await told.shows('merge');
  });

  it('of an index that lags behind, and of a lease that cannot be read', async () => {
    const told = new Told();
    const scene = new Scene(cloud, 'told-index', 2);
    let readFails = false;
    const dynamoDBClient = new Proxy(cloud.dynamoDB, {
      get: (target, property) => {
        if (property !== 'send') return Reflect.get(target, property, target);
        return async (command: unknown, ...rest: []) => {
          if (readFails && command instanceof GetItemCommand && command.input.Key?.['leaseKey']?.S?.startsWith('shard'))
            throw new Error('scripted');
          const answer = (await target.send(command as QueryCommand, ...rest)) as { Items?: unknown[] };
          // It still names leases that have gone to another worker.
          const isLook = command instanceof QueryCommand;
          return isLook ? { ...answer, Items: [0, 1].map((each) => ({ leaseKey: { S: SHARD(each) } })) } : answer;
        };
      },
    });
    runInTest(scene.consumer({ workerId: 'other' }), () => undefined);
    runInTest(scene.consumer({ workerId: 'lagging', metrics: told.sink, dynamoDBClient }), () => undefined);
    await until(async () => {
      const owners = (await scene.rows()).flatMap((row) => (row['checkpoint'] ? [row['leaseOwner']?.S] : []));
      expect(owners.sort()).toEqual(['lagging', 'other']);
    });
    // With the failing read no look gets as far as that.
    await until(async () => expect(await told.hears('OwnerMismatch')).toBe(true));
    readFails = true;
    await told.shows('lagging index');
    readFails = false;
  });

  it('of several streams, with StreamId on what is about a shard', async () => {
    const told = new Told();
    const scene = new Scene(cloud, 'told-streams', 1, 1_700_000_000_000);
    const handled = handleInTest(scene.consumer({ streams: [scene.name], metrics: told.sink }));
    await scene.put('a 1');
    await until(() => expect(handled).toEqual(['a 1']));
    await told.shows('several streams', true);
    await until(() =>
      expect([...told.all].filter((key) => key.endsWith('ProcessTask[ShardId,StreamId]'))).not.toEqual([]),
    );
  });

  it('of a fleet that takes leases beside the KCL 2.x, and goes over', async () => {
    const told = new Told();
    const scene = new Scene(cloud, 'told-2x', 2);
    const beside = { clientVersionConfig: 'compatible-with-2x', flipTo3xStabilizerTimeMs: 500 } as const;
    runInTest(scene.consumer({ ...beside, metrics: told.sink }), () => undefined);
    await told.shows('taking over');
    expect(told.sums.get('Count TakenLeases TakeLeases[WorkerIdentifier]')).toBe(2);
    expect(told.sums.get('Count UntakenLeases TakeLeases[WorkerIdentifier]')).toBe(0);
  });

  it('of a fleet that cannot go over', async () => {
    const told = new Told();
    const scene = new Scene(cloud, 'told-2x-fault');
    const options = await faulty(({ operation, body }) =>
      operation === 'UpdateItem' && body.includes(':history') ? failure : undefined,
    );
    const beside = { clientVersionConfig: 'compatible-with-2x', flipTo3xStabilizerTimeMs: 100 } as const;
    runInTest(scene.consumer({ ...beside, ...options, metrics: told.sink }), () => undefined);
    await told.shows('going over fails');
  });

  it('of a leader that cannot read the table', async () => {
    const told = new Told();
    const scene = new Scene(cloud, 'told-unreadable');
    let isDown = false;
    const options = await faulty(({ operation }) => (isDown && operation === 'Scan' ? failure : undefined));
    const consumer = scene.consumer({ ...options, metrics: told.sink });
    runInTest(consumer, () => undefined);
    await until(() => expect(consumer.view().shards).toHaveLength(1));
    isDown = true;
    await told.shows('table unreadable');
    isDown = false;
  });

  it('of a CPU that cannot be measured', async () => {
    const told = new Told();
    let sample: () => void = () => undefined;
    const setTimer = (run: () => void): (() => void) => {
      sample = run;
      return () => undefined;
    };
    const metrics = new WorkerMetrics({
      clock: { now: () => 0, wallNow: () => 0, setTimer },
      logger: silentLogger,
      metrics: told.sink,
      sampleIntervalMs: 1_000,
      maxUtilizationPercent: 100,
      findGauge: () => Promise.resolve(() => Promise.reject(new Error('no /proc/stat'))),
    });
    await metrics.start();
    sample();
    await told.shows('CPU unreadable');
    metrics.stop();
  });
});

describe('docs/metrics.md', () => {
  const page = readFileSync(new URL('../../../docs/metrics.md', import.meta.url), 'utf8');

  /** The cells of the table under a heading, without its head. */
  function tableUnder(heading: string): string[][] {
    const section = page.split(/\n#{2,3} /).find((each) => each.startsWith(`${heading}\n`)) ?? '';
    const lines = section.split('\n').filter((line) => line.startsWith('| '));
    return lines.slice(1).map((line) => line.split('|').slice(1, -1));
  }

  /** Of `A.{B,C}` in backticks: `A.B` and `A.C`. */
  function namesIn(cell = ''): string[] {
    return [...cell.matchAll(/`([^`]+)`/g)].flatMap(([, text = '']) => {
      const [whole, head = '', list = '', tail = ''] = /^(.*)\{(.*)\}(.*)$/.exec(text) ?? [];
      return whole === undefined ? [text] : list.split(',').map((each) => head + each + tail);
    });
  }

  const told = tableUnder('What a consumer counts').flatMap(([operation, summary, detailed, dimensions]) => {
    const [Operation = ''] = namesIn(operation);
    const others = namesIn(dimensions).sort();
    const rowsOf = (cell: string | undefined, level: string): string[] =>
      namesIn(cell).map((name) => `${level} ${name} ${Operation}[${others}]`);
    return [...rowsOf(summary, 'SUMMARY'), ...rowsOf(detailed, 'DETAILED')];
  });

  it('lists what is told, with its level and dimensions, and nothing else', () => {
    const ofKcl = kclMetrics
      .filter(({ shown }) => shown !== 'absent')
      .map(({ level, name, operation, dimensions }) => `${level} ${name} ${operation}[${dimensions}]`);
    const ofOurs = ourMetrics.map((name) => `SUMMARY ${name} ProcessTask[ShardId,StreamId]`);
    expect(told.sort()).toEqual([...ofKcl, ...ofOurs].sort());
  });

  it('says of every other metric of the KCL why it is not here', () => {
    const rows = tableUnder('Not here').map(([operation, names, why = '']) => ({
      operation: namesIn(operation)[0] ?? '',
      names: namesIn(names),
      why: why.trim(),
    }));
    const said = rows.flatMap(({ operation, names }) => names.map((name) => `${operation} ${name}`));
    const absent = kclMetrics.filter(({ shown }) => shown === 'absent');
    expect(said.sort()).toEqual(absent.map(({ operation, name }) => `${operation} ${name}`).sort());
    expect(rows.filter(({ why }) => why.length < 20)).toEqual([]);
  });

  it('gives the units as a rule, which holds for all', () => {
    const unitOf = (name: string): string =>
      /(^|\.)Time$|^MillisBehindLatest$/.test(name)
        ? 'Milliseconds'
        : ({ DataBytesProcessed: 'Bytes', FleetMinSupportCode: 'None', StatusOrdinal: 'None' }[name] ?? 'Count');
    expect(kclMetrics.filter(({ name, unit }) => unitOf(name) !== unit)).toEqual([]);
    for (const text of ['`DataBytesProcessed` is in Bytes', '`FleetMinSupportCode` has none'])
      expect(page).toContain(text);
  });
});
