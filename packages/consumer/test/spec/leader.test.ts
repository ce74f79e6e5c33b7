// The one leader: its row, as it leaves for DynamoDB, and who may take it when (amazon-dynamodb-lock-client, KCL
// DynamoDBLockBasedLeaderDecider). Times are the consumer's defaults: a row lasts for 30 s and is written anew every 7.5 s.
import { describe, expect, test } from 'vitest';
import { assignmentMs, Fleet, failoverMs, lone, secondMs, shardOf } from './fleet.ts';
import { wireScene } from './wire.ts';

const durationMs = 3 * failoverMs;
const javaDurationMs = 120 * secondMs;

describe('the row Leader', () => {
  const wire = wireScene();
  const leader = { owner: 'w1', version: 'v1', leaseDurationMs: 30_000 };
  const attributes = {
    ownerName: '"w1"',
    leaseDuration: '"30000"',
    recordVersionNumber: '"v1"',
    entityType: '"LEADER"',
  };

  test('is put if it is absent; its duration is milliseconds as text', async () => {
    const table = await wire.open();
    await table.run({ kind: 'writeLeader', leader, expectedVersion: undefined });
    expect(wire.writes()).toEqual([
      {
        operation: 'UpdateItem',
        key: 'Leader',
        conditions: new Set(['attribute_not_exists(leaseKey)']),
        set: attributes,
        remove: new Set(['isReleased']),
      },
    ]);
  });

  test('of another, expired or released, is taken if it has the version that was seen; what says that it is released goes', async () => {
    const table = await wire.open();
    await wire.put({
      leaseKey: { S: 'Leader' },
      ownerName: { S: 'java' },
      leaseDuration: { S: '120000' },
      recordVersionNumber: { S: 'seen' },
      isReleased: { S: '1' },
      data: { B: Buffer.from('theirs') },
    });
    await table.run({ kind: 'writeLeader', leader, expectedVersion: 'seen' });
    expect(wire.writes()[0]).toMatchObject({ conditions: new Set(['recordVersionNumber = "seen"']), set: attributes });
    expect(await wire.get('Leader')).not.toHaveProperty('isReleased');
    expect(await wire.get('Leader')).toHaveProperty('data');
    expect(await table.run({ kind: 'writeLeader', leader, expectedVersion: 'seen' })).toMatchObject({ applied: false });
  });

  test('is deleted by its owner alone, and only while its version is the last one that was written', async () => {
    const table = await wire.open();
    await table.run({ kind: 'writeLeader', leader, expectedVersion: undefined });
    wire.forget();
    await table.run({ kind: 'deleteLeader', leader: { ...leader, version: 'older' } });
    expect(wire.writes()).toEqual([
      {
        operation: 'DeleteItem',
        key: 'Leader',
        conditions: new Set(['ownerName = "w1"', 'recordVersionNumber = "older"']),
      },
    ]);
    expect(await wire.get('Leader')).toBeDefined();
    expect(await table.run({ kind: 'deleteLeader', leader })).toEqual({ applied: true });
    expect(await wire.get('Leader')).toBeUndefined();
  });
});

describe('a worker', () => {
  /** A leader of another kind, with heartbeats every 30 s until they stop. */
  function beside(): { readonly fleet: Fleet; readonly stopHeartbeats: () => void } {
    const fleet = new Fleet();
    let beats = 0;
    let stopped = false;
    const beat = () => {
      if (stopped) return;
      beats += 1;
      fleet.table.leader = { owner: 'java', version: `v${beats}`, leaseDurationMs: javaDurationMs };
    };
    beat();
    fleet.every(30 * secondMs, beat);
    fleet.start('me');
    return {
      fleet,
      stopHeartbeats: () => {
        stopped = true;
      },
    };
  }

  test('leads at once where there is no row', () => {
    expect(lone().fleet.table.leader).toMatchObject({ owner: 'me', leaseDurationMs: durationMs });
  });

  test('never takes the row of a leader whose heartbeats go on', () => {
    const { fleet } = beside();
    fleet.pass(3600 * secondMs);
    expect(fleet.of('writeLeader')).toEqual([]);
  });

  test('takes a row that has had the same version for longer than the duration written in it, as seen here; a first look proves nothing', () => {
    const { fleet, stopHeartbeats } = beside();
    fleet.pass(65 * secondMs);
    stopHeartbeats();
    const took = fleet.passUntil(() => fleet.table.leader?.owner === 'me', 2 * javaDurationMs);
    // Its last heartbeat was 5 s ago, and was seen up to a look later.
    expect(took).toBeGreaterThan(javaDurationMs - 5 * secondMs);
    expect(took).toBeLessThanOrEqual(javaDurationMs + durationMs / 4);
    expect(fleet.of('writeLeader')[0]?.effect.expectedVersion).toBe('v3');
  });

  test('takes a row with the flag isReleased at once', () => {
    const fleet = new Fleet();
    fleet.table.leader = { owner: 'java', version: 'last', leaseDurationMs: javaDurationMs, released: true };
    fleet.start('me');
    expect(fleet.table.leader).toMatchObject({ owner: 'me' });
    expect(fleet.of('writeLeader')[0]?.effect.expectedVersion).toBe('last');
  });

  test('that leaves deletes its row, so that the next one leads at its next look', () => {
    const { fleet, me } = lone();
    me.stop();
    expect(fleet.table.leader).toBeUndefined();
    expect(me.notices.at(-1)).toMatchObject({ kind: 'stopped' });
  });
});

