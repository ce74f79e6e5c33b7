// A shard read by GetRecords from the local Kinesis: what comes in CBOR is what comes in JSON, to the byte, errors and the shard's end included.
import { GetRecordsCommand, GetShardIteratorCommand } from '@aws-sdk/client-kinesis';
import { createKinesisClient } from '@shardline/common';
import { startLocalKinesis } from '@shardline/local';
import { expect, onTestFinished, test } from 'vitest';
import { readRecord } from '../src/retrieval/answer.ts';
import { readRecordsApart } from '../src/retrieval/raw-answer.ts';

const STREAM = 'orders';
const SHARD = 'shardId-000000000000';

test('answers, refusals and the end of a shard are the same in CBOR and in JSON', async () => {
  await using local = await startLocalKinesis({ limits: false, streams: [{ name: STREAM }] });
  const { model } = local;
  const data = [Buffer.alloc(0), Buffer.from([0, 255, 128]), Buffer.alloc(2_000, 'x'), Buffer.from('näh')];
  const Records = data.map((bytes, n) => ({ partitionKey: `Schlüssel "${n}" 日`, data: bytes }));
  model.putRecords({ streamName: STREAM, records: Records }, Date.now());
  /** Of each answer with records: whether their data are views of the answer itself, which no JSON has. */
  const views: boolean[] = [];

  const readAll = async (cbor: boolean): Promise<unknown[]> => {
    const client = createKinesisClient({ ...local.clientConfig, maxAttempts: 1, cbor });
    onTestFinished(() => client.destroy());
    const place = { StreamName: STREAM, ShardId: SHARD, ShardIteratorType: 'TRIM_HORIZON' as const };
    const { ShardIterator } = await client.send(new GetShardIteratorCommand(place));
    const get = async (): Promise<unknown> => {
      const command = new GetRecordsCommand({ ShardIterator, Limit: 10 });
      const recordsApart = readRecordsApart(command);
      const { $metadata, Records: bySdk = [], NextShardIterator, ...answer } = await client.send(command);
      const apart = recordsApart();
      const records = apart && Array.from({ length: apart.length }, (_, index) => apart.at(index));
      const last = records?.at(-1)?.data;
      views.push(last !== undefined && Buffer.from(last.buffer).includes('SequenceNumber'));
      // A key that is not ASCII leaves the JSON to the SDK.
      return { ...answer, hasNext: NextShardIterator !== undefined, records: records ?? bySdk.map(readRecord) };
    };
    const throttled = local.faults.add({ kind: 'throttle', operation: 'GetRecords', after: 2, count: 1 });
    const answers = [await get(), await get(), await get().catch(({ name, message }) => ({ name, message }))];
    throttled.remove();
    return [...answers, await get()];
  };
  const inJson = await readAll(false);
  expect(inJson[0]).toMatchObject({ hasNext: true, records: data.map((bytes) => ({ data: new Uint8Array(bytes) })) });
  expect(inJson[2]).toMatchObject({ name: 'ProvisionedThroughputExceededException' });
  expect(await readAll(true)).toEqual(inJson);

  const { streamName, shardId } = { streamName: STREAM, shardId: SHARD };
  model.splitShard({ streamName, shardId, newStartingHashKey: (2n ** 127n) as never }, Date.now());
  const endInJson = await readAll(false);
  expect(endInJson[0]).toMatchObject({ hasNext: false, ChildShards: [{ ParentShards: [SHARD] }, {}] });
  expect(await readAll(true)).toEqual(endInJson);
  // The first call of a client is the SDK's own; the third was refused.
  const json = [false, false, false];
  const cbor = [false, true, true];
  expect(views).toEqual([...json, ...cbor, ...json, ...cbor]);
});
