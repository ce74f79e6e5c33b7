import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UsageError } from './errors.ts';
import { formatMultiStream, parseMultiStream, parseStream, streamAddress, streamArnOf } from './stream.ts';

const nameUnits = fc.constantFrom(...'abcXYZ019_.-');
const names = fc.string({ unit: nameUnits, minLength: 1, maxLength: 128 });
const accounts = fc.string({ unit: fc.constantFrom(...'0123456789'), minLength: 12, maxLength: 12 });
const arns = fc
  .tuple(
    fc.constantFrom('aws', 'aws-cn', 'aws-us-gov', 'aws-iso-b'),
    fc.constantFrom('eu-central-1', 'cn-north-1'),
    accounts,
    names,
  )
  .map(([partition, region, accountId, streamName]) => ({
    streamArn: `arn:${partition}:kinesis:${region}:${accountId}:stream/${streamName}`,
    region,
    accountId,
    streamName,
  }));

describe('parseStream', () => {
  test('takes a name', () => {
    fc.assert(
      fc.property(names, (name) => {
        expect(parseStream(name)).toEqual({ streamName: name });
      }),
    );
  });

  test('takes an ARN apart', () => {
    fc.assert(
      fc.property(arns, (stream) => {
        expect(parseStream(stream.streamArn)).toEqual(stream);
      }),
    );
  });

  test('refuses everything else, naming the field', () => {
    const wrong = [
      '',
      ' orders',
      'orders\n',
      'a/b',
      'ä',
      'x'.repeat(129),
      'arn:aws:kinesis:eu-central-1:123456789012:stream/',
      'arn:aws:kinesis:eu-central-1:12345678901:stream/orders',
      'arn:aws:dynamodb:eu-central-1:123456789012:table/orders',
      'arn:aws:kinesis:eu-central-1:123456789012:stream/orders/consumer/billing:1700000000',
      undefined,
      null,
      7,
      {},
    ];
    for (const value of wrong) expect(() => parseStream(value as string), String(value)).toThrow(UsageError);
    expect(() => parseStream('a b', 'streams[1]')).toThrow(/^streams\[1\]: expected a stream name .* got "a b"$/);
  });
});

test('streamAddress prefers the ARN, which reaches other accounts', () => {
  expect(streamAddress(parseStream('orders'))).toEqual({ StreamName: 'orders' });
  const arn = 'arn:aws:kinesis:eu-central-1:123456789012:stream/orders';
  expect(streamAddress(parseStream(arn))).toEqual({ StreamARN: arn });
});

describe('the multi-stream identifier', () => {
  test('reads what it writes', () => {
    fc.assert(
      fc.property(accounts, names, fc.integer({ min: 1, max: 4e9 }), (accountId, streamName, creationEpochSeconds) => {
        const stream = { accountId, streamName, creationEpochSeconds };
        expect(parseMultiStream(formatMultiStream(stream))).toEqual(stream);
      }),
    );
  });

  test('is the form of the KCL', () => {
    expect(
      formatMultiStream({ accountId: '123456789012', streamName: 'orders', creationEpochSeconds: 1700000000 }),
    ).toBe('123456789012:orders:1700000000');
  });

  test('refuses everything else', () => {
    const wrong = [
      '',
      'orders',
      '1:orders',
      '1:orders:0',
      '1:orders:-5',
      '1:orders:x',
      'a:orders:5',
      '1:a:b:5',
      '1::5',
      7,
    ];
    for (const value of wrong) expect(() => parseMultiStream(value as string), String(value)).toThrow(UsageError);
  });
});

test.each([
  ['eu-central-1', 'aws'],
  ['cn-north-1', 'aws-cn'],
  ['us-gov-west-1', 'aws-us-gov'],
  ['us-isob-east-1', 'aws-iso-b'],
])('the ARN of a stream in %s is of the partition %s, and is read back', (region, partition) => {
  const stream = { region, accountId: '123456789012', streamName: 'orders' };
  const streamArn = streamArnOf(stream);
  expect(streamArn).toBe(`arn:${partition}:kinesis:${region}:123456789012:stream/orders`);
  expect(parseStream(streamArn)).toEqual({ ...stream, streamArn });
});
