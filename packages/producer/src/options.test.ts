import { UsageError } from '@shardline/common';
import { describe, expect, test } from 'vitest';
import { type ProducerOptions, resolveOptions } from './options.ts';

function usageError(options: unknown): UsageError {
  try {
    resolveOptions(options as ProducerOptions);
  } catch (error) {
    if (error instanceof UsageError) return error;
    throw error;
  }
  throw new Error('was accepted');
}

test("defaults are the KPL's (configuration of KPL 1.1)", () => {
  expect(resolveOptions({ stream: 'orders' })).toMatchObject({
    stream: { streamName: 'orders' },
    aggregationEnabled: true,
    aggregationMaxCount: 4_294_967_295,
    aggregationMaxSizeBytes: 51_200,
    collectionMaxCount: 500,
    collectionMaxSizeBytes: 5_242_880,
    recordMaxBufferedTimeMs: 100,
    recordTtlMs: 30_000,
    rateLimitPercent: 150,
    failIfThrottled: false,
    maxUserRecordSizeBytes: 1_048_576,
    requestTimeoutMs: 6_000,
    maxRequestsInFlight: 24,
  });
});

describe('a wrong option is named', () => {
  test.each([
    ['options', undefined],
    ['stream', { stream: '' }],
    ['stream', { stream: 'no spaces' }],
    ['stream', { stream: 'arn:aws:kinesis:eu-west-1:123456789012:stream/x/consumer/y:1' }],
    ['client', { stream: 's', client: 'http://localhost' }],
    ['logger', { stream: 's', logger: {} }],
    ['clock', { stream: 's', clock: {} }],
    ['random', { stream: 's', random: Math.random }],
    ['aggregationEnabled', { stream: 's', aggregationEnabled: 'yes' }],
    ['failIfThrottled', { stream: 's', failIfThrottled: 1 }],
    ['aggregationMaxCount', { stream: 's', aggregationMaxCount: 0 }],
    ['aggregationMaxSizeBytes', { stream: 's', aggregationMaxSizeBytes: 63 }],
    ['aggregationMaxSizeBytes', { stream: 's', aggregationMaxSizeBytes: 10_485_761 }],
    ['collectionMaxCount', { stream: 's', collectionMaxCount: 501 }],
    ['collectionMaxSizeBytes', { stream: 's', collectionMaxSizeBytes: 52_223 }],
    ['recordMaxBufferedTimeMs', { stream: 's', recordMaxBufferedTimeMs: -1 }],
    ['recordTtlMs', { stream: 's', recordTtlMs: 99 }],
    ['recordTtlMs', { stream: 's', recordTtlMs: Number.NaN }],
    ['rateLimitPercent', { stream: 's', rateLimitPercent: 0.5 }],
    ['maxUserRecordSizeBytes', { stream: 's', maxUserRecordSizeBytes: 63 }],
    ['requestTimeoutMs', { stream: 's', requestTimeoutMs: 99 }],
    ['maxRequestsInFlight', { stream: 's', maxRequestsInFlight: 257 }],
    ['maxStreamCount', { stream: 's', maxStreamCount: 0 }],
    ['maxOutstandingRecordCount', { stream: 's', maxOutstandingRecordCount: 0 }],
    ['maxOutstandingBytes', { stream: 's', maxOutstandingBytes: 1_000 }],
    ['recordTtl', { stream: 's', recordTtl: 1_000 }],
  ])('%s in %o', (field, options) => {
    expect(usageError(options).field).toBe(field);
  });

  test('with the name it was probably meant to be', () => {
    expect(usageError({ stream: 's', recordTtl: 1 }).message).toContain('did you mean recordTtlMs?');
    expect(usageError({ stream: 's', linger: 1 }).message).toContain('known are stream');
    expect(usageError({ streamName: 's' }).message).toContain('did you mean stream?');
    expect(usageError({ stream: 's', maxConnections: 8 }).message).toContain('did you mean maxRequestsInFlight?');
    expect(usageError({ stream: 's', region: 'eu-west-1' }).message).toContain('client: createKinesisClient(');
  });
});

test('an option given as undefined is one not given', () => {
  const options = { stream: 's', recordTtlMs: undefined, client: undefined } as unknown as ProducerOptions;
  expect(resolveOptions(options).recordTtlMs).toBe(30_000);
});
