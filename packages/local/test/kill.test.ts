// The command with a data folder, killed at random moments while clients put, split and merge: every record that was acknowledged
// is read back, once, under its number and in order.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CreateStreamCommand,
  GetRecordsCommand,
  GetShardIteratorCommand,
  type KinesisClient,
  ListShardsCommand,
  MergeShardsCommand,
  PutRecordsCommand,
  type Shard,
  SplitShardCommand,
} from '@aws-sdk/client-kinesis';
import { createKinesisClient, delay, systemClock } from '@shardline/common';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { CommandProcess, killAll } from './command-process.ts';

const ROUNDS = 20;
const StreamName = 'orders';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shardline-kill-'));
});
afterEach(async () => {
  await killAll();
  await rm(folder, { recursive: true });
});

/** Repeats itself for a seed; 0 up to 1. */
function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 0x0019_660d) + 0x3c6e_f35f) >>> 0;
    return state / 2 ** 32;
  };
}

interface Acknowledged {
  readonly text: string;
  readonly sequenceNumber: string;
}

test(`killed ${ROUNDS} times, no acknowledged record is missing, doubled or out of order`, {
  timeout: 180_000,
}, async () => {
  const draw = chance(20_261_121);
  const acknowledged = new Map<string, Acknowledged[]>();
  let names = 0;
  let iterator: { shardIterator: string; shardId: string } | undefined;
  for (let round = 0; round < ROUNDS; round++) {
    const command = new CommandProcess('--data', folder, '--limits', 'off');
    const client = createKinesisClient({ ...(await command.listening()).clientConfig, maxAttempts: 1 });
    if (round === 0) await client.send(new CreateStreamCommand({ StreamName, ShardCount: 2 }));
    if (iterator !== undefined) await checkIterator(client, iterator, acknowledged);
    let isKilled = false;
    const writers = Array.from({ length: 4 }, async () => {
      while (!isKilled) {
        const texts = Array.from({ length: 1 + Math.floor(draw() * 20) }, () => `${names++}`);
        await put(client, texts, acknowledged).catch(() => undefined);
      }
    });
    const resharder = reshard(client, draw).catch(() => undefined);
    // Not a wait for anything: the moment of the kill is what is drawn.
    await delay(systemClock, 50 + draw() * 250);
    iterator = await iteratorOf(client, acknowledged);
    isKilled = true;
    await command.end('SIGKILL');
    await Promise.all([...writers, resharder]);
    client.destroy();
  }
  const command = new CommandProcess('--data', folder, '--limits', 'off');
  const client = createKinesisClient((await command.listening()).clientConfig);
  const shards = await listShards(client);
  const seen = new Set<string>();
  let acknowledgedCount = 0;
  for (const { ShardId = '' } of shards) {
    const stored = await readAll(client, ShardId);
    const numbers = stored.map(({ sequenceNumber }) => BigInt(sequenceNumber));
    expect(numbers).toEqual([...numbers].sort((a, b) => (a < b ? -1 : 1)));
    for (const { text } of stored) {
      expect(seen.has(text), `${text} is there once`).toBe(false);
      seen.add(text);
    }
    const byNumber = new Map(stored.map(({ sequenceNumber, text }) => [sequenceNumber, text]));
    for (const { sequenceNumber, text } of acknowledged.get(ShardId) ?? []) {
      expect(byNumber.get(sequenceNumber)).toBe(text);
      acknowledgedCount++;
    }
  }
  expect(acknowledgedCount).toBe([...acknowledged.values()].flat().length);
  expect(acknowledgedCount).toBeGreaterThan(ROUNDS);
  expect(shards.length).toBeGreaterThan(ROUNDS / 2);
  expect(coverage(shards)).toBe(true);
  client.destroy();
  expect([await command.end('SIGTERM'), command.stderr]).toEqual([0, '']);
});

async function put(client: KinesisClient, texts: readonly string[], into: Map<string, Acknowledged[]>): Promise<void> {
  const Records = texts.map((text) => ({ PartitionKey: text, Data: Buffer.from(text) }));
  const answer = await client.send(new PutRecordsCommand({ StreamName, Records }));
  for (const [index, { ShardId = '', SequenceNumber = '' }] of (answer.Records ?? []).entries()) {
    const held = into.get(ShardId) ?? [];
    held.push({ text: texts[index] ?? '', sequenceNumber: SequenceNumber });
    into.set(ShardId, held);
  }
}

