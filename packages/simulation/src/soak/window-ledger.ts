// Keeps what the workers of one application said of their tumbling windows, and holds it against the arrival times in the stream: each record
// counts in exactly the window it arrived in, and each window of a shard is ended with all of its records. Stands outside of the consumer, beside the
// ledger of tenures (handled-ledger.ts), which asks it what may come again. Pure.
// Invariant: as there, what is said is judged whatever order the workers' pipes bring it in: nothing is compared before `audit` that more
// words could change.
import { type Explanation, nameOf, type TenureName } from './tenure-name.ts';
import type { Written, WrittenShard } from './written-records.ts';

/** The last call of a window, told before it returned: what its state held. */
export interface EndedWindow extends TenureName {
  /** Of the window, ms since 1970. */
  readonly start: number;
  readonly count: number;
  /** Of the numbers in the records' data. */
  readonly sum: number;
  readonly atMs: number;
}

export interface WindowAudit {
  readonly lengthMs: number;
  /** Of the stream: those that have records, by shard and beginning. */
  readonly windows: number;
  /** Of those, how many some last call told of with the right count and sum, and with no other. */
  readonly ended: number;
  /** Told of again, each time counted, and why. */
  readonly again: number;
  readonly explained: Readonly<Record<Exclude<Explanation, 'window'>, number>>;
  readonly violations: readonly string[];
}

interface Total {
  count: number;
  sum: number;
}

interface ShardWindows {
  /** By the window's beginning, of the stream. */
  readonly truth: Map<number, Total>;
  /** Of how many records that is. */
  counted: number;
  readonly ends: Map<number, EndedWindow[]>;
}

export class WindowLedger {
  readonly lengthMs: number;
  readonly #written: Written;
  readonly #shards = new Map<string, ShardWindows>();

  constructor(written: Written, lengthMs: number) {
    this.#written = written;
    this.lengthMs = lengthMs;
  }

  ended(window: EndedWindow): void {
    const { ends } = this.#shardOf(window.shardId);
    const told = ends.get(window.start);
    if (told === undefined) ends.set(window.start, [window]);
    else told.push(window);
  }

  /** In which window a record of a shard arrived; undefined: there is no such record. */
  startOf(shardId: string, index: number): number | undefined {
    const arrivedMs = this.#written.shard(shardId)?.arrivals[index];
    return arrivedMs === undefined ? undefined : Math.floor(arrivedMs / this.lengthMs) * this.lengthMs;
  }

  /** Whether this tenure has ended the window that a record arrived in: else the next one begins it anew. */
  hasEnded({ worker, shardId, fencingToken }: TenureName, index: number): boolean {
    const start = this.startOf(shardId, index);
    const told = start === undefined ? undefined : this.#shards.get(shardId)?.ends.get(start);
    return told?.some((end) => end.worker === worker && end.fencingToken === fencingToken) === true;
  }

  /** Each window that has records was ended. */
  get isDrained(): boolean {
    return this.#written.shards.every((written) => {
      const { truth, ends } = this.#counted(written);
      return [...truth.keys()].every((start) => ends.has(start));
    });
  }

  /**
   * To be called once, when nothing more is said.
   * @param explanationOf why what a tenure did may be done again; undefined: it must not be.
   * @param endedMs when the first handler was told of a shard's end.
   */
  audit(
    explanationOf: (tenure: TenureName) => Exclude<Explanation, 'window'> | undefined,
    endedMs: (shardId: string) => number | undefined,
  ): WindowAudit {
    const violations: string[] = [];
    const explained = { killed: 0, paused: 0, lost: 0 };
    let windows = 0;
    let ended = 0;
    let again = 0;
    for (const written of this.#written.shards) {
      const { truth, ends } = this.#counted(written);
      windows += truth.size;
      for (const [start, total] of truth) {
        const told = [...(ends.get(start) ?? [])].sort((a, b) => a.fencingToken - b.fencingToken || a.atMs - b.atMs);
        const name = `the window ${timeOf(start)} of ${written.id}`;
        if (told.length === 0) violations.push(`${name} with ${total.count} records was never ended`);
        const wrong = told.filter(({ count, sum }) => count !== total.count || sum !== total.sum);
        for (const { count, sum, ...tenure } of wrong)
          violations.push(
            `${nameOf(tenure)} ended ${name} with ${count} records of sum ${sum}: expected ${total.count} of ${total.sum}`,
          );
        if (told.length > 0 && wrong.length === 0) ended += 1;
        again += Math.max(0, told.length - 1);
        for (const [at, later] of told.slice(1).entries()) {
          const earlier = told[at] as EndedWindow;
          const isSame = earlier.worker === later.worker && earlier.fencingToken === later.fencingToken;
          const explanation = isSame ? undefined : explanationOf(earlier);
          if (explanation !== undefined) explained[explanation] += 1;
          else violations.push(`${nameOf(later)} ended ${name} again, which ${nameOf(earlier)} had ended`);
        }
        const firstMs = Math.min(...told.map(({ atMs }) => atMs));
        if (firstMs > (endedMs(written.id) ?? Number.POSITIVE_INFINITY))
          violations.push(`${name} was ended after the shard's end was told`);
      }
      for (const [start, [tenure]] of ends)
        if (!truth.has(start) && tenure !== undefined)
          violations.push(`${nameOf(tenure)} ended a window of ${written.id} without records: ${timeOf(start)}`);
    }
    return { lengthMs: this.lengthMs, windows, ended, again, explained, violations };
  }

  /** With what has been written since the last time. */
  #counted({ id, numbers }: WrittenShard): ShardWindows {
    const shard = this.#shardOf(id);
    for (; shard.counted < numbers.length; shard.counted++) {
      const start = this.startOf(id, shard.counted) as number;
      const total = shard.truth.get(start);
      const number = numbers[shard.counted] as number;
      if (total === undefined) shard.truth.set(start, { count: 1, sum: number });
      else {
        total.count += 1;
        total.sum += number;
      }
    }
    return shard;
  }

  #shardOf(shardId: string): ShardWindows {
    let shard = this.#shards.get(shardId);
    if (shard === undefined) {
      shard = { truth: new Map(), counted: 0, ends: new Map() };
      this.#shards.set(shardId, shard);
    }
    return shard;
  }
}

function timeOf(start: number): string {
  return new Date(start).toISOString().slice(11, 23);
}
