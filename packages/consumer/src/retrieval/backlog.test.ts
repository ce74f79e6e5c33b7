// Records that are made when they are asked for, against the same ones made at once: whatever is read, from wherever, is alike.
import {
  type ExtendedSequenceNumber,
  encodeAggregatedRecord,
  parseSequenceNumber,
  TRIM_HORIZON,
} from '@shardline/common';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Answer, Backlog, type KinesisRecords } from './backlog.ts';
import type { KinesisRecord } from './deaggregate.ts';
import type { RecordRows } from './record-rows.ts';
import { splitRecords } from './records-json.ts';
import type { SourceRead } from './source.ts';

interface Given {
  readonly step: number;
  readonly bytes: number;
  readonly userRecordCount: number;
}

/** An answer as it is read off the wire. */
function rowsOf(given: readonly Given[]): RecordRows {
  let number = 1_000;
  const records = given.map(({ step, bytes, userRecordCount }, index) => {
    number += step;
    const parts = Array.from({ length: userRecordCount }, () => ({
      partitionKey: `key${index}`,
      data: Buffer.alloc(bytes),
    }));
    const data = userRecordCount === 0 ? Buffer.alloc(bytes) : encodeAggregatedRecord(parts);
    return { SequenceNumber: String(number), Data: data.toString('base64'), PartitionKey: `key${index}` };
  });
  const split = splitRecords(Buffer.from(JSON.stringify({ Records: records })));
  if (split === undefined) throw new Error('left to the general parser');
  return split.records;
}

function madeOf(rows: RecordRows): KinesisRecord[] {
  return Array.from({ length: rows.length }, (_, index) => rows.at(index) as KinesisRecord);
}

/** All that is read of an answer. */
function readAll(
  records: KinesisRecords,
  after: ExtendedSequenceNumber,
  most: readonly number[],
  max: number,
): unknown[] {
  const backlog = new Backlog({ maxRecordsPerBatch: max, hashKeyRange: undefined });
  backlog.seek(after);
  backlog.add({ records, millisBehindLatest: 7, childShards: [] });
  const reads: unknown[] = [];
  let position = after;
  for (let count = 0; count < 100; count += 1) {
    const read: SourceRead = backlog.read(position, most[count % most.length]);
    // Anything that is made only now is made before it is compared.
    reads.push({ ...read, batch: read.batch && { ...read.batch }, heldBytes: backlog.heldBytes });
    position = read.batch?.last ?? position;
    if (read.atShardEnd) return reads;
  }
  throw new Error('a hundred reads, and no end');
}

const given = (rising: boolean): fc.Arbitrary<Given[]> =>
  fc.array(
    fc.record({
      step: rising ? fc.integer({ min: 1, max: 3 }) : fc.integer({ min: -2, max: 3 }),
      bytes: fc.nat(40),
      userRecordCount: rising ? fc.constant(0) : fc.constantFrom(0, 0, 0, 1, 3),
    }),
    { maxLength: 12 },
  );
const after = fc.oneof(
  fc.constant(TRIM_HORIZON),
  fc
    .tuple(fc.integer({ min: 990, max: 1_020 }), fc.integer({ min: -1, max: 3 }))
    .map(([number, subSequenceNumber]) => ({
      sequenceNumber: parseSequenceNumber(String(number)),
      subSequenceNumber,
    })),
);

describe('what of an answer was not given out', () => {
  it.each([
    ['of plain records that rise', true],
    ['of any', false],
  ])('%s is given out alike, made at once or later', (_of, rising) => {
    fc.assert(
      fc.property(
        given(rising),
        after,
        fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 1, max: 5 }),
        (records, from, most, max) => {
          const rows = rowsOf(records);
          expect(readAll(rows, from, most, max)).toEqual(readAll(madeOf(rows), from, most, max));
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('is not made before somebody asks for it, and made once', () => {
    const rows = rowsOf([1, 2, 3, 4].map(() => ({ step: 1, bytes: 5, userRecordCount: 0 })));
    const asked: number[] = [];
    const at = rows.at.bind(rows);
    rows.at = (index) => {
      asked.push(index);
      return at(index);
    };
    const backlog = new Backlog({ maxRecordsPerBatch: 10, hashKeyRange: undefined });
    backlog.seek(TRIM_HORIZON);
    backlog.add({ records: rows, millisBehindLatest: 0, childShards: undefined });
    const { batch } = backlog.read(TRIM_HORIZON);
    expect(batch).toMatchObject({ recordCount: 4, byteCount: 20, first: 1_001n, last: { sequenceNumber: 1_004n } });
    expect(asked.filter((index) => index === 1 || index === 2)).toEqual([]);
    expect(batch?.records.map(({ sequenceNumber }) => sequenceNumber)).toEqual(['1001', '1002', '1003', '1004']);
    expect(batch?.records).toBe(batch?.records);
    expect(asked.filter((index) => index === 1 || index === 2)).toEqual([1, 2]);
  });
});

/** An aggregated record for each letter, of two user records; of a capital one the digest is wrong. */
function answerOf(letters: string, firstNumber: number): Answer {
  const records = [...letters].map((letter, index) => {
    const parts = [1, 2].map((number) => ({ partitionKey: 'key', data: Buffer.from(`${letter}${number}`) }));
    const data = Buffer.from(encodeAggregatedRecord(parts));
    if (letter !== letter.toLowerCase()) data[data.length - 1] = (data.at(-1) ?? 0) ^ 1;
    return { SequenceNumber: `${firstNumber + index}`, Data: data.toString('base64'), PartitionKey: 'a' };
  });
  const split = splitRecords(Buffer.from(JSON.stringify({ Records: records })));
  return { records: split?.records ?? [], millisBehindLatest: 0, childShards: undefined };
}

describe('the digests of aggregated records', () => {
  function reading(backlog: Backlog): { readonly records: number; readonly corrupt: number } {
    const { batch } = backlog.read(backlog.position ?? TRIM_HORIZON);
    return { records: batch?.recordCount ?? 0, corrupt: batch?.corruptCount ?? 0 };
  }

  it.each([
    ['whole', 'abc', 'aBc'],
    ['broken', 'aBc', 'abc'],
  ])('are those of their answer: one that was %s says nothing of the next one at the same place', (_, ...letters) => {
    const backlog = new Backlog({ maxRecordsPerBatch: 100, hashKeyRange: undefined });
    backlog.seek(TRIM_HORIZON);
    for (const [index, each] of letters.entries()) {
      backlog.add(answerOf(each, 10 * (index + 1)));
      expect(reading(backlog)).toEqual(each === 'abc' ? { records: 6, corrupt: 0 } : { records: 5, corrupt: 1 });
    }
  });

  it('are each their record’s, also where a batch ends between records that were looked at together', () => {
    const backlog = new Backlog({ maxRecordsPerBatch: 3, hashKeyRange: undefined });
    backlog.seek(TRIM_HORIZON);
    backlog.add(answerOf('abCdefghijKl', 1));
    const read = [1, 2, 3, 4, 5, 6].map(() => reading(backlog));
    expect(read.map(({ records }) => records)).toEqual([4, 3, 4, 4, 4, 3]);
    expect(read.map(({ corrupt }) => corrupt)).toEqual([0, 1, 0, 0, 0, 1]);
  });
});
