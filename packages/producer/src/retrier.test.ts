import { evenRanges } from '@shardline/common';
import { describe, expect, test } from 'vitest';
import { loneRecord, userRecord } from '../test/records.ts';
import type { Answer } from './batch.ts';
import { KinesisRecord } from './batch.ts';
import { Retrier } from './retrier.ts';
import { ShardMap } from './shard-map.ts';

const shardMap = new ShardMap();
shardMap.loaded(
  evenRanges(2).map((range, index) => ({ shardId: `shard-${index}`, range })),
  0,
);

/** An aggregated record predicted for shard-9, with explicit hash keys. */
function aggregate(...hashKeys: readonly bigint[]): KinesisRecord {
  const [first, ...others] = hashKeys.map((explicitHashKey) => userRecord({ explicitHashKey }));
  if (first === undefined) throw new Error('at least one');
  const kinesisRecord = new KinesisRecord(first, 'shard-9', 1);
  for (const record of others) kinesisRecord.add(record);
  return kinesisRecord;
}

function written(shardId: string): { kind: 'written'; shardId: string; sequenceNumber: string } {
  return { kind: 'written', shardId, sequenceNumber: '1' };
}

const LOW = 0n;
const HIGH = 2n ** 128n - 1n;

describe('a written aggregated record', () => {
  const retrier = new Retrier({ failIfThrottled: false });

  test('on the predicted shard is delivered', () => {
    expect(retrier.judge(aggregate(LOW, HIGH), written('shard-9'), shardMap).kind).toBe('delivered');
  });

  test('on another shard whose range holds all of its hash keys is delivered', () => {
    expect(retrier.judge(aggregate(LOW, LOW + 1n), written('shard-0'), shardMap).kind).toBe('delivered');
  });

  test('with one stray is misplaced as a whole, because the KCL drops it as a whole', () => {
    expect(retrier.judge(aggregate(LOW, HIGH), written('shard-0'), shardMap).kind).toBe('misplaced');
  });

  test('on a shard that the map does not know is undecided', () => {
    expect(retrier.judge(aggregate(LOW, LOW), written('shard-3'), shardMap).kind).toBe('undecided');
  });

  test('of one user record is delivered wherever it is: Kinesis put it there by its own hash key', () => {
    expect(retrier.judge(aggregate(LOW), written('shard-1'), shardMap).kind).toBe('delivered');
  });
});

describe('a refused entry', () => {
  const refusal = (errorCode: string) => ({ kind: 'refused' as const, errorCode, errorMessage: 'no' });

  test('is tried again, whatever its code (KPL retrier.cc)', () => {
    const retrier = new Retrier({ failIfThrottled: false });
    for (const code of ['ProvisionedThroughputExceededException', 'InternalFailure', 'SomethingNew']) {
      expect(retrier.judge(loneRecord('0'), refusal(code), shardMap)).toMatchObject({
        kind: 'retry',
        attempt: { errorCode: code, written: 'no' },
      });
    }
  });

  test('fails at once when throttled, with failIfThrottled', () => {
    const retrier = new Retrier({ failIfThrottled: true });
    expect(retrier.judge(loneRecord('0'), refusal('ProvisionedThroughputExceededException'), shardMap)).toMatchObject({
      kind: 'failed',
      failure: { code: 'THROTTLED', retryable: true },
    });
    expect(retrier.judge(loneRecord('0'), refusal('InternalFailure'), shardMap).kind).toBe('retry');
  });
});

describe('a request that failed as a whole', () => {
  const failed: Extract<Answer, { kind: 'failed' }> = {
    kind: 'failed',
    errorCode: 'X',
    errorMessage: 'why',
    throttled: false,
    written: 'unknown',
  };

  test('is tried again unless that can not help', () => {
    const retrier = new Retrier({ failIfThrottled: false });
    expect(retrier.judgeRequest(failed)).toMatchObject({ kind: 'retry', attempt: { written: 'unknown' } });
    expect(retrier.judgeRequest({ ...failed, permanent: 'STREAM_NOT_FOUND', cause: 'c' })).toMatchObject({
      kind: 'failed',
      failure: { code: 'STREAM_NOT_FOUND', retryable: false, cause: 'c' },
    });
  });

  test('fails at once when throttled, with failIfThrottled', () => {
    const retrier = new Retrier({ failIfThrottled: true });
    expect(retrier.judgeRequest({ ...failed, throttled: true })).toMatchObject({
      kind: 'failed',
      failure: { code: 'THROTTLED' },
    });
  });
});

describe('waiting', () => {
  function attempted(count: number): KinesisRecord {
    const kinesisRecord = loneRecord('0');
    kinesisRecord.attemptCount = count;
    return kinesisRecord;
  }

  test('is random below a bound that doubles with every attempt up to 3 s, and the same for one request', () => {
    const retrier = new Retrier({ failIfThrottled: false });
    const [first, second, twentieth] = [attempted(1), attempted(2), attempted(20)];
    retrier.put([first, second, attempted(1), twentieth], 1_000, 0.5);
    expect(retrier.deadline()).toBe(1_050);
    expect(retrier.expire(1_049)).toEqual([]);
    expect(retrier.expire(1_050)).toHaveLength(2);
    expect(retrier.expire(1_100)).toEqual([second]);
    expect(retrier.deadline()).toBe(2_500);
    expect(retrier.expire(2_500)).toEqual([twentieth]);
    expect(retrier.deadline()).toBe(Number.POSITIVE_INFINITY);
  });

  test('gives back in the order in which they became due', () => {
    const retrier = new Retrier({ failIfThrottled: false });
    const [late, early] = [attempted(1), attempted(1)];
    retrier.put([late], 0, 0.9);
    retrier.put([early], 0, 0.1);
    expect(retrier.expire(1_000)).toEqual([early, late]);
  });
});
