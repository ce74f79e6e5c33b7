// UpdateShardCount, sentence by sentence. How the shards are read through it is in capacity.test.ts.
import * as kinesis from '@aws-sdk/client-kinesis';
import { expect, test } from 'vitest';
import { expectRefusal, hourMs, StreamARN, StreamName, specScene } from './spec-scene.ts';

const scene = specScene({ reshardMs: 100 });

function scale(TargetShardCount: number, name = StreamName): Promise<kinesis.UpdateShardCountCommandOutput> {
  const input = { StreamName: name, TargetShardCount, ScalingType: 'UNIFORM_SCALING' } as const;
  return scene.client.send(new kinesis.UpdateShardCountCommand(input));
}

/** Scales, and waits until it is done. */
async function scaled(target: number, name = StreamName): Promise<void> {
  await scale(target, name);
  scene.clock.advance(100);
}

async function create(name: string, ShardCount: number): Promise<void> {
  await scene.client.send(new kinesis.CreateStreamCommand({ StreamName: name, ShardCount }));
}

test('"Upon receiving the request, Kinesis Data Streams returns immediately and sets the status of the stream to UPDATING. After the update is complete, Kinesis Data Streams sets the status of the stream back to ACTIVE"; "You can continue to read and write data to your stream while its status is UPDATING"', async () => {
  const { $metadata, ...answer } = await scale(4);
  expect($metadata.httpStatusCode).toBe(200);
  expect(answer).toEqual({ StreamName, StreamARN, CurrentShardCount: 2, TargetShardCount: 4 });
  expect(await scene.summary()).toMatchObject({ StreamStatus: 'UPDATING', OpenShardCount: 2 });
  await scene.put('meanwhile');
  expect(await scene.read()).toEqual(['meanwhile']);
  scene.clock.advance(100);
  expect(await scene.summary()).toMatchObject({ StreamStatus: 'ACTIVE', OpenShardCount: 4 });
});

test('ScalingType: "Uniform scaling creates shards of equal size"', async () => {
  for (const count of [4, 5, 3, 2]) {
    await scaled(count);
    const open = await scene.shards({ ShardFilter: { Type: 'AT_LATEST' } });
    const sizes = open.map(
      ({ HashKeyRange: range }) => BigInt(range?.EndingHashKey ?? 0) - BigInt(range?.StartingHashKey ?? 0) + 1n,
    );
    expect(sizes.reduce((sum, size) => sum + size, 0n)).toBe(2n ** 128n);
    // But for what rounding leaves.
    for (const size of sizes)
      expect(size / (2n ** 128n / BigInt(count) / 1_000_000n)).toBeOneOf([999_999n, 1_000_000n]);
  }
});

test('"This can cause short-lived shards to be created, in addition to the final shards"', async () => {
  await scaled(3);
  const [all, open] = [await scene.shards(), await scene.shards({ ShardFilter: { Type: 'AT_LATEST' } })];
  expect(open).toHaveLength(3);
  const parents = new Set(
    all.flatMap(({ ParentShardId, AdjacentParentShardId }) => [ParentShardId, AdjacentParentShardId]),
  );
  const shortLived = all.filter((shard) => shard.ParentShardId !== undefined && parents.has(shard.ShardId));
  expect(shortLived.length).toBeGreaterThan(0);
  for (const { SequenceNumberRange: range } of shortLived) expect(range?.EndingSequenceNumber).toMatch(/^\d+$/);
});

test('you cannot "Scale more than ten times per rolling 24-hour period per stream"', async () => {
  for (let nth = 0; nth < 10; nth++) await scaled(nth % 2 === 0 ? 3 : 2);
  await expectRefusal(scale(3), kinesis.LimitExceededException);
  await create('another', 1);
  await scaled(2, 'another');
  scene.clock.advance(24 * hourMs);
  await scaled(3);
});

test('you cannot "Scale up to more than double your current shard count for a stream", nor "Scale down below half your current shard count for a stream"', async () => {
  await expectRefusal(
    scale(5),
    kinesis.LimitExceededException,
    'UpdateShardCount cannot scale up over double your current open shard count. Current open shard count: 2, Target shard count: 5',
  );
  await create('five', 5);
  await expectRefusal(scale(2, 'five'), kinesis.LimitExceededException);
  await scaled(3, 'five');
  await scaled(6, 'five');
});

test('you cannot "Scale up to more than 10000 shards in a stream"', async () => {
  await create('large', 6000);
  await expectRefusal(scale(10_001, 'large'), kinesis.LimitExceededException);
});

test('you cannot "Scale a stream with more than 10000 shards down unless the result is less than 10000 shards"', async () => {
  await create('large', 10_001);
  await expectRefusal(scale(10_000, 'large'), kinesis.LimitExceededException);
  await scale(9999, 'large');
});

test('you cannot "Scale up to more than the shard limit for your account"; "short-lived shards count towards your total shard limit"', async () => {
  await create('large', 19_995);
  await create('small', 2);
  // 20,000 are allowed and 19,999 there: two shards become three by way of four.
  await expectRefusal(scale(4, 'small'), kinesis.LimitExceededException);
  await scene.client.send(new kinesis.DeleteStreamCommand({ StreamName }));
  await scale(4, 'small');
});

test('"This API is only supported for the data streams with the provisioned capacity mode"; ValidationException: "you tried to invoke this API for a data stream with the on-demand capacity mode"', async () => {
  const StreamModeDetails = { StreamMode: 'ON_DEMAND' } as const;
  await scene.client.send(new kinesis.CreateStreamCommand({ StreamName: 'traffic', StreamModeDetails }));
  await expectRefusal(scale(8, 'traffic'), kinesis.ValidationException);
});

test('ResourceInUseException: "For successful operation, the resource must be in the ACTIVE state"; ResourceNotFoundException: "The requested resource could not be found"', async () => {
  await scale(4);
  await expectRefusal(
    scale(3),
    kinesis.ResourceInUseException,
    'Stream orders under account 000000000000 not ACTIVE, instead in state UPDATING',
  );
  await expectRefusal(scale(3, 'absent'), kinesis.ResourceNotFoundException);
});

test('TargetShardCount is at least 1, and the only ScalingType is UNIFORM_SCALING', async () => {
  await expectRefusal(
    scale(0),
    kinesis.ValidationException,
    "1 validation error detected: Value '0' at 'targetShardCount' failed to satisfy constraint: Member must have value greater than or equal to 1",
  );
  const byHalves = { StreamName, TargetShardCount: 2, ScalingType: 'BY_HALVES' as 'UNIFORM_SCALING' };
  await expectRefusal(scene.client.send(new kinesis.UpdateShardCountCommand(byHalves)), kinesis.ValidationException);
});
