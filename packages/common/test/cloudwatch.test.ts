// The CloudWatch sink against a CloudWatch that fails on demand, on a clock that is told to move.
import { ManualClock } from '@shardline/local';
import { describe, expect, it, vi } from 'vitest';
import {
  CloudWatchMetrics,
  type CloudWatchMetricsOptions,
  consumerCloudWatch,
  type PutMetricDataInput,
  producerCloudWatch,
} from '../src/cloudwatch.ts';
import { UsageError } from '../src/errors.ts';

interface Scene {
  readonly clock: ManualClock;
  readonly requests: PutMetricDataInput[];
  /** What becomes of the next requests; none left: answered. */
  readonly faults: ((input: PutMetricDataInput, signal: AbortSignal) => Promise<unknown>)[];
  readonly metrics: CloudWatchMetrics;
}

function scene(options: Partial<CloudWatchMetricsOptions> = {}): Scene {
  const clock = new ManualClock();
  const requests: PutMetricDataInput[] = [];
  const faults: Scene['faults'] = [];
  const metrics = new CloudWatchMetrics({
    namespace: 'billing',
    clock,
    random: { next: () => 0.5, uuid: () => '' },
    send: async (input, { abortSignal }) => {
      const fault = faults.shift();
      if (fault !== undefined) await fault(input, abortSignal);
      requests.push(input);
    },
    ...options,
  });
  return { clock, requests, faults, metrics };
}

const failing = (error: unknown) => () => Promise.reject(error);
const awsError = (name: string): Error => Object.assign(new Error(name), { name });
const settled = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 5_000, interval: 1 });

it('adds up for flushIntervalMs, then sends it all in one request, under the time of sending', async () => {
  const { clock, requests, metrics } = scene();
  metrics.count('RecordsProcessed', 3, { ShardId: 'a' });
  metrics.count('RecordsProcessed', 4, { ShardId: 'a' });
  metrics.gauge('MillisBehindLatest', 9);
  metrics.sample('Time', 5, 'Milliseconds');
  metrics.samples('RequestTime', { sampleCount: 2, sum: 6, min: 1, max: 5 }, 'Milliseconds');
  clock.advance(59_999);
  expect(requests).toEqual([]);
  clock.advance(1);
  await settled(() => expect(requests).toHaveLength(1));
  const [request] = requests;
  expect(request?.Namespace).toBe('billing');
  expect(
    request?.MetricData.map(({ MetricName, Unit, StatisticValues, Timestamp }) => [
      MetricName,
      Unit,
      StatisticValues?.SampleCount,
      StatisticValues?.Sum,
      Timestamp.getTime() === clock.wallNow(),
    ]),
  ).toEqual([
    ['RecordsProcessed', 'Count', 2, 7, true],
    ['MillisBehindLatest', 'Milliseconds', 1, 9, true],
    ['Time', 'Milliseconds', 1, 5, true],
    ['RequestTime', 'Milliseconds', 2, 6, true],
  ]);
  clock.advance(60_000);
  await metrics.close();
  expect(requests).toHaveLength(1);
});

it('splits what is more than 1,000 data over requests, and sends them one after the other', async () => {
  const { requests, metrics } = scene();
  for (let number = 0; number < 2_500; number += 1) metrics.count(`m${number}`, 1);
  await metrics.close();
  expect(requests.map(({ MetricData }) => MetricData.length)).toEqual([1000, 1000, 500]);
});

