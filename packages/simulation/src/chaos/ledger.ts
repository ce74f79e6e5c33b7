// Keeps what was put and what each put was told, and at the end holds it against what the stream has. Stands outside of the producer
// and knows what any application knows: what it put, its promises, the records that a consumer finds. Pure.
// Invariant: every put is judged, and every copy in the stream.
import { decodeAggregatedRecord, hashKeyOf, rangeContains } from '@shardline/common';
import type { KinesisModel } from '@shardline/local';
import type { PutError, PutResult } from '@shardline/producer';
import { numberedData, numberOf } from '../producer/checkers.ts';

/** What there is to put. */
export interface NumberedRecord {
  readonly partitionKey: string;
  readonly data: Buffer;
}

/** What is against the promises; all of it should be 0. */
export interface Violations {
  /** Puts that never settled. */
  readonly unsettled: number;
  readonly settledTwice: number;
  /** Succeeded, but not in the stream under the shard and numbers that the result named. */
  readonly lost: number;
  /** Succeeded, but only in aggregated records that the KCL drops, because one of their hash keys is of another shard. */
  readonly droppedByKcl: number;
  /** Failed as certainly not written, but in the stream. */
  readonly hidden: number;
  /** More than once in the stream, and the result says nothing of it. */
  readonly unsaidDuplicates: number;
  /** Copies in the stream that are not what was put. */
  readonly changed: number;
  /** Partition keys of which a reader finds first copies in another order than that of their puts. */
  readonly orderViolations: number;
}

export interface Audit {
  readonly puts: number;
  readonly settled: number;
  readonly succeeded: number;
  /** Of each code. */
  readonly failed: Readonly<Record<string, number>>;
  /** Records with more than one copy in the stream. */
  readonly duplicated: number;
  /** Attempts of which nobody knows whether they were applied. */
  readonly unknownOutcomes: number;
  /** Records that failed and said that they may be in the stream, and how many of them are. */
  readonly mayBeWritten: number;
  readonly ofThemWritten: number;
  readonly violations: Violations;
}

interface Put {
  readonly partitionKey: string;
  readonly dataBytes: number;
  settledCount: number;
  /** Shard, sequence number and sub-sequence number; undefined: it failed. */
  place: string | undefined;
  /** The result, or the error, says that there may be a copy that it does not name. */
  saysMore: boolean;
  copyCount: number;
  /** What is at its place. */
  found: 'nowhere' | 'readable' | 'dropped';
}

interface Copy {
  readonly place: string;
  /** The KCL hands it on. */
  readonly isReadable: boolean;
  readonly record: { readonly partitionKey: string; readonly data: Uint8Array };
}

export class Ledger {
  /** By number, from 0. */
  readonly #puts: Put[] = [];
  readonly #failed: Record<string, number> = {};
  #unknownCount = 0;

  get putCount(): number {
    return this.#puts.length;
  }

