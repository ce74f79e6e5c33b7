// PutRecord, sentence by sentence. What concerns AUTO streams and large records is in capacity.test.ts, encryption in
// settings.test.ts, dry runs in dry-run.test.ts.
import { createHash } from 'node:crypto';
import * as kinesis from '@aws-sdk/client-kinesis';
import { expect, test } from 'vitest';
import { expectRefusal, first, hourMs, middle, StreamName, second, specScene } from './spec-scene.ts';

const scene = specScene();
const mebibyte = 1024 * 1024;

function put(input: Partial<kinesis.PutRecordCommandInput>): Promise<kinesis.PutRecordCommandOutput> {
  const usual = { StreamName, PartitionKey: 'k', Data: Buffer.from('x') };
  return scene.client.send(new kinesis.PutRecordCommand({ ...usual, ...input }));
}

/** So many records into the shard of the hash key 0. */
function fill(count: number): Promise<kinesis.PutRecordsCommandOutput> {
  const Records = Array.from({ length: count }, () => ({
    PartitionKey: 'k',
    Data: Buffer.alloc(1),
    ExplicitHashKey: '0',
  }));
  return scene.client.send(new kinesis.PutRecordsCommand({ StreamName, Records }));
}

test('"If a PutRecord request cannot be processed because of insufficient provisioned throughput on the shard involved in the request, PutRecord throws ProvisionedThroughputExceededException"; "Each shard can support writes up to 1,000 records per second"', async () => {
  await fill(500);
  await fill(499);
  await scene.put('the thousandth');
  await expectRefusal(
    scene.put('one too many'),
    kinesis.ProvisionedThroughputExceededException,
    `Rate exceeded for shard ${first} in stream ${StreamName} under account 000000000000.`,
  );
  expect((await scene.put('of another shard', middle)).ShardId).toBe(second);
  scene.clock.advance(1);
  await scene.put('a millisecond later');
});

test('"up to a maximum data write total of 1 MiB per second" (CreateStream; "10 MiB" is in PutRecord, see the README)', async () => {
  const half = 'x'.repeat(mebibyte / 2 - 1);
  await scene.put(half);
  await scene.put(half);
  await expectRefusal(scene.put(''), kinesis.ProvisionedThroughputExceededException);
  scene.clock.advance(1000);
  await scene.put(half);
});

test('"You must specify the name of the stream that captures, stores, and transports the data; a partition key; and the data blob itself"', async () => {
  const { client } = scene;
  const Data = Buffer.from('x');
  const [PartitionKey, absent] = ['k', undefined as unknown as Uint8Array];
  await expectRefusal(
    client.send(new kinesis.PutRecordCommand({ PartitionKey, Data })),
    kinesis.InvalidArgumentException,
    'Either StreamName or StreamARN must be specified.',
  );
  await expectRefusal(
    client.send(new kinesis.PutRecordCommand({ StreamName, Data })),
    kinesis.ValidationException,
    "1 validation error detected: Value null at 'partitionKey' failed to satisfy constraint: Member must not be null",
  );
  await expectRefusal(
    client.send(new kinesis.PutRecordCommand({ StreamName, PartitionKey, Data: absent })),
    kinesis.ValidationException,
    "1 validation error detected: Value null at 'data' failed to satisfy constraint: Member must not be null",
  );
});

test('"Partition keys are Unicode strings, with a maximum length limit of 256 characters for each key"', async () => {
  const PartitionKey = '\u00e9'.repeat(256);
  const { SequenceNumber, ShardId } = await put({ PartitionKey });
  const at = { ShardId, ShardIteratorType: 'AT_SEQUENCE_NUMBER', StartingSequenceNumber: SequenceNumber } as const;
  const { Records } = await scene.get(await scene.iterator(at));
  expect(Records?.map((record) => record.PartitionKey)).toEqual([PartitionKey]);
  await expectRefusal(
    put({ PartitionKey: 'k'.repeat(257) }),
    kinesis.ValidationException,
    `1 validation error detected: Value '${'k'.repeat(257)}' at 'partitionKey' failed to satisfy constraint: Member must have length less than or equal to 256`,
  );
});

