import { isShardlineError, UsageError } from '@shardline/common/base';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FaultPlan } from './fault-plan.ts';
import type { FaultRule } from './fault-rule.ts';
import { checkedRule } from './rule-check.ts';

const operationNames = ['PutRecord', 'PutRecords', 'GetRecords', 'SubscribeToShard'];
const check = (rule: unknown, field = ''): FaultRule => checkedRule(rule, field, operationNames);

const good: readonly FaultRule[] = [
  { kind: 'throttle' },
  { kind: 'throttle', operation: 'PutRecords', perRecord: true, probability: 0.5 },
  {
    kind: 'throttle',
    stream: 'a.b_c-d',
    shardId: 'shardId-000000000000',
    accountId: '123456789012',
    region: 'eu-west-1',
  },
  { kind: 'error', type: 'InternalFailure', perRecord: true },
  { kind: 'error', type: 'Whatever', status: 599, message: 'said', count: 1, after: 3, fromMs: 1, untilMs: 2 },
  { kind: 'dropConnection', by: 'stream' },
  { kind: 'loseAnswer', by: 'silence' },
  { kind: 'delay', beforeApplyMs: 0, beforeAnswerMs: [10, 10] },
  { kind: 'truncateAnswer', operation: ['PutRecords', 'GetRecords'] },
  { kind: 'stall' },
  { kind: 'cutEvents', operation: 'SubscribeToShard', afterBytes: [0, 1_000_000] },
  { kind: 'stallEvents', afterEvents: 2 },
  { kind: 'failEvents', type: 'KMSThrottlingException', afterEvents: [0, 3] },
  { kind: 'endEvents' },
  { kind: 'corruptEvents' },
];

test.each(good)('%o passes as it is', (rule) => {
  expect(check(rule)).toEqual(rule);
});

test('what passed is a copy: changing the original later changes nothing', () => {
  const given = { kind: 'delay' as const, operation: ['PutRecords'], beforeApplyMs: [1, 2] as [number, number] };
  const rule = check(given);
  given.operation.push('GetRecords');
  given.beforeApplyMs[1] = 99;
  expect(rule).toEqual({ kind: 'delay', operation: ['PutRecords'], beforeApplyMs: [1, 2] });
  expect(() => Object.assign(rule, { kind: 'stall' })).toThrow(TypeError);
});

test('undefined is absent, as with options', () => {
  expect(check({ kind: 'stall', stream: undefined })).toEqual({ kind: 'stall' });
});