  /** The next record, which is about to be put; its number is the count of those before. */
  next(partitionKey: string, dataBytes: number): { readonly number: number; readonly record: NumberedRecord } {
    const number = this.#puts.length;
    const data = numberedData(number, dataBytes);
    this.#puts.push({
      partitionKey,
      dataBytes: data.length,
      settledCount: 0,
      place: undefined,
      saysMore: false,
      copyCount: 0,
      found: 'nowhere',
    });
    return { number, record: { partitionKey, data } };
  }

  succeeded(number: number, { shardId, sequenceNumber, subSequenceNumber, duplicate, attempts }: PutResult): void {
    const put = this.#settle(number, attempts);
    put.place = placeOf(shardId, sequenceNumber, subSequenceNumber);
    put.saysMore = duplicate;
  }

  failed(number: number, { code, mayBeWritten, attempts }: PutError): void {
    const put = this.#settle(number, attempts);
    put.saysMore = mayBeWritten;
    this.#failed[code] = (this.#failed[code] ?? 0) + 1;
  }

  /** Reads the whole stream, parents before children, each shard in its order. To be called once, when all has settled that will. */
  audit(model: KinesisModel, streamName: string, nowMs: number): Audit {
    const anyReader = new FirstCopies();
    const kcl = new FirstCopies();
    let changed = 0;
    for (const { place, isReadable, record } of copiesOf(model, streamName, nowMs)) {
      const number = numberOf(record.data);
      const put = this.#puts[number];
      if (put === undefined || !isSame(put, number, record)) {
        changed++;
        continue;
      }
      put.copyCount++;
      if (put.place === place) put.found = isReadable ? 'readable' : 'dropped';
      if (put.place === undefined) continue;
      anyReader.see(put.partitionKey, number);
      if (isReadable) kcl.see(put.partitionKey, number);
    }
    const count = (matches: (put: Put) => boolean): number => this.#puts.filter(matches).length;
    const unsettled = count(({ settledCount }) => settledCount === 0);
    const isSuccess = ({ place }: Put): boolean => place !== undefined;
    const mayBeWritten = (put: Put): boolean => !isSuccess(put) && put.saysMore;
    return {
      puts: this.#puts.length,
      settled: this.#puts.length - unsettled,
      succeeded: count(isSuccess),
      failed: this.#failed,
      duplicated: count(({ copyCount }) => copyCount > 1),
      unknownOutcomes: this.#unknownCount,
      mayBeWritten: count(mayBeWritten),
      ofThemWritten: count((put) => mayBeWritten(put) && put.copyCount > 0),
      violations: {
        unsettled,
        settledTwice: count(({ settledCount }) => settledCount > 1),
        lost: count((put) => isSuccess(put) && put.found === 'nowhere'),
        droppedByKcl: count(({ found }) => found === 'dropped'),
        hidden: count((put) => put.settledCount > 0 && !isSuccess(put) && !put.saysMore && put.copyCount > 0),
        unsaidDuplicates: count((put) => isSuccess(put) && !put.saysMore && put.copyCount > 1),
        changed,
        orderViolations: new Set([...anyReader.unorderedKeys, ...kcl.unorderedKeys]).size,
      },
    };
  }

  #settle(number: number, attempts: PutResult['attempts']): Put {
    const put = this.#puts[number];
    if (put === undefined) throw new RangeError(`expected one of ${this.#puts.length} numbers, got ${number}`);
    put.settledCount++;
    for (const { written } of attempts) if (written === 'unknown') this.#unknownCount++;
    return put;
  }
}

/** What a reader sees of each key, every record where its first copy is. */
class FirstCopies {
  readonly unorderedKeys = new Set<string>();
  readonly #seen = new Set<number>();
  readonly #lastByKey = new Map<string, number>();

  see(partitionKey: string, number: number): void {
    if (this.#seen.has(number)) return;
    this.#seen.add(number);
    if (number < (this.#lastByKey.get(partitionKey) ?? -1)) this.unorderedKeys.add(partitionKey);
    else this.#lastByKey.set(partitionKey, number);
  }
}

function* copiesOf(model: KinesisModel, streamName: string, nowMs: number): Generator<Copy> {
  for (const { id, log, origin } of model.stream(streamName, nowMs).shards) {
    for (let counter = log.firstCounter; counter < log.nextCounter; counter++) {
      const stored = log.at(counter);
      if (stored === undefined) continue;
      const sequenceNumber = String(stored.sequenceNumber);
      const decoded = decodeAggregatedRecord(stored.data);
      if (decoded.kind !== 'aggregated') {
        const { partitionKey = '', data } = stored;
        yield { place: placeOf(id, sequenceNumber, undefined), isReadable: true, record: { partitionKey, data } };
        continue;
      }
      const isReadable = decoded.records.every(({ partitionKey, explicitHashKey }) =>
        rangeContains(origin.range, explicitHashKey ?? hashKeyOf(partitionKey)),
      );
      for (const [index, record] of decoded.records.entries()) {
        yield { place: placeOf(id, sequenceNumber, index), isReadable, record };
      }
    }
  }
}

function placeOf(shardId: string, sequenceNumber: string, subSequenceNumber: number | undefined): string {
  return `${shardId}/${sequenceNumber}/${subSequenceNumber ?? ''}`;
}

function isSame({ partitionKey, dataBytes }: Put, number: number, record: Copy['record']): boolean {
  return record.partitionKey === partitionKey && numberedData(number, dataBytes).equals(record.data);
}
