import { OperatingError } from '@shardline/common';
import { expect, test } from 'vitest';
import type { Step } from './steps.ts';
import { reasonsOf, type Trouble, troubleOf } from './trouble.ts';

const START = Date.parse('2026-01-01T00:00:00Z');

function trouble(step: Step, error: OperatingError, sinceMs: number, leaseKeys: readonly string[] = ['']): Trouble {
  const failing = new Map(leaseKeys.map((key) => [key, error]));
  return troubleOf({ step, code: error.code, firstWallAt: START + sinceMs, failureCount: 1, failing });
}

const noAnswer = (code: 'TIMEOUT' | 'LEASE_TABLE_UNAVAILABLE', action: string): OperatingError =>
  new OperatingError(code, `${action} on table billing had no answer`, {
    retryable: true,
    action,
    resource: 'table billing',
  });
const denied = (action: string): OperatingError =>
  new OperatingError('ACCESS_DENIED', 'no', { retryable: false, action, resource: 'table billing' });

test('one outage is one sentence, with all that it stops, and the answer to what failed first', () => {
  const reasons = reasonsOf([
    trouble('readLeader', noAnswer('TIMEOUT', 'dynamodb:GetItem'), 2_000),
    trouble('renewLease', noAnswer('LEASE_TABLE_UNAVAILABLE', 'dynamodb:UpdateItem'), 1_000, ['a', 'b']),
    trouble('reportWorker', noAnswer('TIMEOUT', 'dynamodb:UpdateItem'), 3_000),
  ]);
  expect(reasons).toEqual([
    'renewing a lease (renewLease) for 2 shards, first a, looking who leads (readLeader) and ' +
      "writing this worker's metric row (reportWorker) fail since 2026-01-01T00:00:01.000Z: no good answer to " +
      'dynamodb:UpdateItem (dynamodb:UpdateItem on table billing had no answer); it is tried again',
  ]);
});

test('two permissions that are missing are two sentences, and an outage beside them a third', () => {
  const reasons = reasonsOf([
    trouble('readLeader', denied('dynamodb:GetItem'), 0),
    trouble('renewLease', denied('dynamodb:UpdateItem'), 0, ['a']),
    trouble('checkpointLease', denied('dynamodb:UpdateItem'), 0, ['a']),
    trouble('fetchBatch', new OperatingError('TIMEOUT', 'away', { retryable: true, resource: 'stream orders' }), 0, [
      'a',
    ]),
  ]);
  expect(reasons).toHaveLength(3);
  expect(reasons[1]).toMatch(/^renewing .* and writing a checkpoint .*: allow dynamodb:UpdateItem on table billing/);
});

test.each([
  ['a source that hangs', undefined, /^the source of the AWS credentials does not answer\. See to it/],
  [
    'one that throws',
    new TypeError('no file'),
    /^the source of the AWS credentials fails: TypeError: no file\. See to it/,
  ],
  [
    'a refusal of the service',
    Object.assign(new Error('expired'), { $metadata: { httpStatusCode: 400 } }),
    /^the AWS credentials have expired\. Renew them/,
  ],
])('credentials that are of no use are told by what is known of them: %s', (_, cause, advice) => {
  const error = new OperatingError('CREDENTIALS_UNAVAILABLE', 'no', { retryable: true, cause });
  expect(trouble('opening', error, 0)).toMatchObject({
    code: 'CREDENTIALS_UNAVAILABLE',
    advice: expect.stringMatching(advice),
  });
});
