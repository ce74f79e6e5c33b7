// Keeps what the workers of one application said of their tenures, and holds it against what the stream has. Stands outside of the
// consumer and knows what any application knows: where a tenure began, what its handler finished and when, how it ended. Pure.
// Invariant: what is said is judged whatever order it comes in, since each worker has a pipe of its own: tenures of a lease are put in
// order by their fencing tokens, moments by the machine's one monotonic clock.
import { type Explanation, nameOf, type TenureName } from './tenure-name.ts';
import type { WindowAudit, WindowLedger } from './window-ledger.ts';
import type { Place, Written, WrittenShard } from './written-records.ts';

/** Where reading begins: right behind it. The KCL's words for the beginning of the shard. */
export type Beginning = Place | 'TRIM_HORIZON';

/** User records that a handler finished in one call. */
export interface Finished extends TenureName {
  readonly fromMs: number;
  readonly toMs: number;
  readonly records: readonly (Place & { readonly number: number })[];
  /** Of the tumbling window that the call was about, ms since 1970. */
  readonly windowStart?: number | undefined;
}

export interface Audit {
  /** In the stream. */
  readonly records: number;
  /** Of those, how many some handler finished. */
  readonly handled: number;
  readonly skipped: number;
  /** Handled again, each time counted, and why. */
  readonly duplicates: number;
  readonly explained: Readonly<Record<Explanation, number>>;
  readonly tenures: number;
  /** Sentences, the first hundred. */
  readonly violations: readonly string[];
  readonly violationCount: number;
  /** Undefined: the handlers have none. */
  readonly windows: WindowAudit | undefined;
}

interface Tenure extends TenureName {
  /** Index of the first record to come; undefined: not said, or unknown. */
  readonly beginsAt: number | undefined;
  nextIndex: number | undefined;
  firstFromMs: number;
  lastToMs: number;
  isLost: boolean;
  /** Indexes, by the later tenure that handled them again. */
  readonly handledAgain: Map<Tenure, number[]>;
}

interface HandledShard {
  readonly tenures: Map<number, Tenure>;
  /** By index: the last tenure that finished it, the smallest token of those, and when it was first finished. */
  readonly lastTenure: (Tenure | undefined)[];
  readonly leastToken: (number | undefined)[];
  readonly firstFinishedMs: number[];
  handledCount: number;
  firstFromMs: number;
  endedMs: number | undefined;
}

const MOST_SENTENCES = 100;

export class HandledLedger {
  readonly #written: Written;
  readonly #windows: WindowLedger | undefined;
  readonly #shards = new Map<string, HandledShard>();
  readonly #ends = new Map<string, 'killed' | 'paused'>();
  readonly #violations: string[] = [];
  #violationCount = 0;
  #duplicates = 0;

  /** @param windows of handlers that have tumbling windows; what is said of these goes there. */
  constructor(written: Written, windows?: WindowLedger) {
    this.#written = written;
    this.#windows = windows;
  }

  /** A tenure's first word. */
  begun({ worker, shardId, fencingToken }: TenureName, beginning: Beginning): void {
    const { tenures } = this.#shardOf(shardId);
    const before = beginning === 'TRIM_HORIZON' ? -1 : this.#written.indexOf(shardId, beginning);
    const name = { worker, shardId, fencingToken };
    const other = tenures.get(fencingToken);
    if (other !== undefined) {
      // A beginning that threw, or whose answer came late, is told once more.
      if (other.worker !== worker) this.#violate(`${nameOf(name)} has the token of ${nameOf(other)}`);
      return;
    }
    if (before === undefined) this.#violate(`${nameOf(name)} begins behind a record that is not in the stream`);
    const beginsAt = before === undefined ? undefined : before + 1;
    tenures.set(fencingToken, {
      ...name,
      beginsAt,
      nextIndex: beginsAt,
      firstFromMs: Number.POSITIVE_INFINITY,
      lastToMs: Number.NEGATIVE_INFINITY,
      isLost: false,
      handledAgain: new Map(),
    });
  }

