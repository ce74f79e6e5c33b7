// The Java KCL's own rule of assignment by utilization (VarianceBasedLeaseAssignmentDecider of 3.5, its default options) on the
// traffic and the workers of the scenario, as a yardstick. A model in a loop: there is no table, a move takes no time, a dead worker
// is known as soon as it may be, and every throughput is known exactly; what is left out makes it look better than it is.
import { createPrng, type Prng } from '../prng.ts';
import { trafficKBps } from './traffic.ts';

export interface KclPhase {
  readonly phase: string;
  readonly workers: number;
  /** Balancing runs that moved leases, of thirty. */
  readonly runs: number;
  readonly lastMoveSeconds: number;
  readonly moves: number;
  readonly movesInLastTenMinutes: number;
  readonly load: { readonly leastPercent: number; readonly mostPercent: number };
}

export interface KclDeciderOptions {
  readonly seed: number;
  readonly shards: number;
  readonly workers: number;
  readonly cpuNoisePercent: number;
  readonly maxLeasesForWorker: number;
  readonly usualCpuPercent: number;
  readonly idleCpuPercent: number;
}

interface KclWorker {
  readonly figures: number[];
  readonly leases: Set<number>;
  readonly reportsAt: number;
  kBps: number;
  /** Since the last report. */
  readKB: number;
}

interface Room {
  readonly worker: KclWorker;
  percent: number;
}

const PHASE_SECONDS = 30 * 60;
const REPORT_SECONDS = 30;
const FIGURES = 10;
/** 2 F; every third run balances (varianceBalancingFrequency). */
const RUN_SECONDS = 20;
const BALANCING_FREQUENCY = 3;
const EXPIRED_SECONDS = 20;
const EMA_ALPHA = 0.5;
const THRESHOLD = 0.1;
const DAMPENING = 0.6;

export function simulateKclDecider(options: KclDeciderOptions): KclPhase[] {
  return new KclFleet(options).run();
}

class KclFleet {
  readonly #options: KclDeciderOptions;
  readonly #prng: Prng;
  readonly #kBps: readonly number[];
  readonly #totalKBps: number;
  #workers: KclWorker[] = [];
  readonly #free: number[] = [];
  #seconds = 0;

  constructor(options: KclDeciderOptions) {
    this.#options = options;
    this.#prng = createPrng(options.seed);
    this.#kBps = Array.from({ length: options.shards }, () => trafficKBps(this.#prng));
    this.#totalKBps = this.#kBps.reduce((sum, kBps) => sum + kBps, 0);
  }

  run(): KclPhase[] {
    const { workers, shards } = this.#options;
    const lost = Math.floor(workers / 3);
    this.#start(workers);
    // Figures of idle workers: without any, the first of the queue would be given all.
    for (let second = 0; second < REPORT_SECONDS; second += 1) this.#second();
    for (let lease = 0; lease < shards; lease += 1) this.#free.push(lease);
    const cold = this.#phase('cold start', 0);
    for (let index = 0; index < lost; index += 1) {
      const [dead] = this.#workers.splice(this.#prng.int(this.#workers.length), 1) as [KclWorker];
      this.#free.push(...dead.leases);
    }
    const loss = this.#phase('a third dies', EXPIRED_SECONDS);
    this.#start(workers - lost);
    return [cold, loss, this.#phase('doubled', 0)];
  }

  #start(count: number): void {
    for (let index = 0; index < count; index += 1) {
      const reportsAt = (this.#seconds + this.#prng.int(REPORT_SECONDS)) % REPORT_SECONDS;
      this.#workers.push({ figures: [], leases: new Set(), reportsAt, kBps: 0, readKB: 0 });
    }
  }

  #phase(phase: string, firstRunAfter: number): KclPhase {
    const moves: { readonly second: number; readonly count: number; readonly balances: boolean }[] = [];
    for (let second = 0; second < PHASE_SECONDS; second += 1) {
      this.#second();
      if (second < firstRunAfter || second % RUN_SECONDS !== 0) continue;
      const balances = (second / RUN_SECONDS) % BALANCING_FREQUENCY === 0;
      const count = this.#decide(balances);
      if (count > 0) moves.push({ second, count, balances });
    }
    const total = (from: number): number =>
      moves.reduce((sum, { second, count }) => sum + (second >= from ? count : 0), 0);
    const loads = this.#workers.map(({ kBps }) => (100 * kBps * this.#workers.length) / this.#totalKBps);
    return {
      phase,
      workers: this.#workers.length,
      runs: moves.filter(({ balances }) => balances).length,
      lastMoveSeconds: moves.at(-1)?.second ?? 0,
      moves: total(0),
      movesInLastTenMinutes: total(PHASE_SECONDS - 600),
      load: { leastPercent: Math.round(Math.min(...loads)), mostPercent: Math.round(Math.max(...loads)) },
    };
  }

