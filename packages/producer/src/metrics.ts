// Counts what the KPL counts, under its names (KPL metrics.md; BufferingTime and the rest as its retrier.cc samples them), for one
// stream of a producer. Beside the records' way: it reads, it decides nothing. It looks once at each request and at each Kinesis
// record that settles, never at a put. Pure: `now` is an argument.
// Invariants: a sample is kept once, at its shard, and summed up by stream when somebody reads; what is kept is bounded, however
// many shards come and go.
import type { MetricUnit, Statistics } from '@shardline/common';
import type { Answer, KinesisRecord } from './batch.ts';
import type { Attempt, DeliveredRecord, DeliveredRecords } from './put.ts';
import { mergeStatistics, StatisticsGroup } from './statistics.ts';
import type { UserRecord } from './user-record.ts';

/** `none`: nothing is counted. `summary`: the metrics of the KPL's level of that name. `detailed`: all. */
export type MetricsLevel = 'none' | 'summary' | 'detailed';

/** How far metrics are told apart: not at all, by stream, or by stream and shard. */
export type MetricsGranularity = 'global' | 'stream' | 'shard';

interface MetricKind {
  readonly unit: MetricUnit;
  readonly level: 'summary' | 'detailed';
  /** Whether it is told apart by shard. */
  readonly byShard: boolean;
}

const count = (level: MetricKind['level'], byShard: boolean): MetricKind => ({ unit: 'Count', level, byShard });

/** The KPL's metrics, in the order of its documentation. */
export type ProducerMetricName =
  | 'UserRecordsReceived'
  | 'UserRecordsPending'
  | 'UserRecordsPut'
  | 'UserRecordsDataPut'
  | 'KinesisRecordsPut'
  | 'KinesisRecordsDataPut'
  | 'ErrorsByCode'
  | 'AllErrors'
  | 'RetriesPerRecord'
  | 'UserRecordExpired'
  | 'BufferingTime'
  | 'RequestTime'
  | 'UserRecordsPerKinesisRecord'
  | 'KinesisRecordsPerPutRecordsRequest'
  | 'UserRecordsPerPutRecordsRequest';

export const metricKinds: Readonly<Record<ProducerMetricName, MetricKind>> = {
  UserRecordsReceived: count('detailed', false),
  UserRecordsPending: count('detailed', false),
  UserRecordsPut: count('summary', true),
  UserRecordsDataPut: { unit: 'Bytes', level: 'detailed', byShard: true },
  KinesisRecordsPut: count('summary', true),
  KinesisRecordsDataPut: { unit: 'Bytes', level: 'detailed', byShard: true },
  ErrorsByCode: count('summary', true),
  AllErrors: count('summary', true),
  RetriesPerRecord: count('detailed', true),
  UserRecordExpired: count('summary', true),
  BufferingTime: { unit: 'Milliseconds', level: 'summary', byShard: true },
  RequestTime: { unit: 'Milliseconds', level: 'detailed', byShard: false },
  UserRecordsPerKinesisRecord: count('detailed', true),
  KinesisRecordsPerPutRecordsRequest: count('detailed', false),
  UserRecordsPerPutRecordsRequest: count('detailed', false),
};

export const metricNames: readonly ProducerMetricName[] = Object.keys(metricKinds) as ProducerMetricName[];

const numberOf = Object.fromEntries(metricNames.map((name, index) => [name, index])) as Record<
  ProducerMetricName,
  number
>;

/** A metric of a stream, or of one of its shards. */
export interface StreamMetric {
  readonly name: ProducerMetricName;
  readonly shardId: string | undefined;
  /** Of ErrorsByCode alone. */
  readonly errorCode: string | undefined;
  readonly statistics: Statistics;
}

/** Beyond them the windows of a single shard are empty: a minute of one shard is 20 kB. */
const MOST_SHARDS_WITH_WINDOWS = 256;
/** Beyond them the shards that were not used for longest are counted together with what has no shard. */
const MOST_SHARDS = 20_000;
/** Beyond them other codes are counted as `Other`; Kinesis and the network know a few dozen. */
const MOST_ERROR_CODES = 64;

/** Of one shard; or of what has no shard: requests, and records that nobody could predict. */
interface Place {
  readonly group: StatisticsGroup;
  readonly errors: Map<string, StatisticsGroup>;
}

type Read = (group: StatisticsGroup, metric: number) => Statistics | undefined;

export class StreamMetrics {
  readonly #isCounting: boolean;
  readonly #isDetailed: boolean;
  readonly #byShard: boolean;
  readonly #nowhere: Place = placeOf(true);
  readonly #shards = new Map<string, Place>();
  #second = 0;

