import { type StreamIdentifier, UsageError } from '@shardline/common';
import { describe, expect, test } from 'vitest';
import type { Failure } from './put.ts';
import { type Drives, Streams } from './streams.ts';

const OWN_ARN = 'arn:aws:kinesis:eu-west-1:111111111111:stream/orders';
const FOREIGN_ARN = 'arn:aws:kinesis:eu-west-1:222222222222:stream/orders';

/** A driver that is told how many records it has. */
class Idle implements Drives {
  readonly stream: StreamIdentifier;
  outstandingCount = 0;
  lastSequence = 0;
  stopped = false;
  failure: Failure | undefined;

  constructor(stream: StreamIdentifier) {
    this.stream = stream;
  }

  abandon(failure: Failure): void {
    this.failure = failure;
    this.outstandingCount = 0;
  }

  stop(): void {
    this.stopped = true;
  }
}

function streamsOf(options: { readonly defaultStream?: string; readonly maxStreamCount?: number } = {}): {
  readonly streams: Streams<Idle>;
  readonly forgotten: Idle[];
} {
  const { defaultStream, maxStreamCount = 100 } = options;
  const forgotten: Idle[] = [];
  const streams = new Streams<Idle>({
    defaultStream,
    maxStreamCount,
    make: (stream) => new Idle(stream),
    onForgotten: (driver) => forgotten.push(driver),
  });
  return { streams, forgotten };
}

function driverOf(streams: Streams<Idle>, word?: string): Idle {
  const driver = streams.driverOf(word);
  if (!(driver instanceof Idle)) throw new Error(driver.message);
  return driver;
}

test('a put goes to the stream that it names, else to the default, and each has one driver', () => {
  const { streams } = streamsOf({ defaultStream: 'orders' });
  const orders = driverOf(streams);
  const clicks = driverOf(streams, 'clicks');
  expect(clicks).not.toBe(orders);
  expect(clicks.stream).toEqual({ streamName: 'clicks' });
  expect(driverOf(streams, 'orders')).toBe(orders);
  expect(driverOf(streams, 'clicks')).toBe(clicks);
  expect(streams.all()).toEqual([orders, clicks]);
});

test('what names no stream is refused at the call', () => {
  const { streams } = streamsOf();
  expect(() => streams.driverOf(undefined)).toThrow(UsageError);
  expect(() => streams.driverOf(undefined)).toThrow('stream: expected a name or an ARN with each record');
  expect(() => streams.driverOf('no spaces')).toThrow(UsageError);
  expect(streams.all()).toEqual([]);
});

test('without a region what was taken is abandoned, and nothing more is', () => {
  const { streams } = streamsOf();
  driverOf(streams, 'orders');
  streams.hasNoRegion('client: expected a region');
  const failure = { code: 'REQUEST_FAILED', message: 'client: expected a region', retryable: false };
  expect(streams.all()).toEqual([]);
  expect(streams.driverOf('orders')).toEqual(failure);
  expect(streams.driverOf('clicks')).toEqual(failure);
});

