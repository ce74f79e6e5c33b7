// Encryption, enhanced monitoring and resource policies, as the Kinesis API reference describes them. Nothing is encrypted,
// measured or granted: what was set is kept and reported.
import * as kinesis from '@aws-sdk/client-kinesis';
import { describe, expect, test } from 'vitest';
import { StreamARN, StreamName, specScene } from './spec-scene.ts';

const ShardId = 'shardId-000000000000';
const KeyId = 'alias/aws/kinesis';
const scene = specScene({ streams: [{ name: StreamName }], updateStreamMs: 100, registerConsumerMs: 10 });
const { clock } = scene;

async function describeBoth(): Promise<
  [kinesis.StreamDescription | undefined, kinesis.StreamDescriptionSummary | undefined]
> {
  const { StreamDescription } = await scene.client.send(new kinesis.DescribeStreamCommand({ StreamName }));
  const { StreamDescriptionSummary } = await scene.client.send(
    new kinesis.DescribeStreamSummaryCommand({ StreamName }),
  );
  return [StreamDescription, StreamDescriptionSummary];
}

function put(text: string): Promise<kinesis.PutRecordCommandOutput> {
  return scene.client.send(new kinesis.PutRecordCommand({ StreamName, PartitionKey: 'k', Data: Buffer.from(text) }));
}

async function register(): Promise<string> {
  const { Consumer } = await scene.client.send(
    new kinesis.RegisterStreamConsumerCommand({ StreamARN, ConsumerName: 'c' }),
  );
  return Consumer?.ConsumerARN ?? '';
}

