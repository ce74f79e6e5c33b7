// A shard that is read while its records expire, by polling and by fan-out, over real sockets: what Kinesis passes over is told, and nothing is
// where it passes over nothing. Time is a clock that the test moves, the server's and the source's in one.
import { type KinesisClient, PutRecordCommand, SplitShardCommand } from '@aws-sdk/client-kinesis';
import {
  createFanOutClient,
  createKinesisClient,
  type ExtendedSequenceNumber,
  evenRanges,
  type HashKeyRange,
  MAX_HASH_KEY,
  parseCheckpoint,
  parseStream,
  silentLogger,
  TRIM_HORIZON,
} from '@shardline/common';
import { type LocalKinesis, ManualClock, startLocalKinesis } from '@shardline/local';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FanOutSource } from '../src/retrieval/fan-out.ts';
import { PollingSource } from '../src/retrieval/polling.ts';
import type { Gap, ShardSource, SourceRead } from '../src/retrieval/source.ts';
import { StreamConsumer } from '../src/retrieval/stream-consumer.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const stream = parseStream('orders');
const SHARD = 'shardId-000000000000';
const never = new AbortController().signal;
/** Large enough to travel alone in an event. */
const DATA_BYTES = 500_000;

let clock: ManualClock;
let local: LocalKinesis;
let client: KinesisClient;
let fanOut: KinesisClient;
let consumer: StreamConsumer;
/** By operation: how many requests were sent. */
let sent: Record<string, number>;
let sources: ShardSource[];

beforeEach(async () => {
  clock = new ManualClock();
  local = await startLocalKinesis({ clock, streams: [{ name: 'orders', shardCount: 1 }], registerConsumerMs: 0 });
  client = createKinesisClient({ ...local.clientConfig, maxAttempts: 1 });
  fanOut = createFanOutClient({ ...local.clientConfig, maxAttempts: 1 });
  sent = {};
  for (const each of [client, fanOut]) {
    each.middlewareStack.add(
      (next, { commandName = '' }) =>
        (args) => {
          sent[commandName] = (sent[commandName] ?? 0) + 1;
          return next(args);
        },
      { step: 'initialize' },
    );
  }
  const options = { consumerName: 'billing', consumerArn: undefined, requestTimeoutMs: 30_000, logger: silentLogger };
  consumer = new StreamConsumer({ client, stream, clock, ...options });
  sources = [];
});
afterEach(async () => {
  for (const source of sources) source.close();
  consumer.close();
  client.destroy();
  fanOut.destroy();
  await local.close();
});

type Mode = 'polling' | 'fan-out';

function open(mode: Mode): ShardSource {
  const shard = { stream, shardId: SHARD, hashKeyRange: evenRanges(1)[0] as HashKeyRange, timestamp: undefined };
  const common = { clock, requestTimeoutMs: 30_000 };
  const source =
    mode === 'polling'
      ? new PollingSource({ client, maxRecordsPerRead: 1, idleTimeBetweenReadsMs: 1_000, ...common }, shard)
      : new FanOutSource({
          ...shard,
          ...common,
          client: fanOut,
          consumer,
          maxRecordsPerBatch: 10,
          silenceTimeoutMs: 15_000,
        });
  sources.push(source);
  return source;
}

async function put(text: string): Promise<ExtendedSequenceNumber> {
  const Data = Buffer.alloc(DATA_BYTES, text);
  const { SequenceNumber } = await client.send(
    new PutRecordCommand({ StreamName: 'orders', PartitionKey: 'key', Data }),
  );
  return parseCheckpoint(SequenceNumber as string);
}

/** Reads on until something new came, while the clock goes on by a second at a time: some, not many. */
async function read(source: ShardSource, after: ExtendedSequenceNumber): Promise<SourceRead> {
  const turn = setInterval(() => clock.advance(1_000), 1);
  try {
    for (let tries = 0; tries < 200; tries += 1) {
      const answer = await source.fetch(after, never);
      if (answer.batch !== undefined || answer.atShardEnd) return answer;
      clock.advance(1_000);
    }
    throw new Error('nothing came');
  } finally {
    clearInterval(turn);
  }
}

