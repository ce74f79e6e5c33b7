// The history of a fleet, a tenure at a time (one uninterrupted ownership of a shard by a worker), and what the protocol demands
// of it, told as the list of what does not hold. At least once is what is promised, so records come again after a tenure that
// ended badly, but nothing that a checkpoint covers comes again, and after a handoff in good order nothing does.
import type { OtherEvent, RecordEvent, WorkerEvent, WorkerKind } from '../kcl/worker-process.ts';

/** What one worker said, in order. */
export interface Told {
  readonly workerId: string;
  readonly kind: WorkerKind;
  readonly killedAt: number | undefined;
  /** When it was asked for a graceful shutdown. */
  readonly stoppedAt: number | undefined;
  readonly said: readonly WorkerEvent[];
}

/** A position of a shard: a sequence number or a sentinel, and the place within its aggregated record. */
export interface Place {
  readonly sequence: string;
  readonly sub: number;
}

export interface Tenure {
  readonly workerId: string;
  readonly kind: WorkerKind;
  readonly shard: string;
  readonly beganAt: number;
  readonly from: Place;
  readonly records: readonly RecordEvent[];
  readonly checkpoints: readonly (OtherEvent & { readonly event: 'checkpoint' })[];
  /** When the worker was told that it goes to another. */
  readonly requestedAt: number | undefined;
  readonly end: 'leaseLost' | 'shardEnded' | 'killed' | undefined;
  readonly endedAt: number | undefined;
}

/** All tenures, by the time they began. */
export function tenuresOf(workers: readonly Told[]): Tenure[] {
  return workers.flatMap(ofWorker).sort((a, b) => a.beganAt - b.beganAt);
}

/**
 * What is wrong with them.
 * @param failoverMs how long a lease lasts.
 */
export function tenureFaults(tenures: readonly Tenure[], failoverMs: number): string[] {
  const shards = new Set(tenures.map(({ shard }) => shard));
  const byShard = [...shards].map((id) => tenures.filter(({ shard }) => shard === id));
  return byShard.flatMap((ofShard) => [
    ...ofShard.flatMap(outOfOrder),
    ...ofShard.flatMap((tenure, index) => badBegin(tenure, ofShard.slice(0, index))),
    ...movedBack(ofShard),
    ...ofShard.flatMap((tenure) => left(tenure, failoverMs)),
    ...ofShard.flatMap((tenure, index) => lateRecords(tenure, ofShard[index + 1])),
  ]);
}

function ofWorker({ workerId, kind, killedAt, said }: Told): Tenure[] {
  interface Open extends Tenure {
    readonly records: RecordEvent[];
    readonly checkpoints: (OtherEvent & { readonly event: 'checkpoint' })[];
    requestedAt: number | undefined;
    end: Tenure['end'];
    endedAt: number | undefined;
  }
  const tenures: Open[] = [];
  const open = new Map<string, Open>();
  for (const event of said) {
    if (!('shard' in event) || event.shard === undefined) continue;
    const { shard } = event;
    if (event.event === 'init') {
      const from = { sequence: event.from, sub: event.fromSub };
      const lists = { records: [], checkpoints: [] };
      const tenure = {
        workerId,
        kind,
        shard,
        beganAt: event.at,
        from,
        ...lists,
        requestedAt: undefined,
        end: undefined,
        endedAt: undefined,
      };
      tenures.push(tenure);
      open.set(shard, tenure);
      continue;
    }
    // Of a shard that was never begun a KCL says leaseLost too.
    const tenure = open.get(shard);
    if (tenure === undefined) continue;
    if (event.event === 'record') tenure.records.push(event);
    else if (event.event === 'checkpoint') tenure.checkpoints.push(event);
    else if (event.event === 'shutdownRequested') tenure.requestedAt ??= event.at;
    else if (event.event === 'leaseLost' || event.event === 'shardEnded')
      Object.assign(tenure, { end: event.event, endedAt: event.at });
  }
  if (killedAt !== undefined) for (const tenure of open.values()) tenure.end ??= 'killed';
  return tenures;
}

