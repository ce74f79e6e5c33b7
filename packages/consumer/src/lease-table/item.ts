// Rows of the lease table as DynamoDB items, attribute by attribute as the KCL 3.5 writes them (DynamoDBLeaseSerializer,
// CoordinatorStateSerializer, WorkerMetricStats). Pure: no client, no clock. One table holds leases, the leader's row, workers'
// metric rows and migration states, told apart by `entityType`; a row of a kind we don't know is skipped, and a row that
// can't be read is named, never thrown, so that one bad row can't stop a fleet.
import {
  describe,
  type ExtendedSequenceNumber,
  type HashKeyRange,
  isShardlineError,
  parseCheckpoint,
  parseHashKey,
  UsageError,
} from '@shardline/common';
import type { ClientVersion } from '../coordination/client-version.ts';
import type {
  LeaderRow,
  Lease,
  PendingCheckpoint,
  Utilization,
  WorkerProcess,
  WorkerRow,
  WorkerSign,
} from '../coordination/lease.ts';
import type { UnreadableRow } from './unreadable.ts';

/** A DynamoDB value as it is read: the members that lease rows use, and those that others' rows do. */
export interface Value {
  readonly S?: string;
  readonly N?: string;
  readonly SS?: readonly string[];
  readonly B?: Uint8Array;
  readonly L?: readonly unknown[];
  readonly M?: object;
}
/** An item as it is read. */
export type Item = Readonly<Record<string, Value | undefined>>;

/** A DynamoDB value as we write it. */
export type WrittenValue =
  | { S: string }
  | { N: string }
  | { SS: string[] }
  | { B: Uint8Array }
  | { L: WrittenValue[] }
  | { M: Record<string, WrittenValue> };
export type WrittenItem = Record<string, WrittenValue>;

/** What a row is. `other` rows are left alone; `unreadable` ones are reported by the table. */
export type Row =
  | { readonly kind: 'lease'; readonly lease: Lease }
  | { readonly kind: 'worker'; readonly worker: WorkerRow }
  | { readonly kind: 'leader'; readonly leader: LeaderRow }
  | { readonly kind: 'other'; readonly key: string }
  | ({ readonly kind: 'unreadable' } & UnreadableRow);

/** Keys of the rows that are not leases, whatever their entityType (KCL 3.0 to 3.4 writes none). */
export const LEADER_KEY = 'Leader';
export const CLIENT_VERSION_KEY = 'Migration3.0';
export const TABLE_MIGRATION_KEY = 'TableMigration3.5';

/** The attributes of a pending checkpoint; the state is missing where the application gave none. */
export const PENDING_ATTRIBUTES = [
  'pendingCheckpoint',
  'pendingCheckpointSubSequenceNumber',
  'pendingCheckpointState',
] as const;

/** Of our own; no KCL knows it. */
export const LATEST_SINCE = 'shardlineLatestSince';

/** One for all: most leases have no parents and no children. */
const NO_NAMES: readonly string[] = [];

/** The attributes of a lease row that we know and write; all others are kept as they are. */
export const LEASE_ATTRIBUTES: readonly string[] = [
  'leaseKey',
  'leaseOwner',
  'leaseCounter',
  'checkpointOwner',
  'checkpoint',
  'checkpointSubSequenceNumber',
  ...PENDING_ATTRIBUTES,
  LATEST_SINCE,
  'ownerSwitchesSinceCheckpoint',
  'parentShardId',
  'childShardIds',
  'startingHashKey',
  'endingHashKey',
  'throughputKBps',
  'streamName',
  'shardId',
];

/** KCL MigrationAwareLAMDataManager: three times the reporting period, by its default. */
const SUPPORT_EXPIRES_SECONDS = 90;

