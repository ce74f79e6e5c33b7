// Keeps the order of each key. PutRecords promises no order, and a request that timed out may still be applied, so at most
// one Kinesis record per order key is under way at any time: a user record joins its key's open Kinesis record, or one that waits until the
// key's sealed one has settled (followers.ts), or is held back until then. A key's carrier is the last of these that has it. Keys without
// contention never wait, so any number of Kinesis records of one shard may be in flight; one hot key moves at one Kinesis record a round
// trip, filled up meanwhile.
// Keys are told apart by 64 bits of their hashes: two that share them, should there ever be such, wait for each other.
// Invariants: a key has at most one carrier, which is unsettled; one with held records has a carrier that takes no more; held records of a key are in put order.
import { invariant, NO_PLACE } from '@shardline/common';
import type { KinesisRecord } from './batch.ts';
import { Fifo } from './fifo.ts';
import type { UserRecord } from './user-record.ts';

/** 64 bits that tell keys apart. */
export interface OrderKey {
  readonly orderHash: number;
  readonly orderHash2: number;
}

/** An order key with held records. */
export interface BusyKey extends OrderKey {
  /** The last Kinesis record that has it, and has not settled. */
  carrier: KinesisRecord | undefined;
  readonly held: Fifo<UserRecord>;
  /** While records are held. */
  number: number;
}

const FEWEST_SLOTS = 1_024;
/** So many of the slots are taken at most, also by keys that are over: then these are swept out. */
const MOST_TAKEN = 1 / 2;
/** So many by keys that are not: then the table is made longer. */
const MOST_LIVING = 3 / 8;
/** So many Kinesis records for each slot may be over and still be spoken of. */
const MOST_OVER = 1 / 2;
// A slot, of so many 32-bit numbers: four, so that none lies in two lines of the cache.
const SLOT_SHIFT = 2;
const HASH = 0;
const HASH_2 = 1;
/** Number of its carrier, also when that is over; below zero: of its BusyKey. */
const WHOSE = 2;
/** In its carrier, if it is packed there. */
const KEY_PLACE = 3;
/** No Kinesis record's number. */
export const NONE = 0;

export class KeyOrder {
  /**
   * A hash table of plain numbers, since most keys come and go with a single record: a Map keeps the places of what was deleted until it is
   * made anew, and took more time than all else that is done for a record; objects would be one more for each to be found in memory and to be
   * collected. The next free slot is taken. A key is over with its carrier, without being sought: its slot is that of a number that is nobody's,
   * until all such are swept out together.
   */
  #slots: Int32Array = new Int32Array(FEWEST_SLOTS << SLOT_SHIFT);
  #takenCount = 0;
  readonly #carriers = new Numbered<KinesisRecord>();
  readonly #busy = new Numbered<BusyKey>();

