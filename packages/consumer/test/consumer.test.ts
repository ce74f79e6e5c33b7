// The whole consumer over real sockets: local Kinesis, local DynamoDB, the SDK in between.
import { deepStrictEqual } from 'node:assert';
import { DeleteTableCommand, DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { KinesisClient } from '@aws-sdk/client-kinesis';
import {
  createDynamoDBClient,
  createKinesisClient,
  evenRanges,
  type HashKeyRange,
  type OperatingError,
  onDiagnostic,
  toHashKey,
  UsageError,
} from '@shardline/common';
import { type LocalKinesis, ManualClock, startLocalDynamoDB, startLocalKinesis } from '@shardline/local';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Consumer } from '../src/consumer.ts';
import { FleetReader } from '../src/fleet-reader.ts';
import type { Batch, ShardContext, UserRecord } from '../src/handler.ts';
import type { HandlingOptions } from '../src/handling/handling-options.ts';
import { type Cloud, keyOf, Scene, SHARD, startCloud, textOf, until } from './cloud.ts';
import { makeTable } from './java-fleet.ts';

let cloud: Cloud;
beforeAll(async () => {
  cloud = await startCloud();
});
afterAll(async () => {
  await cloud.close();
});

const same = (actual: unknown, expected: unknown): void => deepStrictEqual(actual, expected);
/** A DynamoDB set, which has no order. */
const set = (...members: string[]): unknown => expect.arrayContaining(members);
const numbered = (count: number, prefix = 'k'): string[] => Array.from({ length: count }, (_, n) => `${prefix} ${n}`);

