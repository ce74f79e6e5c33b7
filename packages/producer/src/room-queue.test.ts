import { describe, expect, test } from 'vitest';
import { Outstanding } from './outstanding.ts';
import { RoomQueue } from './room-queue.ts';

/** A clock that stands until it is told. */
function standingClock() {
  const timers = new Set<() => void>();
  return {
    now: () => 0,
    wallNow: () => 0,
    setTimer: (callback: () => void) => {
      timers.add(callback);
      return () => timers.delete(callback);
    },
    timers,
    pass: () => {
      const due = [...timers];
      timers.clear();
      for (const callback of due) callback();
    },
  };
}

function queueOf(bounds: { readonly count?: number; readonly bytes?: number }) {
  const outstanding = new Outstanding({
    maxOutstandingRecordCount: bounds.count ?? 1_000,
    maxOutstandingBytes: bounds.bytes ?? 1_000_000,
  });
  const clock = standingClock();
  const room = new RoomQueue(outstanding, clock);
  const refusals: string[] = [];
  const put = (sizeBytes: number): void => {
    const refusal = outstanding.refusal(sizeBytes);
    if (refusal !== undefined) {
      refusals.push(refusal.message);
      return;
    }
    outstanding.add(sizeBytes);
    room.put();
  };
  const settle = (sizeBytes: number): void => {
    outstanding.remove(sizeBytes);
    room.settled();
  };
  /** `await ready; put`, where the put comes with the next turn. */
  const wanting: (() => void)[] = [];
  const putWhenReady = (sizeBytes: number): void => {
    const later = (): void => void wanting.push(() => put(sizeBytes));
    if (room.take()) later();
    else room.wait(later);
  };
  const turn = (): void => {
    for (const go of wanting.splice(0)) go();
  };
  return { outstanding, clock, room, put, settle, putWhenReady, turn, refusals };
}

describe('who waits at ready', () => {
  test('of hundreds that ask at once no more go on than there is room for, and all do in the end', () => {
    const { outstanding, settle, putWhenReady, turn, refusals } = queueOf({ count: 100 });
    for (let count = 0; count < 500; count++) putWhenReady(10);
    for (let put = 0; put < 500; put++) {
      turn();
      expect(outstanding.recordCount).toBeGreaterThan(0);
      expect(outstanding.recordCount).toBeLessThanOrEqual(50);
      settle(10);
    }
    expect(outstanding.recordCount).toBe(0);
    expect(refusals).toEqual([]);
  });

  test('finds room for a record as large as those before, where half of the bound is less than that', () => {
    const { put, settle, putWhenReady, turn, refusals, outstanding } = queueOf({ bytes: 1_000 });
    put(700);
    settle(700);
    put(400);
    putWhenReady(700);
    turn();
    expect(outstanding.bytes).toBe(400);
    settle(400);
    turn();
    expect([outstanding.bytes, refusals]).toEqual([700, []]);
  });

  test('goes on for all that others took the room and put nothing', () => {
    const { room, clock } = queueOf({ count: 4 });
    expect([room.take(), room.take(), room.take()]).toEqual([true, true, false]);
    let isTold = false;
    room.wait(() => {
      isTold = true;
    });
    expect(isTold).toBe(false);
    clock.pass();
    expect(isTold).toBe(true);
    expect(clock.timers.size).toBe(0);
  });

  test('a large record is forgotten after some thousands of small ones', () => {
    const { put, settle, room } = queueOf({ bytes: 1_000 });
    const askThree = (): boolean[] => [room.take(), room.take(), room.take()];
    put(500);
    settle(500);
    expect(askThree()).toEqual([true, true, false]);
    room.put();
    room.put();
    for (let count = 0; count < 5_000; count++) {
      put(1);
      settle(1);
    }
    expect(askThree()).toEqual([true, true, true]);
  });
});

describe('who waits with a record', () => {
  test('puts it once it fits, before all who came later, also where it is larger than half of the bound', () => {
    const { put, settle, room, outstanding, refusals } = queueOf({ bytes: 1_000 });
    const order: string[] = [];
    put(450);
    const wait = (name: string, sizeBytes: number): void => {
      const go = (): void => {
        order.push(name);
        put(sizeBytes);
      };
      if (room.take(sizeBytes)) go();
      else room.wait(go, sizeBytes);
    };
    wait('large', 900);
    wait('small', 10);
    expect(order).toEqual([]);
    expect(outstanding.isPressed).toBe(true);
    settle(450);
    expect(order).toEqual(['large']);
    settle(900);
    expect(order).toEqual(['large', 'small']);
    expect([outstanding.isPressed, refusals]).toEqual([false, []]);
  });
});

test('the end lets all go on, and no timer is left', () => {
  const { room, put, clock, outstanding } = queueOf({ count: 2 });
  expect(room.take()).toBe(true);
  const told: number[] = [];
  for (const number of [1, 2, 3]) room.wait(() => void told.push(number));
  put(1);
  expect(told).toEqual([]);
  room.stop();
  expect(told).toEqual([1, 2, 3]);
  expect([clock.timers.size, outstanding.isPressed, room.take()]).toEqual([0, true, true]);
});
