// Workers that report and take up nothing of what they are given, such as one whose role may not query the index of owners: what they
// get rests until it runs out. Between what the leader sees of the fleet (fleet.ts) and its plans. The KCL gives such a worker its
// share again with each of its reports. Pure. Invariants: who let run out what it never wrote gets one lease at a time, until it writes
// one; and from the second in a row on ever more rarely, but never more rarely than once in `LONGEST` pauses.

/** A worker whose fault was mended is tried again by then, or as another process at once; in parts of the first pause. */
const LONGEST = 10;

interface Trial {
  readonly count: number;
  readonly until: number;
}

export class Trials {
  readonly #pauseMs: number;
  readonly #trials = new Map<string, Trial>();

  /** @param pauseMs after the second in a row, then twice as long, and so on. */
  constructor(pauseMs: number) {
    this.#pauseMs = pauseMs;
  }

  /** It let run out what it was given and never wrote. The first time may be chance. */
  failed(workerId: string, now: number): void {
    const count = (this.#trials.get(workerId)?.count ?? 0) + 1;
    const pauseMs = count === 1 ? 0 : Math.min(LONGEST, 2 ** (count - 2)) * this.#pauseMs;
    this.#trials.set(workerId, { count, until: now + pauseMs });
  }

  /** It wrote a lease of its own, it is another process by now, or it is gone. */
  passed(workerId: string): void {
    this.#trials.delete(workerId);
  }

  has(workerId: string): boolean {
    return this.#trials.has(workerId);
  }

  /** Whether its report is a sign of life. */
  mayBegin(workerId: string, now: number): boolean {
    return now >= (this.#trials.get(workerId)?.until ?? Number.NEGATIVE_INFINITY);
  }

  /** @param isThere whether the worker has a row. */
  keep(isThere: (workerId: string) => boolean): void {
    for (const workerId of this.#trials.keys()) if (!isThere(workerId)) this.#trials.delete(workerId);
  }
}
