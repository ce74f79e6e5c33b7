// The members that several operations share, with the ranges and patterns of the Kinesis API reference, and the shapes that
// several answers share.
import {
  DEFAULT_MAX_RECORD_BYTES,
  type HashKey,
  MAX_HASH_KEY,
  MAX_RECORD_BYTES,
  MAX_STREAM_NAME_LENGTH,
} from '@shardline/common/base';
import {
  KinesisError,
  type RecordDistributionStrategy,
  type Shard,
  type StartingPosition,
  type StreamMode,
  type Tags,
} from '../../model/index.ts';
import type { WarmThroughput } from '../../model/warm-throughput.ts';
import {
  boolean,
  type Check,
  integer,
  type OptionalMember,
  oneOf,
  optional,
  required,
  structure,
  text,
  textList,
  textMap,
} from '../input-check.ts';
import type { WireObject } from '../wire-format.ts';

/** Of names of streams and consumers, and of shard ids. */
const NAME_PATTERN = '[a-zA-Z0-9_.-]+';

export const streamName: Check<string> = text({ min: 1, max: MAX_STREAM_NAME_LENGTH, pattern: NAME_PATTERN });
export const streamArnText: Check<string> = text({
  min: 1,
  max: 2048,
  pattern: 'arn:aws.*:kinesis:.*:\\d{12}:stream/\\S+',
});
export const consumerName: Check<string> = text({ min: 1, max: 128, pattern: NAME_PATTERN });
export const consumerArnText: Check<string> = text({
  min: 1,
  max: 2048,
  pattern: '^(arn):aws.*:kinesis:.*:\\d{12}:.*stream\\/[a-zA-Z0-9_.-]+\\/consumer\\/[a-zA-Z0-9_.-]+:[0-9]+',
});
/** Of a stream or a consumer. */
export const resourceArnText: Check<string> = text({
  min: 1,
  max: 2048,
  pattern: 'arn:aws.*:kinesis:.*:\\d{12}:.*stream/\\S+',
});
/** Accepted by its pattern, and ignored: "Not Implemented. Reserved for future use." */
export const streamId: OptionalMember<string> = optional(
  text({ min: 1, max: 24, pattern: '[a-z0-9]{20}-[a-z0-9]{3}' }),
);
export const shardId: Check<string> = text({ min: 1, max: 128, pattern: NAME_PATTERN });
export const hashKeyText: Check<string> = text({ min: 0, max: 39, pattern: '0|([1-9]\\d{0,38})' });
export const sequenceNumberText: Check<string> = text({ min: 0, max: 129, pattern: '0|([1-9]\\d{0,128})' });
/** "Checks if your request will succeed." */
export const dryRun: OptionalMember<boolean> = optional(boolean);
/** In MiB/s. */
export const warmThroughput: Check<number> = integer({ min: 0, max: 2_147_483_647 });
export const tagKeys: Check<string[]> = textList({ min: 1, max: 128 }, { min: 1, max: 50 });
export const tagMap: Check<Tags> = textMap({ min: 1, max: 128 }, { min: 0, max: 256 }, { min: 1, max: 200 });
export const nextToken: Check<string> = text({ min: 1, max: 1_048_576 });
export const positionKind: Check<StartingPosition['kind']> = oneOf(
  'AFTER_SEQUENCE_NUMBER',
  'LATEST',
  'AT_TIMESTAMP',
  'AT_SEQUENCE_NUMBER',
  'TRIM_HORIZON',
);

export const streamModeDetails: Check<{ readonly StreamMode: StreamMode }> = structure({
  StreamMode: required(oneOf('PROVISIONED', 'ON_DEMAND')),
});

export const recordDistributionStrategy: Check<RecordDistributionStrategy> = oneOf('AUTO', 'USER_PARTITION_KEY');

export const maxRecordSizeInKiB: Check<number> = integer({
  min: DEFAULT_MAX_RECORD_BYTES / 1024,
  max: MAX_RECORD_BYTES / 1024,
});

