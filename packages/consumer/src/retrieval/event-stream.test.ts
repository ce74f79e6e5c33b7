// The reader of events against the SDK's own writer of the framing: whole events in any cut, and nothing out of damaged ones.
import { EventStreamCodec } from '@smithy/core/event-streams';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { KinesisRecords } from './backlog.ts';
import type { KinesisRecord } from './deaggregate.ts';
import { readEvents, type ShardEvent } from './event-stream.ts';
import { bytesOf } from './stream-bytes.ts';

const codec = new EventStreamCodec(
  (bytes) => Buffer.from(bytes).toString(),
  (text) => Buffer.from(text),
);

function frame(headers: Record<string, string>, payload: string): Buffer {
  const typed = Object.entries(headers).map(([name, value]) => [name, { type: 'string', value }] as const);
  return Buffer.from(codec.encode({ headers: Object.fromEntries(typed), body: Buffer.from(payload) }));
}

interface Pushed {
  readonly Records: readonly {
    Data: string;
    PartitionKey: string;
    SequenceNumber: string;
    ApproximateArrivalTimestamp: number;
  }[];
  readonly ContinuationSequenceNumber: string;
  readonly MillisBehindLatest: number;
}

const eventHeaders = { ':message-type': 'event', ':event-type': 'SubscribeToShardEvent' };
const eventFrame = (event: object): Buffer => frame(eventHeaders, JSON.stringify(event));
const first = frame({ ':message-type': 'event', ':event-type': 'initial-response' }, '{}');

async function* inPieces(bytes: Buffer, cuts: readonly number[]): AsyncGenerator<Uint8Array> {
  const at = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((one, other) => one - other);
  let from = 0;
  for (const to of [...at, bytes.length]) {
    yield bytes.subarray(from, to);
    from = to;
  }
}

async function readAll(bytes: AsyncIterable<Uint8Array>): Promise<{ events: ShardEvent[]; error?: Error }> {
  const events: ShardEvent[] = [];
  try {
    for await (const event of readEvents(bytesOf(bytes))) if ('records' in event) events.push(event);
    return { events };
  } catch (error) {
    return { events, error: error as Error };
  }
}

const pushed: fc.Arbitrary<Pushed> = fc.record({
  Records: fc.array(
    fc.record({
      Data: fc.uint8Array({ maxLength: 600 }).map((data) => Buffer.from(data).toString('base64')),
      PartitionKey: fc.string({ minLength: 1, maxLength: 20 }),
      SequenceNumber: fc.bigInt({ min: 0n, max: 10n ** 56n }).map(String),
      ApproximateArrivalTimestamp: fc.integer({ min: 0, max: 2_000_000_000 }),
    }),
    { maxLength: 5 },
  ),
  ContinuationSequenceNumber: fc.bigInt({ min: 0n, max: 10n ** 56n }).map(String),
  MillisBehindLatest: fc.nat(),
});
const cuts = fc.array(fc.nat(), { maxLength: 12 });

function* made(records: KinesisRecords): Generator<KinesisRecord> {
  for (let index = 0; index < records.length; index += 1) yield records.at(index) as KinesisRecord;
}

/** What of an event a test looks at, in plain values. */
const plain = ({ records, ContinuationSequenceNumber, MillisBehindLatest }: ShardEvent): unknown => ({
  records: [...made(records)].map(({ data, partitionKey, sequenceNumber }) => [
    Buffer.from(data).toString('base64'),
    partitionKey,
    sequenceNumber,
  ]),
  ContinuationSequenceNumber,
  MillisBehindLatest,
});
const expected = ({ Records, ContinuationSequenceNumber, MillisBehindLatest }: Pushed): unknown => ({
  records: Records.map((record) => [record.Data, record.PartitionKey, record.SequenceNumber]),
  ContinuationSequenceNumber,
  MillisBehindLatest,
});

