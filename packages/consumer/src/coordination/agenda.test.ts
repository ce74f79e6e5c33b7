import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Agenda, type Scheduled } from './agenda.ts';

interface Item extends Scheduled {
  readonly name: number;
}

const change = fc.record({
  name: fc.integer({ min: 0, max: 15 }),
  dueAt: fc.option(fc.oneof(fc.integer({ min: 0, max: 20 }), fc.constant(Number.POSITIVE_INFINITY)), {
    nil: undefined,
  }),
});

test('after any changes the earliest and the due ones are those that a look at every item would find', () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 80 }), fc.integer({ min: 0, max: 20 }), (changes, now) => {
      const items = Array.from({ length: 16 }, (_, name): Item => ({ name, dueAt: 0, place: -1 }));
      const agenda = new Agenda<Item>();
      const expected = new Map<number, number>();
      for (const { name, dueAt } of changes) {
        const item = items[name] as Item;
        if (dueAt === undefined) {
          agenda.remove(item);
          expected.delete(name);
        } else {
          agenda.set(item, dueAt);
          expected.set(name, dueAt);
        }
        expect(agenda.earliest).toBe(Math.min(...expected.values()));
      }
      const due = [...expected].filter(([, dueAt]) => dueAt <= now).map(([name]) => name);
      const found = agenda.due(now).map(({ name }) => name);
      expect(found.sort((a, b) => a - b)).toEqual(due.sort((a, b) => a - b));
    }),
  );
});

test('an item that was removed can be entered again', () => {
  const agenda = new Agenda<Item>();
  const item: Item = { name: 1, dueAt: 0, place: -1 };
  agenda.set(item, 5);
  agenda.remove(item);
  agenda.remove(item);
  expect(agenda.earliest).toBe(Number.POSITIVE_INFINITY);
  agenda.set(item, 5);
  expect(agenda.due(5)).toEqual([item]);
});