  /** The written records must be up to date. */
  finished({ fromMs, toMs, records, windowStart, ...name }: Finished): void {
    const shard = this.#shardOf(name.shardId);
    const tenure = shard.tenures.get(name.fencingToken);
    if (tenure === undefined || tenure.worker !== name.worker) {
      this.#violate(`${nameOf(name)} handled records without having begun`);
      return;
    }
    shard.firstFromMs = Math.min(shard.firstFromMs, fromMs);
    tenure.firstFromMs = Math.min(tenure.firstFromMs, fromMs);
    tenure.lastToMs = Math.max(tenure.lastToMs, toMs);
    const numbers = this.#written.shard(name.shardId)?.numbers ?? [];
    for (const record of records) {
      const index = this.#written.indexOf(name.shardId, record);
      if (index === undefined || numbers[index] !== record.number) {
        this.#violate(`${nameOf(tenure)} handled a record that is not in the stream: ${placeOf(record)}`);
        continue;
      }
      if (tenure.nextIndex !== undefined && index !== tenure.nextIndex) {
        const expected = `expected record ${tenure.nextIndex} of the shard next, got ${index}`;
        this.#violate(`${nameOf(tenure)} is out of order or has a gap: ${expected} (${placeOf(record)})`);
      }
      if (windowStart !== this.#windows?.startOf(name.shardId, index))
        this.#violate(`${nameOf(tenure)} handled ${placeOf(record)} in a window that it did not arrive in`);
      tenure.nextIndex = index + 1;
      this.#finish(shard, index, tenure, toMs);
    }
  }

  /** The lease was lost: not handed over, not ended. */
  lost(name: TenureName): void {
    const tenure = this.#shardOf(name.shardId).tenures.get(name.fencingToken);
    if (tenure !== undefined) tenure.isLost = true;
  }

  /** The handler was told that the shard is over. */
  ended(name: TenureName, atMs: number): void {
    const shard = this.#shardOf(name.shardId);
    const written = this.#written.shard(name.shardId);
    if (written === undefined || !written.isClosed || shard.handledCount < written.numbers.length) {
      const of = `${shard.handledCount} of ${written?.numbers.length ?? 0} records handled`;
      this.#violate(`${nameOf(name)} was told of the shard's end with ${of}${written?.isClosed ? '' : ', still open'}`);
    }
    shard.endedMs = Math.min(shard.endedMs ?? Number.POSITIVE_INFINITY, atMs);
  }

  /** Whatever its leases do from here on, the process was killed, or suspended for a while. */
  explain(worker: string, explanation: 'killed' | 'paused'): void {
    if (this.#ends.get(worker) !== 'killed') this.#ends.set(worker, explanation);
  }

  get duplicates(): number {
    return this.#duplicates;
  }

  /** Distinct ones. */
  get handled(): number {
    return [...this.#shards.values()].reduce((sum, { handledCount }) => sum + handledCount, 0);
  }

  /** Everything is handled, every closed shard told as ended, and every window. */
  get isDrained(): boolean {
    if (this.#windows?.isDrained === false) return false;
    return this.#written.shards.every(({ id, isClosed, numbers }) => {
      const shard = this.#shards.get(id);
      return (shard?.handledCount ?? 0) === numbers.length && (!isClosed || shard?.endedMs !== undefined);
    });
  }

  /** To be called once, when nothing more is said. */
  audit(): Audit {
    const explained = { killed: 0, paused: 0, lost: 0, window: 0 };
    let records = 0;
    let tenureCount = 0;
    for (const written of this.#written.shards) {
      records += written.numbers.length;
      const shard = this.#shardOf(written.id);
      const missing = written.numbers.length - shard.handledCount;
      if (missing > 0)
        this.#violate(`${missing} of ${written.numbers.length} records of ${written.id} were never handled`);
      if (written.isClosed && shard.endedMs === undefined) this.#violate(`nobody was told of the end of ${written.id}`);
      this.#judgeFamily(written, shard);
      const tenures = [...shard.tenures.values()].sort((a, b) => a.fencingToken - b.fencingToken);
      tenureCount += tenures.length;
      this.#judgeBeginnings(shard, tenures);
      this.#judgeOverlaps(tenures);
      for (const tenure of tenures) this.#explainRepeats(tenure, explained);
    }
    const windows = this.#windows?.audit(
      (name) => {
        const tenure = this.#shardOf(name.shardId).tenures.get(name.fencingToken);
        return tenure === undefined ? undefined : this.#explanationOf(tenure);
      },
      (shardId) => this.#shardOf(shardId).endedMs,
    );
    for (const violation of windows?.violations ?? []) this.#violate(violation);
    return {
      records,
      handled: this.handled,
      skipped: records - this.handled,
      duplicates: this.#duplicates,
      explained,
      tenures: tenureCount,
      violations: this.#violations,
      violationCount: this.#violationCount,
      windows,
    };
  }

  #finish(shard: HandledShard, index: number, tenure: Tenure, atMs: number): void {
    const before = shard.lastTenure[index];
    if (before === undefined) shard.handledCount++;
    else {
      this.#duplicates++;
      const [earlier, later] = before.fencingToken <= tenure.fencingToken ? [before, tenure] : [tenure, before];
      const again = earlier.handledAgain.get(later);
      if (again === undefined) earlier.handledAgain.set(later, [index]);
      else again.push(index);
    }
    shard.lastTenure[index] = tenure;
    shard.leastToken[index] = Math.min(shard.leastToken[index] ?? tenure.fencingToken, tenure.fencingToken);
    shard.firstFinishedMs[index] = Math.min(shard.firstFinishedMs[index] ?? atMs, atMs);
  }

