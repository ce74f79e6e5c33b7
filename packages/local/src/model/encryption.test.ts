import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  checkKeyId,
  type EncryptionMark,
  isEncryptedAt,
  MAX_ENCRYPTION_CHANGES_PER_DAY,
  marked,
  NOT_ENCRYPTED,
  withKey,
} from './encryption.ts';
import { KinesisError } from './errors.ts';

const HOUR_MS = 3_600_000;

test.each([
  '12345678-1234-1234-1234-123456789012',
  'mrk-1234abcd12ab34cd56ef1234567890ab',
  'arn:aws:kms:us-east-1:123456789012:key/12345678-1234-1234-1234-123456789012',
  'arn:aws-cn:kms:cn-north-1:123456789012:alias/MyAliasName',
  'alias/MyAliasName',
  'alias/aws/kinesis',
])('%s is a KeyId', (keyId) => {
  expect(() => checkKeyId(keyId)).not.toThrow();
});

test.each(['', 'key', 'aws/kinesis', 'alias/', 'arn:aws:kms:us-east-1:1:key/x', 'arn:aws:s3:::bucket', 'alias/a b'])(
  '%j is no KeyId',
  (keyId) => {
    expect(() => checkKeyId(keyId)).toThrow(KinesisError);
  },
);

test('the key that it has, or none when it has none, is no change', () => {
  expect(withKey(NOT_ENCRYPTED, null, true, 0)).toBe(NOT_ENCRYPTED);
  const encrypted = withKey(NOT_ENCRYPTED, 'alias/a', true, 0);
  expect(withKey(encrypted, 'alias/a', true, 1)).toBe(encrypted);
});

test('a new key is applied 25 times in a rolling 24 hours, and stopping counts for itself', () => {
  let encryption = NOT_ENCRYPTED;
  for (let change = 0; change < MAX_ENCRYPTION_CHANGES_PER_DAY; change++) {
    encryption = withKey(encryption, `alias/${change}`, true, change * HOUR_MS);
    encryption = withKey(encryption, null, true, change * HOUR_MS);
  }
  expect([encryption.appliedMs.length, encryption.stoppedMs.length]).toEqual([24, 24]);
  const busy = Array.from({ length: 25 }, (_, index) => index).reduce(
    (before, index) => withKey(before, `alias/${index}`, true, index),
    NOT_ENCRYPTED,
  );
  expect(() => withKey(busy, 'alias/new', true, 24 * HOUR_MS - 1)).toThrow('25 times in a rolling 24-hour period');
  expect(withKey(busy, 'alias/new', true, 24 * HOUR_MS).keyId).toBe('alias/new');
  expect(withKey(busy, 'alias/new', false, 25).keyId).toBe('alias/new');
  expect(withKey(busy, null, true, 25).keyId).toBeNull();
});

test('the marks know of each record whether it was put while encryption was on, however it was switched and trimmed', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('put' as const), count: fc.integer({ min: 1, max: 5 }) }),
    fc.record({ kind: fc.constant('switch' as const), encrypted: fc.boolean() }),
    fc.record({ kind: fc.constant('trim' as const), count: fc.integer({ min: 0, max: 5 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const twin: boolean[] = [];
      let marks: readonly EncryptionMark[] = [];
      let isOn = false;
      let firstCounter = 1;
      for (const one of steps) {
        if (one.kind === 'put') for (let put = 0; put < one.count; put++) twin.push(isOn);
        else if (one.kind === 'trim') firstCounter = Math.min(firstCounter + one.count, twin.length + 1);
        else {
          isOn = one.encrypted;
          marks = marked(marks, isOn, twin.length + 1, firstCounter);
        }
      }
      for (let counter = firstCounter; counter <= twin.length; counter++) {
        expect(isEncryptedAt(marks, counter)).toBe(twin[counter - 1]);
      }
    }),
  );
});