describe('one worker', () => {
  it('reads plain and aggregated records in order, checkpoints in the table, and goes on from there', async () => {
    const scene = new Scene(cloud, 'one-worker');
    await scene.put('a 1', 'a 2');
    const aggregateNumber = await scene.putAggregate('b 3', 'b 4', 'b 5');

    const first: Batch['records'][number][] = [];
    const consumer = scene.consumer({ workerId: 'w1' });
    const running = consumer.run((batch) => {
      first.push(...batch.records);
    });
    await until(() => same(first.map(textOf), ['a 1', 'a 2', 'b 3', 'b 4', 'b 5']));
    expect(first[0]).toMatchObject({ partitionKey: 'a', subSequenceNumber: 0, aggregated: false });
    expect(first[4]).toMatchObject({
      partitionKey: 'b',
      sequenceNumber: aggregateNumber,
      subSequenceNumber: 2,
      aggregated: true,
      approximateArrivalTimestamp: expect.any(Date),
    });
    await until(async () => same(await scene.checkpointOf(SHARD(0)), `${aggregateNumber}:2`));
    const [range] = evenRanges(1) as [HashKeyRange];
    expect(await scene.row(SHARD(0))).toMatchObject({
      entityType: { S: 'LEASE' },
      leaseOwner: { S: 'w1' },
      startingHashKey: { S: String(range.start) },
      endingHashKey: { S: String(range.end) },
      ownerSwitchesSinceCheckpoint: { N: '0' },
    });
    expect(consumer.view()).toMatchObject({
      state: 'running',
      leader: true,
      workerId: 'w1',
      shards: [{ leaseKey: SHARD(0), phase: 'processing', checkpoint: `${aggregateNumber}:2`, handlerAttempt: 0 }],
    });
    await consumer.stop();
    await running;
    expect(consumer.view()).toMatchObject({ state: 'stopped', leader: false, shards: [] });
    // All is given back: the lease to nobody, and neither leader nor worker row.
    expect((await scene.row(SHARD(0)))?.['leaseOwner']).toBeUndefined();
    expect((await scene.rows()).map((row) => row['leaseKey']?.S).sort()).toEqual(['Migration3.0', SHARD(0)]);

    await scene.put('c 6');
    const second: string[] = [];
    await using next = scene.consumer();
    const runningNext = next.run((batch) => {
      second.push(...batch.records.map(textOf));
    });
    await until(() => same(second, ['c 6']));
    await next.stop();
    await runningNext;
  });

  it('begins at LATEST, or at a time, where that is asked for', async () => {
    const scene = new Scene(cloud, 'positions');
    await scene.put('old 1');
    const seen: Record<string, string[]> = { latest: [], timed: [] };
    const start = (name: 'latest' | 'timed', initialPosition: 'LATEST' | { timestamp: Date }) => {
      const consumer = scene.consumer({ application: `positions-${name}`, initialPosition });
      const running = consumer.run((batch) => {
        seen[name]?.push(...batch.records.map(textOf));
      });
      return { consumer, running };
    };
    const latest = start('latest', 'LATEST');
    const timed = start('timed', { timestamp: new Date(Date.now() - 3_600_000) });
    await until(() => same(seen['timed'], ['old 1']));
    // Only once its iterator is made does LATEST mean anything; before, this record may be passed over.
    for (let n = 0; seen['latest']?.length === 0; n += 1) {
      await scene.put(`new ${n}`);
      await until(() => same(seen['timed']?.length, n + 2));
    }
    expect(seen['latest']).not.toContain('old 1');
    for (const { consumer, running } of [latest, timed]) {
      await consumer.stop();
      await running;
    }
  });

  it('resumes inside an aggregated record', async () => {
    const scene = new Scene(cloud, 'inside');
    const number = await scene.putAggregate('a 0', 'a 1', 'a 2', 'a 3');
    const first = scene.consumer({ checkpointing: 'manual' });
    const running = first.run(async (batch, { checkpoint }) => {
      await checkpoint(batch.records[1] as UserRecord);
    });
    await until(async () => same(await scene.checkpointOf(SHARD(0)), `${number}:1`));
    await first.stop();
    await running;
    expect(await scene.checkpointOf(SHARD(0))).toBe(`${number}:1`);

    const rest: string[] = [];
    await using second = scene.consumer();
    const runningSecond = second.run((batch) => {
      rest.push(...batch.records.map((record) => `${textOf(record)}:${record.subSequenceNumber}`));
    });
    await until(() => same(rest, ['a 2:2', 'a 3:3']));
    await second.stop();
    await runningSecond;
  });

  it('gives a batch again to a handler that threw, in place, and checkpoints nothing past it', async () => {
    const scene = new Scene(cloud, 'throws');
    await scene.put('good 1');
    const calls: { texts: string[]; attempt: number }[] = [];
    const checkpoints: (string | undefined)[] = [];
    let broken = false;
    let reasons: readonly string[] = [];
    const consumer = scene.consumer();
    const running = consumer.run(async (batch) => {
      const texts = batch.records.map(textOf);
      calls.push({ texts, attempt: batch.attempt });
      if (batch.attempt === 5) reasons = consumer.health().reasons;
      if (texts.includes('bad 2') && calls.length < 6) {
        broken = true;
        checkpoints.push(await scene.checkpointOf(SHARD(0)));
        throw new Error('not yet');
      }
    });
    await until(() => same(calls, [{ texts: ['good 1'], attempt: 1 }]));
    await until(async () => expect(await scene.checkpointOf(SHARD(0))).not.toBe('TRIM_HORIZON:0'));
    const good = await scene.checkpointOf(SHARD(0));
    await scene.put('bad 2');
    await until(() => same(broken, true));
    await scene.put('later 3');
    await until(() => same(calls.at(-1)?.texts, ['later 3']));
    expect(calls.slice(1, -1)).toEqual([1, 2, 3, 4, 5].map((attempt) => ({ texts: ['bad 2'], attempt })));
    expect(checkpoints).toEqual([good, good, good, good]);
    expect(reasons).toEqual([expect.stringMatching(/^shardId-0{12}: the handler throws .* after Error: not yet$/)]);
    await consumer.stop();
    await running;
  });

  it('calls the five words of an object in their order', async () => {
    const scene = new Scene(cloud, 'five-words', 2);
    await scene.put(...numbered(20, 'x'), ...numbered(20, 'y'));
    const told: [string, string][] = [];
    const tell = (word: string) => (context: ShardContext) => {
      told.push([context.shardId, word]);
    };
    let handled = 0;
    const consumer = scene.consumer();
    const running = consumer.run({
      initialize: (position, { shardId }) => {
        told.push([shardId, `initialize ${position.sequenceNumber}`]);
      },
      processRecords: (batch, { shardId }) => {
        handled += batch.records.length;
        if (told.at(-1)?.[1] !== 'processRecords') told.push([shardId, 'processRecords']);
      },
      shardEnded: tell('shardEnded'),
      shutdownRequested: tell('shutdownRequested'),
      leaseLost: tell('leaseLost'),
    });
    await until(() => same(handled, 40));
    scene.merge(0, 1);
    await until(() => expect(told).toContainEqual([SHARD(2), 'initialize TRIM_HORIZON']));
    await consumer.stop();
    await running;
    const of = (shardId: string): string[] => told.filter(([shard]) => shard === shardId).map(([, word]) => word);
    expect(of(SHARD(0)).filter((word) => word !== 'processRecords')).toEqual(['initialize TRIM_HORIZON', 'shardEnded']);
    expect(of(SHARD(1)).filter((word) => word !== 'processRecords')).toEqual(['initialize TRIM_HORIZON', 'shardEnded']);
    expect(of(SHARD(2))).toEqual(['initialize TRIM_HORIZON', 'shutdownRequested', 'leaseLost']);
  });
});

