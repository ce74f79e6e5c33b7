// Spans for what is put and for what is handled, by the semantic conventions of messaging. A record of Kinesis has no headers, so the
// producer's context travels only where the application lets it: `inject` writes it into the application's own payload, `extract` reads it
// from there. Around the user's handler and around `put`; it changes neither order nor errors.
// Invariants: what a hook throws costs a link and nothing else; a span ends once, after what it stands for.
import {
  type Attributes,
  context,
  type Link,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { describe, UsageError } from './errors.ts';
import { checkNames, checkPort } from './option-checks.ts';

/** The conventions have no well-known value for Kinesis; it is written as they write SQS's. */
export const MESSAGING_SYSTEM = 'aws_kinesis';

/** A record as the handler is given it. */
export interface ReceivedRecord {
  readonly partitionKey: string;
  readonly sequenceNumber: string;
  readonly data: Uint8Array;
}

export interface TracedBatch {
  readonly streamName: string;
  readonly shardId: string;
  readonly records: readonly ReceivedRecord[];
}

export interface TraceHandlingOptions {
  /** The KCL's applicationName: `messaging.consumer.group.name`. */
  readonly application: string;
  /** Default: the global provider's, named `@shardline`. */
  readonly tracer?: Tracer;
  /** What `inject` wrote into the record's data, `{ traceparent: '00-…' }`; undefined: nothing. Called for each record. */
  readonly extract?: (record: ReceivedRecord) => Readonly<Record<string, string>> | undefined;
}

export interface TracedProducer<Input, Result> {
  put(record: Input): Promise<Result>;
}

export interface TracePutsOptions<Input> {
  /** `messaging.destination.name`, where the record names no stream itself. */
  readonly stream: string;
  /** Default: the global provider's, named `@shardline`. */
  readonly tracer?: Tracer;
  /** Gives the record with `carrier`, the context as the global propagator writes it, in its data. Default: the record as it is. */
  readonly inject?: (record: Input, carrier: Readonly<Record<string, string>>) => Input;
}

/** Of a span; the SDK keeps no more by default. */
const MOST_LINKS = 128;

/**
 * A batch handler that runs in a span `process STREAM` of kind CONSUMER, active while it runs, linked to the contexts of those who put the
 * records: links, for a batch has many. A throw is the span's error, and is thrown on.
 * @throws UsageError naming what is no handler, or the option.
 */
export function tracedHandler<B extends TracedBatch, C>(
  handler: (batch: B, context: C) => unknown,
  options: TraceHandlingOptions,
): (batch: B, context: C) => Promise<unknown> {
  checkCall('handler', handler);
  checkHandling(options, 'tracedHandler');
  return (batch, given) => {
    const attributes = { 'messaging.batch.message_count': batch.records.length };
    return inProcessSpan(batch, batch.records, attributes, options, () => handler(batch, given));
  };
}

/** The same for a handler of one record at a time. */
export function tracedRecordHandler<R extends ReceivedRecord, C extends Pick<TracedBatch, 'streamName' | 'shardId'>>(
  handler: (record: R, context: C) => unknown,
  options: TraceHandlingOptions,
): (record: R, context: C) => Promise<unknown> {
  checkCall('handler', handler);
  checkHandling(options, 'tracedRecordHandler');
  return (record, given) => {
    const attributes = { 'messaging.message.id': record.sequenceNumber };
    return inProcessSpan(given, [record], attributes, options, () => handler(record, given));
  };
}

/**
 * A `put` in a span `send STREAM` of kind PRODUCER, from the call until the record is in the stream or has failed. Puts keep the order of their
 * calls. It costs a span a record: where that is too much, sample.
 */
export function tracedProducer<Input extends object, Result>(
  producer: TracedProducer<Input, Result>,
  options: TracePutsOptions<Input>,
): TracedProducer<Input, Result> {
  checkCall('producer.put', producer?.put);
  checkOptions(options, ['stream', 'tracer', 'inject'], 'tracedProducer');
  const { stream, inject } = options;
  checkText('stream', stream);
  if (inject !== undefined) checkCall('inject', inject);
  return {
    put: (record) => {
      const destination = streamOf(record) ?? stream;
      const attributes = messaging('send', destination);
      return inSpan(tracerOf(options), `send ${destination}`, { kind: SpanKind.PRODUCER, attributes }, async (span) => {
        const result = await producer.put(inject === undefined ? record : injected(record, inject));
        span.setAttributes(placeOf(result));
        return result;
      });
    },
  };
}

/** Without these a wrapped handler would throw at its first batch, and again for ever. */
function checkHandling(options: TraceHandlingOptions, of: string): void {
  checkOptions(options, ['application', 'tracer', 'extract'], of);
  checkText('application', options.application);
  if (options.extract !== undefined) checkCall('extract', options.extract);
}

function checkOptions(options: { readonly tracer?: Tracer }, names: readonly string[], of: string): void {
  checkNames(options, names, { expected: `an option of ${of}` });
  checkPort('tracer', options.tracer, ['startSpan']);
}

function checkText(field: string, given: unknown): void {
  if (typeof given !== 'string' || given === '')
    throw new UsageError(field, 'a string that is not empty', describe(given));
}

function checkCall(field: string, given: unknown): void {
  if (typeof given !== 'function') throw new UsageError(field, 'a function', describe(given));
}

async function inSpan<T>(
  tracer: Tracer,
  name: string,
  options: { readonly kind: SpanKind; readonly attributes: Attributes; readonly links?: Link[] },
  call: (span: Span) => T,
): Promise<Awaited<T>> {
  const span = tracer.startSpan(name, options);
  try {
    return await context.with(trace.setSpan(context.active(), span), () => call(span));
  } catch (error) {
    span.recordException(error instanceof Error ? error : String(error));
    span.setAttribute('error.type', errorType(error));
    span.setStatus({ code: SpanStatusCode.ERROR, message: error instanceof Error ? error.message : String(error) });
    throw error;
  } finally {
    span.end();
  }
}

/** What cannot be injected is put as it is. */
function injected<Input>(record: Input, inject: NonNullable<TracePutsOptions<Input>['inject']>): Input {
  const carrier: Record<string, string> = {};
  try {
    propagation.inject(context.active(), carrier);
    return inject(record, carrier);
  } catch (error) {
    trace.getActiveSpan()?.addEvent('inject failed', { 'exception.message': String(error) });
    return record;
  }
}

/** Each context once: the records of a put of many, say, have the same. */
function linksOf(records: readonly ReceivedRecord[], extract: TraceHandlingOptions['extract']): Link[] {
  const links = new Map<string, Link>();
  if (extract === undefined) return [];
  for (const record of records) {
    if (links.size >= MOST_LINKS) break;
    const found = contextIn(record, extract);
    if (found === undefined) continue;
    const { traceId, spanId } = found;
    const attributes = { 'messaging.message.id': record.sequenceNumber };
    links.set(`${traceId}${spanId}`, links.get(`${traceId}${spanId}`) ?? { context: found, attributes });
  }
  return [...links.values()];
}

function contextIn(
  record: ReceivedRecord,
  extract: NonNullable<TraceHandlingOptions['extract']>,
): ReturnType<typeof trace.getSpanContext> {
  try {
    const carrier = extract(record);
    return carrier && trace.getSpanContext(propagation.extract(ROOT_CONTEXT, carrier));
  } catch {
    // It may be a record of somebody else's, in another format.
    return undefined;
  }
}

function inProcessSpan<T>(
  { streamName, shardId }: Pick<TracedBatch, 'streamName' | 'shardId'>,
  records: readonly ReceivedRecord[],
  own: Attributes,
  options: TraceHandlingOptions,
  call: () => T,
): Promise<Awaited<T>> {
  const attributes = {
    ...messaging('process', streamName),
    'messaging.destination.partition.id': shardId,
    'messaging.consumer.group.name': options.application,
    ...own,
  };
  const links = linksOf(records, options.extract);
  return inSpan(tracerOf(options), `process ${streamName}`, { kind: SpanKind.CONSUMER, attributes, links }, call);
}

function messaging(operation: 'process' | 'send', streamName: string): Attributes {
  return {
    'messaging.system': MESSAGING_SYSTEM,
    'messaging.operation.name': operation,
    'messaging.operation.type': operation,
    'messaging.destination.name': streamName,
    'aws.kinesis.stream_name': streamName,
  };
}

/** Of a producer of several streams the record names its own, by name or ARN. */
function streamOf(record: object): string | undefined {
  const { stream } = record as { readonly stream?: unknown };
  return typeof stream === 'string' ? stream.slice(stream.lastIndexOf('/') + 1) : undefined;
}

/** Where the record is, as far as the result of `put` says. */
function placeOf(result: unknown): Attributes {
  if (typeof result !== 'object' || result === null) return {};
  const { shardId, sequenceNumber } = result as { shardId?: unknown; sequenceNumber?: unknown };
  return {
    ...(typeof shardId === 'string' && { 'messaging.destination.partition.id': shardId }),
    ...(typeof sequenceNumber === 'string' && { 'messaging.message.id': sequenceNumber }),
  };
}

/** The conventions want few different values: our code, or the error's name. */
function errorType(error: unknown): string {
  if (typeof error !== 'object' || error === null) return '_OTHER';
  const { code, name } = error as { code?: unknown; name?: unknown };
  if (typeof code === 'string') return code;
  return typeof name === 'string' ? name : '_OTHER';
}

function tracerOf({ tracer }: { readonly tracer?: Tracer }): Tracer {
  return tracer ?? trace.getTracer('@shardline');
}
