// The consumer's checkers. They watch the world from outside, keep a history of their own and ask the code nothing: a rule that
// the code believes it keeps is judged by what happened to the table, the handlers and the stream.
import {
  compareExtended,
  type ExtendedSequenceNumber,
  findHoles,
  formatExtended,
  type HashKeyRange,
  MAX_HASH_KEY,
} from '@shardline/common';
import { actualOwner, isEnded, type Lease } from '../../../consumer/dist/coordination/lease.js';
import { TwoPhaseChecker } from './two-phase.ts';

/** A user record's place, as the stream holds it. */
export interface Position {
  readonly sequenceNumber: bigint;
  readonly subSequenceNumber: number;
}

interface ShardHistory {
  readonly parents: readonly string[];
  /** All user records ever put, in order. */
  readonly records: Position[];
  /** How many of them, from the front, some handler has finished. */
  handledCount: number;
  /** Where the first tenure began that began at LATEST. */
  latestFrom: number | undefined;
  /** A later tenure at LATEST began earlier. */
  readsNobodys: boolean;
  readonly handledBeyond: Set<number>;
  open: boolean;
  /** The furthest checkpoint ever written. */
  checkpoint: ExtendedSequenceNumber | undefined;
  ended: boolean;
  /** With its stream: what nobody has read of it by then is nobody's. */
  gone: boolean;
  /** The shard of that name of the stream before, if this one's was made again. */
  readonly former: ShardHistory | undefined;
  readonly isAgain: boolean;
  readonly startsAt: bigint;
  /** Of which of the two its lease is; `either` begins both at their beginnings. */
  row: 'former' | 'either' | 'own';
  /** How its lease came: a row that stood already may say of the shard what was so of the one before. */
  leasedBy: 'oldRow' | 'creation' | 'reset';
}

/** The next record of a tenure. */
interface Expected {
  readonly shard: ShardHistory;
  readonly index: number;
  /** By the number of a record before it. */
  readonly byNumber: boolean;
}

/** One tenure in one process; the same object for the same tenure. */
export interface TenureRef {
  readonly process: number;
  readonly tenure: number;
}

interface Running {
  /** When the last write of its tenure was applied. */
  confirmedAt: number;
}

export interface ConsumerCheckersOptions {
  /** So long after a holder's last write nobody else may deliver; less than what the workers are told where clocks drift. */
  readonly failoverTimeMs: number;
  readonly handoffTimeoutMs: number;
  /** Called at each violation: what comes after the first one proves nothing. */
  readonly onViolation: () => void;
}

/** What a fleet at rest looks like. */
export interface Balance {
  /** Finished leases count, too, as where workers take leases themselves. */
  readonly countsEnded: boolean;
  /** No worker has to give a lease away that is within so many percent of the average: by utilization. */
  readonly marginPercent: number;
}