/** Every operation on a stream takes its name or its ARN. */
export const streamAddress: {
  readonly StreamName: OptionalMember<string>;
  readonly StreamARN: OptionalMember<string>;
  readonly StreamId: OptionalMember<string>;
} = { StreamName: optional(streamName), StreamARN: optional(streamArnText), StreamId: streamId };

/** @throws KinesisError InvalidArgumentException at 2^128 and above */
export function hashKeyIn(member: string, decimal: string): HashKey {
  const value = BigInt(decimal);
  if (value <= MAX_HASH_KEY) return value as HashKey;
  throw new KinesisError(
    'InvalidArgumentException',
    `Invalid ${member}. ${member} must be in the range: [0, 2^128-1]. Specified value was ${decimal}`,
  );
}

/** @throws KinesisError InvalidArgumentException when the kind and what was given with it do not go together */
export function positionOf(
  kind: StartingPosition['kind'],
  sequenceNumber: string | undefined,
  timestampMs: number | undefined,
): StartingPosition {
  switch (kind) {
    case 'AT_SEQUENCE_NUMBER':
    case 'AFTER_SEQUENCE_NUMBER':
      if (sequenceNumber === undefined) throw mismatched(kind, 'no StartingSequenceNumber');
      return { kind, sequenceNumber: BigInt(sequenceNumber) };
    case 'AT_TIMESTAMP':
      if (timestampMs === undefined) {
        throw new KinesisError(
          'InvalidArgumentException',
          'Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no timestamp parameter.',
        );
      }
      return { kind, timestampMs };
    default:
      if (sequenceNumber !== undefined) throw mismatched(kind, 'also a StartingSequenceNumber');
      return { kind };
  }
}

/** A token says which list goes on, and where. @throws KinesisError InvalidArgumentException when something else does too */
export function refuseBeside(token: string | undefined, others: Readonly<Record<string, unknown>>): void {
  if (token === undefined) return;
  const other = Object.keys(others).find((member) => others[member] !== undefined);
  if (other === undefined) return;
  throw new KinesisError('InvalidArgumentException', `NextToken and ${other} cannot be provided together.`);
}

/** A WarmThroughput, where there is one. */
export function warmThroughputMembers(warm: WarmThroughput | undefined): WireObject | undefined {
  return warm && { TargetMiBps: warm.targetMiBps, CurrentMiBps: warm.currentMiBps };
}

/** A Shard of DescribeStream and ListShards. */
export function shardMembers(shard: Shard): WireObject {
  const [parentShardId, adjacentParentShardId] = shard.origin.parentIds;
  return {
    ShardId: shard.id,
    ParentShardId: parentShardId,
    AdjacentParentShardId: adjacentParentShardId,
    HashKeyRange: rangeMembers(shard.origin.range),
    SequenceNumberRange: {
      StartingSequenceNumber: shard.startingSequenceNumber,
      EndingSequenceNumber: shard.end?.endingSequenceNumber,
    },
  };
}

/** The ChildShards of GetRecords and SubscribeToShard; absent while the shard has not ended. */
export function childShardMembers(
  childShards: readonly { shardId: string; parentShards: readonly string[]; hashKeyRange: Shard['origin']['range'] }[],
): WireObject[] | undefined {
  if (childShards.length === 0) return undefined;
  return childShards.map(({ shardId: ShardId, parentShards: ParentShards, hashKeyRange }) => ({
    ShardId,
    ParentShards,
    HashKeyRange: rangeMembers(hashKeyRange),
  }));
}

function rangeMembers({ start, end }: Shard['origin']['range']): WireObject {
  return { StartingHashKey: start, EndingHashKey: end };
}

function mismatched(kind: string, given: string): KinesisError {
  return new KinesisError(
    'InvalidArgumentException',
    `Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no StartingSequenceNumber. Request specified ${kind} and ${given}.`,
  );
}