/** Splits or merges an open shard, now and then. */
async function reshard(client: KinesisClient, draw: () => number): Promise<void> {
  const open = (await listShards(client)).filter(
    ({ SequenceNumberRange }) => !SequenceNumberRange?.EndingSequenceNumber,
  );
  const byRange = open.sort((a, b) => (rangeOf(a).start < rangeOf(b).start ? -1 : 1));
  const at = Math.floor(draw() * (byRange.length - 1));
  const [shard, adjacent] = [byRange[at], byRange[at + 1]];
  if (shard === undefined) return;
  const ShardToMerge = shard.ShardId;
  if (byRange.length > 6 && adjacent !== undefined) {
    await client.send(new MergeShardsCommand({ StreamName, ShardToMerge, AdjacentShardToMerge: adjacent.ShardId }));
  } else {
    const { start, end } = rangeOf(shard);
    const NewStartingHashKey = String(start + (end - start) / 2n);
    await client.send(new SplitShardCommand({ StreamName, ShardToSplit: shard.ShardId, NewStartingHashKey }));
  }
}

/** An iterator after the first acknowledged record of some shard. */
async function iteratorOf(
  client: KinesisClient,
  acknowledged: ReadonlyMap<string, readonly Acknowledged[]>,
): Promise<{ shardIterator: string; shardId: string } | undefined> {
  const [[shardId, [record]] = ['', []]] = acknowledged;
  if (record === undefined) return undefined;
  const answer = await client.send(
    new GetShardIteratorCommand({
      StreamName,
      ShardId: shardId,
      ShardIteratorType: 'AFTER_SEQUENCE_NUMBER',
      StartingSequenceNumber: record.sequenceNumber,
    }),
  );
  return { shardIterator: answer.ShardIterator ?? '', shardId };
}

/** It was given by the process that was killed. */
async function checkIterator(
  client: KinesisClient,
  { shardIterator, shardId }: { shardIterator: string; shardId: string },
  acknowledged: ReadonlyMap<string, readonly Acknowledged[]>,
): Promise<void> {
  const { Records = [] } = await client.send(new GetRecordsCommand({ ShardIterator: shardIterator }));
  const second = acknowledged.get(shardId)?.[1];
  if (second === undefined) return;
  const numbers = Records.map(({ SequenceNumber }) => SequenceNumber);
  expect(numbers).toContain(second.sequenceNumber);
  expect(numbers).not.toContain(acknowledged.get(shardId)?.[0]?.sequenceNumber);
}

async function listShards(client: KinesisClient): Promise<Shard[]> {
  return (await client.send(new ListShardsCommand({ StreamName }))).Shards ?? [];
}

async function readAll(client: KinesisClient, ShardId: string): Promise<Acknowledged[]> {
  const start = new GetShardIteratorCommand({ StreamName, ShardId, ShardIteratorType: 'TRIM_HORIZON' });
  let { ShardIterator } = await client.send(start);
  const stored: Acknowledged[] = [];
  for (;;) {
    const { Records = [], NextShardIterator } = await client.send(new GetRecordsCommand({ ShardIterator }));
    for (const { Data = Buffer.alloc(0), SequenceNumber = '' } of Records) {
      stored.push({ text: Buffer.from(Data).toString(), sequenceNumber: SequenceNumber });
    }
    if (Records.length === 0 || NextShardIterator === undefined) return stored;
    ShardIterator = NextShardIterator;
  }
}

function rangeOf({ HashKeyRange }: Shard): { start: bigint; end: bigint } {
  return { start: BigInt(HashKeyRange?.StartingHashKey ?? 0), end: BigInt(HashKeyRange?.EndingHashKey ?? 0) };
}

/** Whether the open shards cover every hash key once. */
function coverage(shards: readonly Shard[]): boolean {
  let next = 0n;
  const open = shards.filter(({ SequenceNumberRange }) => !SequenceNumberRange?.EndingSequenceNumber).map(rangeOf);
  for (const { start, end } of open.sort((a, b) => (a.start < b.start ? -1 : 1))) {
    if (start !== next) return false;
    next = end + 1n;
  }
  return next === 2n ** 128n;
}
