// What will befall a world, drawn from its seed before it begins: a swarm picks which kinds of fault take part at all, so that
// many worlds are about few things and go deep there.
import type { Prng } from '../prng.ts';

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
  readonly shardCount: number;
  readonly faultsUntilMs: number;
  readonly rates: FaultRates;
  /** How likely a new process has the worker id of one that is gone. */
  readonly stableIds: number;
  readonly incidents: readonly Incident[];
}

const calm: FaultRates = {
  lostRequest: 0,
  lostAnswer: 0,
  late: 0,
  slow: 0,
  fetchFails: 0,
  handlerThrows: 0,
  slowHandler: 0,
};

export function planWorld(prng: Prng): Plan {
  const faultsUntilMs = prng.between(3000, 9000);
  const incidents: Incident[] = [];
  const add = (kind: IncidentKind, count: number, from = 0): void => {
    for (let index = 0; index < count; index += 1) {
      incidents.push({ at: prng.between(from, faultsUntilMs), kind, target: prng.int(8) });
    }
  };
  const some = (most: number): number => (prng.chance(0.6) ? prng.between(1, most) : 0);
  const rate = (most: number): number => (prng.chance(0.3) ? prng.next() * most : 0);

  const shardCount = prng.between(1, 3);
  incidents.push({ at: 0, kind: 'start', target: 0 });
  add('start', prng.between(0, 2));
  add('put', prng.between(10, 40));
  add('split', some(2), 200);
  add('merge', some(2), 200);
  add('crash', some(2), 200);
  add('pause', some(5), 200);
  add('stop', some(2), 200);
  // Some worlds are about one thing alone. Silence: owners pause for about as long as a leader waits, and come back to slow
  // handlers, while the leader's writes linger. Lateness: everything works, but requests land long after they were given up.
  // Restarts: workers stop in good order and come back under their old names at once, while what they last wrote lingers.
  const theme = prng.next();
  if (theme < 0.2) {
    incidents.length = 1;
    add('start', 2);
    add('put', 80);
    for (let at = 2000; at < faultsUntilMs; at += prng.between(300, 900)) {
      incidents.push({ at, kind: 'fallSilent', target: prng.int(8) });
    }
    const rates = { ...calm, late: 0.2, slow: 0.3, slowHandler: 0.6 };
    return { shardCount, faultsUntilMs, rates, stableIds: 0.25, incidents };
  }
  if (theme < 0.35) {
    incidents.length = 1;
    add('start', 1);
    add('put', 30);
    add('split', 2, 200);
    add('merge', 1, 200);
    return { shardCount, faultsUntilMs, rates: { ...calm, late: 0.3 }, stableIds: 0.25, incidents };
  }
  if (theme < 0.5) {
    incidents.length = 1;
    add('start', 2);
    add('put', 80);
    for (let at = 1000; at < faultsUntilMs; at += prng.between(300, 900)) {
      incidents.push({ at, kind: 'stop', target: prng.int(8) });
    }
    return { shardCount, faultsUntilMs, rates: { ...calm, late: 0.3, slowHandler: 0.6 }, stableIds: 1, incidents };
  }
  const rates = {
    lostRequest: rate(0.3),
    lostAnswer: rate(0.3),
    late: rate(0.3),
    slow: rate(0.4),
    fetchFails: rate(0.3),
    handlerThrows: rate(0.3),
    slowHandler: rate(0.5),
  };
  return { shardCount, faultsUntilMs, rates, stableIds: 0.25, incidents };
}
