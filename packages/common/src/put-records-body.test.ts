import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readPutRecords, writePutRecords } from './put-records-body.ts';

const key = fc.string({ unit: 'binary', minLength: 1, maxLength: 12 });
const record = fc.record({
  Data: fc.uint8Array({ maxLength: 100 }),
  PartitionKey: fc.option(key, { nil: undefined }),
  ExplicitHashKey: fc.option(fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }).map(String), { nil: undefined }),
});
const stream = fc.record({
  StreamName: fc.option(key, { nil: undefined }),
  StreamARN: fc.option(key, { nil: undefined }),
});

test('writes JSON of the input with the data as base64, without what is undefined', () => {
  fc.assert(
    fc.property(stream, fc.array(record, { maxLength: 8 }), (names, records) => {
      const said: unknown = JSON.parse(writePutRecords({ ...names, Records: records }).toString());
      const expected = { ...names, Records: records.map((one) => ({ ...one, Data: base64(one.Data) })) };
      expect(said).toEqual(JSON.parse(JSON.stringify(expected)));
    }),
  );
});

test('writes views of larger buffers as what they show', () => {
  const Data = new Uint8Array(Buffer.from('before data after').buffer).subarray(0);
  const view = Buffer.from('before data after').subarray(7, 11);
  for (const given of [view, new Uint8Array(view), Data.subarray(0, 0)]) {
    const body = writePutRecords({ StreamName: 's', Records: [{ Data: given, PartitionKey: 'k' }] });
    expect(JSON.parse(body.toString())).toEqual({
      StreamName: 's',
      Records: [{ Data: base64(given), PartitionKey: 'k' }],
    });
  }
});

test('writes long data whole, wherever a piece of it ends', () => {
  for (const length of [24_575, 24_576, 24_577, 24_578, 100_001, 1_048_576]) {
    const data = Buffer.from(Uint8Array.from({ length }, (_, index) => index * 31));
    const { Records: records } = JSON.parse(
      writePutRecords({ Records: [{ Data: data, PartitionKey: 'k' }] }).toString(),
    );
    expect(records).toEqual([{ Data: base64(data), PartitionKey: 'k' }]);
  }
});

test('reads a null as nothing, and keeps the order of the answers', () => {
  const written = { SequenceNumber: '1', ShardId: 's', ErrorCode: null, ErrorMessage: null };
  const refused = { ErrorCode: 'InternalFailure', ErrorMessage: 'oops', SequenceNumber: null, ShardId: null };
  expect(readPutRecords({ FailedRecordCount: 1, Records: [written, refused] })).toEqual({
    FailedRecordCount: 1,
    Records: [
      { SequenceNumber: '1', ShardId: 's' },
      { ErrorCode: 'InternalFailure', ErrorMessage: 'oops' },
    ],
  });
});

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
