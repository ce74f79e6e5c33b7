// Our producer and our consumer on Kinesis servers that others wrote, so that what both of ours take for granted is not only what our own
// local Kinesis does. Leases are in dynalite. Of each server what it has:
//
// - kinesis-local 0.6.2 (Scala, in Node): polling, and a split and a merge under load. No fan-out: its HTTP/2 acknowledges PINGs that
//   nobody sent, which Node's client takes for a connection error (ERR_HTTP2_ERROR), whoever uses it: the bare AWS SDK fails alike.
// - ministack 1.5.33 (Python): polling and fan-out, with what server.py mends. No reshard: it deletes the parents at once, with
//   what lies in them.
import {
  CreateStreamCommand,
  DescribeStreamSummaryCommand,
  type KinesisClient,
  ListShardsCommand,
  MergeShardsCommand,
  type Shard,
  SplitShardCommand,
} from '@aws-sdk/client-kinesis';
import { createDynamoDBClient, createKinesisClient } from '@shardline/common';
import { Consumer } from '@shardline/consumer';
import { type LocalDynamoDB, startLocalDynamoDB } from '@shardline/local';
import { Producer, type PutResult } from '@shardline/producer';
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished, vi } from 'vitest';

type Reshard = 'split' | 'merge';

interface Case {
  readonly server: 'kinesis-local' | 'ministack';
  readonly retrievalMode: 'polling' | 'fanout';
  readonly aggregationEnabled: boolean;
  readonly reshard?: Reshard;
}

const cases: readonly Case[] = [
  { server: 'kinesis-local', retrievalMode: 'polling', aggregationEnabled: false },
  { server: 'kinesis-local', retrievalMode: 'polling', aggregationEnabled: true, reshard: 'split' },
  { server: 'kinesis-local', retrievalMode: 'polling', aggregationEnabled: true, reshard: 'merge' },
  { server: 'ministack', retrievalMode: 'polling', aggregationEnabled: true },
  { server: 'ministack', retrievalMode: 'fanout', aggregationEnabled: true },
  { server: 'ministack', retrievalMode: 'fanout', aggregationEnabled: false },
];

/** What each phase puts at least; during a reshard more, until it is over. */
const RECORDS = 600;
/** Put before any of them is waited for. */
const ROUND = 100;
const KEYS = Array.from({ length: 17 }, (_, n) => `key-${n}`);

let dynamoDB: LocalDynamoDB;
beforeAll(async () => {
  dynamoDB = await startLocalDynamoDB();
});
afterAll(async () => {
  await dynamoDB?.close();
});

describe.each(cases)('$server, $retrievalMode, aggregated: $aggregationEnabled, reshard: $reshard', (of) => {
  it('every record is handled, in the order of its key, and a second consumer goes on behind the first', async () => {
    const stream = await Stream.create(of);
    const first = stream.read();
    await until(() => expect(first.begun).toHaveLength(2));
    const before = await stream.shards();

    await stream.put(RECORDS);
    if (of.reshard !== undefined) {
      await stream.put(RECORDS, stream.reshard(of.reshard));
      await stream.put(RECORDS);
    }
    const put = [...stream.written];
    await first.untilHandled(put);
    const after = await stream.shards();
    const parents = of.reshard === undefined ? [] : before.slice(0, of.reshard === 'split' ? 1 : 2);
    await until(() => expect(first.ended.toSorted()).toEqual(idsOf(parents)));
    await first.untilCheckpointed();
    await first.stop();

    expect(first.faults(put, parents)).toEqual([]);
    for (const { shardId, ended } of first.begun.slice(before.length))
      expect({ shardId, ended }).toEqual({ shardId, ended: idsOf(parents) });
    expect([...new Set(first.handled.map(({ shardId }) => shardId))].toSorted()).toEqual(idsOf(after));
    console.log(`${stream.name}: ${put.length} put, ${first.handled.length} handled, ${after.length} shards`);

    // Nothing that the first one's checkpoints cover comes again, though its leases are as it left them.
    await stream.put(RECORDS);
    const later = stream.written.slice(put.length);
    const second = stream.read();
    await second.untilHandled(later);
    await second.untilCheckpointed();
    await second.stop();
    expect(second.faults(later, [])).toEqual([]);
    expect(second.begun.filter(({ shardId }) => idsOf(parents).includes(shardId))).toEqual([]);
  });
});

/** A user record of which the producer said that it is in the stream. */
interface Written extends PutResult {
  readonly text: string;
}

/** A stream of one server, put into by one producer; each record says its key and its number within it. */
class Stream {
  readonly name: string;
  readonly written: Written[] = [];
  readonly #of: Case;
  readonly #client: KinesisClient;
  readonly #producer: Producer;
  #count = 0;

