// What a request is about, for the rules of faults: read from its input before anything has checked it, so whatever is not
// there or not of its type is just not known. Nothing is looked up in a model unless a rule asks for shards.
import { type HashKey, hashKeyOf, MAX_HASH_KEY } from '@shardline/common/base';
import type { KinesisModel, Stream } from '../../model/index.ts';
import { type Caller, ownerOf } from '../caller.ts';
import type { FaultTarget } from './fault-plan.ts';

type Input = Readonly<Record<string, unknown>>;

/** `modelOf` gives the model that is there already, if any. */
export function faultTargetOf(
  operation: string,
  given: unknown,
  caller: Caller,
  modelOf: (owner: Caller) => KinesisModel | undefined,
  now: number,
): FaultTarget {
  const input: Input = typeof given === 'object' && given !== null ? (given as Input) : {};
  const { accountId, region } = ownerOf(input, caller);
  const model = (): KinesisModel | undefined => modelOf({ accountId, region });
  const read = typeof input['ShardIterator'] === 'string' ? model()?.shardOf(input['ShardIterator'], now) : undefined;
  const stream = read?.streamName ?? streamNameIn(input);
  return {
    operation,
    accountId,
    region,
    stream,
    shardIds: () => {
      if (read !== undefined) return [read.shardId];
      const named = SHARD_MEMBERS.map((member) => input[member]).filter((id) => typeof id === 'string');
      return named.length > 0 || stream === undefined ? named : shardsWrittenTo(input, streamIn(model(), stream, now));
    },
  };
}

const SHARD_MEMBERS = ['ShardId', 'ShardToSplit', 'ShardToMerge', 'AdjacentShardToMerge'] as const;

function streamNameIn(input: Input): string | undefined {
  if (typeof input['StreamName'] === 'string') return input['StreamName'];
  const arn = input['StreamARN'] ?? input['ConsumerARN'] ?? input['ResourceARN'];
  return typeof arn === 'string' ? /:stream\/([^/]+)/.exec(arn)?.[1] : undefined;
}

function streamIn(model: KinesisModel | undefined, name: string, now: number): Stream | undefined {
  return model?.has(name, now) ? model.stream(name, now) : undefined;
}

/** Of PutRecord and PutRecords. Of an AUTO stream it is not known before they are applied. */
function shardsWrittenTo(input: Input, stream: Stream | undefined): string[] {
  if (stream === undefined || stream.capacity.recordDistributionStrategy === 'AUTO') return [];
  const records: readonly unknown[] = Array.isArray(input['Records']) ? input['Records'] : [input];
  const keys = records.map(hashKeyIn).filter((key) => key !== undefined);
  return [...new Set(keys.map((key) => stream.shardFor(key).id))];
}

function hashKeyIn(record: unknown): HashKey | undefined {
  if (typeof record !== 'object' || record === null) return undefined;
  const { PartitionKey, ExplicitHashKey } = record as Input;
  if (typeof ExplicitHashKey === 'string' && /^\d{1,39}$/.test(ExplicitHashKey)) {
    const key = BigInt(ExplicitHashKey);
    return key <= MAX_HASH_KEY ? (key as HashKey) : undefined;
  }
  return typeof PartitionKey === 'string' ? hashKeyOf(PartitionKey) : undefined;
}
