// How much all shards of a worker may hold together that is read and not handled, so that memory stays flat however many shards it has
// and however far behind they are. Between the prefetch of each shard, which asks before it reads, and the worker, which has those in
// line ask again once there is room. Half of the room is split evenly: what fits into a shard's own part it may always hold, so that
// none waits for another's handler, unless others took their parts when they were fewer. The other half is lent: first to those that
// hold nothing, in the order in which they came.
// Invariants: what is granted stays within the room, but for one shard that holds nothing and whose next record alone is larger than
// what is left (a second one only after `roomPatienceMs` in which nothing became free), and for what is pushed to a shard that was
// told how much it may be when more was left; nobody overtakes those in line.
import { MAX_GET_RECORDS_BYTES, MAX_RECORDS_PER_GET_RECORDS } from '@shardline/common';

export interface RoomOptions {
  /** Data bytes that all shards hold together. */
  readonly maxPendingBytesForWorker: number;
  /** User records that all shards hold together. */
  readonly maxPendingRecordCountForWorker: number;
  /** So long those that hold nothing wait for others that give nothing back. */
  readonly roomPatienceMs: number;
}

export interface Amount {
  readonly bytes: number;
  readonly recordCount: number;
}

/**
 * The least that a read can bring. 0: not known, it will be told once it is there. `unseen`: no record of the shard was seen yet, so it is
 * what others' records take.
 */
export type LeastBytes = number | 'unseen';

/** What a shard wants to read. */
export interface Wish {
  readonly leastBytes: LeastBytes;
  /** The source has it already, and only records are made of it. */
  readonly isHeld: boolean;
  /** The shard has something that its handler has not finished. */
  readonly isAhead: boolean;
}

interface Use {
  readonly taken: Amount;
  readonly used: Amount;
}

/** One read is lent so much of what is free, so that those that read at once get alike; and to read ahead so much must be free. */
const PART = 8;
/** Until a record of any shard was seen: most streams refuse larger ones. */
export const USUAL_MAX_RECORD_BYTES: number = 1024 * 1024;
/** So much of it is left of the largest that was seen with each one that is smaller. */
const FORGETTING = 0.9;
const NOTHING: Amount = { bytes: 0, recordCount: 0 };

export class Room {
  readonly #options: RoomOptions;
  readonly #shares = new Set<Share>();
  /** In line, in the order in which they came: those that hold nothing, and those that read ahead. */
  readonly #idle = new Map<Share, Wish>();
  readonly #ahead = new Map<Share, Wish>();
  /** Let in although there was no room. */
  readonly #overdrawn = new Set<Share>();
  /** Of all shares, beyond their own parts; undefined: to be counted anew, since the parts are others than before. */
  #lent: Amount | undefined;
  /** Of all shares that were not let in without room, but for what may be pushed some time, or never. */
  #used = NOTHING;
  /** What records take: the largest of late. */
  #seenBytes: number | undefined;
  /** Whose turn it is. */
  #called: Share | undefined;
  #freed = true;
  #freedAt = Number.NEGATIVE_INFINITY;

  constructor(options: RoomOptions) {
    this.#options = options;
  }

  /** Of one tenure. */
  open(leaseKey: string): Share {
    const share = new Share(leaseKey, this);
    this.#shares.add(share);
    this.#lent = undefined;
    return share;
  }

