// What a simulated shard has been through, as its checkers remember it: its records, how far handlers have finished them, the
// furthest checkpoint ever written; and, in a stream that was made again, of which of the two streams its row is.
import { compareExtended, type ExtendedSequenceNumber, formatExtended } from '@shardline/common';
import { isEnded, type Lease } from '../../../consumer/dist/coordination/lease.js';

/** A user record's place, as the stream holds it. */
export interface Position {
  readonly sequenceNumber: bigint;
  readonly subSequenceNumber: number;
}

/** Its stream was made again: its first number, and the row that has its key. */
export interface MadeAgain {
  readonly startsAt: bigint;
  readonly row: Lease | undefined;
}

export class ShardHistory {
  readonly parents: readonly string[];
  /** All user records ever put, in order. */
  readonly records: Position[] = [];
  /** How many of them, from the front, some handler has finished. */
  handledCount = 0;
  /** Where the first tenure began that began at LATEST. */
  latestFrom: number | undefined;
  /** A later tenure at LATEST began earlier. */
  readsNobodys = false;
  open = true;
  ended = false;
  /** With its stream: what nobody has read of it by then is nobody's. */
  gone = false;
  readonly isAgain: boolean;
  /** Of which of the two its lease is; `either` begins both at their beginnings. */
  row: 'former' | 'either' | 'own';
  /** How its lease came: a row that stood already may say of the shard what was so of the one before. */
  leasedBy: 'oldRow' | 'creation' | 'reset';
  /** Before anybody knew of another stream it was read ahead of its parents: the order of its keys is lost. */
  isAheadUnknown = false;
  readonly #handledBeyond = new Set<number>();
  /** The furthest checkpoint ever written. */
  #checkpoint: ExtendedSequenceNumber | undefined;
  /** The shard of that name of the stream before, if this one's was made again. */
  readonly #former: ShardHistory | undefined;
  readonly #startsAt: bigint;

  constructor(parents: readonly string[], again?: MadeAgain, former?: ShardHistory) {
    this.parents = parents;
    const row = again?.row;
    const number = row?.checkpoint.sequenceNumber;
    // All that is in a stream that was made again came while the application was reading.
    this.latestFrom = again === undefined ? undefined : 0;
    this.#former = again === undefined ? undefined : former;
    this.isAgain = again !== undefined;
    this.#startsAt = again?.startsAt ?? 0n;
    this.leasedBy = row === undefined ? 'creation' : 'oldRow';
    this.row = row === undefined ? 'own' : typeof number === 'bigint' || isEnded(row) ? 'former' : 'either';
  }

  get hasAllHandled(): boolean {
    return this.handledCount >= this.records.length;
  }

  get isDone(): boolean {
    return this.gone || (this.hasAllHandled && (this.open || this.ended));
  }

  isFormer(shard: ShardHistory | undefined): boolean {
    return shard === this.#former;
  }

  /** This one, or that of the stream before, whichever the place is in. */
  at(number: bigint | string | undefined): ShardHistory {
    const former = this.#former;
    return former !== undefined && typeof number === 'bigint' && number < this.#startsAt ? former : this;
  }

  /** How many records come before the place. */
  indexOf(position: Position): number {
    let low = 0;
    let high = this.records.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compareExtended(asExtended(this.records[middle] as Position), asExtended(position)) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  handled(batch: readonly Position[]): void {
    for (const position of batch) {
      const index = this.indexOf(position);
      if (index >= this.handledCount) this.#handledBeyond.add(index);
    }
    while (this.#handledBeyond.delete(this.handledCount)) this.handledCount += 1;
  }

  /** Its checkpoint is about to go back, because somebody asked for that: what is behind it is to be handled again. */
  rewound(checkpoint: ExtendedSequenceNumber): void {
    const next = this.records.findIndex((record) => compareExtended(asExtended(record), checkpoint) > 0);
    this.handledCount = Math.min(this.handledCount, next === -1 ? this.records.length : next);
    this.#handledBeyond.clear();
    this.#checkpoint = checkpoint;
  }

  /** What the row of its lease says after a write; gives what is wrong with that. */
  rowChanged(before: Lease | undefined, after: Lease): string[] {
    const { shard, violation } = this.#ofRow(before, after);
    return [violation, ...shard.#moved(before, after)].filter((text) => text !== undefined);
  }

  #moved(before: Lease | undefined, after: Lease): (string | undefined)[] {
    const furthest = this.#checkpoint;
    this.#checkpoint = after.checkpoint;
    const back =
      furthest !== undefined && compareExtended(after.checkpoint, furthest) < 0
        ? `the checkpoint of ${after.leaseKey} moved back from ${formatExtended(furthest)} to ${formatExtended(after.checkpoint)}`
        : undefined;
    const hasMoved = before === undefined || compareExtended(after.checkpoint, before.checkpoint) !== 0;
    return [back, hasMoved ? this.#covers(after) : undefined];
  }

  /** The shard whose lease a row is after a write: of a stream that was made again it may still be of the one before. */
  #ofRow(before: Lease | undefined, after: Lease): { shard: ShardHistory; violation?: string } {
    if (!this.isAgain) return { shard: this };
    const { sequenceNumber } = after.checkpoint;
    const isNumber = typeof sequenceNumber === 'bigint';
    const hasBegun = sequenceNumber === 'TRIM_HORIZON' && before?.checkpoint.sequenceNumber !== 'TRIM_HORIZON';
    if (hasBegun) this.leasedBy = before === undefined ? 'creation' : 'reset';
    if (this.row === 'own') {
      // A finished lease does not show of which stream it is, and one that was cleaned up shows nothing: its records may come twice.
      if (hasBegun && (before === undefined ? this.ended : isEnded(before))) this.#checkpoint = undefined;
      return { shard: this };
    }
    const isOwn = isNumber ? sequenceNumber >= this.#startsAt : hasBegun;
    const wentOn = isOwn && isNumber && this.row === 'former';
    if (isOwn) this.row = 'own';
    else if (isNumber) this.row = 'former';
    // What was read to its end may be either: one that had nothing in it.
    else if (this.row === 'either' && isEnded(after)) this.ended = !this.open && this.hasAllHandled;
    const shard = isOwn ? this : (this.#former ?? this);
    if (!wentOn) return { shard };
    return {
      shard,
      violation: `${after.leaseKey} went on in a stream that was made again, from a place in the one before`,
    };
  }

  #covers(lease: Lease): string | undefined {
    if (isEnded(lease)) {
      if (this.gone) return undefined;
      this.ended = true;
      if (this.open) return `SHARD_END was written for the open shard ${lease.leaseKey}`;
      if (this.hasAllHandled) return undefined;
      return `SHARD_END of ${lease.leaseKey} covers records that no handler finished (${this.handledCount} of ${this.records.length})`;
    }
    const first = this.records[this.handledCount];
    if (first === undefined || compareExtended(asExtended(first), lease.checkpoint) > 0) return undefined;
    return `checkpoint ${formatExtended(lease.checkpoint)} of ${lease.leaseKey} covers ${formatExtended(asExtended(first))}, which no handler finished`;
  }
}

export function asExtended(position: Position): ExtendedSequenceNumber {
  return position as ExtendedSequenceNumber;
}