describe('checkpoints by hand', () => {
  it('are written when the promise resolves; positions that cannot be are refused', async () => {
    const scene = new Scene(cloud, 'by-hand');
    await scene.put('a 1', 'a 2', 'a 3');
    const results: unknown[] = [];
    const attempt = async (label: string, checkpoint: Promise<void>): Promise<void> => {
      const outcome = await checkpoint.then(
        () => 'written',
        (error: unknown) => error,
      );
      results.push([label, outcome instanceof UsageError ? outcome.field : outcome]);
    };
    const consumer = scene.consumer({ checkpointing: 'manual' });
    let rows: (string | undefined)[] = [];
    const running = consumer.run(async ({ records }, { checkpoint }) => {
      const [first, second, third] = records as [UserRecord, UserRecord, UserRecord];
      await attempt('second', checkpoint(second));
      rows.push(await scene.checkpointOf(SHARD(0)));
      await attempt('back', checkpoint(first));
      const past = String(BigInt(third.sequenceNumber) + 1n);
      await attempt('past', checkpoint({ sequenceNumber: past }));
      await attempt('nonsense', checkpoint({ sequenceNumber: 'soon' }));
      await attempt('sub', checkpoint({ sequenceNumber: '1', subSequenceNumber: -1 }));
      await attempt('no aggregate', checkpoint(second.sequenceNumber, 7));
      await attempt('all', checkpoint());
      rows.push(await scene.checkpointOf(SHARD(0)));
      rows = rows.map((row) => String(records.findIndex((record) => `${record.sequenceNumber}:0` === row)));
      results.push('handled');
    });
    await until(() => same(results.at(-1), 'handled'));
    expect(results).toEqual([
      ['second', 'written'],
      ['back', 'position'],
      ['past', 'position'],
      ['nonsense', 'sequenceNumber'],
      ['sub', 'subSequenceNumber'],
      ['no aggregate', 'subSequenceNumber'],
      ['all', 'written'],
      'handled',
    ]);
    expect(rows).toEqual(['1', '2']);
    await consumer.stop();
    await running;
  });

  it('with manual checkpointing nothing is written that was not asked for', async () => {
    const scene = new Scene(cloud, 'manual');
    await scene.put('a 1');
    let handled = 0;
    const consumer = scene.consumer({ checkpointing: 'manual' });
    const running = consumer.run(() => {
      handled += 1;
    });
    await until(() => same(handled, 1));
    await consumer.stop();
    await running;
    expect(await scene.checkpointOf(SHARD(0))).toBe('TRIM_HORIZON:0');
  });
});

