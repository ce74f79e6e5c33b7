// From the start of a worker to its first shard, and the periods that it lives by (KCL Scheduler, DynamoDBLeaseCoordinator,
// LeaseManagementConfig, CoordinatorConfig).
import { describe, expect, test } from 'vitest';
import type { ConsumerOptions } from '../../src/consumer-options.ts';
import { resolveOptions } from '../../src/options.ts';
import { workerOptions } from '../../src/worker-options.ts';
import { Fleet, failoverMs, ranges, secondMs, shardOf } from './fleet.ts';
import { wireScene } from './wire.ts';

const wire = wireScene();
const { low, high } = ranges;
const base: ConsumerOptions = { application: 'spec', stream: 'orders' };

describe('the first worker of a new application', () => {
  test('makes the table, then looks for the old ones, then says which protocol its fleet speaks', async () => {
    await wire.table().open();
    const names = wire.sent.map(
      ({ operation, input }) => `${operation} ${String(input['TableName']).slice(wire.tableName.length)}`,
    );
    expect(names.slice(0, 2)).toEqual(['DescribeTable ', 'CreateTable ']);
    expect(names).toContain('DescribeTable -CoordinatorState');
    expect(names.indexOf('PutItem ')).toBeGreaterThan(names.indexOf('DescribeTable -CoordinatorState'));
    expect(wire.writes().map(({ key }) => key)).toEqual(['Migration3.0']);
  });

  test('leads, makes the leases, gives them to itself and reads, all without waiting; KCL: waits for 1 to 30 s before its first shard sync', () => {
    const fleet = new Fleet();
    fleet.shards = [shardOf('a', { hashKeyRange: low }), shardOf('b', { hashKeyRange: high })];
    const me = fleet.start('me');
    expect(me.view.leases.map(({ leaseKey, phase }) => [leaseKey, phase])).toEqual([
      ['a', 'processing'],
      ['b', 'processing'],
    ]);
    expect(fleet.now).toBe(1_000_000);
  });

  test('says in this order that it leads, that it lives, and asks for its leases', () => {
    const fleet = new Fleet();
    fleet.shards = [shardOf('a')];
    const me = fleet.make('me');
    me.tell({ kind: 'streams', streams: [{ streamId: undefined, initialPosition: 'TRIM_HORIZON' }] });
    expect(fleet.asked).toEqual([]);
    for (const kind of ['readLeader', 'reportWorker', 'discoverLeases'] as const) me.held.add(kind);
    me.tell({ kind: 'start' });
    expect(fleet.asked.map(({ effect }) => effect.kind)).toEqual(['readLeader', 'reportWorker', 'discoverLeases']);
  });
});

test('a worker that joins makes no leases: the leader does, and hands it its share at its next run', () => {
  const fleet = new Fleet();
  fleet.shards = ['a', 'b', 'c', 'd'].map((id) => shardOf(id));
  fleet.start('first');
  fleet.pass(secondMs);
  const joined = fleet.now;
  const second = fleet.start('second');
  const took = fleet.passUntil(
    () => second.view.leases.filter(({ phase }) => phase === 'processing').length === 2,
    60 * secondMs,
  );
  expect(fleet.of('createLease', joined)).toEqual([]);
  // A run of the leader, the old owner's next renewal, and a look for leases.
  expect(took).toBeLessThanOrEqual(2 * failoverMs + failoverMs / 3 + 500 + 20);
});

test('a worker that is not told of any stream leads and makes nothing', () => {
  const fleet = new Fleet();
  fleet.shards = [shardOf('a')];
  const me = fleet.make('me');
  me.tell({ kind: 'start' });
  fleet.pass(120 * secondMs);
  expect(fleet.of('createLease')).toEqual([]);
});

describe('by default', () => {
  const resolved = resolveOptions(base, 'host');
  const unlimited = Number.MAX_SAFE_INTEGER;

  test.each([
    ['failoverTimeMs', 10_000, 'the same'],
    ['leaseAssignmentIntervalMs', 10_000, '20000'],
    ['leaseDiscoveryIntervalMs', 500, '9975'],
    ['leaderLeaseDurationMs', 30_000, '120000'],
    ['shardSyncIntervalMs', 60_000, '60000, and only checked for holes every 120000'],
    ['parentShardPollIntervalMs', 2_000, '10000'],
    ['completedLeaseCleanupIntervalMs', 300_000, 'the same'],
    ['gracefulLeaseHandoffTimeoutMs', 30_000, 'the same'],
    ['workerMetricsReportIntervalMs', 30_000, 'the same'],
    ['staleWorkerMetricsEntryCleanupDurationMs', 86_400_000, 'the same'],
    ['inMemoryWorkerMetricsCaptureFrequencyMs', 1_000, 'the same'],
    ['maxLeasesForWorker', unlimited, 'the same'],
    ['maxThroughputPerHostKBps', unlimited, 'the same'],
    ['reBalanceThresholdPercentage', 10, 'the same'],
    ['dampeningPercentage', 60, 'the same'],
    ['varianceBalancingFrequency', 3, 'the same'],
    ['workerMetricsEMAAlphaPercentage', 50, 'the same'],
    ['shutdownGraceMs', 30_000, 'as long as failoverTimeMillis'],
    ['tableTimeoutMs', 600_000, 'the same'],
    ['dynamoDBRequestTimeoutMs', 5_000, '60000'],
  ] as const)('%s is %i; KCL: %s', (name, value, _) => {
    expect(resolved[name]).toBe(value);
  });

  test('leases are assigned every failover time, and a leader lasts for three, whatever failoverTimeMs is', () => {
    const { leaseAssignmentIntervalMs, leaderLeaseDurationMs } = resolveOptions(
      { ...base, failoverTimeMs: 3_000 },
      'host',
    );
    expect([leaseAssignmentIntervalMs, leaderLeaseDurationMs]).toEqual([3_000, 9_000]);
  });

  test('a worker is stale when its row is older than two reports', () => {
    expect(workerOptions(resolved).workerStaleMs).toBe(60_000);
  });

  test('a worker has the name of its host and a UUID of its own; KCL: a UUID', () => {
    const [first, second] = [resolveOptions(base, 'host').workerId, resolveOptions(base, 'host').workerId];
    expect(first).toMatch(/^host:[0-9a-f]{8}-/);
    expect(first).not.toBe(second);
  });

  test('reading begins at TRIM_HORIZON, which leaves nothing out; KCL: at LATEST', () => {
    expect(resolved.from).toMatchObject({ initialPosition: 'TRIM_HORIZON' });
  });
});
