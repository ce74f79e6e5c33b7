// A throttled minute in virtual time, by either pace: somebody else takes most of a shard from the 20th to the 80th second, or two
// producers share one. What came of each second, and the figures that sum it up.
import { KinesisModel } from '@shardline/local';
import { EventQueue } from '../event-queue.ts';
import { createPrng } from '../prng.ts';
import { EagerProducer, foreignLoad } from './eager-producer.ts';
import type { Pace } from './paces.ts';

export interface Scene {
  readonly name: string;
  readonly what: string;
  readonly shardCount: number;
  readonly isAuto: boolean;
  readonly dataBytes: number;
  /** User records that a producer has outstanding all the time. */
  readonly outstandingCount: number;
  /** When each producer begins, s. */
  readonly startsAt: readonly number[];
  /** What somebody else takes of each shard in the throttled minute. */
  readonly foreignShare: number;
  /** How seldom the producer's process gets the processor, ms; 0: whenever it wants. */
  readonly turnMs: number;
}

/** The throttled minute, s. */
export const FROM = 20;
export const UNTIL = 80;
export const END = 100;

export const scenes: readonly Scene[] = [
  {
    name: 'taken',
    what: 'one producer, one shard; somebody else takes 70 % of it for a minute',
    ...{
      shardCount: 1,
      isAuto: false,
      dataBytes: 1_000,
      outstandingCount: 3_000,
      startsAt: [0],
      foreignShare: 0.7,
      turnMs: 0,
    },
  },
  {
    name: 'shared',
    what: 'two producers on one shard, the second one comes 20 s later',
    ...{
      shardCount: 1,
      isAuto: false,
      dataBytes: 1_000,
      outstandingCount: 3_000,
      startsAt: [0, FROM],
      foreignShare: 0,
      turnMs: 0,
    },
  },
  {
    name: 'auto',
    what: 'one producer, an AUTO stream of four shards; somebody else takes 70 % of each for a minute',
    ...{
      shardCount: 4,
      isAuto: true,
      dataBytes: 20_000,
      outstandingCount: 400,
      startsAt: [0],
      foreignShare: 0.7,
      turnMs: 0,
    },
  },
];

/** Nobody else writes, but the producer's process gets the processor once a second. No scene of the plot: it has no throttled minute. */
export const starved: Scene = {
  name: 'starved',
  what: 'one producer, one shard; its process gets the processor once a second',
  ...{ shardCount: 1, isAuto: false, dataBytes: 1_000, outstandingCount: 20_000, startsAt: [0], foreignShare: 0 },
  turnMs: 1_000,
};

export interface Second {
  /** Of all producers, and of each, MiB. */
  readonly written: number;
  readonly byProducer: readonly number[];
  /** Kinesis records, of all producers. */
  readonly writtenCount: number;
  readonly refusedCount: number;
  /** What the others left of the shards, MiB. */
  readonly left: number;
}

export interface Figures {
  readonly goodputMiBPerSecond: number;
  /** Of what the others left. */
  readonly goodputShare: number;
  /** Of the Kinesis records that were sent. */
  readonly refusedShare: number;
  /** Until a second is at 95 % of the whole again after the throttling, s; undefined: not in this run. */
  readonly recoverySeconds: number | undefined;
  /** Jain's index over the minute's second half: 1 when all producers got the same, 1/n when one got everything. */
  readonly fairness: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly expiredCount: number;
}

export interface MinuteResult {
  readonly pace: Pace;
  readonly seconds: readonly Second[];
  readonly figures: Figures;
}

const MIB = 1_048_576;
const STREAM = 'throttled';

export function playMinute(scene: Scene, pace: Pace, seed: number): MinuteResult {
  const prng = createPrng(seed);
  const queue = new EventQueue();
  const model = new KinesisModel({ limits: true, maxStoredBytesPerShard: MIB });
  const auto = { mode: 'ON_DEMAND', recordDistributionStrategy: 'AUTO' } as const;
  model.createStream({ name: STREAM, ...(scene.isAuto ? auto : { shardCount: scene.shardCount }) }, 0);
  const load = { stream: STREAM, share: scene.foreignShare, fromMs: FROM * 1000, untilMs: UNTIL * 1000 };
  const foreign = scene.foreignShare > 0 ? foreignLoad(model, queue, load).bytes : [];
  const producers = scene.startsAt.map((seconds, index) => {
    const name = `p${index}`;
    const { dataBytes, outstandingCount, turnMs } = scene;
    const options = { name, stream: STREAM, pace, dataBytes, outstandingCount, recordTtlMs: 30_000, turnMs };
    return new EagerProducer({ ...options, startAtMs: seconds * 1000 + index }, model, queue, prng);
  });
  queue.runUntil(END * 1000);
  const seconds = Array.from({ length: END }, (_, index): Second => {
    const parts = producers.map((producer) => producer.seconds[index]);
    const sum = (count: 'written' | 'refused'): number =>
      parts.reduce((total, part) => total + (part?.[count] ?? 0), 0);
    const byProducer = parts.map((part) => (part?.writtenBytes ?? 0) / MIB);
    const written = byProducer.reduce((total, bytes) => total + bytes, 0);
    const left = scene.shardCount - (foreign[index] ?? 0) / MIB;
    return { written, byProducer, writtenCount: sum('written'), refusedCount: sum('refused'), left };
  });
  return { pace, seconds, figures: figuresOf(seconds, scene, producers) };
}

function figuresOf(seconds: readonly Second[], scene: Scene, producers: readonly EagerProducer[]): Figures {
  const minute = seconds.slice(FROM, UNTIL);
  const sum = (amount: (second: Second) => number, of = minute): number =>
    of.reduce((total, second) => total + amount(second), 0);
  const refused = sum(({ refusedCount }) => refusedCount);
  const recovered = seconds.findIndex(({ written }, index) => index >= UNTIL && written >= 0.95 * scene.shardCount);
  const secondHalf = minute.slice(minute.length / 2);
  const shares = scene.startsAt.map((_, index) => sum(({ byProducer }) => byProducer[index] ?? 0, secondHalf));
  const squares = shares.reduce((total, share) => total + share ** 2, 0);
  const total = shares.reduce((all, share) => all + share, 0);
  const latencies = producers.flatMap(({ latenciesMs }) => latenciesMs).sort((a, b) => a - b);
  return {
    goodputMiBPerSecond: sum(({ written }) => written) / minute.length,
    goodputShare: sum(({ written }) => written) / sum(({ left }) => left),
    refusedShare: refused / (refused + sum(({ writtenCount }) => writtenCount)),
    recoverySeconds: recovered === -1 ? undefined : recovered - UNTIL,
    fairness: total ** 2 / (shares.length * squares),
    p50Ms: latencies[Math.floor(latencies.length * 0.5)] ?? 0,
    p99Ms: latencies[Math.floor(latencies.length * 0.99)] ?? 0,
    expiredCount: producers
      .flatMap((producer) => producer.seconds)
      .reduce((all, second) => all + (second?.expired ?? 0), 0),
  };
}