/** An hour goes by in which nothing comes; then it is read on, by a new iterator or subscription, whose first answer holds nothing either. */
async function restsForAnHour(mode: Mode, source: ShardSource, after: ExtendedSequenceNumber): Promise<void> {
  clock.advance(HOUR_MS);
  const begun = mode === 'polling' ? 'GetShardIteratorCommand' : 'SubscribeToShardCommand';
  const before = sent[begun];
  const turn = setInterval(() => clock.advance(1_000), 1);
  try {
    while (sent[begun] === before) expect((await source.fetch(after, never)).batch).toBeUndefined();
    expect((await source.fetch(after, never)).batch).toBeUndefined();
  } finally {
    clearInterval(turn);
  }
}

async function readOne(
  source: ShardSource,
  after: ExtendedSequenceNumber,
): Promise<{ text: string; last: ExtendedSequenceNumber; gap: Gap | undefined }> {
  const { batch } = await read(source, after);
  const text = (batch?.records ?? []).map(({ data }) => String.fromCharCode(data[0] ?? 0)).join('');
  return { text, last: batch?.last ?? after, gap: batch?.gap };
}

/** A minute apart, and one half a day later; then it is three minutes before the first expires. */
async function almostExpired(): Promise<Record<'a' | 'b' | 'c', ExtendedSequenceNumber>> {
  const a = await put('a');
  clock.advance(MINUTE_MS);
  const b = await put('b');
  clock.advance(12 * HOUR_MS);
  const c = await put('c');
  clock.advance(12 * HOUR_MS - 4 * MINUTE_MS);
  return { a, b, c };
}

describe.each(['polling', 'fan-out'] as const)('read by %s, a shard', (mode) => {
  /** Time in which nothing is read. An iterator of four minutes still stands; a subscription has ended after six. */
  async function passes(source: ShardSource, after: ExtendedSequenceNumber): Promise<void> {
    clock.advance(mode === 'polling' ? 4 * MINUTE_MS : 6 * MINUTE_MS);
    if (mode === 'polling') return;
    expect((await source.fetch(after, never)).batch).toBeUndefined();
  }

  it('whose records expire before they are read tells of it, with the bounds, once', async () => {
    const { a, c } = await almostExpired();
    const source = open(mode);
    expect(await readOne(source, TRIM_HORIZON)).toEqual({ text: 'a', last: a, gap: undefined });
    await passes(source, a);
    const gap = { cause: 'behind', after: a.sequenceNumber, before: c.sequenceNumber };
    expect(await readOne(source, a)).toEqual({ text: 'c', last: c, gap });
    const d = await put('d');
    expect(await readOne(source, c)).toEqual({ text: 'd', last: d, gap: undefined });
  });

  it('that is read just in time loses nothing, repeats nothing and tells nothing', async () => {
    const { a, b, c } = await almostExpired();
    // Longer than any stream must keep its records: nobody but Kinesis knows.
    local.model.setRetention({ streamName: 'orders', hours: 26, direction: 'increase' }, clock.wallNow());
    const source = open(mode);
    expect(await readOne(source, TRIM_HORIZON)).toEqual({ text: 'a', last: a, gap: undefined });
    await passes(source, a);
    expect(await readOne(source, a)).toEqual({ text: 'b', last: b, gap: undefined });
    await passes(source, b);
    expect(await readOne(source, b)).toEqual({ text: 'c', last: c, gap: undefined });
  });

  it('at rest for longer than the retention has no gap, neither before its next record nor at its end', async () => {
    const a = await put('a');
    const source = open(mode);
    expect(await readOne(source, TRIM_HORIZON)).toEqual({ text: 'a', last: a, gap: undefined });
    for (let hour = 0; hour < 30; hour += 1) await restsForAnHour(mode, source, a);
    const b = await put('b');
    expect(await readOne(source, a)).toEqual({ text: 'b', last: b, gap: undefined });
    for (let hour = 0; hour < 30; hour += 1) await restsForAnHour(mode, source, b);
    const half = String((MAX_HASH_KEY + 1n) / 2n);
    await client.send(new SplitShardCommand({ StreamName: 'orders', ShardToSplit: SHARD, NewStartingHashKey: half }));
    const end = await read(source, b);
    expect(end).toMatchObject({ batch: undefined, atShardEnd: true });
    expect(end).not.toHaveProperty('gap');
  });

  it('that nobody read for longer than the retention tells of what came and went meanwhile', async () => {
    const a = await put('a');
    const source = open(mode);
    await readOne(source, TRIM_HORIZON);
    await restsForAnHour(mode, source, a);
    // As when its handler is paused, or the machine sleeps.
    clock.advance(HOUR_MS);
    await put('b');
    clock.advance(25 * HOUR_MS);
    const c = await put('c');
    const gap = { cause: 'behind', after: a.sequenceNumber, before: c.sequenceNumber };
    expect(await readOne(source, a)).toEqual({ text: 'c', last: c, gap });
  });
});

