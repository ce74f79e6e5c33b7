import { type Logger, OperatingError, silentLogger } from '@shardline/common';
import { ManualClock } from '@shardline/local';
import { expect, test } from 'vitest';
import { Failures } from './failures.ts';
import { HandlerThrew } from './handler-threw.ts';

type Line = readonly [level: string, text: string | undefined];

function scene(): { clock: ManualClock; failures: Failures; lines: Line[] } {
  const clock = new ManualClock();
  const lines: Line[] = [];
  const at =
    (level: string) =>
    (_fields: object, text?: string): void => {
      lines.push([level, text]);
    };
  const logger: Logger = {
    ...silentLogger,
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
  };
  return { clock, lines, failures: new Failures({ clock, logger, patienceMs: 3_000 }) };
}

const away = new OperatingError('LEASE_TABLE_UNAVAILABLE', 'no answer', { retryable: true });
const denied = new OperatingError('ACCESS_DENIED', 'no', {
  retryable: false,
  action: 'dynamodb:UpdateItem',
  resource: 'table billing',
});

test('what may pass is a note at first, a warning once it lasts, then one a minute, and its end is told', () => {
  const { clock, failures, lines } = scene();
  for (let second = 0; second <= 130; second += 1) {
    failures.failed('renewLease', 'a', away, 100);
    clock.advance(1_000);
  }
  const loud = lines.filter(([level]) => level !== 'debug');
  expect(loud.map(([level]) => level)).toEqual(['info', 'warn', 'warn', 'warn']);
  expect(failures.troubles()).toMatchObject([
    { step: 'renewLease', code: 'LEASE_TABLE_UNAVAILABLE', failureCount: 131, leaseCount: 1, since: new Date(1.7e12) },
  ]);
  failures.worked('renewLease', 'a');
  expect(lines.at(-1)).toEqual(['info', 'renewing a lease (renewLease) works again']);
  expect(failures.troubles()).toEqual([]);
});

test('what passes in time is never more than a note', () => {
  const { clock, failures, lines } = scene();
  for (let failure = 0; failure < 20; failure += 1) {
    failures.failed('fetchBatch', 'a', away, 100);
    clock.advance(1_000);
    failures.worked('fetchBatch', 'a');
  }
  expect(new Set(lines.map(([level]) => level))).toEqual(new Set(['info']));
  expect(failures.troubles()).toEqual([]);
});

test('a missing permission is an error at once that names the action and the resource, one for all leases', () => {
  const { failures, lines } = scene();
  for (const leaseKey of ['a', 'b', 'c']) failures.failed('renewLease', leaseKey, denied, 100);
  expect(lines).toEqual([['error', expect.stringContaining('allow dynamodb:UpdateItem on table billing')]]);
  expect(failures.troubles()).toMatchObject([
    { action: 'dynamodb:UpdateItem', resource: 'table billing', leaseCount: 3 },
  ]);
  failures.worked('renewLease', 'a');
  failures.forget('b');
  expect(failures.troubles()).toMatchObject([{ leaseCount: 1 }]);
  failures.worked('renewLease', 'c');
  expect(failures.troubles()).toEqual([]);
});

test('of several streams one that is listed says nothing of the others', () => {
  const { failures, lines } = scene();
  for (const stream of ['1:a:1', '1:b:1']) failures.failed('listShards', stream, denied, 100);
  expect(failures.troubles()).toMatchObject([{ step: 'listShards', leaseCount: 0 }]);
  failures.worked('listShards', '1:a:1');
  expect(failures.troubles()).toHaveLength(1);
  expect(lines).toHaveLength(1);
  failures.worked('listShards', '1:b:1');
  expect(failures.troubles()).toEqual([]);
  expect(lines.at(-1)).toEqual(['info', 'listing the shards of a stream (listShards) works again']);
});

test('what fails until its lease has left is not said to work again', () => {
  const { failures, lines } = scene();
  for (const leaseKey of ['a', 'b']) failures.failed('renewLease', leaseKey, denied, 100);
  failures.worked('renewLease', 'a');
  failures.forget('b');
  expect(lines.at(-1)).toEqual([
    'info',
    'renewing a lease (renewLease) has ended: the last lease that it failed for is no longer with this worker',
  ]);
});