describe('a lease that another worker took', () => {
  it('aborts the signal, refuses checkpoints, and ends in leaseLost', async () => {
    const scene = new Scene(cloud, 'stolen');
    await scene.put('a 1');
    const told: string[] = [];
    const lost: unknown[] = [];
    const stop = onDiagnostic('shardline:consumer:lease-lost', (message) => {
      if (message.application === 'stolen') lost.push(message.leaseKey);
    });
    const consumer = scene.consumer();
    const running = consumer.run({
      processRecords: async (_, { signal, checkpoint }) => {
        told.push('handling');
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
        told.push(`aborted: ${(signal.reason as OperatingError).code}`);
        await checkpoint().catch((error: OperatingError) => told.push(`checkpoint: ${error.code}`));
      },
      leaseLost: () => {
        told.push('leaseLost');
      },
    });
    await until(() => same(told, ['handling']));
    await scene.meddle(SHARD(0), {
      UpdateExpression: 'SET leaseOwner = :thief ADD leaseCounter :many',
      ExpressionAttributeValues: { ':thief': { S: 'thief' }, ':many': { N: '100' } },
    });
    await until(() => same(told, ['handling', 'aborted: LEASE_LOST', 'checkpoint: LEASE_LOST', 'leaseLost']));
    expect(lost).toEqual([SHARD(0)]);
    stop();
    await consumer.stop();
    await running;
    expect(await scene.checkpointOf(SHARD(0))).toBe('TRIM_HORIZON:0');
  });
});

describe('resharding', () => {
  it.each(['polling', 'fanout'] as const)(
    'by %s, a split and a merge are read parents first, each key in order, and the parents end in the table',
    async (retrievalMode) => {
      const scene = new Scene(cloud, `reshard-${retrievalMode}`, 2);
      const texts = numbered(10, 'a').concat(
        numbered(10, 'b'),
        numbered(10, 'c'),
        numbered(10, 'd'),
        numbered(10, 'e'),
      );
      const seen: { shardId: string; text: string }[] = [];
      const [low] = evenRanges(2) as [HashKeyRange];
      await scene.put(...texts.map((text) => `${text} first`));
      // Shards 0 and 1; 0 splits into 2 and 3; 3 and 1 merge into 4.
      scene.split(0, low.end / 2n);
      await scene.put(...texts.map((text) => `${text} second`));
      scene.merge(3, 1);
      await scene.put(...texts.map((text) => `${text} third`));

      const consumers = ['r1', 'r2'].map((workerId) => scene.consumer({ workerId, retrievalMode }));
      const running = consumers.map((consumer) =>
        consumer.run((batch) => {
          seen.push(...batch.records.map((record) => ({ shardId: batch.shardId, text: textOf(record) })));
        }),
      );
      await until(() => same(new Set(seen.map(({ text }) => text)).size, 3 * texts.length));
      await until(async () => {
        for (const ended of [0, 1, 3]) same(await scene.checkpointOf(SHARD(ended)), 'SHARD_END:0');
      });
      for (const consumer of consumers) await consumer.stop();
      await Promise.all(running);

      const firstOf = (shard: number): number => seen.findIndex(({ shardId }) => shardId === SHARD(shard));
      const lastOf = (shard: number): number => seen.findLastIndex(({ shardId }) => shardId === SHARD(shard));
      for (const [parent, child] of [
        [0, 2],
        [0, 3],
        [3, 4],
        [1, 4],
      ] as const) {
        if (firstOf(child) !== -1 && lastOf(parent) !== -1) expect(lastOf(parent)).toBeLessThan(firstOf(child));
      }
      for (const key of ['a', 'b', 'c', 'd', 'e']) {
        const ofKey = [...new Set(seen.map(({ text }) => text).filter((text) => keyOf(text) === key))];
        const put = ['first', 'second', 'third'].flatMap((round) =>
          numbered(10, key).map((text) => `${text} ${round}`),
        );
        expect(ofKey).toEqual(put);
      }
      expect(await scene.row(SHARD(4))).toMatchObject({ parentShardId: { SS: set(SHARD(1), SHARD(3)) } });
      expect(await scene.row(SHARD(0))).toMatchObject({ childShardIds: { SS: set(SHARD(2), SHARD(3)) } });
    },
  );
});