describe('readEvents', () => {
  it('gives out what was written, wherever the bytes are cut', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(pushed, { maxLength: 4 }), cuts, async (events, at) => {
        const bytes = Buffer.concat([first, ...events.map(eventFrame)]);
        const read = await readAll(inPieces(bytes, at));
        expect(read.error).toBeUndefined();
        expect(read.events.map(plain)).toEqual(events.map(expected));
      }),
    );
  });

  it('gives out no event that is not whole when the stream breaks off', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(pushed, { minLength: 1, maxLength: 3 }), fc.nat(), cuts, async (events, end, at) => {
        const frames = events.map(eventFrame);
        const bytes = Buffer.concat(frames);
        const kept = end % bytes.length;
        const read = await readAll(inPieces(bytes.subarray(0, kept), at));
        let whole = 0;
        for (let length = 0; whole < frames.length; whole += 1) {
          length += (frames[whole] as Buffer).length;
          if (length > kept) break;
        }
        expect(read.error).toBeUndefined();
        expect(read.events.map(plain)).toEqual(events.slice(0, whole).map(expected));
      }),
    );
  });

  it('gives out nothing of an event with a flipped bit, and says so', async () => {
    await fc.assert(
      fc.asyncProperty(pushed, fc.nat(), fc.nat(7), cuts, async (event, where, bit, at) => {
        const bytes = eventFrame(event);
        const index = where % bytes.length;
        bytes.writeUInt8(bytes.readUInt8(index) ^ (1 << bit), index);
        const read = await readAll(inPieces(bytes, at));
        expect(read.events).toEqual([]);
        expect(read.error).toMatchObject({ code: 'REQUEST_FAILED', retryable: true });
      }),
    );
  });

  it.each([
    [
      'an exception',
      { ':message-type': 'exception', ':exception-type': 'ResourceInUseException' },
      '{"message":"taken"}',
    ],
    [
      'one with a capital',
      { ':message-type': 'exception', ':exception-type': 'ResourceInUseException' },
      '{"Message":"taken"}',
    ],
    ['one in plain words', { ':message-type': 'exception', ':exception-type': 'ResourceInUseException' }, 'taken'],
    ['an error', { ':message-type': 'error', ':error-code': 'ResourceInUseException', ':error-message': 'taken' }, ''],
  ])('throws what the service says under its name, after the events before: %s', async (_, headers, payload) => {
    const event = { Records: [], ContinuationSequenceNumber: '1', MillisBehindLatest: 0 };
    const read = await readAll(inPieces(Buffer.concat([eventFrame(event), frame(headers, payload)]), []));
    expect(read.events).toHaveLength(1);
    expect(read.error).toMatchObject({ name: 'ResourceInUseException', message: 'taken' });
  });

  it('reads records that are written in an unusual way by the general parser', async () => {
    const record = '{ "PartitionKey": "k\\u0041", "Data": "eA==", "SequenceNumber": "7", "New": [1] }';
    const event = `{"ContinuationSequenceNumber":"7","MillisBehindLatest":0,"Records":[${record}]}`;
    const read = await readAll(inPieces(frame(eventHeaders, event), []));
    expect(read.events.map(plain)).toEqual([
      { records: [['eA==', 'kA', '7']], ContinuationSequenceNumber: '7', MillisBehindLatest: 0 },
    ]);
  });

  it('refuses a length that no event has, before it waits for its bytes', async () => {
    const bytes = eventFrame({ Records: [] });
    const huge = Buffer.from(codec.encode({ headers: {}, body: Buffer.alloc(65 * 1024 * 1024) }));
    const read = await readAll(inPieces(Buffer.concat([bytes, huge.subarray(0, 100)]), []));
    expect(read.events).toHaveLength(1);
    expect(read.error?.message).toBe('Kinesis pushed an event with a wrong length');
  });
});

it('leaves the records of an event as they were while those after it are gathered', async () => {
  const events = [1, 2, 3].map((value) => ({
    ...someEvent,
    Records: [{ ...record, Data: Buffer.alloc(200_000, value).toString('base64') }],
  }));
  const bytes = Buffer.concat(events.map(eventFrame));
  const cuts = Array.from({ length: Math.ceil(bytes.length / 16_384) }, (_, n) => 16_384 * n);
  const read = await readAll(inPieces(bytes, cuts));
  expect(read.events.map(plain)).toEqual(events.map(({ Records }) => expected({ ...someEvent, Records })));
});

describe('an event for which there is no room', () => {
  it('is told of by its length, and its bytes are not asked for until there is', async () => {
    const event = { ...someEvent, Records: [{ ...record, Data: Buffer.alloc(1_000_000).toString('base64') }] };
    let givenBytes = 0;
    async function* counted(): AsyncGenerator<Uint8Array> {
      for await (const piece of inPieces(
        Buffer.concat([first, eventFrame(event)]),
        Array.from({ length: 1_000 }, (_, n) => 1_500 * n),
      )) {
        givenBytes += piece.length;
        yield piece;
      }
    }
    let room = 1_000;
    const events = readEvents(bytesOf(counted()), () => room);
    for (let n = 0; n < 3; n += 1) {
      const { value } = await events.next();
      expect(value).toEqual({ waitingBytes: expect.any(Number) });
      expect((value as { waitingBytes: number }).waitingBytes).toBeGreaterThan(1_000_000);
      expect(givenBytes).toBeLessThan(100_000);
    }
    room = 2_000_000;
    // It is told of as it comes.
    expect((await events.next()).value).toEqual({ arrivedBytes: expect.any(Number) });
    const { value } = await events.next();
    expect([...made((value as ShardEvent).records)].map(({ data }) => data.length)).toEqual([1_000_000]);
  });

  it('that is large is told of as it comes', async () => {
    const event = { ...someEvent, Records: [{ ...record, Data: Buffer.alloc(3_000_000).toString('base64') }] };
    const cuts = Array.from({ length: 300 }, (_, n) => 16_384 * n);
    const told: object[] = [];
    for await (const each of readEvents(bytesOf(inPieces(eventFrame(event), cuts)))) told.push(each);
    expect(told.map((each) => Object.keys(each)[0])).toEqual([
      ...Array.from({ length: 3 }, () => 'arrivedBytes'),
      'records',
    ]);
  });
});

const record = { PartitionKey: 'k', SequenceNumber: '1', ApproximateArrivalTimestamp: 1 };
const someEvent = { ContinuationSequenceNumber: '1', MillisBehindLatest: 0 };
