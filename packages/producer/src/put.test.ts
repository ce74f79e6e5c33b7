import { describe, expect, test } from 'vitest';
import { userRecord } from '../test/records.ts';
import { isPutError, noteAttempt, PutResults, putError } from './put.ts';

describe('outcome', () => {
  test('has every attempt, its delay counted from the put or from the attempt before (KPL Attempt)', () => {
    const record = userRecord({ nowMs: 1_000 });
    noteAttempt([record], 1_100, 1_120, { errorCode: 'InternalFailure', errorMessage: 'oops', written: 'no' });
    const place = { shardId: 'shardId-000000000000', sequenceNumber: '1', beganAtMs: 1_200, endedAtMs: 1_210 };
    const result = new PutResults(place).of(record, 3);
    expect(result.attempts).toEqual([
      { delayMs: 100, durationMs: 20, errorCode: 'InternalFailure', errorMessage: 'oops', written: 'no' },
      { delayMs: 80, durationMs: 10, written: 'yes' },
    ]);
    expect(result).toMatchObject({ shardId: 'shardId-000000000000', sequenceNumber: '1', subSequenceNumber: 3 });
    expect(result.duplicate).toBe(false);
    expect('subSequenceNumber' in new PutResults(place).of(record, undefined)).toBe(false);
  });

  test('is shared by records that went together, and their own where one was put earlier', () => {
    const records = [0, 0, 40, 40].map((nowMs) => userRecord({ nowMs }));
    for (const beganAtMs of [100, 200, 300]) {
      noteAttempt(records, beganAtMs, beganAtMs + 10, { errorCode: 'Throttled', errorMessage: 'slow', written: 'no' });
    }
    expect(new Set(records.map(({ attempts }) => attempts)).size).toBe(2);
    expect(records.map(({ attempts }) => attempts.map(({ delayMs }) => delayMs))).toEqual([
      [100, 90, 90],
      [100, 90, 90],
      [60, 90, 90],
      [60, 90, 90],
    ]);
  });

  test('shares its attempts with the records that were put and written together', () => {
    const records = [0, 0, 40].map((nowMs) => userRecord({ nowMs }));
    noteAttempt(records.slice(1), 100, 110, { errorCode: 'Throttled', errorMessage: 'slow', written: 'no' });
    const results = new PutResults({ shardId: 's', sequenceNumber: '1', beganAtMs: 200, endedAtMs: 210 });
    const attempts = [...records, ...records].map((record, index) => results.of(record, index).attempts);
    expect(attempts.map((each) => each.map(({ delayMs }) => delayMs))).toEqual([
      ...[[200], [100, 90], [60, 90]],
      ...[[200], [100, 90], [60, 90]],
    ]);
    const alike = [0, 0].map((nowMs) => results.of(userRecord({ nowMs }), undefined).attempts);
    expect(alike[0]).toBe(alike[1]);
  });

  test('is a duplicate after an attempt that was or may have been written', () => {
    for (const written of ['yes', 'unknown'] as const) {
      const record = userRecord();
      noteAttempt([record], 1, 2, { errorCode: 'RequestTimeout', errorMessage: 'late', written });
      const place = { shardId: 's', sequenceNumber: '1', beganAtMs: 3, endedAtMs: 4 };
      expect(new PutResults(place).of(record, undefined).duplicate).toBe(true);
    }
  });

  test('that failed holds the record, its code and its cause', () => {
    const cause = new Error('network');
    const input = { partitionKey: 'k', data: 'x' };
    const error = putError({ code: 'EXPIRED', message: 'too late', retryable: true, cause }, 'orders', input);
    expect(error).toMatchObject({ code: 'EXPIRED', retryable: true, cause, userRecord: input, mayBeWritten: false });
    expect(isPutError(error)).toBe(true);
    expect(JSON.stringify({ ...error })).not.toContain('"x"');
    expect(isPutError(new Error('other'))).toBe(false);
  });
});
