// How tables are made: the KCL's names and defaults, and what DynamoDB would refuse refused at once.
import { UsageError } from '@shardline/common';
import { describe, expect, it } from 'vitest';
import type { ConsumerOptions } from './consumer-options.ts';
import { resolveOptions } from './options.ts';

const resolve = (options: object = {}) =>
  resolveOptions({ application: 'billing', stream: 'orders', ...options } as ConsumerOptions, 'host').tableSettings;

describe('the options about tables', () => {
  it('are the KCL’s defaults: on demand, not protected, no recovery, no tags', () => {
    expect(resolve()).toEqual({
      throughput: undefined,
      deletionProtection: false,
      pointInTimeRecovery: false,
      tags: {},
    });
  });

  it('provision 10 units of each kind unless told otherwise, as the KCL does', () => {
    const billingMode = 'PROVISIONED';
    expect(resolve({ billingMode }).throughput).toEqual({ readCapacity: 10, writeCapacity: 10 });
    const capacities = { initialLeaseTableReadCapacity: 3, initialLeaseTableWriteCapacity: 4 };
    expect(resolve({ billingMode, ...capacities }).throughput).toEqual({ readCapacity: 3, writeCapacity: 4 });
  });

  it('take protection, recovery and several tags', () => {
    const tags = { team: 'billing', stage: '' };
    expect(resolve({ leaseTableDeletionProtectionEnabled: true, leaseTablePitrEnabled: true, tags })).toMatchObject({
      deletionProtection: true,
      pointInTimeRecovery: true,
      tags,
    });
  });

  it.each<[string, object, string, string]>([
    [
      'another billing mode',
      { billingMode: 'FREE' },
      'billingMode',
      "'PAY_PER_REQUEST' or 'PROVISIONED', got \"FREE\"",
    ],
    ['no capacity', { initialLeaseTableReadCapacity: 0 }, 'initialLeaseTableReadCapacity', 'from 1 on, got 0'],
    ['a flag that is none', { leaseTablePitrEnabled: 'yes' }, 'leaseTablePitrEnabled', 'true or false, got "yes"'],
    ['tags in a list', { tags: [{ Key: 'a', Value: 'b' }] }, 'tags', 'an object of texts by key'],
    ['a tag that is no text', { tags: { a: 5 } }, 'tags.a', 'up to 256 characters, got 5'],
    ['a tag of AWS’s own', { tags: { 'aws:a': 'b' } }, 'tags', "don't begin with aws:"],
    ['a key too long', { tags: { ['k'.repeat(129)]: 'b' } }, 'tags', 'keys of 1 to 128 characters'],
    [
      'too many tags',
      { tags: Object.fromEntries(Array.from({ length: 51 }, (_, n) => [`k${n}`, 'v'])) },
      'tags',
      'expected at most 50, got 51',
    ],
  ])('refuse %s', (_, options, field, text) => {
    const call = (): unknown => resolve(options);
    expect(call).toThrow(UsageError);
    expect(call).toThrow(expect.objectContaining({ field, message: expect.stringContaining(text) }));
  });
});
