import { MAX_HASH_KEY, MIN_HASH_KEY, parseCheckpoint } from '@shardline/common';
import { describe, expect, test } from 'vitest';
import { type ClientVersion, FleetVersion, JAVA_SEES_VERSION_MS } from './client-version.ts';
import type { Effect, Tell } from './effects.ts';
import { Fleet } from './fleet.ts';
import { type Lease, NOTHING_MEASURED, newLease, type WorkerRow } from './lease.ts';
import type { Notice } from './notice.ts';

const options = {
  workerId: 'me',
  leaseAssignmentIntervalMs: 1000,
  flipTo3xStabilizerTimeMs: 10_000,
  rollForwardMs: 20_000,
  strangerMs: 5000,
  retryMs: 50,
};
const fleetOptions = {
  workerId: 'me',
  failoverTimeMs: 1000,
  leaseFindingMs: 125,
  gracefulLeaseHandoffTimeoutMs: 2000,
  completedLeaseCleanupIntervalMs: 0,
  workerStaleMs: 3000,
  staleWorkerMetricsEntryCleanupDurationMs: 86_400_000,
  workerMetricsEMAAlpha: 0.5,
};

/** A leader that looks at the table every second. Its leases are renewed all the time, its workers report. */
class Script {
  now = 0;
  counter = 0;
  version: ClientVersion;
  modifiedBy = 'me';
  /** Who owns leases, and who of all workers shows a metric row. */
  owners: readonly (string | undefined)[] = ['me'];
  reporters: readonly string[] = ['me'];
  javaReports = false;
  /** Set: the owner index is not there, or another worker has changed the row. */
  isRefused = false;
  readonly notices: Notice[] = [];
  readonly out: (Effect | Tell)[] = [];
  readonly watch: FleetVersion = new FleetVersion(options, this.out);
  readonly #fleet = new Fleet(fleetOptions);

  constructor(version: ClientVersion) {
    this.version = version;
    this.watch.begin(version, 0);
  }

