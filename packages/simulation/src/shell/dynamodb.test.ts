// The DynamoDB of the shell's world against the lease table in memory: what simulated fleets ask of their table is asked of both, and the
// answers are the same. The contract suite holds the table in memory against dynalite and AWS's DynamoDB Local in the same way.
import { silentLogger } from '@shardline/common';
import { expect, test } from 'vitest';
import type { ResultOf, TableEffect } from '../../../consumer/dist/coordination/effects.js';
import type { Lease } from '../../../consumer/dist/coordination/lease.js';
import { DynamoDBLeaseTable } from '../../../consumer/dist/lease-table/dynamodb.js';
import { MemoryLeaseTable } from '../../../consumer/dist/lease-table/memory.js';
import { simulateWorld } from '../consumer/world.ts';
import { SimulatedDynamoDB } from './dynamodb.ts';
import { holds, updated } from './expressions.ts';
import { Host } from './host.ts';
import type { NetworkCall } from './network.ts';
import { VirtualTime } from './virtual-time.ts';

interface Asked {
  readonly effect: TableEffect;
  readonly wallNow: number;
}

/** What the workers of a simulated fleet ask of their table, in order. */
function askedIn(seed: number): readonly Asked[] {
  const asked: Asked[] = [];
  simulateWorld(seed, {
    bug: {
      name: 'none',
      mistake: 'none: it only listens',
      apply: (effect, { table }, _, run) => {
        // Who wrote the row of the version differs, and nothing else of it is asked here.
        if (!effect.kind.endsWith('ClientVersion')) asked.push({ effect, wallNow: table.wallNow() });
        return run(effect);
      },
    },
  });
  return asked;
}

/** Calls arrive at once. */
const network = {
  togetherCount: 0,
  send<T>({ what, carryOut }: NetworkCall<T>): Promise<T> {
    if (what === 'BatchExecuteStatement') network.togetherCount += 1;
    return Promise.resolve().then(() => carryOut(1));
  },
};

async function openTable(wallNow: () => number, pageSize: number): Promise<DynamoDBLeaseTable> {
  const time = new VirtualTime();
  const onWrite = (): void => undefined;
  const server = new SimulatedDynamoDB({ time, network, createTableMs: 0, pageSize, onWrite, bug: undefined });
  const host = new Host('w1', 1, time);
  const table = new DynamoDBLeaseTable({
    client: server.clientOf(host),
    tableName: 'twin',
    workerId: 'w1',
    logger: silentLogger,
    clock: { ...host.clock, wallNow },
  });
  await table.open();
  return table;
}

/** Renewals that follow each other begin together, as those of one worker do, each of another lease. */
function together(all: readonly Asked[]): readonly (readonly Asked[])[] {
  const groups: Asked[][] = [];
  for (const asked of all) {
    const { effect } = asked;
    const last = groups.at(-1);
    const fits = last?.every((each) => each.effect.kind === 'renewLease' && leaseOf(each.effect) !== leaseOf(effect));
    if (effect.kind === 'renewLease' && fits) last?.push(asked);
    else groups.push([asked]);
  }
  return groups;
}

function leaseOf(effect: TableEffect): string | undefined {
  return 'leaseKey' in effect ? effect.leaseKey : undefined;
}

/** Rows have no order, neither in a Map nor in a scan, and of a merge the parents have none in a string set. */
function comparable(result: ResultOf<TableEffect>): unknown {
  if (result !== undefined && 'lease' in result) return { ...result, lease: result.lease && unordered(result.lease) };
  if (result === undefined || !('leases' in result)) return result;
  const leases = result.leases.map(unordered).sort((a, b) => (a.leaseKey < b.leaseKey ? -1 : 1));
  if (!('workers' in result)) return { leases };
  return { leases, workers: [...result.workers].sort((a, b) => (a.workerId < b.workerId ? -1 : 1)) };
}

function unordered(lease: Lease): Lease {
  return { ...lease, parentShardIds: [...lease.parentShardIds].sort() };
}

test('what simulated fleets ask of their table has the same answers in memory and in the simulated DynamoDB', async () => {
  const outcomes = { applied: 0, refused: 0 };
  for (const seed of [1, 2, 6, 8, 12, 14, 16, 18, 22, 26]) {
    let now = 0;
    const remote = await openTable(() => now, seed);
    const memory = new MemoryLeaseTable({ wallNow: () => now });
    for (const group of together(askedIn(seed))) {
      now = group[0]?.wallNow ?? now;
      const expected = group.map(({ effect }) => memory.apply(effect));
      const got = await Promise.all(group.map(({ effect }) => remote.run(effect)));
      expect(got.map(comparable), group.map(({ effect }) => effect.kind).join()).toEqual(expected.map(comparable));
      for (const result of expected)
        if (result !== undefined && 'applied' in result) outcomes[result.applied ? 'applied' : 'refused'] += 1;
    }
  }
  // The sequences are worth something only if both outcomes are frequent.
  expect(outcomes.applied).toBeGreaterThan(1_000);
  expect(outcomes.refused).toBeGreaterThan(50);
  expect(network.togetherCount).toBeGreaterThan(10);
});

test('an expression that the simulated DynamoDB does not know is refused, not passed over', () => {
  const terms = { values: { ':v': { N: '1' } } };
  expect(() => holds('a < :v', {}, terms)).toThrow('expected = or >=, got <');
  expect(() => holds('a = :v AND begins_with(a, :v)', {}, terms)).toThrow('expected a value, got a');
  expect(() => holds('a = :v b', {}, terms)).toThrow('expected its end, got b');
  expect(() => holds('a = :other', {}, terms)).toThrow('expected a value, got :other');
  expect(() => updated('DELETE a :v', {}, terms)).toThrow('expected SET, REMOVE or ADD, got DELETE');
  expect(() => updated('SET a = b + :v', {}, terms)).toThrow('expected a value, got b');
});

test('AND binds closer than OR', () => {
  const terms = { values: { ':one': { N: '1' }, ':two': { N: '2' } } };
  const row = { a: { N: '1' }, b: { N: '2' } };
  expect(holds('a = :two AND b = :two OR a = :one', row, terms)).toBe(true);
  expect(holds('a = :two AND (b = :two OR a = :one)', row, terms)).toBe(false);
  expect(holds('attribute_not_exists(c.d) AND attribute_exists(a)', row, terms)).toBe(true);
});
