// The account as a whole, and the warm throughput that its commitment allows, as the Kinesis API reference describes them.
import * as kinesis from '@aws-sdk/client-kinesis';
import { createKinesisClient } from '@shardline/common';
import { describe, expect, test } from 'vitest';
import { StreamARN, StreamName, specScene } from './spec-scene.ts';

const dayMs = 24 * 3_600_000;
const scene = specScene({ streams: [], shardLimit: 100, onDemandStreamLimit: 7, reshardMs: 100 });
const { clock } = scene;

async function describeSettings(): Promise<kinesis.MinimumThroughputBillingCommitmentOutput | undefined> {
  const answer = await scene.client.send(new kinesis.DescribeAccountSettingsCommand({}));
  return answer.MinimumThroughputBillingCommitment;
}

async function commit(
  Status: 'ENABLED' | 'DISABLED',
): Promise<kinesis.MinimumThroughputBillingCommitmentOutput | undefined> {
  const MinimumThroughputBillingCommitment = { Status };
  const answer = await scene.client.send(
    new kinesis.UpdateAccountSettingsCommand({ MinimumThroughputBillingCommitment }),
  );
  return answer.MinimumThroughputBillingCommitment;
}

function createOnDemand(name: string, WarmThroughputMiBps?: number): Promise<unknown> {
  const input = { StreamName: name, StreamModeDetails: { StreamMode: 'ON_DEMAND' } } as const;
  return scene.client.send(
    new kinesis.CreateStreamCommand(WarmThroughputMiBps === undefined ? input : { ...input, WarmThroughputMiBps }),
  );
}

async function summary(name = StreamName): Promise<kinesis.StreamDescriptionSummary | undefined> {
  const answer = await scene.client.send(new kinesis.DescribeStreamSummaryCommand({ StreamName: name }));
  return answer.StreamDescriptionSummary;
}

function warmUp(WarmThroughputMiBps: number): Promise<kinesis.UpdateStreamWarmThroughputCommandOutput> {
  return scene.client.send(new kinesis.UpdateStreamWarmThroughputCommand({ StreamName, WarmThroughputMiBps }));
}

test('DescribeLimits: the shard limits and usage for the account', async () => {
  await scene.client.send(new kinesis.CreateStreamCommand({ StreamName: 'a', ShardCount: 3 }));
  await createOnDemand('b');
  const { $metadata, ...limits } = await scene.client.send(new kinesis.DescribeLimitsCommand({}));
  expect(limits).toEqual({ ShardLimit: 100, OpenShardCount: 7, OnDemandStreamCount: 1, OnDemandStreamCountLimit: 7 });
  expect($metadata.httpStatusCode).toBe(200);
});

describe('DescribeAccountSettings, UpdateAccountSettings', () => {
  test('there is no commitment at first, and an update returns immediately with the updated settings', async () => {
    expect(await describeSettings()).toEqual({ Status: 'DISABLED' });
    const enabled = {
      Status: 'ENABLED',
      StartedAt: new Date(clock.wallNow()),
      EarliestAllowedEndAt: new Date(clock.wallNow() + dayMs),
    };
    expect(await commit('ENABLED')).toEqual(enabled);
    expect(await describeSettings()).toEqual(enabled);
  });

  test('a commitment that is disabled before its minimum of 24 hours ends at the earliest allowed end time', async () => {
    const startedMs = clock.wallNow();
    await commit('ENABLED');
    clock.advance(1000);
    expect((await commit('DISABLED'))?.Status).toBe('ENABLED_UNTIL_EARLIEST_ALLOWED_END');
    expect((await commit('ENABLED'))?.Status).toBe('ENABLED');
    await commit('DISABLED');
    clock.advance(dayMs - 1000);
    expect(await describeSettings()).toMatchObject({
      Status: 'DISABLED',
      StartedAt: new Date(startedMs),
      EndedAt: new Date(startedMs + dayMs),
    });
  });

  test('each account and region has settings of its own', async () => {
    await commit('ENABLED');
    const elsewhere = createKinesisClient({ ...scene.local.clientConfig, region: 'eu-west-1', maxAttempts: 1 });
    const answer = await elsewhere.send(new kinesis.DescribeAccountSettingsCommand({}));
    expect(answer.MinimumThroughputBillingCommitment?.Status).toBe('DISABLED');
    elsewhere.destroy();
  });
});

