import fc from 'fast-check';
import { expect, test } from 'vitest';
import { base64Fault, decodeBase64 } from './base64.ts';

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
