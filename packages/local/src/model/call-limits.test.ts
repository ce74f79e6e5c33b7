// How often each operation may be called. The sentences of its page stand beside the numbers in call-limits.ts; here they are told
// from each other by what is refused.
import { expect, test } from 'vitest';
import { CALL_LIMITS, type CallLimit, CallLimits, type CallSubject } from './call-limits.ts';
import { KinesisError } from './errors.ts';

const t0 = 1_700_000_000_000;
const subject = { streamName: 'orders', consumerName: 'billing', shardId: 'shardId-000000000000' };
const others: Readonly<Record<CallLimit['scope'], CallSubject>> = {
  account: {},
  stream: { ...subject, streamName: 'others' },
  shard: { ...subject, shardId: 'shardId-000000000001' },
  'consumer and shard': { ...subject, consumerName: 'shipping' },
};

function refusal(call: () => void): KinesisError | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    if (error instanceof KinesisError) return error;
    throw error;
  }
}

test.each(Object.entries(CALL_LIMITS))('%s: so many a second, and the next one is refused', (operation, limit) => {
  const { perSecond, scope } = limit;
  const limits = new CallLimits('000000000000');
  const call = (about: CallSubject, now: number) => refusal(() => limits.admit(operation, about, now));
  for (let made = 0; made < perSecond; made++) expect(call(subject, t0)).toBeUndefined();
  const refused = call(subject, t0);
  if (operation === 'GetShardIterator') {
    expect(refused).toMatchObject({
      type: 'ProvisionedThroughputExceededException',
      message: 'Rate exceeded for shard shardId-000000000000 in stream orders under account 000000000000.',
    });
  } else {
    expect(refused).toMatchObject({
      type: 'LimitExceededException',
      message: 'Rate exceeded for stream orders under account 000000000000.',
    });
  }
  // What another stream, shard or consumer does is its own matter, unless the whole account shares.
  expect(call(others[scope], t0) === undefined).toBe(scope !== 'account');
  expect(call(subject, t0 + 1000 / perSecond)).toBeUndefined();
});

test('a call that names no stream is told of the account', () => {
  const limits = new CallLimits('123456789012');
  limits.admit('DescribeLimits', {}, t0);
  expect(refusal(() => limits.admit('DescribeLimits', {}, t0 + 999))?.message).toBe(
    'Rate exceeded for account 123456789012.',
  );
});

test('a paced caller is never refused, and operations without a limit never are', () => {
  const limits = new CallLimits('000000000000');
  for (let call = 0; call < 100; call++) {
    limits.admit('DescribeStream', subject, t0 + call * 100);
    limits.admit('PutRecords', subject, t0);
  }
  expect(limits.size).toBe(1);
});

test('calls about ever new streams leave nothing behind', () => {
  const limits = new CallLimits('000000000000');
  for (let call = 0; call < 50_000; call++) {
    limits.admit('ListStreamConsumers', { streamName: `stream-${call}` }, t0 + call);
    expect(limits.size).toBeLessThanOrEqual(10_000);
  }
  limits.clear();
  expect(limits.size).toBe(0);
});
