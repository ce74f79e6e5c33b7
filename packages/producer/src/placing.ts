// The way of a user record from its put into a request: it joins a Kinesis record, or one that waits behind its key's, or is held back there
// (order); and the Kinesis record goes through aggregator, limiter and collector. Here, too, all that is taken apart is placed again, when the
// shard map or the stream's strategy has changed. Pure.
// Invariants: a key's records are placed in put order; a record is in exactly one place until it settles.
import { invariant, type MemoryLender, NO_PLACE } from '@shardline/common';
import type { Aggregator, Prediction } from './aggregator.ts';
import { type Carried, forEachKey, type KinesisRecord, NO_LANE } from './batch.ts';
import type { Collector } from './collector.ts';
import type { Expiry } from './expiry.ts';
import { type Followers, isFollowedBy } from './followers.ts';
import type { Limiter } from './limiter.ts';
import { type BusyKey, type KeyOrder, NONE } from './order.ts';
import { PackedRecords } from './packed-records.ts';
import type { Predictor } from './prediction.ts';
import type { Failure } from './put.ts';
import type { Requests } from './requests.ts';
import type { Settling } from './settling.ts';
import type { Stages } from './stages.ts';
import type { StrategyState, StreamStrategy } from './stream-strategy.ts';
import type { UserRecord } from './user-record.ts';

/** Of a record without order. */
const NOWHERE = -1;

export interface PlacingParts {
  readonly stages: Stages;
  readonly predictor: Predictor;
  readonly settling: Settling;
  readonly requests: Requests;
  /** Whether the records of one key keep their order. */
  readonly keepsOrder: boolean;
  readonly lender: MemoryLender;
}

/** Where a record has gone: to others, and nothing else has happened; or to a place that may be one of its own; or nowhere yet. */
type Placed = 'joined' | 'placed' | 'held';

export class Placing {
  readonly #order: KeyOrder;
  readonly #strategy: StreamStrategy;
  readonly #predictor: Predictor;
  readonly #aggregator: Aggregator;
  readonly #followers: Followers;
  readonly #expiry: Expiry;
  readonly #limiter: Limiter;
  readonly #collector: Collector;
  readonly #requests: Requests;
  readonly #settling: Settling;
  readonly #keepsOrder: boolean;
  readonly #lender: MemoryLender;
  /** User records without a key, until it is known whether the stream takes them. */
  #keyless: UserRecord[] = [];
  #lastSequence = 0;
  #flushedSequence = 0;

  constructor({ stages, predictor, settling, requests, keepsOrder, lender }: PlacingParts) {
    this.#order = stages.order;
    this.#strategy = stages.strategy;
    this.#predictor = predictor;
    this.#aggregator = stages.aggregator;
    this.#followers = stages.followers;
    this.#expiry = stages.expiry;
    this.#limiter = stages.limiter;
    this.#collector = stages.collector;
    this.#requests = requests;
    this.#settling = settling;
    this.#keepsOrder = keepsOrder;
    this.#lender = lender;
  }