test('what the handler threw is told at once, by the word that threw and for which shard, as the handler’s', () => {
  const { failures, lines } = scene();
  const refused = new OperatingError('THROTTLED', 'cannot connect to postgres', { retryable: true });
  failures.failed('openShard', 'a', new HandlerThrew('initialize', refused), 100);
  const told =
    "the handler's initialize throws for a since 2023-11-14T22:13:20.000Z: OperatingError: cannot connect to postgres; it is called again";
  expect(lines).toEqual([['error', told]]);
  expect(failures.troubles()).toMatchObject([{ step: 'openShard', code: 'OperatingError', text: told }]);
  failures.worked('openShard', 'a');
  expect(lines.at(-1)).toEqual(['info', 'opening a shard (openShard) works again']);
  failures.failed('drainShard', 'a', new HandlerThrew('shutdownRequested', 'no'), 0);
  expect(lines.at(-1)).toEqual([
    'error',
    expect.stringMatching(/shutdownRequested throws for a .*: string: no; the lease is given up/),
  ]);
});

test('one trouble of many shards says of how many, and by the first one as long as that fails', () => {
  const { clock, failures } = scene();
  const errorOf = (leaseKey: string): OperatingError =>
    new OperatingError('TIMEOUT', `no read of ${leaseKey}`, { retryable: true, action: 'kinesis:GetRecords' });
  for (let second = 0; second < 5; second += 1) {
    for (const leaseKey of ['a', 'b', 'c']) failures.failed('fetchBatch', leaseKey, errorOf(leaseKey), 100);
    clock.advance(1_000);
  }
  const text = (): string | undefined => failures.troubles()[0]?.text;
  expect(text()).toMatch(
    /^reading a shard \(fetchBatch\) fails for 3 shards, first a since .*\(no read of a\); it is tried again$/,
  );
  failures.worked('fetchBatch', 'a');
  expect(text()).toMatch(/ fails for 2 shards, first b since .*\(no read of b\)/);
  failures.forget('b');
  expect(text()).toMatch(/ fails for c since .*\(no read of c\)/);
});

test('a key that the service does not know is no missing permission', () => {
  const { failures } = scene();
  const cause = Object.assign(new Error('invalid'), { name: 'UnrecognizedClientException' });
  const unknown = new OperatingError('ACCESS_DENIED', 'no', { retryable: false, action: 'dynamodb:UpdateItem', cause });
  failures.failed('renewLease', 'a', unknown, 100);
  expect(failures.troubles()[0]?.text).toMatch(
    /: the AWS credentials are not accepted: .* Put it right; it is tried again$/,
  );
});

test('a failure that names no call is told without one', () => {
  const { failures } = scene();
  const late = new OperatingError('TIMEOUT', 'readTable took longer than 60000 ms', { retryable: false });
  failures.failed('readTable', undefined, late, 100);
  expect(failures.troubles()[0]?.text).toMatch(
    /: no good answer \(readTable took longer than 60000 ms\); it is tried again$/,
  );
});

test('credentials that are of no use are warned of at once, with since when and what to do', () => {
  const { failures, lines } = scene();
  const cause = Object.assign(new Error('expired'), { $metadata: { httpStatusCode: 400 } });
  const expired = new OperatingError('CREDENTIALS_UNAVAILABLE', 'expired', { retryable: true, cause });
  failures.failed('discoverLeases', undefined, expired, 100);
  expect(lines).toEqual([['warn', expect.stringMatching(/since 2023-11-14T22:13:20.000Z: .*Renew them/)]]);
});

test.each([
  ['findStream', 'fetchBatch', 'renewLease'],
  ['readStream', 'listShards', 'readTable'],
  ['renewLease', 'checkpointLease', 'findStream'],
] as const)(
  'credentials that %s finds expired are good again once %s works, and not when %s does',
  (failing, same, other) => {
    const { failures } = scene();
    const expired = new OperatingError('CREDENTIALS_UNAVAILABLE', 'expired', { retryable: true });
    failures.failed(failing, 'a', expired, 100);
    failures.worked(other, 'b');
    expect(failures.troubles()).toMatchObject([{ step: failing }]);
    failures.worked(same, 'b');
    expect(failures.troubles()).toEqual([]);
  },
);

test('what comes and goes is told of as often as what lasts, once a minute', () => {
  const { clock, failures, lines } = scene();
  const expired = new OperatingError('CREDENTIALS_UNAVAILABLE', 'expired', { retryable: true });
  for (let second = 0; second < 130; second += 1) {
    // Of two calls under way while the credentials change one is refused, and one is not.
    failures.failed('checkpointLease', 'a', expired, 100);
    failures.worked('renewLease', 'a');
    expect(failures.troubles()).toEqual([]);
    clock.advance(1_000);
  }
  expect(lines.map(([level]) => level)).toEqual(['warn', 'info', 'warn', 'info', 'warn', 'info']);
  expect(lines[1]).toEqual(['info', 'writing a checkpoint (checkpointLease) works again']);
});