  /** What all shards hold. */
  get held(): Amount {
    return [...this.#shares].reduce((sum, { held }) => plus(sum, held), NOTHING);
  }

  /** The lease whose turn it is to ask again, if there is any. */
  next(now: number): string | undefined {
    if (this.#freed) this.#freedAt = now;
    this.#freed = false;
    const first = this.#firstInLine(now);
    if (first === undefined) return undefined;
    const [share, wish] = first;
    if (!this.#fits(share, wish)) this.#freedAt = now;
    this.leave(share);
    this.#called = share;
    return share.leaseKey;
  }

  isInLine(share: Share): boolean {
    return this.#idle.has(share) || this.#ahead.has(share);
  }

  /** When somebody may be let in although nothing becomes free. */
  deadline(): number {
    return this.#idle.size === 0 ? Number.POSITIVE_INFINITY : this.#freedAt + this.#options.roomPatienceMs;
  }

  /** @returns how much may be read; undefined: not now, the share is in line. */
  grant(share: Share, wish: Wish): Amount | undefined {
    if (wish.leastBytes !== 'unseen' && wish.leastBytes > 0)
      this.#seenBytes = Math.max(wish.leastBytes, FORGETTING * (this.#seenBytes ?? 0));
    const leastBytes = this.#least(wish);
    const isCalled = share === this.#called;
    const needsLoan = wish.isAhead || leastBytes > Math.min(this.#left(share).bytes, this.#unused().bytes);
    const isFirst = isCalled || (this.#idle.size === 0 && (!wish.isAhead || this.#ahead.size === 0));
    const fits = this.#fits(share, wish);
    if (needsLoan && !isCalled && (!isFirst || !fits)) {
      const [line, other] = wish.isAhead ? [this.#ahead, this.#idle] : [this.#idle, this.#ahead];
      other.delete(share);
      line.set(share, wish);
      return undefined;
    }
    this.leave(share);
    if (!fits && !this.#overdrawn.has(share)) {
      this.#overdrawn.add(share);
      this.#used = minus(this.#used, share.used);
    }
    // What is pushed some time, or never, is not kept free until then.
    const loan = isFirst && !mayBeNothing(wish) ? this.#loan() : NOTHING;
    const { bytes, recordCount } = least(plus(this.#left(share), loan), this.#unused());
    return {
      bytes: wish.isHeld ? 0 : Math.max(leastBytes, Math.min(bytes, MAX_GET_RECORDS_BYTES)),
      recordCount: Math.max(1, Math.min(recordCount, MAX_RECORDS_PER_GET_RECORDS)),
    };
  }

  /** Of the line. */
  leave(share: Share): void {
    if (this.#called === share) this.#called = undefined;
    this.#idle.delete(share);
    this.#ahead.delete(share);
  }

  /** @param before what was taken, and what of that was used, until now. */
  changed(share: Share, before: Use): void {
    const { taken, used } = share;
    if (this.#lent !== undefined) this.#lent = minus(plus(this.#lent, this.#beyond(taken)), this.#beyond(before.taken));
    if (!this.#overdrawn.has(share)) this.#used = minus(plus(this.#used, used), before.used);
    else if (taken.bytes === 0) {
      this.#overdrawn.delete(share);
      this.#used = plus(this.#used, used);
    }
    if (taken.bytes < before.taken.bytes || taken.recordCount < before.taken.recordCount) this.#freed = true;
  }

  close(share: Share): void {
    this.leave(share);
    if (!this.#overdrawn.delete(share)) this.#used = minus(this.#used, share.used);
    this.#shares.delete(share);
    this.#lent = undefined;
    this.#freed = true;
  }

  #firstInLine(now: number): [Share, Wish] | undefined {
    const [idle] = this.#idle;
    if (idle !== undefined) {
      const isPatient = now < this.#freedAt + this.#options.roomPatienceMs;
      return this.#fits(...idle) || this.#overdrawn.size === 0 || !isPatient ? idle : undefined;
    }
    const [ahead] = this.#ahead;
    return ahead !== undefined && this.#fits(...ahead) ? ahead : undefined;
  }

  #least({ leastBytes }: Wish): number {
    return leastBytes === 'unseen' ? Math.ceil(this.#seenBytes ?? USUAL_MAX_RECORD_BYTES) : leastBytes;
  }

  #fits(share: Share, wish: Wish): boolean {
    const { isHeld, isAhead } = wish;
    const free = this.#free();
    if (this.#least(wish) > Math.min(this.#left(share).bytes + free.bytes, this.#unused().bytes)) return false;
    if (!isAhead) return true;
    const { bytes, recordCount } = this.#half();
    return free.recordCount >= recordCount / PART && (isHeld || free.bytes >= bytes / PART);
  }

  #half(): Amount {
    const { maxPendingBytesForWorker, maxPendingRecordCountForWorker } = this.#options;
    return { bytes: maxPendingBytesForWorker / 2, recordCount: maxPendingRecordCountForWorker / 2 };
  }

  /** A shard's own part. */
  #own(): Amount {
    const { bytes, recordCount } = this.#half();
    const shareCount = Math.max(1, this.#shares.size);
    return { bytes: Math.floor(bytes / shareCount), recordCount: Math.floor(recordCount / shareCount) };
  }

  /** What a shard has not taken of its own part. */
  #left(share: Share): Amount {
    return floored(minus(this.#own(), share.taken));
  }

  #beyond(taken: Amount): Amount {
    return floored(minus(taken, this.#own()));
  }

  #free(): Amount {
    this.#lent ??= [...this.#shares].reduce((sum, { taken }) => plus(sum, this.#beyond(taken)), NOTHING);
    return least(floored(minus(this.#half(), this.#lent)), this.#unused());
  }

  /** More than this nobody is granted, be it of his own part. */
  #unused(): Amount {
    return floored(minus(plus(this.#half(), this.#half()), this.#used));
  }

  #loan(): Amount {
    const { bytes, recordCount } = this.#free();
    return { bytes: Math.floor(bytes / PART), recordCount: Math.floor(recordCount / PART) };
  }
}

/** One tenure's. */
export class Share {
  readonly leaseKey: string;
  readonly #room: Room;
  #held = NOTHING;
  /** For the read under way. */
  #granted = NOTHING;
  /** It may be pushed some time, or never. */
  #mayBeNothing = false;
  #isClosed = false;

  constructor(leaseKey: string, room: Room) {
    this.leaseKey = leaseKey;
    this.#room = room;
  }

  /** Read and not handled. */
  get held(): Amount {
    return this.#held;
  }

  get taken(): Amount {
    return plus(this.#held, this.#granted);
  }

  get used(): Amount {
    return this.#mayBeNothing ? this.#held : this.taken;
  }

  /** @returns how much may be read, until `holds` says what was; undefined: not now. */
  ask(wish: Wish): Amount | undefined {
    const granted = this.#room.grant(this, wish);
    if (granted !== undefined) this.#take(this.#held, granted, mayBeNothing(wish));
    return granted;
  }

  /** No read is under way, and so much is held. */
  read(held: Amount): void {
    this.#take(held, NOTHING, false);
  }

  /** So much is held. */
  holds(held: Amount): void {
    this.#take(held, this.#granted, this.#mayBeNothing);
  }

  /** It asked in vain, and will have a turn. */
  get isInLine(): boolean {
    return this.#room.isInLine(this);
  }

  /** The tenure is over. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#room.close(this);
  }

  #take(held: Amount, granted: Amount, maybe: boolean): void {
    if (this.#isClosed) return;
    const { taken, used } = this;
    // A shard at rest holds nothing, and thousands of those share one copy of that.
    this.#held = isNothing(held) ? NOTHING : held;
    this.#granted = isNothing(granted) ? NOTHING : granted;
    this.#mayBeNothing = maybe;
    this.#room.changed(this, { taken, used });
  }
}

function isNothing({ bytes, recordCount }: Amount): boolean {
  return bytes === 0 && recordCount === 0;
}

function mayBeNothing({ leastBytes, isHeld }: Wish): boolean {
  return leastBytes === 0 && !isHeld;
}

function plus(a: Amount, b: Amount): Amount {
  return { bytes: a.bytes + b.bytes, recordCount: a.recordCount + b.recordCount };
}

function minus(a: Amount, b: Amount): Amount {
  return { bytes: a.bytes - b.bytes, recordCount: a.recordCount - b.recordCount };
}

function least(a: Amount, b: Amount): Amount {
  return { bytes: Math.min(a.bytes, b.bytes), recordCount: Math.min(a.recordCount, b.recordCount) };
}

function floored({ bytes, recordCount }: Amount): Amount {
  return { bytes: Math.max(0, bytes), recordCount: Math.max(0, recordCount) };
}
