// Both kinds of payloads carry everything that they are given, whatever it is made of.
import type { SequenceNumber } from '@shardline/common';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { StoredRecord } from '../model/index.ts';
import { SEQUENCE_STEP, sequenceBase, sequenceNumberAt } from '../model/sequence.ts';
import { controlPayload, readControlPayload } from './control-payload.ts';
import { longestRecordsPayload, recordsOf, runsOf, writeRecordsPayload } from './records-payload.ts';

const anyText = fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)) });
const key = fc.option(
  fc.oneof(
    fc.string({ minLength: 1, maxLength: 256 }),
    anyText.filter((text) => text.length > 0),
  ),
  { nil: undefined },
);
const content = fc.record({
  key,
  data: fc.uint8Array({ maxLength: 300 }),
  laterMs: fc.constantFrom(0, 0, 0, 0.5, 2_000),
});

test('records come out as they went in, with their numbers, arrivals and sizes, from any of them on', () => {
  const shards = fc.array(fc.array(content, { minLength: 1, maxLength: 20 }), { maxLength: 4 });
  fc.assert(
    fc.property(shards, fc.nat(0xffff_ffff), fc.nat(40), (contents, incarnation, skipped) => {
      const origin = { place: '000000000000/us-east-1', incarnation };
      const written = contents.map((each, shardNumber) => ({ shardNumber, records: recordsIn(each, shardNumber) }));
      const bytes = Buffer.alloc(10 + longestRecordsPayload(written));
      const end = writeRecordsPayload(bytes, 10, origin, written);
      const runs = runsOf(bytes.subarray(10, end));
      for (const { shardNumber, records } of written) {
        const ofShard = runs.filter((run) => run.shardNumber === shardNumber);
        expect(ofShard.flatMap((run) => [...recordsOf(run, 0)])).toEqual(records);
        const from = ofShard.flatMap((run) => [...recordsOf(run, 1 + skipped - run.counter)]);
        expect(from).toEqual(records.slice(skipped));
      }
      expect(runs.every((run) => run.place === origin.place && run.incarnation === incarnation)).toBe(true);
    }),
  );
});

function recordsIn(
  contents: readonly { key: string | undefined; data: Uint8Array; laterMs: number }[],
  shard: number,
): StoredRecord[] {
  let arrivalMs = 1_700_000_000_000;
  return contents.map(({ key: partitionKey, data, laterMs }, index) => {
    arrivalMs += laterMs;
    const number = sequenceNumberAt(sequenceBase(1_700_000_000, shard), index + 1, Math.floor(arrivalMs / 1000));
    const sizeBytes = data.length + Buffer.byteLength(partitionKey ?? '');
    return { sequenceNumber: number as SequenceNumber, partitionKey, data, arrivalMs, sizeBytes };
  });
}

test('records of one arrival are one run, and where the number makes a leap another begins', () => {
  const [first, second, third] = recordsIn(
    [0, 0, 0].map(() => ({ key: 'k', data: Buffer.alloc(1), laterMs: 0 })),
    0,
  );
  if (first === undefined || second === undefined || third === undefined) throw new Error('there are three');
  const leaping = { ...third, sequenceNumber: (third.sequenceNumber + SEQUENCE_STEP) as SequenceNumber };
  const written = [{ shardNumber: 0, records: [first, second, leaping] }];
  const bytes = Buffer.alloc(longestRecordsPayload(written));
  const runs = runsOf(bytes.subarray(0, writeRecordsPayload(bytes, 0, { place: 'p', incarnation: 1 }, written)));
  expect(runs.map(({ counter, count }) => [counter, count])).toEqual([
    [1, 2],
    [4, 1],
  ]);
});

test('a control payload keeps bigints apart from texts that look like one', () => {
  fc.assert(
    fc.property(
      fc.bigInt(),
      fc.oneof(
        anyText,
        fc.bigInt().map((number) => `#${number}`),
      ),
      (number, text) => {
        const settings = { commitment: { number, text, [text]: { list: [number, `##${text}`] } } } as never;
        const control = { kind: 'account' as const, place: text, settings };
        // JSON.stringify writes half a surrogate pair as an escape, so it survives too.
        expect(readControlPayload(controlPayload(control))).toEqual(control);
      },
    ),
  );
});
