// RegisterStreamConsumer, DeregisterStreamConsumer, DescribeStreamConsumer, ListStreamConsumers, SubscribeToShard.
import { type ConsumerAddress, KinesisError, type StreamConsumer } from '../../model/index.ts';
import { withTags } from '../../model/tags.ts';
import { type Caller, consumerArn, consumerOfArn, streamArn, streamNameOfArn, whereIs } from '../caller.ts';
import { integer, optional, required, structure, timestamp } from '../input-check.ts';
import { Timestamp, type WireObject } from '../wire-format.ts';
import {
  consumerArnText,
  consumerName,
  dryRun,
  nextToken,
  positionKind,
  positionOf,
  refuseBeside,
  sequenceNumberText,
  shardId,
  streamArnText,
  streamId,
  tagMap,
} from './members.ts';
import { empty, members, type OperationTable, operation } from './operation.ts';

const registerStreamConsumer = operation(
  {
    StreamARN: required(streamArnText),
    ConsumerName: required(consumerName),
    StreamId: streamId,
    Tags: optional(tagMap),
  },
  ({ StreamARN, ConsumerName, Tags = {} }, { model, now, caller }) => {
    const streamName = streamNameOfArn(StreamARN);
    const address = { streamName, consumerName: ConsumerName };
    const settings = { tags: withTags({}, Tags, whereIs(caller, address)) };
    const consumer = model.registerConsumer({ ...address, settings }, now);
    return members({ Consumer: consumerMembers(consumer, streamName, caller) });
  },
);

/** By its own ARN, or by name and the stream's ARN. */
const consumerAddress = {
  ConsumerARN: optional(consumerArnText),
  ConsumerName: optional(consumerName),
  StreamARN: optional(streamArnText),
  StreamId: streamId,
};

const deregisterStreamConsumer = operation(consumerAddress, (input, { model, now }) => {
  model.deregisterConsumer(addressOf(input), now);
  return empty;
});

const describeStreamConsumer = operation(consumerAddress, (input, { model, now, caller }) => {
  const address = addressOf(input);
  const consumer = model.consumer(address, now);
  return members({
    ConsumerDescription: {
      ...consumerMembers(consumer, address.streamName, caller),
      StreamARN: streamArn(caller, address.streamName),
    },
  });
});

const listStreamConsumers = operation(
  {
    StreamARN: required(streamArnText),
    NextToken: optional(nextToken),
    MaxResults: optional(integer({ min: 1, max: 10_000 })),
    StreamCreationTimestamp: optional(timestamp),
    StreamId: streamId,
  },
  ({ StreamARN, NextToken, MaxResults: maxResults, StreamCreationTimestamp }, { model, now, caller }) => {
    const streamName = streamNameOfArn(StreamARN);
    refuseBeside(NextToken, { StreamCreationTimestamp });
    const page = model.listConsumers(
      NextToken === undefined
        ? { streamName, streamCreatedMs: StreamCreationTimestamp, maxResults }
        : { streamName, nextToken: NextToken, maxResults },
      now,
    );
    return members({
      Consumers: page.consumers.map((consumer) => consumerMembers(consumer, streamName, caller)),
      NextToken: page.nextToken,
    });
  },
);

const subscribeToShard = operation(
  {
    ConsumerARN: required(consumerArnText),
    ShardId: required(shardId),
    StreamId: streamId,
    StartingPosition: required(
      structure({
        Type: required(positionKind),
        SequenceNumber: optional(sequenceNumberText),
        Timestamp: optional(timestamp),
      }),
    ),
    DryRun: dryRun,
  },
  ({ ConsumerARN, ShardId: shardId, StartingPosition, DryRun: isDryRun }, { model, now }) => {
    const { Type, SequenceNumber, Timestamp: timestampMs } = StartingPosition;
    const position = positionOf(Type, SequenceNumber, timestampMs);
    const subscription = model.subscribeToShard({ ...consumerOfArn(ConsumerARN), shardId, position, isDryRun }, now);
    return { kind: 'subscription', subscription };
  },
);

export const consumerOperations: OperationTable = {
  RegisterStreamConsumer: registerStreamConsumer,
  DeregisterStreamConsumer: deregisterStreamConsumer,
  DescribeStreamConsumer: describeStreamConsumer,
  ListStreamConsumers: listStreamConsumers,
  SubscribeToShard: subscribeToShard,
};

function addressOf(input: {
  ConsumerARN: string | undefined;
  ConsumerName: string | undefined;
  StreamARN: string | undefined;
}): ConsumerAddress {
  const { ConsumerARN, ConsumerName, StreamARN } = input;
  if (ConsumerARN !== undefined) {
    const address = consumerOfArn(ConsumerARN);
    refuseConflict('ConsumerName', ConsumerName, address.consumerName);
    refuseConflict('StreamARN', StreamARN, ConsumerARN.slice(0, ConsumerARN.lastIndexOf('/consumer/')));
    return address;
  }
  if (ConsumerName === undefined || StreamARN === undefined) {
    throw new KinesisError(
      'InvalidArgumentException',
      'Either ConsumerARN, or ConsumerName and StreamARN, must be specified.',
    );
  }
  return { streamName: streamNameOfArn(StreamARN), consumerName: ConsumerName };
}

/** "You may also provide all three parameters, as long as they don't conflict with each other." */
function refuseConflict(member: string, given: string | undefined, inArn: string): void {
  if (given === undefined || given === inArn) return;
  throw new KinesisError('InvalidArgumentException', `${member} ${given} and ConsumerARN do not match.`);
}

function consumerMembers(consumer: StreamConsumer, streamName: string, caller: Caller): WireObject {
  return {
    ConsumerName: consumer.name,
    ConsumerARN: consumerArn(caller, streamName, consumer.name, consumer.createdMs),
    ConsumerStatus: consumer.status,
    ConsumerCreationTimestamp: new Timestamp(consumer.createdMs),
  };
}