  constructor(level: MetricsLevel, granularity: MetricsGranularity) {
    this.#isCounting = level !== 'none';
    this.#isDetailed = level === 'detailed';
    this.#byShard = granularity === 'shard';
  }

  /** How many user records have been taken since the last look, and how many there are that have not settled. */
  looked(receivedCount: number, pendingCount: number, nowMs: number): void {
    if (!this.#isDetailed) return;
    const second = this.#at(nowMs);
    const { group } = this.#nowhere;
    if (receivedCount > 0) group.addMany(numberOf.UserRecordsReceived, receivedCount, receivedCount, 1, 1, second);
    group.add(numberOf.UserRecordsPending, pendingCount, second);
  }

  /** A request was answered; `sent` is what it held. Call it before the answer changes any of it. */
  answered(sent: readonly KinesisRecord[], answer: Answer, durationMs: number, nowMs: number): void {
    if (!this.#isCounting) return;
    const second = this.#at(nowMs);
    const { group } = this.#nowhere;
    let userRecordCount = 0;
    for (const [index, kinesisRecord] of sent.entries()) {
      const place = this.#placeOf(kinesisRecord.shardId);
      userRecordCount += kinesisRecord.count;
      this.#detail(place, 'UserRecordsPerKinesisRecord', kinesisRecord.count, second);
      const entry = answer.kind === 'answered' ? answer.entries[index] : undefined;
      if (entry === undefined) continue;
      const isWritten = entry.kind === 'written';
      place.group.add(numberOf.KinesisRecordsPut, isWritten ? 1 : 0, second);
      place.group.add(numberOf.AllErrors, isWritten ? 0 : 1, second);
      if (isWritten) this.#detail(place, 'KinesisRecordsDataPut', dataBytesOf(kinesisRecord), second);
      else noteError(place, entry.errorCode, second);
    }
    if (answer.kind === 'failed') {
      group.add(numberOf.AllErrors, 1, second);
      noteError(this.#nowhere, answer.errorCode, second);
    }
    this.#detail(this.#nowhere, 'RequestTime', durationMs, second);
    this.#detail(this.#nowhere, 'KinesisRecordsPerPutRecordsRequest', sent.length, second);
    this.#detail(this.#nowhere, 'UserRecordsPerPutRecordsRequest', userRecordCount, second);
  }

  /** The user records of a Kinesis record have succeeded, by a request that began and ended then. */
  delivered(records: DeliveredRecords, place: { shardId: string; beganAtMs: number; endedAtMs: number }): void {
    if (!this.#isCounting) return;
    const second = this.#at(place.endedAtMs);
    const at = this.#placeOf(place.shardId);
    const { group } = at;
    const recordCount = records.length;
    let data = 0;
    let leastData = Number.POSITIVE_INFINITY;
    let mostData = 0;
    let waited = 0;
    let leastWaited = Number.POSITIVE_INFINITY;
    let mostWaited = Number.NEGATIVE_INFINITY;
    let firstTries = 0;
    for (let index = 0; index < recordCount; index++) {
      const record = records.at(index) as DeliveredRecord;
      const length = record.dataBytes;
      data += length;
      if (length < leastData) leastData = length;
      if (length > mostData) mostData = length;
      if (record.attempts.length > 0) {
        this.#attempted(at, record.attempts, second);
        this.#detail(at, 'RetriesPerRecord', record.attempts.length, second);
      } else firstTries++;
      const waitedMs = place.beganAtMs - (record.attempts.length > 0 ? record.lastEndMs : record.putAtMs);
      waited += waitedMs;
      if (waitedMs < leastWaited) leastWaited = waitedMs;
      if (waitedMs > mostWaited) mostWaited = waitedMs;
    }
    group.addMany(numberOf.UserRecordsPut, recordCount, recordCount, 1, 1, second);
    group.addMany(numberOf.BufferingTime, recordCount, waited, leastWaited, mostWaited, second);
    if (!this.#isDetailed) return;
    group.addMany(numberOf.UserRecordsDataPut, recordCount, data, leastData, mostData, second);
    if (firstTries > 0) group.addMany(numberOf.RetriesPerRecord, firstTries, 0, 0, 0, second);
  }

  /** A user record has failed for good. */
  failed(record: UserRecord, isExpired: boolean, nowMs: number): void {
    if (!this.#isCounting) return;
    const second = this.#at(nowMs);
    const at = this.#placeOf(record.carrier?.shardId);
    at.group.add(numberOf.UserRecordsPut, 0, second);
    if (isExpired) at.group.add(numberOf.UserRecordExpired, 1, second);
    this.#attempted(at, record.attempts, second);
    // The KPL books the expiry as an attempt of its own, so what it counts are the attempts before it.
    const retryCount = isExpired ? record.attempts.length : Math.max(0, record.attempts.length - 1);
    this.#detail(at, 'RetriesPerRecord', retryCount, second);
  }

  /** Since the start, or in the last `windowSeconds` seconds: of the whole stream, and of each shard. */
  read(windowSeconds: number | undefined, nowMs: number): StreamMetric[] {
    const nowSecond = secondOf(nowMs);
    const read: Read =
      windowSeconds === undefined
        ? (group, metric) => group.total(metric)
        : (group, metric) => group.window(metric, windowSeconds, nowSecond);
    return [...this.#summedUp(read), ...this.#byPlace(read, true)];
  }

  /** What has come since it was last taken, everything once: of each shard, and of what has none. */
  take(): StreamMetric[] {
    return [...this.#byPlace((group, metric) => group.takePeriod(metric), false)];
  }

  #summedUp(read: Read): StreamMetric[] {
    const sums = new Map<string, StreamMetric>();
    for (const { name, errorCode, statistics } of this.#byPlace(read, false)) {
      const key = errorCode ?? `${name} `;
      const merged = mergeStatistics(sums.get(key)?.statistics, statistics) ?? statistics;
      sums.set(key, { name, shardId: undefined, errorCode, statistics: merged });
    }
    return [...sums.values()];
  }

  *#byPlace(read: Read, onlyShards: boolean): Generator<StreamMetric> {
    const places: (readonly [string | undefined, Place])[] = [...this.#shards];
    if (!onlyShards) places.unshift([undefined, this.#nowhere]);
    for (const [shardId, { group, errors }] of places) {
      for (const name of metricNames) {
        const statistics = read(group, numberOf[name]);
        if (statistics !== undefined) yield { name, shardId, errorCode: undefined, statistics };
      }
      for (const [errorCode, codes] of errors) {
        const statistics = read(codes, 0);
        if (statistics !== undefined) yield { name: 'ErrorsByCode', shardId, errorCode, statistics };
      }
    }
  }

  #detail({ group }: Place, name: ProducerMetricName, value: number, second: number): void {
    if (this.#isDetailed) group.add(numberOf[name], value, second);
  }

  /** How long the record waited for each of the attempts. */
  #attempted({ group }: Place, attempts: readonly Attempt[], second: number): void {
    for (const { delayMs } of attempts) group.add(numberOf.BufferingTime, delayMs, second);
  }

  #placeOf(shardId: string | undefined): Place {
    if (shardId === undefined || !this.#byShard) return this.#nowhere;
    let place = this.#shards.get(shardId);
    if (place === undefined) {
      if (this.#shards.size >= MOST_SHARDS) this.#forgetIdle();
      place = placeOf(this.#shards.size < MOST_SHARDS_WITH_WINDOWS);
      this.#shards.set(shardId, place);
    }
    return place;
  }

  /** Of shards that were split or merged long ago nobody will ask any more; their counts stay in the stream's. */
  #forgetIdle(): void {
    const byUse = [...this.#shards].sort(([, a], [, b]) => a.group.usedInSecond - b.group.usedInSecond);
    for (const [shardId, { group, errors }] of byUse.slice(0, MOST_SHARDS / 2)) {
      this.#nowhere.group.absorb(group, this.#second);
      for (const [code, codes] of errors) errorsOf(this.#nowhere, code).absorb(codes, this.#second);
      this.#shards.delete(shardId);
    }
  }

  #at(nowMs: number): number {
    this.#second = secondOf(nowMs);
    return this.#second;
  }
}

/** Without the partition key, which for an aggregated record is one letter. */
function dataBytesOf(kinesisRecord: KinesisRecord): number {
  const { aggregated, sizeBytes } = kinesisRecord;
  return aggregated ? sizeBytes - 1 : (kinesisRecord.records[0]?.dataBytes ?? 0);
}

function secondOf(nowMs: number): number {
  return Math.floor(nowMs / 1000);
}

function placeOf(keepsWindows: boolean): Place {
  return { group: new StatisticsGroup(metricNames.length, keepsWindows), errors: new Map() };
}

function noteError(place: Place, code: string, second: number): void {
  errorsOf(place, code).add(0, 1, second);
}

function errorsOf({ errors }: Place, code: string): StatisticsGroup {
  const known = errors.get(code);
  if (known !== undefined) return known;
  const name = errors.size < MOST_ERROR_CODES ? code : 'Other';
  const fresh = errors.get(name) ?? new StatisticsGroup(1, true);
  errors.set(name, fresh);
  return fresh;
}
