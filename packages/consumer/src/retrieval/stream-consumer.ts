// The registered consumer of one stream, by whose ARN its shards are subscribed to: found by its name, registered when there is
// none, and waited for until it is ACTIVE (KCL FanOutConsumerRegistration). One of the few files that call AWS. Like the KCL
// it never deregisters by itself: another worker of the application may read by it.
// Invariant: whoever asks at once waits for the same answer, in bounded time.
import {
  DeregisterStreamConsumerCommand,
  DescribeStreamConsumerCommand,
  type DescribeStreamConsumerCommandInput,
  DescribeStreamSummaryCommand,
  type KinesisClient,
  RegisterStreamConsumerCommand,
} from '@aws-sdk/client-kinesis';
import {
  type Clock,
  DEFAULT_MAX_CONSUMERS_PER_STREAM,
  delay,
  isShardlineError,
  type Logger,
  OperatingError,
  type StreamIdentifier,
  streamAddress,
} from '@shardline/common';
import { AwsCalls, awsCodeOf, type SendOptions } from '../aws-call.ts';

export interface StreamConsumerOptions {
  readonly client: KinesisClient;
  readonly stream: StreamIdentifier;
  /** It is found or registered under this name. */
  readonly consumerName: string;
  /** It is there already, perhaps in another account: nothing is looked for, nothing registered. */
  readonly consumerArn: string | undefined;
  /** One call, ms. */
  readonly requestTimeoutMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Described {
  readonly arn: string;
  readonly status: string;
}

const ASK_AGAIN_MS = 1_000;
/** AWS takes some seconds from CREATING to ACTIVE. */
const ACTIVE_TIMEOUT_MS = 60_000;

export class StreamConsumer {
  readonly #options: StreamConsumerOptions;
  readonly #calls: AwsCalls;
  readonly #closing = new AbortController();
  #finding: Promise<string> | undefined;
  #active: string | undefined;

  constructor(options: StreamConsumerOptions) {
    this.#options = options;
    const { client, stream, consumerName, consumerArn, requestTimeoutMs: timeoutMs, clock } = options;
    const ofStream = `consumer ${consumerName} of stream ${stream.streamArn ?? stream.streamName}`;
    const resource = consumerArn === undefined ? ofStream : `consumer ${consumerArn}`;
    const codes = { notFound: 'STREAM_NOT_FOUND', failed: 'REQUEST_FAILED' } as const;
    this.#calls = new AwsCalls({ client, timeoutMs, clock, resource, codes });
  }

  /** The ARN once it is known to be ACTIVE. */
  get activeArn(): string | undefined {
    return this.#active;
  }

  /**
   * Found or registered, and ACTIVE.
   * @throws OperatingError STREAM_NOT_FOUND (also for a `consumerArn` that is not there), ACCESS_DENIED, TOO_MANY_CONSUMERS when the stream
   * has as many as it may, TIMEOUT when it is not ACTIVE within a minute, and others
   */
  arn(): Promise<string> {
    if (this.#active !== undefined) return Promise.resolve(this.#active);
    this.#finding ??= this.#find().finally(() => {
      this.#finding = undefined;
    });
    return this.#finding;
  }

