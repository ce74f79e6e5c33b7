// The faults that a consumer has to live with, as fronts of the same weather as a producer's. Data alone.
import type { Climate, Front } from '../chaos/weather.ts';

/** Of answers. */
export const readClimate: Climate = { frontsPerSecond: 1, shortestMs: 200, longestMs: 1_500 };
/**
 * Subscriptions are seldom begun, so fronts must last to meet one. A front a second would leave one subscription in five unharmed, and who
 * is behind has to subscribe to generation after generation of shards.
 */
export const subscriptionClimate: Climate = { frontsPerSecond: 0.3, shortestMs: 1_000, longestMs: 4_000 };

/** Of polling, and of what both modes ask. */
export function readFronts(requestTimeoutMs: number): Front[] {
  const get = { operation: 'GetRecords' } as const;
  const iterate = { operation: 'GetShardIterator' } as const;
  const ask = { operation: ['ListShards', 'DescribeStreamSummary', 'DescribeStreamConsumer'] } as const;
  return [
    { fault: { ...get, kind: 'throttle' }, mostly: 0.9 },
    { fault: { ...get, kind: 'error', type: 'InternalFailure' }, mostly: 0.7 },
    { fault: { ...get, kind: 'error', type: 'ServiceUnavailable' }, mostly: 1 },
    { fault: { ...get, kind: 'error', type: 'KMSThrottlingException' }, mostly: 0.5 },
    { fault: { ...get, kind: 'error', type: 'ExpiredTokenException' }, mostly: 0.5 },
    { fault: { ...get, kind: 'error', type: 'ExpiredIteratorException' }, mostly: 0.6 },
    { fault: { ...get, kind: 'dropConnection' }, mostly: 0.6 },
    { fault: { ...get, kind: 'loseAnswer' }, mostly: 0.6 },
    { fault: { ...get, kind: 'truncateAnswer' }, mostly: 0.6 },
    { fault: { ...get, kind: 'stall' }, mostly: 0.2 },
    { fault: { ...get, kind: 'delay', beforeAnswerMs: [0, requestTimeoutMs / 2] }, mostly: 0.8 },
    { fault: { ...get, kind: 'delay', beforeAnswerMs: [requestTimeoutMs, 2 * requestTimeoutMs] }, mostly: 0.2 },
    { fault: { ...iterate, kind: 'throttle' }, mostly: 1 },
    { fault: { ...iterate, kind: 'error', type: 'InternalFailure' }, mostly: 0.8 },
    { fault: { ...iterate, kind: 'dropConnection' }, mostly: 0.8 },
    { fault: { ...ask, kind: 'throttle' }, mostly: 1 },
    { fault: { ...ask, kind: 'error', type: 'InternalFailure' }, mostly: 1 },
    { fault: { ...ask, kind: 'dropConnection' }, mostly: 0.8 },
    { fault: { ...ask, kind: 'truncateAnswer' }, mostly: 0.8 },
    { fault: { ...ask, kind: 'stall' }, mostly: 0.5 },
    { fault: { ...ask, kind: 'delay', beforeAnswerMs: [0, requestTimeoutMs] }, mostly: 1 },
  ];
}

/** Of enhanced fan-out. */
export function subscriptionFronts(): Front[] {
  const subscribe = { operation: 'SubscribeToShard' } as const;
  return [
    { fault: { ...subscribe, kind: 'throttle' }, mostly: 1 },
    { fault: { ...subscribe, kind: 'error', type: 'InternalFailure' }, mostly: 0.8 },
    { fault: { ...subscribe, kind: 'error', type: 'ResourceInUseException' }, mostly: 0.8 },
    { fault: { ...subscribe, kind: 'dropConnection' }, mostly: 0.8 },
    { fault: { ...subscribe, kind: 'stall' }, mostly: 0.4 },
    { fault: { ...subscribe, kind: 'cutEvents', afterBytes: [1, 30_000] }, mostly: 1 },
    { fault: { ...subscribe, kind: 'cutEvents', by: 'stream', afterBytes: [1, 30_000] }, mostly: 1 },
    { fault: { ...subscribe, kind: 'cutEvents', afterEvents: [0, 10] }, mostly: 1 },
    { fault: { ...subscribe, kind: 'stallEvents', afterBytes: [1, 30_000] }, mostly: 0.5 },
    { fault: { ...subscribe, kind: 'failEvents', type: 'InternalFailureException', afterEvents: [0, 10] }, mostly: 1 },
    { fault: { ...subscribe, kind: 'failEvents', type: 'KMSThrottlingException', afterEvents: [0, 5] }, mostly: 0.8 },
    { fault: { ...subscribe, kind: 'endEvents', afterEvents: [1, 20] }, mostly: 1 },
    { fault: { ...subscribe, kind: 'corruptEvents', afterEvents: [0, 10] }, mostly: 0.8 },
  ];
}
