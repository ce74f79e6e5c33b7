// Watches a producer's world from outside, with its own history: what was put, what each request held, what the stream took and
// in which order, what each put was told. Knows nothing of the pipeline's insides. A violation is a sentence.
import { decodeAggregatedRecord, type HashKey, type HashKeyRange, hashKeyOf, rangeContains } from '@shardline/common';
import type { Entry } from '../../../producer/dist/batch.js';
import type { PutError, PutResult } from '../../../producer/dist/put.js';
import type { PipelineOptions } from '../../../producer/dist/stages.js';
import type { RecordDistributionStrategy } from '../../../producer/dist/stream-strategy.js';

/** A user record as it was put. Its data begins with its number. */
export interface PutRecord {
  readonly number: number;
  readonly partitionKey: string | undefined;
  readonly explicitHashKey: bigint | undefined;
  readonly data: Buffer;
  readonly putAtMs: number;
}

interface Copy {
  /** Place in the order in which the stream took Kinesis records. */
  readonly order: number;
  readonly shardId: string;
  readonly sequenceNumber: string;
  readonly subSequenceNumber: number | undefined;
  /** Whether the KCL would hand it on: it drops an aggregated record that has one stray. */
  readonly readable: boolean;
}

interface Outcome {
  readonly atMs: number;
  readonly end: PutResult | PutError;
}

interface PlainRecord {
  readonly partitionKey?: string;
  readonly explicitHashKey?: HashKey;
  readonly data: Uint8Array;
}

/** With less, a record may expire of itself: some requests, a reading of the shard list, a key's records one after the other. */
const AMPLE_TTL_MS = 3_000;

/** From the last refusal on a rate is back where it began within this time. */
const RATE_RECOVERY_MS = 11_000;

/** No sound world comes near: so many, and so many more for each put. */
const MOST_REQUESTS = 5_000;
const MOST_REQUESTS_A_PUT = 100;

export class ProducerCheckers {
  readonly violations: string[] = [];
  readonly #options: PipelineOptions;
  readonly #recordTtlMs: number;
  readonly #onViolation: () => void;
  readonly #put = new Map<number, PutRecord>();
  readonly #copies = new Map<number, Copy[]>();
  readonly #outcomes = new Map<number, Outcome>();
  #appendCount = 0;
  #requestCount = 0;
  #refusedAtMs = Number.NEGATIVE_INFINITY;
  /** What the stream's pipeline was told last; undefined before. */
  #toldStrategy: RecordDistributionStrategy | undefined;
  /** The stream has been AUTO at some time, or orders of keys were not asked for. */
  #isUnordered: boolean;

  constructor(options: PipelineOptions, recordTtlMs: number, onViolation: () => void) {
    this.#options = options;
    this.#isUnordered = options.ordering === 'none';
    this.#recordTtlMs = recordTtlMs;
    this.#onViolation = onViolation;
  }

  get requestCount(): number {
    return this.#requestCount;
  }

  get outstandingCount(): number {
    return this.#put.size - this.#outcomes.size;
  }

  /** The stream's strategy has become another one. */
  strategyChanged(): void {
    this.#isUnordered = true;
  }

  /** A pipeline for the stream is made, which has heard nothing. */
  pipelineMade(): void {
    this.#toldStrategy = this.#options.recordDistributionStrategyDefault;
  }

  /** The pipeline is about to hear of the strategy. */
  strategyTold(strategy: RecordDistributionStrategy): void {
    this.#toldStrategy = strategy;
    if (strategy === 'AUTO') this.#isUnordered = true;
  }

  recordPut(record: PutRecord): void {
    this.#put.set(record.number, record);
  }

