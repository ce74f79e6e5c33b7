import { expect, test } from 'vitest';
import { KinesisError } from './errors.ts';
import { checkPolicy } from './policy.ts';

const statement = {
  Sid: 'write',
  Effect: 'Allow',
  Principal: { AWS: ['arn:aws:iam::111111111111:root', '222222222222'] },
  Action: ['kinesis:PutRecord', 'kinesis:DescribeStreamSummary'],
  Resource: 'arn:aws:kinesis:us-east-1:000000000000:stream/orders',
};

test.each<[string, unknown]>([
  ['one statement', { Version: '2012-10-17', Statement: statement }],
  ['a list of statements', { Version: '2012-10-17', Statement: [statement, { ...statement, Effect: 'Deny' }] }],
  ['everybody', { Statement: { ...statement, Principal: '*' } }],
  ['a service', { Statement: { ...statement, Principal: { Service: 'lambda.amazonaws.com' } } }],
  ['one action', { Statement: { ...statement, Action: 'kinesis:*' } }],
])('%s is a policy', (_, policy) => {
  expect(() => checkPolicy(JSON.stringify(policy))).not.toThrow();
});

test.each<[string, unknown, string]>([
  ['a list', [], 'a JSON object'],
  ['a text', 'allow', 'a JSON object'],
  ['no statement', {}, 'Statement 1 as a JSON object'],
  ['an empty list of statements', { Statement: [] }, 'a Statement'],
  ['a statement that is a text', { Statement: [statement, 'x'] }, 'Statement 2 as a JSON object'],
  ['no effect', { Statement: { ...statement, Effect: undefined } }, 'Effect Allow or Deny in Statement 1'],
  ['no principal', { Statement: { ...statement, Principal: undefined } }, 'a Principal in Statement 1'],
  ['an empty principal', { Statement: { ...statement, Principal: {} } }, 'a Principal in Statement 1'],
  ['a principal that is a text', { Statement: { ...statement, Principal: 'root' } }, 'a Principal in Statement 1'],
  ['no action', { Statement: [statement, { ...statement, Action: [] }] }, 'a list of them, in Statement 2'],
  ['an action that is a number', { Statement: { ...statement, Action: [1] } }, 'a list of them, in Statement 1'],
])('%s is no policy', (_, policy, expected) => {
  const check = (): void => checkPolicy(JSON.stringify(policy));
  expect(check).toThrow(KinesisError);
  expect(check).toThrow(expected);
});

test('what is no JSON is no policy', () => {
  for (const text of ['', '{', "{'Statement': 1}"]) {
    expect(() => checkPolicy(text)).toThrow('The policy is malformed: expected JSON.');
  }
});
