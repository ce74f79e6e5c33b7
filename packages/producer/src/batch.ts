// What the stages hand to each other: a Kinesis record is a batch of user records that travel and settle together, a request
// is a batch of Kinesis records. The aggregator fills the one, the collector the other. Pure values: no time passes here.
// Invariants: of each key the user records of a Kinesis record are in put order; from when it is sealed on, its size is exactly what PutRecords will count; what
// is sent for one user record is the record itself, for more the KPL's aggregated record under the partition key "a"
// (KPL aggregation-format.md), both always with an explicit hash key, as the KPL does; an AUTO stream gets none; the digest of an aggregated record
// is written once, before anybody is given its bytes.
import {
  type AggregateWriter,
  encodeAggregatedRecord,
  type GrowingAggregates,
  type OperatingCode,
  writeDigests,
} from '@shardline/common';
import { PackedRecords } from './packed-records.ts';
import type { UserRecord } from './user-record.ts';

/** Where a Kinesis record is. The stages move it on; `done`: nothing will happen to it any more. */
export type Phase =
  | 'open' // in the aggregator, takes more user records
  | 'mapless' // in the aggregator, waits for the shard map
  | 'waiting' // leaves when what its keys wait for has settled; takes more user records meanwhile, while there is room
  | 'limited' // in the limiter
  | 'collected' // in the collector
  | 'requested' // in a request that has not begun
  | 'in-flight' // in a request that has begun
  | 'undecided' // written to a shard that the map does not know yet
  | 'backing-off' // in the retrier
  | 'done';

/** An entry of PutRecords. */
export interface Entry {
  readonly data: Uint8Array;
  /** Absent where the application gave none. */
  readonly partitionKey?: string;
  /** Decimal. */
  readonly explicitHashKey?: string;
}

/**
 * How a Kinesis record is addressed. `hash-key`: always by an explicit hash key, as the KPL does. `as-given`: by what the
 * application gave, since nobody knows the stream's strategy. `service`: the stream is AUTO and takes no hash key.
 */
export type Addressing = 'hash-key' | 'as-given' | 'service';

/** The partition key of every aggregated record, as the KPL writes it. */
const AGGREGATE_KEY = 'a';

/** Of a prediction without a shard, and of a Kinesis record that does not grow. */
export const NO_SHARD = -1;
/** Of a Kinesis record that does not grow. */
export const NO_LANE = -1;

const NOBODY: readonly KinesisRecord[] = [];

/** What went into a Kinesis record. */
export type Carried = readonly UserRecord[] | PackedRecords;

export class KinesisRecord {
  /** What is sent, unless it is packed. */
  #records: UserRecord[];
  /** All that went in, also what has expired since and is sent no more: their keys wait for this Kinesis record. */
  #carried: readonly UserRecord[];
  /** What went in and is sent, while all goes well with it. */
  #packed: PackedRecords | undefined = undefined;
  /** The shard it is expected on; undefined when the shard map could not tell. */
  shardId: string | undefined;
  /** The version of the shard map that told so. */
  mapVersion: number;
  /** Data and partition key, as PutRecords counts them; while it is open, those of its first user record alone. */
  sizeBytes: number;
  #dueAtMs: number;
  phase: Phase = 'open';
  /** User records that have not settled; of those that are packed and open all. */
  liveCount: number;
  /** Another user record waits for this one to settle. */
  awaited = false;
  /** Attempts begun. */
  attemptCount = 0;
  beganAtMs = -1;
  /** While it grows: where, and the number of its shard. */
  lane: number = NO_LANE;
  shard: number = NO_SHARD;
  /** What waits for this one to settle. */
  followers: readonly KinesisRecord[] = NOBODY;
  /** While it grows, not packed, and has company: knows how long its aggregated record is. */
  writer: AggregateWriter | undefined = undefined;
  /** What was packed in here, also if it is so no longer. */
  together: PackedRecords | undefined = undefined;
  /** By what the order stage knows it, while keys wait for it. */
  orderNumber = 0;
  #addressing: Addressing;
  #entry: Entry | undefined = undefined;
  /** Once it is sealed, if there is more than one user record. */
  #aggregate: Buffer | undefined = undefined;
  /** The digest of that is not yet written. */
  #isDigestDue = false;

