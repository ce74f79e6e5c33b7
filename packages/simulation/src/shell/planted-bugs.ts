// Mistakes that prove that the checkers of the shell's world see something. Each is made outside of the product, in a port: what Kinesis or
// DynamoDB answers, or what a clock does.
import { UpdateItemCommand } from '@aws-sdk/client-dynamodb';
import {
  GetRecordsCommand,
  ListShardsCommand,
  type StartingPosition,
  SubscribeToShardCommand,
} from '@aws-sdk/client-kinesis';
import type { Clock } from '@shardline/common';
import type { Row } from './expressions.ts';
import { serviceError } from './network.ts';
import { SUBSCRIPTION_TIMEOUT_MS } from './swarm.ts';

export interface PlantedBug {
  readonly name: string;
  /** What would have to be wrong. */
  readonly mistake: string;
  /**
   * Answers in Kinesis's place. Undefined: not this one. `arrived`: how far what was pushed of a shard has come to the worker's sockets, read or
   * not.
   */
  readonly kinesis?: (
    command: object,
    carryOut: (command: object) => object,
    arrived: (shardId: string) => string | undefined,
  ) => object | undefined;
  /** Answers in DynamoDB's place. Undefined: not this one. `rowOf`: of the command's table. */
  readonly dynamoDB?: (command: object, rowOf: (key: string) => Row | undefined) => object | undefined;
  readonly clock?: (clock: Clock) => Clock;
  /** What the sink for dead letters does. */
  readonly sink?: 'confirms-all';
}

interface ReadAnswer {
  readonly Records: readonly object[];
  readonly ChildShards?: readonly object[];
}

export const shellPlantedBugs: readonly PlantedBug[] = [
  {
    name: 'drops-the-last-record',
    mistake: 'of an answer with several records the last one is lost',
    kinesis: (command, carryOut) => {
      if (!(command instanceof GetRecordsCommand)) return undefined;
      const answer = carryOut(command) as ReadAnswer;
      const { Records } = answer;
      return Records.length > 1 ? { ...answer, Records: Records.slice(0, -1) } : answer;
    },
  },
  {
    name: 'ends-too-soon',
    mistake: 'a closed shard is at its end one record too early',
    kinesis: (command, carryOut) => {
      if (!(command instanceof GetRecordsCommand)) return undefined;
      const answer = carryOut(command) as ReadAnswer;
      return answer.ChildShards === undefined ? answer : { ...answer, Records: answer.Records.slice(0, -1) };
    },
  },
  {
    name: 'parents-unknown',
    mistake: 'shards are listed without their parents',
    kinesis: (command, carryOut) => {
      if (!(command instanceof ListShardsCommand)) return undefined;
      const answer = carryOut(command) as { readonly Shards: readonly object[] };
      const orphaned = { ParentShardId: undefined, AdjacentParentShardId: undefined };
      return { ...answer, Shards: answer.Shards.map((shard) => ({ ...shard, ...orphaned })) };
    },
  },
  {
    name: 'unwritten-checkpoint',
    mistake: 'a checkpoint is confirmed that was not written',
    dynamoDB: (command, rowOf) => {
      if (!(command instanceof UpdateItemCommand) || !writesCheckpoint(command)) return undefined;
      const { ExpressionAttributeValues: values = {}, Key = {} } = command.input;
      const row = rowOf(Object.values(Key)[0]?.S ?? '');
      const [checkpoint, leaseCounter] = [values[':checkpoint'], values[':next']];
      return row && checkpoint && leaseCounter && { Attributes: { ...row, checkpoint, leaseCounter } };
    },
  },
  {
    name: 'calls-never-time-out',
    mistake: 'who waits for an answer waits for ever',
    // The only timers of an eighth of a call's time are those that look whether it is over.
    clock: (clock) => ({
      ...clock,
      setTimer: (callback, delayMs, keepAlive) =>
        delayMs === 125 ? () => undefined : clock.setTimer(callback, delayMs, keepAlive),
    }),
  },
  {
    name: 'timer-left-behind',
    mistake: 'a timer is not cancelled at the end',
    clock: (clock) => ({
      ...clock,
      setTimer: (callback, delayMs, keepAlive) => {
        const cancel = clock.setTimer(callback, delayMs, keepAlive);
        // That of the look at the event loop.
        return delayMs === 100 && keepAlive === false ? () => undefined : cancel;
      },
    }),
  },
  {
    name: 'goes-on-behind-the-socket',
    mistake: 'a subscription goes on behind what came to the socket, not behind what was read out of it',
    kinesis: (command, carryOut, arrived) => {
      const SequenceNumber = continued(command) && arrived(continued(command)?.ShardId ?? '');
      return SequenceNumber === undefined
        ? undefined
        : carryOut(from(command, { Type: 'AFTER_SEQUENCE_NUMBER', SequenceNumber }));
    },
  },
  {
    name: 'loses-its-place',
    mistake: 'a subscription goes on with what comes from then on',
    kinesis: (command, carryOut) => (continued(command) ? carryOut(from(command, { Type: 'LATEST' })) : undefined),
  },
  {
    name: 'ends-with-its-subscription',
    mistake: 'where a subscription ends the shard is taken to be at its end',
    kinesis: (command) => {
      if (!continued(command)) return undefined;
      throw serviceError('ResourceNotFoundException', 'simulated: there is no such shard');
    },
  },
  {
    name: 'waits-in-silence',
    mistake: 'a subscription that says nothing any more is never given up',
    clock: (clock) => ({
      ...clock,
      setTimer: (callback, delayMs, keepAlive) =>
        delayMs === SUBSCRIPTION_TIMEOUT_MS / 8 ? () => undefined : clock.setTimer(callback, delayMs, keepAlive),
    }),
  },
  {
    name: 'dead-letter-lost',
    mistake: 'the sink for dead letters confirms what it did not take',
    sink: 'confirms-all',
  },
];

/** Of a subscription that goes on where one before it ended. */
function continued(command: object): SubscribeToShardCommand['input'] | undefined {
  if (!(command instanceof SubscribeToShardCommand)) return undefined;
  return command.input.StartingPosition?.Type === 'AFTER_SEQUENCE_NUMBER' ? command.input : undefined;
}

function from(command: object, StartingPosition: StartingPosition): SubscribeToShardCommand {
  return new SubscribeToShardCommand({ ...(command as SubscribeToShardCommand).input, StartingPosition });
}

function writesCheckpoint({ input }: UpdateItemCommand): boolean {
  return input.UpdateExpression?.includes(' checkpoint = :checkpoint') === true;
}
