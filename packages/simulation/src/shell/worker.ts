// One worker of a shell's world: the real consumer on its host, with a handler that takes its time, throws, hangs, and checkpoints by hand
// where the plan says so, one for each tenure. What it is told the checkers hear first.
// Invariant: once `run` has ended, the consumer has no timer and no call left, and uses no port again.
import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { KinesisClient } from '@aws-sdk/client-kinesis';
import { isShardlineError, silentLogger } from '@shardline/common';
import {
  type Batch,
  Consumer,
  type Failure,
  type HandlingOptions,
  type OnFailure,
  type Position,
  type ShardContext,
  type ShardHandler,
} from '@shardline/consumer';
import type { Prng } from '../prng.ts';
import type { ShellCheckers } from './checkers.ts';
import type { SimulatedSink } from './dead-letters.ts';
import type { PutRecord } from './history.ts';
import type { Host } from './host.ts';
import { STREAM } from './kinesis.ts';
import type { Log } from './network.ts';
import type { PlantedBug } from './planted-bugs.ts';
import type { FanOutPlan, Plan, SinkPlan } from './swarm.ts';

export interface WorkerParts {
  readonly host: Host;
  readonly plan: Plan;
  /** Undefined: it polls. */
  readonly fanOut: FanOutPlan | undefined;
  readonly sink: SimulatedSink;
  readonly sinkPlan: SinkPlan;
  readonly prng: Prng;
  readonly kinesisClient: KinesisClient;
  readonly dynamoDBClient: DynamoDBClient;
  readonly checkers: ShellCheckers;
  readonly bug: PlantedBug | undefined;
  readonly log: Log;
  /** Whether there are faults. */
  readonly isTroubled: () => boolean;
  /** At this virtual time, once all is at rest. */
  readonly soon: (run: () => void) => void;
  /** Before anything is judged: what is known of the stream. */
  readonly learn: () => void;
}

/** Its registered consumer is named after it. */
export const APPLICATION = 'simulated';
const HANG_MS = 3_000;

export class SimulatedWorker {
  readonly host: Host;
  state: 'running' | 'stopping' | 'ended' = 'running';
  readonly #parts: WorkerParts;
  readonly #consumer: Consumer;
  /** Tenures that have a handler. */
  readonly #made = new Set<string>();
  /** The place of the last record of each tenure that was checkpointed by hand in the midst of a batch. */
  readonly #saidTo = new Map<string, number>();

