// A metrics sink that sends to CloudWatch as the KPL and the KCL do: added up for a while, then by PutMetricData in as few requests as
// its limits allow. It brings no client along: what sends is given to it. Beside the records' way; a call of the port only adds.
// Invariants: what waits is bounded, the oldest goes first and is counted; one request is under way at most; its timers never keep the
// process alive, and none is left after `close`.
import { backoffMs } from './backoff.ts';
import { type Clock, delay, systemClock, whenAborted } from './clock.ts';
import { type CloudWatchDatum, MAX_DATA_PER_REQUEST, MetricSeries, requestOf } from './cloudwatch-data.ts';
import { describe, OperatingError, UsageError } from './errors.ts';
import { type Logger, resolveLogger } from './logger.ts';
import { unitOf } from './metric-names.ts';
import type { MetricDimensions, MetricsSink, MetricUnit, Statistics } from './metrics.ts';
import { checkNames, checkPort, checkWholeNumber, checkWord } from './option-checks.ts';
import { type Random, systemRandom } from './random.ts';

export type { CloudWatchDatum } from './cloudwatch-data.ts';

/** What PutMetricData takes. */
export interface PutMetricDataInput {
  Namespace: string;
  MetricData: CloudWatchDatum[];
}

export interface CloudWatchMetricsOptions {
  /** `(input, options) => cloudWatch.send(new PutMetricDataCommand(input), options)`; IAM: `cloudwatch:PutMetricData`. */
  readonly send: (input: PutMetricDataInput, options: { readonly abortSignal: AbortSignal }) => Promise<unknown>;
  /** 1 to 255 characters; the KPL's is `KinesisProducerLibrary`, the KCL's the application's name. */
  readonly namespace: string;
  /**
   * Dimensions that are taken away one after the other; each time the sample counts once more under what is left, because CloudWatch sums
   * up over no dimension. The KPL's are `['ShardId', 'StreamName']`. Default: none, as the KCL.
   */
  readonly rollUp?: readonly string[];
  /** Added to every metric (KPL: addAdditionalMetricsDimension). Default: none. */
  readonly dimensions?: MetricDimensions;
  /**
   * `statistics`: four numbers a metric, as KPL and KCL send them. `values`: single samples as values with their counts, rounded to three
   * digits, of which CloudWatch tells percentiles, too. Default `statistics`.
   */
  readonly distributions?: 'statistics' | 'values';
  /** For so long samples are added up: from 1000, default 60000, the KPL's; the KCL's is 10000. CloudWatch keeps a datum a minute. */
  readonly flushIntervalMs?: number;
  /** One request, from 100, default 5000. */
  readonly requestTimeoutMs?: number;
  /** Data that wait while CloudWatch cannot be reached, and different metrics between two sendings: from 1, default 10000, the KCL's. */
  readonly maxQueuedDatumCount?: number;
  /** Default: silent, unless the environment's SHARDLINE_LOG_LEVEL says otherwise. */
  readonly logger?: Logger;
  /** Default: the system's. */
  readonly clock?: Clock;
  /** Default: the system's. */
  readonly random?: Random;
}

/** What became of the data so far. */
export interface CloudWatchMetricsView {
  readonly sentDatumCount: number;
  readonly queuedDatumCount: number;
  /** Pushed out by newer ones, refused by CloudWatch, left when it was closed, or more different metrics than fit. */
  readonly droppedDatumCount: number;
}

const knownNames: readonly (keyof CloudWatchMetricsOptions)[] = [
  'send',
  'namespace',
  'rollUp',
  'dimensions',
  'distributions',
  'flushIntervalMs',
  'requestTimeoutMs',
  'maxQueuedDatumCount',
  'logger',
  'clock',
  'random',
];
const BACKOFF = { baseMs: 500, maxMs: 60_000 };
const CLOSE_TIMEOUT_MS = 5_000;

/** Ready-made for a producer: the KPL's namespace, and its levels: the shard, the stream, the whole producer. */
export function producerCloudWatch(
  options: Omit<CloudWatchMetricsOptions, 'namespace' | 'rollUp'> & { readonly namespace?: string },
): CloudWatchMetrics {
  return new CloudWatchMetrics({ namespace: 'KinesisProducerLibrary', rollUp: ['ShardId', 'StreamName'], ...options });
}

/** Ready-made for a consumer: the KCL's namespace, which is the application's name. */
export function consumerCloudWatch(
  application: string,
  options: Omit<CloudWatchMetricsOptions, 'namespace'>,
): CloudWatchMetrics {
  return new CloudWatchMetrics({ namespace: application, ...options });
}

