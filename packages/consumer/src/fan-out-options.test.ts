// What may be said of enhanced fan-out, and what is refused.
import { describe, expect, it } from 'vitest';
import type { ConsumerOptions, StreamConfig } from './consumer-options.ts';
import { resolveOptions } from './options.ts';

const ARN = 'arn:aws:kinesis:eu-central-1:123456789012:stream/orders/consumer/billing:1700000000';
const STREAM_ARN = 'arn:aws:kinesis:eu-central-1:123456789012:stream/orders';
const several = (...streams: readonly StreamConfig[]): Partial<ConsumerOptions> =>
  ({ retrievalMode: 'fanout', streams, stream: undefined }) as never;
const read = (options: Partial<ConsumerOptions>): ReturnType<typeof resolveOptions> =>
  resolveOptions({ application: 'billing', stream: 'orders', ...options }, 'host');

describe('retrievalMode', () => {
  it('is polling by default, with nothing of fan-out', () => {
    expect(read({}).fanOut).toBeUndefined();
    expect(read({ retrievalMode: 'polling' }).fanOut).toBeUndefined();
  });

  it('fanout: a registered consumer of the application’s name, no polling meanwhile, 15 s of silence', () => {
    expect(read({ retrievalMode: 'fanout' }).fanOut).toEqual({
      consumerName: 'billing',
      consumerArn: undefined,
      fallbackToPolling: false,
      subscriptionTimeoutMs: 15_000,
      client: undefined,
    });
  });

  it('takes an ARN for one stream, and for each of several', () => {
    expect(read({ retrievalMode: 'fanout', consumerArn: ARN }).fanOut?.consumerArn).toBe(ARN);
    expect(read({ retrievalMode: 'fanout', consumerArn: ARN, stream: STREAM_ARN }).fanOut?.consumerArn).toBe(ARN);
    for (const stream of ['orders', STREAM_ARN, '123456789012:orders:1700000000'])
      expect(() => read(several({ stream, consumerArn: ARN }))).not.toThrow();
  });

  it.each<[string, Partial<ConsumerOptions>, RegExp]>([
    [
      'an unknown mode',
      { retrievalMode: 'push' as never },
      /^retrievalMode: expected 'polling' or 'fanout', got "push"/,
    ],
    [
      'a consumer while polling',
      { consumerName: 'x' },
      /^consumerName: expected retrievalMode: 'fanout' beside it, got undefined/,
    ],
    [
      'a fallback while polling',
      { retrievalMode: 'polling', fallbackToPolling: true },
      /^fallbackToPolling: expected retrievalMode: 'fanout' beside it, got "polling"/,
    ],
    [
      'a name and an ARN',
      { retrievalMode: 'fanout', consumerName: 'x', consumerArn: ARN },
      /^consumerArn: expected either/,
    ],
    [
      'an ARN of a stream',
      { retrievalMode: 'fanout', consumerArn: ARN.slice(0, 58) },
      /^consumerArn: expected a registered/,
    ],
    [
      'an ARN of another stream’s consumer',
      { stream: 'clicks', retrievalMode: 'fanout', consumerArn: ARN },
      /^consumerArn: expected a registered consumer of the stream beside it, clicks, got one of arn:aws:kinesis:eu-central-1:123456789012:stream\/orders$/,
    ],
    [
      'one of another account',
      { stream: STREAM_ARN.replace('123456789012', '000000000000'), retrievalMode: 'fanout', consumerArn: ARN },
      /^consumerArn: expected a registered consumer of the stream beside it, arn:aws:kinesis:eu-central-1:000000000000:stream/,
    ],
    [
      'one of another region',
      { stream: STREAM_ARN.replace('eu-central-1', 'us-east-1'), retrievalMode: 'fanout', consumerArn: ARN },
      /^consumerArn: expected a registered consumer of the stream beside it, arn:aws:kinesis:us-east-1/,
    ],
    [
      'one of another of several streams',
      several({ stream: 'orders' }, { stream: 'clicks', consumerArn: ARN }),
      /^streams\[1\]\.consumerArn: expected a registered consumer of the stream beside it, clicks, got/,
    ],
    [
      'one of another account’s of several streams',
      several({ stream: '000000000000:orders:1700000000', consumerArn: ARN }),
      /^streams\[0\]\.consumerArn: expected .*, orders in account 000000000000, got/,
    ],
    ['a name with a blank', { retrievalMode: 'fanout', consumerName: 'a b' }, /^consumerName: expected a registered/],
    [
      'too short a silence',
      { retrievalMode: 'fanout', subscriptionTimeoutMs: 1 },
      /^subscriptionTimeoutMs: expected a whole/,
    ],
  ])('refuses %s', (_what, options, message) => {
    expect(() => read(options)).toThrow(message);
  });
});