describe('name and ARN', () => {
  test('lead to one driver as soon as a named stream has said its ARN', () => {
    const { streams } = streamsOf({ defaultStream: 'orders' });
    const orders = driverOf(streams);
    streams.arnIs(orders.stream, OWN_ARN);
    expect(driverOf(streams, OWN_ARN)).toBe(orders);
    expect(streams.of(OWN_ARN)).toEqual([orders]);
  });

  test('of a stream that was put to by its ARN first, too', () => {
    const { streams } = streamsOf();
    const orders = driverOf(streams, OWN_ARN);
    const clicks = driverOf(streams, 'clicks');
    streams.arnIs(clicks.stream, 'arn:aws:kinesis:eu-west-1:111111111111:stream/clicks');
    expect(driverOf(streams, 'orders')).toBe(orders);
    expect(streams.all()).toHaveLength(2);
  });

  test('of different accounts are different streams', () => {
    const { streams } = streamsOf({ defaultStream: 'orders' });
    const orders = driverOf(streams);
    streams.arnIs(orders.stream, OWN_ARN);
    expect(driverOf(streams, FOREIGN_ARN)).not.toBe(orders);
    // An answer about a stream given by ARN says nothing about whose the names are.
    const other = streamsOf();
    const foreign = driverOf(other.streams, FOREIGN_ARN);
    other.streams.arnIs(foreign.stream, FOREIGN_ARN);
    expect(driverOf(other.streams, 'orders')).not.toBe(foreign);
  });

  test('of which each had its driver before go on in one once the other has no record', () => {
    const { streams, forgotten } = streamsOf();
    const byName = driverOf(streams, 'orders');
    const byArn = driverOf(streams, OWN_ARN);
    expect(byArn).not.toBe(byName);
    byArn.outstandingCount = 1;
    streams.arnIs(byName.stream, OWN_ARN);
    expect(streams.of('orders')).toEqual([byName, byArn]);
    expect(driverOf(streams, OWN_ARN)).toBe(byArn);
    byArn.outstandingCount = 0;
    expect(driverOf(streams, OWN_ARN)).toBe(byName);
    expect(forgotten).toEqual([byArn]);
    expect(streams.of('orders')).toEqual([byName]);
  });
});

describe("an ARN of another region than the client's", () => {
  const elsewhere = 'arn:aws:kinesis:us-east-1:111111111111:stream/orders';

  test('is refused at the call', () => {
    const { streams } = streamsOf();
    streams.regionIs('eu-west-1');
    expect(() => streams.driverOf(elsewhere)).toThrow(UsageError);
    expect(() => streams.driverOf(elsewhere)).toThrow('eu-west-1');
    expect(driverOf(streams, OWN_ARN).stream.streamName).toBe('orders');
  });

  test('fails what was put before the region was known, and is refused from then on', () => {
    const { streams, forgotten } = streamsOf();
    const driver = driverOf(streams, elsewhere);
    const own = driverOf(streams, OWN_ARN);
    streams.regionIs('eu-west-1');
    expect(driver.failure).toMatchObject({ code: 'REQUEST_FAILED', retryable: false });
    expect(driver.failure?.message).toContain('us-east-1');
    expect(forgotten).toEqual([driver]);
    expect(driver.stopped).toBe(true);
    expect(() => streams.driverOf(elsewhere)).toThrow(UsageError);
    expect(driverOf(streams, OWN_ARN)).toBe(own);
  });
});

describe('past maxStreamCount', () => {
  test('the stream without a record that was put to longest ago is forgotten', () => {
    const { streams, forgotten } = streamsOf({ maxStreamCount: 3 });
    const [a, b, c] = ['a', 'b', 'c'].map((word) => driverOf(streams, word)) as [Idle, Idle, Idle];
    Object.assign(a, { lastSequence: 3, outstandingCount: 0 });
    Object.assign(b, { lastSequence: 1, outstandingCount: 1 });
    Object.assign(c, { lastSequence: 2, outstandingCount: 0 });
    const d = driverOf(streams, 'd');
    expect(forgotten).toEqual([c]);
    expect(c.stopped).toBe(true);
    expect(streams.all()).toEqual([a, b, d]);
    expect(driverOf(streams, 'c')).not.toBe(c);
  });

  test('a put to one more is refused while each has records', () => {
    const { streams } = streamsOf({ maxStreamCount: 1 });
    const a = driverOf(streams, 'a');
    a.outstandingCount = 1;
    expect(streams.driverOf('b')).toMatchObject({ code: 'BUFFER_FULL', retryable: true });
    expect(driverOf(streams, 'a')).toBe(a);
    a.outstandingCount = 0;
    expect(driverOf(streams, 'b').stream.streamName).toBe('b');
  });
});