const PROCESS = 'shardlineProcess';
const PROCESS_SINCE = 'shardlineProcessSince';
const PROCESS_READS = 'shardlineReads';
const PROCESS_HOST = 'shardlineProcessHost';
const ASKED_BY = 'shardlineAskedBy';
const ANSWERS = 'shardlineAnswers';
const LEAVES = 'shardlineLeaves';
/** `all`, or a JSON list of lease keys. */
const DECLINES = 'shardlineDeclines';
/** Where a metric row says which process wrote it, and where another puts its question. */
export const PROCESS_PATH: string = `properties.${PROCESS}`;
export const ASKED_BY_PATH: string = `properties.${ASKED_BY}`;

/** Reads any row. `wallNow`: milliseconds since 1970, for a worker row's age. @param named gives the one copy of a worker's or stream's id. */
export function readRow(item: Item, wallNow: number, named: (id: string) => string = itself): Row {
  const key = item['leaseKey']?.S ?? '';
  try {
    switch (entityTypeOf(item, key)) {
      case 'LEASE':
        return { kind: 'lease', lease: readLease(item, named) };
      case 'LEADER':
        return { kind: 'leader', leader: readLeader(item) };
      case 'WORKER_METRIC_STATS':
        return { kind: 'worker', worker: readWorker(item, wallNow) };
      default:
        return { kind: 'other', key };
    }
  } catch (error) {
    if (!isShardlineError(error)) throw error;
    return { kind: 'unreadable', key, isLease: entityTypeOf(item, key) === 'LEASE', reason: error.message };
  }
}

/** The known attributes of a lease row. Sets and optional attributes are left out where the lease has nothing to say. */
export function leaseItem(lease: Lease): WrittenItem {
  const item: WrittenItem = {
    leaseKey: { S: lease.leaseKey },
    leaseCounter: { N: String(lease.leaseCounter) },
    ...checkpointAttributes(lease.checkpoint),
    ownerSwitchesSinceCheckpoint: { N: String(lease.ownerSwitchesSinceCheckpoint) },
  };
  if (lease.pendingCheckpoint !== undefined) Object.assign(item, pendingAttributes(lease.pendingCheckpoint));
  if (lease.latestSince !== undefined) item[LATEST_SINCE] = { N: String(lease.latestSince) };
  if (lease.leaseOwner !== undefined) item['leaseOwner'] = { S: lease.leaseOwner };
  if (lease.checkpointOwner !== undefined) item['checkpointOwner'] = { S: lease.checkpointOwner };
  if (lease.parentShardIds.length > 0) item['parentShardId'] = { SS: [...lease.parentShardIds] };
  if (lease.childShardIds.length > 0) item['childShardIds'] = { SS: [...lease.childShardIds] };
  if (lease.hashKeyRange !== undefined) Object.assign(item, rangeAttributes(lease.hashKeyRange));
  if (lease.streamId !== undefined) {
    // The name of the attribute is older than what it holds (KCL DynamoDBMultiStreamLeaseSerializer).
    item['streamName'] = { S: lease.streamId };
    item['shardId'] = { S: lease.shardId };
  }
  if (lease.throughputKBps !== undefined) item['throughputKBps'] = { N: String(lease.throughputKBps) };
  return item;
}

/** The two attributes of a checkpoint. */
export function checkpointAttributes(position: ExtendedSequenceNumber): {
  checkpoint: { S: string };
  checkpointSubSequenceNumber: { N: string };
} {
  return {
    checkpoint: { S: String(position.sequenceNumber) },
    checkpointSubSequenceNumber: { N: String(position.subSequenceNumber) },
  };
}

/** Those of a pending checkpoint. */
export function pendingAttributes({ position, state }: PendingCheckpoint): WrittenItem {
  return {
    pendingCheckpoint: { S: String(position.sequenceNumber) },
    pendingCheckpointSubSequenceNumber: { N: String(position.subSequenceNumber) },
    ...(state !== undefined && { pendingCheckpointState: { B: state } }),
  };
}

/** The two attributes of a shard's range. */
export function rangeAttributes({ start, end }: HashKeyRange): WrittenItem {
  return { startingHashKey: { S: String(start) }, endingHashKey: { S: String(end) } };
}

