// Whether records may expire before a shard's reader comes to them. Kinesis says nothing of it: an iterator or a subscription that stands before
// the oldest record that is left goes on there, and what it passed over is gone without a word. So whoever reads that late asks anew, at
// the record that was read last: if it is still there, so is all that follows it.
// It needs no retention, which may be changed at any time: no stream keeps its records for less than 24 hours.
// Invariant: as long as `isNear` says no, no record between what was read and what comes next can have expired.
import { type Clock, compareExtended, DEFAULT_RETENTION_HOURS, type ExtendedSequenceNumber } from '@shardline/common';
import type { Backlog } from './backlog.ts';

const SHORTEST_RETENTION_MS = DEFAULT_RETENTION_HOURS * 3_600_000;
/** For a read under way, what MillisBehindLatest may be off by, and clocks that differ. */
const MARGIN_MS = 300_000;
/** An iterator that gets on says so by its second answer, or its third. */
const STANDS_STILL_MS = 30_000;

export class RetentionEdge {
  readonly #clock: Clock;
  /** By the clock and by the calendar, as a suspended machine's clock may stand still. */
  #askedAt = Number.NaN;
  #askedOn = Number.NaN;
  /** All that had arrived by then was read; undefined: nothing was yet. */
  #readUpTo: number | undefined;
  #readUpToOn = Number.NaN;
  #checked: ExtendedSequenceNumber | undefined;
  /** Since when answers without records bring it no nearer to the tip, and how far behind it that is. */
  #stands: { readonly since: number; readonly behindMs: number } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Reading begins at another place, of which it is not known when anybody was there. */
  begin(): void {
    this.#readUpTo = undefined;
    this.#checked = undefined;
    this.#stands = undefined;
  }

  /** Of a read that is about to be asked for, or a subscription: what comes by it is no older than this. */
  asks(): void {
    this.#askedAt = this.#clock.now();
    this.#askedOn = this.#clock.wallNow();
  }

  /**
   * @param millisBehindLatest of the answer, by which it is before the shard's tip.
   * @param mayStand by an iterator that may stand at the horizon: that it is far behind does not undo what was read before it was made.
   */
  answered(millisBehindLatest: number | undefined, mayStand = false): void {
    if (millisBehindLatest === undefined) return;
    const readUpTo = this.#askedAt - millisBehindLatest;
    if (mayStand && this.#readUpTo !== undefined && readUpTo < this.#readUpTo) return;
    this.#readUpTo = readUpTo;
    this.#readUpToOn = this.#askedOn - millisBehindLatest;
  }

  /** What follows may have expired by now, or soon. */
  get isNear(): boolean {
    if (this.#readUpTo === undefined) return true;
    const ageMs = Math.max(this.#clock.now() - this.#readUpTo, this.#clock.wallNow() - this.#readUpToOn);
    return ageMs > SHORTEST_RETENTION_MS - MARGIN_MS;
  }

  /** Why records may be lost behind a place: nobody is known to have read until then, or the reader is too slow. */
  get cause(): 'away' | 'behind' {
    return this.#readUpTo === undefined ? 'away' : 'behind';
  }

  /**
   * An iterator made at a record that has expired is reported to stand at the horizon: answer after answer without a record, and as far
   * behind as before (harlow/kinesis-consumer, "Consumer (possibly) stuck if sequence # refers to expired data").
   * @returns whether this one has, for long enough; once.
   */
  standsStill(recordCount: number, millisBehindLatest: number | undefined): boolean {
    const now = this.#clock.now();
    const behindMs = millisBehindLatest ?? 0;
    if (recordCount > 0 || behindMs <= SHORTEST_RETENTION_MS - MARGIN_MS) this.#stands = undefined;
    else if (this.#stands === undefined || behindMs < this.#stands.behindMs) this.#stands = { since: now, behindMs };
    else if (now - this.#stands.since >= STANDS_STILL_MS) {
      this.#stands = undefined;
      return true;
    }
    return false;
  }

  /** Reading is to begin anew at this place: once, so that answers without records, or with this one alone, are got over. */
  mustCheck(after: ExtendedSequenceNumber): boolean {
    if (this.#readUpTo === undefined || !this.isNear) return false;
    return this.#checked === undefined || compareExtended(this.#checked, after) !== 0;
  }

  checks(after: ExtendedSequenceNumber): void {
    this.#checked = after;
  }

  /** Reading begins at this place: where what follows it may have expired, the backlog is told what to expect there. */
  beginsAt(after: ExtendedSequenceNumber, backlog: Pick<Backlog, 'isExpecting' | 'expect'>): void {
    if (!this.isNear) return;
    if (!backlog.isExpecting) backlog.expect(after, this.cause);
    this.checks(after);
  }
}