  pass(ms: number): void {
    for (const until = this.now + ms; this.now < until; ) {
      this.now += 1000;
      this.counter += 1;
      this.watch.advance(this.now);
      this.#answer();
      const leases = this.owners.map((owner, at) => this.#lease(`s${at}`, owner));
      const workers = [
        ...this.reporters.map((id) => this.#row(id, false)),
        ...(this.javaReports ? [this.#row('java', true)] : []),
      ];
      this.#fleet.observe(leases, workers, this.now, this.now);
      this.watch.fleetRead(leases, workers, this.#fleet, this.now);
      this.#answer();
    }
  }

  #answer(): void {
    for (const each of this.out.splice(0)) {
      if (each.kind === 'tell') {
        this.notices.push(each.notice);
        continue;
      }
      if (each.kind === 'changeClientVersion' && !this.isRefused) {
        expect(each.from).toBe(this.version);
        this.version = each.to;
        this.modifiedBy = each.workerId;
      }
      const row = { version: this.version, modifiedBy: this.modifiedBy };
      const effect = each as Extract<Effect, { kind: 'readClientVersion' }>;
      this.watch.done({ kind: 'done', effect, result: { row } }, this.now);
    }
    for (const each of this.out.splice(0)) if (each.kind === 'tell') this.notices.push(each.notice);
  }

  #lease(leaseKey: string, leaseOwner: string | undefined): Lease {
    const shard = { shardId: leaseKey, parentShardIds: [], hashKeyRange: { start: MIN_HASH_KEY, end: MAX_HASH_KEY } };
    return { ...newLease(shard, parseCheckpoint('TRIM_HORIZON')), leaseOwner, leaseCounter: this.counter };
  }

  #row(workerId: string, isJava: boolean): WorkerRow {
    const process = isJava ? undefined : { id: workerId, sinceSeconds: 0 };
    const lastUpdateSeconds = this.now / 1000;
    return { workerId, lastUpdateSeconds, ageMs: 0, utilization: NOTHING_MEASURED, process };
  }
}

describe('a fleet that says UPGRADE_FROM_2X', () => {
  test('goes over once every owner has shown a metric row for the stabilizing time', () => {
    const script = new Script('UPGRADE_FROM_2X');
    script.pass(10_000);
    expect(script.version).toBe('UPGRADE_FROM_2X');
    script.pass(1000);
    expect(script.version).toBe('3X_WITH_ROLLBACK');
    expect(script.watch.takes).toBe(false);
    expect(script.notices.filter(({ kind }) => kind !== 'fleetReadiness')).toEqual([
      { kind: 'clientVersionChanged', from: 'UPGRADE_FROM_2X', to: '3X_WITH_ROLLBACK', by: 'me' },
    ]);
    expect(script.notices).toContainEqual({ kind: 'fleetReadiness', isReady: true });
  });

  test.each<[string, readonly (string | undefined)[]]>([
    ['a worker without a metric row owns a lease', ['me', 'java-2x']],
    ['nobody owns a lease', ['me', undefined]],
  ])('does not go over while %s, and waits anew after that', (_, owners) => {
    const script = new Script('UPGRADE_FROM_2X');
    script.pass(9000);
    script.owners = owners;
    script.pass(30_000);
    script.owners = ['me'];
    script.pass(10_000);
    expect(script.version).toBe('UPGRADE_FROM_2X');
    script.pass(1000);
    expect(script.version).toBe('3X_WITH_ROLLBACK');
  });

  test('asks again when it could not go over, as while the owner index is being made', () => {
    const script = new Script('UPGRADE_FROM_2X');
    script.isRefused = true;
    script.pass(20_000);
    expect(script.watch.takes).toBe(true);
    script.isRefused = false;
    script.pass(1000);
    expect(script.watch.takes).toBe(false);
  });

  test('another leader looks afresh', () => {
    const script = new Script('UPGRADE_FROM_2X');
    script.pass(9000);
    script.watch.forget();
    script.pass(9000);
    expect(script.version).toBe('UPGRADE_FROM_2X');
  });
});

describe('a fleet that says 3X_WITH_ROLLBACK', () => {
  test('goes back by way of 2X when a worker without a metric row keeps renewing leases', () => {
    const script = new Script('3X_WITH_ROLLBACK');
    script.owners = ['me', 'java-2x'];
    script.pass(5000);
    expect(script.version).toBe('3X_WITH_ROLLBACK');
    script.pass(2000);
    expect(script.version).toBe('2X');
    expect(script.notices).toContainEqual({ kind: 'workersOf2x', workerIds: ['java-2x'], goesBack: true });
    // Every Java worker has seen it by then.
    script.pass(options.rollForwardMs);
    expect(script.version).toBe('UPGRADE_FROM_2X');
    script.pass(60_000);
    expect(script.version).toBe('UPGRADE_FROM_2X');
  });

  test('moves no lease that is held at the first sight of such a worker', () => {
    const script = new Script('3X_WITH_ROLLBACK');
    script.pass(5000);
    expect(script.watch.mayBalance(script.now)).toBe(true);
    script.owners = ['me', 'java-2x'];
    script.pass(1000);
    expect(script.watch.mayBalance(script.now)).toBe(false);
  });

  test('moves no lease that is held until every worker knows, which for Java workers takes 90 s', () => {
    const script = new Script('3X_WITH_ROLLBACK');
    script.javaReports = true;
    script.pass(JAVA_SEES_VERSION_MS - 1000);
    expect(script.watch.mayBalance(script.now)).toBe(false);
    script.pass(1000);
    expect(script.watch.mayBalance(script.now)).toBe(true);
  });

  test('follows an operator who rolls it back, and stays there until he rolls it forward', () => {
    const script = new Script('3X_WITH_ROLLBACK');
    script.pass(2000);
    script.version = '2X';
    script.modifiedBy = 'KclMigrationTool-rollback';
    script.pass(100_000);
    expect(script.version).toBe('2X');
    expect(script.watch.takes).toBe(true);
    script.version = 'UPGRADE_FROM_2X';
    script.pass(20_000);
    expect(script.version).toBe('3X_WITH_ROLLBACK');
  });
});

describe('a fleet that says 3X', () => {
  test('is led whatever comes, looks at the row no more, and tells once of a worker that does not belong there', () => {
    const script = new Script('3X');
    script.owners = ['me', 'java-2x'];
    script.pass(60_000);
    expect(script.version).toBe('3X');
    expect(script.watch.deadline()).toBe(Number.POSITIVE_INFINITY);
    expect(script.watch.mayBalance(script.now)).toBe(true);
    expect(script.notices).toEqual([{ kind: 'workersOf2x', workerIds: ['java-2x'], goesBack: false }]);
  });
});