describe('server-side encryption', () => {
  const start = (key = KeyId): Promise<unknown> =>
    scene.client.send(new kinesis.StartStreamEncryptionCommand({ StreamName, EncryptionType: 'KMS', KeyId: key }));
  const stop = (): Promise<unknown> =>
    scene.client.send(new kinesis.StopStreamEncryptionCommand({ StreamARN, EncryptionType: 'KMS', KeyId }));

  test('StartStreamEncryption: Kinesis returns immediately and sets the status to UPDATING; after the update is complete, back to ACTIVE', async () => {
    await start();
    for (const description of await describeBoth()) {
      expect(description).toMatchObject({ StreamStatus: 'UPDATING', EncryptionType: 'NONE' });
    }
    clock.advance(100);
    for (const description of await describeBoth()) {
      expect(description).toMatchObject({ StreamStatus: 'ACTIVE', EncryptionType: 'KMS', KeyId });
    }
  });

  test('StartStreamEncryption: you can continue to read and write data to your stream while its status is UPDATING', async () => {
    await start();
    expect((await put('a')).EncryptionType).toBeUndefined();
    const { ShardIterator } = await scene.client.send(
      new kinesis.GetShardIteratorCommand({ StreamName, ShardId, ShardIteratorType: 'TRIM_HORIZON' }),
    );
    const { Records } = await scene.client.send(new kinesis.GetRecordsCommand({ ShardIterator }));
    expect(Records).toHaveLength(1);
  });

  test('StartStreamEncryption: you can verify that encryption is applied by inspecting the API response from PutRecord or PutRecords', async () => {
    await start();
    clock.advance(100);
    expect((await put('a')).EncryptionType).toBe('KMS');
    const Records = [{ PartitionKey: 'k', Data: Buffer.from('b') }];
    const both = await scene.client.send(new kinesis.PutRecordsCommand({ StreamName, Records }));
    expect(both.EncryptionType).toBe('KMS');
    await stop();
    clock.advance(100);
    expect((await put('c')).EncryptionType).toBeUndefined();
  });

  test('Record: EncryptionType is the encryption type used on the record, with GetRecords and with SubscribeToShard', async () => {
    const ConsumerARN = await register();
    clock.advance(10);
    await put('before');
    await start();
    await put('while it starts');
    clock.advance(100);
    await put('encrypted');
    await stop();
    clock.advance(100);
    await put('after');
    const expected = ['before', 'while it starts', 'encrypted KMS', 'after'];
    const shown = ({ Data, EncryptionType }: kinesis._Record): string =>
      `${Buffer.from(Data ?? []).toString()} ${EncryptionType ?? ''}`.trim();
    const { ShardIterator } = await scene.client.send(
      new kinesis.GetShardIteratorCommand({ StreamName, ShardId, ShardIteratorType: 'TRIM_HORIZON' }),
    );
    const { Records = [] } = await scene.client.send(new kinesis.GetRecordsCommand({ ShardIterator }));
    expect(Records.map(shown)).toEqual(expected);
    const { EventStream } = await scene.client.send(
      new kinesis.SubscribeToShardCommand({ ConsumerARN, ShardId, StartingPosition: { Type: 'TRIM_HORIZON' } }),
    );
    for await (const { SubscribeToShardEvent } of EventStream ?? []) {
      expect(SubscribeToShardEvent?.Records?.map(shown)).toEqual(expected);
      break;
    }
  });

  test('StartStreamEncryption: it enables or updates server-side encryption; the same key again changes nothing', async () => {
    await start();
    clock.advance(100);
    await start();
    expect((await describeBoth())[1]?.StreamStatus).toBe('ACTIVE');
    await start('arn:aws:kms:us-east-1:123456789012:alias/MyAliasName');
    expect((await describeBoth())[1]).toMatchObject({ StreamStatus: 'UPDATING', KeyId });
    clock.advance(100);
    expect((await describeBoth())[1]?.KeyId).toBe('arn:aws:kms:us-east-1:123456789012:alias/MyAliasName');
  });

  test('StopStreamEncryption: it disables server-side encryption; without any, it changes nothing', async () => {
    await stop();
    expect((await describeBoth())[1]?.StreamStatus).toBe('ACTIVE');
    await start();
    clock.advance(100);
    await stop();
    expect((await describeBoth())[1]).toMatchObject({ StreamStatus: 'UPDATING', EncryptionType: 'KMS' });
    clock.advance(100);
    const [description, summary] = await describeBoth();
    for (const each of [description, summary]) {
      expect(each).toMatchObject({ StreamStatus: 'ACTIVE', EncryptionType: 'NONE' });
      expect(each).not.toHaveProperty('KeyId');
    }
  });

  test('StartStreamEncryption: the only valid EncryptionType is KMS, and KeyId is a GUID, an ARN of a key or alias, or an alias', async () => {
    const none = scene.client.send(
      new kinesis.StartStreamEncryptionCommand({ StreamName, EncryptionType: 'NONE', KeyId }),
    );
    await expect(none).rejects.toThrow(kinesis.InvalidArgumentException);
    await expect(start('a-key')).rejects.toThrow(kinesis.InvalidArgumentException);
    await expect(start('')).rejects.toThrow(kinesis.ValidationException);
    const other = scene.client.send(
      new kinesis.StopStreamEncryptionCommand({ StreamName, EncryptionType: 'AES' as never, KeyId }),
    );
    await expect(other).rejects.toThrow("Value 'AES' at 'encryptionType' failed to satisfy constraint");
  });

  test('StartStreamEncryption: for successful operation, the resource must be in the ACTIVE state', async () => {
    await start();
    await expect(stop()).rejects.toThrow(kinesis.ResourceInUseException);
    const gone = scene.client.send(
      new kinesis.StopStreamEncryptionCommand({ StreamName: 'x', EncryptionType: 'KMS', KeyId }),
    );
    await expect(gone).rejects.toThrow(kinesis.ResourceNotFoundException);
  });
});