describe('a leader', () => {
  test('writes a version that was never used before at each heartbeat, on condition of the last one, four times in a duration; KCL: the same of 120 s', () => {
    const { fleet } = lone();
    fleet.pass(5 * durationMs);
    const writes = fleet.of('writeLeader').map(({ effect }) => effect);
    expect(writes).toHaveLength(21);
    expect(new Set(writes.map(({ leader }) => leader.version)).size).toBe(21);
    writes.slice(1).forEach((write, index) => {
      expect(write.expectedVersion).toBe(writes[index]?.leader.version);
    });
  });

  test('whose heartbeat is refused leads no longer, and writes nothing for the fleet', () => {
    const { fleet, me } = lone();
    fleet.table.leader = { owner: 'other', version: 'x', leaseDurationMs: durationMs };
    fleet.pass(durationMs / 4);
    expect(me.view.leader).toBe(false);
    expect(me.notices).toContainEqual({ kind: 'leadershipLost' });
    const since = fleet.now;
    fleet.put('free');
    fleet.pass(durationMs);
    expect(fleet.of('assignLease', since)).toEqual([]);
  });

  test('whose heartbeat was applied without an answer knows its own version again and leads on', () => {
    const { fleet, me } = lone();
    me.losing.add('writeLeader');
    fleet.pass(durationMs / 4);
    me.losing.clear();
    fleet.pass(2 * secondMs);
    expect(me.view.leader).toBe(true);
    expect(me.notices).not.toContainEqual({ kind: 'leadershipLost' });
  });

  test('begins no write for the fleet later than nine tenths of its duration after the start of its last good heartbeat; KCL: asks the row before each run alone', () => {
    const { fleet, me } = lone();
    me.failing.add('writeLeader');
    // Counts from the start of the one that was applied last.
    const last = fleet.now;
    fleet.pass(0.9 * durationMs - 1);
    expect(me.view.leader).toBe(true);
    fleet.pass(1);
    expect(me.view.leader).toBe(false);
    fleet.put('free');
    fleet.pass(durationMs);
    expect(fleet.of('assignLease', last + 0.9 * durationMs)).toEqual([]);
    expect(fleet.of('readTable', last + 0.9 * durationMs)).toEqual([]);
  });

  test('that read the table too slowly to be sure of its row any more drops what it would have written', () => {
    const { fleet, me } = lone();
    fleet.pass(2 * failoverMs - secondMs);
    me.held.add('readTable').add('writeLeader');
    fleet.put('free');
    fleet.pass(durationMs);
    me.carryOut('readTable');
    expect(fleet.of('assignLease').filter(({ effect }) => effect.leaseKey === 'free')).toEqual([]);
  });

  test('that could not read the table for three intervals of assignment gives its row up, so that another one may lead; KCL: after three runs', () => {
    const { fleet, me } = lone();
    const other = fleet.start('other');
    fleet.pass(secondMs);
    me.failing.add('readTable');
    const took = fleet.passUntil(() => me.view.leader === false, 10 * failoverMs);
    expect(took).toBeGreaterThan(3 * assignmentMs);
    expect(took).toBeLessThanOrEqual(4 * assignmentMs + 2 * secondMs);
    expect(fleet.passUntil(() => other.view.leader, durationMs)).toBeLessThanOrEqual(durationMs / 4 + secondMs);
    expect(me.notices).toContainEqual({ kind: 'leadershipLost' });
  });

  test('that is alone and cannot read the table leads again a while later', () => {
    const { fleet, me } = lone();
    fleet.pass(secondMs);
    me.failing.add('readTable');
    fleet.passUntil(() => me.view.leader === false, 10 * failoverMs);
    me.failing.clear();
    expect(fleet.passUntil(() => me.view.leader, 2 * durationMs)).toBeLessThanOrEqual(durationMs + secondMs);
  });

  test('that is new needs to see a counter stand still for failoverTimeMs itself before it calls a lease expired', () => {
    const fleet = new Fleet();
    fleet.shards = [shardOf('a')];
    fleet.put('a', { leaseOwner: 'silent', leaseCounter: 3 });
    const first = fleet.start('first', { leaseAssignmentIntervalMs: secondMs });
    const second = fleet.start('second', { leaseAssignmentIntervalMs: secondMs });
    fleet.pass(failoverMs - secondMs);
    expect(first.view.leader).toBe(true);
    first.stop();
    const since = fleet.now;
    fleet.passUntil(() => second.view.leader, durationMs);
    const led = fleet.now;
    fleet.passUntil(() => fleet.lease('a').leaseOwner === 'second', 3 * failoverMs);
    expect(fleet.now - led).toBeGreaterThan(failoverMs - 20);
    expect(led - since).toBeLessThanOrEqual(durationMs / 4 + 20);
  });
});
