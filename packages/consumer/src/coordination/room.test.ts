// The room by itself: what it grants, who waits, and in what order. Beside the examples, shards that read and handle at random.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Amount, Room, type Share, type Wish } from './room.ts';

const MIB = 1024 * 1024;
const PATIENCE_MS = 100;
const roomOf = (bytes: number, recordCount = 1e9): Room =>
  new Room({
    maxPendingBytesForWorker: bytes,
    maxPendingRecordCountForWorker: recordCount,
    roomPatienceMs: PATIENCE_MS,
  });
const sharesOf = (room: Room, count: number): Share[] =>
  Array.from({ length: count }, (_, index) => room.open(`${index}`));

const wants = (leastBytes: number, more: Partial<Wish> = {}): Wish => ({
  leastBytes,
  isHeld: false,
  isAhead: false,
  ...more,
});
const bytesOf = (bytes: number, recordCount = 1): Amount => ({ bytes, recordCount });

/** Who is called now. Each is given what it wants. */
function called(room: Room, shares: readonly Share[], wish: Wish, now = 0): string[] {
  const keys: string[] = [];
  for (let key = room.next(now); key !== undefined; key = room.next(now)) {
    keys.push(key);
    shares.find(({ leaseKey }) => leaseKey === key)?.ask(wish);
  }
  return keys;
}

describe('what one read is granted', () => {
  it('its own part, and of what is free an eighth: never more than GetRecords gives', () => {
    const room = roomOf(32 * MIB);
    const [first] = sharesOf(room, 4) as [Share];
    expect(first.ask(wants(1))?.bytes).toBe(4 * MIB + 2 * MIB);
    const wide = roomOf(320 * MIB);
    expect((sharesOf(wide, 2)[0] as Share).ask(wants(1))?.bytes).toBe(10 * MIB);
  });

  it('its own part alone while it is not known whether anything will come', () => {
    const [first] = sharesOf(roomOf(32 * MIB), 4) as [Share];
    expect(first.ask(wants(0))?.bytes).toBe(4 * MIB);
  });

  it('no bytes, if its source holds them already, and at least one record', () => {
    const room = roomOf(32 * MIB, 4);
    const [first] = sharesOf(room, 4) as [Share];
    first.read(bytesOf(5 * MIB, 20));
    expect(first.ask(wants(0, { isHeld: true }))).toEqual({ bytes: 0, recordCount: 1 });
  });
});

describe('who waits', () => {
  it('of five hundred shards with records of 1 MiB as many read as there is room for; the others follow in the order in which they came', () => {
    const room = roomOf(128 * MIB);
    const shares = sharesOf(room, 500);
    const reading = shares.filter((share) => share.ask(wants(MIB)) !== undefined);
    expect(reading.length).toBeGreaterThan(20);
    for (const share of reading) share.read(bytesOf(MIB));
    const order: string[] = [];
    for (let turn = 0; order.length < 500 - reading.length; turn += 1) {
      // Whoever has been in line gets in; nobody that was in before does.
      const keys = called(room, shares, wants(MIB));
      for (const key of keys) shares[Number(key)]?.read(bytesOf(MIB));
      order.push(...keys);
      expect(room.held.bytes).toBeLessThanOrEqual(129 * MIB);
      const held = shares.filter((share) => share.held.bytes > 0);
      held[turn % held.length]?.holds(bytesOf(0, 0));
    }
    expect(order).toEqual(shares.filter((share) => !reading.includes(share)).map(({ leaseKey }) => leaseKey));
  });

  it('nobody for its own part, though all that can be lent hangs in the handlers of others', () => {
    const room = roomOf(8 * MIB);
    const [hog, ...others] = sharesOf(room, 4) as [Share, ...Share[]];
    hog.ask(wants(100 * MIB));
    expect(called(room, [hog, ...others], wants(100 * MIB))).toEqual(['0']);
    hog.read(bytesOf(100 * MIB));
    for (const share of others) expect(share.ask(wants(MIB))?.bytes).toBe(MIB);
  });

  it('a newcomer for those who took their parts when they were fewer, if all is taken', () => {
    const room = roomOf(16 * MIB);
    const early = sharesOf(room, 2);
    for (const share of early) {
      expect(share.ask(wants(6 * MIB))).toBeDefined();
      share.read(bytesOf(6 * MIB));
    }
    const late = [room.open('late'), room.open('later'), room.open('last')] as const;
    for (const share of late.slice(0, 2)) {
      expect(share.ask(wants(1.5 * MIB))?.bytes).toBe(Math.floor((8 / 5) * MIB));
      share.read(bytesOf(1.5 * MIB));
    }
    expect(late[2].ask(wants(1.5 * MIB))).toBeUndefined();
    early[0]?.holds(bytesOf(0, 0));
    expect(called(room, [...early, ...late], wants(1.5 * MIB))).toEqual(['last']);
  });

  it('not even a newcomer, if what was granted may never come', () => {
    const room = roomOf(16 * MIB);
    for (let count = 1; count <= 8; count += 1)
      expect(room.open(`${count}`).ask(wants(0))?.bytes).toBe(Math.floor((8 * MIB) / count));
    expect(room.open('late').ask(wants(0.5 * MIB))?.bytes).toBeGreaterThan(0.5 * MIB);
  });

  it('whoever reads ahead, as long as others hold nothing, and where less than an eighth can be lent', () => {
    const room = roomOf(16 * MIB);
    const [first, second, third] = sharesOf(room, 4) as [Share, Share, Share];
    first.read(bytesOf(9 * MIB));
    // 7 of 8 MiB are lent: the last one is for those that hold nothing.
    expect(second.ask(wants(2.5 * MIB))?.bytes).toBe(2.5 * MIB);
    second.read(bytesOf(2.5 * MIB));
    expect(second.ask(wants(1, { isAhead: true }))).toBeUndefined();
    expect(third.ask(wants(4 * MIB))).toBeUndefined();
    first.holds(bytesOf(0, 0));
    expect(called(room, [first, second, third], wants(4 * MIB))[0]).toBe('2');
  });

  it('whoever holds nothing and needs more than is left is let in one at a time, and after a while although nothing was given back', () => {
    const room = roomOf(4);
    const shares = sharesOf(room, 3) as [Share, Share, Share];
    for (const share of shares) expect(share.ask(wants(10))).toBeUndefined();
    expect(called(room, shares, wants(10), 1_000)).toEqual(['0']);
    expect(room.deadline()).toBe(1_000 + PATIENCE_MS);
    expect(called(room, shares, wants(10), 1_000 + PATIENCE_MS - 1)).toEqual([]);
    expect(called(room, shares, wants(10), 1_000 + PATIENCE_MS)).toEqual(['1']);
    shares[0].read(bytesOf(0, 0));
    shares[1].read(bytesOf(0, 0));
    expect(called(room, shares, wants(10), 1_101)).toEqual(['2']);
    expect(room.deadline()).toBe(Number.POSITIVE_INFINITY);
  });

  it('a tenure that is over gives everything back, and what comes for it takes nothing', () => {
    const room = roomOf(16 * MIB);
    const [first, second] = sharesOf(room, 2) as [Share, Share];
    first.read(bytesOf(12 * MIB));
    expect(second.ask(wants(10 * MIB))).toBeUndefined();
    first.close();
    first.read(bytesOf(12 * MIB));
    expect(room.held).toEqual({ bytes: 0, recordCount: 0 });
    expect(called(room, [second], wants(10 * MIB))).toEqual(['1']);
  });
});