  /** A request begins: within limits, nothing too old in it. */
  requestBegun(entries: readonly Entry[], now: number): void {
    const { collectionMaxCount, collectionMaxSizeBytes, aggregationMaxSizeBytes, aggregationMaxCount } = this.#options;
    if (++this.#requestCount > MOST_REQUESTS + MOST_REQUESTS_A_PUT * this.#put.size)
      this.violate('requests without end');
    if (entries.length > collectionMaxCount) this.violate(`a request of ${entries.length} entries`);
    const sizeBytes = entries.reduce(
      (sum, entry) => sum + entry.data.length + Buffer.byteLength(entry.partitionKey ?? ''),
      0,
    );
    if (entries.length > 1 && sizeBytes > collectionMaxSizeBytes) this.violate(`a request of ${sizeBytes} bytes`);
    for (const entry of entries) {
      const records = unpack(entry);
      const isAuto = this.#toldStrategy === 'AUTO';
      if (isAuto && records.length > 1) this.violate('an aggregated record to a stream known to be AUTO');
      if (isAuto && entry.explicitHashKey !== undefined) this.violate('a hash key to a stream known to be AUTO');
      if (!isAuto && entry.partitionKey === undefined)
        this.violate('no partition key, to a stream not known to be AUTO');
      if (this.#toldStrategy === undefined && records.length > 1) {
        this.violate('an aggregated record to a stream of which nobody knows how it spreads records');
      }
      if (records.length > 1 && entry.data.length > aggregationMaxSizeBytes) {
        this.violate(`an aggregated record of ${entry.data.length} bytes`);
      }
      if (records.length > aggregationMaxCount) this.violate(`an aggregated record of ${records.length} user records`);
      const first = records[0];
      const { explicitHashKey } = entry;
      if (first !== undefined && explicitHashKey !== undefined && explicitHashKey !== String(hashOf(first))) {
        this.violate('an entry whose hash key is not that of its first user record');
      }
      for (const { data } of records) {
        const put = this.#known(data);
        if (put !== undefined && now >= put.putAtMs + this.#recordTtlMs) {
          this.violate(`an attempt for record ${put.number} began ${now - put.putAtMs} ms after its put`);
        }
      }
    }
  }

  /** The stream took an entry. */
  appended(entry: Entry, shardId: string, range: HashKeyRange, sequenceNumber: string): void {
    const order = this.#appendCount++;
    const records = unpack(entry);
    const readable = records.length === 1 || records.every((record) => rangeContains(range, hashOf(record)));
    for (const [index, record] of records.entries()) {
      const put = this.#known(record.data);
      if (put === undefined) continue;
      const sameKey = record.partitionKey === put.partitionKey;
      if (!sameKey || !put.data.equals(record.data)) this.violate(`record ${put.number} was changed on its way`);
      const copies = this.#copies.get(put.number) ?? [];
      const subSequenceNumber = records.length > 1 ? index : undefined;
      copies.push({ order, shardId, sequenceNumber, subSequenceNumber, readable });
      this.#copies.set(put.number, copies);
    }
  }

  /** The producer was told that something was refused for its rate, or failed. */
  refused(now: number): void {
    this.#refusedAtMs = now;
  }

  /** What the producer gives each shard, in percent of its quota. */
  ratesSeen(rates: readonly (readonly [name: string, percent: number])[], now: number): void {
    if (now < this.#refusedAtMs + RATE_RECOVERY_MS) return;
    for (const [name, percent] of rates) {
      if (percent >= this.#options.rateLimitPercent) continue;
      this.violate(`shard ${name} is given ${percent.toFixed(1)} % although nothing was refused for long`);
    }
  }

  succeeded(number: number, result: PutResult, now: number): void {
    this.#settled(number, result, now);
    const copies = this.#copies.get(number) ?? [];
    const copy = copies.find(
      ({ shardId, sequenceNumber, subSequenceNumber }) =>
        shardId === result.shardId &&
        sequenceNumber === result.sequenceNumber &&
        subSequenceNumber === result.subSequenceNumber,
    );
    if (copy === undefined) this.violate(`record ${number} succeeded and is not in the stream where it was said to be`);
    else if (!copy.readable) this.violate(`record ${number} succeeded where the KCL drops it`);
    if (copies.length > 1 && !result.duplicate)
      this.violate(`record ${number} has copies that its result is silent about`);
  }

  failed(number: number, error: PutError, now: number): void {
    this.#settled(number, error, now);
    const put = this.#put.get(number);
    if (error.code === 'EXPIRED' && put !== undefined && now < put.putAtMs + this.#recordTtlMs) {
      this.violate(`record ${number} expired before its time`);
    }
    if (error.code === 'THROTTLED' && !this.#options.failIfThrottled) {
      this.violate(`record ${number} failed for a throttling without failIfThrottled`);
    }
  }

  /** At the end of a world: everything settled, nothing hidden, the order kept. */
  checkEnd(healthySinceMs: number, abandoned: boolean): void {
    for (const [number, put] of this.#put) {
      const outcome = this.#outcomes.get(number);
      if (outcome === undefined) {
        this.violate(`record ${number} never settled`);
        continue;
      }
      if ('sequenceNumber' in outcome.end) continue;
      const { code, mayBeWritten, userRecord } = outcome.end;
      if (!put.data.equals(Buffer.from(userRecord.data)))
        this.violate(`record ${number} failed, and its data in the hand of the application was changed`);
      if (!mayBeWritten && this.#copies.has(number)) {
        this.violate(`record ${number} failed as certainly not written and is in the stream`);
      }
      const hadTime = this.#recordTtlMs >= AMPLE_TTL_MS && put.putAtMs + this.#recordTtlMs > healthySinceMs;
      const couldHave = !abandoned && hadTime;
      if (couldHave && code === 'EXPIRED') {
        this.violate(`record ${number} expired although all was well for long enough`);
      }
    }
    if (this.#isUnordered) return;
    this.#checkOrder('any reader', () => true);
    this.#checkOrder('the KCL', (copy) => copy.readable);
  }

  /** First copies of one key's successful records must be in put order. */
  #checkOrder(reader: string, sees: (copy: Copy) => boolean): void {
    const lastByKey = new Map<string, { readonly number: number; readonly order: number }>();
    for (const [number, { partitionKey, explicitHashKey }] of this.#put) {
      const outcome = this.#outcomes.get(number);
      if (outcome === undefined || !('sequenceNumber' in outcome.end)) continue;
      const first = this.#copies.get(number)?.find(sees);
      if (first === undefined) continue;
      const place = first.order + (first.subSequenceNumber ?? 0) / 1e6;
      const key = `${partitionKey}|${explicitHashKey ?? ''}`;
      const last = lastByKey.get(key);
      if (last !== undefined && last.order > place) {
        this.violate(`${reader} sees record ${number} before record ${last.number} of the same key`);
      }
      lastByKey.set(key, { number, order: place });
    }
  }

  #settled(number: number, end: PutResult | PutError, now: number): void {
    if (this.#outcomes.has(number)) this.violate(`record ${number} settled twice`);
    this.#outcomes.set(number, { atMs: now, end });
  }

  #known(data: Uint8Array): PutRecord | undefined {
    const put = this.#put.get(numberOf(data));
    if (put === undefined) this.violate('a record was sent that nobody put');
    return put;
  }

  /** Ends the world: what comes after the first violation proves nothing. */
  violate(sentence: string): void {
    this.violations.push(sentence);
    this.#onViolation();
  }
}

/** Data that begins with the record's number and is padded to a length. */
export function numberedData(number: number, lengthBytes: number): Buffer {
  return Buffer.from(`${number}:`.padEnd(lengthBytes, '.'));
}

/** The number at the beginning of such data. */
export function numberOf(data: Uint8Array): number {
  return Number.parseInt(Buffer.from(data.subarray(0, 16)).toString('latin1'), 10);
}

function unpack(entry: Entry): readonly PlainRecord[] {
  const decoded = decodeAggregatedRecord(entry.data);
  if (decoded.kind === 'aggregated') return decoded.records;
  const { data, partitionKey, explicitHashKey } = entry;
  return [
    {
      data,
      ...(partitionKey === undefined ? {} : { partitionKey }),
      ...(explicitHashKey === undefined ? {} : { explicitHashKey: BigInt(explicitHashKey) as HashKey }),
    },
  ];
}

function hashOf(record: PlainRecord): HashKey {
  return record.explicitHashKey ?? hashKeyOf(record.partitionKey ?? '');
}
