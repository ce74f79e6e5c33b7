// The consumer's checkers. They watch the world from outside, keep a history of their own and ask the code nothing: a rule that
// the code believes it keeps is judged by what happened to the table, the handlers and the stream. This file has what is
// delivered, in which order; what checkpoints may say is in shard-history.ts, who may deliver in one-handler.ts, who holds how
// many leases in balance.ts.
import {
  compareExtended,
  type ExtendedSequenceNumber,
  findHoles,
  type HashKeyRange,
  MAX_HASH_KEY,
} from '@shardline/common';
import { isEnded, type Lease } from '../../../consumer/dist/coordination/lease.js';
import { BalanceChecker } from './balance.ts';
import { nameOf, OneHandlerChecker, type OneHandlerOptions, type TenureRef } from './one-handler.ts';
import { asExtended, type MadeAgain, type Position, ShardHistory } from './shard-history.ts';
import { TwoPhaseChecker } from './two-phase.ts';

/** The next record of a tenure. */
interface Expected {
  /** In which of two streams of the same name the tenure began. */
  readonly began: ShardHistory;
  readonly shard: ShardHistory;
  readonly index: number;
  /** By the number of a record before it. */
  readonly byNumber: boolean;
}

export interface ConsumerCheckersOptions extends OneHandlerOptions {
  /** Called at each violation: what comes after the first one proves nothing. */
  readonly onViolation: () => void;
}

export class ConsumerCheckers {
  readonly violations: string[] = [];
  readonly twoPhase: TwoPhaseChecker = new TwoPhaseChecker((text) => this.report(text));
  readonly balance: BalanceChecker = new BalanceChecker();
  readonly #handlers: OneHandlerChecker;
  readonly #onViolation: () => void;
  readonly #shards = new Map<string, ShardHistory>();
  readonly #expected = new Map<TenureRef, Expected>();
  /** What a tenure left out that began at LATEST anew. */
  readonly #skipped = new Map<TenureRef, string>();
  /** The streams whose first set of leases was complete once. */
  readonly #covered = new Set<string | undefined>();

  constructor({ onViolation, ...options }: ConsumerCheckersOptions) {
    this.#onViolation = onViolation;
    this.#handlers = new OneHandlerChecker(options);
  }

  // --- the stream ---