  constructor(first: UserRecord, shardId: string | undefined, mapVersion: number, addressing: Addressing = 'hash-key') {
    this.#records = [first];
    this.#carried = this.#records;
    this.shardId = shardId;
    this.mapVersion = mapVersion;
    this.sizeBytes = first.sizeBytes;
    this.#dueAtMs = first.dueAtMs;
    this.liveCount = 1;
    this.#addressing = addressing;
  }

  /** What is sent, in put order. Asked for, they are unpacked. */
  get records(): readonly UserRecord[] {
    this.unpack();
    return this.#records;
  }

  /** All that went in, the same way. */
  get carried(): readonly UserRecord[] {
    this.unpack();
    return this.#carried;
  }

  get packed(): PackedRecords | undefined {
    return this.#packed;
  }

  /** All that went in, packed or not. */
  get contents(): Carried {
    return this.#packed ?? this.#carried;
  }

  /** User records that are sent. */
  get count(): number {
    return this.#packed === undefined ? this.#records.length : this.#packed.length;
  }

  /** When it should leave, at the latest. */
  get dueAtMs(): number {
    return this.#packed === undefined ? this.#dueAtMs : this.#packed.dueAtMs;
  }

  /** When the first of its user records expires that grow packed, where each of them is watched no more; Infinity: all are watched. */
  get unwatchedUntilMs(): number {
    return this.#packed === undefined || this.lane === NO_LANE ? Number.POSITIVE_INFINITY : this.#packed.growUntilMs;
  }

  get aggregated(): boolean {
    return this.count > 1;
  }

  /** Of the first user record that is sent; 0 without one. */
  get firstSequence(): number {
    return this.#packed === undefined ? (this.#records[0]?.sequence ?? 0) : this.#packed.sequenceOf(0);
  }