/**
 * ```ts
 * const cloudWatch = new CloudWatchClient();
 * const send: CloudWatchMetricsOptions['send'] = (input, options) => cloudWatch.send(new PutMetricDataCommand(input), options);
 * await using metrics = consumerCloudWatch('billing', { send });
 * await using consumer = new Consumer({ application: 'billing', stream: 'orders', metrics });
 * ```
 */
export class CloudWatchMetrics implements MetricsSink, AsyncDisposable {
  readonly #send: CloudWatchMetricsOptions['send'];
  readonly #namespace: string;
  readonly #series: MetricSeries;
  readonly #flushIntervalMs: number;
  readonly #requestTimeoutMs: number;
  readonly #maxQueuedDatumCount: number;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #random: Random;
  #queue: CloudWatchDatum[] = [];
  #sentCount = 0;
  #droppedCount = 0;
  #stopTimer: () => void = () => undefined;
  /** Under way until nothing waits; never rejects. */
  #sending: Promise<void> | undefined;
  readonly #closing = new AbortController();
  #closed: Promise<void> | undefined;
  #isTroubled = false;

  /** @throws UsageError naming the option. */
  constructor(options: CloudWatchMetricsOptions) {
    checkNames(options, knownNames);
    const { send, namespace, rollUp = [], dimensions = {} } = options;
    if (typeof send !== 'function')
      throw new UsageError('send', 'a function that sends with your client', describe(send));
    if (typeof namespace !== 'string' || !/^(?!AWS\/)(?!:)[\x20-\x7e]{1,255}$/.test(namespace))
      throw new UsageError('namespace', '1 to 255 characters, not beginning with AWS/ or a colon', describe(namespace));
    const distributions = checkWord('distributions', options.distributions, ['statistics', 'values']);
    this.#send = send;
    this.#namespace = namespace;
    this.#flushIntervalMs = checkWholeNumber('flushIntervalMs', options.flushIntervalMs, 1_000) ?? 60_000;
    this.#requestTimeoutMs = checkWholeNumber('requestTimeoutMs', options.requestTimeoutMs, 100) ?? 5_000;
    this.#maxQueuedDatumCount = checkWholeNumber('maxQueuedDatumCount', options.maxQueuedDatumCount, 1) ?? 10_000;
    this.#logger = resolveLogger(options.logger, { namespace });
    this.#clock = checkPort('clock', options.clock, ['now', 'wallNow', 'setTimer']) ?? systemClock;
    this.#random = checkPort('random', options.random, ['next', 'uuid']) ?? systemRandom;
    const keepsValues = distributions === 'values';
    this.#series = new MetricSeries({ rollUp, dimensions, keepsValues, maxSeries: this.#maxQueuedDatumCount });
    this.#wait();
  }

  count(name: string, value: number, dimensions: MetricDimensions = {}): void {
    this.#series.add(name, value, unitOf(name), dimensions);
  }

  sample(name: string, value: number, unit: MetricUnit, dimensions: MetricDimensions = {}): void {
    this.#series.add(name, value, unit, dimensions);
  }

  samples(name: string, statistics: Statistics, unit: MetricUnit, dimensions: MetricDimensions = {}): void {
    this.#series.addMany(name, statistics, unit, dimensions);
  }

  gauge(name: string, value: number, dimensions: MetricDimensions = {}): void {
    this.#series.add(name, value, unitOf(name), dimensions);
  }

  view(): CloudWatchMetricsView {
    return {
      sentDatumCount: this.#sentCount,
      queuedDatumCount: this.#queue.length,
      droppedDatumCount: this.#droppedCount,
    };
  }

