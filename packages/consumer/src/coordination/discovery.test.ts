import { MAX_HASH_KEY, MIN_HASH_KEY, SHARD_END, TRIM_HORIZON } from '@shardline/common';
import { describe, expect, test } from 'vitest';
import { Discovery } from './discovery.ts';
import type { Effect, Tell } from './effects.ts';
import { type Lease, newLease } from './lease.ts';

const options = { workerId: 'me', leaseDiscoveryIntervalMs: 500, retryMs: 1_000 };

function lease(leaseKey: string, changes: Partial<Lease>): Lease {
  const shard = { shardId: leaseKey, parentShardIds: [], hashKeyRange: { start: MIN_HASH_KEY, end: MAX_HASH_KEY } };
  return { ...newLease(shard, TRIM_HORIZON), leaseOwner: 'me', ...changes };
}

const coming = (leaseKey: string, from: string): Lease => lease(leaseKey, { checkpointOwner: from });

/** Each look is answered at once with what `rows` says. */
class Script {
  now = 0;
  /** When each look began, and at which leases; undefined: at all. */
  readonly looks: [number, readonly string[] | undefined][] = [];
  readonly discovery: Discovery;
  rows: readonly Lease[] = [];
  fails = false;
  readonly #out: (Effect | Tell)[] = [];

  constructor() {
    this.discovery = new Discovery(options, this.#out);
    this.discovery.hurry(0);
    this.pass(0);
  }

  pass(ms: number): void {
    const until = this.now + ms;
    for (let due = this.discovery.deadline(); due <= until; due = this.discovery.deadline()) {
      this.now = Math.max(this.now, due);
      this.#look();
    }
    this.now = until;
  }

  #look(): void {
    this.discovery.advance([], this.now);
    for (const effect of this.#out.splice(0)) {
      if (effect.kind !== 'discoverLeases') throw new Error(effect.kind);
      const { among } = effect;
      this.looks.push([this.now, among]);
      if (this.fails) this.discovery.failed(this.now);
      else
        this.discovery.found(
          this.rows.filter(({ leaseKey }) => among?.includes(leaseKey) ?? true),
          this.now,
        );
    }
  }
}

describe('Discovery', () => {
  test('looks at all leases once an interval', () => {
    const script = new Script();
    script.pass(1_500);
    expect(script.looks).toEqual([
      [0, undefined],
      [500, undefined],
      [1_000, undefined],
      [1_500, undefined],
    ]);
  });

  test('looks ten times a second at one lease of each worker that gives some to this one', () => {
    const script = new Script();
    script.rows = [coming('a', 'x'), coming('b', 'x'), coming('c', 'y')];
    script.pass(799);
    expect(script.looks.slice(1)).toEqual([
      [500, undefined],
      [600, ['a', 'c']],
      [700, ['a', 'c']],
    ]);
  });

  test('looks at all at once when that lease has come, and then at the next one', () => {
    const script = new Script();
    script.rows = [coming('a', 'x'), coming('b', 'x')];
    script.pass(500);
    script.rows = [lease('a', {}), coming('b', 'x')];
    script.pass(200);
    expect(script.looks.slice(2)).toEqual([
      [600, ['a']],
      [600, undefined],
      [700, ['b']],
    ]);
  });

  test('looks at all at once when that lease went elsewhere', () => {
    const script = new Script();
    script.rows = [coming('a', 'x')];
    script.pass(500);
    script.rows = [];
    script.pass(150);
    expect(script.looks.slice(2)).toEqual([
      [600, ['a']],
      [600, undefined],
    ]);
    expect(script.discovery.expects(script.now)).toBe(false);
  });

  test('looks no longer so often after 3 s: the worker that gives them has a handler that is busy', () => {
    const script = new Script();
    script.rows = [coming('a', 'x')];
    script.pass(500 + 2_999);
    expect(script.discovery.expects(script.now)).toBe(true);
    script.pass(1);
    expect(script.discovery.expects(script.now)).toBe(false);
    const before = script.looks.length;
    script.pass(1_000);
    expect(script.looks.slice(before)).toEqual([
      [4_000, undefined],
      [4_500, undefined],
    ]);
  });

  test.each<[string, Lease]>([
    ['it leaves this worker', lease('a', { leaseOwner: 'other', checkpointOwner: 'me' })],
    ['a leader began to hand it from this worker to itself', coming('a', 'me')],
    ['it is finished', lease('a', { checkpointOwner: 'x', checkpoint: SHARD_END })],
    ['it is here', lease('a', {})],
  ])('expects no lease of which the row says that %s', (_, row) => {
    const script = new Script();
    script.rows = [row];
    script.pass(500);
    expect(script.discovery.expects(script.now)).toBe(false);
  });

  test('tries a look at all that failed again after retryMs, and one at some leases with the next at all', () => {
    const script = new Script();
    script.rows = [coming('a', 'x')];
    script.pass(550);
    script.fails = true;
    script.pass(449);
    script.pass(1_001);
    expect(script.looks.slice(1)).toEqual([
      [500, undefined],
      [600, ['a']],
      [1_000, undefined],
      [2_000, undefined],
    ]);
  });

  test('has looked since a time when a look at all that began then or later is over', () => {
    const script = new Script();
    script.rows = [coming('a', 'x')];
    script.pass(650);
    expect(script.discovery.hasLookedSince(500)).toBe(true);
    expect(script.discovery.hasLookedSince(501)).toBe(false);
    script.discovery.lookSince(501, script.now);
    script.pass(0);
    expect(script.looks.at(-1)).toEqual([650, undefined]);
    expect(script.discovery.hasLookedSince(501)).toBe(true);
  });
});