export class ConsumerCheckers {
  readonly violations: string[] = [];
  readonly twoPhase: TwoPhaseChecker = new TwoPhaseChecker((text) => this.#fail(text));
  readonly #options: ConsumerCheckersOptions;
  readonly #shards = new Map<string, ShardHistory>();
  readonly #expected = new Map<TenureRef, Expected>();
  /** What a tenure left out that began at LATEST anew. */
  readonly #skipped = new Map<TenureRef, string>();
  readonly #confirmed = new Map<TenureRef, number>();
  readonly #running = new Map<string, Map<TenureRef, Running>>();
  /** Which tenure wrote a lease last, and since when a tenure has been asked to hand its lease off. */
  readonly #holders = new Map<string, TenureRef>();
  readonly #handoffs = new Map<TenureRef, number>();
  /** When a worker last took the lease. */
  readonly #taken = new Map<string, number>();
  /** The streams whose first set of leases was complete once. */
  readonly #covered = new Set<string | undefined>();
  #balancedSince: number | undefined;

  constructor(options: ConsumerCheckersOptions) {
    this.#options = options;
  }

  // --- the stream ---

  /** @param again where its stream was made again: its first number, and the row that has its key. */
  shardOpened(
    leaseKey: string,
    parents: readonly string[],
    again?: { readonly startsAt: bigint; readonly row: Lease | undefined },
  ): void {
    const row = again?.row;
    const number = row?.checkpoint.sequenceNumber;
    this.#shards.set(leaseKey, {
      parents,
      records: [],
      handledCount: 0,
      // All that is in a stream that was made again came while the application was reading.
      latestFrom: again === undefined ? undefined : 0,
      readsNobodys: false,
      gone: false,
      former: again === undefined ? undefined : this.#shards.get(leaseKey),
      isAgain: again !== undefined,
      startsAt: again?.startsAt ?? 0n,
      leasedBy: row === undefined ? 'creation' : 'oldRow',
      row: row === undefined ? 'own' : typeof number === 'bigint' || isEnded(row) ? 'former' : 'either',
      handledBeyond: new Set(),
      open: true,
      checkpoint: undefined,
      ended: false,
    });
  }

  shardClosed(leaseKey: string): void {
    this.#of(leaseKey).open = false;
  }

  /** Its stream is deleted. */
  shardGone(leaseKey: string): void {
    const shard = this.#of(leaseKey);
    shard.open = false;
    shard.gone = true;
    // The next one's leases are a first set again.
    this.#covered.clear();
  }

  recordPut(leaseKey: string, position: Position): void {
    this.#of(leaseKey).records.push(position);
  }

  /** For people: the record's number in its shard, or the sentinel that stands in its place. */
  placeOf(leaseKey: string, { sequenceNumber, subSequenceNumber }: Position): string {
    if (typeof sequenceNumber !== 'bigint') return sequenceNumber;
    const { records } = this.#of(leaseKey, sequenceNumber);
    return `record ${indexOf(records, { sequenceNumber, subSequenceNumber }) + 1} of ${records.length}`;
  }

  /** A record's place among all that were put into its shard. */
  indexOf(leaseKey: string, position: Position): number {
    return indexOf(this.#of(leaseKey, position.sequenceNumber).records, position);
  }

  /** Of each shard but those of which a tenure reads on in what is nobody's. */
  recordCounts(): Map<string, number> {
    const read = [...this.#shards].filter(([, { readsNobodys }]) => !readsNobodys);
    return new Map(read.map(([leaseKey, { records }]) => [leaseKey, records.length]));
  }

  // --- the handlers ---

  shardStarted(leaseKey: string, ref: TenureRef, checkpoint: ExtendedSequenceNumber): void {
    const shard = this.#of(leaseKey, checkpoint.sequenceNumber);
    const { records } = shard;
    const next = records.findIndex((record) => compareExtended(asExtended(record), checkpoint) > 0);
    const byNumber = typeof checkpoint.sequenceNumber === 'bigint';
    this.#expected.set(ref, { shard, index: next === -1 ? records.length : next, byNumber });
  }

  /**
   * A tenure began to read at LATEST, and `first` would be its first record. Where the first one began is what LATEST means: what was
   * put before that is nobody's, and no later tenure may begin after it. One that lost its lease before its first read was answered may
   * read where it likes: it must not deliver.
   */
  latestBegan(leaseKey: string, ref: TenureRef, first: Position | undefined): void {
    const shard = this.#of(leaseKey);
    const index = first === undefined ? shard.records.length : indexOf(shard.records, first);
    if (shard.latestFrom === undefined) {
      shard.latestFrom = index;
      shard.handledCount = index;
    } else if (index < shard.latestFrom) {
      // By the time at which the first one was to begin, where that one came late.
      shard.readsNobodys = true;
    } else if (index > Math.max(shard.latestFrom, shard.handledCount)) {
      this.#skipped.set(
        ref,
        `${leaseKey}: ${nameOf(ref)} began at LATEST anew and skipped record ${shard.handledCount} to ${index}`,
      );
    }
    this.#expected.set(ref, { shard, index, byNumber: false });
  }

  deliveryStarted(leaseKey: string, ref: TenureRef, batch: readonly Position[], now: number): void {
    const shard = this.#of(leaseKey, batch[0]?.sequenceNumber);
    const skipped = this.#skipped.get(ref);
    if (skipped !== undefined && this.#skipped.delete(ref)) this.#fail(skipped);
    for (const parent of shard.gone ? [] : shard.parents) {
      const parentHistory = this.#shards.get(parent);
      // Before anybody knows of another stream a row that stands at its beginning is read, and the end in one is taken for its shard's;
      // and a tenure from before that has not learned yet that its lease begins anew reads on.
      const isUnknown =
        shard.leasedBy === 'oldRow' ||
        (shard.leasedBy === 'creation' && parentHistory?.row === 'former') ||
        (shard.isAgain && this.#expected.get(ref)?.shard === shard.former);
      if (parentHistory !== undefined && !parentHistory.ended && !isUnknown) {
        this.#fail(`${leaseKey} was delivered before its parent ${parent} was at SHARD_END`);
      }
    }
    this.#deliverInOrder(leaseKey, shard, ref, batch);
    this.twoPhase.delivers(leaseKey, ref, now);
    const running = this.#runningOn(leaseKey);
    const { failoverTimeMs, handoffTimeoutMs } = this.#options;
    for (const [other, { confirmedAt }] of running) {
      if (other === ref || now >= confirmedAt + failoverTimeMs) continue;
      const handoffAt = this.#handoffs.get(other);
      if (handoffAt !== undefined && now >= handoffAt + handoffTimeoutMs) continue;
      // By the protocol of the KCL 2.x whoever loses a lease learns of it by its next write.
      const known = Math.min(confirmedAt, this.#confirmed.get(ref) ?? Number.NEGATIVE_INFINITY);
      const takenAt = this.#taken.get(leaseKey);
      if (takenAt !== undefined && takenAt >= known) continue;
      this.#fail(
        `two handlers on ${leaseKey} at ${now}: ${nameOf(other)} was confirmed at ${confirmedAt}, ${nameOf(ref)} started`,
      );
    }
    running.set(ref, { confirmedAt: this.#confirmed.get(ref) ?? Number.NEGATIVE_INFINITY });
  }

  deliveryEnded(leaseKey: string, ref: TenureRef, batch: readonly Position[], handled: boolean): void {
    this.#runningOn(leaseKey).delete(ref);
    if (handled) this.handled(leaseKey, batch);
  }

  /** Its holder gave the lease away: nothing of the tenure may run any more. */
  released(leaseKey: string, ref: TenureRef, now: number): void {
    if (this.#runningOn(leaseKey).has(ref))
      this.#fail(`${leaseKey} was released at ${now} by ${nameOf(ref)}, whose handler still runs`);
  }

  /** A handler has finished these, and may say so before it returns. */
  handled(leaseKey: string, batch: readonly Position[]): void {
    const shard = this.#of(leaseKey, batch[0]?.sequenceNumber);
    for (const position of batch) {
      const index = indexOf(shard.records, position);
      if (index >= shard.handledCount) shard.handledBeyond.add(index);
    }
    while (shard.handledBeyond.delete(shard.handledCount)) shard.handledCount += 1;
  }

  processDied(process: number): void {
    for (const running of this.#running.values()) {
      for (const ref of running.keys()) if (ref.process === process) running.delete(ref);
    }
  }

  // --- the table ---

  /** A worker took it, from whomever, or its leader did, to have it begin anew: the holder learns of it by its next write. */
  leaseTaken(leaseKey: string, now: number): void {
    this.#taken.set(leaseKey, now);
  }

  /** A write was applied; `ref` is the tenure that made it, if a holder did. */
  tableChanged(before: Lease | undefined, after: Lease | undefined, ref: TenureRef | undefined, now: number): void {
    const lease = after ?? before;
    if (lease === undefined) return;
    if (!this.#shards.has(lease.leaseKey)) {
      this.#fail(`there is a lease ${lease.leaseKey} and no such shard`);
      return;
    }
    if (ref !== undefined) {
      this.#confirmed.set(ref, now);
      this.#holders.set(lease.leaseKey, ref);
      const running = this.#runningOn(lease.leaseKey).get(ref);
      if (running !== undefined) running.confirmedAt = now;
    }
    if (before !== undefined && after !== undefined && actualOwner(before) !== actualOwner(after))
      this.#holders.delete(lease.leaseKey);
    const holder = this.#holders.get(lease.leaseKey);
    if (ref !== undefined && before?.checkpointOwner !== undefined && after?.checkpointOwner === undefined)
      this.#handoffs.delete(ref);
    // Its time runs from the first request: a later one to whoever has the lease next is another tenure's.
    if (after?.checkpointOwner !== undefined && before?.checkpointOwner === undefined && holder !== undefined)
      if (!this.#handoffs.has(holder)) this.#handoffs.set(holder, now);
    if (after === undefined) return;
    const shard = this.#shardOfRow(before, after);
    if (shard.checkpoint !== undefined && compareExtended(after.checkpoint, shard.checkpoint) < 0) {
      this.#fail(
        `the checkpoint of ${lease.leaseKey} moved back from ${formatExtended(shard.checkpoint)} to ${formatExtended(after.checkpoint)}`,
      );
    }
    if (before === undefined || compareExtended(after.checkpoint, before.checkpoint) !== 0)
      this.#checkCovered(shard, after);
    shard.checkpoint = after.checkpoint;
  }

  /** After each change of which leases exist or have ended: the others cover every hash key, once the first set is complete. */
  checkHashRange(leases: Iterable<Lease>): void {
    const rangesOf = new Map<string | undefined, HashKeyRange[]>();
    /** Streams that have leases of the stream before them. */
    const mixed = new Set<string | undefined>();
    for (const lease of leases) {
      if (this.mayBeFormers(lease)) mixed.add(lease.streamId);
      const ranges = rangesOf.get(lease.streamId) ?? [];
      rangesOf.set(lease.streamId, ranges);
      if (!isEnded(lease) && lease.hashKeyRange !== undefined) ranges.push(lease.hashKeyRange);
    }
    for (const [streamId, ranges] of rangesOf) {
      if (mixed.has(streamId)) continue;
      const holes = findHoles(ranges);
      if (holes.length === 0) this.#covered.add(streamId);
      else if (this.#covered.has(streamId)) {
        const shown = holes.map((hole) => `${hole.start}..${hole.end === MAX_HASH_KEY ? 'end' : hole.end}`).join(', ');
        this.#fail(`no unfinished lease of ${streamId ?? 'the stream'} covers ${shown}`);
      }
    }
  }

  // --- the end of a world ---

  /** Whether all that was put has been handled and every closed shard is at its end; one shard may be left out. */
  drained(except?: string): boolean {
    for (const [leaseKey, shard] of this.#shards) {
      if (leaseKey !== except && !isDone(shard)) return false;
    }
    return true;
  }

  checkDrained(now: number): void {
    if (this.drained()) return;
    const rest = [...this.#shards]
      .filter(([, shard]) => !isDone(shard))
      .map(
        ([id, shard]) =>
          `${id} (${shard.handledCount} of ${shard.records.length} handled, ${shard.open ? 'open' : 'closed'})`,
      );
    this.#fail(`not drained at ${now}: ${rest.join(', ')}`);
  }

  /** Whether every unfinished lease has a live owner, and no two workers differ by more than one or all are within the margin. */
  balanced(leases: Iterable<Lease>, workers: readonly string[], { countsEnded, marginPercent }: Balance): boolean {
    const counts = new Map(workers.map((worker) => [worker, 0]));
    for (const lease of leases) {
      if (isEnded(lease) && !countsEnded) continue;
      // A worker of the KCL 2.x that takes a lease out of a handoff leaves the former owner in the row, and knows nothing of it.
      const owner = countsEnded ? lease.leaseOwner : actualOwner(lease);
      if (owner === undefined || !counts.has(owner)) return false;
      if (!countsEnded && lease.checkpointOwner !== undefined) return false;
      counts.set(owner, (counts.get(owner) as number) + 1);
    }
    const [most, fewest] = [Math.max(...counts.values()), Math.min(...counts.values())];
    if (most - fewest <= 1) return true;
    const average = [...counts.values()].reduce((sum, count) => sum + count, 0) / counts.size;
    const furthest = Math.max(most - average, average - fewest);
    return 100 * furthest <= marginPercent * average;
  }

  checkBalanced(leases: Iterable<Lease>, workers: readonly string[], balance: Balance, now: number): void {
    const all = [...leases];
    if (this.balanced(all, workers, balance)) this.#balancedSince = now;
    else
      this.#fail(
        `not balanced at ${now}: ${all
          .filter((lease) => balance.countsEnded || !isEnded(lease))
          .map((lease) => `${lease.leaseKey}=${actualOwner(lease)}`)
          .join(', ')}`,
      );
  }

  /** Whether what its row says of the shard may be of that of a stream before. */
  mayBeFormers(lease: Lease): boolean {
    const shard = this.#shards.get(lease.leaseKey);
    if (shard?.gone === true) return !isEnded(lease);
    return shard?.isAgain === true && (shard.row !== 'own' || shard.leasedBy === 'oldRow');
  }

  /** From here on no lease may change hands. */
  leaseMoved(leaseKey: string, now: number): void {
    if (this.#balancedSince !== undefined)
      this.#fail(`${leaseKey} changed hands at ${now}, balanced since ${this.#balancedSince}`);
  }

  /** From here on it may again. */
  mayMove(): void {
    this.#balancedSince = undefined;
  }

  /** The shard whose lease a row is after a write: of a stream that was made again it may still be of the one before. */
  #shardOfRow(before: Lease | undefined, after: Lease): ShardHistory {
    const shard = this.#of(after.leaseKey);
    const { former, startsAt } = shard;
    if (!shard.isAgain) return shard;
    const { sequenceNumber } = after.checkpoint;
    const isNumber = typeof sequenceNumber === 'bigint';
    const hasBegun = sequenceNumber === 'TRIM_HORIZON' && before?.checkpoint.sequenceNumber !== 'TRIM_HORIZON';
    if (hasBegun) shard.leasedBy = before === undefined ? 'creation' : 'reset';
    if (shard.row === 'own') {
      // A finished lease does not show of which stream it is, and one that was cleaned up shows nothing: its records may come twice.
      if (hasBegun && (before === undefined ? shard.ended : isEnded(before))) shard.checkpoint = undefined;
      return shard;
    }
    const isOwn = isNumber ? sequenceNumber >= startsAt : hasBegun;
    if (isOwn && isNumber && shard.row === 'former')
      this.#fail(`${after.leaseKey} went on in a stream that was made again, from a place in the one before`);
    if (isOwn) shard.row = 'own';
    else if (isNumber) shard.row = 'former';
    // What was read to its end may be either: one that had nothing in it.
    else if (shard.row === 'either' && isEnded(after)) shard.ended = !shard.open && hasAllHandled(shard);
    return isOwn ? shard : (former ?? shard);
  }

  #checkCovered(shard: ShardHistory, lease: Lease): void {
    if (isEnded(lease)) {
      if (shard.gone) return;
      if (shard.open) this.#fail(`SHARD_END was written for the open shard ${lease.leaseKey}`);
      else if (!hasAllHandled(shard)) {
        this.#fail(
          `SHARD_END of ${lease.leaseKey} covers records that no handler finished (${shard.handledCount} of ${shard.records.length})`,
        );
      }
      shard.ended = true;
      return;
    }
    const first = shard.records[shard.handledCount];
    if (first !== undefined && compareExtended(asExtended(first), lease.checkpoint) <= 0) {
      this.#fail(
        `checkpoint ${formatExtended(lease.checkpoint)} of ${lease.leaseKey} covers ${formatExtended(asExtended(first))}, which no handler finished`,
      );
    }
  }

  #deliverInOrder(leaseKey: string, shard: ShardHistory, ref: TenureRef, batch: readonly Position[]): void {
    const { records } = shard;
    const place = this.#expected.get(ref);
    if (place === undefined) {
      this.#fail(`${leaseKey} was delivered by ${nameOf(ref)}, which never opened it`);
      return;
    }
    if (place.shard !== shard && place.byNumber) {
      this.#fail(`${nameOf(ref)} read ${leaseKey} of a stream that was made again, from a place in the one before`);
      return;
    }
    // A beginning is one in either.
    const expected = place.shard === shard ? place.index : 0;
    const first = batch[0];
    if (first === undefined) return;
    const index = indexOf(records, first);
    // The same batch again, after the handler threw, is no step back.
    if (index > expected) this.#fail(`${nameOf(ref)} skipped from record ${expected} to ${index} of ${leaseKey}`);
    else if (index + batch.length < expected)
      this.#fail(`${nameOf(ref)} went back from record ${expected} to ${index} of ${leaseKey}`);
    batch.forEach((position, offset) => {
      const there = records[index + offset];
      if (there === undefined || compareExtended(asExtended(there), asExtended(position)) !== 0) {
        this.#fail(`${nameOf(ref)} was given a batch of ${leaseKey} with a gap or out of order`);
      }
    });
    this.#expected.set(ref, { shard, index: Math.max(expected, index + batch.length), byNumber: true });
  }

  #runningOn(leaseKey: string): Map<TenureRef, Running> {
    const known = this.#running.get(leaseKey);
    if (known !== undefined) return known;
    const running = new Map<TenureRef, Running>();
    this.#running.set(leaseKey, running);
    return running;
  }

  /** @param number a place in it: of a stream that was made again the one that it is of */
  #of(leaseKey: string, number?: bigint | string): ShardHistory {
    const shard = this.#shards.get(leaseKey);
    if (shard === undefined) throw new Error(`the checkers were never told of ${leaseKey}`);
    const { former, startsAt } = shard;
    return former !== undefined && typeof number === 'bigint' && number < startsAt ? former : shard;
  }

  /** What another checker saw. */
  report(violation: string | undefined): void {
    if (violation !== undefined) this.#fail(violation);
  }

  #fail(text: string): void {
    this.violations.push(text);
    this.#options.onViolation();
  }
}

function hasAllHandled({ handledCount, records }: ShardHistory): boolean {
  return handledCount >= records.length;
}

function isDone(shard: ShardHistory): boolean {
  return shard.gone || (hasAllHandled(shard) && (shard.open || shard.ended));
}

function nameOf({ process, tenure }: TenureRef): string {
  return `process ${process} tenure ${tenure}`;
}

function asExtended(position: Position): ExtendedSequenceNumber {
  return position as ExtendedSequenceNumber;
}

/** Positions are sorted. */
function indexOf(records: readonly Position[], position: Position): number {
  let low = 0;
  let high = records.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareExtended(asExtended(records[middle] as Position), asExtended(position)) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
