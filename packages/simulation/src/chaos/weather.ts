// What a chaotic while holds, drawn from a seed before it begins: which faults the local Kinesis commits from when to when, and when
// the stream is split and merged. Data alone; the server carries out the faults, who plans them the reshards. Pure.
// Invariant: every kind of front comes before any comes a second time, so that a short while meets nearly all, and a minute all.
import type { FaultRule } from '@shardline/local';
import { createPrng, type Prng } from '../prng.ts';

export interface Weather {
  readonly rules: readonly FaultRule[];
  readonly reshards: readonly Reshard[];
}

export interface Reshard {
  readonly atMs: number;
  readonly kind: 'split' | 'merge';
  /** Which of the shards that are open then: 0 to 1, of their number. */
  readonly at: number;
}

/** A kind of fault, and of how many requests (or records) it strikes at most. */
export interface Front {
  readonly fault: FaultRule;
  readonly mostly: number;
}

/** How dense the fronts are, and how long one lasts. */
export interface Climate {
  readonly frontsPerSecond: number;
  readonly shortestMs: number;
  readonly longestMs: number;
}

const PRODUCER_CLIMATE: Climate = { frontsPerSecond: 3, shortestMs: 200, longestMs: 1_200 };
const RESHARD_EVERY_MS = 2_000;

/** A producer's. */
export function planWeather(seed: number, durationMs: number, requestTimeoutMs: number): Weather {
  const prng = createPrng(seed);
  const rules = planFronts(prng, frontsFor(requestTimeoutMs), durationMs, PRODUCER_CLIMATE);
  return { rules, reshards: planReshards(prng, durationMs, RESHARD_EVERY_MS) };
}

/** Rules with `fromMs` and `untilMs` from 0 to `durationMs`, in no order. */
export function planFronts(prng: Prng, fronts: readonly Front[], durationMs: number, climate: Climate): FaultRule[] {
  const { frontsPerSecond, shortestMs, longestMs } = climate;
  const rules: FaultRule[] = [];
  for (let deck: Front[] = []; rules.length < (durationMs / 1_000) * frontsPerSecond; ) {
    if (deck.length === 0) deck = shuffled(prng, fronts);
    const { fault, mostly } = deck.pop() as Front;
    const fromMs = prng.int(Math.max(1, durationMs - shortestMs));
    const untilMs = Math.min(durationMs, fromMs + prng.between(shortestMs, longestMs));
    rules.push({ ...fault, fromMs, untilMs, probability: mostly * (0.2 + 0.8 * prng.next()) });
  }
  return rules;
}

/** One in each stretch of `everyMs`, more splits than merges. */
export function planReshards(prng: Prng, durationMs: number, everyMs: number): Reshard[] {
  return Array.from({ length: Math.ceil(durationMs / everyMs) }, (_, index) => ({
    atMs: Math.min(durationMs, (index + prng.next()) * everyMs),
    kind: prng.chance(index % 2 === 0 ? 0.8 : 0.3) ? ('split' as const) : ('merge' as const),
    at: prng.next(),
  }));
}

function frontsFor(requestTimeoutMs: number): Front[] {
  const put = { operation: 'PutRecords' } as const;
  const ask = { operation: ['ListShards', 'DescribeStreamSummary'] } as const;
  return [
    { fault: { ...put, kind: 'throttle' }, mostly: 0.9 },
    { fault: { ...put, kind: 'throttle', perRecord: true }, mostly: 0.8 },
    { fault: { ...put, kind: 'throttle', shardId: 'shardId-000000000000' }, mostly: 1 },
    { fault: { ...put, kind: 'error', type: 'InternalFailure' }, mostly: 0.7 },
    { fault: { ...put, kind: 'error', type: 'InternalFailure', perRecord: true }, mostly: 0.5 },
    { fault: { ...put, kind: 'error', type: 'ServiceUnavailable' }, mostly: 1 },
    { fault: { ...put, kind: 'error', type: 'KMSThrottlingException' }, mostly: 0.5 },
    { fault: { ...put, kind: 'error', type: 'ExpiredTokenException' }, mostly: 0.5 },
    { fault: { ...put, kind: 'dropConnection' }, mostly: 0.6 },
    { fault: { ...put, kind: 'loseAnswer' }, mostly: 0.6 },
    { fault: { ...put, kind: 'truncateAnswer' }, mostly: 0.6 },
    { fault: { ...put, kind: 'stall' }, mostly: 0.2 },
    { fault: { ...put, kind: 'loseAnswer', by: 'silence' }, mostly: 0.2 },
    { fault: { ...put, kind: 'delay', beforeApplyMs: [0, requestTimeoutMs / 4] }, mostly: 0.8 },
    { fault: { ...put, kind: 'delay', beforeAnswerMs: [0, requestTimeoutMs / 4] }, mostly: 0.8 },
    // Applied when it has been given up, and sent again, already.
    { fault: { ...put, kind: 'delay', beforeApplyMs: [requestTimeoutMs, 2 * requestTimeoutMs] }, mostly: 0.2 },
    { fault: { ...ask, kind: 'throttle' }, mostly: 1 },
    { fault: { ...ask, kind: 'error', type: 'InternalFailure' }, mostly: 1 },
    { fault: { ...ask, kind: 'dropConnection' }, mostly: 0.8 },
    { fault: { ...ask, kind: 'stall' }, mostly: 0.5 },
    { fault: { ...ask, kind: 'delay', beforeAnswerMs: [0, requestTimeoutMs] }, mostly: 1 },
  ];
}

function shuffled<T>(prng: Prng, items: readonly T[]): T[] {
  const left = [...items];
  const dealt: T[] = [];
  while (left.length > 0) dealt.push(...left.splice(prng.int(left.length), 1));
  return dealt;
}
