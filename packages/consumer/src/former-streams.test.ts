// Whose leases go when their stream is read no longer: the KCL's names, and a default that deletes nothing.
import { UsageError } from '@shardline/common';
import { expect, test } from 'vitest';
import type { ConsumerOptions } from './consumer-options.ts';
import { resolveOptions } from './options.ts';

const resolve = (options: object = {}) =>
  resolveOptions({ application: 'billing', streams: ['orders'], ...options } as ConsumerOptions, 'host').former;
const PROVIDED = 'PROVIDED_STREAMS_DEFERRED_DELETION';
const AUTO = 'FORMER_STREAMS_AUTO_DETECTION_DEFERRED_DELETION';
const NONE = 'NO_STREAMS_LEASES_DELETION';

test.each<[string, object, unknown]>([
  ['none, by default', {}, 'none'],
  ['all, once formerStreamsWaitMs is given', { formerStreamsWaitMs: 0 }, 'all'],
  [
    'none by that strategy, whatever the wait',
    { formerStreamsWaitMs: 0, formerStreamsLeasesDeletionStrategy: NONE },
    'none',
  ],
  ['all by that strategy', { formerStreamsLeasesDeletionStrategy: AUTO, formerStreamsWaitMs: 0 }, 'all'],
  [
    'those that a function names',
    { formerStreamsWaitMs: 0, formerStreamsLeasesDeletionStrategy: PROVIDED, formerStreams: async () => ['1:a:1'] },
    ['1:a:1'],
  ],
])('leases may go of %s', async (_, options, expected) => {
  expect(await resolve(options)()).toEqual(expected);
});

test.each<[string, object, string, string]>([
  [
    'another strategy',
    { formerStreamsLeasesDeletionStrategy: 'ALL' },
    'formerStreamsLeasesDeletionStrategy',
    'got "ALL"',
  ],
  ['the function without its strategy', { formerStreams: () => [] }, 'formerStreams', PROVIDED],
  [
    'the strategy without its function',
    { formerStreamsWaitMs: 0, formerStreamsLeasesDeletionStrategy: PROVIDED },
    'formerStreams',
    'a function',
  ],
  [
    'a strategy that deletes after no time that was given',
    { formerStreamsLeasesDeletionStrategy: AUTO },
    'formerStreamsWaitMs',
    `with formerStreamsLeasesDeletionStrategy '${AUTO}'`,
  ],
])('%s is refused', (_, options, field, text) => {
  expect(() => resolve(options)).toThrow(UsageError);
  expect(() => resolve(options)).toThrow(expect.objectContaining({ field, message: expect.stringContaining(text) }));
});

test('what the function gives is checked', async () => {
  const former = (listed: unknown) =>
    resolve({ formerStreamsWaitMs: 0, formerStreamsLeasesDeletionStrategy: PROVIDED, formerStreams: () => listed })();
  await expect(former(['orders'])).rejects.toThrow('formerStreams[0]: expected account:name:epoch');
  await expect(former('orders')).rejects.toThrow('formerStreams: expected a function that gives an array');
});
