import { encodeAggregatedRecord, type HashKey } from '@shardline/common';
import { KinesisModel } from '@shardline/local';
import type { Attempt, PutError, PutResult } from '@shardline/producer';
import { describe, expect, test } from 'vitest';
import { Ledger, type NumberedRecord, type Violations } from './ledger.ts';

const STREAM = 'orders';
const SOUND: Violations = {
  unsettled: 0,
  settledTwice: 0,
  lost: 0,
  droppedByKcl: 0,
  hidden: 0,
  unsaidDuplicates: 0,
  changed: 0,
  orderViolations: 0,
};
const attempt = { delayMs: 0, durationMs: 0 } as const;
const unheard: Attempt = { ...attempt, errorCode: 'RequestTimeout', written: 'unknown' };

/** A stream of two shards, and a ledger of what is put there by hand. */
class Scene {
  readonly model = new KinesisModel({ limits: false });
  readonly ledger = new Ledger();

  constructor() {
    this.model.createStream({ name: STREAM, shardCount: 2 }, 0);
  }

  next(partitionKey = 'key', dataBytes = 20): { number: number; record: NumberedRecord } {
    return this.ledger.next(partitionKey, dataBytes);
  }

  write({ partitionKey, data }: NumberedRecord, explicitHashKey = 0n as HashKey): PutResult {
    const stored = this.model.putRecord({ streamName: STREAM, record: { partitionKey, data, explicitHashKey } }, 0);
    const { shardId, sequenceNumber } = stored;
    return {
      shardId,
      sequenceNumber: String(sequenceNumber),
      attempts: [{ ...attempt, written: 'yes' }],
      duplicate: false,
    };
  }

  succeed(partitionKey?: string): void {
    const { number, record } = this.next(partitionKey);
    this.ledger.succeeded(number, this.write(record));
  }

  fail(number: number, mayBeWritten: boolean): void {
    this.ledger.failed(number, { code: 'EXPIRED', mayBeWritten, attempts: [unheard] } as unknown as PutError);
  }

  violations(): Violations {
    return this.ledger.audit(this.model, STREAM, 0).violations;
  }
}

test('what succeeded is in the stream, and a copy more that was told of is no violation', () => {
  const scene = new Scene();
  scene.succeed();
  const { number, record } = scene.next();
  scene.write(record);
  scene.ledger.succeeded(number, { ...scene.write(record), attempts: [unheard], duplicate: true });
  const failed = scene.next();
  scene.write(failed.record);
  scene.fail(failed.number, true);
  expect(scene.ledger.audit(scene.model, STREAM, 0)).toEqual({
    puts: 3,
    settled: 3,
    succeeded: 2,
    failed: { EXPIRED: 1 },
    duplicated: 1,
    unknownOutcomes: 2,
    mayBeWritten: 1,
    ofThemWritten: 1,
    violations: SOUND,
  });
});

describe('is found', () => {
  test('a put that never settled', () => {
    const scene = new Scene();
    scene.write(scene.next().record);
    expect(scene.violations()).toEqual({ ...SOUND, unsettled: 1 });
  });

  test('a put that settled twice', () => {
    const scene = new Scene();
    const { number, record } = scene.next();
    const result = scene.write(record);
    scene.ledger.succeeded(number, result);
    scene.ledger.succeeded(number, result);
    expect(scene.violations()).toEqual({ ...SOUND, settledTwice: 1 });
  });

  test('a success that is not in the stream, or not where its result says', () => {
    const scene = new Scene();
    const [absent, elsewhere] = [scene.next(), scene.next('other')];
    scene.ledger.succeeded(absent.number, { shardId: 's', sequenceNumber: '1', attempts: [], duplicate: false });
    scene.ledger.succeeded(elsewhere.number, { ...scene.write(elsewhere.record), subSequenceNumber: 0 });
    expect(scene.violations()).toEqual({ ...SOUND, lost: 2 });
  });

  test('a success in an aggregated record with a hash key of another shard', () => {
    const scene = new Scene();
    const records = [scene.next('a'), scene.next('b')];
    const hashKeys = [0n, (1n << 128n) - 1n] as HashKey[];
    const data = encodeAggregatedRecord(
      records.map(({ record }, index) => ({ ...record, explicitHashKey: hashKeys[index] as HashKey })),
    );
    const result = scene.write({ partitionKey: 'a', data: Buffer.from(data) });
    for (const [index, { number }] of records.entries()) {
      scene.ledger.succeeded(number, { ...result, subSequenceNumber: index });
    }
    expect(scene.violations()).toEqual({ ...SOUND, droppedByKcl: 2 });
  });

  test('a record that failed as certainly not written, and is there', () => {
    const scene = new Scene();
    const { number, record } = scene.next();
    scene.write(record);
    scene.fail(number, false);
    expect(scene.violations()).toEqual({ ...SOUND, hidden: 1 });
  });

  test('a second copy that the result is silent about', () => {
    const scene = new Scene();
    const { number, record } = scene.next();
    scene.write(record);
    scene.ledger.succeeded(number, scene.write(record));
    expect(scene.violations()).toEqual({ ...SOUND, unsaidDuplicates: 1 });
  });

  test('a copy with another key or other data', () => {
    const scene = new Scene();
    const [key, data] = [scene.next(), scene.next()];
    scene.write({ ...key.record, partitionKey: 'another' });
    scene.write({ ...data.record, data: Buffer.from('1:......!') });
    scene.fail(key.number, true);
    scene.fail(data.number, true);
    expect(scene.violations()).toEqual({ ...SOUND, changed: 2 });
  });

  test('first copies of a key in another order than their puts; later copies may trail', () => {
    const scene = new Scene();
    const [first, second] = [scene.next(), scene.next()];
    for (const { number, record } of [first, second]) scene.ledger.succeeded(number, scene.write(record));
    scene.write(first.record);
    const [third, fourth] = [scene.next('other'), scene.next('other')];
    for (const { number, record } of [fourth, third]) scene.ledger.succeeded(number, scene.write(record));
    expect(scene.violations()).toEqual({ ...SOUND, unsaidDuplicates: 1, orderViolations: 1 });
  });
});
