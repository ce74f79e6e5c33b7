import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FaultPlan, type FaultTarget, type Struck } from './fault-plan.ts';
import { type FaultRule, MAX_DELAY_MS } from './fault-rule.ts';

function request(
  operation: string,
  over: Partial<Omit<FaultTarget, 'shardIds'>> & { shardIds?: string[] } = {},
): FaultTarget {
  const { shardIds = [], ...rest } = over;
  const base = { operation, accountId: '000000000000', region: 'us-east-1', stream: 'orders' };
  return { ...base, ...rest, shardIds: () => shardIds };
}

const put = request('PutRecords');

function planOf(seed: number, ...rules: FaultRule[]): FaultPlan {
  const plan = new FaultPlan(seed);
  for (const rule of rules) plan.add(rule, 0);
  return plan;
}

/** Which of the first `n` equal requests are struck. */
function struckOf(plan: FaultPlan, n: number, target = put, now = 0): boolean[] {
  return Array.from({ length: n }, () => plan.strike(target, now) !== undefined);
}

const error: FaultRule = { kind: 'error', type: 'InternalFailure' };

describe('chance', () => {
  const aRule = fc.record(
    {
      kind: fc.constant('delay' as const),
      operation: fc.constantFrom('PutRecords', 'GetRecords'),
      probability: fc.double({ min: 0, max: 1, noNaN: true }),
      after: fc.nat(5),
      count: fc.nat(5),
      beforeApplyMs: fc.constant([1, 1_000] as const),
    },
    { requiredKeys: ['kind', 'beforeApplyMs'] },
  );
  const traffic = fc.array(fc.constantFrom(request('PutRecords'), request('GetRecords'), request('ListShards')), {
    maxLength: 60,
  });

  test('the same seed, rules and requests give the same faults', () => {
    fc.assert(
      fc.property(fc.nat(), fc.array(aRule, { maxLength: 5 }), traffic, (seed, rules, requests) => {
        const [one, two] = [planOf(seed, ...rules), planOf(seed, ...rules)];
        expect(requests.map((each) => one.strike(each, 0))).toEqual(requests.map((each) => two.strike(each, 0)));
      }),
    );
  });

  test("a rule's requests meet the same fate whatever other requests come between, and whatever rules were added after it", () => {
    fc.assert(
      fc.property(fc.nat(), fc.array(aRule, { maxLength: 4 }), traffic, (seed, more, requests) => {
        const rule: FaultRule = { kind: 'delay', operation: 'PutRecords', probability: 0.5, beforeAnswerMs: [1, 99] };
        const alone = planOf(seed, rule);
        const among = planOf(seed, rule, ...more);
        const puts = requests.filter(({ operation }) => operation === 'PutRecords');
        const fates = requests.map((each) => among.strike(each, 0)?.beforeAnswerMs ?? 0);
        expect(fates.filter((_, index) => requests[index]?.operation === 'PutRecords')).toEqual(
          puts.map((each) => alone.strike(each, 0)?.beforeAnswerMs ?? 0),
        );
      }),
    );
  });

  test('a probability is the share of requests that are struck; neither seeds nor rules repeat each other', () => {
    const fates = [1, 2, 3].map((seed) => struckOf(planOf(seed, { ...error, probability: 0.1 }), 10_000));
    for (const fate of fates) {
      const struck = fate.filter(Boolean).length;
      expect(struck).toBeGreaterThan(900);
      expect(struck).toBeLessThan(1_100);
    }
    const [one = [], two = [], three = []] = fates;
    const both = (a: boolean[], b: boolean[]) => a.filter((struck, index) => struck && b[index]).length / 10_000;
    for (const share of [both(one, two), both(two, three), both(one, three)]) expect(share).toBeLessThan(0.03);
    const twins = planOf(
      1,
      { kind: 'delay', beforeApplyMs: 1, probability: 0.5 },
      { kind: 'delay', beforeAnswerMs: 1, probability: 0.5 },
    );
    const pairs = new Set(Array.from({ length: 100 }, () => JSON.stringify(twins.strike(put, 0))));
    expect(pairs.size).toBe(4);
  });

  test('0 strikes nothing, 1 everything', () => {
    expect(struckOf(planOf(7, { ...error, probability: 0 }), 1_000)).not.toContain(true);
    expect(struckOf(planOf(7, { ...error, probability: 1 }), 1_000)).not.toContain(false);
  });

  test('a range is drawn from both ends on, evenly', () => {
    const plan = planOf(3, { kind: 'delay', beforeApplyMs: [2, 5] });
    const counts = new Map<number, number>();
    for (let i = 0; i < 4_000; i++) {
      const ms = plan.strike(put, 0)?.beforeApplyMs ?? 0;
      counts.set(ms, (counts.get(ms) ?? 0) + 1);
    }
    expect([...counts.keys()].sort()).toEqual([2, 3, 4, 5]);
    for (const count of counts.values()) expect(count).toBeGreaterThan(800);
  });

  test('restart begins the sequences again; ids go on', () => {
    const plan = planOf(11, { ...error, probability: 0.5 });
    const before = struckOf(plan, 100);
    plan.restart();
    expect(plan.isEmpty).toBe(true);
    expect(plan.add({ ...error, probability: 0.5 }, 0).id).toBe('2');
    expect(struckOf(plan, 100)).toEqual(before);
  });
});

