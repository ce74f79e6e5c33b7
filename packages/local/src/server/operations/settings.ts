// StartStreamEncryption, StopStreamEncryption, EnableEnhancedMonitoring, DisableEnhancedMonitoring, PutResourcePolicy,
// GetResourcePolicy, DeleteResourcePolicy: kept and reported, without any effect of their own.

import { checkKeyId, withKey } from '../../model/encryption.ts';
import { KinesisError } from '../../model/index.ts';
import { checkPolicy } from '../../model/policy.ts';
import { SHARD_LEVEL_METRICS, type ShardLevelMetric, withMetrics, withoutMetrics } from '../../model/settings.ts';
import { resourceOfArn, streamArn, streamNameOf } from '../caller.ts';
import { list, oneOf, required, text } from '../input-check.ts';
import { resourceArnText, streamAddress, streamId } from './members.ts';
import { empty, members, type Operation, type OperationTable, operation } from './operation.ts';

const encryptionMembers = {
  ...streamAddress,
  EncryptionType: required(oneOf('NONE', 'KMS')),
  KeyId: required(text({ min: 1, max: 2048 })),
};

function changeEncryption(change: 'start' | 'stop'): Operation {
  return operation(encryptionMembers, (input, { model, now }) => {
    const { EncryptionType, KeyId } = input;
    if (EncryptionType !== 'KMS') {
      throw new KinesisError(
        'InvalidArgumentException',
        `EncryptionType ${EncryptionType}: the only valid value is KMS.`,
      );
    }
    checkKeyId(KeyId);
    model.update(
      { streamName: streamNameOf(input) },
      ({ encryption }) => ({
        encryption: withKey(encryption, change === 'start' ? KeyId : null, model.callLimits !== undefined, now),
      }),
      now,
    );
    return empty;
  });
}

function changeMonitoring(
  changed: (
    metrics: readonly ShardLevelMetric[],
    named: readonly (ShardLevelMetric | 'ALL')[],
  ) => readonly ShardLevelMetric[],
): Operation {
  const metrics = list(oneOf(...SHARD_LEVEL_METRICS, 'ALL'), { min: 1, max: SHARD_LEVEL_METRICS.length });
  return operation({ ...streamAddress, ShardLevelMetrics: required(metrics) }, (input, { model, now, caller }) => {
    const streamName = streamNameOf(input);
    const { shardLevelMetrics: current } = model.stream(streamName, now).settings;
    const desired = changed(current, input.ShardLevelMetrics);
    model.update({ streamName }, () => ({ shardLevelMetrics: desired }), now);
    return members({
      StreamName: streamName,
      StreamARN: streamArn(caller, streamName),
      CurrentShardLevelMetrics: current,
      DesiredShardLevelMetrics: desired,
    });
  });
}

const resourceAddress = { ResourceARN: required(resourceArnText), StreamId: streamId };

const putResourcePolicy = operation(
  { ...resourceAddress, Policy: required(text({ min: 0, max: Number.POSITIVE_INFINITY })) },
  ({ ResourceARN, Policy: policy }, { model, now }) => {
    checkPolicy(policy);
    model.set(resourceOfArn(ResourceARN), () => ({ policy }), now);
    return empty;
  },
);

const getResourcePolicy = operation(resourceAddress, ({ ResourceARN }, { model, now }) => {
  const { policy } = model.settingsOf(resourceOfArn(ResourceARN), now);
  if (policy !== null) return members({ Policy: policy });
  throw new KinesisError('ResourceNotFoundException', `No resource policy found for ${ResourceARN}.`);
});

const deleteResourcePolicy = operation(resourceAddress, ({ ResourceARN }, { model, now }) => {
  model.set(resourceOfArn(ResourceARN), () => ({ policy: null }), now);
  return empty;
});

export const settingsOperations: OperationTable = {
  StartStreamEncryption: changeEncryption('start'),
  StopStreamEncryption: changeEncryption('stop'),
  EnableEnhancedMonitoring: changeMonitoring(withMetrics),
  DisableEnhancedMonitoring: changeMonitoring(withoutMetrics),
  PutResourcePolicy: putResourcePolicy,
  GetResourcePolicy: getResourcePolicy,
  DeleteResourcePolicy: deleteResourcePolicy,
};