describe('two workers', () => {
  it('share the shards, and one takes over what the other gives back, with nothing lost', async () => {
    const scene = new Scene(cloud, 'two-workers', 4);
    const seen: { worker: string; text: string }[] = [];
    const start = (worker: string) => {
      const consumer = scene.consumer({ workerId: worker });
      const running = consumer.run((batch) => {
        seen.push(...batch.records.map((record) => ({ worker, text: textOf(record) })));
      });
      return { consumer, running };
    };
    const first = start('w1');
    await until(() => same(first.consumer.view().shards.length, 4));
    await scene.put(...numbered(100).map((text) => `${text.slice(2)} before`));
    const second = start('w2');
    await until(() => {
      same(first.consumer.view().shards.length, 2);
      same(second.consumer.view().shards.length, 2);
    });
    await scene.put(...numbered(100).map((text) => `${text.slice(2)} between`));
    await until(() => same(new Set(seen.map(({ text }) => text)).size, 200));
    expect(seen.some(({ worker, text }) => worker === 'w2' && text.endsWith('between'))).toBe(true);

    await first.consumer.stop();
    await first.running;
    await scene.put(...numbered(100).map((text) => `${text.slice(2)} after`));
    await until(() => same(new Set(seen.map(({ text }) => text)).size, 300));
    expect(seen.filter(({ text }) => text.endsWith('after')).every(({ worker }) => worker === 'w2')).toBe(true);
    // Handed over in good order, everything was handled once.
    expect(seen).toHaveLength(300);
    await second.consumer.stop();
    await second.running;
  });
});