/** The `Leader` row's attributes without its key (dynamodb-lock-client LockItem; the duration is text there). */
export function leaderItem(leader: LeaderRow): WrittenItem {
  return {
    ownerName: { S: leader.owner },
    leaseDuration: { S: String(leader.leaseDurationMs) },
    recordVersionNumber: { S: leader.version },
    entityType: { S: 'LEADER' },
  };
}

/**
 * A worker's metric row without its key. Empty `sts` and `opr` mark a worker that measures nothing, whose load a leader judges
 * by throughput; support code 1 says that it keeps all rows in one table (KCL WorkerMetricStats).
 */
export function workerItem(
  lastUpdateSeconds: number,
  { stats, operatingRange }: Utilization,
  { id, sinceSeconds, reads, host }: WorkerProcess,
  answered?: string,
  leaves?: true,
  declines?: WorkerRow['declines'],
): WrittenItem {
  return {
    entityType: { S: 'WORKER_METRIC_STATS' },
    lut: { N: String(lastUpdateSeconds) },
    sts: numberLists(stats),
    opr: numberLists(operatingRange),
    // For texts of the writer's own choice; Java workers leave it out.
    properties: {
      M: {
        [PROCESS]: { S: id },
        [PROCESS_SINCE]: { S: String(sinceSeconds) },
        ...(reads !== undefined && { [PROCESS_READS]: { S: reads } }),
        ...(host !== undefined && { [PROCESS_HOST]: { S: host } }),
        ...(answered !== undefined && { [ANSWERS]: { S: answered } }),
        ...(leaves && { [LEAVES]: { S: 'true' } }),
        ...(declines && { [DECLINES]: { S: declines === 'all' ? declines : JSON.stringify(declines) } }),
      },
    },
    sup: { N: '1' },
    slu: { N: String(lastUpdateSeconds) },
  };
}

/** The row by which Java workers of version 3 know which protocol the fleet speaks (KCL MigrationState, at a first start). */
export function clientVersionItem(workerId: string, wallNow: number, version: ClientVersion = '3X'): WrittenItem {
  const by = { mb: { S: workerId }, mts: { N: String(Math.floor(wallNow)) } };
  return {
    leaseKey: { S: CLIENT_VERSION_KEY },
    entityType: { S: 'CLIENT_VERSION_MIGRATION' },
    cv: { S: `CLIENT_VERSION_${version}` },
    ...by,
    h: { L: [{ M: { cv: { S: 'CLIENT_VERSION_INIT' }, ...by } }] },
  };
}

/** The kind of a row; without an entityType (KCL 1.x to 3.4) a well-known key says it, else a checkpoint or a time of update. */
function entityTypeOf(item: Item, key: string): string {
  const entityType = item['entityType']?.S;
  if (entityType !== undefined) return entityType;
  if (key === LEADER_KEY) return 'LEADER';
  if (key === CLIENT_VERSION_KEY || key === TABLE_MIGRATION_KEY) return 'OTHER';
  if (item['checkpoint'] !== undefined) return 'LEASE';
  return item['lut'] === undefined ? 'OTHER' : 'WORKER_METRIC_STATS';
}

const itself = (id: string): string => id;

function readLease(item: Item, named: (id: string) => string): Lease {
  const leaseKey = text(item, 'leaseKey');
  const optionalId = (name: string): string | undefined => {
    const id = optionalText(item, name);
    return id === undefined ? undefined : named(id);
  };
  return {
    leaseKey,
    streamId: optionalId('streamName'),
    shardId: optionalText(item, 'shardId') ?? leaseKey,
    leaseOwner: optionalId('leaseOwner'),
    leaseCounter: count(item, 'leaseCounter'),
    checkpointOwner: optionalId('checkpointOwner'),
    checkpoint: parseCheckpoint(text(item, 'checkpoint'), optionalCount(item, 'checkpointSubSequenceNumber', -1)),
    pendingCheckpoint: readPending(item),
    latestSince: item[LATEST_SINCE] === undefined ? undefined : count(item, LATEST_SINCE),
    ownerSwitchesSinceCheckpoint: optionalCount(item, 'ownerSwitchesSinceCheckpoint'),
    parentShardIds: names(item, 'parentShardId'),
    childShardIds: names(item, 'childShardIds'),
    hashKeyRange: readRange(item),
    throughputKBps: optionalNumber(item, 'throughputKBps'),
  };
}