  /** Nothing of a child is handled before all of its parents is. */
  #judgeFamily({ id, parentIds }: WrittenShard, { firstFromMs }: HandledShard): void {
    for (const parentId of parentIds) {
      const parent = this.#shardOf(parentId);
      const finishedMs = parent.firstFinishedMs.reduce((latest, atMs) => Math.max(latest, atMs), -Infinity);
      if (firstFromMs < Math.max(finishedMs, parent.endedMs ?? -Infinity)) {
        this.#violate(`${id} was begun before its parent ${parentId} was finished`);
      }
    }
  }

  /** What lies before a tenure's beginning was finished by tenures before it: no checkpoint is ahead of the handlers. */
  #judgeBeginnings({ leastToken }: HandledShard, tenures: readonly Tenure[]): void {
    const greatest: number[] = [];
    for (const tenure of tenures) {
      const count = tenure.beginsAt ?? 0;
      for (let index = greatest.length; index < count; index++) {
        greatest.push(Math.max(greatest[index - 1] ?? -Infinity, leastToken[index] ?? Infinity));
      }
      if (count > 0 && (greatest[count - 1] ?? Infinity) >= tenure.fencingToken) {
        this.#violate(`${nameOf(tenure)} begins behind ${count} records that were not all handled before`);
      }
      const start = count === 0 ? undefined : this.#windows?.startOf(tenure.shardId, count - 1);
      if (start !== undefined && start === this.#windows?.startOf(tenure.shardId, count))
        this.#violate(`${nameOf(tenure)} begins in the midst of a window, behind ${count} records`);
    }
  }

  /** Two handlers on one shard at once: only where the earlier process was killed or suspended, or had lost its lease. */
  #judgeOverlaps(tenures: readonly Tenure[]): void {
    let latest: Tenure | undefined;
    for (const tenure of tenures) {
      if (latest !== undefined && latest.lastToMs > tenure.firstFromMs) {
        this.#violate(`${nameOf(latest)} still ran beside ${nameOf(tenure)}`);
      }
      if (this.#explanationOf(tenure) !== undefined) continue;
      if (latest === undefined || tenure.lastToMs > latest.lastToMs) latest = tenure;
    }
  }

  #explainRepeats(tenure: Tenure, explained: Record<Explanation, number>): void {
    for (const [later, again] of tenure.handledAgain) {
      const explanation = later === tenure ? undefined : this.#explanationOf(tenure);
      if (explanation !== undefined) {
        explained[explanation] += again.length;
        continue;
      }
      const isOpen = (index: number): boolean => later !== tenure && this.#windows?.hasEnded(tenure, index) === false;
      const count = again.filter((index) => !isOpen(index)).length;
      explained.window += again.length - count;
      if (count > 0)
        this.#violate(
          `${nameOf(later)} handled ${count} records again of ${nameOf(tenure)}, which ended in good order`,
        );
    }
  }

  #explanationOf({ worker, isLost }: Tenure): Exclude<Explanation, 'window'> | undefined {
    return this.#ends.get(worker) ?? (isLost ? 'lost' : undefined);
  }

  #shardOf(shardId: string): HandledShard {
    let shard = this.#shards.get(shardId);
    if (shard === undefined) {
      shard = {
        tenures: new Map(),
        lastTenure: [],
        leastToken: [],
        firstFinishedMs: [],
        handledCount: 0,
        firstFromMs: Number.POSITIVE_INFINITY,
        endedMs: undefined,
      };
      this.#shards.set(shardId, shard);
    }
    return shard;
  }

  #violate(sentence: string): void {
    this.#violationCount++;
    if (this.#violations.length < MOST_SENTENCES) this.#violations.push(sentence);
  }
}

function placeOf({ sequenceNumber, subSequenceNumber }: Place): string {
  return `${sequenceNumber}:${subSequenceNumber}`;
}
