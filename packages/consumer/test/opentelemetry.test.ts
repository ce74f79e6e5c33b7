// Spans of a producer and a consumer over real sockets, with OpenTelemetry's own SDK: the context goes through the application's payload.
import { context, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { tracedHandler, tracedProducer, tracedRecordHandler } from '@shardline/common/opentelemetry';
import { Producer } from '@shardline/producer';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type { Batch, ShardContext } from '../src/handler.ts';
import { type Cloud, runInTest, Scene, SHARD, startCloud, until } from './cloud.ts';

const exporter = new InMemorySpanExporter();
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
let cloud: Cloud;
beforeAll(async () => {
  trace.setGlobalTracerProvider(provider);
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  cloud = await startCloud();
});
afterAll(async () => {
  await cloud.close();
  await provider.shutdown();
  trace.disable();
  context.disable();
  propagation.disable();
});
beforeEach(() => exporter.reset());

interface Order {
  readonly order: number;
  readonly trace?: Record<string, string>;
}
interface OrderRecord {
  readonly partitionKey: string;
  readonly data: string;
}
const inject = (record: OrderRecord, carrier: Readonly<Record<string, string>>): OrderRecord => ({
  ...record,
  data: JSON.stringify({ ...JSON.parse(record.data), trace: carrier }),
});
const extract = ({ data }: { readonly data: Uint8Array }): Record<string, string> | undefined =>
  (JSON.parse(Buffer.from(data).toString()) as Order).trace;

const spansOf = (kind: SpanKind): ReadableSpan[] => exporter.getFinishedSpans().filter((span) => span.kind === kind);
const idsOf = (spans: readonly ReadableSpan[]): string[] => spans.map((span) => span.spanContext().spanId).sort();

it('the span of a batch is linked to the spans of the puts, within aggregated records too, and is active in the handler', async () => {
  const scene = new Scene(cloud, 'traced');
  await using producer = new Producer({ stream: scene.name, client: cloud.kinesis });
  const traced = tracedProducer<OrderRecord, unknown>(producer, { stream: scene.name, inject });
  const puts = [1, 2, 3].map((order) => traced.put({ partitionKey: `${order}`, data: JSON.stringify({ order }) }));
  await Promise.all([...puts, producer.put({ partitionKey: 'a', data: '{"order":4}' })]);
  await producer.put({ partitionKey: 'b', data: 'not JSON' });
  const sends = spansOf(SpanKind.PRODUCER);
  expect(sends.map(({ name, attributes }) => [name, attributes])).toEqual(
    [1, 2, 3].map(() => [
      'send traced',
      {
        'messaging.system': 'aws_kinesis',
        'messaging.operation.name': 'send',
        'messaging.operation.type': 'send',
        'messaging.destination.name': 'traced',
        'messaging.destination.partition.id': SHARD(0),
        'messaging.message.id': expect.stringMatching(/^\d+$/),
        'aws.kinesis.stream_name': 'traced',
      },
    ]),
  );
  const active = new Set<string | undefined>();
  let handledCount = 0;
  const handler = tracedHandler(
    async (batch: Batch, _context: ShardContext) => {
      await Promise.resolve();
      active.add(trace.getActiveSpan()?.spanContext().spanId);
      handledCount += batch.records.length;
    },
    { application: scene.name, extract },
  );
  runInTest(scene.consumer(), handler);
  await until(() => expect(handledCount).toBe(5));
  await until(() => expect(spansOf(SpanKind.CONSUMER).length).toBeGreaterThan(0));
  const processes = spansOf(SpanKind.CONSUMER);
  expect(processes.flatMap(({ links }) => links.map((link) => link.context.spanId)).sort()).toEqual(idsOf(sends));
  expect(idsOf(processes)).toEqual([...active].sort());
  expect(processes[0]).toMatchObject({
    name: 'process traced',
    attributes: {
      'messaging.system': 'aws_kinesis',
      'messaging.operation.type': 'process',
      'messaging.destination.name': 'traced',
      'messaging.destination.partition.id': SHARD(0),
      'messaging.consumer.group.name': 'traced',
    },
  });
  const counts = processes.map(({ attributes }) => Number(attributes['messaging.batch.message_count']));
  expect(counts.reduce((sum, count) => sum + count, 0)).toBe(5);
});

it('a handler that throws fails its span, and is tried again by the consumer; a record handler has a span a record', async () => {
  const scene = new Scene(cloud, 'traced-throws');
  await scene.put('a 1');
  let calls = 0;
  const handled: string[] = [];
  const consumer = scene.consumer();
  const processRecord = tracedRecordHandler(
    (record: { partitionKey: string; sequenceNumber: string; data: Uint8Array }, _context: ShardContext) => {
      calls += 1;
      if (calls === 1) throw new TypeError('not yet');
      handled.push(record.sequenceNumber);
    },
    { application: scene.name },
  );
  const running = consumer.run({ processRecord });
  await until(() => expect(handled).toHaveLength(1));
  await consumer.stop();
  await running;
  expect(
    spansOf(SpanKind.CONSUMER).map(({ status, attributes, events }) => [
      status.code,
      attributes['error.type'],
      attributes['messaging.message.id'],
      events.map(({ name }) => name),
    ]),
  ).toEqual([
    [SpanStatusCode.ERROR, 'TypeError', handled[0], ['exception']],
    [SpanStatusCode.UNSET, undefined, handled[0], []],
  ]);
});

it('a put that fails fails its span, with the code; what inject throws costs the link alone', async () => {
  const scene = new Scene(cloud, 'traced-puts');
  const producer = new Producer({ stream: scene.name, client: cloud.kinesis });
  const broken = tracedProducer<OrderRecord, unknown>(producer, {
    stream: scene.name,
    inject: () => {
      throw new Error('no JSON');
    },
  });
  const arn = 'arn:aws:kinesis:us-east-1:000000000000:stream/traced-puts';
  await broken.put({ partitionKey: 'a', data: 'text', ...{ stream: arn } });
  expect((await scene.recordsOf(0)).map(({ text }) => text)).toEqual(['text']);
  await producer.close();
  await expect(broken.put({ partitionKey: 'a', data: 'late' })).rejects.toMatchObject({ code: 'CLOSED' });
  expect(
    spansOf(SpanKind.PRODUCER).map(({ name, status, attributes, events }) => [
      name,
      status.code,
      attributes['error.type'],
      events.map(({ name }) => name),
    ]),
  ).toEqual([
    ['send traced-puts', SpanStatusCode.UNSET, undefined, ['inject failed']],
    ['send traced-puts', SpanStatusCode.ERROR, 'CLOSED', ['inject failed', 'exception']],
  ]);
});

it('what is no handler and no producer is refused', () => {
  expect(() => tracedHandler({} as never, { application: 'a' })).toThrow(/handler: expected a function/);
  expect(() => tracedProducer({} as never, { stream: 'a' })).toThrow(/producer.put: expected a function/);
});

it.each([
  [undefined, 'options: expected an object, got undefined'],
  [{}, 'application: expected a string that is not empty, got undefined'],
  [{ application: 'a', tracr: 1 }, 'tracr: expected an option of traced'],
  [{ application: 'a', tracer: {} }, 'tracer: expected an object with the methods startSpan'],
  [{ application: 'a', extract: 'traceparent' }, 'extract: expected a function'],
])('options that are none are refused when the handler is wrapped, not at its first batch: %j', (options, message) => {
  for (const wrap of [tracedHandler, tracedRecordHandler])
    expect(() => Reflect.apply(wrap, undefined, [() => undefined, options])).toThrow(message);
});

it.each([
  [undefined, 'options: expected an object, got undefined'],
  [{}, 'stream: expected a string that is not empty, got undefined'],
  [{ stream: 'a', injects: 1 }, 'injects: expected an option of tracedProducer'],
  [{ stream: 'a', inject: {} }, 'inject: expected a function'],
])('and those of a producer: %j', (options, message) => {
  const producer = { put: async () => undefined };
  expect(() => Reflect.apply(tracedProducer, undefined, [producer, options])).toThrow(message);
});

it('links are those of 128 contexts at most, each once', async () => {
  const carriers = Array.from({ length: 300 }, (_, number) => {
    const span = String(1 + Math.floor(number / 2)).padStart(16, '0');
    return { traceparent: `00-${'1'.repeat(32)}-${span}-01` };
  });
  const records = carriers.map((carrier, number) => ({
    partitionKey: 'a',
    sequenceNumber: `${number}`,
    data: Buffer.from(JSON.stringify({ order: number, trace: carrier })),
  }));
  await tracedHandler(() => undefined, { application: 'a', extract })(
    { streamName: 's', shardId: 'x', records },
    undefined,
  );
  const [span] = spansOf(SpanKind.CONSUMER);
  const ids = span?.links.map((link) => link.context.spanId) ?? [];
  expect([ids.length, new Set(ids).size]).toEqual([128, 128]);
});