describe('bad input and bad ends', () => {
  it('a missing stream is named, and nothing is left running', async () => {
    const consumer = new Consumer({
      application: 'absent-stream',
      stream: 'absent',
      kinesisClient: cloud.kinesis,
      dynamoDBClient: cloud.dynamoDB,
    });
    await expect(consumer.run(() => undefined)).rejects.toMatchObject({
      name: 'OperatingError',
      code: 'STREAM_NOT_FOUND',
      message: expect.stringContaining('stream absent'),
    });
    expect(consumer.view().state).toBe('stopped');
    await consumer.stop();
  });

  it('a table of another format is refused', async () => {
    const scene = new Scene(cloud, 'not-leases');
    await makeTable(cloud.dynamoDB, scene.name, 'id');
    await expect(scene.consumer().run(() => undefined)).rejects.toMatchObject({ code: 'LEASE_TABLE_FORMAT' });
  });

  it('tries again while the lease table does not answer yet, and stops at once when asked meanwhile', async () => {
    const scene = new Scene(cloud, 'late-table');
    await scene.put('a 1');
    // A port that nobody listens on until the local DynamoDB does.
    const early = await startLocalDynamoDB();
    const dynamoDBClient = createDynamoDBClient({ ...early.clientConfig, maxAttempts: 1 });
    await early.close();
    const handled: string[] = [];
    const consumer = scene.consumer({ dynamoDBClient });
    const running = consumer.run((batch) => {
      handled.push(...batch.records.map(textOf));
    });
    const impatient = scene.consumer({ dynamoDBClient });
    const ended = impatient.run(() => undefined);
    await impatient.stop();
    await ended;
    await using _late = await startLocalDynamoDB({ port: early.port });
    await until(() => same(handled, ['a 1']));
    await consumer.stop();
    await running;
    dynamoDBClient.destroy();
  });

  /** The only record of a stream is handled, and its worker has left. */
  async function afterOneRecord(server: LocalKinesis, clock: ManualClock, name: string) {
    const kinesis = createKinesisClient({ ...server.clientConfig, maxAttempts: 1 });
    server.model.createStream({ name, shardCount: 1 }, clock.wallNow());
    const put = (text: string): string =>
      String(
        server.model.putRecord(
          { streamName: name, record: { partitionKey: 'k', data: Buffer.from(text) } },
          clock.wallNow(),
        ).sequenceNumber,
      );
    const scene = new Scene(cloud, name);
    const handled = put('a 1');
    const first = scene.consumer({ kinesisClient: kinesis });
    const running = first.run(() => undefined);
    await until(async () => same(await scene.checkpointOf(SHARD(0)), `${handled}:0`));
    await first.stop();
    await running;
    return { kinesis, put, scene, handled };
  }

  it('tells of records that were lost while nobody read, with the bounds', async () => {
    const clock = new ManualClock();
    await using server = await startLocalKinesis({ clock });
    const { kinesis, put, scene, handled } = await afterOneRecord(server, clock, 'away');

    put('b 2');
    clock.advance(25 * 3_600_000);
    const before = put('c 3');
    const gaps: unknown[] = [];
    const forget = onDiagnostic('shardline:consumer:gap', (message) => gaps.push(message));
    await using second = scene.consumer({ kinesisClient: kinesis, workerId: 'w2' });
    void second.run(() => undefined);
    await until(() =>
      same(gaps, [{ application: 'away', worker: 'w2', leaseKey: SHARD(0), cause: 'away', after: handled, before }]),
    );
    forget();
    await second.stop();
    kinesis.destroy();
  });

  it('tells of records that expired while its handler was too slow', async () => {
    const clock = new ManualClock();
    await using server = await startLocalKinesis({ clock });
    const { kinesis, put, scene } = await afterOneRecord(server, clock, 'slow');

    put('b 2');
    clock.advance(1_000);
    const read = put('c 3');
    clock.advance(3_600_000);
    put('lost 4');
    clock.advance(22 * 3_600_000 + 59 * 60_000);
    const gaps: unknown[] = [];
    const forget = onDiagnostic('shardline:consumer:gap', (message) => gaps.push(message));
    let finish = (): void => undefined;
    const finished = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const options = { maxRecordsPerRead: 1, maxPendingBatchCount: 2 };
    await using second = scene.consumer({ kinesisClient: kinesis, workerId: 'w2', ...options });
    const handled: string[] = [];
    void second.run(async ({ records }) => {
      handled.push(...records.map(textOf));
      await finished;
    });
    // One record is in the handler and one waits, when what follows them expires.
    await until(() => same([handled, second.view().shards[0]?.pendingBatchCount], [['b 2'], 2]));
    clock.advance(2 * 3_600_000);
    const before = put('d 5');
    finish();
    await until(() => same(handled, ['b 2', 'c 3', 'd 5']));
    same(gaps, [{ application: 'slow', worker: 'w2', leaseKey: SHARD(0), cause: 'behind', after: read, before }]);
    forget();
    await second.stop();
    kinesis.destroy();
  });

  it('tells so of a shard, too, that ended meanwhile and has no record left', async () => {
    const clock = new ManualClock();
    await using server = await startLocalKinesis({ clock });
    const { kinesis, put, scene, handled } = await afterOneRecord(server, clock, 'away-long');

    put('b 2');
    clock.advance(2 * 3_600_000);
    const split = { shardId: SHARD(0), newStartingHashKey: toHashKey(2n ** 127n) };
    server.model.splitShard({ streamName: 'away-long', ...split }, clock.wallNow());
    clock.advance(23 * 3_600_000);
    put('c 3');
    const gaps: unknown[] = [];
    const forget = onDiagnostic('shardline:consumer:gap', (message) => gaps.push(message));
    await using second = scene.consumer({ kinesisClient: kinesis, workerId: 'w2' });
    const handledLater: string[] = [];
    void second.run(({ records }) => void handledLater.push(...records.map(textOf)));
    await until(() => same(handledLater, ['c 3']));
    same(gaps, [{ application: 'away-long', worker: 'w2', leaseKey: SHARD(0), cause: 'away', after: handled }]);
    forget();
    await second.stop();
    kinesis.destroy();
  });

  it('tells of a stream that was deleted and made again under its name', async () => {
    const scene = new Scene(cloud, 'replaced');
    await scene.put('a 1');
    const first = scene.consumer();
    const running = first.run(() => undefined);
    await until(async () => expect(await scene.checkpointOf(SHARD(0))).toMatch(/^\d{56}:0$/));
    await first.stop();
    await running;

    scene.model.deleteStream({ streamName: 'replaced' }, Date.now());
    scene.model.createStream({ name: 'replaced', shardCount: 1 }, Date.now() + 2_000);
    const told: unknown[] = [];
    const forget = onDiagnostic('shardline:consumer:stream-replaced', (message) => told.push(message.leaseKeys));
    await using second = scene.consumer();
    void second.run(() => undefined);
    await until(() => same(told[0], [SHARD(0)]));
    forget();
  });

  it('gives everything up when its lease table is deleted', async () => {
    const scene = new Scene(cloud, 'deleted-table');
    const consumer = scene.consumer();
    const running = consumer.run(() => undefined);
    const rejected = expect(running).rejects.toMatchObject({ code: 'LEASE_TABLE_UNAVAILABLE', retryable: false });
    await until(() => same(consumer.view().shards.length, 1));
    await cloud.dynamoDB.send(new DeleteTableCommand({ TableName: scene.name }));
    await rejected;
    expect(consumer.view()).toMatchObject({ state: 'stopped', shards: [] });
  });

  it('and run rejects, and stop resolves, only after the handler that it was given has returned', async () => {
    const scene = new Scene(cloud, 'deleted-beneath');
    await scene.put('a 1');
    const log: string[] = [];
    let goOn = (): void => undefined;
    const consumer = scene.consumer();
    const running = consumer.run({
      processRecords: async (_, { signal }) => {
        signal.addEventListener('abort', () => log.push('aborted'));
        log.push('begins');
        await new Promise<void>((resolve) => {
          goOn = resolve;
        });
        log.push('returns');
      },
      leaseLost: () => {
        log.push('leaseLost');
      },
    });
    const rejected = expect(running.finally(() => log.push('run rejects'))).rejects.toMatchObject({
      code: 'LEASE_TABLE_UNAVAILABLE',
      message: expect.stringContaining('Restore it from a backup'),
    });
    await until(() => same(log, ['begins']));
    await cloud.dynamoDB.send(new DeleteTableCommand({ TableName: scene.name }));
    await until(() => same(log, ['begins', 'aborted']));
    expect(consumer.health()).toMatchObject({
      state: 'stopping',
      ready: false,
      reasons: expect.arrayContaining([
        expect.stringContaining('since everything was given up: LEASE_TABLE_UNAVAILABLE'),
      ]),
    });
    const stopped = consumer.stop().then(() => log.push('stop resolves'));
    goOn();
    await Promise.all([rejected, stopped]);
    expect(log.slice(0, 4)).toEqual(['begins', 'aborted', 'returns', 'leaseLost']);
    expect(log).toHaveLength(6);
  });

  it('runs once, and not after stop', async () => {
    const scene = new Scene(cloud, 'once');
    const consumer = scene.consumer();
    const running = consumer.run(() => undefined);
    await expect(consumer.run(() => undefined)).rejects.toMatchObject({ code: 'CLOSED' });
    // While it is still opening.
    await consumer.stop();
    await running;
    await expect(consumer.run(() => undefined)).rejects.toMatchObject({ code: 'CLOSED' });
    const never = scene.consumer();
    await Promise.all([never.stop(), never.stop(), never[Symbol.asyncDispose]()]);
    await expect(never.run(() => undefined)).rejects.toMatchObject({ code: 'CLOSED' });
  });

  it('stops in bounded time with a handler that does not come back, after aborting its signal', async () => {
    const scene = new Scene(cloud, 'stuck');
    await scene.put('a 1');
    let signal: AbortSignal | undefined;
    let release = (): void => undefined;
    const consumer = scene.consumer({ shutdownGraceMs: 100 });
    const running = consumer.run(async (_, context) => {
      signal = context.signal;
      await new Promise<void>((resolve) => {
        release = resolve;
      });
    });
    await until(() => expect(signal).toBeDefined());
    await Promise.all([consumer.stop(), consumer.stop()]);
    await running;
    expect(signal?.aborted).toBe(true);
    expect(await scene.checkpointOf(SHARD(0))).toBe('TRIM_HORIZON:0');
    release();
  });

  it('tells whose an option is that is said to run and is the constructor’s', async () => {
    const consumer = new Scene(cloud, 'whose-option').consumer();
    const [handler, options] = [() => undefined, { checkpointing: 'manual', maxBatchSize: 5 }];
    const meant = 'checkpointing: expected an option of handling, got an unknown one; it is an option of new Consumer';
    await expect(consumer.run(handler, options as HandlingOptions)).rejects.toThrow(meant);
    await expect(consumer.run({ createHandler: () => handler }, options as HandlingOptions)).rejects.toThrow(meant);
  });

  it('a class in place of a handler is named, if it has a name', async () => {
    class OrderHandler {
      processRecords(): void {}
    }
    const consumer = new Scene(cloud, 'class-for-handler').consumer();
    const given = (handler: unknown): Promise<void> => Reflect.apply(consumer.run, consumer, [handler]);
    const nameless = (() => class {})();
    await expect(given(OrderHandler)).rejects.toThrow('an instance of a class, got the class OrderHandler itself');
    await expect(given(nameless)).rejects.toThrow('an instance of a class, got a class itself');
  });

  it.each([
    ['no handler', undefined],
    ['an object without processRecords', { initialize: () => undefined }],
    ['a word that is no function', { processRecords: () => undefined, leaseLost: 'never' }],
  ])('a handler must be one: %s', async (_, handler) => {
    const scene = new Scene(cloud, `handler-${String(_).replaceAll(' ', '-')}`);
    const consumer = scene.consumer();
    await expect(Reflect.apply(consumer.run, consumer, [handler])).rejects.toBeInstanceOf(UsageError);
    await consumer.stop();
  });
});

