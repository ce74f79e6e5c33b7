// DryRun, which PutRecord, PutRecords, GetShardIterator, GetRecords and SubscribeToShard know. What it checks is told by the
// developer guide, "Test your permissions and request inputs with dry run".
import * as kinesis from '@aws-sdk/client-kinesis';
import { expect, test } from 'vitest';
import { expectRefusal, first, StreamARN, StreamName, specScene } from './spec-scene.ts';

const scene = specScene();
const Data = Buffer.from('x');
const PartitionKey = 'k';
const DryRun = true;
const rejected = 'The request was rejected because the DryRun parameter was specified.';

async function consumerArn(): Promise<string> {
  const { Consumer } = await scene.client.send(
    new kinesis.RegisterStreamConsumerCommand({ StreamARN, ConsumerName: 'reader' }),
  );
  return Consumer?.ConsumerARN ?? '';
}

function subscribe(
  input: Partial<kinesis.SubscribeToShardCommandInput>,
): Promise<kinesis.SubscribeToShardCommandOutput> {
  const usual = { ConsumerARN: undefined, ShardId: first, StartingPosition: { Type: 'TRIM_HORIZON' } } as const;
  return scene.client.send(new kinesis.SubscribeToShardCommand({ ...usual, ...input }));
}

test('PutRecord, PutRecords, DryRun: "Checks if your request will succeed"; "The request was rejected because the DryRun parameter was specified", and nothing was written', async () => {
  const { client } = scene;
  await expectRefusal(
    client.send(new kinesis.PutRecordCommand({ StreamName, PartitionKey, Data, DryRun })),
    kinesis.DryRunOperationException,
    rejected,
  );
  const Records = [{ PartitionKey, Data }];
  await expectRefusal(
    client.send(new kinesis.PutRecordsCommand({ StreamName, Records, DryRun })),
    kinesis.DryRunOperationException,
    rejected,
  );
  for (const { ShardId } of await scene.shards()) expect(await scene.read({ ShardId })).toEqual([]);
});

test('GetShardIterator, GetRecords, DryRun: nothing was read, no read of the five a second was taken', async () => {
  const { client } = scene;
  await scene.put('x');
  await expectRefusal(scene.iterator({ DryRun }), kinesis.DryRunOperationException, rejected);
  const ShardIterator = await scene.iterator();
  for (let nth = 0; nth < 10; nth++) {
    await expectRefusal(
      client.send(new kinesis.GetRecordsCommand({ ShardIterator, DryRun })),
      kinesis.DryRunOperationException,
      rejected,
    );
  }
  expect((await scene.get(ShardIterator)).Records).toHaveLength(1);
});

test('SubscribeToShard, DryRun: there is no subscription, and the next call is not within 5 seconds of a successful one', async () => {
  const ConsumerARN = await consumerArn();
  await expectRefusal(subscribe({ ConsumerARN, DryRun }), kinesis.DryRunOperationException, rejected);
  const { EventStream = [] } = await subscribe({ ConsumerARN });
  for await (const { SubscribeToShardEvent } of EventStream) {
    expect(SubscribeToShardEvent?.Records).toEqual([]);
    break;
  }
});

test('"If any check fails, the API returns the same error that the actual operation would return"', async () => {
  const { client, clock } = scene;
  const ConsumerARN = await consumerArn();
  const ShardIterator = await scene.iterator();
  const absent = { StreamName: 'absent', PartitionKey, Data, DryRun };
  await expectRefusal(client.send(new kinesis.PutRecordCommand(absent)), kinesis.ResourceNotFoundException);
  const keyless = { StreamName, Records: [{ Data }], DryRun };
  await expectRefusal(client.send(new kinesis.PutRecordsCommand(keyless)), kinesis.ValidationException);
  await expectRefusal(scene.iterator({ ShardIteratorType: 'AT_TIMESTAMP', DryRun }), kinesis.InvalidArgumentException);
  await expectRefusal(scene.iterator({ ShardId: 'shardId-000000000009', DryRun }), kinesis.ResourceNotFoundException);
  await expectRefusal(
    subscribe({ ConsumerARN: ConsumerARN.replace('reader', 'absent'), DryRun }),
    kinesis.ResourceNotFoundException,
  );
  clock.advance(300_001);
  await expectRefusal(
    client.send(new kinesis.GetRecordsCommand({ ShardIterator, DryRun })),
    kinesis.ExpiredIteratorException,
  );
});

test('DryRun false is as good as none', async () => {
  const put = { StreamName, PartitionKey, Data, ExplicitHashKey: '0', DryRun: false };
  await scene.client.send(new kinesis.PutRecordCommand(put));
  expect(await scene.read()).toEqual(['x']);
});