  private constructor(of: Case, name: string, client: KinesisClient) {
    this.#of = of;
    this.name = name;
    this.#client = client;
    this.#producer = new Producer({ stream: name, client, aggregationEnabled: of.aggregationEnabled });
    onTestFinished(() => this.#producer.close());
  }

  static async create(of: Case): Promise<Stream> {
    const { server, retrievalMode, aggregationEnabled, reshard } = of;
    const name = [server, retrievalMode, aggregationEnabled ? 'aggregated' : 'plain', reshard ?? 'still'].join('-');
    const client = clientOf(of);
    onTestFinished(() => client.destroy());
    await client.send(new CreateStreamCommand({ StreamName: name, ShardCount: 2 }));
    const stream = new Stream(of, name, client);
    await stream.#untilActive();
    return stream;
  }

  /** So many at least, and on until `meanwhile` is over; resolves when they are in the stream. */
  async put(atLeast: number, meanwhile: Promise<void> = Promise.resolve()): Promise<void> {
    let isOver = false;
    const over = meanwhile.finally(() => {
      isOver = true;
    });
    // Its failure is told below.
    over.catch(() => undefined);
    const upTo = this.#count + atLeast;
    while (this.#count < upTo || !isOver) this.written.push(...(await Promise.all(this.#round())));
    await over;
  }

  #round(): Promise<Written>[] {
    return Array.from({ length: ROUND }, async () => {
      const at = this.#count++;
      const partitionKey = KEYS[at % KEYS.length] ?? '';
      const text = `${partitionKey} ${Math.floor(at / KEYS.length)} ${'x'.repeat(50)}`;
      return { ...(await this.#producer.put({ partitionKey, data: text })), text };
    });
  }

  /** Of the first shard, and of the one beside it. Resolves when the stream is ACTIVE again. */
  async reshard(kind: Reshard): Promise<void> {
    const StreamName = this.name;
    const [one, other] = await this.shards();
    const { StartingHashKey: from = '', EndingHashKey: to = '' } = one?.HashKeyRange ?? {};
    const half = String((BigInt(from) + BigInt(to)) / 2n);
    const split = { StreamName, ShardToSplit: one?.ShardId, NewStartingHashKey: half };
    const merge = { StreamName, ShardToMerge: one?.ShardId, AdjacentShardToMerge: other?.ShardId };
    if (kind === 'split') await this.#client.send(new SplitShardCommand(split));
    else await this.#client.send(new MergeShardsCommand(merge));
    await this.#untilActive();
  }

  /** Closed ones as well, in the order of their ids. */
  async shards(): Promise<readonly Shard[]> {
    const { Shards = [] } = await this.#client.send(new ListShardsCommand({ StreamName: this.name }));
    return Shards.toSorted((a, b) => ((a.ShardId ?? '') < (b.ShardId ?? '') ? -1 : 1));
  }

  read(): Reader {
    return new Reader(this.name, this.#of);
  }

  async #untilActive(): Promise<void> {
    const command = new DescribeStreamSummaryCommand({ StreamName: this.name });
    await until(async () =>
      expect((await this.#client.send(command)).StreamDescriptionSummary?.StreamStatus).toBe('ACTIVE'),
    );
  }
}

interface Handled {
  readonly text: string;
  readonly shardId: string;
  readonly sequenceNumber: string;
  readonly subSequenceNumber: number;
}

/** A consumer of the stream's application, from TRIM_HORIZON, and what it handles. */
class Reader {
  readonly handled: Handled[] = [];
  /** With those that had ended before. */
  readonly begun: { readonly shardId: string; readonly ended: readonly string[] }[] = [];
  readonly ended: string[] = [];
  readonly #places: Set<string> = new Set();
  readonly #consumer: Consumer;
  readonly #running: Promise<void>;

  constructor(stream: string, of: Case) {
    const kinesisClient = clientOf(of);
    const dynamoDBClient = createDynamoDBClient(dynamoDB.clientConfig);
    const { retrievalMode } = of;
    const initialPosition = 'TRIM_HORIZON';
    this.#consumer = new Consumer({
      ...{ application: stream, stream, kinesisClient, dynamoDBClient, retrievalMode, initialPosition, ...quick },
    });
    this.#running = this.#consumer.run({
      initialize: (_, { shardId }) => {
        this.begun.push({ shardId, ended: this.ended.toSorted() });
      },
      processRecords: ({ shardId, records }) => {
        for (const { data, sequenceNumber, subSequenceNumber } of records) {
          const text = Buffer.from(data).toString();
          this.handled.push({ text, shardId, sequenceNumber, subSequenceNumber });
          this.#places.add(whereOf({ shardId, sequenceNumber, subSequenceNumber }));
        }
      },
      shardEnded: ({ shardId }) => {
        this.ended.push(shardId);
      },
    });
    // It is told by what waits, and by `stop`.
    this.#running.catch(() => undefined);
    onTestFinished(async () => {
      await this.#consumer.stop();
      kinesisClient.destroy();
      dynamoDBClient.destroy();
    });
  }

  /** Where its put says, which of several copies is the last. */
  untilHandled(written: readonly Written[]): Promise<void> {
    return until(() => {
      const missing = written.filter((record) => !this.#places.has(whereOf(record))).map(whereOf);
      expect({ count: missing.length, first: missing.slice(0, 3) }).toEqual({ count: 0, first: [] });
    });
  }

  /** The checkpoint of every open shard is at its last record. */
  untilCheckpointed(): Promise<void> {
    const isOpen = (shardId: string): boolean => !this.ended.includes(shardId);
    return until(() => {
      const last = new Map(
        this.handled.filter(({ shardId }) => isOpen(shardId)).map((at) => [at.shardId, placeOf(at)]),
      );
      const { shards } = this.#consumer.view();
      const checkpoints = shards
        .filter(({ leaseKey }) => isOpen(leaseKey))
        .map((shard) => [shard.leaseKey, shard.checkpoint]);
      expect(checkpoints.toSorted()).toEqual([...last].toSorted());
    });
  }

  /** Resolves when `run` has: it rejects if that failed. */
  async stop(): Promise<void> {
    await this.#consumer.stop();
    await this.#running;
  }

  /**
   * What is not as it must be: each record handled where its put says; none twice, but the copy of one that a reshard misled, which lies
   * in a child; the first copies of a key in the order of their puts.
   */
  faults(written: readonly Written[], parents: readonly Shard[]): string[] {
    const faults: string[] = [];
    const places = new Set<string>();
    const copies = new Map<string, Handled[]>();
    const expected = new Map(written.map((record) => [record.text, record]));
    for (const handled of this.handled) {
      const place = whereOf(handled);
      if (places.has(place)) faults.push(`handled again: ${place}`);
      places.add(place);
      if (!expected.has(handled.text)) faults.push(`nobody put: ${handled.text}`);
      copies.set(handled.text, [...(copies.get(handled.text) ?? []), handled]);
    }
    for (const { text, duplicate, ...at } of written) {
      if (!places.has(whereOf(at))) faults.push(`not handled where it was put: ${text} ${whereOf(at)}`);
      const of = copies.get(text) ?? [];
      const isInParent = of.some((copy) => idsOf(parents).includes(copy.shardId));
      if (of.length > 1 && (!duplicate || isInParent || parents.length === 0))
        faults.push(`more than once: ${text} ${JSON.stringify(of.map((copy) => copy.shardId))}`);
    }
    const last = new Map<string, number>();
    for (const text of copies.keys()) {
      const [key = '', number = ''] = text.split(' ');
      const before = last.get(key);
      if (before !== undefined && Number(number) !== before + 1) faults.push(`after ${key} ${before} came ${number}`);
      last.set(key, Number(number));
    }
    return faults;
  }
}

/** Everything as on AWS, only sooner. */
const quick = {
  failoverTimeMs: 3_000,
  leaseAssignmentIntervalMs: 200,
  leaseDiscoveryIntervalMs: 100,
  shardSyncIntervalMs: 500,
  parentShardPollIntervalMs: 50,
  checkpointIntervalMs: 50,
  idleTimeBetweenReadsMs: 200,
} as const;

function clientOf({ server }: Case): KinesisClient {
  const endpoint = inject(server === 'ministack' ? 'ministackEndpoint' : 'kinesisLocalEndpoint');
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
  return createKinesisClient({ endpoint, region: 'us-east-1', credentials });
}

interface Place {
  readonly sequenceNumber: string;
  readonly subSequenceNumber?: number;
}

/** As checkpoints are written. */
function placeOf({ sequenceNumber, subSequenceNumber = 0 }: Place): string {
  return subSequenceNumber === 0 ? sequenceNumber : `${sequenceNumber}:${subSequenceNumber}`;
}

function whereOf(at: Place & { readonly shardId: string }): string {
  return `${at.shardId} ${placeOf(at)}`;
}

function idsOf(shards: readonly Shard[]): string[] {
  return shards.map(({ ShardId = '' }) => ShardId);
}

function until<T>(check: () => T | Promise<T>): Promise<T> {
  return vi.waitFor(check, { timeout: 25_000, interval: 20 });
}