describe('which requests', () => {
  test('after leaves the first ones alone, count bounds the strikes; both are counted', () => {
    const plan = planOf(1, { ...error, after: 2, count: 3 });
    expect(struckOf(plan, 7)).toEqual([false, false, true, true, true, false, false]);
    expect(plan.all()[0]?.report()).toMatchObject({ id: '1', considered: 7, applied: 3 });
  });

  test('fromMs and untilMs count from when the rule was added', () => {
    const plan = new FaultPlan(1);
    const rule = plan.add({ ...error, fromMs: 100, untilMs: 200 }, 5_000);
    const struck = [5_000, 5_099, 5_100, 5_199, 5_200].map((now) => plan.strike(put, now) !== undefined);
    expect(struck).toEqual([false, false, true, true, false]);
    expect(rule.considered).toBe(2);
  });

  test.each<[FaultRule, FaultTarget, FaultTarget]>([
    [{ ...error, operation: 'PutRecords' }, put, request('PutRecord')],
    [{ ...error, operation: ['PutRecord', 'ListShards'] }, request('ListShards'), put],
    [{ ...error, stream: 'orders' }, put, request('PutRecords', { stream: 'clicks' })],
    [{ ...error, stream: 'orders' }, put, request('ListStreams', { stream: undefined })],
    [{ ...error, accountId: '000000000000' }, put, request('PutRecords', { accountId: '111111111111' })],
    [{ ...error, region: 'us-east-1' }, put, request('PutRecords', { region: 'eu-west-1' })],
    [
      { ...error, shardId: 'b' },
      request('PutRecords', { shardIds: ['a', 'b'] }),
      request('GetRecords', { shardIds: ['a'] }),
    ],
    [{ kind: 'endEvents' }, request('SubscribeToShard'), put],
    [{ kind: 'truncateAnswer' }, put, request('SubscribeToShard')],
  ])('%o is about %o and not about %o', (rule, about, notAbout) => {
    const plan = planOf(1, rule);
    expect([plan.strike(about, 0) !== undefined, plan.strike(notAbout, 0)]).toEqual([true, undefined]);
    expect(plan.all()[0]?.considered).toBe(1);
  });

  test('shards are worked out for rules with a shard alone', () => {
    const target: FaultTarget = {
      ...put,
      shardIds: () => {
        throw new Error('not asked for');
      },
    };
    expect(planOf(1, error, { kind: 'throttle', shardId: 'a', stream: 'clicks' }).strike(target, 0)).toBeDefined();
  });
});

