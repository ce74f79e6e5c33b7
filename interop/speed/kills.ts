// kill -9 of workers of one kind, one that does not lead in turn with the leader, each replaced before the next. The times are those of
// the fleets of the scenarios, the same for both kinds; what bounds a shard's rest follows from them.
import { Fleet, TIMES } from '../fleet/fleet.ts';
import { untilAsked, WAIT_MS, type WorkerKind, type WorkerProcess } from '../kcl/worker-process.ts';
import { type Row, rowOf } from './rows.ts';
import type { Played, Stage } from './stage.ts';

const SHARDS = 9;
const WORKERS = 3;
/** Ours, and the KCL's: `failoverTimeMs` less 25 ms. */
const DISCOVERY_MS = { node: 500, java: Number(TIMES.FAILOVER_MS) - 25 } as const;
/** How often others look at the row of a leader that is due: ours, and the KCL's heartbeat. */
const LOOK_MS = { node: 1_000, java: Number(TIMES.LEADER_LEASE_MS) / 5 } as const;
const ASK_EVERY_MS = 50;

/** `count` kills of a worker and as many of the leader. */
export async function kills({ setting, program, pulseMs }: Stage, kind: WorkerKind, count: number): Promise<Played> {
  const followedMs: number[] = [];
  const casting = { shardCount: SHARDS, program, pulseMs };
  const outcome = await Fleet.play(setting, `killed-${kind}`, casting, async (fleet) => {
    let started = 0;
    const start = (): Promise<WorkerProcess> => fleet.start(kind, `${kind}-${started++}`);
    const workers = new Set([await start()]);
    await fleet.untilReadBy(...workers);
    while (workers.size < WORKERS) workers.add(await start());
    for (const worker of workers) await fleet.untilReads(worker, 1);
    for (let kill = 0; kill < 2 * count; kill += 1) {
      const leader = await fleet.leading();
      const victim = kill % 2 === 0 ? [...workers].find((worker) => worker !== leader) : leader;
      if (victim === undefined || !workers.has(victim)) throw new Error('nobody leads');
      workers.delete(victim);
      const killedAt = performance.now();
      await fleet.kill(victim);
      if (victim === leader) {
        const follows = async (): Promise<boolean> => workers.has((await fleet.leading()) ?? victim);
        await untilAsked(`${victim.workerId} is followed`, [...workers], follows, WAIT_MS, ASK_EVERY_MS);
        followedMs.push(performance.now() - killedAt);
      }
      await fleet.untilReadBy(...workers);
      const next = await start();
      workers.add(next);
      await fleet.untilReads(next, 1);
    }
  });
  const rests = (by: 'kill' | 'leaderKill'): number[] =>
    outcome.moves.filter((move) => move.by === by).map(({ restMs }) => restMs);
  const rows: readonly Row[] = [
    rowOf(`${kind}: a worker killed, its shards rest`, rests('kill'), takenWithin(kind)),
    rowOf(`${kind}: the leader killed, until another leads`, followedMs, followedWithin(kind)),
    rowOf(`${kind}: the leader killed, its shards rest`, rests('leaderKill'), followedWithin(kind) + takenWithin(kind)),
  ];
  return { outcomes: [outcome], rows };
}

/**
 * failoverTimeMs, an interval of the leader's runs until it has seen the last renewal, and a discovery. A leader of the KCL sees the lease
 * expire with its next regular run, ours at once.
 */
function takenWithin(kind: WorkerKind): number {
  const intervals = kind === 'node' ? 1 : 2;
  return Number(TIMES.FAILOVER_MS) + intervals * Number(TIMES.ASSIGNMENT_INTERVAL_MS) + DISCOVERY_MS[kind];
}

/** Its row has to stand still for its duration, under the eyes of another worker. */
function followedWithin(kind: WorkerKind): number {
  return Number(TIMES.LEADER_LEASE_MS) + LOOK_MS[kind];
}
