// What a run says: failing seeds with what happened last, and the figures that its last line holds. It prints nothing itself.
import { type Failure, type SeedsDone, type Share, simulate, WORLDS, type WorldName } from './simulate.ts';

/** Lines of a transcript that are printed with a failure. */
const LAST_LINES = 40;
/** So many failures are shown with their ends, and so many have a line at all. */
const MOST_SHOWN = 3;
const MOST_NAMED = 200;
const HEARTBEAT_MS = 30_000;

export class Tally {
  readonly failures: Failure[] = [];
  readonly #shares = new Map<WorldName, Share>();

  add({ failures, shares }: SeedsDone): void {
    this.failures.push(...failures);
    for (const world of WORLDS) {
      const before = this.#shares.get(world) ?? { schedules: 0, ms: 0 };
      const { schedules, ms } = shares[world];
      this.#shares.set(world, { schedules: before.schedules + schedules, ms: before.ms + ms });
    }
  }

  get schedules(): number {
    return [...this.#shares.values()].reduce((sum, share) => sum + share.schedules, 0);
  }

  /** For each world that took part: how many, and how many a second one thread ran. */
  get worlds(): Partial<Record<WorldName, { readonly schedules: number; readonly perSecondAndThread: number }>> {
    return Object.fromEntries(
      [...this.#shares]
        .filter(([, { schedules }]) => schedules > 0)
        .map(([world, { schedules, ms }]) => [
          world,
          { schedules, perSecondAndThread: Math.round((1000 * schedules) / Math.max(ms, 1)) },
        ]),
    );
  }
}

/** The end of a failing schedule, which is run once more for it; nothing comes after its first violation. */
export function describeFailure({ world, seed, violations }: Failure): string[] {
  const { transcript } = simulate(world, seed, true);
  const last = transcript.slice(-LAST_LINES);
  return [
    nameFailure({ world, seed, violations }),
    `        (${transcript.length - last.length} lines before these)`,
    ...last,
    `All of it: npm run simulate -- --transcript --world ${world} --seed ${seed}`,
  ];
}

function nameFailure({ world, seed, violations }: Failure): string {
  return `${world} world, seed ${seed}: ${violations[0]}`;
}

/** What one core alone would run in a second, whatever else the machine has to do. */
export function perCpuSecond(schedules: number, since: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since);
  return Math.round((schedules * 1e6) / Math.max(user + system, 1));
}

/** Prints each failing seed when it is found: the first ones with what happened last, then a line each, then no more. */
export class FailurePrinter {
  readonly #print: (line: string) => void;
  #count = 0;

  constructor(print: (line: string) => void) {
    this.#print = print;
  }

  print(failure: Failure): void {
    this.#count += 1;
    if (this.#count <= MOST_SHOWN) for (const line of describeFailure(failure)) this.#print(line);
    else if (this.#count <= MOST_NAMED) this.#print(nameFailure(failure));
    else if (this.#count === MOST_NAMED + 1) this.#print('Further failing seeds are only counted.');
  }
}

/** A line every half minute, so that a long run is seen to get on. */
export class Heartbeat {
  readonly #print: (line: string) => void;
  readonly #startedAt: number;
  #dueAt: number;

  constructor(print: (line: string) => void, startedAt: number) {
    this.#print = print;
    this.#startedAt = startedAt;
    this.#dueAt = startedAt + HEARTBEAT_MS;
  }

  beat({ schedules, failures }: Pick<Tally, 'schedules' | 'failures'>, now: number): void {
    if (now < this.#dueAt) return;
    this.#dueAt = now + HEARTBEAT_MS;
    const seconds = (now - this.#startedAt) / 1000;
    const pace = Math.round(schedules / seconds);
    this.#print(`${Math.round(seconds)} s: ${schedules} schedules, ${failures.length} violations, ${pace} a second`);
  }
}