describe('what strikes', () => {
  test('delays add up, up to the longest; of the others the first decides, and the rest is not considered', () => {
    const plan = planOf(
      1,
      { kind: 'delay', beforeApplyMs: 5 },
      { kind: 'dropConnection', count: 1 },
      { kind: 'stall' },
      { kind: 'delay', beforeApplyMs: 7, beforeAnswerMs: MAX_DELAY_MS },
      { kind: 'delay', beforeAnswerMs: 1 },
    );
    const expected: Partial<Struck> = {
      beforeApplyMs: 12,
      beforeAnswerMs: MAX_DELAY_MS,
      ending: { kind: 'dropConnection', by: 'session' },
    };
    expect(plan.strike(put, 0)).toMatchObject(expected);
    expect(plan.strike(put, 0)).toMatchObject({ ...expected, ending: { kind: 'stall' } });
    expect(plan.all().map(({ considered, applied }) => [considered, applied])).toEqual([
      [2, 2],
      [2, 1],
      [1, 1],
      [2, 2],
      [2, 2],
    ]);
  });

  test.each([
    ['PutRecord', 'ProvisionedThroughputExceededException'],
    ['PutRecords', 'ProvisionedThroughputExceededException'],
    ['GetRecords', 'ProvisionedThroughputExceededException'],
    ['GetShardIterator', 'ProvisionedThroughputExceededException'],
    ['ListShards', 'LimitExceededException'],
    ['SubscribeToShard', 'LimitExceededException'],
  ])('throttle is, for %s, %s', (operation, type) => {
    const message = 'Rate exceeded for stream orders under account 000000000000.';
    const ending = { kind: 'error', type, status: 400, message };
    expect(planOf(1, { kind: 'throttle' }).strike(request(operation), 0)?.ending).toEqual(ending);
  });

  test('throttling names the shard that it was asked for', () => {
    const plan = planOf(1, { kind: 'throttle', shardId: 'a' });
    expect(plan.strike(request('GetRecords', { shardIds: ['a'] }), 0)?.ending).toMatchObject({
      message: 'Rate exceeded for shard a in stream orders under account 000000000000.',
    });
  });

  test.each([
    [{ type: 'InternalFailure' }, 500, 'Internal Service Failure'],
    [{ type: 'ServiceUnavailable' }, 503, 'The request has failed due to a temporary failure of the server.'],
    [{ type: 'KMSThrottlingException' }, 400, 'The request was denied due to request throttling.'],
    [{ type: 'ExpiredTokenException' }, 400, 'The security token included in the request is expired'],
    [{ type: 'Unheard', status: 418, message: 'short and stout' }, 418, 'short and stout'],
  ])('error %o', (given, status, message) => {
    const { ending } = planOf(1, { kind: 'error', ...given }).strike(put, 0) ?? {};
    expect(ending).toEqual({ kind: 'error', type: given.type, status, message });
  });

  test('an amount of an event stream is drawn anew for each subscription', () => {
    const plan = planOf(5, { kind: 'cutEvents', afterBytes: [0, 1_000], by: 'stream' });
    const endings = Array.from({ length: 20 }, () => plan.strike(request('SubscribeToShard'), 0)?.ending);
    expect(endings[0]).toMatchObject({ kind: 'events', what: { kind: 'cut', by: 'stream' } });
    expect(new Set(endings.map((ending) => JSON.stringify(ending))).size).toBeGreaterThan(15);
  });
});

describe('records one by one', () => {
  function refusalsOf(plan: FaultPlan, shardIds: string[]): (string | undefined)[] {
    const refuseRecord = plan.strike(put, 0)?.refuseRecord;
    return shardIds.map((shardId) => refuseRecord?.(shardId));
  }
  const throttled = 'ProvisionedThroughputExceededException';

  test('throttle of a shard refuses the records of that shard; count and counters are of records', () => {
    const plan = planOf(1, { kind: 'throttle', shardId: 'b', count: 2 });
    expect(refusalsOf(plan, ['a', 'b', 'b', 'a', 'b'])).toEqual([
      undefined,
      throttled,
      throttled,
      undefined,
      undefined,
    ]);
    expect(plan.all()[0]?.report()).toMatchObject({ considered: 3, applied: 2 });
  });

  test('with perRecord each record is considered by itself, and the first rule that strikes decides', () => {
    const plan = planOf(
      2,
      { kind: 'throttle', perRecord: true, probability: 0.3 },
      { kind: 'error', type: 'InternalFailure', perRecord: true, probability: 0.5 },
    );
    const refusals = refusalsOf(
      plan,
      Array.from({ length: 1_000 }, () => 'a'),
    );
    const [throttle, failure] = plan.all();
    expect(new Set(refusals)).toEqual(new Set([undefined, throttled, 'InternalFailure']));
    expect(refusals.filter((code) => code === throttled)).toHaveLength(throttle?.applied ?? 0);
    expect(failure?.considered).toBe(1_000 - (throttle?.applied ?? 0));
    expect((throttle?.applied ?? 0) / 1_000).toBeCloseTo(0.3, 1);
  });

  test('perRecord: false throttles the whole call of a shard; other operations are throttled whole anyway', () => {
    const target = request('PutRecords', { shardIds: ['a'] });
    const whole = planOf(1, { kind: 'throttle', shardId: 'a', perRecord: false }).strike(target, 0);
    expect([whole?.ending?.kind, whole?.refuseRecord]).toEqual(['error', undefined]);
    const single = planOf(1, { kind: 'throttle', perRecord: true }).strike(request('PutRecord'), 0);
    expect([single?.ending?.kind, single?.refuseRecord]).toEqual(['error', undefined]);
  });
});
