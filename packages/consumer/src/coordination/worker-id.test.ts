import { describe, expect, test } from 'vitest';
import { MemoryLeaseTable } from '../lease-table/memory.ts';
import type { Done, Effect, Tell } from './effects.ts';
import { type Lease, NOTHING_MEASURED, newLease, type WorkerSign } from './lease.ts';
import { WorkerId, type WorkerIdOptions } from './worker-id.ts';

const options: Omit<WorkerIdOptions, 'incarnation'> = {
  workerId: 'w',
  failoverTimeMs: 900,
  workerMetricsReportIntervalMs: 10_000,
  workerIdLookIntervalMs: 100,
  workerIdPatienceMs: 300,
  retryMs: 10,
};

/** Some processes under the id `w`, on one table that answers at once. */
class House {
  now = 0;
  readonly table: MemoryLeaseTable = new MemoryLeaseTable({ wallNow: () => this.now });
  readonly asked: Effect[] = [];
  readonly #processes = new Set<{ readonly id: WorkerId; readonly out: (Effect | Tell)[] }>();

  start(
    incarnation: string,
    changes: Partial<WorkerIdOptions> = {},
  ): { readonly id: WorkerId; pause(): void; wake(): void } {
    const out: (Effect | Tell)[] = [];
    const process = { id: new WorkerId({ ...options, ...changes, incarnation }, out), out };
    process.id.begin(this.now);
    this.#processes.add(process);
    this.#run();
    return {
      id: process.id,
      pause: () => void this.#processes.delete(process),
      wake: () => {
        this.#processes.add(process);
        this.#run();
      },
    };
  }

  pass(ms: number): void {
    for (const until = this.now + ms; this.now < until; this.now += 1) this.#run();
    this.#run();
  }

  /** A Java worker writes the row, as it does every 30 s. */
  javaReports(): void {
    const utilization = NOTHING_MEASURED;
    this.table.workers.set('w', { lastUpdateSeconds: Math.floor(this.now / 1000), utilization, process: undefined });
  }

  sign(): WorkerSign | undefined {
    return this.table.apply({ kind: 'lookAtWorker', workerId: 'w', ask: undefined }).sign;
  }

  #run(): void {
    for (const { id, out } of this.#processes) {
      id.advance(this.now);
      for (let effect = out.shift(); effect !== undefined; effect = out.shift()) {
        if (effect.kind === 'tell') continue;
        this.asked.push(effect);
        id.done({ kind: 'done', effect, result: this.table.apply(effect as never) } as Done, this.now);
        id.advance(this.now);
      }
    }
  }
}

function leaseOf(leaseKey: string, leaseCounter: number): Lease {
  const shard = { shardId: leaseKey, parentShardIds: [], hashKeyRange: { start: 0n, end: 1n } };
  const checkpoint = { sequenceNumber: 'TRIM_HORIZON', subSequenceNumber: 0 } as const;
  return { ...newLease(shard as never, checkpoint as never), leaseOwner: 'w', leaseCounter };
}