  #second(): void {
    const { workers, usualCpuPercent, idleCpuPercent, cpuNoisePercent } = this.#options;
    this.#seconds += 1;
    for (const worker of this.#workers) {
      worker.readKB += worker.kBps;
      if (this.#seconds % REPORT_SECONDS !== worker.reportsAt) continue;
      const share = (worker.readKB / REPORT_SECONDS / this.#totalKBps) * workers;
      const noise = cpuNoisePercent * (2 * this.#prng.next() - 1);
      const percent = idleCpuPercent + (usualCpuPercent - idleCpuPercent) * share + noise;
      worker.figures.push(Math.min(100, Math.max(0.1, percent)));
      worker.figures.splice(0, worker.figures.length - FIGURES);
      worker.readKB = 0;
    }
  }

  /** @returns how many leases moved. */
  #decide(balances: boolean): number {
    const rooms = this.#workers.map((worker): Room => ({ worker, percent: smoothed(worker.figures) }));
    const average = rooms.reduce((sum, { percent }) => sum + percent, 0) / rooms.length;
    const targetKBps = this.#totalKBps / rooms.length;
    const receivers = rooms.filter(({ worker }) => worker.leases.size < this.#options.maxLeasesForWorker);
    const take = (): Room | undefined => {
      let best = 0;
      for (let index = 1; index < receivers.length; index += 1)
        if (roomOf(receivers[index] as Room, average) > roomOf(receivers[best] as Room, average)) best = index;
      return receivers.splice(best, 1)[0];
    };
    const give = (lease: number, to: Room): void => {
      to.worker.leases.add(lease);
      to.worker.kBps += this.#kBps[lease] as number;
      to.percent += ((this.#kBps[lease] as number) * average) / targetKBps;
      if (to.worker.leases.size < this.#options.maxLeasesForWorker) receivers.push(to);
    };
    let count = 0;
    while (this.#free.length > 0) {
      const to = take();
      if (to === undefined) break;
      give(this.#free.pop() as number, to);
      count += 1;
    }
    if (!balances) return count;
    const percents = new Map(rooms.map(({ worker }) => [worker, smoothed(worker.figures)]));
    for (const { worker, throughput } of this.#givers(percents, average)) {
      for (const lease of this.#leasesToTake(worker, throughput)) {
        // Who would pass the average is out of the queue for the rest of the run, as there.
        const to = take();
        if (to === undefined || to.percent + ((this.#kBps[lease] as number) * average) / targetKBps > average) break;
        if (to.worker === worker) {
          receivers.push(to);
          continue;
        }
        worker.leases.delete(lease);
        worker.kBps -= this.#kBps[lease] as number;
        give(lease, to);
        count += 1;
      }
    }
    return count;
  }

  /** The largest share first. */
  #givers(
    percents: ReadonlyMap<KclWorker, number>,
    average: number,
  ): { readonly worker: KclWorker; readonly throughput: number }[] {
    const all = [...percents].sort(([, a], [, b]) => b - a);
    const isUneven = all.some(([, percent]) => Math.abs(percent - average) > THRESHOLD * average);
    if (!isUneven) return [];
    const above = all.filter(([, percent]) => percent >= average * (1 + THRESHOLD));
    return (above.length > 0 ? above : all.slice(0, 1))
      .map(([worker, percent]) => ({ worker, throughput: ((percent - average) / percent) * DAMPENING * worker.kBps }))
      .sort((a, b) => b.throughput - a.throughput);
  }

  /** In any order, as far as they fit; none fits: the lightest. */
  #leasesToTake({ leases }: KclWorker, throughput: number): number[] {
    const shuffled = [...leases];
    for (let last = shuffled.length - 1; last > 0; last -= 1) {
      const other = this.#prng.int(last + 1);
      [shuffled[last], shuffled[other]] = [shuffled[other] as number, shuffled[last] as number];
    }
    let left = throughput;
    const taken = shuffled.filter((lease) => {
      const fits = left - (this.#kBps[lease] as number) > 0;
      if (fits) left -= this.#kBps[lease] as number;
      return fits;
    });
    if (taken.length > 0) return taken;
    return shuffled.sort((a, b) => (this.#kBps[a] as number) - (this.#kBps[b] as number)).slice(0, 1);
  }
}

function smoothed(figures: readonly number[]): number {
  return figures.reduce(
    (average, figure, index) => (index === 0 ? figure : EMA_ALPHA * figure + (1 - EMA_ALPHA) * average),
    0,
  );
}

function roomOf({ percent }: Room, average: number): number {
  return percent === 0 ? 1 : (average - percent) / percent;
}
