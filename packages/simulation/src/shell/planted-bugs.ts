// Mistakes that prove that the checkers of the shell's world see something. Each is made outside of the product, in a port: what Kinesis or
// DynamoDB answers, or what a clock does.
import { UpdateItemCommand } from '@aws-sdk/client-dynamodb';
import { GetRecordsCommand, ListShardsCommand } from '@aws-sdk/client-kinesis';
import type { Clock } from '@shardline/common';
import type { Row } from './expressions.ts';

export interface PlantedBug {
  readonly name: string;
  /** What would have to be wrong. */
  readonly mistake: string;
  /** Answers in Kinesis's place. Undefined: not this one. */
  readonly kinesis?: (command: object, carryOut: (command: object) => object) => object | undefined;
  /** Answers in DynamoDB's place. Undefined: not this one. `rowOf`: of the command's table. */
  readonly dynamoDB?: (command: object, rowOf: (key: string) => Row | undefined) => object | undefined;
  readonly clock?: (clock: Clock) => Clock;
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
];

function writesCheckpoint({ input }: UpdateItemCommand): boolean {
  return input.UpdateExpression?.includes(' checkpoint = :checkpoint') === true;
}