  /** Order keys that have a carrier or held records. Counts them. */
  get keyCount(): number {
    const slots = this.#slots;
    let count = 0;
    for (let at = WHOSE; at < slots.length; at += 1 << SLOT_SHIFT) {
      const whose = slots[at] as number;
      if (whose !== NONE && !this.#isOver(whose)) count++;
    }
    return count;
  }

  /** Whether records are held for any key. */
  get holds(): boolean {
    return this.#busy.count > 0;
  }

  /** Where a key is, or where it would be, until another one comes or goes. */
  slotOf({ orderHash, orderHash2 }: OrderKey): number {
    return this.#seek(orderHash, orderHash2);
  }

  /** The last unsettled Kinesis record of the key there. */
  carrierAt(slot: number): KinesisRecord | undefined {
    return this.#carriers.at(this.carrierNumberAt(slot));
  }

  /** Its number; NONE where there is none. */
  carrierNumberAt(slot: number): number {
    const whose = this.#slots[slot + WHOSE] as number;
    if (whose < 0) return this.#busy.at(-whose)?.carrier?.orderNumber ?? NONE;
    return this.#carriers.at(whose) === undefined ? NONE : whose;
  }

  /** Whether records are held for the key there. */
  isBusyAt(slot: number): boolean {
    return (this.#slots[slot + WHOSE] as number) < 0;
  }

  /** Its place in that, as `carry` was told. */
  keyPlaceAt(slot: number): number {
    return this.carrierNumberAt(slot) === NONE ? NO_PLACE : (this.#slots[slot + KEY_PLACE] as number);
  }

  /** Notes the Kinesis record that a key's user record went into. */
  carry(slot: number, key: OrderKey, carrier: KinesisRecord, keyPlace: number): void {
    this.carryOn(slot, key, this.#numberOf(carrier), keyPlace);
  }

  /** The same by the number that it was given for its first key: so that it need not be looked at. */
  carryOn(slot: number, { orderHash, orderHash2 }: OrderKey, orderNumber: number, keyPlace: number): void {
    const slots = this.#slots;
    const whose = slots[slot + WHOSE] as number;
    slots[slot + KEY_PLACE] = keyPlace;
    if (whose < 0) {
      (this.#busy.at(-whose) as BusyKey).carrier = this.#carriers.at(orderNumber);
      return;
    }
    slots[slot + WHOSE] = orderNumber;
    if (whose === NONE) this.#took(slot, orderHash, orderHash2);
  }

  /** Holds a user record back behind its key's carrier. */
  hold(record: UserRecord): void {
    const slot = this.slotOf(record);
    const whose = this.#slots[slot + WHOSE] as number;
    invariant(whose < 0 || this.carrierNumberAt(slot) !== NONE, 'who is held back waits for a Kinesis record');
    const busy = whose < 0 ? (this.#busy.at(-whose) as BusyKey) : this.#makeBusy(slot, record);
    busy.held.push(record);
  }

  /** The key, if records are held for it behind this carrier, which is over: they are to move up. */
  heldBehind(orderHash: number, orderHash2: number, carrier: KinesisRecord): BusyKey | undefined {
    const whose = this.#slots[this.#seek(orderHash, orderHash2) + WHOSE] as number;
    const busy = whose < 0 ? (this.#busy.at(-whose) as BusyKey) : undefined;
    if (busy?.carrier !== carrier) return undefined;
    busy.carrier = undefined;
    return busy;
  }

  /** The carrier is unsettled, and has again a key that one behind it had taken over and has given up. */
  carryAgain(orderHash: number, orderHash2: number, carrier: KinesisRecord): void {
    const slot = this.#seek(orderHash, orderHash2);
    if (this.isBusyAt(slot) || this.carrierNumberAt(slot) !== NONE) return;
    this.carry(slot, { orderHash, orderHash2 }, carrier, NO_PLACE);
  }

  /** The carrier has no key any more. Where records are held for some, `heldBehind` has been asked for those. */
  forget(carrier: KinesisRecord): void {
    this.#carriers.remove(carrier.orderNumber);
    carrier.orderNumber = NONE;
    if (this.#carriers.removedCount > this.#slotCount * MOST_OVER) this.#sweep();
  }

  /** The user record that is next of a key; expired ones are passed over. */
  next(busy: BusyKey): UserRecord | undefined {
    const { held } = busy;
    for (let record = held.peek(); record !== undefined; record = held.peek()) {
      if (!record.settled) return record;
      held.shift();
    }
    this.#idle(busy);
    return undefined;
  }

  /** Takes what `next` gave. */
  take(busy: BusyKey): void {
    busy.held.shift();
  }

  /** Takes all that is held for a key. */
  takeAll(busy: BusyKey): Iterable<UserRecord> {
    this.#idle(busy);
    return busy.held;
  }

  #took(slot: number, orderHash: number, orderHash2: number): void {
    const slots = this.#slots;
    slots[slot + HASH] = orderHash;
    slots[slot + HASH_2] = orderHash2;
    this.#takenCount++;
    if (this.#takenCount <= this.#slotCount * MOST_TAKEN) return;
    this.#sweep();
    if (this.#takenCount > this.#slotCount * MOST_LIVING) this.#grow();
  }

  get #slotCount(): number {
    return this.#slots.length >> SLOT_SHIFT;
  }

  /** Keys that are over go. */
  #sweep(): void {
    const slots = this.#slots;
    for (let slot = 0; slot < slots.length; slot += 1 << SLOT_SHIFT) {
      // Another one may move up in its place.
      while (this.#isOver(slots[slot + WHOSE] as number)) this.#remove(slot);
    }
    this.#carriers.recycle();
  }

  #isOver(whose: number): boolean {
    return whose > NONE && this.#carriers.at(whose) === undefined;
  }

  #makeBusy(slot: number, { orderHash, orderHash2 }: OrderKey): BusyKey {
    const carrier = this.carrierAt(slot);
    const busy: BusyKey = { orderHash, orderHash2, carrier, held: new Fifo<UserRecord>(), number: NONE };
    busy.number = this.#busy.add(busy);
    this.#slots[slot + WHOSE] = -busy.number;
    return busy;
  }

  /** Nothing is held for the key any more. */
  #idle(busy: BusyKey): void {
    const { carrier, number } = busy;
    if (number === NONE) return;
    busy.number = NONE;
    const slot = this.slotOf(busy);
    this.#busy.remove(number);
    this.#busy.recycle();
    if (carrier === undefined) this.#remove(slot);
    else this.#slots[slot + WHOSE] = this.#numberOf(carrier);
  }

  #numberOf(carrier: KinesisRecord): number {
    if (carrier.orderNumber === NONE) carrier.orderNumber = this.#carriers.add(carrier);
    return carrier.orderNumber;
  }

  #seek(orderHash: number, orderHash2: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = (orderHash << SLOT_SHIFT) & mask;
    while (slots[slot + WHOSE] !== NONE) {
      if (slots[slot + HASH] === orderHash && slots[slot + HASH_2] === orderHash2) return slot;
      slot = (slot + (1 << SLOT_SHIFT)) & mask;
    }
    return slot;
  }

  /** What comes behind moves up, as far as its own place allows: so nothing marks what was removed. */
  #remove(from: number): void {
    const slots = this.#slots;
    const mask = slots.length - 1;
    const step = 1 << SLOT_SHIFT;
    let free = from;
    this.#takenCount--;
    for (let slot = (free + step) & mask; slots[slot + WHOSE] !== NONE; slot = (slot + step) & mask) {
      const home = ((slots[slot] as number) << SLOT_SHIFT) & mask;
      if (((slot - home) & mask) < ((slot - free) & mask)) continue;
      copySlot(slots, slot, slots, free);
      free = slot;
    }
    slots[free + WHOSE] = NONE;
  }

  /** Never shrinks: the bound of what is outstanding bounds it. */
  #grow(): void {
    const before = this.#slots;
    this.#slots = new Int32Array(2 * before.length);
    for (let slot = 0; slot < before.length; slot += 1 << SLOT_SHIFT) {
      if (before[slot + WHOSE] === NONE) continue;
      const to = this.#seek(before[slot + HASH] as number, before[slot + HASH_2] as number);
      copySlot(before, slot, this.#slots, to);
    }
  }
}

function copySlot(source: Int32Array, from: number, target: Int32Array, to: number): void {
  for (let word = 0; word < 1 << SLOT_SHIFT; word++) target[to + word] = source[from + word] as number;
}

/** Gives what it holds a number from 1, so that a table of numbers can speak of it. A number is given again once the table is rid of it. */
class Numbered<T> {
  readonly #all: (T | undefined)[] = [undefined];
  readonly #free: number[] = [];
  #removed: number[] = [];

  get count(): number {
    return this.#all.length - 1 - this.#free.length - this.#removed.length;
  }

  /** Those that may still be spoken of. */
  get removedCount(): number {
    return this.#removed.length;
  }

  at(number: number): T | undefined {
    return this.#all[number];
  }

  add(value: T): number {
    const number = this.#free.pop() ?? this.#all.length;
    this.#all[number] = value;
    return number;
  }

  remove(number: number): void {
    if (number === NONE) return;
    this.#all[number] = undefined;
    this.#removed.push(number);
  }

  /** Nobody speaks of those that were removed any more. */
  recycle(): void {
    this.#free.push(...this.#removed);
    this.#removed = [];
  }
}
