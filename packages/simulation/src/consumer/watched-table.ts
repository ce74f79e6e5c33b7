// The lease table of a simulated world, watched: an effect is run on it as its fleet would write it, and the checkers are shown
// what that changed.
import type { TableEffect } from '../../../consumer/dist/coordination/effects.js';
import { isEnded, type Lease } from '../../../consumer/dist/coordination/lease.js';
import type { LeaderWrite } from '../../../consumer/dist/coordination/results.js';
import { MemoryLeaseTable } from '../../../consumer/dist/lease-table/memory.js';
import { FoundFirst } from './found-first.ts';
import { takenBy2x } from './kcl-2x-worker.ts';
import { LeaderPaceChecker } from './leader-pace.ts';
import { MetricRowChecker } from './metric-rows.ts';
import { asOlderFleet, RowChecker } from './older-rows.ts';
import type { SimulatedProcess } from './process.ts';
import { SeenAlive } from './seen-alive.ts';
import { SilenceChecker } from './silence-told.ts';
import { describeWrite } from './transcript.ts';
import { findingMsOf } from './worker-options.ts';
import type { World } from './world.ts';

export class WatchedTable {
  readonly table: MemoryLeaseTable;
  readonly leaderPace: LeaderPaceChecker = new LeaderPaceChecker();
  readonly silence: SilenceChecker = new SilenceChecker();
  readonly foundFirst: FoundFirst;
  readonly seenAlive: SeenAlive = new SeenAlive();
  /** How often an unfinished lease changed hands. */
  moveCount = 0;
  readonly #world: World;
  /** Rows are written as the KCL 1.x writes them. */
  readonly #isOlder: boolean;
  readonly #rows: RowChecker;
  readonly #metricRows = new MetricRowChecker();
  /** While a metric row is written: it says when its worker wrote it, not when it lands. */
  #sentAt: number | undefined;

  constructor(world: World, isOlder: boolean) {
    const { queue } = world;
    this.#world = world;
    this.#isOlder = isOlder;
    this.foundFirst = new FoundFirst(findingMsOf(world.plan));
    this.#rows = new RowChecker((streamId) => world.streamOf(streamId).listShards('all', queue.now));
    this.table = new MemoryLeaseTable({ wallNow: () => this.#sentAt ?? queue.now });
  }

  /** Those of an older fleet have all that ours fill in. */
  get areRowsFilledIn(): boolean {
    return !this.#isOlder || this.lacking().length === 0;
  }

  /** Leases that lack something of what ours fill in. */
  lacking(): string[] {
    return this.#rows.lacking(this.table.leases.values());
  }

  /** Runs one effect on the table and shows the checkers what changed. */
  apply(process: SimulatedProcess, asked: TableEffect, sentAt: number): unknown {
    const { table } = this;
    const { queue, bug, checkers, transcript, ending, mixed, twins, replays, handOffs } = this.#world;
    this.#sentAt = asked.kind === 'reportWorker' ? sentAt : undefined;
    const effect = this.#isOlder ? asOlderFleet(asked) : asked;
    const key =
      'leaseKey' in effect ? (effect.kind === 'createLease' ? effect.lease.leaseKey : effect.leaseKey) : undefined;
    const before = key === undefined ? undefined : table.leases.get(key);
    const result =
      bug?.apply === undefined || process.is2x
        ? this.#run(effect)
        : bug.apply(effect, this.#world, process.workerId, (toRun) => this.#run(toRun));
    let after = key === undefined ? undefined : table.leases.get(key);
    if (
      process.is2x &&
      effect.kind === 'takeLease' &&
      before !== undefined &&
      after !== undefined &&
      after !== before
    ) {
      after = takenBy2x(before, after);
      table.leases.set(after.leaseKey, after);
    }
    if (effect.kind === 'writeLeader' && (result as LeaderWrite).applied)
      this.leaderPace.heartbeat(process.id, sentAt, table.leader?.leaseDurationMs ?? 0);
    checkers.report(this.#metricRows.judge(effect, result, queue.now, sentAt));
    handOffs?.read(asked, table);
    twins?.ran(effect, result, queue.now, sentAt);
    ending?.ran?.(process, effect, result);
    checkers.report(mixed?.judge(effect, queue.now, table.clientVersion));
    transcript?.does(process, describeWrite(effect, result, before, after));
    if (after !== before) this.#changed(process, effect, before, after);
    else if (effect.kind === 'checkpointLease' && after !== undefined) replays?.refused(process, after);
    return result;
  }

  #run(effect: TableEffect): unknown {
    const row = this.#world.ending?.row;
    return row === undefined ? this.table.apply(effect) : row.run(this.table, effect);
  }

  #changed(process: SimulatedProcess, effect: TableEffect, before: Lease | undefined, after: Lease | undefined): void {
    const { kind } = effect;
    const { queue, checkers, sink, returned, replays, handOffs } = this.#world;
    handOffs?.changed(before, after);
    returned?.changed((after ?? before)?.leaseKey ?? '');
    this.silence.changed(before, after, queue.now);
    this.foundFirst.changed(before, after, queue.now);
    if (kind === 'takeLease' || kind === 'resetLease') checkers.leaseTaken(effect.leaseKey, queue.now);
    // A holder that assigns its lease to itself takes back what it has told its heir.
    const isKept = kind === 'assignLease' && effect.newOwner === process.workerId && effect.tenure !== undefined;
    const isHolders = kind === 'renewLease' || kind === 'checkpointLease' || isKept;
    const ref = isHolders ? process.refOf(effect.tenure as number) : undefined;
    if (!isKept && (kind === 'assignLease' || kind === 'evictLease') && effect.tenure !== undefined)
      checkers.released(effect.leaseKey, process.refOf(effect.tenure), queue.now);
    if (ref !== undefined && before !== undefined && after !== undefined && replays?.rewinds(process, before, after))
      checkers.rewound(after);
    checkers.tableChanged(before, after, ref, queue.now);
    sink.rowChanged(before, after, ref);
    if (after !== undefined) checkers.twoPhase.rowChanged(kind, before, after, ref);
    if (
      before?.leaseOwner !== after?.leaseOwner &&
      before !== undefined &&
      after !== undefined &&
      after.checkpoint.sequenceNumber !== 'SHARD_END'
    ) {
      this.moveCount += 1;
      checkers.report(checkers.balance.moved(after.leaseKey, queue.now));
    }
    if (before === undefined || after === undefined || isEnded(before) !== isEnded(after)) {
      const leases = this.table.leases.values();
      checkers.checkHashRange(this.#isOlder ? this.#rows.withRanges(leases) : leases);
    }
    checkers.report(this.#rows.changed(before, after, checkers.mayBeFormers((after ?? before) as Lease)));
  }
}
