// What a consumer may do, and what it does without: whole runs with the policies of docs/permissions.md and nothing else allowed, over
// real sockets; and what is said when something necessary, or unnecessary, is missing.
import { type AttributeValue, DeleteItemCommand } from '@aws-sdk/client-dynamodb';
import { createDynamoDBClient, createKinesisClient } from '@shardline/common';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { Consumer } from '../src/consumer.ts';
import type { ConsumerOptions } from '../src/consumer-options.ts';
import { type Cloud, Scene, SHARD, startCloud, textOf, until } from './cloud.ts';
import { documentedPolicy, Gate, permissionsOf } from './gate.ts';
import { javaFleet, javaRows, makeLeaseTable, put } from './java-fleet.ts';
import { listen } from './listen.ts';

const BASE = 'One stream, one table that is there';
const MAKES = 'A table that the worker makes';
const THREE = 'The three tables of the KCL 3.0 to 3.4';
const SEVERAL = 'Several streams';
const FAN_OUT = 'Enhanced fan-out';
const MANY = 'Many leases';
const READS = ['kinesis:GetShardIterator', 'kinesis:GetRecords'];

let cloud: Cloud;
beforeAll(async () => {
  cloud = await startCloud();
});
afterAll(async () => {
  await cloud.close();
});

/** A stream and its application, all of whose calls go through a gate. */
class Gated extends Scene {
  readonly gate: Gate;
  readonly #listening = listen();
  readonly #clients: Required<Pick<ConsumerOptions, 'kinesisClient' | 'dynamoDBClient'>>;

