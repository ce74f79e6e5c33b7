// What must hold of a history, told as the list of what does not: every record that was put was delivered where it lies and as it
// was, in the order of its shard within a tenure, in the order of its key over all, and parents were read to their end before
// their children began. Records may come again (the KCL promises at least once, and a put that was tried again may have left two
// copies), but no others.
import type { PutRecord } from './feed.ts';
import type { OtherEvent, RecordEvent } from './worker-process.ts';

export interface ShardOrigin {
  readonly id: string;
  readonly parentIds: readonly string[];
}

/** What one worker said. */
export interface WorkerHistory {
  readonly workerId: string;
  readonly events: readonly OtherEvent[];
  readonly records: readonly RecordEvent[];
}

/** Enough to see what is wrong. */
const SHOWN = 20;

export function faultsOf(
  put: readonly PutRecord[],
  workers: readonly WorkerHistory[],
  shards: readonly ShardOrigin[],
): string[] {
  const records = workers.flatMap((worker) => worker.records).sort((a, b) => a.at - b.at);
  return [
    ...lostOrAltered(put, records),
    ...outOfKeyOrder(records),
    ...workers.flatMap(outOfShardOrder),
    ...beforeParents(shards, workers),
    ...workers.flatMap(({ events }) => events.flatMap((event) => (event.event === 'error' ? [event.what] : []))),
  ].slice(0, SHOWN);
}

/** Where a user record lies in its stream. */
export function placeOf({ shard, sequence, sub }: Pick<PutRecord, 'shard' | 'sequence' | 'sub'>): string {
  return `${shard}/${sequence}/${sub}`;
}

function lostOrAltered(put: readonly PutRecord[], records: readonly RecordEvent[]): string[] {
  const expected = new Map(put.map((record) => [placeOf(record), `${record.key} ${record.number}`]));
  const twice = new Set(put.flatMap(({ key, number, duplicate }) => (duplicate ? [`${key} ${number}`] : [])));
  const delivered = new Set<string>();
  const faults: string[] = [];
  if (expected.size !== put.length) faults.push(`${put.length} records were put in ${expected.size} places`);
  for (const record of records) {
    const place = placeOf(record);
    const got = `${record.key} ${record.data}`;
    const was = expected.get(place);
    delivered.add(place);
    if (was !== got && !(was === undefined && twice.has(got))) {
      faults.push(`at ${place}: put ${was ?? 'nothing'}, delivered ${got}`);
    }
  }
  for (const [place, what] of expected) if (!delivered.has(place)) faults.push(`lost at ${place}: ${what}`);
  return faults;
}

/** Only what comes for the first time has an order over tenures and workers. */
function outOfKeyOrder(records: readonly RecordEvent[]): string[] {
  const faults: string[] = [];
  const last = new Map<string, number>();
  const seen = new Set<string>();
  for (const { key, data } of records) {
    if (seen.has(`${key} ${data}`)) continue;
    seen.add(`${key} ${data}`);
    const before = last.get(key) ?? -1;
    if (Number(data) !== before + 1) faults.push(`${key}: ${data} after ${before}`);
    last.set(key, Number(data));
  }
  return faults;
}

function outOfShardOrder({ workerId, events, records }: WorkerHistory): string[] {
  const faults: string[] = [];
  for (const shard of new Set(records.map((record) => record.shard))) {
    const begins = events.filter((event) => event.event === 'init' && event.shard === shard).map(({ at }) => at);
    let before: RecordEvent | undefined;
    for (const record of records.filter((each) => each.shard === shard)) {
      const last = before;
      before = record;
      if (last === undefined || compare(last, record) < 0) continue;
      if (begins.some((at) => last.at <= at && at <= record.at)) continue;
      faults.push(`${workerId}: ${placeOf(record)} after ${placeOf(last)}`);
    }
  }
  return faults;
}

function compare(a: RecordEvent, b: RecordEvent): number {
  const [x, y] = [BigInt(a.sequence), BigInt(b.sequence)];
  return x === y ? a.sub - b.sub : x < y ? -1 : 1;
}

function beforeParents(shards: readonly ShardOrigin[], workers: readonly WorkerHistory[]): string[] {
  const events = workers.flatMap((worker) => worker.events).sort((a, b) => a.at - b.at);
  const firstAt = (kind: 'init' | 'shardEnded', shard: string): number =>
    events.find((event) => event.event === kind && event.shard === shard)?.at ?? Number.POSITIVE_INFINITY;
  return shards.flatMap(({ id, parentIds }) =>
    parentIds
      .filter((parentId) => firstAt('init', id) < firstAt('shardEnded', parentId))
      .map((parentId) => `${id} began before its parent ${parentId} had ended`),
  );
}
