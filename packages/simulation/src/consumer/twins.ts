// Worlds in which a user gives one worker id to two processes: once the faults are over, one is started under the id of each that lives.
// And their checker: soon one of the two has ended. It is the newcomer, which has not begun any lease, where the other one was
// well; so nothing moves. Chance has no part in it, so all other worlds stay as they are.
import type { SimulatedProcess } from './process.ts';
import { TIMES } from './worker-options.ts';

/** From the start of the newcomer: patience, a report, a look, and the answers of a healed world. */
const LONGEST_MS = TIMES.workerIdPatienceMs + 1_000;

interface Pair {
  readonly incumbent: SimulatedProcess;
  readonly newcomer: SimulatedProcess;
  readonly since: number;
  /** The incumbent had the id for sure. */
  readonly wasAtWork: boolean;
}

export class Twins {
  readonly #pairs: Pair[] = [];

  /** @returns undefined: in this world ids differ. */
  static of(seed: number): Twins | undefined {
    return seed % 6 === 1 ? new Twins() : undefined;
  }

  /** @param start makes a process of that id and starts it. */
  begin(living: readonly SimulatedProcess[], now: number, start: (workerId: string) => SimulatedProcess): void {
    for (const incumbent of living) {
      if (incumbent.isUnwell) continue;
      const wasAtWork = incumbent.hasBegun;
      this.#pairs.push({ incumbent, newcomer: start(incumbent.workerId), since: now, wasAtWork });
    }
  }

  /** Whether two are at it still. */
  get areBothThere(): boolean {
    return this.#pairs.some(({ incumbent, newcomer }) => isAtWork(incumbent) && isAtWork(newcomer));
  }

  /** What is wrong, if anything is. */
  judge(now: number): string | undefined {
    for (const { incumbent, newcomer, since, wasAtWork } of this.#pairs) {
      const id = incumbent.workerId;
      if (wasAtWork && newcomer.hasBegun) return `a second process of ${id} began a lease, beside one that lives`;
      if (wasAtWork && !isAtWork(incumbent)) return `of two processes under ${id} the one ended that was there first`;
      if (!isAtWork(incumbent) && !isAtWork(newcomer)) return `of two processes under ${id} both ended`;
      if (now > since + LONGEST_MS && isAtWork(incumbent) && isAtWork(newcomer))
        return `two processes still work under ${id} at ${now}, since ${since}`;
    }
    return undefined;
  }
}

function isAtWork({ alive, stopping }: SimulatedProcess): boolean {
  return alive && !stopping;
}
