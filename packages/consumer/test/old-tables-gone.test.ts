// The two tables beside the lease table of a fleet that comes from the KCL 3.0 to 3.4 may be deleted once the fleet's rows have
// moved: whatever a worker of ours does then, and whichever of the two it misses first.
import { DeleteTableCommand, waitUntilTableNotExists } from '@aws-sdk/client-dynamodb';
import { silentLogger } from '@shardline/common';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TableEffect } from '../src/coordination/effects.ts';
import { NOTHING_MEASURED } from '../src/coordination/lease.ts';
import { DynamoDBLeaseTable } from '../src/lease-table/dynamodb.ts';
import { type Cloud, Scene, startCloud, until } from './cloud.ts';
import { javaFleet, METRICS, moveTo, rows, STATES } from './java-fleet.ts';

let cloud: Cloud;
beforeAll(async () => {
  cloud = await startCloud();
});
afterAll(async () => {
  await cloud.close();
});

async function drop(TableName: string): Promise<void> {
  const client = cloud.dynamoDB;
  await client.send(new DeleteTableCommand({ TableName }));
  // DynamoDB Local answers before it is done.
  await waitUntilTableNotExists({ client, maxWaitTime: 30, minDelay: 0.02, maxDelay: 0.2 }, { TableName });
}
const leader = { owner: 'node', version: 'n1', leaseDurationMs: 1000 };
const effects: readonly TableEffect[] = [
  { kind: 'readTable', for: 'leader' },
  { kind: 'reportWorker', workerId: 'node', utilization: NOTHING_MEASURED, processId: 'p' },
  { kind: 'readLeader' },
  { kind: 'readClientVersion' },
  { kind: 'writeLeader', leader, expectedVersion: undefined },
  { kind: 'deleteLeader', leader },
  { kind: 'forgetWorker', workerId: 'node', processId: 'p' },
  { kind: 'deleteWorker', workerId: 'node', lastUpdateSeconds: 0 },
];

/** A table that was opened while the fleet's rows were spread over three, and whose worker writes to all of them. */
async function openSpread(name: string): Promise<DynamoDBLeaseTable> {
  await javaFleet(cloud.dynamoDB, name, 'PENDING');
  const client = cloud.dynamoDB;
  const table = new DynamoDBLeaseTable({
    client,
    tableName: name,
    layout: 'three',
    workerId: 'w',
    logger: silentLogger,
  });
  await table.open();
  return table;
}

describe.each([[[STATES, METRICS]], [[METRICS]], [[STATES]]])('%j deleted right at COMPLETE', (suffixes) => {
  it.each(effects)('are not missed by $kind', async (effect) => {
    const name = `gone-${effect.kind}-${suffixes.length}-${suffixes.join('').length}`;
    const table = await openSpread(name);
    await moveTo(cloud.dynamoDB, name, 'COMPLETE');
    for (const suffix of suffixes) await drop(name + suffix);
    await table.run(effect);
    if (effect.kind !== 'readTable' && effect.kind !== 'reportWorker') return;
    // From now on nothing is looked for beside the lease table.
    await table.run({ kind: 'reportWorker', workerId: 'node', utilization: NOTHING_MEASURED, processId: 'p' });
    const inLeaseTable = (await rows(cloud.dynamoDB, name)).map((row) => row['leaseKey']?.S);
    if (suffixes.includes(METRICS)) expect(inLeaseTable).toContain('node');
  });
});

describe('a table that is deleted before the move is complete', () => {
  // Each finds it gone for itself: whoever misses the table of metrics makes it anew, which AWS's DynamoDB Local does at once.
  it.each(effects.slice(0, 2))('is a failure that is tried again, and named, to $kind', async (effect) => {
    const name = `too-early-${effect.kind}`;
    const table = await openSpread(name);
    await drop(name + METRICS);
    await expect(table.run(effect)).rejects.toMatchObject({
      code: 'LEASE_TABLE_UNAVAILABLE',
      retryable: true,
      message: expect.stringContaining(`table ${name}${METRICS} `),
    });
  });
});

describe('a table of states that is deleted before the move is complete', () => {
  it.each(
    effects.filter(({ kind }) => kind === 'readLeader' || kind === 'readClientVersion' || kind === 'writeLeader'),
  )(
    'is a failure that is tried again, and named, to $kind: the lease table could not say who leads',
    async (effect) => {
      const name = `stateless-${effect.kind}`;
      const table = await openSpread(name);
      await drop(name + STATES);
      const missing = { code: 'LEASE_TABLE_UNAVAILABLE', message: expect.stringContaining(`table ${name}${STATES}`) };
      await expect(table.run(effect)).rejects.toMatchObject(missing);
      const inLeaseTable = (await rows(cloud.dynamoDB, name)).map((row) => row['leaseKey']?.S);
      expect(inLeaseTable).not.toContain('Leader');
    },
  );
});

it('a worker goes on with its leases through the end of the move and of the old tables', async () => {
  const scene = new Scene(cloud, 'through');
  await javaFleet(cloud.dynamoDB, 'through', 'PENDING');
  await using consumer = scene.consumer({ leaseTableLayout: 'three', leaderLeaseDurationMs: 1_500 });
  const ended = consumer.run(() => undefined);
  await until(() => expect(consumer.view()).toMatchObject({ leader: true }));
  await moveTo(cloud.dynamoDB, 'through', 'COMPLETE');
  await drop(`through${METRICS}`);
  await drop(`through${STATES}`);
  await until(async () => {
    const inLeaseTable = (await rows(cloud.dynamoDB, 'through')).map((row) => row['leaseKey']?.S);
    expect(inLeaseTable).toEqual(expect.arrayContaining(['Leader', consumer.workerId]));
  });
  await until(() => expect(consumer.view()).toMatchObject({ state: 'running', leader: true }));
  await consumer.stop();
  await ended;
});