it('whatever shards come, read and handle: what they hold stays within the room but for one record, and all get their turn', () => {
  const BOUND = 1_000;
  const LARGEST = 200;
  const step = fc.record({
    of: fc.nat(),
    least: fc.integer({ min: 1, max: LARGEST }),
    part: fc.oneof(fc.constant(1), fc.double({ min: 0, max: 1, noNaN: true })),
    /** A further shard comes, or a shard's tenure is over and another one begins. */
    comes: fc.constantFrom('nobody', 'nobody', 'nobody', 'another', 'again'),
  });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 6 }), fc.array(step, { maxLength: 200 }), (count, steps) => {
      const room = roomOf(BOUND);
      const shares = sharesOf(room, count);
      const granted = new Map<Share, number>();
      const least = new Map<Share, number>();
      const ask = (share: Share): void => {
        if (granted.has(share)) return;
        const isAhead = share.held.bytes > 0;
        const grant = share.ask(wants(least.get(share) ?? 1, { isAhead }));
        if (grant !== undefined) granted.set(share, grant.bytes);
      };
      const fill = (): void => {
        for (let key = room.next(0); key !== undefined; key = room.next(0)) ask(shares[Number(key)] as Share);
      };
      for (const { of, least: leastBytes, part, comes } of steps) {
        if (comes === 'another') shares.push(room.open(`${shares.length}`));
        const place = comes === 'another' ? shares.length - 1 : of % shares.length;
        if (comes === 'again') {
          granted.delete(shares[place] as Share);
          shares[place]?.close();
          shares[place] = room.open(`${place}`);
        }
        const share = shares[place] as Share;
        const grant = granted.get(share);
        if (grant !== undefined) {
          granted.delete(share);
          share.read(bytesOf(share.held.bytes + Math.ceil(part * grant)));
        } else if (part < 0.5 && share.held.bytes > 0) share.holds(bytesOf(0, 0));
        else {
          least.set(share, leastBytes);
          ask(share);
        }
        fill();
        const taken = shares.reduce((sum, each) => sum + each.taken.bytes, 0);
        expect(taken).toBeLessThanOrEqual(BOUND + LARGEST);
      }
      // Once all is handled, whoever waits gets in, one after the other at least.
      for (let round = 0; round <= shares.length; round += 1) {
        for (const share of shares) {
          granted.delete(share);
          share.read(bytesOf(0, 0));
          fill();
        }
      }
      expect(shares.filter(({ isInLine }) => isInLine)).toEqual([]);
    }),
  );
});