describe('a client without a region', () => {
  const region = (): Promise<string> => Promise.reject(new Error('Region is missing'));
  const kinesisClient = new KinesisClient({ region });
  const dynamoDBClient = new DynamoDBClient({ region });
  afterAll(() => {
    kinesisClient.destroy();
    dynamoDBClient.destroy();
  });
  const missing = (field: string): object => ({
    code: 'USAGE',
    field,
    message: expect.stringContaining('AWS_REGION in the environment'),
  });

  it.each([{ kinesisClient }, { dynamoDBClient }])('lets nothing begin, and is named: %#', async (clients) => {
    const [field = ''] = Object.keys(clients);
    const consumer = new Scene(cloud, `regionless-${field}`).consumer(clients);
    await expect(consumer.run(() => undefined)).rejects.toMatchObject(missing(field));
    expect(consumer.health().reasons).toEqual([expect.stringContaining(`USAGE: ${field}: expected a region`)]);
  });

  it('is named by what else takes one', async () => {
    const fleet = new FleetReader({ application: 'regionless', dynamoDBClient });
    await expect(fleet.read()).rejects.toMatchObject(missing('dynamoDBClient'));
    const consumer = new Scene(cloud, 'regionless-pushed').consumer({ retrievalMode: 'fanout', kinesisClient });
    await expect(consumer.deregisterStreamConsumer()).rejects.toMatchObject(missing('kinesisClient'));
  });
});