  /**
   * Whether the one that was subscribed by is there still, and not DELETING. If not, the next `arn` registers it anew, unless that has been done
   * for another shard.
   */
  async check(arn: string): Promise<boolean> {
    if ((await this.#describe({ ConsumerARN: arn }))?.status === 'ACTIVE') return true;
    if (this.#active === arn) this.#active = undefined;
    return false;
  }

  /** Ends it for all workers of the application; without one there is nothing to do. */
  async deregister(): Promise<void> {
    const input = await this.#input();
    this.#active = undefined;
    await this.#ifFound('kinesis:DeregisterStreamConsumer', (options) =>
      this.#options.client.send(new DeregisterStreamConsumerCommand(input), options),
    );
  }

  close(): void {
    this.#calls.close();
    this.#closing.abort(new OperatingError('CLOSED', 'the consumer was stopped', { retryable: false }));
  }

  async #find(): Promise<string> {
    const { consumerName, clock } = this.#options;
    const input = await this.#input();
    const giveUpAt = clock.now() + ACTIVE_TIMEOUT_MS;
    for (;;) {
      let described = await this.#describe(input);
      if (described === undefined) {
        await this.#register(input);
        described = await this.#describe(input);
      }
      if (described?.status === 'ACTIVE') {
        this.#active = described.arn;
        return described.arn;
      }
      if (clock.now() >= giveUpAt) {
        const status = described?.status ?? 'not there';
        const message = `consumer ${consumerName} was ${status} for ${ACTIVE_TIMEOUT_MS} ms, not ACTIVE`;
        throw new OperatingError('TIMEOUT', message, { retryable: true });
      }
      await delay(clock, ASK_AGAIN_MS, this.#closing.signal);
    }
  }

  async #describe(input: DescribeStreamConsumerCommandInput): Promise<Described | undefined> {
    const answer = await this.#ifFound('kinesis:DescribeStreamConsumer', (options) =>
      this.#options.client.send(new DescribeStreamConsumerCommand(input), options),
    );
    const { ConsumerARN, ConsumerStatus } = answer?.ConsumerDescription ?? {};
    if (ConsumerARN === undefined || ConsumerStatus === undefined) return undefined;
    return { arn: ConsumerARN, status: ConsumerStatus };
  }

  async #register({ StreamARN, ConsumerName, ConsumerARN }: DescribeStreamConsumerCommandInput): Promise<void> {
    if (ConsumerARN !== undefined) {
      const message = `there is no registered consumer ${ConsumerARN}: register it, or leave consumerArn out to have one registered`;
      throw new OperatingError('STREAM_NOT_FOUND', message, { retryable: false });
    }
    const { client, logger } = this.#options;
    try {
      await this.#calls.call('kinesis:RegisterStreamConsumer', (options) =>
        client.send(new RegisterStreamConsumerCommand({ StreamARN, ConsumerName }), options),
      );
      logger.info(
        { consumerName: ConsumerName, stream: StreamARN },
        'registered as a consumer of the stream, for fan-out',
      );
    } catch (error) {
      const code = awsCodeOf(error);
      // Another worker was quicker.
      if (code === 'ResourceInUseException') return;
      if (code !== 'LimitExceededException') throw error;
      const message =
        `stream ${StreamARN} takes no further registered consumer (${DEFAULT_MAX_CONSUMERS_PER_STREAM} by default), or too many are being ` +
        'registered at once: deregister one that nobody reads by, ask AWS for more, or name one in consumerName or consumerArn';
      const about = { action: 'kinesis:RegisterStreamConsumer', resource: StreamARN };
      throw new OperatingError('TOO_MANY_CONSUMERS', message, { retryable: true, cause: error, ...about });
    }
  }

  /** The call's answer; undefined when it found nothing. */
  async #ifFound<T>(action: string, send: (options: SendOptions) => Promise<T>): Promise<T | undefined> {
    try {
      return await this.#calls.call(action, send);
    } catch (error) {
      if (isShardlineError(error) && error.code === 'STREAM_NOT_FOUND') return undefined;
      throw error;
    }
  }

  async #input(): Promise<DescribeStreamConsumerCommandInput> {
    const { consumerArn, consumerName } = this.#options;
    if (consumerArn !== undefined) return { ConsumerARN: consumerArn };
    return { StreamARN: await this.#streamArn(), ConsumerName: consumerName };
  }

  async #streamArn(): Promise<string> {
    const { stream, client } = this.#options;
    if (stream.streamArn !== undefined) return stream.streamArn;
    const command = new DescribeStreamSummaryCommand(streamAddress(stream));
    const { StreamDescriptionSummary: summary } = await this.#calls.call('kinesis:DescribeStreamSummary', (options) =>
      client.send(command, options),
    );
    if (summary?.StreamARN !== undefined) return summary.StreamARN;
    const message = 'Kinesis answered with an incomplete StreamDescriptionSummary';
    throw new OperatingError('REQUEST_FAILED', message, { retryable: true });
  }
}
