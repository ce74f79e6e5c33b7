// The way of a user record from its put into a request: it joins a Kinesis record or is held back behind its key's (order), and the
// Kinesis record goes through aggregator, limiter and collector. Here, too, all that is taken apart is placed again, when the
// shard map or the stream's strategy has changed. Pure.
// Invariants: a key's records are placed in put order; a record is in exactly one place until it settles.
import { NO_PLACE } from '@shardline/common';
import type { Aggregator } from './aggregator.ts';
import { type Carried, type KinesisRecord, NO_SHARD } from './batch.ts';
import type { Collector } from './collector.ts';
import type { Expiry } from './expiry.ts';
import type { Limiter } from './limiter.ts';
import { type BusyKey, type KeyOrder, NONE } from './order.ts';
import { PackedRecords } from './packed-records.ts';
import type { Predictor } from './prediction.ts';
import type { Requests } from './requests.ts';
import type { Settling } from './settling.ts';
import type { Stages } from './stages.ts';
import type { StrategyState, StreamStrategy } from './stream-strategy.ts';
import type { Failure, UserRecord } from './user-record.ts';

/** Of a record without order. */
const NOWHERE = -1;

export interface PlacingParts {
  readonly stages: Stages;
  readonly predictor: Predictor;
  readonly settling: Settling;
  readonly requests: Requests;
  /** Whether the records of one key keep their order. */
  readonly keepsOrder: boolean;
}

export class Placing {
  readonly #order: KeyOrder;
  readonly #strategy: StreamStrategy;
  readonly #predictor: Predictor;
  readonly #aggregator: Aggregator;
  readonly #expiry: Expiry;
  readonly #limiter: Limiter;
  readonly #collector: Collector;
  readonly #requests: Requests;
  readonly #settling: Settling;
  readonly #keepsOrder: boolean;
  /** User records without a key, until it is known whether the stream takes them. */
  #keyless: UserRecord[] = [];
  #lastSequence = 0;
  #flushedSequence = 0;

  constructor({ stages, predictor, settling, requests, keepsOrder }: PlacingParts) {
    this.#order = stages.order;
    this.#strategy = stages.strategy;
    this.#predictor = predictor;
    this.#aggregator = stages.aggregator;
    this.#expiry = stages.expiry;
    this.#limiter = stages.limiter;
    this.#collector = stages.collector;
    this.#requests = requests;
    this.#settling = settling;
    this.#keepsOrder = keepsOrder;
  }

  put(record: UserRecord, nowMs: number): void {
    this.#lastSequence = record.sequence;
    try {
      this.#place(record, nowMs);
    } finally {
      // Whatever has happened: somebody waits for it to settle.
      if (!record.isOver) {
        record.keepData();
        this.#expiry.put(record);
      }
    }
  }

