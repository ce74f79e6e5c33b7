import fc from 'fast-check';
import { expect, test } from 'vitest';
import { base64Fault, decodeBase64, decodeSmallMembers } from './base64.ts';
import { jsonFormat } from './json-format.ts';

test('what is encoded is decoded', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      expect(decodeBase64(Buffer.from(bytes).toString('base64'))).toEqual(Buffer.from(bytes));
    }),
  );
});

test('a text is taken exactly when it is what its bytes are encoded to', () => {
  const text = fc.string({ unit: fc.constantFrom(...'AQgwEIz09+/=-_ \n\u00e9'), maxLength: 12 });
  fc.assert(
    fc.property(text, (base64) => {
      const isCanonical = Buffer.from(base64, 'base64').toString('base64') === base64;
      expect(decodeBase64(base64) !== undefined).toBe(isCanonical);
    }),
    { numRuns: 5_000 },
  );
});

test.each([
  ['23456', 'Base64 encoded length is expected a multiple of 4 bytes but found: 5'],
  ['%%%%', "Invalid Base64 character: '%'"],
  ['ab_-', "Invalid Base64 character: '_'"],
  ['=+/=', "Invalid Base64 character: '='"],
  ['e===', "Invalid Base64 character: '='"],
  ['+/+=', 'Invalid last non-pad Base64 character dectected'],
  ['eB==', 'Invalid last non-pad Base64 character dectected'],
])('%s: %s', (base64, fault) => {
  expect(decodeBase64(base64)).toBeUndefined();
  expect(base64Fault(base64)).toBe(fault);
});

test('many decoded at once are what each is alone, whatever stands beside them', () => {
  const good = fc.uint8Array({ maxLength: 120 }).map((bytes) => Buffer.from(bytes).toString('base64'));
  const odd = fc.oneof(
    fc.string({ unit: fc.constantFrom(...'AQgwEIz09+/=-_ \n\u00e9\u0141\u{1f600}'), maxLength: 12 }),
    fc.constantFrom('eA==eA==', 'eB==', 'ab=d', '=', '====', 'A'.repeat(1_028), 'A'.repeat(20_000)),
    fc.string({ unit: 'binary' }),
  );
  const member = fc.oneof({ weight: 40, arbitrary: good }, { weight: 1, arbitrary: odd });
  const structures = fc.oneof(
    fc.array(fc.record({ Data: member, Other: member }, { requiredKeys: [] }), { maxLength: 12 }),
    // Several pieces, each with something that is no base64 or not.
    fc.array(member, { minLength: 300, maxLength: 600 }).map((texts) => texts.map((Data) => ({ Data }))),
    fc.array(fc.oneof(fc.jsonValue(), fc.record({ Data: fc.jsonValue() })), { maxLength: 5 }),
  );
  fc.assert(
    fc.property(structures, (given) => {
      const decoded = structuredClone(given);
      decodeSmallMembers(decoded, 'Data');
      const outcome = (list: readonly unknown[]): unknown[] =>
        list.map((one) => {
          if (typeof one !== 'object' || one === null || !('Data' in one)) return one;
          const bytes = jsonFormat.blobOf(one.Data);
          return { ...one, Data: bytes === undefined ? one.Data : Buffer.from(bytes).toString('hex') };
        });
      expect(outcome(decoded)).toEqual(outcome(given));
    }),
    { numRuns: 60 },
  );
});

test('one that is no base64 leaves those of its piece to be decoded alone, and no others', () => {
  const structures = Array.from({ length: 600 }, () => ({ Data: 'A'.repeat(100) as string | Uint8Array }));
  structures[0] = { Data: '%%%%' };
  decodeSmallMembers(structures, 'Data');
  expect(structures[1]?.Data).toBe('A'.repeat(100));
  expect(structures[599]?.Data).toEqual(new Uint8Array(75));
});