  private constructor(name: string, gate: Gate, shardCount: number) {
    super(cloud, name, shardCount);
    this.gate = gate;
    this.#clients = {
      kinesisClient: createKinesisClient({ ...gate.clientConfig, maxAttempts: 1 }),
      dynamoDBClient: createDynamoDBClient(gate.clientConfig),
    };
  }

  static open(name: string, ...headings: string[]): Promise<Gated> {
    return Gated.openWith(1, name, ...headings);
  }

  static async openWith(shardCount: number, name: string, ...headings: string[]): Promise<Gated> {
    const { kinesisServer, dynamoDBServer } = cloud;
    const upstream = { kinesis: kinesisServer.endpoint, dynamodb: String(dynamoDBServer.clientConfig.endpoint) };
    const gated = new Gated(name, await Gate.open(upstream, name), shardCount);
    for (const heading of headings) gated.gate.allow(documentedPolicy(heading, name, name));
    return gated;
  }

  get warnings(): string[] {
    return this.#listening.texts('warn');
  }

  get infos(): string[] {
    return this.#listening.texts('info');
  }

  override consumer(options: Partial<ConsumerOptions> = {}): Consumer {
    const { logger } = this.#listening;
    return super.consumer({ ...this.#clients, logger, completedLeaseCleanupIntervalMs: 300, ...options });
  }

  /** The table and the row that says which protocol its fleet speaks. */
  async makeTable(): Promise<void> {
    await makeLeaseTable(cloud.dynamoDB, this.name);
    await put(cloud.dynamoDB, this.name, { leaseKey: { S: 'Migration3.0' }, cv: { S: 'CLIENT_VERSION_3X' } });
  }

  async close(): Promise<void> {
    this.#clients.kinesisClient.destroy();
    this.#clients.dynamoDBClient.destroy();
    await this.gate.close();
  }
}

/** Two workers, a split, a handoff, the clean-up of the parent, and both stop. */
async function wholeRun(scene: Gated, options: Partial<ConsumerOptions>, prefix = ''): Promise<void> {
  const seen: string[] = [];
  const handler = (batch: { records: readonly { data: Uint8Array }[] }): void => {
    seen.push(...batch.records.map(textOf));
  };
  await scene.put('a 1', 'b 2');
  const one = scene.consumer(options);
  const ended = one.run(handler);
  await until(() => expect(seen).toEqual(['a 1', 'b 2']));
  scene.split(0, 2n ** 127n);
  const texts = Array.from({ length: 20 }, (_, n) => `k${n} ${n}`);
  await scene.put(...texts);
  await until(() => expect(seen.toSorted()).toEqual(['a 1', 'b 2', ...texts].sort()));
  const other = scene.consumer(options);
  const otherEnded = other.run(handler);
  await until(() => expect([one.view().shards.length, other.view().shards.length]).toEqual([1, 1]));
  await until(async () => expect(await scene.row(`${prefix}${SHARD(0)}`)).toBeUndefined());
  await one.stop();
  await ended;
  await until(() => expect(other.view().leader).toBe(true));
  await other.stop();
  await otherEnded;
}

/** Two leases may chance to be renewed together, which is asked for once and done without: see `many leases`. */
function deniedOf({ gate }: Gated): string[] {
  return [...gate.denied].filter((permission) => !permission.startsWith('dynamodb:PartiQLUpdate'));
}

describe('with the documented policy alone, a whole run works and uses each of its actions', () => {
  it('on a table that is there', async () => {
    const scene = await Gated.open('gated', BASE);
    await scene.makeTable();
    await wholeRun(scene, {});
    // Whatever else it warns of, a machine that is busy, is none of a policy's.
    expect(deniedOf(scene)).toEqual([]);
    expect([...scene.gate.used].sort()).toEqual(permissionsOf(documentedPolicy(BASE, 'gated', 'gated')));
    await scene.close();
  });

  it('on a table that it makes', async () => {
    const scene = await Gated.open('gated-makes', BASE, MAKES);
    await wholeRun(scene, {});
    expect(deniedOf(scene)).toEqual([]);
    expect([...scene.gate.used].sort()).toEqual([...scene.gate.allowed].sort());
    await scene.close();
  });

  it('on three tables', async () => {
    const scene = await Gated.open('gated-three', BASE, THREE);
    await javaFleet(cloud.dynamoDB, 'gated-three');
    // Its leases are of another stream.
    for (const { leaseKey } of javaRows[''] ?? []) {
      const command = new DeleteItemCommand({
        TableName: 'gated-three',
        Key: { leaseKey: leaseKey as AttributeValue },
      });
      await cloud.dynamoDB.send(command);
    }
    await wholeRun(scene, {});
    expect(deniedOf(scene)).toEqual([]);
    expect([...scene.gate.used].sort()).toEqual([...scene.gate.allowed].sort());
    await scene.close();
  });

  it('on several streams', async () => {
    const scene = await Gated.open('gated-several', BASE, SEVERAL);
    await scene.makeTable();
    const { createdMs } = scene.model.stream(scene.name, Date.now());
    const prefix = `000000000000:${scene.name}:${Math.floor(createdMs / 1000)}:`;
    await wholeRun(scene, { streams: [scene.name] }, prefix);
    expect(deniedOf(scene)).toEqual([]);
    expect([...scene.gate.used].sort()).toEqual([...scene.gate.allowed].sort());
    await scene.close();
  });
});

describe('by enhanced fan-out', () => {
  const streamOf = (name: string): string => `arn:aws:kinesis:us-east-1:000000000000:stream/${name}`;

  async function openGate(name: string): Promise<{ scene: Gated; options: Partial<ConsumerOptions> }> {
    const scene = await Gated.open(name, BASE, FAN_OUT);
    for (const action of READS) expect(scene.gate.allowed.delete(`${action} ${streamOf(name)}`)).toBe(true);
    await scene.makeTable();
    // The gate speaks HTTP/1.1.
    const fanOutClient = createKinesisClient({ ...scene.gate.clientConfig, maxAttempts: 1 });
    onTestFinished(() => fanOutClient.destroy());
    return { scene, options: { retrievalMode: 'fanout', fanOutClient } };
  }

  it('a whole run works, reads nothing by GetRecords, and uses each action', { timeout: 60_000 }, async () => {
    const { scene, options } = await openGate('gated-fanout');
    await wholeRun(scene, options);
    expect(deniedOf(scene)).toEqual([]);
    expect([...scene.gate.used].sort()).toEqual([...scene.gate.allowed].sort());
    await scene.close();
  });

  it.each([
    ['kinesis:RegisterStreamConsumer', ''],
    ['kinesis:DescribeStreamConsumer', '/consumer/*'],
  ])('%s missing ends the start', async (action, suffix) => {
    const name = `without-${action.slice(action.indexOf(':') + 1)}`;
    const { scene, options } = await openGate(name);
    const resource = streamOf(name) + suffix;
    expect(scene.gate.allowed.delete(`${action} ${resource}`)).toBe(true);
    const run = scene.consumer(options).run(() => undefined);
    await expect(run).rejects.toMatchObject({ code: 'ACCESS_DENIED', retryable: false, action, resource });
    await scene.close();
  });
});

describe('what is necessary and not allowed ends the start, with action, resource and what it is for', () => {
  it.each([
    ['dynamodb:CreateTable', '', /^dynamodb:CreateTable on table no-1 .*There is no such table: it is the lease table/],
    ['dynamodb:DescribeTable', '', /^dynamodb:DescribeTable on table no-2 /],
    [
      'dynamodb:DescribeTable',
      '-CoordinatorState',
      /^dynamodb:DescribeTable on table no-3-CoordinatorState .*where the Leader row of the fleet stands/,
    ],
  ])('%s, %s', async (action, suffix, message) => {
    const name = `no-${{ 'dynamodb:CreateTable': 1, 'dynamodb:DescribeTable': suffix === '' ? 2 : 3 }[action]}`;
    const scene = await Gated.open(name, BASE, MAKES);
    scene.gate.allowed.delete(`${action} arn:aws:dynamodb:us-east-1:000000000000:table/${name}${suffix}`);
    await expect(scene.consumer().run(() => undefined)).rejects.toMatchObject({
      code: 'ACCESS_DENIED',
      retryable: false,
      message: expect.stringMatching(message),
    });
    await scene.close();
  });
});

describe('what no work is possible without ends the start, whichever it is', () => {
  const tableOf = (name: string): string => `arn:aws:dynamodb:us-east-1:000000000000:table/${name}`;
  const streamOf = (name: string): string => `arn:aws:kinesis:us-east-1:000000000000:stream/${name}`;

  it.each([
    ['dynamodb:Scan', tableOf],
    ['dynamodb:GetItem', tableOf],
    ['dynamodb:PutItem', tableOf],
    ['dynamodb:UpdateItem', tableOf],
    ['kinesis:ListShards', streamOf],
    ['kinesis:GetShardIterator', streamOf],
    ['kinesis:GetRecords', streamOf],
  ])('%s', async (action, resourceOf) => {
    const name = `without-${action.slice(action.indexOf(':') + 1)}`;
    const scene = await Gated.open(name, BASE);
    await scene.makeTable();
    const resource = resourceOf(name);
    expect(scene.gate.allowed.delete(`${action} ${resource}`)).toBe(true);
    await expect(scene.consumer().run(() => undefined)).rejects.toMatchObject({
      code: 'ACCESS_DENIED',
      retryable: false,
      action,
      resource,
    });
    // It asked by writes that change nothing, and left none of its own.
    expect((await scene.rows()).map(({ leaseKey }) => leaseKey?.S)).toEqual(['Migration3.0']);
    await scene.close();
  });

  it('of one table of three, too', async () => {
    const scene = await Gated.open('without-metrics', BASE, THREE);
    await javaFleet(cloud.dynamoDB, 'without-metrics');
    const resource = tableOf('without-metrics-WorkerMetricStats');
    expect(scene.gate.allowed.delete(`dynamodb:UpdateItem ${resource}`)).toBe(true);
    const run = scene.consumer().run(() => undefined);
    await expect(run).rejects.toMatchObject({ code: 'ACCESS_DENIED', action: 'dynamodb:UpdateItem', resource });
    await scene.close();
  });

  it('but one that vanishes later is tried again, told of in health, and work goes on when it is back', async () => {
    const scene = await Gated.open('vanishing', BASE);
    await scene.makeTable();
    const seen: string[] = [];
    await using consumer = scene.consumer();
    void consumer.run((batch) => void seen.push(...batch.records.map(textOf)));
    await scene.put('a 1');
    await until(() => expect(seen).toEqual(['a 1']));
    const permission = `kinesis:GetRecords ${streamOf('vanishing')}`;
    scene.gate.allowed.delete(permission);
    await until(() => expect(consumer.health().reasons.join()).toContain(`allow ${permission.replace(' ', ' on ')}`));
    await scene.put('a 2');
    scene.gate.allowed.add(permission);
    await until(() => expect(seen).toEqual(['a 1', 'a 2']));
    await consumer.stop();
    await scene.close();
  });
});

describe('many leases', () => {
  const permission = 'dynamodb:PartiQLUpdate';
  const renewing = /^leases are renewed one a call/;

  async function renewMany(scene: Gated): Promise<void> {
    await scene.makeTable();
    await using consumer = scene.consumer({ failoverTimeMs: 3_000 });
    void consumer.run(() => undefined);
    await until(() => expect(consumer.view().shards).toHaveLength(8));
    const asked = (): boolean => [...scene.gate.used, ...scene.gate.denied].some((each) => each.startsWith(permission));
    await until(() => expect(asked()).toBe(true));
    const counters = async (): Promise<number[]> =>
      (await scene.rows()).filter(({ checkpoint }) => checkpoint).map(({ leaseCounter }) => Number(leaseCounter?.N));
    const before = await counters();
    await until(async () => expect(Math.min(...(await counters()))).toBeGreaterThan(Math.max(...before) + 2));
    await consumer.stop();
  }

  it('with the documented policy are renewed, and each of its actions is used', async () => {
    const scene = await Gated.openWith(8, 'gated-many', BASE, MANY);
    await renewMany(scene);
    expect([...scene.gate.denied]).toEqual([]);
    expect([...scene.gate.used]).toEqual(
      expect.arrayContaining(permissionsOf(documentedPolicy(MANY, 'gated-many', ''))),
    );
    await scene.close();
  });

  it('without it are renewed, too, one a call, which is told once', async () => {
    const scene = await Gated.openWith(8, 'gated-one-a-call', BASE);
    await renewMany(scene);
    expect([...scene.gate.denied]).toEqual([expect.stringMatching(`^${permission} .*:table/gated-one-a-call$`)]);
    expect(scene.infos.filter((text) => renewing.test(text))).toEqual([
      expect.stringContaining(`allow ${permission} on table gated-one-a-call and up to 25 go in one`),
    ]);
    await scene.close();
  });
});

describe('what is not necessary and not allowed is one warning', () => {
  it.each([
    [
      'dynamodb:DeleteItem',
      'rows may not be deleted: finished leases and the rows of workers that have left stay in the table',
    ],
    [
      'kinesis:DescribeStreamSummary',
      'the stream may not be asked for its age: one that is made again under its name is told by its records alone',
    ],
  ])('%s', async (action, warning) => {
    const name = `less-${action.slice(action.indexOf(':') + 1)}`;
    const scene = await Gated.open(name, BASE);
    await scene.makeTable();
    for (const each of scene.gate.allowed) if (each.startsWith(action)) scene.gate.allowed.delete(each);
    const seen: string[] = [];
    await using consumer = scene.consumer();
    void consumer.run((batch) => void seen.push(...batch.records.map(textOf)));
    await scene.put('a 1');
    await until(() => expect(seen).toEqual(['a 1']));
    expect(scene.warnings).toEqual([warning]);
    await consumer.stop();
    await scene.close();
  });

  it('the owner index: leases are found by scanning', async () => {
    const scene = await Gated.open('no-index', BASE);
    await scene.makeTable();
    const query = permissionsOf(documentedPolicy(BASE, 'no-index', 'no-index')).find((each) => each.includes('Query'));
    scene.gate.allowed.delete(query ?? '');
    await scene.put('a 1');
    const seen: string[] = [];
    await using consumer = scene.consumer();
    void consumer.run((batch) => void seen.push(...batch.records.map(textOf)));
    await until(() => expect(seen).toEqual(['a 1']));
    await consumer.stop();
    expect(scene.warnings).toEqual(['the owner index may not be asked; leases are found by scanning']);
    await scene.close();
  });

  it('point-in-time recovery', async () => {
    const scene = await Gated.open('no-recovery', BASE);
    await scene.makeTable();
    await using consumer = scene.consumer({ leaseTablePitrEnabled: true });
    void consumer.run(() => undefined);
    await until(() => expect(consumer.view()).toMatchObject({ leader: true }));
    await consumer.stop();
    expect(scene.warnings).toEqual(['point-in-time recovery could not be turned on for this table']);
    expect([...scene.gate.denied]).toEqual([expect.stringContaining('dynamodb:UpdateContinuousBackups')]);
    await scene.close();
  });
});