  /** Everything put so far is to leave without waiting for company. */
  flush(nowMs: number): void {
    this.#flushedSequence = this.#lastSequence;
    for (const sealed of this.#aggregator.flush()) this.sealed(sealed, nowMs);
    this.#collector.hasten(nowMs);
  }

  /** The aggregator gives it. */
  sealed(kinesisRecord: KinesisRecord, nowMs: number): void {
    this.#watch(kinesisRecord);
    this.#limit(kinesisRecord, nowMs);
  }

  #limit(kinesisRecord: KinesisRecord, nowMs: number): void {
    for (const passed of this.#limiter.put(kinesisRecord, nowMs)) this.collect(passed, nowMs);
  }

  collect(kinesisRecord: KinesisRecord, nowMs: number): void {
    if (kinesisRecord.phase === 'done') return;
    this.#requests.send(this.#collector.put(kinesisRecord));
    const flushed = kinesisRecord.firstSequence <= this.#flushedSequence;
    if (kinesisRecord.awaited || flushed) this.#collector.hasten(nowMs);
  }

  /** A back-off is over. */
  tryAgain(kinesisRecord: KinesisRecord, nowMs: number): void {
    if (kinesisRecord.phase === 'done') return;
    if (kinesisRecord.mapVersion === this.#predictor.version) this.#limit(kinesisRecord, nowMs);
    else this.placeAnew([kinesisRecord], nowMs);
  }

  /** Takes Kinesis records apart and places their user records again, with all that is held behind their keys, in put order. */
  placeAnew(kinesisRecords: readonly KinesisRecord[], nowMs: number): void {
    if (kinesisRecords.length === 0) return;
    const records: UserRecord[] = [];
    for (const kinesisRecord of kinesisRecords) {
      this.#watch(kinesisRecord);
      for (const record of kinesisRecord.carried) {
        const busy = this.#order.free(record.orderHash, record.orderHash2, kinesisRecord);
        for (const held of busy === undefined ? [] : this.#order.takeAll(busy)) records.push(held);
        record.carrier = undefined;
        records.push(record);
      }
      this.#order.forget(kinesisRecord);
      kinesisRecord.release();
    }
    records.sort((a, b) => a.sequence - b.sequence);
    for (const record of records) if (!record.settled) this.#place(record, nowMs);
  }

  /** What the predictions rest on has changed: what is not sealed yet is placed again. */
  predictionsChanged(nowMs: number): void {
    this.placeAnew(this.#aggregator.drain(), nowMs);
  }

  /** The strategy is known, or not to be known: what waited for that is placed. */
  strategyChanged(nowMs: number): void {
    this.predictionsChanged(nowMs);
    const keyless = this.#keyless;
    this.#keyless = [];
    for (const record of keyless) if (!record.settled) this.#place(record, nowMs);
  }

  /** All user records of a Kinesis record have settled: the records held behind its keys move up. */
  moveUp(kinesisRecord: KinesisRecord, carried: Carried, nowMs: number): void {
    if (kinesisRecord.orderNumber === NONE) return;
    const order = this.#order;
    if (carried instanceof PackedRecords) {
      for (let index = 0; index < carried.length; index++) {
        const busy = order.free(carried.orderHashOf(index), carried.orderHash2Of(index), kinesisRecord);
        if (busy !== undefined) this.#moveUpHeld(busy, nowMs);
      }
    } else {
      for (const { orderHash, orderHash2 } of carried) {
        const busy = order.free(orderHash, orderHash2, kinesisRecord);
        if (busy !== undefined) this.#moveUpHeld(busy, nowMs);
      }
    }
    order.forget(kinesisRecord);
  }

  #moveUpHeld(busy: BusyKey, nowMs: number): void {
    for (let next = this.#order.next(busy); next !== undefined; next = this.#order.next(busy)) {
      if (!this.#admit(next, nowMs)) return;
      this.#order.take(busy);
    }
  }

  /** What was packed is watched as one, from when it is open no longer. */
  #watch({ together }: KinesisRecord): void {
    if (together !== undefined) this.#expiry.putTogether(together);
  }

  #place(record: UserRecord, nowMs: number): void {
    if (!record.hasKey && this.#predictor.goesByKeys) this.#placeKeyless(record, nowMs);
    else if (!this.#admit(record, nowMs)) this.#order.hold(record);
  }

  /** Sent to a stream that goes by keys it would be refused, and the whole request with it. */
  #placeKeyless(record: UserRecord, nowMs: number): void {
    if (this.#strategy.state === 'asking') this.#keyless.push(record);
    else this.#settling.fail([record], keylessFailure(this.#strategy.state), nowMs);
  }

  /** Puts the record into a Kinesis record, or says that its key's Kinesis record has to settle first. */
  #admit(record: UserRecord, nowMs: number): boolean {
    const order = this.#order;
    // An AUTO stream keeps no order, for it spreads a key over its shards.
    const slot = this.#predictor.goesByKeys ? order.slotOf(record) : NOWHERE;
    const shard = this.#predictor.shardOf(record);
    if (this.#join(record, slot, shard, nowMs)) return true;
    const carrier = slot === NOWHERE ? undefined : order.carrierAt(slot);
    // Where it was in a Kinesis record that is gone there may be anything by now.
    record.keyPlace = NO_PLACE;
    if (carrier !== undefined) {
      if (carrier.lane !== NO_SHARD && carrier.lane === shard) record.keyPlace = order.keyPlaceAt(slot);
      if (this.#keepsOrder && !this.#takesMore(carrier, record, shard, nowMs)) return false;
    }
    if (record.sequence <= this.#flushedSequence) record.hasten(nowMs);
    const sealed = this.#aggregator.put(record, this.#predictor.predict(shard, nowMs), nowMs);
    if (slot !== NOWHERE && record.carrier !== undefined) order.carry(slot, record, record.carrier, record.keyPlace);
    for (const kinesisRecord of sealed) this.sealed(kinesisRecord, nowMs);
    return true;
  }

  /** The short way, which nearly all take: to others that are packed, if the key is not on its way yet, or is among them. */
  #join(record: UserRecord, slot: number, shard: number, nowMs: number): boolean {
    const packedThere = this.#aggregator.orderNumberOf(shard);
    if (packedThere === NONE || slot === NOWHERE || record.sequence <= this.#flushedSequence) return false;
    const carrierNumber = this.#order.carrierNumberAt(slot);
    if (carrierNumber !== NONE && carrierNumber !== packedThere && this.#keepsOrder) return false;
    const keyPlace = carrierNumber === packedThere ? this.#order.keyPlaceAt(slot) : NO_PLACE;
    const joined = this.#aggregator.join(record, shard, keyPlace);
    if (joined === 'no') return false;
    this.#order.carryOn(slot, record, packedThere, record.keyPlace);
    if (joined === 'full') this.sealed(this.#aggregator.sealIn(shard), nowMs);
    return true;
  }

  /** Whether the key's Kinesis record is open and has room; if it has none it is sealed. Whoever waits for one hastens it. */
  #takesMore(carrier: KinesisRecord, record: UserRecord, shard: number, nowMs: number): boolean {
    if (carrier.phase === 'open' && carrier.lane === shard) {
      const sealed = this.#aggregator.sealUnlessFits(carrier, record);
      if (sealed === undefined) return true;
      sealed.awaited = true;
      this.sealed(sealed, nowMs);
      return false;
    }
    if (!carrier.awaited && carrier.phase === 'collected') this.#collector.hasten(nowMs);
    carrier.awaited = true;
    return false;
  }
}

function keylessFailure(state: StrategyState): Failure {
  const message =
    state === 'unknown'
      ? "a record without a partition key needs a stream that is AUTO, and the stream's strategy could not be read: allow kinesis:DescribeStreamSummary, or set recordDistributionStrategyDefault to 'AUTO'"
      : 'a record without a partition key needs a stream whose record distribution strategy is AUTO, and this one goes by partition keys';
  return { code: 'REQUEST_FAILED', message, retryable: false };
}
