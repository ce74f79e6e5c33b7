// How long shards rested when they went from one worker to another: from the last record of the one to the first of the other, and
// where the one was killed, from then on. Records come to every shard all the time; no figure is finer than their pause.
import type { WorkerKind } from '../kcl/worker-process.ts';
import type { Tenure, Told } from './tenures.ts';

export interface Move {
  readonly shard: string;
  readonly from: WorkerKind;
  readonly to: WorkerKind;
  readonly by: keyof typeof words;
  readonly restMs: number;
  /** How often its records came again. */
  readonly duplicates: number;
}

/** Why a shard left its worker. */
const words = {
  order: 'handed over by the leader',
  stop: 'its worker left',
  kill: 'its worker was killed, from then on',
  leaderKill: 'its worker was killed while it led, from then on',
  loss: 'its lease had expired',
} as const;

/**
 * @param tenures by the time they began.
 * @param fallen the workers that led when they were killed.
 */
export function movesOf(tenures: readonly Tenure[], workers: readonly Told[], fallen: ReadonlySet<string>): Move[] {
  const told = new Map(workers.map((worker) => [worker.workerId, worker]));
  const moves: Move[] = [];
  const previous = new Map<string, Tenure>();
  for (const tenure of tenures) {
    const before = previous.get(tenure.shard);
    // One that was given nothing shows nothing.
    const first = tenure.records[0];
    if (first === undefined) continue;
    previous.set(tenure.shard, tenure);
    const last = before?.records.at(-1);
    if (before === undefined || last === undefined || before.workerId === tenure.workerId) continue;
    const { killedAt, stoppedAt = Number.POSITIVE_INFINITY } = told.get(before.workerId) ?? {};
    const by = reasonOf(before, stoppedAt, fallen);
    const since = before.end === 'killed' ? (killedAt ?? last.at) : last.at;
    const given = new Set(before.records.map(nameOf));
    const duplicates = tenure.records.filter((record) => given.has(nameOf(record))).length;
    const { shard } = tenure;
    moves.push({ shard, from: before.kind, to: tenure.kind, by, restMs: first.at - since, duplicates });
  }
  return moves;
}

function reasonOf({ workerId, end, requestedAt }: Tenure, stoppedAt: number, fallen: ReadonlySet<string>): Move['by'] {
  if (end === 'killed') return fallen.has(workerId) ? 'leaderKill' : 'kill';
  if (requestedAt === undefined) return 'loss';
  return requestedAt >= stoppedAt ? 'stop' : 'order';
}

/** One line for each kind of move that there was. */
export function describeMoves(moves: readonly Move[]): string[] {
  const kinds = new Map<string, Move[]>();
  for (const move of moves) {
    const kind = `${move.from} → ${move.to}, ${words[move.by]}`;
    kinds.set(kind, [...(kinds.get(kind) ?? []), move]);
  }
  return [...kinds].sort().map(([kind, ofKind]) => {
    const rests = ofKind.map(({ restMs }) => restMs).sort((a, b) => a - b);
    const duplicates = ofKind.reduce((sum, move) => sum + move.duplicates, 0);
    const [median, most] = [quantile(rests, 0.5), quantile(rests, 0.99)].map((ms) => `${(ms / 1000).toFixed(2)} s`);
    return `${kind}: ${ofKind.length} shards rested p50 ${median}, p99 ${most}; ${duplicates} duplicates`;
  });
}

/** @param sorted not empty. */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

function nameOf({ sequence, sub }: { readonly sequence: string; readonly sub: number }): string {
  return `${sequence}/${sub}`;
}
