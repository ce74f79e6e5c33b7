// What goes together, and what each renewal says by either way.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Renewal, share, statementOf, updateOf } from './renewals.ts';

const table = { name: 'billing', keyName: 'leaseKey' };
const renewal = (fields: Partial<Renewal> = {}): Renewal => ({
  leaseKey: 'a',
  leaseCounter: 4,
  handoffKnown: false,
  throughputKBps: undefined,
  ...fields,
});

describe('the shares of a turn', () => {
  const some = fc.array(fc.option(fc.integer({ min: 0, max: 120 }), { nil: undefined }), { maxLength: 200 });
  const keyOf = (key: number | undefined): string | undefined => (key === undefined ? undefined : String(key));

  it('hold each renewal once, at most 25, at least 3, of each row one', () => {
    fc.assert(
      fc.property(some, (all) => {
        const tagged = all.map((key, index) => ({ key, index }));
        const { together, alone } = share(tagged, ({ key }) => keyOf(key));
        expect([...together.flat(), ...alone].map(({ index }) => index).sort((a, b) => a - b)).toEqual([...all.keys()]);
        for (const each of together) {
          expect(each.length).toBeGreaterThanOrEqual(3);
          expect(each.length).toBeLessThanOrEqual(25);
          expect(new Set(each.map(({ key }) => key)).size).toBe(each.length);
          expect(each.every(({ key }) => key !== undefined)).toBe(true);
        }
      }),
    );
  });

  it('are as few as can be, and none where fewer than 3 have a key of their own', () => {
    fc.assert(
      fc.property(some, (all) => {
        const keyed = new Set(all.filter((key) => key !== undefined)).size;
        const { together } = share(all, keyOf);
        expect(together).toHaveLength(keyed < 3 ? 0 : Math.ceil(keyed / 25));
      }),
    );
  });

  it('are of about one size: 31 go as 16 and 15', () => {
    const all = Array.from({ length: 31 }, (_, index) => String(index));
    expect(share(all, (key) => key).together.map(({ length }) => length)).toEqual([16, 15]);
  });
});

describe('a renewal says the same by either way', () => {
  it('counter as known, no handoff begun: one more', () => {
    expect(updateOf(renewal())).toEqual({
      condition: 'leaseCounter = :counter AND attribute_not_exists(checkpointOwner)',
      update: 'SET leaseCounter = :next',
      values: { ':counter': { N: '4' }, ':next': { N: '5' } },
    });
    expect(statementOf(table, renewal())).toEqual({
      text: 'UPDATE "billing" SET "leaseCounter" = ? WHERE "leaseKey" = ? AND "leaseCounter" = ? AND "checkpointOwner" IS MISSING RETURNING ALL NEW *',
      parameters: [{ N: '5' }, { S: 'a' }, { N: '4' }],
    });
  });

  it('with a handoff that is known, whoever is checkpointOwner; with a throughput, that too', () => {
    const known = renewal({ handoffKnown: true, throughputKBps: 0.25 });
    expect(updateOf(known)).toEqual({
      condition: 'leaseCounter = :counter',
      update: 'SET leaseCounter = :next, throughputKBps = :kBps',
      values: { ':counter': { N: '4' }, ':next': { N: '5' }, ':kBps': { N: '0.25' } },
    });
    expect(statementOf(table, known)).toEqual({
      text: 'UPDATE "billing" SET "leaseCounter" = ? SET "throughputKBps" = ? WHERE "leaseKey" = ? AND "leaseCounter" = ? RETURNING ALL NEW *',
      parameters: [{ N: '5' }, { N: '0.25' }, { S: 'a' }, { N: '4' }],
    });
  });

  it('values never change the text, which the service keeps', () => {
    const texts = new Set<string>();
    for (const handoffKnown of [false, true])
      for (const throughputKBps of [undefined, 0, 3.4e-5])
        for (const leaseKey of ['a', `b' OR "x"`])
          texts.add(statementOf(table, renewal({ handoffKnown, throughputKBps, leaseKey })).text);
    expect(texts.size).toBe(4);
  });
});