test('RegisterStreamConsumer: with On-demand Advantage streams, up to 50 consumers per stream; with others, up to 20', async () => {
  await scene.client.send(new kinesis.CreateStreamCommand({ StreamName: 'provisioned', ShardCount: 1 }));
  await createOnDemand(StreamName);
  const register = (stream: string, number: number): Promise<unknown> => {
    const arn = StreamARN.replace(StreamName, stream);
    return scene.client.send(new kinesis.RegisterStreamConsumerCommand({ StreamARN: arn, ConsumerName: `c${number}` }));
  };
  for (let number = 0; number < 20; number++) {
    await register('provisioned', number);
    await register(StreamName, number);
  }
  await expect(register(StreamName, 20)).rejects.toThrow(kinesis.LimitExceededException);
  await commit('ENABLED');
  for (let number = 20; number < 50; number++) await register(StreamName, number);
  await expect(register(StreamName, 50)).rejects.toThrow(kinesis.LimitExceededException);
  await expect(register('provisioned', 20)).rejects.toThrow(kinesis.LimitExceededException);
});

describe('warm throughput', () => {
  test('UpdateStreamWarmThroughput: only for streams with the on-demand mode in accounts that have a commitment', async () => {
    await createOnDemand(StreamName);
    await expect(warmUp(8)).rejects.toThrow(kinesis.InvalidArgumentException);
    await commit('ENABLED');
    await warmUp(8);
    await scene.client.send(new kinesis.CreateStreamCommand({ StreamName: 'provisioned', ShardCount: 1 }));
    const other = new kinesis.UpdateStreamWarmThroughputCommand({ StreamName: 'provisioned', WarmThroughputMiBps: 8 });
    await expect(scene.client.send(other)).rejects.toThrow(kinesis.InvalidArgumentException);
  });

  test('UpdateStreamWarmThroughput: the status is UPDATING, then ACTIVE; the target is told at once, the current value when it is there', async () => {
    await commit('ENABLED');
    await createOnDemand(StreamName);
    expect((await summary())?.WarmThroughput).toEqual({ TargetMiBps: 4, CurrentMiBps: 4 });
    expect(await warmUp(9)).toMatchObject({
      StreamName,
      StreamARN,
      WarmThroughput: { TargetMiBps: 9, CurrentMiBps: 4 },
    });
    expect(await summary()).toMatchObject({
      StreamStatus: 'UPDATING',
      WarmThroughput: { TargetMiBps: 9, CurrentMiBps: 4 },
    });
    clock.advance(100);
    expect(await summary()).toMatchObject({
      StreamStatus: 'ACTIVE',
      OpenShardCount: 9,
      WarmThroughput: { TargetMiBps: 9, CurrentMiBps: 9 },
    });
  });

  test('UpdateStreamWarmThroughput: to release excess capacity, set the same or a lower value', async () => {
    await commit('ENABLED');
    await createOnDemand(StreamName, 12);
    await warmUp(6);
    clock.advance(100);
    expect((await summary())?.OpenShardCount).toBe(6);
    await warmUp(0);
    clock.advance(100);
    expect(await summary()).toMatchObject({ OpenShardCount: 4, WarmThroughput: { TargetMiBps: 0, CurrentMiBps: 4 } });
  });

  test('UpdateStreamWarmThroughput: you cannot scale to more than 10 GiBps', async () => {
    await commit('ENABLED');
    await createOnDemand(StreamName);
    await expect(warmUp(10_241)).rejects.toThrow(kinesis.LimitExceededException);
  });

  test('CreateStream: you can specify the warm throughput once your account has a commitment', async () => {
    await expect(createOnDemand(StreamName, 7)).rejects.toThrow(kinesis.InvalidArgumentException);
    await commit('ENABLED');
    await createOnDemand(StreamName, 7);
    expect(await summary()).toMatchObject({ OpenShardCount: 7, WarmThroughput: { TargetMiBps: 7, CurrentMiBps: 7 } });
  });

  test('UpdateStreamMode: WarmThroughputMiBps is only valid when the mode is being updated to on-demand', async () => {
    await commit('ENABLED');
    await scene.client.send(new kinesis.CreateStreamCommand({ StreamName, ShardCount: 2 }));
    const update = (StreamMode: kinesis.StreamMode): Promise<unknown> =>
      scene.client.send(
        new kinesis.UpdateStreamModeCommand({ StreamARN, StreamModeDetails: { StreamMode }, WarmThroughputMiBps: 8 }),
      );
    await expect(update('PROVISIONED')).rejects.toThrow(kinesis.InvalidArgumentException);
    await update('ON_DEMAND');
    clock.advance(100);
    expect(await summary()).toMatchObject({
      StreamModeDetails: { StreamMode: 'ON_DEMAND' },
      OpenShardCount: 8,
      WarmThroughput: { TargetMiBps: 8, CurrentMiBps: 8 },
    });
  });

  test('StreamDescriptionSummary: WarmThroughput is only present in accounts that have a commitment', async () => {
    await createOnDemand(StreamName);
    expect(await summary()).not.toHaveProperty('WarmThroughput');
  });
});