  /** Sends what there is, and resolves when it is sent, or after `timeoutMs` (default 5000); what then waits is tried again. */
  async flush(timeoutMs: number = CLOSE_TIMEOUT_MS): Promise<void> {
    this.#collect();
    if (this.#sending === undefined) return;
    const waiting = new AbortController();
    const late = delay(this.#clock, timeoutMs, waiting.signal).catch(() => undefined);
    await Promise.race([this.#sending, late]);
    waiting.abort();
  }

  /** Sends what is left, for `timeoutMs` at most (default 5000); what cannot be sent by then is dropped and counted. May be called again. */
  close(timeoutMs: number = CLOSE_TIMEOUT_MS): Promise<void> {
    this.#closed ??= this.#close(timeoutMs);
    return this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(timeoutMs: number): Promise<void> {
    this.#stopTimer();
    await this.flush(timeoutMs);
    this.#closing.abort(new OperatingError('CLOSED', 'the metrics sink was closed', { retryable: false }));
    await this.#sending;
    this.#drop(this.#queue.length, 'CloudWatch has not taken them by the end');
    this.#queue = [];
  }

  #wait(): void {
    const onTimer = (): void => {
      this.#collect();
      this.#wait();
    };
    this.#stopTimer = this.#clock.setTimer(onTimer, this.#flushIntervalMs, false);
  }

  #collect(): void {
    const { data, refusedCount } = this.#series.take(new Date(this.#clock.wallNow()));
    this.#drop(refusedCount, 'there are more different metrics than maxQueuedDatumCount, or no numbers');
    this.#queue.push(...data);
    this.#trim();
    if (this.#queue.length > 0 && !this.#closing.signal.aborted) {
      this.#sending ??= this.#sendAll().finally(() => {
        this.#sending = undefined;
      });
    }
  }

  async #sendAll(): Promise<void> {
    let attempt = 0;
    let most = MAX_DATA_PER_REQUEST;
    while (this.#queue.length > 0 && !this.#closing.signal.aborted) {
      const request = requestOf(this.#queue, most);
      this.#queue = this.#queue.slice(request.length);
      const error = await this.#try(request);
      if (error === undefined) {
        this.#sentCount += request.length;
        this.#isTroubled = false;
        attempt = 0;
        most = Math.min(MAX_DATA_PER_REQUEST, most * 2);
      } else if (isRefusal(error)) {
        // One of them is not to CloudWatch's taste: it is looked for by halves, and the others get through.
        if (request.length === 1) this.#drop(1, 'CloudWatch refuses them', error);
        else this.#queue = request.concat(this.#queue);
        most = Math.max(1, Math.floor(request.length / 2));
      } else {
        this.#queue = request.concat(this.#queue);
        this.#trim();
        attempt += 1;
        await this.#backOff(attempt, error);
      }
    }
  }

  /** @returns why it failed. */
  async #try(data: CloudWatchDatum[]): Promise<{ readonly error: unknown } | undefined> {
    const controller = new AbortController();
    const { signal } = this.#closing;
    const onClose = (): void => controller.abort(signal.reason);
    signal.addEventListener('abort', onClose, { once: true });
    const cancel = this.#clock.setTimer(
      () => {
        const text = `cloudwatch:PutMetricData took longer than ${this.#requestTimeoutMs} ms`;
        controller.abort(new OperatingError('TIMEOUT', text, { retryable: true }));
      },
      this.#requestTimeoutMs,
      false,
    );
    try {
      const input = { Namespace: this.#namespace, MetricData: data };
      await Promise.race([this.#send(input, { abortSignal: controller.signal }), whenAborted(controller.signal)]);
      return undefined;
    } catch (error) {
      return { error };
    } finally {
      cancel();
      signal.removeEventListener('abort', onClose);
    }
  }

  async #backOff(attempt: number, { error }: { readonly error: unknown }): Promise<void> {
    const retryInMs = backoffMs(attempt, this.#random.next(), BACKOFF);
    if (!this.#closing.signal.aborted) {
      const fields = { err: error, retryInMs: Math.round(retryInMs), queuedDatumCount: this.#queue.length };
      this.#logger[this.#isTroubled ? 'debug' : 'warn'](fields, 'metrics could not be sent to CloudWatch; they wait');
      this.#isTroubled = true;
    }
    const { signal } = this.#closing;
    await new Promise<void>((resolve) => {
      const goOn = (): void => {
        cancel();
        signal.removeEventListener('abort', goOn);
        resolve();
      };
      const cancel = this.#clock.setTimer(goOn, retryInMs, false);
      if (signal.aborted) goOn();
      else signal.addEventListener('abort', goOn, { once: true });
    });
  }

  #trim(): void {
    const tooMany = this.#queue.length - this.#maxQueuedDatumCount;
    if (tooMany <= 0) return;
    this.#queue = this.#queue.slice(tooMany);
    this.#drop(tooMany, 'CloudWatch cannot be reached, and newer ones need the room');
  }

  #drop(datumCount: number, why: string, cause?: { readonly error: unknown }): void {
    if (datumCount <= 0) return;
    this.#droppedCount += datumCount;
    this.#logger.warn({ datumCount, ...(cause && { err: cause.error }) }, `metrics are dropped: ${why}`);
  }
}

/** What CloudWatch will say again of the same data, however often it is asked. */
function isRefusal({ error }: { readonly error: unknown }): boolean {
  if (typeof error !== 'object' || error === null) return false;
  const { name, $metadata } = error as { name?: unknown; $metadata?: { httpStatusCode?: unknown } };
  return (
    $metadata?.httpStatusCode === 413 ||
    (typeof name === 'string' && /^(InvalidParameter|MissingRequiredParameter|InvalidFormat|Validation)/.test(name))
  );
}
