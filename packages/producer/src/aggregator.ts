// Packs user records of one predicted shard into Kinesis records (KPL aggregator.h, reducer.h): after the order stage, before
// the limiter. A record whose shard can't be told travels alone; while the shard map is being read it waits for it, within
// a bound. Unlike the KPL it seals before a record that does not fit, so a sealed one is never too large, and of each key in put order.
// Beside what is open of a shard others may grow whose keys are under way: they wait until they may leave (followers.ts says when). They are
// several for a shard, by their keys, or a shard whose keys are all under way would move at one Kinesis record a round trip.
// Invariants: at most one open Kinesis record per shard, and one that waits and grows per shard and group of keys.
import { ChunkMemory, invariant, type MemoryLender } from '@shardline/common';
import { type Addressing, KinesisRecord, NO_LANE, NO_SHARD } from './batch.ts';
import { type LaneLimits, Lanes, LaneTable } from './lanes.ts';
import { NONE } from './order.ts';
import { PackedRecords } from './packed-records.ts';
import type { UserRecord } from './user-record.ts';

export interface AggregatorOptions extends LaneLimits {
  readonly aggregationEnabled: boolean;
  /** When one open Kinesis record leaves for its time, others that would within this time leave with it: one request, not many. */
  readonly togetherMs: number;
}

/** What the shard map says about a user record. */
export interface Prediction {
  readonly shardId: string | undefined;
  /** Its number among the open shards of that version of the map. NO_SHARD without one. */
  readonly shard: number;
  readonly mapVersion: number;
  readonly addressing: Addressing;
  /** Without a shard: until when to wait for the map. In the past: don't. */
  readonly waitUntilMs: number;
}

const NOTHING: readonly KinesisRecord[] = [];
/** Groups of keys of a shard, at most. */
const MOST_GROUPS = 8;
/** What waits in all groups of all shards takes 8 kB each: with more shards there are fewer groups of each. */
const MOST_GROUPS_OF_ALL = 1_024;
/** Less than this share of the room is put to others that may leave; what is more leaves by itself. */
const SMALL_SHARE = 1 / 16;

export class Aggregator {
  readonly #options: AggregatorOptions;
  readonly #lanes: Lanes;
  /** Of each shard the lane of what is open. */
  readonly #open = new LaneTable();
  /** Of each shard, and there of each group of keys, the lane of what waits and grows. */
  readonly #waiting = new LaneTable();
  /** The one opened first in front: so they leave. */
  readonly #openOnes = new Set<KinesisRecord>();
  /** Those that wait and grow, and their places. */
  readonly #waitingOnes = new Map<KinesisRecord, number>();
  /** Groups of keys of each shard; a power of two. */
  #groupCount = 1;
  #mapless: KinesisRecord[] = [];
  #maplessUntilMs = Number.POSITIVE_INFINITY;
  /** Never later than the earliest due time of an open lane. */
  #dueAtMs = Number.POSITIVE_INFINITY;

  /** `memory`: of packed user records, one for all streams of a producer. */
  constructor(options: AggregatorOptions, memory: ChunkMemory = new ChunkMemory(), lender?: MemoryLender) {
    this.#options = options;
    this.#lanes = new Lanes(options, memory, lender);
  }

  /** Open Kinesis records that wait for company. */
  get openCount(): number {
    return this.#openOnes.size;
  }