test('what is not tried again any more is forgotten, and a single failure never becomes a trouble by waiting', () => {
  const { clock, failures, lines } = scene();
  failures.failed('handOffLease', 'a', away, 100);
  clock.advance(60_000);
  expect(failures.troubles()).toEqual([]);
  failures.failed('handOffLease', 'b', denied, 100);
  expect(failures.troubles()).toHaveLength(1);
  clock.advance(60_100);
  expect(failures.troubles()).toEqual([]);
  // It was told, so its end is, too, once.
  expect(failures.troubles()).toEqual([]);
  expect(lines.slice(-2)).toEqual([
    ['error', expect.stringContaining('beginning a handoff (handOffLease) fails since')],
    ['info', 'beginning a handoff (handOffLease) has not failed again'],
  ]);
});

test('who sees another one lead is rid of what failed for the leader, and of nothing else', () => {
  const { failures, lines } = scene();
  failures.failed('listShards', undefined, denied, 100);
  failures.failed('renewLease', 'a', denied, 100);
  failures.anotherLeads();
  expect(failures.troubles()).toMatchObject([{ step: 'renewLease' }]);
  expect(lines.at(-1)).toEqual([
    'info',
    'listing the shards of a stream (listShards) is left to the worker that leads now',
  ]);
});

const inUse = new OperatingError('SHARD_IN_USE', 'subscribed to', {
  retryable: true,
  action: 'kinesis:SubscribeToShard',
  resource: 'arn:aws:kinesis:us-east-1:1:stream/orders/consumer/billing:1',
});

test('the rest of a few seconds after a restart is no trouble and no more than a note, of however many shards', () => {
  const { clock, failures, lines } = scene();
  for (let lease = 0; lease < 10; lease += 1) {
    for (let second = 0; second < 6; second += 1) {
      failures.failed('fetchBatch', `${lease}`, inUse, 1_000);
      expect(failures.troubles()).toEqual([]);
      clock.advance(1_000);
    }
    failures.worked('fetchBatch', `${lease}`);
  }
  expect(lines.filter(([level]) => level !== 'debug')).toEqual(
    Array.from({ length: 10 }, () => ['info', expect.stringContaining('the shard rests until')]),
  );
});

test.each([
  ['never', 0],
  ['for 6 s of 12, as of two that take it from each other', 6],
])(
  'who is read by somebody else by the same consumer is told with a sentence of its own: read %s',
  (_, readSeconds) => {
    const { clock, failures, lines } = scene();
    const since = new Date(clock.wallNow());
    for (let second = 0; second < 48; second += 1) {
      if (second % 12 < 12 - readSeconds) failures.failed('fetchBatch', 'a', inUse, 1_000);
      else failures.worked('fetchBatch', 'a');
      clock.advance(1_000);
    }
    expect(failures.troubles()).toMatchObject([
      {
        step: 'fetchBatch',
        code: 'SHARD_IN_USE',
        since,
        leaseCount: 1,
        advice: expect.stringMatching(/^somebody else .*consumer\/billing:1, .*consumerName/),
      },
    ]);
    expect(lines.filter(([level]) => level === 'warn')).toHaveLength(1);
    clock.advance(30_000);
    failures.worked('fetchBatch', 'a');
    expect(failures.troubles()).toEqual([]);
    expect(lines.at(-1)).toEqual(['info', 'reading a shard (fetchBatch) works again']);
  },
);

test('a shard that went to another worker is in nobody’s way any more', () => {
  const { clock, failures } = scene();
  for (let second = 0; second < 25; second += 1) {
    failures.failed('fetchBatch', 'a', inUse, 1_000);
    clock.advance(1_000);
  }
  expect(failures.troubles()).toHaveLength(1);
  failures.forget('a');
  expect(failures.troubles()).toEqual([]);
});

test('a stream with as many registered consumers as it may have is told as that, not as throttled', () => {
  const { clock, failures } = scene();
  const full = new OperatingError('TOO_MANY_CONSUMERS', 'stream orders takes no further: deregister one', {
    retryable: true,
  });
  for (let second = 0; second < 5; second += 1) {
    failures.failed('opening', undefined, full, 1_000);
    clock.advance(1_000);
  }
  expect(failures.troubles()[0]?.text).toMatch(/: stream orders takes no further: deregister one; it is tried again$/);
});