describe('polling at the edge', () => {
  /** As other libraries have met it: an iterator made at a number whose record is gone stands at the horizon, and never gets on. */
  function standsAtHorizon(behindMs: () => number): void {
    const standing = new Set<string>();
    client.middlewareStack.add(
      (next) => async (args) => {
        const input = args.input as { ShardIteratorType?: string; ShardIterator?: string };
        if (input.ShardIterator !== undefined && standing.has(input.ShardIterator)) {
          const output = { Records: [], NextShardIterator: input.ShardIterator, MillisBehindLatest: behindMs() };
          return { output: { $metadata: {}, ...output }, response: undefined };
        }
        const answer = await next(args);
        const { ShardIterator } = answer.output as { ShardIterator?: string };
        if (input.ShardIteratorType === 'AT_SEQUENCE_NUMBER' && ShardIterator !== undefined)
          standing.add(ShardIterator);
        return answer;
      },
      { step: 'initialize' },
    );
  }

  it('goes on with the oldest record where an iterator stands still at the horizon, and tells of the gap', async () => {
    const a = await put('a');
    clock.advance(25 * HOUR_MS);
    const b = await put('b');
    standsAtHorizon(() => 24 * HOUR_MS);
    const gap = { cause: 'away', after: a.sequenceNumber, before: b.sequenceNumber };
    expect(await readOne(open('polling'), a)).toEqual({ text: 'b', last: b, gap });
  });

  it.each([
    ['where reading began', false],
    ['that came later', true],
  ])(
    'goes on where an iterator made anew, at a record %s, stands still at the horizon, and tells of no gap',
    async (_where, comesLater) => {
      let last = await put('a');
      const source = open('polling');
      // The tenure begins at the record, which is looked for; the shard rests until it is gone.
      expect((await source.fetch(last, never)).batch).toBeUndefined();
      if (comesLater) {
        await put('b');
        last = (await readOne(source, last)).last;
      }
      for (let hour = 0; hour < 30; hour += 1) await restsForAnHour('polling', source, last);
      standsAtHorizon(() => 24 * HOUR_MS);
      // An outage of ten minutes, in which the iterator expires.
      clock.advance(10 * MINUTE_MS);
      const c = await put('c');
      expect(await readOne(source, last)).toEqual({ text: 'c', last: c, gap: undefined });
    },
  );

  it('waits for an iterator that gets on, however long without a record', async () => {
    const a = await put('a');
    await put('b');
    let behindMs = 7 * 24 * HOUR_MS;
    standsAtHorizon(() => {
      behindMs -= MINUTE_MS;
      return behindMs;
    });
    const source = open('polling');
    for (let times = 0; times < 100; times += 1) {
      expect((await source.fetch(a, never)).batch).toBeUndefined();
      clock.advance(1_000);
    }
    expect(sent['GetShardIteratorCommand']).toBe(1);
  });

  it('comes past answers that hold but the record that is looked for, and asks for no other iterator before', async () => {
    const numbers: ExtendedSequenceNumber[] = [];
    for (const text of 'abcdef') {
      numbers.push(await put(text));
      clock.advance(1_000);
    }
    const source = open('polling');
    let last: ExtendedSequenceNumber = TRIM_HORIZON;
    const texts: string[] = [];
    const on = async (): Promise<void> => {
      const one = await readOne(source, last);
      expect(one.gap).toBeUndefined();
      texts.push(one.text);
      last = one.last;
    };
    for (let times = 0; times < 3; times += 1) await on();
    expect(sent['GetShardIteratorCommand']).toBe(1);
    // Almost a day passes, in which it is stopped.
    clock.advance(24 * HOUR_MS - 3 * MINUTE_MS);
    for (let times = 0; times < 3; times += 1) await on();
    expect(texts.join('')).toBe('abcdef');
    expect(last).toEqual(numbers.at(-1));
    // One for each place from which it read on that late.
    expect(sent['GetShardIteratorCommand']).toBe(4);
  });
});
