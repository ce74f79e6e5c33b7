// What will befall a world, drawn from its seed before it begins: a swarm picks which kinds of fault take part at all, so that
// many worlds are about few things and go deep there. Small worlds are for volume, large ones for what needs many shards and
// workers; both have every kind of fault.
import type { WorkerOptions } from '../../../consumer/dist/coordination/worker.js';
import type { Prng } from '../prng.ts';

export type WorldSize = 'small' | 'large';

/**
 * What a world is about. Silence: owners pause for about as long as a leader waits, and come back to slow handlers, while the
 * leader's writes linger. Lateness: everything works, but requests land long after they were given up. Restarts: workers stop in
 * good order and come back under their old names at once, while what they last wrote lingers. ComesBack, never drawn: everything, in a
 * fleet that has gone over from workers of the KCL 2.x and meets them again.
 */
export type Theme = 'silence' | 'lateness' | 'restarts' | 'comesBack' | 'handsOff' | 'everything';

export type IncidentKind = 'start' | 'put' | 'split' | 'merge' | 'crash' | 'pause' | 'fallSilent' | 'stop';

export interface Incident {
  readonly at: number;
  readonly kind: IncidentKind;
  /** Which of the living it hits, modulo their number. */
  readonly target: number;
}

export interface FaultRates {
  /** Per request: never arrives. */
  readonly lostRequest: number;
  /** Per request: is carried out, the answer never arrives. */
  readonly lostAnswer: number;
  /** Per request: the client gives up, and later it is carried out all the same. */
  readonly late: number;
  readonly slow: number;
  readonly fetchFails: number;
  readonly handlerThrows: number;
  readonly slowHandler: number;
}

export interface Plan {
  readonly streamCount: number;
  /** At the beginning, in each stream. */
  readonly shardCount: number;
  readonly faultsUntilMs: number;
  readonly rates: FaultRates;
  /** How likely a new process has the worker id of one that is gone. */
  readonly stableIds: number;
  /** A process's clock runs up to so much faster or slower than the world's. */
  readonly clockDrift: number;
  readonly strategy: WorkerOptions['assignmentStrategy'];
  readonly leaseDiscoveryIntervalMs: number;
  readonly incidents: readonly Incident[];
}

/** Pairs are from and to. */
interface Bounds {
  readonly faultsMs: readonly [number, number];
  /** Of each stream, at the beginning. */
  readonly shards: readonly [number, number];
  /** Beside the first, not counting those that come for others. */
  readonly workers: readonly [number, number];
  readonly puts: readonly [number, number];
  /** At most, where there are any; splits and merges each. */
  readonly reshards: number;
  readonly crashes: number;
  readonly pauses: number;
  readonly stops: number;
  /** How likely: two streams, a deploy. */
  readonly twoStreams: number;
  readonly deploy: number;
}

const bounds: Readonly<Record<WorldSize, Bounds>> = {
  small: {
    faultsMs: [1500, 5000],
    shards: [1, 3],
    workers: [0, 2],
    puts: [8, 30],
    reshards: 2,
    crashes: 2,
    pauses: 4,
    stops: 2,
    twoStreams: 0.15,
    deploy: 0.1,
  },
  large: {
    faultsMs: [8000, 20_000],
    shards: [4, 12],
    workers: [2, 5],
    puts: [60, 200],
    reshards: 6,
    crashes: 6,
    pauses: 12,
    stops: 4,
    twoStreams: 0.4,
    deploy: 0.5,
  },
};

/** A clock that gains or loses more than this is broken: 1%, where a bad one is off by 0.05%. */
export const MAX_CLOCK_DRIFT = 0.01;

const calm: FaultRates = {
  lostRequest: 0,
  lostAnswer: 0,
  late: 0,
  slow: 0,
  fetchFails: 0,
  handlerThrows: 0,
  slowHandler: 0,
};

/** @param asked its theme; undefined: drawn. */
export function planWorld(prng: Prng, size: WorldSize, asked?: Theme): Plan {
  const { faultsMs, shards, workers, puts, reshards, crashes, pauses, stops, twoStreams, deploy } = bounds[size];
  const faultsUntilMs = prng.between(...faultsMs);
  const shardCount = prng.between(...shards);
  const incidents: Incident[] = [{ at: 0, kind: 'start', target: 0 }];
  const add = (kind: IncidentKind, count: number, from = 0): void => {
    for (let index = 0; index < count; index += 1) {
      incidents.push({ at: prng.between(from, faultsUntilMs), kind, target: prng.int(8) });
    }
  };
  const addEvery = (kind: IncidentKind, from: number, target = (): number => prng.int(8)): void => {
    for (let at = from; at < faultsUntilMs; at += prng.between(300, 900)) {
      incidents.push({ at, kind, target: target() });
    }
  };
  const some = (most: number): number => (prng.chance(0.6) ? prng.between(1, most) : 0);
  const rate = (most: number): number => (prng.chance(0.3) ? prng.next() * most : 0);
  const common = {
    shardCount,
    faultsUntilMs,
    streamCount: prng.chance(twoStreams) ? 2 : 1,
    clockDrift: prng.chance(0.3) ? MAX_CLOCK_DRIFT : 0,
    strategy: prng.chance(0.2) ? 'utilization' : 'count',
    leaseDiscoveryIntervalMs: prng.pick([50, 300, 700]),
    incidents,
  } as const;

  const drawn = themeAt(prng.next());
  const theme = asked ?? drawn;
  if (theme === 'silence') {
    add('start', workers[1]);
    add('put', 2 * puts[1]);
    addEvery('fallSilent', 1500);
    return { ...common, rates: { ...calm, late: 0.2, slow: 0.3, slowHandler: 0.6 }, stableIds: 0.25 };
  }
  if (theme === 'lateness') {
    add('start', Math.max(1, workers[0]));
    add('put', puts[1]);
    add('split', reshards, 200);
    add('merge', Math.ceil(reshards / 2), 200);
    return { ...common, rates: { ...calm, late: 0.3 }, stableIds: 0.25 };
  }
  if (theme === 'restarts') {
    add('start', workers[1]);
    add('put', 2 * puts[1]);
    addEvery('stop', 1000);
    return { ...common, rates: { ...calm, late: 0.3, slowHandler: 0.6 }, stableIds: 1 };
  }
  // Who hands off has several to choose from.
  add('start', theme === 'handsOff' ? workers[1] + 1 : prng.between(...workers));
  add('put', prng.between(...puts));
  add('split', some(reshards), 200);
  add('merge', some(reshards), 200);
  add('crash', some(crashes), 200);
  add('pause', some(pauses), 200);
  add('stop', some(stops), 200);
  // A deploy: the oldest process of all stops, again and again, and a new one comes in its place.
  if (prng.chance(deploy)) addEvery('stop', prng.between(200, faultsUntilMs), () => 0);
  const rates = {
    lostRequest: rate(0.3),
    lostAnswer: rate(0.3),
    late: rate(0.3),
    slow: rate(0.4),
    fetchFails: rate(0.3),
    handlerThrows: rate(0.3),
    slowHandler: rate(0.5),
  };
  return { ...common, rates, stableIds: 0.25 };
}

function themeAt(drawn: number): Theme {
  if (drawn < 0.2) return 'silence';
  if (drawn < 0.35) return 'lateness';
  return drawn < 0.5 ? 'restarts' : 'everything';
}
