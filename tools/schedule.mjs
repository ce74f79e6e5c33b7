// @ts-check
// Which tiers run beside which. Most of them wait for half of their time (for a lease to run out, for a JVM to come up), so that
// another one can work meanwhile. Pure but for the calls of `run`: it knows no process and no clock.
//
// The invariant: at any time the tiers that are under way keep no more processors busy, all together, than the machine has, those in the
// background left out. A tier that wants more than there are runs without another in the foreground.

/**
 * @typedef {object} Planned what of a tier matters here
 * @property {string} name
 * @property {readonly string[]} needs
 * @property {readonly string[]} [after]
 * @property {number} cores
 * @property {'alone' | 'background'} [beside]
 */

/**
 * Runs every tier once, in their order as far as there is room: one that does not fit yet is passed by a later one that does.
 * @template {Planned} T
 * @template R
 * @param {readonly T[]} tiers what they need that is not among them has been run
 * @param {number} cores of the machine
 * @param {(tier: T) => Promise<R>} run
 * @returns {Promise<R[]>} in the order of the tiers; rejects with the first rejection of `run`, and starts nothing after it
 */
export async function runBeside(tiers, cores, run) {
  /** @type {Map<T, R>} */
  const results = new Map();
  const waiting = [...tiers];
  /** @type {Map<T, Promise<void>>} */
  const underWay = new Map();
  const start = (/** @type {T} */ tier) => {
    waiting.splice(waiting.indexOf(tier), 1);
    const ended = run(tier).then((result) => {
      results.set(tier, result);
      underWay.delete(tier);
    });
    underWay.set(tier, ended);
  };
  while (waiting.length + underWay.size > 0) {
    const next = nextTier(waiting, [...underWay.keys()], cores);
    if (next !== undefined) {
      start(next);
      continue;
    }
    if (underWay.size === 0)
      throw new Error(`these wait for each other: ${waiting.map(({ name }) => name).join(', ')}`);
    await Promise.race(underWay.values());
  }
  return tiers.map((tier) => /** @type {R} */ (results.get(tier)));
}

/**
 * @template {Planned} T
 * @param {readonly T[]} waiting in their order
 * @param {readonly Planned[]} underWay
 * @param {number} cores of the machine
 * @returns {T | undefined} the first that may start now beside those under way
 */
export function nextTier(waiting, underWay, cores) {
  const unended = new Set([...waiting, ...underWay].map(({ name }) => name));
  return waiting.find(
    (tier) => ![...tier.needs, ...(tier.after ?? [])].some((name) => unended.has(name)) && fits(tier, underWay, cores),
  );
}

/**
 * @param {Planned} tier
 * @param {readonly Planned[]} underWay
 * @param {number} cores
 */
function fits(tier, underWay, cores) {
  if (underWay.length === 0) return true;
  if (tier.beside === 'alone' || underWay.some(({ beside }) => beside === 'alone')) return false;
  const isBehind = tier.beside === 'background';
  const rivals = underWay.filter(({ beside }) => (beside === 'background') === isBehind);
  // One at a time in the background: each takes all that is left.
  if (isBehind || rivals.length === 0) return rivals.length === 0;
  // In hundredths: 0.1 and 0.2 are no 0.3.
  const busy = [tier, ...rivals].reduce((sum, each) => sum + Math.round(each.cores * 100), 0);
  return busy <= cores * 100;
}