describe('the right to a worker id', () => {
  test('is had at once, with one write, where nobody has it, and an id of its own is never looked after', () => {
    const house = new House();
    const only = house.start('a', { workerIdLookIntervalMs: Number.POSITIVE_INFINITY });
    expect(only.id.held).toBe(true);
    house.pass(9_000);
    expect(house.asked.map(({ kind }) => kind)).toEqual(['reportWorker']);
  });

  test('stays with the one that lives: a second process is told so within two looks, and never has it', () => {
    const house = new House();
    const first = house.start('a');
    house.pass(1_050);
    const second = house.start('b');
    expect(second.id.held).toBe(false);
    house.pass(200);
    expect(second.id.rival).toEqual({ how: 'live', process: { id: 'a', sinceSeconds: 0 } });
    expect([first.id.held, second.id.held]).toEqual([true, false]);
    house.pass(20_000);
    expect([first.id.rival, house.sign()?.process?.id]).toEqual([undefined, 'a']);
  });

  test('passes on from a process that died, as soon as it has not answered for so long', () => {
    const house = new House();
    house.start('dead').pause();
    house.now = 50;
    const restarted = house.start('b');
    house.pass(299);
    expect(restarted.id.held).toBe(false);
    house.pass(60);
    expect(restarted.id.held).toBe(true);
    expect(house.sign()?.process?.id).toBe('b');
  });

  test('is at once that of a process whose predecessor has left in good order', () => {
    const house = new House();
    house.start('a').pause();
    house.table.apply({ kind: 'forgetWorker', workerId: 'w', processId: 'a' });
    expect(house.start('b').id.held).toBe(true);
  });

  test('is kept by a process that leaves for as long as it does, and who came meanwhile is not refused, but waits', () => {
    const house = new House();
    const first = house.start('a');
    house.pass(50);
    first.id.leave(house.now);
    const second = house.start('b');
    house.pass(3_000);
    expect([first.id.held, second.id.held, second.id.rival]).toEqual([true, false, undefined]);
    expect(house.sign()).toMatchObject({ process: { id: 'a' }, leaves: true });
    // Looks of the one that leaves, and of the one that waits for it: none at the speed of the network.
    expect(house.asked.length).toBeLessThan(200);
    first.pause();
    house.table.apply({ kind: 'forgetWorker', workerId: 'w', processId: 'a' });
    house.pass(60);
    expect(second.id.held).toBe(true);
    expect(house.sign()?.leaves).toBeUndefined();
  });

  test('passes on from one that died while it left', () => {
    const house = new House();
    const first = house.start('a');
    first.id.leave(house.now);
    house.pass(0);
    const second = house.start('b');
    house.pass(200);
    first.pause();
    house.pass(450);
    expect(second.id.held).toBe(true);
  });

  test('is lost by a process that slept when it was asked: it ends with its first look, and leaves the row alone', () => {
    const house = new House();
    const sleeper = house.start('a');
    sleeper.pause();
    const second = house.start('b');
    house.pass(400);
    expect(second.id.held).toBe(true);
    sleeper.wake();
    expect(sleeper.id.rival).toMatchObject({ how: 'tookOver', process: { id: 'b' } });
    expect(sleeper.id.held).toBe(false);
    house.pass(20_000);
    expect([second.id.held, house.sign()?.process?.id]).toEqual([true, 'b']);
  });

  test('is one process’s when two ask for it at once, of a dead one', () => {
    const house = new House();
    house.start('dead').pause();
    const [one, other] = [house.start('b'), house.start('c')];
    house.pass(3_000);
    expect([one.id.held, other.id.held].sort()).toEqual([false, true]);
    expect([one.id.rival, other.id.rival].filter((rival) => rival !== undefined)).toHaveLength(1);
  });

  test('goes first to who asked first: as many as there are, each that comes later waits, and one has it after one patience', () => {
    const house = new House();
    house.start('dead').pause();
    const all = ['b', 'c', 'd', 'e'].map((name) => {
      const { id } = house.start(name);
      house.pass(70);
      return id;
    });
    house.pass(options.workerIdPatienceMs - 4 * 70);
    expect(all.map(({ held }) => held)).toEqual([true, false, false, false]);
    house.pass(1_000);
    expect(all.map(({ rival }) => rival?.how)).toEqual([undefined, 'live', 'live', 'live']);
  });

  test('is not kept from the living by one that asked and died: twice a patience later another one asks in its place', () => {
    const house = new House();
    house.start('dead').pause();
    house.start('died too').pause();
    const one = house.start('b');
    house.pass(50);
    const other = house.start('c');
    house.pass(2 * options.workerIdPatienceMs - 50);
    expect(house.sign()).toMatchObject({ process: { id: 'dead' }, askedBy: 'b' });
    house.pass(options.workerIdPatienceMs + 1);
    expect([one.id.held, other.id.held]).toEqual([true, false]);
    house.pass(200);
    expect(other.id.rival).toMatchObject({ how: 'live', process: { id: 'b' } });
  });

  test('a question of a dead process that lingered takes nobody’s place', () => {
    const house = new House();
    house.start('dead').pause();
    const restarted = house.start('b');
    for (let at = 0; at < 300; at += 50) {
      house.pass(50);
      const ask = { by: 'died too', of: 'dead', after: undefined };
      house.table.apply({ kind: 'lookAtWorker', workerId: 'w', ask });
    }
    expect(restarted.id.held).toBe(true);
  });

  test('a report of before the question, that lingered, is no answer', () => {
    const house = new House();
    house.start('dead').pause();
    const restarted = house.start('b');
    house.pass(100);
    house.table.apply({ kind: 'reportWorker', workerId: 'w', utilization: NOTHING_MEASURED, processId: 'dead' });
    house.pass(400);
    expect(restarted.id.rival).toBeUndefined();
    expect(restarted.id.held).toBe(true);
  });

  test('a row that was deleted by hand is there again with the next look', () => {
    const house = new House();
    house.start('a');
    house.pass(1_000);
    house.table.workers.delete('w');
    house.pass(150);
    expect(house.sign()?.process?.id).toBe('a');
  });

  test('a Java worker under the id is seen by its renewals, or by its row', () => {
    for (const lives of ['renews', 'reports', 'is dead'] as const) {
      const house = new House();
      house.javaReports();
      const mine = house.start('b');
      for (let counter = 1; counter <= 7; counter += 1) {
        house.pass(50);
        mine.id.found([leaseOf('s', lives === 'renews' && counter > 5 ? 2 : 1)], true, house.now);
      }
      if (lives === 'reports') {
        house.now += 1_000;
        house.javaReports();
      }
      house.pass(300);
      expect([lives, mine.id.held, mine.id.rival?.how]).toEqual(
        lives === 'is dead' ? [lives, true, undefined] : [lives, false, 'live'],
      );
    }
  });

  test('a lease that is on its way here is renewed by the worker that has it yet, and shows no Java worker', () => {
    const house = new House();
    house.javaReports();
    const mine = house.start('b');
    for (let counter = 1; counter <= 7; counter += 1) {
      house.pass(50);
      mine.id.found([{ ...leaseOf('s', counter), checkpointOwner: 'other' }], true, house.now);
    }
    house.pass(300);
    expect([mine.id.held, mine.id.rival]).toEqual([true, undefined]);
  });

  test('a Java worker that comes later can only be yielded to: it writes the row over and over', () => {
    const house = new House();
    const mine = house.start('a');
    house.javaReports();
    house.pass(200);
    expect([mine.id.held, house.sign()?.process?.id]).toEqual([true, 'a']);
    house.now += 30_000;
    house.javaReports();
    house.pass(200);
    expect(mine.id.rival).toEqual({ how: 'shares', process: undefined });
  });

  describe('and a lease that was lost to the own name', () => {
    /** Lost at 300 with counter 10; this process had last written it at 0. Then seen with these counters, every 100 ms. */
    function afterwards(changes: Partial<WorkerIdOptions>, seen: readonly (Lease | undefined)[]): [unknown, boolean] {
      const { id } = new House().start('a', changes);
      id.lost(leaseOf('s', 10), 0, 300);
      seen.forEach((lease, index) => {
        id.found(lease === undefined ? [] : [lease], true, 400 + 100 * index);
      });
      return [id.rival?.how, id.mayBeShared('s')];
    }
    const still = (count: number, counter = 10): Lease[] => Array.from({ length: count }, () => leaseOf('s', counter));

    test('is left alone until another process would have renewed it, and no longer', () => {
      expect(afterwards({}, still(3))).toEqual([undefined, true]);
      expect(afterwards({}, still(4))).toEqual([undefined, false]);
    });

    test('is shared with a process that goes on renewing it', () => {
      expect(afterwards({}, [...still(2), leaseOf('s', 11)])[0]).toBe('shares');
      // Its checkpoints come between.
      expect(afterwards({}, [leaseOf('s', 13), leaseOf('s', 15), leaseOf('s', 16)])[0]).toBe('shares');
    });

    test('is not shared where it was freed and assigned again, as often as that may be, nor where it went elsewhere', () => {
      expect(afterwards({}, [leaseOf('s', 12), leaseOf('s', 14), leaseOf('s', 16)])).toEqual([undefined, true]);
      expect(afterwards({}, [...still(1), undefined, leaseOf('s', 11)])).toEqual([undefined, false]);
      expect(afterwards({}, [{ ...leaseOf('s', 11), checkpointOwner: 'other' }])).toEqual([undefined, false]);
    });

    test('is not shared where a leader may have seen it expire while this process slept', () => {
      const { id } = new House().start('a');
      id.lost(leaseOf('s', 10), 0, 5_000);
      id.found([leaseOf('s', 11)], true, 5_100);
      expect(id.rival).toBeUndefined();
    });

    test('is looked at together with all that name the worker: a look at others says nothing of it', () => {
      const { id } = new House().start('a');
      id.lost(leaseOf('s', 10), 0, 300);
      id.found([], false, 350);
      expect(id.mayBeShared('s')).toBe(true);
      id.found([], true, 400);
      expect(id.mayBeShared('s')).toBe(false);
    });

    test('is taken up at once, and never shared, where the id was made up for this process', () => {
      const made = { workerIdLookIntervalMs: Number.POSITIVE_INFINITY };
      expect(afterwards(made, [leaseOf('s', 11), leaseOf('s', 12)])).toEqual([undefined, false]);
    });
  });
});
