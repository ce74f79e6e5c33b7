// Kinesis's side of enhanced fan-out in a shell's world: the registered consumer and the subscriptions of the local server's model, each fed by that
// server's own feed into a connection, so that what a worker reads are the bytes of real event streams. Subscriptions end after a time of the
// world's, five minutes or less; faults strike their connections.

import { SUBSCRIPTION_DURATION_MS } from '@shardline/common';
import type { KinesisModel, StartingPosition, StreamConsumer } from '@shardline/local';
import { feedSubscription } from '../../../local/dist/server/subscription-feed.js';
import type { Prng } from '../prng.ts';
import { Connection } from './connection.ts';
import { type Host, WALL_START_MS } from './host.ts';
import type { Log } from './network.ts';
import type { FanOutPlan } from './swarm.ts';
import type { VirtualTime } from './virtual-time.ts';

export interface FanOutOptions {
  readonly model: KinesisModel;
  readonly streamName: string;
  readonly time: VirtualTime;
  readonly prng: Prng;
  readonly plan: FanOutPlan;
  readonly maxLatencyMs: number;
  readonly log: Log;
}

export interface SubscribeRequest {
  readonly consumerArn: string;
  readonly shardId: string;
  readonly position: StartingPosition;
}

export class SimulatedFanOut {
  readonly #options: FanOutOptions;
  /** By worker and shard: what the last event says that came to a socket, read by anybody or not. */
  readonly #arrived = new Map<string, string>();
  readonly #connections: { readonly connection: Connection; readonly worker: string; readonly what: string }[] = [];

  constructor(options: FanOutOptions) {
    this.#options = options;
  }

  /** @throws KinesisError */
  register(consumerName: string): StreamConsumer {
    const { model, streamName } = this.#options;
    return model.registerConsumer({ streamName, consumerName }, this.#now);
  }

  /** By name, or by the ARN that `arnOf` gave it. @throws KinesisError */
  find(address: { readonly consumerName: string } | { readonly consumerArn: string }): StreamConsumer {
    return this.#options.model.consumer(this.#addressOf(address), this.#now);
  }

  /** Somebody ends the consumer, whatever reads by it. @returns what becomes of it. */
  deregister(consumerName: string): string {
    const { model, streamName } = this.#options;
    const consumers = model.stream(streamName, this.#now).consumers;
    if (consumers.get(consumerName)?.status !== 'ACTIVE') return 'no consumer is there to be deregistered';
    model.deregisterConsumer({ streamName, consumerName }, this.#now);
    return 'the consumer is deregistered by hand';
  }

  /** @throws KinesisError */
  subscribe(request: SubscribeRequest, host: Host, signal: AbortSignal | undefined): Connection {
    const { model, time, prng, plan, maxLatencyMs, log } = this.#options;
    const { consumerArn, shardId, position } = request;
    const subscription = model.subscribeToShard({ ...this.#addressOf({ consumerArn }), shardId, position }, this.#now);
    const what = `subscription ${this.#connections.length + 1} to ${shardId}`;
    const { windowBytes } = plan;
    const onArrival = (frame: Uint8Array): void => this.#note(host, shardId, frame);
    const connection = new Connection({ host, what, time, prng, maxLatencyMs, windowBytes, signal, onArrival });
    const clock = { now: () => time.now, wallNow: () => this.#now, setTimer: this.#setTimer };
    feedSubscription(subscription, connection, what, clock, () => undefined);
    if (plan.durationMs < SUBSCRIPTION_DURATION_MS)
      time.queue.after(prng.between(plan.durationMs / 2, plan.durationMs), () => {
        if (subscription.hasEnded) return;
        log(' ', host.name, `${what}: its time is over`);
        subscription.end('expired');
      });
    this.#connections.push({ connection, worker: host.name, what });
    return connection;
  }

  /** A fault strikes one of the subscriptions. */
  strike(): void {
    const { prng, plan, log } = this.#options;
    const sound = this.#connections.filter(({ connection }) => connection.isSound);
    if (sound.length === 0 || plan.faults.length === 0) return;
    const [{ connection, worker, what }, fault] = [prng.pick(sound), prng.pick(plan.faults)];
    log('!', worker, `${what}: ${fault}`);
    connection.strike(fault);
  }

  /** The ContinuationSequenceNumber of the last event that came to a socket of this worker. */
  arrived(host: Host, shardId: string): string | undefined {
    return this.#arrived.get(`${host.name} ${shardId}`);
  }

  arnOf({ name, createdMs }: StreamConsumer): string {
    const { streamName } = this.#options;
    return `arn:aws:kinesis:us-east-1:000000000000:stream/${streamName}/consumer/${name}:${Math.floor(createdMs / 1000)}`;
  }

  #note(host: Host, shardId: string, frame: Uint8Array): void {
    const found = /"ContinuationSequenceNumber":"(\d+)"/.exec(Buffer.from(frame).toString('latin1'));
    if (found !== null) this.#arrived.set(`${host.name} ${shardId}`, found[1] as string);
  }

  #addressOf(address: { readonly consumerName: string } | { readonly consumerArn: string }): {
    streamName: string;
    consumerName: string;
    createdSecond?: number;
  } {
    const { streamName } = this.#options;
    if ('consumerName' in address) return { streamName, consumerName: address.consumerName };
    const [consumerName = '', second] = address.consumerArn.replace(/^.*\/consumer\//, '').split(':');
    return { streamName, consumerName, createdSecond: Number(second) };
  }

  get #now(): number {
    return WALL_START_MS + this.#options.time.now;
  }

  readonly #setTimer = (callback: () => void, delayMs: number): (() => void) => {
    let isSet = true;
    this.#options.time.queue.after(Math.max(0, Math.ceil(delayMs)), () => {
      if (isSet) callback();
    });
    return () => {
      isSet = false;
    };
  };
}