/** An empty text is none, and so is a state that is no bytes: a row that the KCL puts whole has a number there. */
function readPending(item: Item): PendingCheckpoint | undefined {
  const text = item['pendingCheckpoint']?.S;
  if (text === undefined || text === '') return undefined;
  const sub = optionalCount(item, 'pendingCheckpointSubSequenceNumber');
  return { position: parseCheckpoint(text, sub, 'pendingCheckpoint'), state: item['pendingCheckpointState']?.B };
}

function readLeader(item: Item): LeaderRow {
  const durationText = text(item, 'leaseDuration');
  const leaseDurationMs = Number(durationText);
  if (!Number.isSafeInteger(leaseDurationMs) || leaseDurationMs < 0) {
    throw new UsageError('leaseDuration', 'milliseconds as text', describe(durationText));
  }
  const row = { owner: text(item, 'ownerName'), version: text(item, 'recordVersionNumber'), leaseDurationMs };
  return item['isReleased']?.S === '1' ? { ...row, released: true } : row;
}

function readWorker(item: Item, wallNow: number): WorkerRow {
  const lastUpdateSeconds = count(item, 'lut');
  const declines = readDeclines(item);
  return {
    workerId: text(item, 'leaseKey'),
    lastUpdateSeconds,
    ageMs: wallNow - lastUpdateSeconds * 1000,
    utilization: { stats: readNumberLists(item, 'sts'), operatingRange: readNumberLists(item, 'opr') },
    process: readProcess(item),
    ...(declines !== undefined && { declines }),
    ...supportOf(item, lastUpdateSeconds),
  };
}

/** What nobody understands is nothing: it is a wish, and a worker whose row could not be read would get no leases at all. */
function readDeclines(item: Item): WorkerRow['declines'] {
  const text = propertiesOf(item)?.[DECLINES]?.S;
  if (text === undefined || text === 'all') return text;
  try {
    const keys: unknown = JSON.parse(text);
    return Array.isArray(keys) && keys.every((key) => typeof key === 'string') ? keys : undefined;
  } catch {
    return undefined;
  }
}

/** A worker that was rolled back to an older KCL leaves its former code standing while its row moves on: one clock tells, the writer's. */
function supportOf(item: Item, lastUpdateSeconds: number): Pick<WorkerRow, 'supportCode'> {
  const supportCode = Number(item['sup']?.N ?? 0);
  const saidAt = Number(item['slu']?.N ?? Number.NEGATIVE_INFINITY);
  const isKeptUp = lastUpdateSeconds - saidAt <= SUPPORT_EXPIRES_SECONDS;
  return Number.isSafeInteger(supportCode) && supportCode > 0 && isKeptUp ? { supportCode } : {};
}

/** A row of ours says it; what else `properties` may hold is another's business. */
export function readProcess(item: Item): WorkerProcess | undefined {
  const properties = propertiesOf(item);
  const id = properties?.[PROCESS]?.S;
  const sinceSeconds = Number(properties?.[PROCESS_SINCE]?.S);
  if (id === undefined || !Number.isFinite(sinceSeconds)) return undefined;
  const reads = properties?.[PROCESS_READS]?.S;
  const host = properties?.[PROCESS_HOST]?.S;
  return { id, sinceSeconds, ...(reads !== undefined && { reads }), ...(host !== undefined && { host }) };
}

/** Who has the worker id by a metric row, whatever else stands or does not stand in it. */
export function readSign(item: Item): WorkerSign {
  const properties = propertiesOf(item);
  return {
    process: readProcess(item),
    lastUpdateSeconds: Number(item['lut']?.N ?? 0),
    askedBy: properties?.[ASKED_BY]?.S,
    answers: properties?.[ANSWERS]?.S,
    leaves: properties?.[LEAVES] === undefined ? undefined : true,
  };
}