test('"An MD5 hash function is used to map partition keys to 128-bit integer values and to map associated data records to shards using the hash key ranges of the shards"; "all data records with the same partition key map to the same shard within the stream"', async () => {
  const shards = await scene.shards();
  const reached = new Set<string | undefined>();
  for (const PartitionKey of ['a', 'b', 'c', 'd', 'a', 'b', 'gr\u00fc\u00dfe', '\u{1f600}']) {
    const hash = BigInt(`0x${createHash('md5').update(PartitionKey).digest('hex')}`);
    const shard = shards.find(
      ({ HashKeyRange: range }) =>
        BigInt(range?.StartingHashKey ?? -1) <= hash && hash <= BigInt(range?.EndingHashKey ?? -1),
    );
    const { ShardId } = await put({ PartitionKey });
    expect(ShardId, PartitionKey).toBe(shard?.ShardId);
    reached.add(ShardId);
  }
  expect(reached).toEqual(new Set([first, second]));
});

test('"You can override hashing the partition key to determine the shard by explicitly specifying a hash value using the ExplicitHashKey parameter"', async () => {
  for (const [ExplicitHashKey, shardId] of [
    ['0', first],
    [String(2n ** 127n - 1n), first],
    [middle, second],
    [String(2n ** 128n - 1n), second],
  ] as const) {
    expect((await put({ ExplicitHashKey })).ShardId).toBe(shardId);
  }
  await expectRefusal(
    put({ ExplicitHashKey: String(2n ** 128n) }),
    kinesis.InvalidArgumentException,
    `Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was ${2n ** 128n}`,
  );
});

test('"PutRecord returns the shard ID of where the data record was placed and the sequence number that was assigned to the data record"', async () => {
  await scene.put('before');
  const { ShardId, SequenceNumber } = await scene.put('this one');
  const at = { ShardId, ShardIteratorType: 'AT_SEQUENCE_NUMBER', StartingSequenceNumber: SequenceNumber } as const;
  expect(await scene.read(at)).toEqual(['this one']);
});

test('"Sequence numbers increase over time"; "The sequence number for the record is unique across all records in the stream"', async () => {
  const given = new Map<string | undefined, bigint[]>();
  for (let nth = 0; nth < 12; nth++) {
    const { ShardId, SequenceNumber = '' } = await scene.put('x', nth % 2 === 0 ? '0' : middle);
    given.set(ShardId, [...(given.get(ShardId) ?? []), BigInt(SequenceNumber)]);
    scene.clock.advance(nth * 100);
  }
  expect([...given.keys()]).toEqual([first, second]);
  for (const numbers of given.values()) {
    expect(numbers).toEqual([...numbers].sort((a, b) => (a < b ? -1 : 1)));
  }
  expect(new Set([...given.values()].flat()).size).toBe(12);
});

test('SequenceNumberForOrdering: "Guarantees strictly increasing sequence numbers, for puts from the same client and to the same partition key"', async () => {
  let previous = (await put({})).SequenceNumber ?? '';
  for (let nth = 0; nth < 5; nth++) {
    const { SequenceNumber = '' } = await put({ SequenceNumberForOrdering: previous });
    expect(BigInt(SequenceNumber)).toBeGreaterThan(BigInt(previous));
    previous = SequenceNumber;
  }
});

test('"By default, data records are accessible for 24 hours from the time that they are added to a stream"', async () => {
  await scene.put('yesterday');
  scene.clock.advance(24 * hourMs);
  expect(await scene.read()).toEqual(['yesterday']);
  scene.clock.advance(1);
  expect(await scene.read()).toEqual([]);
});

test('"When the data blob (the payload before base64-encoding) is added to the partition key size, the total size must not exceed the maximum record size"', async () => {
  // The key has 1 character and 2 bytes.
  const largest = { PartitionKey: '\u00e9', Data: Buffer.alloc(mebibyte - 2), ExplicitHashKey: '0' };
  await expectRefusal(put({ ...largest, Data: Buffer.alloc(mebibyte - 1) }), kinesis.InvalidArgumentException);
  await put(largest);
});

test('ResourceNotFoundException: "The requested resource could not be found. The stream might not be specified correctly"', async () => {
  await expectRefusal(
    put({ StreamName: 'absent' }),
    kinesis.ResourceNotFoundException,
    'Stream absent under account 000000000000 not found.',
  );
});
