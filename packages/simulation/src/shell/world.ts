// One simulated world of the consumer's shell: the real `Consumer`, all of it but its sockets, in several workers that read a stream of the
// local server's model and share a lease table, on one virtual clock. Calls take their time, are refused and get lost; handlers are
// slow and throw; workers sleep, are killed and stopped; shards are split and merged. First a while with faults; then one without, in which
// all of that is handled and what is put is handled exactly once; then every worker stops and leaves nothing behind. All of it follows from
// the seed.
import { KinesisModel } from '@shardline/local';
import type { Lease } from '../../../consumer/dist/coordination/lease.js';
import { type Item, readRow } from '../../../consumer/dist/lease-table/item.js';
import { createPrng, type Prng } from '../prng.ts';
import { type Policy, ShellCheckers } from './checkers.ts';
import { SimulatedSink } from './dead-letters.ts';
import { SimulatedDynamoDB } from './dynamodb.ts';
import type { Row } from './expressions.ts';
import { SimulatedFanOut } from './fan-out.ts';
import { Host, WALL_START_MS } from './host.ts';
import { SimulatedKinesis, STREAM } from './kinesis.ts';
import { Network, type Weather } from './network.ts';
import type { PlantedBug } from './planted-bugs.ts';
import { StreamWriter } from './stream.ts';
import {
  type FanOutPlan,
  type Incident,
  NO_FAULTS,
  type Plan,
  planFanOut,
  planSink,
  planWorld,
  type SinkPlan,
} from './swarm.ts';
import { VirtualTime } from './virtual-time.ts';
import { APPLICATION, SimulatedWorker } from './worker.ts';

export interface ShellWorldOptions {
  readonly bug?: PlantedBug | undefined;
  readonly transcript?: boolean;
}

export interface ShellWorldResult {
  readonly violations: readonly string[];
  /** What happened, a line each, when it was asked for. */
  readonly transcript: readonly string[];
  readonly recordCount: number;
  readonly handlerCallCount: number;
  readonly callCount: number;
  readonly virtualMs: number;
}

/** From the last fault until all is handled: leases run out, a leader follows, children wait for their parents. */
const RECOVERY_MS = 60_000;
/** Once all is at rest: a lease that was given away by then is where it belongs. */
const STILL_MS = 1_500;
/** The calm while in which records are put. */
const CALM_MS = 3_000;
/** The longest that a worker may take to stop without faults: handlers, the last checkpoints, the handoffs. */
const STOP_MS = 15_000;
const LOOK_MS = 250;
const MOST_SLEEP_MS = 5_000;
/** Fan-out has a chance of its own, so that worlds that poll are what they would be without it; this one shows all kinds of worlds in the first seeds. */
const FAN_OUT_SEED = 0x5f_0000;
/** So have dead letters. */
const SINK_SEED = 0x5_1000;
/** As many begin in the place of others. */
const MOST_WORKERS = 6;

/** Runs the world of a seed. The same seed gives the same result, to the byte. One at a time: worlds share the event loop. */
export function simulateShell(seed: number, options: ShellWorldOptions = {}): Promise<ShellWorldResult> {
  return new ShellWorld(seed, options).run();
}

class ShellWorld {
  readonly #prng: Prng;
  readonly #plan: Plan;
  readonly #fanOutPrng: Prng;
  readonly #fanOutPlan: FanOutPlan;
  readonly #sinkPlan: SinkPlan;
  readonly #sink: SimulatedSink;
  readonly #time = new VirtualTime();
  readonly #model: KinesisModel;
  readonly #checkers: ShellCheckers;
  readonly #writer: StreamWriter;
  readonly #kinesis: SimulatedKinesis;
  readonly #fanOut: SimulatedFanOut;
  readonly #dynamoDB: SimulatedDynamoDB;
  readonly #networks: readonly Network[];
  readonly #weathers: readonly Weather[];
  readonly #workers: SimulatedWorker[] = [];
  readonly #bug: PlantedBug | undefined;
  readonly #transcript: string[] | undefined;
  #isTroubled = true;