  shardOpened(leaseKey: string, parents: readonly string[], again?: MadeAgain): void {
    this.#shards.set(leaseKey, new ShardHistory(parents, again, this.#shards.get(leaseKey)));
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

  /** All that were put into a shard. */
  recordsOf(leaseKey: string): readonly Position[] {
    return this.#of(leaseKey).records;
  }

  /** Its checkpoint is about to go back, because somebody asked for that: what is behind it is to be handled again. */
  rewound({ leaseKey, checkpoint }: Lease): void {
    this.#of(leaseKey, checkpoint.sequenceNumber).rewound(checkpoint);
  }

  /** For people: the record's number in its shard, or the sentinel that stands in its place. */
  placeOf(leaseKey: string, { sequenceNumber, subSequenceNumber }: Position): string {
    if (typeof sequenceNumber !== 'bigint') return sequenceNumber;
    const shard = this.#of(leaseKey, sequenceNumber);
    return `record ${shard.indexOf({ sequenceNumber, subSequenceNumber }) + 1} of ${shard.records.length}`;
  }

  /** A record's place among all that were put into its shard. */
  indexOf(leaseKey: string, position: Position): number {
    return this.#of(leaseKey, position.sequenceNumber).indexOf(position);
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
    this.#expected.set(ref, { began: shard, shard, index: next === -1 ? records.length : next, byNumber });
  }

  /**
   * A tenure began to read at LATEST, and `first` would be its first record. Where the first one began is what LATEST means: what was
   * put before that is nobody's, and no later tenure may begin after it. One that lost its lease before its first read was answered may
   * read where it likes: it must not deliver.
   */
  latestBegan(leaseKey: string, ref: TenureRef, first: Position | undefined): void {
    const shard = this.#of(leaseKey);
    const index = first === undefined ? shard.records.length : shard.indexOf(first);
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
    const began = this.#expected.get(ref)?.began ?? shard;
    this.#expected.set(ref, { began, shard, index, byNumber: false });
  }

  deliveryStarted(leaseKey: string, ref: TenureRef, batch: readonly Position[], now: number): void {
    const shard = this.#of(leaseKey, batch[0]?.sequenceNumber);
    const skipped = this.#skipped.get(ref);
    if (skipped !== undefined && this.#skipped.delete(ref)) this.report(skipped);
    for (const parent of shard.gone ? [] : shard.parents) {
      const parentHistory = this.#shards.get(parent);
      // Before anybody knows of another stream a row that stands at its beginning is read, and the end in one is taken for its shard's;
      // and a tenure from before that has not learned yet that its lease begins anew reads on.
      const isUnknown =
        shard.leasedBy === 'oldRow' ||
        (shard.leasedBy === 'creation' && parentHistory?.row === 'former') ||
        (shard.isAgain && shard.isFormer(this.#expected.get(ref)?.began));
      if (parentHistory === undefined || parentHistory.ended) continue;
      shard.isAheadUnknown ||= isUnknown;
      if (!shard.isAheadUnknown) {
        this.report(`${leaseKey} was delivered before its parent ${parent} was at SHARD_END`);
      }
    }
    this.#deliverInOrder(leaseKey, shard, ref, batch);
    this.twoPhase.delivers(leaseKey, ref, now);
    for (const violation of this.#handlers.started(leaseKey, ref, now)) this.report(violation);
  }

  deliveryEnded(leaseKey: string, ref: TenureRef, batch: readonly Position[], handled: boolean): void {
    this.#handlers.ended(leaseKey, ref);
    if (handled) this.handled(leaseKey, batch);
  }

  /** Its holder gave the lease away. */
  released(leaseKey: string, ref: TenureRef, now: number): void {
    this.report(this.#handlers.released(leaseKey, ref, now));
  }

  /** A handler has finished these, and may say so before it returns. */
  handled(leaseKey: string, batch: readonly Position[]): void {
    this.#of(leaseKey, batch[0]?.sequenceNumber).handled(batch);
  }

  processDied(process: number): void {
    this.#handlers.processDied(process);
  }

  // --- the table ---

  /** By a worker, from whomever, or by its leader, to have it begin anew. */
  leaseTaken(leaseKey: string, now: number): void {
    this.#handlers.taken(leaseKey, now);
  }

  /** A write was applied; `ref` is the tenure that made it, if a holder did. */
  tableChanged(before: Lease | undefined, after: Lease | undefined, ref: TenureRef | undefined, now: number): void {
    const leaseKey = (after ?? before)?.leaseKey;
    if (leaseKey === undefined) return;
    const shard = this.#shards.get(leaseKey);
    if (shard === undefined) {
      this.report(`there is a lease ${leaseKey} and no such shard`);
      return;
    }
    this.#handlers.rowChanged(before, after, ref, now);
    if (after === undefined) return;
    for (const violation of shard.rowChanged(before, after)) this.report(violation);
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
        this.report(`no unfinished lease of ${streamId ?? 'the stream'} covers ${shown}`);
      }
    }
  }

  // --- the end of a world ---

  /** Whether all that was put has been handled and every closed shard is at its end; one shard may be left out. */
  drained(except?: string): boolean {
    for (const [leaseKey, shard] of this.#shards) {
      if (leaseKey !== except && !shard.isDone) return false;
    }
    return true;
  }

  checkDrained(now: number): void {
    if (this.drained()) return;
    const rest = [...this.#shards]
      .filter(([, shard]) => !shard.isDone)
      .map(
        ([id, shard]) =>
          `${id} (${shard.handledCount} of ${shard.records.length} handled, ${shard.open ? 'open' : 'closed'})`,
      );
    this.report(`not drained at ${now}: ${rest.join(', ')}`);
  }

  /** Whether what its row says of the shard may be of that of a stream before. */
  mayBeFormers(lease: Lease): boolean {
    const shard = this.#shards.get(lease.leaseKey);
    if (shard?.gone === true) return !isEnded(lease);
    return shard?.isAgain === true && (shard.row !== 'own' || shard.leasedBy === 'oldRow');
  }

  #deliverInOrder(leaseKey: string, shard: ShardHistory, ref: TenureRef, batch: readonly Position[]): void {
    const { records } = shard;
    const place = this.#expected.get(ref);
    if (place === undefined) {
      this.report(`${leaseKey} was delivered by ${nameOf(ref)}, which never opened it`);
      return;
    }
    if (place.shard !== shard && place.byNumber) {
      this.report(`${nameOf(ref)} read ${leaseKey} of a stream that was made again, from a place in the one before`);
      return;
    }
    // A beginning is one in either.
    const expected = place.shard === shard ? place.index : 0;
    const first = batch[0];
    if (first === undefined) return;
    const index = shard.indexOf(first);
    // The same batch again, after the handler threw, is no step back.
    if (index > expected) this.report(`${nameOf(ref)} skipped from record ${expected} to ${index} of ${leaseKey}`);
    else if (index + batch.length < expected)
      this.report(`${nameOf(ref)} went back from record ${expected} to ${index} of ${leaseKey}`);
    batch.forEach((position, offset) => {
      const there = records[index + offset];
      if (there === undefined || compareExtended(asExtended(there), asExtended(position)) !== 0) {
        this.report(`${nameOf(ref)} was given a batch of ${leaseKey} with a gap or out of order`);
      }
    });
    const { began } = place;
    this.#expected.set(ref, { began, shard, index: Math.max(expected, index + batch.length), byNumber: true });
  }

  /** @param number a place in it: of a stream that was made again the one that it is of */
  #of(leaseKey: string, number?: bigint | string): ShardHistory {
    const shard = this.#shards.get(leaseKey);
    if (shard === undefined) throw new Error(`the checkers were never told of ${leaseKey}`);
    return shard.at(number);
  }

  /** What is wrong, if anything; also what another checker saw. */
  report(violation: string | undefined): void {
    if (violation === undefined) return;
    this.violations.push(violation);
    this.#onViolation();
  }
}
