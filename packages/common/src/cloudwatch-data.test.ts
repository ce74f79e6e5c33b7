import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_REQUEST_BYTES, MetricSeries, requestOf, type SeriesOptions, sizeOf } from './cloudwatch-data.ts';

const NOW = new Date(1_700_000_000_000);
const seriesOf = (options: Partial<SeriesOptions> = {}): MetricSeries =>
  new MetricSeries({ rollUp: [], dimensions: {}, keepsValues: false, maxSeries: 100, ...options });

it('samples of one metric become one datum of four numbers, whatever came between', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -1000, max: 1000 }), { minLength: 1 }), (values) => {
      const series = seriesOf();
      for (const value of values) {
        series.add('Time', value, 'Milliseconds', { Operation: 'A' });
        series.add('Time', 1, 'Milliseconds', { Operation: 'B' });
      }
      const [datum] = series.take(NOW).data;
      expect(datum).toEqual({
        MetricName: 'Time',
        Dimensions: [{ Name: 'Operation', Value: 'A' }],
        Timestamp: NOW,
        Unit: 'Milliseconds',
        StatisticValues: {
          SampleCount: values.length,
          Sum: values.reduce((sum, value) => sum + value, 0),
          Minimum: Math.min(...values),
          Maximum: Math.max(...values),
        },
      });
      expect(series.take(NOW).data).toEqual([]);
    }),
  );
});

it('rolled up, a sample counts once at each level, as the KPL has it, and an error code stays', () => {
  const series = seriesOf({ rollUp: ['ShardId', 'StreamName'] });
  const one = { sampleCount: 2, sum: 2, min: 1, max: 1 };
  for (const ShardId of ['a', 'b'])
    series.addMany('ErrorsByCode', one, 'Count', { ErrorCode: 'E', StreamName: 's', ShardId });
  const levels = series
    .take(NOW)
    .data.map(({ Dimensions, StatisticValues }) => [
      Dimensions.map(({ Name, Value }) => `${Name}=${Value}`).join(' '),
      StatisticValues?.Sum,
    ]);
  expect(Object.fromEntries(levels)).toEqual({
    'ErrorCode=E StreamName=s ShardId=a': 2,
    'ErrorCode=E StreamName=s ShardId=b': 2,
    'ErrorCode=E StreamName=s': 4,
    'ErrorCode=E': 4,
  });
});

it('kept as values, no datum has more than 150 of them, none is lost, and each is told to two digits at least', () => {
  const series = seriesOf({ keepsValues: true });
  const values = Array.from({ length: 20_000 }, (_, number) => 1 + number * 0.37);
  for (const value of values) series.add('Time', value, 'Milliseconds', {});
  const { data } = series.take(NOW);
  expect(Math.max(...data.map(({ Values = [] }) => Values.length))).toBeLessThanOrEqual(150);
  expect(data.flatMap(({ Counts = [] }) => Counts).reduce((sum, count) => sum + count, 0)).toBe(values.length);
  const told = data.flatMap(({ Values = [] }) => Values).sort((a, b) => a - b);
  expect(told.length).toBeLessThanOrEqual(5 * 90);
  const known = new Set(told);
  expect(values.every((value) => known.has(Number(Number(value.toPrecision(3)).toPrecision(2))))).toBe(true);
  expect(data.every(({ StatisticValues }) => StatisticValues === undefined)).toBe(true);
});

describe('what CloudWatch would refuse', () => {
  it('no number and more than 2^360 are left out and counted', () => {
    const series = seriesOf();
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, 2 ** 361]) series.add('a', value, 'Count', {});
    series.addMany('b', { sampleCount: 0, sum: 0, min: 0, max: 0 }, 'Count', {});
    expect(series.take(NOW)).toEqual({ data: [], refusedCount: 4 });
  });

  it('dimensions are made ASCII, of 1 to 1,024 characters, and 30 at most', () => {
    const series = seriesOf();
    series.add('a', 1, 'Count', { A: ':é\n', B: ' ', C: 'x'.repeat(2000) });
    series.add('b', 1, 'Count', Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`d${n}`, 'v'])));
    const [first, second] = series.take(NOW).data;
    expect(first?.Dimensions.map(({ Value }) => Value)).toEqual(['_??', '-', 'x'.repeat(1024)]);
    expect(second?.Dimensions).toHaveLength(30);
  });

  it('of more different metrics than there is room for, the later ones are counted, and the known go on', () => {
    const series = seriesOf({ maxSeries: 2 });
    for (const name of ['a', 'b', 'c', 'd', 'a']) series.add(name, 1, 'Count', {});
    const { data, refusedCount } = series.take(NOW);
    expect([data.map(({ MetricName, StatisticValues }) => [MetricName, StatisticValues?.Sum]), refusedCount]).toEqual([
      [
        ['a', 2],
        ['b', 1],
      ],
      2,
    ]);
  });
});

it('a request holds 1,000 data at most, less than 1 MB in the longest of the protocols, and always one', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 3000 }), fc.integer({ min: 1, max: 1024 }), (count, length) => {
      const series = seriesOf({ maxSeries: 3000 });
      for (let number = 0; number < count; number += 1) series.add(`m${number}`, 1, 'Count', { D: 'ä'.repeat(length) });
      let { data } = series.take(NOW);
      let packed = 0;
      while (data.length > 0) {
        const request = requestOf(data, 1000);
        expect(request.length).toBeGreaterThanOrEqual(1);
        expect(request.length).toBeLessThanOrEqual(1000);
        expect(request.reduce((sum, datum) => sum + sizeOf(datum), 0)).toBeLessThanOrEqual(MAX_REQUEST_BYTES);
        packed += request.length;
        data = data.slice(request.length);
      }
      expect(packed).toBe(count);
    }),
    { numRuns: 20 },
  );
});