describe('enhanced monitoring', () => {
  const enable = (
    ...ShardLevelMetrics: kinesis.MetricsName[]
  ): Promise<kinesis.EnableEnhancedMonitoringCommandOutput> =>
    scene.client.send(new kinesis.EnableEnhancedMonitoringCommand({ StreamName, ShardLevelMetrics }));
  const disable = (
    ...ShardLevelMetrics: kinesis.MetricsName[]
  ): Promise<kinesis.DisableEnhancedMonitoringCommandOutput> =>
    scene.client.send(new kinesis.DisableEnhancedMonitoringCommand({ StreamARN, ShardLevelMetrics }));
  const all = Object.values(kinesis.MetricsName).filter((name) => name !== 'ALL');

  test('EnhancedMonitoringOutput: the metrics before the operation and after it, the name and the ARN of the stream', async () => {
    expect(await enable('IncomingBytes', 'OutgoingRecords')).toMatchObject({
      StreamName,
      StreamARN,
      CurrentShardLevelMetrics: [],
      DesiredShardLevelMetrics: ['IncomingBytes', 'OutgoingRecords'],
    });
    clock.advance(100);
    expect(await disable('OutgoingRecords')).toMatchObject({
      StreamName,
      StreamARN,
      CurrentShardLevelMetrics: ['IncomingBytes', 'OutgoingRecords'],
      DesiredShardLevelMetrics: ['IncomingBytes'],
    });
    clock.advance(100);
    for (const description of await describeBoth()) {
      expect(description?.EnhancedMonitoring).toEqual([{ ShardLevelMetrics: ['IncomingBytes'] }]);
    }
  });

  test('EnableEnhancedMonitoring: the value ALL enhances every metric; DisableEnhancedMonitoring: it disables every metric', async () => {
    const { DesiredShardLevelMetrics } = await enable('ALL');
    expect(DesiredShardLevelMetrics?.toSorted()).toEqual(all.toSorted());
    clock.advance(100);
    expect((await describeBoth())[0]?.EnhancedMonitoring?.[0]?.ShardLevelMetrics).toHaveLength(7);
    expect((await disable('ALL')).DesiredShardLevelMetrics).toEqual([]);
    clock.advance(100);
    expect((await describeBoth())[1]?.EnhancedMonitoring).toEqual([{ ShardLevelMetrics: [] }]);
  });

  test('EnableEnhancedMonitoring: for successful operation, the resource must be in the ACTIVE state', async () => {
    await enable('IncomingBytes');
    await expect(disable('ALL')).rejects.toThrow(kinesis.ResourceInUseException);
  });

  test('ShardLevelMetrics: 1 to 7 of the metrics there are', async () => {
    await expect(enable()).rejects.toThrow(kinesis.ValidationException);
    await expect(enable(...all, 'ALL')).rejects.toThrow(kinesis.ValidationException);
    await expect(enable('Latency' as never)).rejects.toThrow("Value 'Latency' at 'shardLevelMetrics.1.member'");
  });
});

describe('resource policies', () => {
  const Policy = JSON.stringify({
    Version: '2012-10-17',
    Statement: [
      { Effect: 'Allow', Principal: { AWS: '111111111111' }, Action: 'kinesis:PutRecord', Resource: StreamARN },
    ],
  });
  const putPolicy = (ResourceARN: string, policy = Policy): Promise<unknown> =>
    scene.client.send(new kinesis.PutResourcePolicyCommand({ ResourceARN, Policy: policy }));
  const getPolicy = (ResourceARN: string): Promise<kinesis.GetResourcePolicyCommandOutput> =>
    scene.client.send(new kinesis.GetResourcePolicyCommand({ ResourceARN }));
  const deletePolicy = (ResourceARN: string): Promise<unknown> =>
    scene.client.send(new kinesis.DeleteResourcePolicyCommand({ ResourceARN }));

  test('PutResourcePolicy: it attaches a resource-based policy to a data stream or registered consumer, to each its own', async () => {
    const consumerArn = await register();
    const forConsumer = Policy.replace('PutRecord', 'SubscribeToShard');
    await expect(putPolicy(consumerArn)).rejects.toThrow(kinesis.ResourceInUseException);
    clock.advance(10);
    await putPolicy(StreamARN);
    await putPolicy(consumerArn, forConsumer);
    expect((await getPolicy(StreamARN)).Policy).toBe(Policy);
    expect((await getPolicy(consumerArn)).Policy).toBe(forConsumer);
    await deletePolicy(StreamARN);
    await expect(getPolicy(StreamARN)).rejects.toThrow(kinesis.ResourceNotFoundException);
    expect((await getPolicy(consumerArn)).Policy).toBe(forConsumer);
  });

  test('PutResourcePolicy: it must include the identity of the principal and the actions allowed, formatted as a JSON string', async () => {
    for (const bad of ['', 'allow', '{}', Policy.replace('Principal', 'Nobody'), Policy.replace('Action', 'Deed')]) {
      await expect(putPolicy(StreamARN, bad), bad).rejects.toThrow(kinesis.InvalidArgumentException);
    }
    await expect(getPolicy(StreamARN)).rejects.toThrow(kinesis.ResourceNotFoundException);
  });

  test('PutResourcePolicy: if you receive a ResourceNotFoundException, check to see if you passed a valid stream or consumer resource', async () => {
    for (const arn of [`${StreamARN}s`, `${StreamARN}/consumer/gone:1`]) {
      for (const call of [putPolicy(arn), getPolicy(arn), deletePolicy(arn)]) {
        await expect(call).rejects.toThrow(kinesis.ResourceNotFoundException);
      }
    }
  });
});