describe('while CloudWatch is away', () => {
  it('a request is tried again after a back-off that grows, and nothing is lost', async () => {
    const { clock, requests, faults, metrics } = scene();
    const triedAt: number[] = [];
    const fail = (): Promise<never> => {
      triedAt.push(clock.now());
      return Promise.reject(awsError('ThrottlingException'));
    };
    faults.push(fail, fail, fail);
    metrics.count('a', 1);
    void metrics.flush();
    for (const [tries, waitMs] of [
      [1, 250],
      [2, 500],
      [3, 1000],
    ] as const) {
      await settled(() => expect(triedAt).toHaveLength(tries));
      await new Promise(setImmediate);
      clock.advance(waitMs);
    }
    await settled(() => expect(requests).toHaveLength(1));
    expect(triedAt.map((at) => at - (triedAt[0] ?? 0))).toEqual([0, 250, 750]);
    expect(metrics.view()).toEqual({ sentDatumCount: 1, queuedDatumCount: 0, droppedDatumCount: 0 });
    await metrics.close();
  });

  it('what waits is bounded: the oldest is dropped, and counted', async () => {
    const { clock, requests, faults, metrics } = scene({ maxQueuedDatumCount: 3 });
    for (let minute = 0; minute < 10; minute += 1) {
      faults.push(failing(awsError('ServiceUnavailable')));
      metrics.count('a', minute);
      metrics.count('b', minute);
      clock.advance(60_000);
      await settled(() => expect(faults).toEqual([]));
      await new Promise(setImmediate);
    }
    expect(metrics.view()).toMatchObject({ sentDatumCount: 0, queuedDatumCount: 3, droppedDatumCount: 17 });
    clock.advance(60_000);
    await settled(() => expect(metrics.view().queuedDatumCount).toBe(0));
    expect(
      requests.flatMap(({ MetricData }) => MetricData.map((each) => [each.MetricName, each.StatisticValues?.Sum])),
    ).toEqual([
      ['b', 8],
      ['a', 9],
      ['b', 9],
    ]);
    await metrics.close();
  });

  it('a request that is not answered is given up after requestTimeoutMs, aborted, and tried again', async () => {
    const { clock, requests, faults, metrics } = scene({ requestTimeoutMs: 1000 });
    let signal: AbortSignal | undefined;
    faults.push((_, given) => {
      signal = given;
      return new Promise(() => undefined);
    });
    metrics.count('a', 1);
    void metrics.flush();
    clock.advance(1000);
    await new Promise(setImmediate);
    expect(signal?.reason).toMatchObject({ code: 'TIMEOUT' });
    clock.advance(250);
    await settled(() => expect(requests).toHaveLength(1));
    await metrics.close();
  });
});

it('of a request that CloudWatch refuses, only the bad datum is dropped', async () => {
  const { requests, metrics } = scene({
    send: ({ MetricData }) => {
      const names = MetricData.map(({ MetricName }) => MetricName);
      if (names.includes('m37')) return Promise.reject(awsError('InvalidParameterValueException'));
      sent.push(...names);
      return Promise.resolve();
    },
  });
  const sent: string[] = [];
  for (let number = 0; number < 100; number += 1) metrics.count(`m${number}`, 1);
  await metrics.close();
  expect(requests).toEqual([]);
  expect(sent.sort()).toEqual(
    Array.from({ length: 100 }, (_, n) => `m${n}`)
      .filter((name) => name !== 'm37')
      .sort(),
  );
  expect(metrics.view()).toEqual({ sentDatumCount: 99, queuedDatumCount: 0, droppedDatumCount: 1 });
});

describe('close', () => {
  it('sends what is left', async () => {
    const { requests, metrics } = scene();
    metrics.count('a', 1);
    await metrics.close();
    await metrics.close();
    expect(requests).toHaveLength(1);
  });

  it('ends after its time-out, a hanging request with it, and counts what was left', async () => {
    const { clock, faults, metrics } = scene({ requestTimeoutMs: 600_000 });
    faults.push(() => new Promise(() => undefined));
    metrics.count('a', 1);
    const closed = metrics.close(2_000);
    clock.advance(2_000);
    await closed;
    expect(metrics.view()).toEqual({ sentDatumCount: 0, queuedDatumCount: 0, droppedDatumCount: 1 });
  });
});

it('the ready-made ones have the namespaces and levels of the KPL and the KCL', async () => {
  const requests: PutMetricDataInput[] = [];
  const send = async (input: PutMetricDataInput): Promise<void> => void requests.push(input);
  const dimensions = { StreamName: 's', ShardId: 'x' };
  for (const metrics of [producerCloudWatch({ send }), consumerCloudWatch('billing', { send })]) {
    metrics.samples('UserRecordsPut', { sampleCount: 1, sum: 1, min: 1, max: 1 }, 'Count', dimensions);
    await metrics.close();
  }
  expect(requests.map(({ Namespace, MetricData }) => [Namespace, MetricData.length])).toEqual([
    ['KinesisProducerLibrary', 3],
    ['billing', 1],
  ]);
});

it.each([
  [{ send: undefined }, /send: expected a function/],
  [{ namespace: 'AWS/Kinesis' }, /namespace: expected 1 to 255 characters/],
  [{ flushIntervalMs: 10 }, /flushIntervalMs: expected a whole number from 1000/],
  [{ distributions: 'percentiles' }, /distributions: expected 'statistics' or 'values'/],
  [{ flushInterval: 10_000 }, /did you mean flushIntervalMs/],
])('%j is refused', (options, message) => {
  const make = (): unknown => scene(options as object);
  expect(make).toThrow(UsageError);
  expect(make).toThrow(message);
});