  constructor(seed: number, { bug, transcript = false }: ShellWorldOptions) {
    this.#bug = bug;
    this.#transcript = transcript ? [] : undefined;
    const prng = createPrng(seed);
    this.#prng = prng;
    const plan = planWorld(prng);
    this.#plan = plan;
    const fanOutPrng = createPrng(seed ^ FAN_OUT_SEED);
    this.#fanOutPrng = fanOutPrng;
    const fanOutPlan = planFanOut(fanOutPrng, plan.faultsUntilMs);
    this.#fanOutPlan = fanOutPlan;
    const time = this.#time;
    const { registerConsumerMs } = fanOutPlan;
    // A subscriber hears of a shard's end when it comes, not when someone next asks.
    const onDue = (dueMs: number): void => time.queue.at(dueMs - WALL_START_MS, () => this.#settle());
    const { limits, reshardMs } = plan;
    this.#model = new KinesisModel({ limits, reshardMs, registerConsumerMs, onDue });
    const sinkPrng = createPrng(seed ^ SINK_SEED);
    const sinkPlan = planSink(sinkPrng);
    this.#sinkPlan = sinkPlan;
    const isTroubled = (): boolean => this.#isTroubled;
    this.#sink = new SimulatedSink({ plan: sinkPlan, prng: sinkPrng, isTroubled, bug });
    this.#checkers = new ShellCheckers(plan.handling.concurrency ?? 1, policyOf(plan, sinkPlan));
    this.#writer = new StreamWriter(this.#model, plan.shardCount, this.#checkers.history, prng, time);
    const { maxLatencyMs, pageSize, createTableMs } = plan;
    const weathers = [plan.faults.kinesis, plan.faults.dynamoDB].map((faults) => ({ faults, maxLatencyMs }));
    this.#weathers = weathers;
    this.#networks = weathers.map((weather) => new Network(time, prng, weather, this.#log));
    const [toKinesis, toDynamoDB] = this.#networks as [Network, Network];
    const expires = (): boolean => this.#isTroubled && prng.chance(plan.expiredIterator);
    this.#fanOut = new SimulatedFanOut({
      model: this.#model,
      streamName: STREAM,
      time,
      prng: fanOutPrng,
      plan: fanOutPlan,
      maxLatencyMs,
      log: this.#log,
    });
    const forgets = (): boolean => this.#isTroubled && fanOutPrng.chance(fanOutPlan.unknownContinuation);
    this.#kinesis = new SimulatedKinesis({
      model: this.#model,
      time,
      network: toKinesis,
      pageSize,
      expires,
      fanOut: this.#fanOut,
      forgets,
      bug,
    });
    const onWrite = this.#written.bind(this);
    this.#dynamoDB = new SimulatedDynamoDB({ time, network: toDynamoDB, createTableMs, pageSize, onWrite, bug });
  }

  async run(): Promise<ShellWorldResult> {
    const incidents = [...this.#plan.incidents, ...this.#fanOutPlan.incidents];
    for (const { atMs, kind } of incidents) this.#time.queue.at(atMs, () => this.#incident(kind));
    await this.#pass(this.#fanOutPlan.faultsUntilMs);
    this.#heal();
    await this.#drained('after the faults');
    await this.#pass(STILL_MS);
    await this.#calm();
    await this.#stopAll();
    const { violations, history, handlerCallCount } = this.#checkers;
    for (const violation of violations) this.#say('X', '', `VIOLATION ${violation}`);
    return {
      violations,
      transcript: this.#transcript ?? [],
      recordCount: history.records.length,
      handlerCallCount,
      callCount: this.#networks.reduce((sum, { callCount }) => sum + callCount, 0),
      virtualMs: this.#time.now,
    };
  }

  // --- the while with faults ---

  #incident(kind: Incident): void {
    const { length } = this.#workers;
    const living = this.#workers.filter(({ state, host }) => state === 'running' && host.alive);
    const victim = living.length === 0 ? undefined : this.#prng.pick(living);
    switch (kind) {
      case 'start':
        this.#start();
        return;
      case 'put':
        this.#put();
        return;
      case 'split':
      case 'merge':
        this.#log(' ', 'stream', this.#writer[kind]());
        return;
      case 'strike':
        this.#fanOut.strike();
        return;
      case 'deregister':
        this.#log(' ', 'stream', this.#fanOut.deregister(APPLICATION));
        return;
      case 'kill':
      case 'stop':
        victim?.[kind]();
        if (length < MOST_WORKERS) this.#time.queue.after(this.#prng.int(3_000), () => this.#start());
        return;
      case 'sleep':
        if (victim === undefined || victim.host.asleep) return;
        this.#log('!', victim.name, 'falls asleep');
        victim.host.sleep(this.#prng.between(300, MOST_SLEEP_MS));
        return;
    }
  }

  #start(): void {
    const host = new Host(`worker-${this.#workers.length + 1}`, this.#prng.int(2 ** 31), this.#time);
    const worker = new SimulatedWorker({
      host,
      plan: this.#plan,
      fanOut: this.#fanOutPrng.chance(this.#fanOutPlan.share) ? this.#fanOutPlan : undefined,
      sink: this.#sink,
      sinkPlan: this.#sinkPlan,
      prng: this.#prng,
      kinesisClient: this.#kinesis.clientOf(host),
      dynamoDBClient: this.#dynamoDB.clientOf(host),
      checkers: this.#checkers,
      bug: this.#bug,
      log: this.#log,
      isTroubled: () => this.#isTroubled,
      soon: (run) => this.#time.queue.after(0, run),
      learn: () => this.#writer.learn(),
    });
    this.#workers.push(worker);
    worker.start();
  }

  #put(): void {
    const { records } = this.#checkers.history;
    const first = records.length + 1;
    const count = this.#writer.put();
    const last = records.at(-1);
    this.#log(
      ' ',
      'stream',
      `put ${first}${count > 1 ? ` to ${first + count - 1}` : ''} into ${last?.shard.shardId}, key ${last?.partitionKey}`,
    );
  }

  #heal(): void {
    this.#log(' ', 'world', 'the faults end');
    this.#isTroubled = false;
    for (const weather of this.#weathers) weather.faults = NO_FAULTS;
    for (const { host } of this.#workers) host.wake();
    if (!this.#workers.some(({ state, host }) => state === 'running' && host.alive)) this.#start();
  }

  // --- the while without ---

  async #calm(): Promise<void> {
    if (!this.#goesOn()) return;
    this.#log(' ', 'world', 'what is put from now on is handled once');
    const { queue } = this.#time;
    const prng = this.#prng;
    this.#checkers.history.isCalm = true;
    for (let count = prng.between(10, 30); count > 0; count -= 1) queue.after(prng.int(CALM_MS), () => this.#put());
    const incidents: readonly Incident[] = ['split', 'merge', 'start'];
    for (const kind of incidents) if (prng.chance(0.5)) queue.after(prng.int(CALM_MS), () => this.#incident(kind));
    if (prng.chance(0.5)) queue.after(CALM_MS / 2, () => this.#stopOne());
    await this.#pass(CALM_MS);
    await this.#drained('in the calm');
  }

  #stopOne(): void {
    const running = this.#workers.filter(({ state, host }) => state === 'running' && host.alive);
    if (running.length > 1) this.#prng.pick(running).stop();
  }

  async #drained(when: string): Promise<void> {
    const until = this.#time.now + RECOVERY_MS;
    while (this.#goesOn() && this.#time.now < until && this.#checkers.history.unfinished().length > 0)
      await this.#pass(LOOK_MS);
    if (this.#goesOn()) this.#checkers.checkDrained(when);
  }

  async #stopAll(): Promise<void> {
    if (!this.#goesOn()) return;
    for (const worker of this.#workers) if (worker.isThere && worker.state === 'running') worker.stop();
    const until = this.#time.now + STOP_MS;
    const left = (): SimulatedWorker[] => this.#workers.filter(({ isThere }) => isThere);
    while (this.#goesOn() && this.#time.now < until && left().length > 0) await this.#pass(LOOK_MS);
    for (const { name } of this.#goesOn() ? left() : []) this.#checkers.violate(`${name} has not stopped`);
    // Whoever uses a port now is told of.
    await this.#pass(STOP_MS);
  }

  // --- parts ---

  #written(_: string, before: Row | undefined, after: Row | undefined): void {
    this.#writer.learn();
    this.#checkers.leaseWritten(before && leaseIn(before), after && leaseIn(after));
  }

  #settle(): void {
    this.#model.settle(WALL_START_MS + this.#time.now);
    this.#writer.learn();
  }

  #goesOn(): boolean {
    return this.#checkers.violations.length === 0;
  }

  async #pass(ms: number): Promise<void> {
    await this.#time.runUntil(this.#time.now + ms, () => this.#goesOn());
  }

  readonly #log = (mark: ' ' | '!', who: string, what: string): void => this.#say(mark, who, what);

  #say(mark: ' ' | '!' | 'X', who: string, what: string): void {
    this.#transcript?.push(`${String(this.#time.now).padStart(7)} ${mark} ${who.padEnd(8)} ${what}`);
  }
}

function policyOf({ handling }: Plan, { maxRecordAgeMs }: SinkPlan): Policy {
  const { maxRetryAttempts, bisectBatch } = handling;
  const never = Number.POSITIVE_INFINITY;
  return {
    maxTries: maxRetryAttempts === undefined ? never : maxRetryAttempts + 1,
    maxAgeMs: maxRetryAttempts === undefined ? never : (maxRecordAgeMs ?? never),
    isBisected: bisectBatch !== 'never',
  };
}

function leaseIn(row: Row): Lease | undefined {
  const read = readRow(row as Item, WALL_START_MS);
  return read.kind === 'lease' ? read.lease : undefined;
}