function propertiesOf(item: Item): Readonly<Record<string, Value | undefined>> | undefined {
  return item['properties']?.M as Readonly<Record<string, Value | undefined>> | undefined;
}

/**
 * Whether a worker's row says that this worker, as the leader, would move the fleet's rows into one table: a Java worker of
 * version 3.5 or later. Ours say that they can live in one table, and leave the move to others.
 */
export function movesRows(item: Item): boolean {
  return Number(item['sup']?.N ?? 0) >= 1 && readProcess(item) === undefined;
}

/** Both keys or none; rows of old fleets have none, which the KCL's auditor fills in later. */
function readRange(item: Item): HashKeyRange | undefined {
  const start = optionalText(item, 'startingHashKey');
  const end = optionalText(item, 'endingHashKey');
  if (start === undefined || end === undefined) return undefined;
  return { start: parseHashKey(start, 'startingHashKey'), end: parseHashKey(end, 'endingHashKey') };
}

function text(item: Item, name: string): string {
  const value = optionalText(item, name);
  if (value === undefined) throw new UsageError(name, 'a string', 'nothing');
  return value;
}

function optionalText(item: Item, name: string): string | undefined {
  const value = item[name];
  if (value === undefined) return undefined;
  if (typeof value.S !== 'string' || value.S === '') throw new UsageError(name, 'a string (S)', shape(value));
  return value.S;
}

function count(item: Item, name: string, least = 0): number {
  const value = item[name];
  const number = typeof value?.N === 'string' ? Number(value.N) : Number.NaN;
  if (!Number.isSafeInteger(number) || number < least) {
    throw new UsageError(
      name,
      `a whole number (N) of at least ${least}`,
      value === undefined ? 'nothing' : shape(value),
    );
  }
  return number;
}

function optionalCount(item: Item, name: string, least = 0): number {
  return item[name] === undefined ? 0 : count(item, name, least);
}

/** `3.4E-5` is one, too. */
function optionalNumber(item: Item, name: string): number | undefined {
  const value = item[name];
  if (value === undefined) return undefined;
  const number = typeof value.N === 'string' ? Number(value.N) : Number.NaN;
  if (!Number.isFinite(number)) throw new UsageError(name, 'a number (N)', shape(value));
  return number;
}

function numberLists(lists: Readonly<Record<string, readonly number[]>>): WrittenValue {
  const entries = Object.entries(lists).map(
    ([name, values]) => [name, { L: values.map((value) => ({ N: String(value) })) }] as const,
  );
  return { M: Object.fromEntries(entries) };
}

/** A map of lists of numbers; none is an empty map. */
function readNumberLists(item: Item, name: string): Record<string, number[]> {
  const value = item[name];
  if (value === undefined) return {};
  if (value.M === undefined) throw new UsageError(name, 'a map (M)', shape(value));
  const lists = Object.entries(value.M as Readonly<Record<string, Value>>).map(([metric, list]) => {
    const numbers = (list.L ?? []).map((each) => Number((each as Value).N));
    if (list.L === undefined || numbers.some((number) => !Number.isFinite(number))) {
      throw new UsageError(`${name}.${metric}`, 'a list of numbers (L of N)', shape(list));
    }
    return [metric, numbers] as const;
  });
  return Object.fromEntries(lists);
}

/** A string set, in a fixed order: DynamoDB gives none. */
function names(item: Item, name: string): readonly string[] {
  const value = item[name];
  if (value === undefined) return NO_NAMES;
  if (value.SS === undefined) throw new UsageError(name, 'a set of strings (SS)', shape(value));
  return [...value.SS].sort();
}

/** `S "abc"`, `N "1"`, `B`: enough to find the culprit. */
function shape(value: Value): string {
  const [member, content] = Object.entries(value)[0] ?? ['nothing', undefined];
  return typeof content === 'string' ? `${member} ${describe(content)}` : member;
}
