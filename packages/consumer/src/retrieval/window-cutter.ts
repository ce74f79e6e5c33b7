// Which tumbling window each record of a shard is of, and whether one is open after it: by the time at which it arrived in the stream, in
// windows that begin at whole lengths since 1970, as Lambda's do. Pure; one cutter a tenure, which sees each record once, in order.
// Invariants: windows never go back: a record that arrived before the open one began (arrival times of a shard are nearly in order, not quite) is
// of the open one; a window is open only from a record that the filter lets pass on.
import type { UserRecord } from '../handler.ts';

/** Records that follow each other and are of one window. */
export interface WindowRun {
  /** Of the window, ms since 1970. */
  readonly start: number;
  /** Its records reach up to, not including, this place of the batch. */
  readonly to: number;
  /** One of them passes the filter. */
  readonly passes: boolean;
}

export class WindowCutter {
  readonly #lengthMs: number;
  /** Of the last record's window. */
  #start = Number.NEGATIVE_INFINITY;
  #isOpen = false;

  constructor(lengthMs: number) {
    this.#lengthMs = lengthMs;
  }

  /** When the open window is over; undefined: none is open. */
  get endsAt(): number | undefined {
    return this.#isOpen ? this.#start + this.#lengthMs : undefined;
  }

  /** @param passing places of the records that pass the filter, upwards; undefined: all. */
  cut(
    records: readonly Pick<UserRecord, 'approximateArrivalTimestamp'>[],
    passing: readonly number[] | undefined,
  ): WindowRun[] {
    const runs: { start: number; to: number; passes: boolean }[] = [];
    let passed = 0;
    for (const [place, { approximateArrivalTimestamp }] of records.entries()) {
      const arrivedIn = Math.floor(approximateArrivalTimestamp.getTime() / this.#lengthMs) * this.#lengthMs;
      const start = Math.max(this.#start, arrivedIn);
      const passes = passing === undefined || passing[passed] === place;
      if (passes) passed += 1;
      if (start > this.#start) this.#isOpen = false;
      this.#start = start;
      this.#isOpen ||= passes;
      const run = runs.at(-1);
      if (run === undefined || run.start < start) runs.push({ start, to: place + 1, passes });
      else {
        run.to = place + 1;
        run.passes ||= passes;
      }
    }
    return runs;
  }

  /** Nothing of the open window will follow. */
  close(): void {
    this.#isOpen = false;
  }
}
