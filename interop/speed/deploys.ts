// Rolling deploys: Node workers replaced one by one, while a Java worker or one of their own leads; and workers of either kind
// replaced by the other. What counts is how long a shard of a worker that leaves in good order rests, from its last record there to the
// first elsewhere; what a leader moves meanwhile for the sake of balance is told apart.
import { Fleet } from '../fleet/fleet.ts';
import type { Move } from '../fleet/moves.ts';
import type { WorkerKind, WorkerProcess } from '../kcl/worker-process.ts';
import { type Row, rowOf } from './rows.ts';
import { DEFAULT_TIMES, type Played, type Stage } from './stage.ts';

const NODE_SHARDS = 24;
const NODE_WORKERS = 3;
const MIXED_SHARDS = 12;
/** Of so many deploys of a worker one stops the old one before it starts the new one. */
const STOP_FIRST = 4;
/** Of our own, p99. */
const NODE_BOUND_MS = 1_000;
/** How often a Java worker looks for leases that it was given: its failoverTimeMs less 25 ms. */
const JAVA_DISCOVERY_MS = Number(DEFAULT_TIMES.java?.['FAILOVER_MS']) - 25;

/** Node workers are replaced until so many shards have moved. A Java leader keeps leading; a Node leader is replaced, too. */
export async function deployNode(stage: Stage, leader: WorkerKind, shardsToMove: number): Promise<Played> {
  const { setting, program, pulseMs } = stage;
  const casting = { shardCount: NODE_SHARDS, program, environmentOf: DEFAULT_TIMES, pulseMs };
  const outcome = await Fleet.play(setting, `deploy-node-${leader}-leads`, casting, async (fleet) => {
    const first = await fleet.start(leader, `${leader}-0`);
    await fleet.untilReadBy(first);
    await fleet.untilLeads(first);
    const java = leader === 'java' ? [first] : [];
    let nodes = leader === 'java' ? [] : [first];
    while (nodes.length < NODE_WORKERS) nodes.push(await fleet.startNode(`node-${nodes.length}`));
    for (const node of nodes) await fleet.untilReads(node, 2);
    let moved = 0;
    for (let step = 0; moved < shardsToMove; step += 1) {
      const next = (): Promise<WorkerProcess> => fleet.startNode(`node-${NODE_WORKERS + step}`);
      const [oldest, ...others] = nodes as [WorkerProcess, ...WorkerProcess[]];
      const isStopFirst = step % STOP_FIRST === STOP_FIRST - 1;
      let newest = isStopFirst ? undefined : await next();
      if (newest !== undefined) await fleet.untilReports(newest);
      moved += fleet.readBy(oldest).length;
      await oldest.stop();
      newest ??= await next();
      nodes = [...others, newest];
      await fleet.untilReadBy(...java, ...nodes);
      if (isStopFirst) await fleet.untilReads(newest, 1);
    }
  });
  const rests = (by: Move['by']): number[] => restsOf(outcome.moves, by, 'node', 'node');
  const rows = [
    rowOf(`Node → Node, its worker left, ${named[leader]} leads`, rests('stop'), NODE_BOUND_MS),
    rowOf(`Node → Node, handed over, ${named[leader]} leads`, rests('order'), null),
  ];
  return { outcomes: [outcome], rows };
}

/** One of two workers is replaced again and again: Java by Java, Java by Node, Node by Java, so often around. */
export async function deployAcross({ setting, program, pulseMs }: Stage, rounds: number): Promise<Played> {
  const casting = { shardCount: MIXED_SHARDS, program, environmentOf: DEFAULT_TIMES, pulseMs };
  const outcome = await Fleet.play(setting, 'deploy-across', casting, async (fleet) => {
    let started = 0;
    const start = (kind: WorkerKind): Promise<WorkerProcess> => fleet.start(kind, `${kind}-${started++}`);
    let worker = await start('java');
    await fleet.untilReadBy(worker);
    for (let round = 0; round < rounds; round += 1) {
      for (const kind of ['java', 'node', 'java'] as const) {
        const next = await start(kind);
        await fleet.untilReads(next, 1);
        await worker.stop();
        await fleet.untilReadBy(next);
        worker = next;
      }
    }
  });
  const row = (from: WorkerKind, to: WorkerKind, boundMs: number | null): Row =>
    rowOf(`${named[from]} → ${named[to]}, its worker left`, restsOf(outcome.moves, 'stop', from, to), boundMs);
  const rows = [row('node', 'java', JAVA_DISCOVERY_MS), row('java', 'node', null), row('java', 'java', null)];
  return { outcomes: [outcome], rows };
}

const named = { node: 'Node', java: 'Java' } as const;

function restsOf(moves: readonly Move[], by: Move['by'], fromKind: WorkerKind, toKind: WorkerKind): number[] {
  const counted = moves.filter((move) => move.by === by && move.from === fromKind && move.to === toKind);
  return counted.map(({ restMs }) => restMs);
}