function outOfOrder(tenure: Tenure): string[] {
  let before = tenure.from;
  return tenure.records.flatMap((record) => {
    const last = before;
    before = record;
    if (compare(last, record) < 0) return [];
    const what = last === tenure.from ? 'its beginning at' : '';
    return [`${named(tenure)}: ${text(record)} came after ${what} ${text(last)}`];
  });
}

/** It begins at or behind everything that was checkpointed by then, and before nothing that nobody was given. */
function badBegin(tenure: Tenure, before: readonly Tenure[]): string[] {
  const { from, beganAt } = tenure;
  const covered = before.flatMap(({ checkpoints }) => checkpoints).filter(({ at }) => at < beganAt);
  const delivered = before.flatMap(({ records }) => records).filter(({ at }) => at <= beganAt);
  const newest = covered.reduce<Place | undefined>(later, undefined);
  const furthest = delivered.reduce<Place | undefined>(later, undefined);
  if (newest !== undefined && compare(from, newest) < 0) {
    return [`${named(tenure)}: begins at ${text(from)}, although ${text(newest)} was checkpointed`];
  }
  const isSentinel = from.sequence === 'TRIM_HORIZON' || from.sequence === 'SHARD_END';
  if (!isSentinel && (furthest === undefined || compare(from, furthest) > 0)) {
    return [`${named(tenure)}: begins at ${text(from)}, and nobody was given that`];
  }
  return [];
}

function movedBack(ofShard: readonly Tenure[]): string[] {
  const inTime = ofShard.flatMap((tenure) => tenure.checkpoints.map((checkpoint) => ({ tenure, checkpoint })));
  inTime.sort((a, b) => a.checkpoint.at - b.checkpoint.at);
  return inTime.flatMap(({ tenure, checkpoint }, index) => {
    const before = inTime[index - 1]?.checkpoint;
    if (before === undefined || before.at === checkpoint.at || compare(before, checkpoint) <= 0) return [];
    return [`${named(tenure)}: checkpointed ${text(checkpoint)} after ${text(before)}`];
  });
}

/**
 * Who was told to go has checkpointed all that it was given. One that could write nothing for as long as a lease lasts may not: it
 * has to take its lease for lost, and a live one writes its checkpoints every second.
 */
function left(tenure: Tenure, failoverMs: number): string[] {
  const { beganAt, requestedAt, end, endedAt = beganAt, records, checkpoints } = tenure;
  if (endedAt - (checkpoints.at(-1)?.at ?? beganAt) > failoverMs) return [];
  const last = records.at(-1);
  if (requestedAt === undefined || end !== 'leaseLost' || last === undefined) return [];
  if (checkpoints.some((checkpoint) => compare(checkpoint, last) >= 0)) return [];
  return [`${named(tenure)}: left in good order without a checkpoint at ${text(last)}`];
}

/** Who was told to go gives no record to its processor once the next one has begun. */
function lateRecords(tenure: Tenure, next: Tenure | undefined): string[] {
  const { requestedAt, records } = tenure;
  if (next === undefined || requestedAt === undefined || requestedAt > next.beganAt) return [];
  const late = records.filter(({ at }) => at > next.beganAt).length;
  return late === 0 ? [] : [`${named(tenure)}: ${late} records after ${next.workerId} had begun`];
}

const sentinels: Readonly<Record<string, bigint>> = { AT_TIMESTAMP: -3n, TRIM_HORIZON: -2n, LATEST: -1n };

/** In the KCL's order: sentinels, sequence numbers, SHARD_END. */
export function compare(a: Place, b: Place): number {
  if (a.sequence === b.sequence) return a.sequence === 'SHARD_END' ? 0 : a.sub - b.sub;
  if (a.sequence === 'SHARD_END') return 1;
  if (b.sequence === 'SHARD_END') return -1;
  const [x, y] = [sentinels[a.sequence] ?? BigInt(a.sequence), sentinels[b.sequence] ?? BigInt(b.sequence)];
  return x < y ? -1 : x > y ? 1 : 0;
}

function later(a: Place | undefined, b: Place): Place {
  return a === undefined || compare(a, b) < 0 ? b : a;
}

function named({ workerId, shard, beganAt }: Tenure): string {
  return `${workerId} on ${shard} since ${new Date(beganAt).toISOString().slice(11, 23)}`;
}

function text({ sequence, sub }: Place): string {
  return `${sequence}:${sub}`;
}