  add(record: UserRecord): void {
    this.#records.push(record);
    this.liveCount++;
    if (record.dueAtMs < this.#dueAtMs) this.#dueAtMs = record.dueAtMs;
  }

  /** What it has, one user record, is packed from now on; others are added where it grows. */
  pack(growing: GrowingAggregates, lane: number): PackedRecords {
    const packed = new PackedRecords(this.#records[0] as UserRecord, growing, lane);
    packed.carrier = this;
    this.together = packed;
    this.#packed = packed;
    this.#records = [];
    this.#carried = this.#records;
    return packed;
  }

  /** Something is to happen to single user records: from now on there are such. */
  unpack(): void {
    const packed = this.#packed;
    if (packed === undefined) return;
    this.#packed = undefined;
    this.#records = packed.unpack(this);
    this.#carried = this.#records;
    this.liveCount = packed.length;
    this.#dueAtMs = packed.dueAtMs;
  }

  /** No more user records come: those that have not settled are written. `writer`: has the first of its user records, or none. */
  seal(writer: AggregateWriter | undefined): void {
    this.phase = 'limited';
    if (this.#packed?.length === 1) this.unpack();
    if (this.#packed !== undefined) {
      this.#aggregate = this.#packed.seal();
      this.#isDigestDue = true;
      this.liveCount = this.#packed.length;
      this.#dueAtMs = this.#packed.dueAtMs;
      this.sizeBytes = this.#aggregate.length + AGGREGATE_KEY.length;
      return;
    }
    if (this.liveCount < this.#records.length) {
      this.#records = this.#records.filter((record) => !record.settled);
      writer?.clear();
    }
    const records = this.#records;
    if (!this.aggregated || writer === undefined) {
      this.sizeBytes = records[0]?.sizeBytes ?? 0;
      return;
    }
    for (let index = writer.count; index < records.length; index++) writer.add(records[index] as UserRecord);
    this.#aggregate = writer.finish();
    this.#isDigestDue = true;
    this.sizeBytes = this.#aggregate.length + AGGREGATE_KEY.length;
  }

  /** Leaves out the user records that have settled (expired) meanwhile. */
  prune(): void {
    if (this.liveCount === this.count) return;
    this.#records = this.records.filter((record) => !record.settled);
    this.#aggregate = undefined;
    this.#isDigestDue = false;
    this.#entry = undefined;
    const { data, partitionKey } = this.entry();
    this.sizeBytes = data.length + Buffer.byteLength(partitionKey ?? '');
  }

  /** The stream's strategy has become known, or another one. */
  address(addressing: Addressing): void {
    if (addressing === this.#addressing) return;
    this.#addressing = addressing;
    this.#entry = undefined;
  }

  /** What is sent; encoded once, as every attempt sends the same bytes. */
  entry(): Entry {
    return KinesisRecord.entriesOf([this])[0] as Entry;
  }

  /** The same of each of them. Their digests are made together, in a fraction of the time: until then none is there. */
  static entriesOf(kinesisRecords: readonly KinesisRecord[]): Entry[] {
    const undigested: Buffer[] = [];
    for (const kinesisRecord of kinesisRecords) {
      if (!kinesisRecord.#isDigestDue) continue;
      kinesisRecord.#isDigestDue = false;
      undigested.push(kinesisRecord.#aggregate as Buffer);
    }
    writeDigests(undigested);
    return kinesisRecords.map((kinesisRecord) => {
      kinesisRecord.#entry ??= kinesisRecord.#encode();
      return kinesisRecord.#entry;
    });
  }

  /**
   * Forgets bytes and user records once nothing will be sent any more: it may lie in a queue for long. @returns what it carried.
   */
  release(): Carried {
    const carried = this.contents;
    this.phase = 'done';
    this.#packed = undefined;
    this.#records = [];
    this.#carried = this.#records;
    this.#entry = undefined;
    this.#aggregate = undefined;
    this.#isDigestDue = false;
    return carried;
  }

  #encode(): Entry {
    const packed = this.#packed;
    if (packed !== undefined) {
      const data = this.#aggregate as Uint8Array;
      return { data, partitionKey: AGGREGATE_KEY, explicitHashKey: String(BigInt(`0x${packed.hashHex}`)) };
    }
    const first = this.#records[0] as UserRecord;
    const { hasKey, partitionKey, explicitHashKey: given } = first;
    if (!this.aggregated && (this.#addressing !== 'hash-key' || !hasKey)) {
      if (!hasKey) return { data: first.data };
      if (this.#addressing === 'service' || given === undefined) return { data: first.data, partitionKey };
    }
    const explicitHashKey = String(given ?? BigInt(`0x${first.hashHex}`));
    if (!this.aggregated) return { data: first.data, partitionKey, explicitHashKey };
    const bytes = this.#aggregate ?? encodeAggregatedRecord(this.#records);
    return { data: bytes, partitionKey: AGGREGATE_KEY, explicitHashKey };
  }
}

/** Calls for the order key of each user record; of what is packed, for each key once. */
export function forEachKey(carried: Carried, call: (orderHash: number, orderHash2: number) => void): void {
  if (carried instanceof PackedRecords) carried.forEachKey(call);
  else for (const { orderHash, orderHash2 } of carried) call(orderHash, orderHash2);
}

/** How often Kinesis has refused a request, or a part of it. */
export interface Refusals {
  count: number;
}

/** A PutRecords request. */
export interface Request {
  readonly requestId: number;
  /** Shared by all parts of a request that was refused. */
  readonly refusals: Refusals;
  readonly kinesisRecords: readonly KinesisRecord[];
  readonly sizeBytes: number;
}

/** What became of one entry of a request. */
export type EntryAnswer =
  | { readonly kind: 'written'; readonly shardId: string; readonly sequenceNumber: string }
  | { readonly kind: 'refused'; readonly errorCode: string; readonly errorMessage: string };

/**
 * What became of a request. `failed` says nothing about single entries; `written` is `unknown` when the request may have been
 * applied all the same. `permanent` is set when trying again can't help, and is then the error to report.
 */
export type Answer =
  | { readonly kind: 'answered'; readonly entries: readonly EntryAnswer[] }
  | {
      readonly kind: 'failed';
      readonly errorCode: string;
      readonly errorMessage: string;
      readonly throttled: boolean;
      readonly written: 'no' | 'unknown';
      readonly permanent?: OperatingCode;
      readonly cause?: unknown;
    };