  /** Places the user record (`record.carrier` says where) and gives the Kinesis records that this sealed. */
  put(record: UserRecord, prediction: Prediction, nowMs: number): readonly KinesisRecord[] {
    const { shard, waitUntilMs } = prediction;
    if (!this.#options.aggregationEnabled) return [alone(record, prediction)];
    if (shard === NO_SHARD) {
      const kinesisRecord = alone(record, prediction);
      if (waitUntilMs <= nowMs) return [kinesisRecord];
      kinesisRecord.phase = 'mapless';
      this.#mapless.push(kinesisRecord);
      this.#maplessUntilMs = Math.min(this.#maplessUntilMs, waitUntilMs);
      return NOTHING;
    }
    const open = this.#lanes.at(this.#open.at(shard));
    if (open === undefined) return this.#begin(record, prediction);
    invariant(open.mapVersion === prediction.mapVersion, 'what is open was predicted as what comes in');
    if (!this.#lanes.fits(record, open)) return [this.#seal(open), ...this.#begin(record, prediction)];
    this.#lanes.add(record, open);
    if (record.dueAtMs < this.#dueAtMs) this.#dueAtMs = record.dueAtMs;
    return this.#lanes.isFull(open) ? [this.#seal(open)] : NOTHING;
  }

  /**
   * The short way of `put`, into the packed one that is open of a shard, without a look at it. `keyPlace`: of the key there, as `record.keyPlace`
   * said of one before. @returns whether it is in there, and then whether that is full. Otherwise it is to be put.
   */
  join(record: UserRecord, shard: number, keyPlace: number): 'no' | 'joined' | 'full' {
    const joined = this.#lanes.join(record, this.#open.at(shard), keyPlace);
    if (joined !== 'no' && record.dueAtMs < this.#dueAtMs) this.#dueAtMs = record.dueAtMs;
    return joined;
  }

  /** By what the order stage knows what is open and packed of a shard; NONE: nothing is. */
  orderNumberOf(shard: number): number {
    return shard === NO_SHARD ? NONE : this.#lanes.orderNumberAt(this.#open.at(shard));
  }

  /** What waits and grows where this user record's key belongs. */
  waitingWith(record: UserRecord, shard: number): KinesisRecord | undefined {
    return this.#lanes.at(this.#waitingLane(record, shard));
  }

  /** As `orderNumberOf`, of what waits. */
  waitingNumberOf(record: UserRecord, shard: number): number {
    return this.#lanes.orderNumberAt(this.#waitingLane(record, shard));
  }

  /** The short way into what waits, as `join` is into what is open. */
  joinWaiting(record: UserRecord, shard: number, keyPlace: number): boolean {
    return this.#lanes.join(record, this.#waitingLane(record, shard), keyPlace) !== 'no';
  }

  /** Whether a user record may wait with others. */
  mayWait(record: UserRecord, { shard }: Prediction): boolean {
    const { aggregationEnabled } = this.#options;
    return aggregationEnabled && shard !== NO_SHARD && PackedRecords.takes(record) && this.#mayHaveCompany(record);
  }

  /** Whether there is room in what waits; if not, it is sealed, and goes on waiting. */
  fitsWaiting(record: UserRecord, waiting: KinesisRecord): boolean {
    if (!this.#lanes.isFull(waiting) && this.#lanes.fits(record, waiting)) return true;
    this.#unlist(waiting);
    this.#lanes.seal(waiting);
    waiting.phase = 'waiting';
    return false;
  }

  /** Puts a user record that fits to what waits; undefined: a Kinesis record begins to wait with it. `record.carrier` says where it is. */
  putWaiting(record: UserRecord, prediction: Prediction, there: KinesisRecord | undefined): void {
    if (there !== undefined) {
      this.#lanes.add(record, there);
      return;
    }
    const { shard } = prediction;
    const waiting = alone(record, prediction);
    waiting.phase = 'waiting';
    waiting.shard = shard;
    const place = this.#placeAmong(shard, record);
    this.#waiting.set(place, this.#lanes.begin(waiting, record));
    this.#waitingOnes.set(waiting, place);
  }

  /**
   * One that waited may leave, and waits for company as any other, unless it is to leave at once. Of two that may, the fuller one leaves,
   * or takes up the other one where that is small. @returns what this sealed, and what is to be placed anew.
   */
  mayLeave(
    waiting: KinesisRecord,
    atOnce: boolean,
  ): { readonly sealed?: KinesisRecord; readonly apart?: KinesisRecord } {
    const lanes = this.#lanes;
    if (waiting.lane === NO_LANE) {
      waiting.phase = 'limited';
      return { sealed: waiting };
    }
    const open = lanes.at(this.#open.at(waiting.shard));
    if (atOnce || lanes.isFull(waiting)) return { sealed: this.#seal(waiting) };
    if (open === undefined) {
      this.#nowOpen(waiting);
      return {};
    }
    const isFuller = lanes.sizeBytes(waiting) > lanes.sizeBytes(open);
    const smaller = isFuller ? open : waiting;
    const isSmall = lanes.sizeBytes(smaller) < this.#options.aggregationMaxSizeBytes * SMALL_SHARE;
    if (!isSmall) {
      const sealed = this.#seal(isFuller ? waiting : open);
      if (!isFuller) this.#nowOpen(waiting);
      return { sealed };
    }
    if (isFuller) {
      this.forget(open);
      this.#nowOpen(waiting);
    }
    return { apart: smaller };
  }

  /** Seals what is open of a shard. */
  sealIn(shard: number): KinesisRecord {
    return this.#seal(this.#lanes.at(this.#open.at(shard)) as KinesisRecord);
  }

  /** Seals an open Kinesis record when the user record does not fit in; undefined when it does. */
  sealUnlessFits(open: KinesisRecord, record: UserRecord): KinesisRecord | undefined {
    return open.lane === NO_LANE || this.#lanes.fits(record, open) ? undefined : this.#seal(open);
  }

  /** What is not sealed and has a shard: what waits for company, the one opened first in front, then what waits for others to settle. */
  *growing(): Iterable<KinesisRecord> {
    yield* this.#openOnes;
    yield* this.#waitingOnes.keys();
  }

  /** When `expire` wants to be called; Infinity when nothing waits. */
  deadline(): number {
    return Math.min(this.#dueAtMs, this.#maplessUntilMs);
  }

  /** Seals what is due, and with it what is nearly due. */
  expire(nowMs: number): KinesisRecord[] {
    let sealed: KinesisRecord[] = [];
    if (this.#maplessUntilMs <= nowMs) {
      sealed = this.#mapless.filter(({ phase }) => phase === 'mapless');
      this.#mapless = [];
      this.#maplessUntilMs = Number.POSITIVE_INFINITY;
    }
    if (this.#dueAtMs > nowMs) return sealed;
    this.#dueAtMs = Number.POSITIVE_INFINITY;
    const untilMs = this.#earliest() <= nowMs ? nowMs + this.#options.togetherMs : nowMs;
    for (const open of this.#openOnes) {
      if (open.dueAtMs <= untilMs) sealed.push(this.#seal(open));
      else this.#dueAtMs = Math.min(this.#dueAtMs, open.dueAtMs);
    }
    return sealed;
  }

  /** Seals all that waits for company; what waits for the map or for others goes on waiting. */
  flush(): KinesisRecord[] {
    this.#dueAtMs = Number.POSITIVE_INFINITY;
    return [...this.#openOnes].map((open) => this.#seal(open));
  }

  /** Lets go of one that grows, if it does. One that waits for the map is passed over later. */
  forget(kinesisRecord: KinesisRecord): void {
    if (kinesisRecord.lane === NO_LANE) return;
    this.#unlist(kinesisRecord);
    this.#lanes.close(kinesisRecord);
  }

  /** Gives everything back that takes more: the shard map has changed, so it must be placed anew. */
  drain(shardCount: number): KinesisRecord[] {
    this.#groupCount = 1;
    while (this.#groupCount < MOST_GROUPS && 2 * this.#groupCount * shardCount <= MOST_GROUPS_OF_ALL)
      this.#groupCount *= 2;
    const growing = [...this.growing()];
    for (const kinesisRecord of growing) this.forget(kinesisRecord);
    const drained = [...growing, ...this.#mapless.filter(({ phase }) => phase === 'mapless')];
    this.#mapless = [];
    this.#maplessUntilMs = Number.POSITIVE_INFINITY;
    this.#dueAtMs = Number.POSITIVE_INFINITY;
    return drained;
  }

  #begin(record: UserRecord, prediction: Prediction): readonly KinesisRecord[] {
    const kinesisRecord = alone(record, prediction);
    if (!this.#mayHaveCompany(record)) return [kinesisRecord];
    kinesisRecord.shard = prediction.shard;
    this.#lanes.begin(kinesisRecord, record);
    this.#nowOpen(kinesisRecord);
    return NOTHING;
  }

  /** Alone it is sent without the frame, so its data counts (KPL kinesis_record.cc). */
  #mayHaveCompany({ dataBytes }: UserRecord): boolean {
    const { aggregationMaxSizeBytes, aggregationMaxCount } = this.#options;
    return dataBytes < aggregationMaxSizeBytes && aggregationMaxCount > 1;
  }

  /** It is what is open of its shard from now on. */
  #nowOpen(kinesisRecord: KinesisRecord): void {
    if (this.#waitingOnes.has(kinesisRecord)) this.#unlist(kinesisRecord);
    kinesisRecord.phase = 'open';
    this.#open.set(kinesisRecord.shard, kinesisRecord.lane);
    this.#openOnes.add(kinesisRecord);
    const { dueAtMs } = kinesisRecord;
    if (dueAtMs < this.#dueAtMs) this.#dueAtMs = dueAtMs;
  }

  #seal(growing: KinesisRecord): KinesisRecord {
    this.#unlist(growing);
    return this.#lanes.seal(growing);
  }

  /** No user record finds it any more. */
  #unlist(growing: KinesisRecord): void {
    if (this.#openOnes.delete(growing)) this.#open.set(growing.shard, NO_LANE);
    const place = this.#waitingOnes.get(growing);
    if (place === undefined) return;
    this.#waitingOnes.delete(growing);
    this.#waiting.set(place, NO_LANE);
  }

  #waitingLane(record: UserRecord, shard: number): number {
    return shard === NO_SHARD ? NO_LANE : this.#waiting.at(this.#placeAmong(shard, record));
  }

  /** The place of a user record's group of keys, by bits of its hash by which nothing else goes. */
  #placeAmong(shard: number, { orderHash2 }: UserRecord): number {
    return shard * this.#groupCount + (orderHash2 & (this.#groupCount - 1));
  }

  #earliest(): number {
    let earliestMs = Number.POSITIVE_INFINITY;
    for (const { dueAtMs } of this.#openOnes) earliestMs = Math.min(earliestMs, dueAtMs);
    return earliestMs;
  }
}

function alone(record: UserRecord, { shardId, mapVersion, addressing }: Prediction): KinesisRecord {
  const kinesisRecord = new KinesisRecord(record, shardId, mapVersion, addressing);
  record.carrier = kinesisRecord;
  return kinesisRecord;
}