test.each<[unknown, string]>([
  [5, "rule: expected a rule such as { kind: 'throttle' }, got 5"],
  [[{ kind: 'stall' }], "rule: expected a rule such as { kind: 'throttle' }, got an array of 1"],
  [
    {},
    'kind: expected one of throttle, error, dropConnection, loseAnswer, delay, truncateAnswer, stall, cutEvents, stallEvents, failEvents, endEvents, corruptEvents, got undefined',
  ],
  [{ kind: 'toString' }, 'got "toString"'],
  [
    { kind: 'throttle', prob: 1 },
    'prob: expected a member of the kind throttle, got an unknown one; did you mean probability?',
  ],
  [
    { kind: 'stall', by: 'stream' },
    'by: expected a member of the kind stall, got an unknown one; known are kind, operation,',
  ],
  [{ kind: 'stall', toString: 1 }, 'toString: expected a member of the kind stall, got an unknown one'],
  [
    { kind: 'stall', operation: 'PutRec' },
    'operation: expected an operation of the Kinesis API, or an array of them, got "PutRec"; did you mean PutRecord?',
  ],
  [{ kind: 'stall', operation: [] }, 'operation: expected at least one operation, got an array of 0'],
  [
    { kind: 'stall', operation: ['GetRecords', 7] },
    'operation: expected an operation of the Kinesis API, or an array of them, got 7',
  ],
  [{ kind: 'stall', stream: 'a/b' }, 'stream: expected a stream\'s name, 1 to 128 of a-z A-Z 0-9 _ . -, got "a/b"'],
  [{ kind: 'stall', accountId: 123456789012 }, 'accountId: expected 12 digits, got 123456789012'],
  [{ kind: 'stall', probability: 1.5 }, 'probability: expected a number from 0 to 1, got 1.5'],
  [{ kind: 'stall', probability: '0.5' }, 'probability: expected a number from 0 to 1, got "0.5"'],
  [{ kind: 'stall', probability: Number.NaN }, 'probability: expected a number from 0 to 1, got NaN'],
  [{ kind: 'stall', count: -1 }, 'count: expected a whole number from 1 to 9007199254740991, got -1'],
  [{ kind: 'stall', fromMs: 5, untilMs: 5 }, 'untilMs: expected more than fromMs, 5, got 5'],
  [{ kind: 'error' }, "type: expected an AWS error's name, such as InternalFailure, got none"],
  [
    { kind: 'error', type: 'Internal Failure' },
    'type: expected an AWS error\'s name, such as InternalFailure, got "Internal Failure"',
  ],
  [{ kind: 'error', type: 'A', status: 200 }, 'status: expected a whole number from 400 to 599, got 200'],
  [{ kind: 'error', type: 'A', message: 5 }, 'message: expected a text of at most 1000 characters, got 5'],
  [{ kind: 'error', type: 'A', perRecord: true }, 'type: expected InternalFailure, with perRecord, got "A"'],
  [
    { kind: 'error', type: 'InternalFailure', perRecord: true, status: 500 },
    'status: expected none, with perRecord, got 500',
  ],
  [
    { kind: 'throttle', perRecord: true, operation: 'GetRecords' },
    'perRecord: expected the operation PutRecords, got "GetRecords"',
  ],
  [{ kind: 'throttle', perRecord: 'yes' }, 'perRecord: expected true or false, got "yes"'],
  [{ kind: 'dropConnection', by: 'silence' }, 'by: expected one of stream, session, got "silence"'],
  [{ kind: 'delay' }, 'beforeApplyMs: expected it, beforeAnswerMs, or both, got neither'],
  [
    { kind: 'delay', beforeApplyMs: 600_001 },
    'beforeApplyMs: expected a whole number from 0 to 600000, or a range of two, as in [10, 500], got 600001',
  ],
  [{ kind: 'delay', beforeApplyMs: [5, 1] }, 'or a range of two, as in [10, 500], got [5,1]'],
  [{ kind: 'delay', beforeApplyMs: [1, 2, 3] }, 'got [1,2,3]'],
  [{ kind: 'delay', beforeApplyMs: [1] }, 'got [1]'],
  [
    { kind: 'cutEvents', afterEvents: 1, afterBytes: 1 },
    'afterBytes: expected either afterEvents or afterBytes, got both',
  ],
  [{ kind: 'endEvents', afterBytes: 1 }, 'afterBytes: expected a member of the kind endEvents, got an unknown one'],
  [
    { kind: 'endEvents', operation: 'GetRecords' },
    'operation: expected SubscribeToShard or none, with the kind endEvents, got "GetRecords"',
  ],
  [
    { kind: 'truncateAnswer', operation: 'SubscribeToShard' },
    'operation: expected others, and the kind cutEvents for SubscribeToShard, got "SubscribeToShard"',
  ],
  [{ kind: 'failEvents' }, "type: expected an AWS error's name, such as InternalFailure, got none"],
])('%o is refused', (rule, message) => {
  expect(() => check(rule)).toThrow(UsageError);
  expect(() => check(rule)).toThrow(message);
});

test('the message says where the rule stands', () => {
  expect(() => check({ kind: 'stall', count: 0.5 }, 'faults[2]')).toThrow('faults[2].count: expected a whole number');
  expect(() => check(null, 'faults[2]')).toThrow('faults[2]: expected a rule');
});

test('whatever is given, it is a usage error, or a rule that a plan can work with', () => {
  const value = fc.oneof(
    fc.constantFrom(
      'PutRecords',
      'SubscribeToShard',
      'session',
      'stream',
      'InternalFailure',
      'a',
      0,
      1,
      0.5,
      7,
      500,
      true,
    ),
    fc.constantFrom([1, 5], [5, 1], ['PutRecords', 'PutRecord'], null, undefined, {}),
    fc.anything(),
  );
  const names = good.flatMap((rule) => Object.keys(rule)).filter((name) => name !== 'kind');
  const given = fc
    .tuple(
      fc.constantFrom(...good.map(({ kind }) => kind), 'nothing'),
      fc.dictionary(fc.constantFrom(...names), value, { maxKeys: 3 }),
    )
    .map(([kind, more]): unknown => ({ kind, ...more }));
  let passedCount = 0;
  fc.assert(
    fc.property(fc.oneof({ weight: 20, arbitrary: given }, { weight: 1, arbitrary: fc.anything() }), (rule) => {
      let checked: FaultRule;
      try {
        checked = check(rule);
      } catch (error) {
        expect(isShardlineError(error) && error.code).toBe('USAGE');
        return;
      }
      passedCount++;
      const plan = new FaultPlan(1);
      const planned = plan.add(checked, 0);
      for (const operation of operationNames) {
        const target = { operation, accountId: '123456789012', region: 'a', stream: 'a', shardIds: () => ['a'] };
        plan.strike(target, 1)?.refuseRecord?.('a');
      }
      expect(planned.applied).toBeLessThanOrEqual(planned.considered);
    }),
    { numRuns: 2_000, seed: 1 },
  );
  expect(passedCount).toBeGreaterThan(100);
});
