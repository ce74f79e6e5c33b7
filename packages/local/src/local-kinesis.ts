// The Kinesis that a test or a developer starts: the model, a port in front of it, and the timers that let the model see time
// pass. Everything it opens it closes.
import { randomUUID } from 'node:crypto';
import { KinesisModel } from './model/index.ts';
import { type LocalKinesisOptions, type ResolvedKinesisOptions, resolveKinesisOptions } from './options.ts';
import { DEFAULT_REGION } from './server/caller.ts';
import { type Listener, listen } from './server/listener.ts';
import { handleRequest } from './server/request-handler.ts';

/** What an SDK client needs to reach a local server: `new KinesisClient(local.clientConfig)`. */
export interface LocalClientConfig {
  readonly endpoint: string;
  readonly region: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

export interface LocalKinesis extends AsyncDisposable {
  readonly port: number;
  readonly endpoint: string;
  readonly clientConfig: LocalClientConfig;
  /** The streams themselves: look at them, or split a shard, without a client. */
  readonly model: KinesisModel;
  /** Forgets all streams, consumers and records, ends all subscriptions, and makes the initial streams again. */
  reset(): void;
  /** Stops listening and hangs up on every client. Idempotent. */
  close(): Promise<void>;
}

/** 500 records of 10 MiB together, as base64, with keys and names around them. */
const MAX_BODY_BYTES = 16 * 1024 * 1024;
const HOUSEKEEPING_MS = 60_000;

/**
 * Starts a Kinesis in this process.
 * @throws UsageError for an option that cannot work, OperatingError PORT_IN_USE
 */
export async function startLocalKinesis(options: LocalKinesisOptions = {}): Promise<LocalKinesis> {
  const resolved = resolveKinesisOptions(options);
  const timers = new Timers(resolved);
  const { limits, createStreamMs, deleteStreamMs, reshardMs, registerConsumerMs, shardLimit, maxStoredBytesPerShard } =
    resolved;
  const model = new KinesisModel({
    limits,
    createStreamMs,
    deleteStreamMs,
    reshardMs,
    registerConsumerMs,
    shardLimit,
    maxStoredBytesPerShard,
    tokenKey: randomUUID(),
    onDue: (dueMs) => timers.settleAt(model, dueMs),
  });
  createInitialStreams(model, resolved);
  const { port, host, clock, logger, requestTimeoutMs } = resolved;
  const service = { model, clock, logger, maxBodyBytes: MAX_BODY_BYTES, requestTimeoutMs };
  const listener = await listen({
    port,
    host,
    requestTimeoutMs,
    handle: (request, reply) => handleRequest(service, request, reply),
  });
  timers.keepHouse(model);
  return localKinesis(resolved, model, listener, timers);
}

/** The address under which a client on this machine reaches a server that listens on `host`. */
export function endpointOf(host: string, port: number): string {
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`;
}

export function clientConfigFor(endpoint: string): LocalClientConfig {
  return { endpoint, region: DEFAULT_REGION, credentials: { accessKeyId: 'local', secretAccessKey: 'local' } };
}

function localKinesis(
  options: ResolvedKinesisOptions,
  model: KinesisModel,
  listener: Listener,
  timers: Timers,
): LocalKinesis {
  const endpoint = endpointOf(options.host, listener.port);
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= (async () => {
      timers.cancelAll();
      model.clear();
      await listener.close();
    })();
    return closing;
  };
  return {
    port: listener.port,
    endpoint,
    clientConfig: clientConfigFor(endpoint),
    model,
    reset: () => {
      model.clear();
      createInitialStreams(model, options);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Initial streams are ACTIVE at once, whatever createStreamMs says. */
function createInitialStreams(model: KinesisModel, { streams, clock, createStreamMs }: ResolvedKinesisOptions): void {
  const now = clock.wallNow() - createStreamMs;
  for (const { name, shardCount } of streams) model.createStream({ name, shardCount }, now);
  model.settle(clock.wallNow());
}

/** Lets the model see time pass although nobody calls it. */
class Timers {
  readonly #options: ResolvedKinesisOptions;
  readonly #cancels: Set<() => void> = new Set();

  constructor(options: ResolvedKinesisOptions) {
    this.#options = options;
  }

  /** A subscriber hears of a shard's end when the split is due, not when someone next asks. */
  settleAt(model: KinesisModel, dueMs: number): void {
    const { clock } = this.#options;
    this.#once(dueMs - clock.wallNow(), () => model.settle(clock.wallNow()));
  }

  /** Frees what has outlived its retention in streams that nobody touches. */
  keepHouse(model: KinesisModel): void {
    this.#once(HOUSEKEEPING_MS, () => {
      const now = this.#options.clock.wallNow();
      model.settle(now);
      model.trim(now);
      this.keepHouse(model);
    });
  }

  cancelAll(): void {
    for (const cancel of this.#cancels) cancel();
    this.#cancels.clear();
  }

  #once(delayMs: number, callback: () => void): void {
    const cancel = this.#options.clock.setTimer(
      () => {
        this.#cancels.delete(cancel);
        callback();
      },
      delayMs,
      false,
    );
    this.#cancels.add(cancel);
  }
}