  put(record: UserRecord, nowMs: number): Placed {
    this.#lastSequence = record.sequence;
    try {
      return this.#place(record, nowMs);
    } finally {
      // Whatever has happened: somebody waits for it to settle.
      if (!record.isOver) {
        record.keepData(this.#lender);
        this.#expiry.put(record);
      }
    }
  }

  /** Everything put so far is to leave without waiting for company. */
  flush(nowMs: number): void {
    this.#flushedSequence = this.#lastSequence;
    this.placeAnew(this.#followers.partlyFree(), nowMs);
    for (const sealed of this.#aggregator.flush()) this.sealed(sealed, nowMs);
    this.#collector.hasten(nowMs);
  }

  /** What has waited long enough for its company's keys waits by itself. */
  overdue(nowMs: number): void {
    this.placeAnew(this.#followers.overdue(nowMs), nowMs);
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

  /** Their back-offs are over. */
  tryAgain(kinesisRecords: readonly KinesisRecord[], nowMs: number): void {
    const { version } = this.#predictor;
    const live = kinesisRecords.filter(({ phase }) => phase !== 'done');
    // All at once: what waits for several of them is taken apart once.
    const overtaken = live.filter(({ mapVersion }) => mapVersion !== version);
    for (const kinesisRecord of live) if (kinesisRecord.mapVersion === version) this.#limit(kinesisRecord, nowMs);
    this.placeAnew(overtaken, nowMs);
  }

  /**
   * Takes Kinesis records apart, with those that wait for them, and places their user records again, with all that is held behind their keys,
   * in put order.
   */
  placeAnew(kinesisRecords: readonly KinesisRecord[], nowMs: number): void {
    if (kinesisRecords.length === 0) return;
    const records: UserRecord[] = [];
    const leaders = this.#takeApart(kinesisRecords, records);
    this.#placeBehind(leaders, records, nowMs);
  }

  /** @returns what they waited for. */
  #takeApart(kinesisRecords: readonly KinesisRecord[], into: UserRecord[]): KinesisRecord[] {
    const apart = new Set(kinesisRecords);
    const leaders: KinesisRecord[] = [];
    for (const kinesisRecord of apart) {
      for (const follower of kinesisRecord.followers) apart.add(follower);
      leaders.push(...this.#followers.stop(kinesisRecord));
      this.#aggregator.forget(kinesisRecord);
      this.#watch(kinesisRecord);
      const { carried } = kinesisRecord;
      for (const record of carried) {
        record.carrier = undefined;
        into.push(record);
      }
      this.#takeHeld(kinesisRecord, carried, into);
      kinesisRecord.release();
    }
    return leaders;
  }

  /** A Kinesis record carries no key any more: takes all that is held behind it. */
  #takeHeld(kinesisRecord: KinesisRecord, carried: readonly UserRecord[], into: UserRecord[]): void {
    const order = this.#order;
    if (order.holds) {
      forEachKey(carried, (hash, hash2) => {
        const busy = order.heldBehind(hash, hash2, kinesisRecord);
        for (const held of busy === undefined ? [] : order.takeAll(busy)) into.push(held);
      });
    }
    order.forget(kinesisRecord);
  }

  /** What these leaders' keys went over to has been taken apart: they carry them again, and what it had is placed anew. */
  #placeBehind(leaders: readonly KinesisRecord[], records: UserRecord[], nowMs: number): void {
    for (const leader of this.#followers.latestFirst(leaders)) {
      forEachKey(leader.contents, (hash, hash2) => this.#order.carryAgain(hash, hash2, leader));
    }
    records.sort((a, b) => a.sequence - b.sequence);
    for (const record of records) if (!record.settled) this.#place(record, nowMs);
  }

  /** What the predictions rest on has changed: what is not sealed yet is placed again. */
  predictionsChanged(nowMs: number): void {
    this.placeAnew(this.#aggregator.drain(this.#predictor.openShardCount), nowMs);
  }

  /** The strategy is known, or not to be known: what waited for that is placed. */
  strategyChanged(nowMs: number): void {
    this.predictionsChanged(nowMs);
    const keyless = this.#keyless;
    this.#keyless = [];
    for (const record of keyless) if (!record.settled) this.#place(record, nowMs);
  }

  /** All user records of a Kinesis record have settled: what waited for it may go, the records held behind its keys move up. */
  moveUp(kinesisRecord: KinesisRecord, carried: Carried, nowMs: number): void {
    if (kinesisRecord.orderNumber === NONE) return;
    const waitedFor = this.#followers.stop(kinesisRecord);
    if (waitedFor.length > 0) {
      // It has expired as a whole where it waited: its keys are under way before it, and what follows it follows those.
      const records: UserRecord[] = [];
      invariant(!(carried instanceof PackedRecords), 'what expires one by one is not packed');
      this.#takeHeld(kinesisRecord, carried, records);
      const leaders = this.#takeApart(kinesisRecord.followers, records);
      this.#placeBehind([...waitedFor, ...leaders], records, nowMs);
      return;
    }
    const { followers } = kinesisRecord;
    for (const free of this.#followers.settled(kinesisRecord, nowMs)) this.#goOn(free, nowMs);
    // A part that could go has been flushed.
    const flushed = followers.filter((one) => this.#followers.waits(one) && one.firstSequence <= this.#flushedSequence);
    this.placeAnew(flushed, nowMs);
    if (this.#order.holds) {
      forEachKey(carried, (hash, hash2) => {
        const busy = this.#order.heldBehind(hash, hash2, kinesisRecord);
        if (busy !== undefined) this.#moveUpHeld(busy, nowMs);
      });
    }
    this.#order.forget(kinesisRecord);
  }

  /** It waits for nothing any more. */
  #goOn(free: KinesisRecord, nowMs: number): void {
    // What was placed anew for another one that goes on may be in it by now, and wait for that.
    this.#followers.couldGo(free, nowMs);
    if (free.phase !== 'waiting' || this.#followers.waits(free)) return;
    const atOnce = free.awaited || free.firstSequence <= this.#flushedSequence;
    const { sealed, apart } = this.#aggregator.mayLeave(free, atOnce);
    if (sealed !== undefined) this.sealed(sealed, nowMs);
    if (apart !== undefined) this.placeAnew([apart], nowMs);
  }

  #moveUpHeld(busy: BusyKey, nowMs: number): void {
    for (let next = this.#order.next(busy); next !== undefined; next = this.#order.next(busy)) {
      if (this.#admit(next, nowMs) === 'held') return;
      this.#order.take(busy);
    }
  }

  /** What was packed is watched as one, from when it takes no more. */
  #watch({ together }: KinesisRecord): void {
    if (together !== undefined) this.#expiry.putTogether(together);
  }

  #place(record: UserRecord, nowMs: number): Placed {
    if (!record.hasKey && this.#predictor.goesByKeys) {
      this.#placeKeyless(record, nowMs);
      return 'held';
    }
    const placed = this.#admit(record, nowMs);
    if (placed === 'held') this.#order.hold(record);
    return placed;
  }

  /** Sent to a stream that goes by keys it would be refused, and the whole request with it. */
  #placeKeyless(record: UserRecord, nowMs: number): void {
    if (this.#strategy.state === 'asking') this.#keyless.push(record);
    else this.#settling.fail([record], keylessFailure(this.#strategy.state), nowMs);
  }

  /** Puts the record into a Kinesis record, unless its key's has to settle first. */
  #admit(record: UserRecord, nowMs: number): Placed {
    const order = this.#order;
    // An AUTO stream keeps no order, for it spreads a key over its shards.
    const slot = this.#predictor.goesByKeys ? order.slotOf(record) : NOWHERE;
    const shard = this.#predictor.shardOf(record);
    const joined = this.#join(record, slot, shard);
    if (joined === 'joined') return joined;
    if (joined === 'full') {
      this.sealed(this.#aggregator.sealIn(shard), nowMs);
      return 'placed';
    }
    const carrier = slot === NOWHERE ? undefined : order.carrierAt(slot);
    // Where it was in a Kinesis record that is gone there may be anything by now.
    record.keyPlace = NO_PLACE;
    if (carrier !== undefined) {
      if (carrier.lane !== NO_LANE && carrier.shard === shard) record.keyPlace = order.keyPlaceAt(slot);
      if (this.#keepsOrder && !this.#takesMore(carrier, record, shard, nowMs)) {
        const follows = this.#follow(record, carrier, slot, this.#predictor.predict(shard, nowMs), nowMs);
        return follows ? 'placed' : 'held';
      }
    }
    if (record.sequence <= this.#flushedSequence) record.hasten(nowMs);
    const sealed = this.#aggregator.put(record, this.#predictor.predict(shard, nowMs), nowMs);
    if (slot !== NOWHERE && record.carrier !== undefined) order.carry(slot, record, record.carrier, record.keyPlace);
    for (const kinesisRecord of sealed) this.sealed(kinesisRecord, nowMs);
    return 'placed';
  }

  /** The short way, which nearly all take: to others that are packed, if the key is not on its way yet, or is among them. */
  #join(record: UserRecord, slot: number, shard: number): 'no' | 'joined' | 'full' {
    if (slot === NOWHERE || record.sequence <= this.#flushedSequence) return 'no';
    const carrierNumber = this.#order.carrierNumberAt(slot);
    const packedThere = this.#aggregator.orderNumberOf(shard);
    if (carrierNumber !== NONE && carrierNumber !== packedThere && this.#keepsOrder) {
      return this.#joinWaiting(record, slot, shard, carrierNumber) ? 'joined' : 'no';
    }
    if (packedThere === NONE) return 'no';
    const keyPlace = carrierNumber === packedThere ? this.#order.keyPlaceAt(slot) : NO_PLACE;
    const joined = this.#aggregator.join(record, shard, keyPlace);
    if (joined !== 'no') this.#order.carryOn(slot, record, packedThere, record.keyPlace);
    return joined;
  }

  /** The short way where the key is on its way: to those of its shard that wait, if the key is among them, or they wait for its Kinesis record. */
  #joinWaiting(record: UserRecord, slot: number, shard: number, carrierNumber: number): boolean {
    const order = this.#order;
    const waitingThere = this.#aggregator.waitingNumberOf(record, shard);
    if (waitingThere === NONE || order.isBusyAt(slot)) return false;
    const isAmong = carrierNumber === waitingThere;
    if (!isAmong && !isFollowedBy(order.carrierAt(slot), waitingThere)) return false;
    if (!this.#aggregator.joinWaiting(record, shard, isAmong ? order.keyPlaceAt(slot) : NO_PLACE)) return false;
    order.carryOn(slot, record, waitingThere, record.keyPlace);
    this.#followers.watch(record.expiresAtMs);
    return true;
  }

  /** Whether the key's Kinesis record is open and has room; if it has none it is sealed. */
  #takesMore(carrier: KinesisRecord, record: UserRecord, shard: number, nowMs: number): boolean {
    if (carrier.phase !== 'open' || carrier.shard !== shard) return false;
    const sealed = this.#aggregator.sealUnlessFits(carrier, record);
    if (sealed === undefined) return true;
    this.sealed(sealed, nowMs);
    return false;
  }

  /** Puts the record among those that wait for its key's Kinesis record, if it can. That one is hastened in any case. */
  #follow(record: UserRecord, carrier: KinesisRecord, slot: number, prediction: Prediction, nowMs: number): boolean {
    if (!carrier.awaited && carrier.phase === 'collected') this.#collector.hasten(nowMs);
    const there = this.#placeToWait(record, carrier, slot, prediction, nowMs);
    // What is among those that wait is not waited for by its like.
    if (there !== carrier) carrier.awaited = true;
    if (there === undefined) return false;
    if (there !== carrier) this.#followers.follow(there, carrier);
    // The first of its user records may be packed only now.
    this.#followers.watch(Math.min(record.expiresAtMs, there.unwatchedUntilMs));
    this.#order.carry(slot, record, there, record.keyPlace);
    return true;
  }

  /** @returns the Kinesis record that it waits in; undefined: it can't, and is held back. */
  #placeToWait(
    record: UserRecord,
    carrier: KinesisRecord,
    slot: number,
    prediction: Prediction,
    nowMs: number,
  ): KinesisRecord | undefined {
    const aggregator = this.#aggregator;
    // What is not sealed yet can't be waited for like this.
    if (carrier.phase === 'open' || carrier.phase === 'mapless') return undefined;
    const isInTime = record.sequence > this.#flushedSequence && nowMs < record.expiresAtMs;
    if (!isInTime || this.#order.isBusyAt(slot) || !aggregator.mayWait(record, prediction)) return undefined;
    if (!this.#followers.areWelcome(prediction.shard, nowMs)) return undefined;
    let waiting = aggregator.waitingWith(record, prediction.shard);
    // Where it is sealed it had a place; among those that wait it has none yet.
    if (carrier !== waiting) record.keyPlace = NO_PLACE;
    if (waiting !== undefined && !aggregator.fitsWaiting(record, waiting)) {
      this.#watch(waiting);
      waiting = undefined;
    }
    aggregator.putWaiting(record, prediction, waiting);
    return record.carrier;
  }
}

function keylessFailure(state: StrategyState): Failure {
  const message =
    state === 'unknown'
      ? "a record without a partition key needs a stream that is AUTO, and the stream's strategy could not be read: allow kinesis:DescribeStreamSummary, or set recordDistributionStrategyDefault to 'AUTO'"
      : 'a record without a partition key needs a stream whose record distribution strategy is AUTO, and this one goes by partition keys';
  return { code: 'REQUEST_FAILED', message, retryable: false };
}