  constructor(parts: WorkerParts) {
    const { host, plan, fanOut, kinesisClient, dynamoDBClient, bug } = parts;
    this.host = host;
    this.#parts = parts;
    this.#consumer = new Consumer({
      ...plan.options,
      ...(fanOut && { ...fanOut.options, retrievalMode: 'fanout', fanOutClient: kinesisClient }),
      application: APPLICATION,
      stream: STREAM,
      workerId: host.name,
      kinesisClient,
      dynamoDBClient,
      clock: bug?.clock?.(host.clock) ?? host.clock,
      random: host.random,
      logger: silentLogger,
    });
  }

  get name(): string {
    return this.host.name;
  }

  /** It may still do something. */
  get isThere(): boolean {
    return this.host.alive && this.state !== 'ended';
  }

  start(): void {
    this.#say(this.#parts.fanOut === undefined ? 'starts' : 'starts, and subscribes');
    this.host.reach(() => {
      const createHandler = (context: ShardContext): ShardHandler => this.#handlerOf(context);
      this.#consumer.run({ createHandler }, this.#handling()).then(
        () => this.#ended(undefined),
        (error: unknown) => this.#ended(error),
      );
    });
  }

  stop(): void {
    this.#say('is stopped');
    this.state = 'stopping';
    this.host.reach(() => void this.#consumer.stop());
  }

  kill(): void {
    this.#say('is killed', '!');
    this.host.kill();
  }

  #ended(error: unknown): void {
    const { checkers, host } = this.#parts;
    this.#say('has ended');
    if (error !== undefined || this.state !== 'stopping')
      checkers.violate(`${this.name}: run ended by itself: ${error instanceof Error ? error.message : String(error)}`);
    this.state = 'ended';
    checkers.ended(this.name);
    host.onPortUsed = (what) => checkers.violate(`${this.name}: ${what} was asked for after run had ended`);
    // What the end itself set off has come to rest by then.
    this.#parts.soon(() => {
      const { timerCount, calls } = host;
      if (timerCount > 0) checkers.violate(`${this.name}: ${timerCount} timers are left after run`);
      if (calls.size > 0) checkers.violate(`${this.name}: calls are left after run: ${[...calls].join(', ')}`);
    });
  }

  #handling(): HandlingOptions {
    const { plan, sink, sinkPlan, host } = this.#parts;
    const { handling } = plan;
    if (handling.maxRetryAttempts === undefined) return handling;
    const { maxRecordAgeMs } = sinkPlan;
    const toSink = sink.onFailureOf(host);
    const onFailure: OnFailure = (failure, context) => this.#handOver(failure, context, toSink);
    return { ...handling, ...(maxRecordAgeMs !== undefined && { maxRecordAgeMs }), onFailure };
  }

  #handlerOf(own: ShardContext): ShardHandler {
    const { checkers } = this.#parts;
    const tenure = `${own.leaseKey}, token ${own.fencingToken}`;
    if (this.#made.has(tenure)) checkers.violate(`${this.name}: a second handler is made for ${tenure}`);
    this.#made.add(tenure);
    const isOwn = (context: ShardContext): void => {
      if (context !== own) checkers.violate(`${this.name}: the handler of ${tenure} is called for ${context.leaseKey}`);
    };
    const told =
      (word: string) =>
      async (context: ShardContext): Promise<void> => {
        isOwn(context);
        this.#called(word, context);
        await this.#takeTime(context);
        if (this.#mishap()) throw new Error(`simulated: ${word}`);
        checkers.returned(this.name, word, context);
      };
    return {
      initialize: (_, context) => told('initialize')(context),
      processRecords: (batch, context) => {
        isOwn(context);
        return this.#process(batch, context);
      },
      shardEnded: told('shardEnded'),
      shutdownRequested: told('shutdownRequested'),
      leaseLost: (context) => {
        isOwn(context);
        this.#say(`leaseLost of ${tenure}`);
        checkers.leaseLost(this.name, context);
      },
    };
  }

  async #process(batch: Batch, context: ShardContext): Promise<void> {
    const { checkers, learn } = this.#parts;
    learn();
    const records = checkers.deliveryBegan(this.name, context, batch.records);
    const numbers = records.map(({ number }) => number).join(' ');
    const where = `${context.leaseKey}, token ${context.fencingToken}`;
    this.#say(`is given ${numbers} of ${where}`);
    const byHand = this.#parts.plan.options.checkpointing === 'manual';
    let isHandled = false;
    try {
      await this.#takeTime(context);
      if (byHand && records.length > 1) await this.#handlePart(records, context);
      isHandled = !(this.#isPoisoned(records) || this.#mishap());
    } finally {
      this.#say(`${isHandled ? 'has handled' : 'throws for'} ${numbers} of ${where}`, isHandled ? ' ' : '!');
      checkers.deliveryEnded(this.name, context, records, isHandled);
    }
    if (!isHandled) throw new Error('simulated: processRecords');
    if (byHand) await this.#checkpoint(context);
  }

  /** All are handled, or handed over, once there is calm: one that comes again then, for want of a checkpoint, must not keep the others. */
  #isPoisoned(records: readonly PutRecord[]): boolean {
    const { checkers, plan } = this.#parts;
    const { poisonEvery } = plan.handler;
    return (
      poisonEvery !== undefined && !checkers.history.isCalm && records.some(({ number }) => number % poisonEvery === 0)
    );
  }

  /** Says in the midst of a batch, or of an aggregate, how far it is. */
  async #handlePart(records: readonly PutRecord[], context: ShardContext): Promise<void> {
    const { checkers, prng } = this.#parts;
    const count = prng.between(1, records.length - 1);
    const last = records[count - 1] as PutRecord;
    const tenure = `${context.leaseKey}/${context.fencingToken}`;
    // Of a batch that comes again a part may be checkpointed, and no checkpoint goes back.
    if (last.index <= (this.#saidTo.get(tenure) ?? -1)) return;
    this.#saidTo.set(tenure, last.index);
    checkers.handledPart(records.slice(0, count));
    this.#say(`checkpoints ${context.leaseKey} by hand at ${last.number}`);
    const { sequenceNumber, subSequenceNumber } = last.position;
    await this.#checkpoint(context, { sequenceNumber: String(sequenceNumber), subSequenceNumber });
    await this.#takeTime(context);
  }

  async #checkpoint(context: ShardContext, position?: Position): Promise<void> {
    try {
      await (position === undefined ? context.checkpoint() : context.checkpoint(position));
    } catch (error) {
      // Another worker has the shard, or this one has stopped.
      if (!isShardlineError(error) || !['LEASE_LOST', 'CLOSED'].includes(error.code)) throw error;
    }
  }

  async #handOver(failure: Failure, context: ShardContext, toSink: OnFailure): Promise<void> {
    const { checkers, sink, learn } = this.#parts;
    learn();
    const records = checkers.failed(this.name, context, failure);
    const numbers = records.map(({ number }) => number).join(' ');
    this.#say(`onFailure of ${context.leaseKey}, token ${context.fencingToken}, with ${numbers}`);
    await this.#takeTime(context);
    if (this.#mishap()) throw new Error('simulated: onFailure');
    await toSink(failure, context);
    this.#say(`has handed over ${numbers}`);
    checkers.handedOver(this.name, context, records, (record) => sink.holds(record));
  }

  #called(word: string, context: ShardContext): void {
    const { checkers, learn } = this.#parts;
    learn();
    this.#say(`${word} of ${context.leaseKey}, token ${context.fencingToken}`);
    checkers.called(this.name, word, context);
  }

  async #takeTime(context: ShardContext): Promise<void> {
    const { plan, prng, isTroubled } = this.#parts;
    const { maxCallMs, hangs, heedsSignal } = plan.handler;
    const ms = prng.int(maxCallMs + 1) + (isTroubled() && prng.chance(hangs) ? prng.int(HANG_MS) : 0);
    if (ms > 0) await this.host.pass(ms, heedsSignal ? context.signal : undefined);
    if (heedsSignal && context.signal.aborted) throw context.signal.reason;
  }

  #mishap(): boolean {
    const { plan, prng, isTroubled } = this.#parts;
    return isTroubled() && prng.chance(plan.handler.throws);
  }

  #say(what: string, mark: ' ' | '!' = ' '): void {
    this.#parts.log(mark, this.name, what);
  }
}
