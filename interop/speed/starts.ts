// From the start of a worker to its first record: of a new application, and after the only worker has left in good order, when leases
// and leadership are free. Counted from when its program is up; a new application's table is made within the time.
import { Fleet, type Outcome } from '../fleet/fleet.ts';
import { until, type WorkerKind, type WorkerProcess } from '../kcl/worker-process.ts';
import { type Row, rowOf } from './rows.ts';
import { DEFAULT_TIMES, type Played, type Stage } from './stage.ts';

const SHARDS = 4;
/** Of our own. */
const BOUNDS_MS = { newTable: 3_000, released: 1_000 } as const;

/** So many new applications one after the other, in each of which the worker is followed by another one. */
export async function starts(
  { setting, program, pulseMs }: Stage,
  kind: WorkerKind,
  applications: number,
): Promise<Played> {
  const casting = { shardCount: SHARDS, program, environmentOf: DEFAULT_TIMES, pulseMs };
  const outcomes: Outcome[] = [];
  const took: Record<keyof typeof BOUNDS_MS, number[]> = { newTable: [], released: [] };
  for (let application = 0; application < applications; application += 1) {
    const play = async (fleet: Fleet): Promise<void> => {
      const first = await fleet.start(kind, `${kind}-0`);
      took.newTable.push(await untilFirstRecord(first));
      await fleet.untilReadBy(first);
      await first.stop();
      const second = await fleet.start(kind, `${kind}-1`);
      took.released.push(await untilFirstRecord(second));
      await fleet.untilReadBy(second);
    };
    outcomes.push(await Fleet.play(setting, `start-${kind}-${application}`, casting, play));
  }
  const row = (of: keyof typeof BOUNDS_MS, what: string): Row =>
    rowOf(`${kind}: start to first record, ${what}`, took[of], kind === 'node' ? BOUNDS_MS[of] : null);
  return { outcomes, rows: [row('newTable', 'new table'), row('released', 'all released')] };
}

/** @returns ms from its `start` to its first record. */
async function untilFirstRecord(worker: WorkerProcess): Promise<number> {
  await until(`${worker.workerId} delivers a record`, [worker], () => worker.records.length > 0);
  const startedAt = worker.events.find(({ event }) => event === 'start')?.at ?? Number.NaN;
  return (worker.records[0]?.at ?? Number.NaN) - startedAt;
}
