import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readJson } from './json-reader.ts';
import { withoutLargeBlobs } from './large-blobs.ts';

/** Blobs as the texts that they came as: base64 is taken only when it is what its bytes are encoded to. */
function asTexts(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (Array.isArray(value)) return value.map(asTexts);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, asTexts(one)]));
}

/** What reading comes to: the value with its blobs as texts, or what is said against the body. */
function outcome(read: () => unknown): unknown {
  try {
    return asTexts(read());
  } catch (error) {
    return (error as Error).message;
  }
}

const large = fc
  .integer({ min: 700, max: 4_000 })
  .map((size) => Buffer.alloc(size, 'some bytes of it').toString('base64'));
const text = fc.oneof(
  { weight: 4, arbitrary: large },
  { weight: 1, arbitrary: large.map((base64) => `${base64.slice(0, -1)}%`) },
  { weight: 1, arbitrary: large.map((base64) => base64.replaceAll('s', '_')) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 30 }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom('"Data":"', '\0', '\0' + '0', '"Data": ', 'é'.repeat(1_500), ' '.repeat(3_000)),
  },
);
const name = fc.constantFrom('Data', 'PartitionKey', 'x"Data', 'Datax', '__proto__');
const member = fc.oneof(text, fc.integer(), fc.constant(null), fc.dictionary(name, text, { maxKeys: 3 }));
const body = fc.oneof(
  fc.record({ Records: fc.array(fc.dictionary(name, member, { maxKeys: 3 }), { maxLength: 5 }), Data: member }),
  fc.jsonValue(),
);
/** As JSON.stringify writes, as Python does, with line ends, and with a member twice. */
const layout = fc.constantFrom(
  (value: unknown) => JSON.stringify(value),
  (value: unknown) => JSON.stringify(value, undefined, 1).replaceAll('\n', ''),
  (value: unknown) => JSON.stringify(value, undefined, 2),
  (value: unknown) => JSON.stringify(value).replaceAll('"Data":', '"Data":"first","Data":'),
);

test('a body without its large blobs is read as with them', () => {
  fc.assert(
    fc.property(body, layout, (value, write) => {
      const bytes = Buffer.from(write(value) ?? 'null');
      expect(outcome(() => readJson(bytes))).toEqual(outcome(() => JSON.parse(bytes.toString())));
    }),
    { numRuns: 300 },
  );
});

test('a spoiled body is read, or refused in the same words, as with them', () => {
  const spoil = fc.record({
    share: fc.double({ min: 0, max: 1, noNaN: true }),
    byte: fc.constantFrom(...'"\\{}[],: \0\nA=%'),
  });
  fc.assert(
    fc.property(body, layout, fc.array(spoil, { minLength: 1, maxLength: 3 }), (value, write, spoils) => {
      const bytes = Buffer.from(write(value) ?? 'null');
      for (const { share, byte } of spoils) bytes.write(byte, Math.floor(share * bytes.length), 1, 'latin1');
      fc.pre(Buffer.from(bytes.toString()).equals(bytes));
      expect(outcome(() => readJson(bytes))).toEqual(outcome(() => JSON.parse(bytes.toString())));
    }),
    { numRuns: 300 },
  );
});

test.each(['', ' '])('every blob of 2,048 characters and more is taken out, after "Data":%j', (blank) => {
  for (const size of [2_048, 5_000, 66_668]) {
    const record = `{"Data":${blank}"${'A'.repeat(size)}","PartitionKey":"k"}`;
    const { rest } = withoutLargeBlobs(Buffer.from(`{"Records":[${Array(9).fill(record).join()}]}`)) ?? {};
    expect(rest?.length).toBeLessThan(9 * 60);
  }
});

test('of two members of one name the last one counts, whichever is large', () => {
  const data = 'A'.repeat(4_000);
  expect(readJson(Buffer.from(`{"Data":"${data}","Data":"eA=="}`))).toEqual({ Data: 'eA==' });
  expect(readJson(Buffer.from(`{"Data":"eA==","Data":"${data}"}`))).toEqual({ Data: Buffer.alloc(3_000) });
});

test('a body nested deeper than a reviver goes is read', () => {
  const depth = 50_000;
  const bytes = Buffer.from(`{"Deep":${'['.repeat(depth)}${']'.repeat(depth)},"Data":"${'A'.repeat(4_000)}"}`);
  expect(Object.keys(readJson(bytes) as object)).toEqual(['Deep', 'Data']);
});
