// A real Java KCL worker as a process, and what it has said so far. Waiting is on what it says, never on time alone: a wait ends
// when its condition holds, when the worker dies, or when it has lasted too long.
import { JavaProcess } from '../java/java-process.ts';

export interface KclWorkerOptions {
  readonly workerId: string;
  readonly application: string;
  readonly stream: string;
  readonly mode: 'POLLING' | 'FANOUT';
  /** What the SDK for Java speaks unless told otherwise is CBOR. */
  readonly wire: 'CBOR' | 'JSON';
  readonly kinesisEndpoint: string;
  /** Over TLS, the certificate to trust, as PEM. */
  readonly kinesisCertificate: string | undefined;
  readonly dynamoDBEndpoint: string;
}

/** What KclWorker.java says. `at` is the time, epoch ms. */
export type KclEvent = KclRecord | KclOtherEvent;

export type KclOtherEvent = { readonly at: number } & (
  | { readonly event: 'start'; readonly worker: string }
  | { readonly event: 'init'; readonly shard: string; readonly from: string }
  | { readonly event: 'leaseLost' | 'shardEnded' | 'shutdownRequested'; readonly shard: string }
  | { readonly event: 'stopped'; readonly graceful: boolean }
  | { readonly event: 'error'; readonly shard?: string; readonly what: string }
);

/** A user record that the KCL gave to its processor. */
export interface KclRecord {
  readonly at: number;
  readonly event: 'record';
  readonly shard: string;
  readonly sequence: string;
  readonly sub: number;
  readonly aggregated: boolean;
  readonly key: string;
  readonly data: string;
}

export class KclWorker {
  readonly workerId: string;
  /** All it said but the records. */
  readonly events: KclOtherEvent[] = [];
  readonly records: KclRecord[] = [];
  /** The shards of which it delivered a record. */
  readonly recordShards: Set<string> = new Set();
  #java: JavaProcess | undefined;
  #hasEnded = false;
  readonly #listeners: Set<(event: KclEvent) => void> = new Set();

  static async start(options: KclWorkerOptions): Promise<KclWorker> {
    const worker = new KclWorker(options.workerId);
    worker.#java = await JavaProcess.start({
      program: 'kcl',
      mainClass: 'KclWorker',
      logName: `${options.application}-${options.workerId}`,
      systemProperties: options.wire === 'JSON' ? { 'aws.cborEnabled': 'false' } : {},
      environment: {
        WORKER_ID: options.workerId,
        APPLICATION: options.application,
        STREAM: options.stream,
        MODE: options.mode,
        KINESIS_ENDPOINT: options.kinesisEndpoint,
        DYNAMODB_ENDPOINT: options.dynamoDBEndpoint,
        ...(options.kinesisCertificate !== undefined && { KINESIS_CERTIFICATE: options.kinesisCertificate }),
      },
      onLine: (line) => worker.#note(line as KclEvent),
    });
    return worker;
  }

  private constructor(workerId: string) {
    this.workerId = workerId;
  }

  /** The shards for which the event came, in that order. */
  shardsOf(event: 'init' | 'leaseLost' | 'shardEnded' | 'shutdownRequested'): string[] {
    return this.events.flatMap((each) => (each.event === event ? [each.shard] : []));
  }

  /** Called after each event. @returns how to stop listening. */
  onEvent(listener: (event: KclEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  untilBroken(): Promise<never> {
    return this.#running.untilBroken();
  }

  get stderr(): string {
    return this.#running.stderr;
  }

  /** A graceful shutdown: resolves when the process has ended. */
  async stop(): Promise<void> {
    await this.#running.terminate();
    this.#hasEnded = true;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  async end(): Promise<void> {
    await this.#java?.end();
  }

  get #running(): JavaProcess {
    if (this.#java === undefined) throw new Error(`${this.workerId} was not started`);
    return this.#java;
  }

  #note(event: KclEvent): void {
    if (event.event === 'record') {
      this.records.push(event);
      this.recordShards.add(event.shard);
    } else {
      this.events.push(event);
    }
    for (const listener of this.#listeners) listener(event);
  }
}

/** Resolves as soon as the condition, a cheap one, holds; it is looked at after every event of these workers. */
export async function until(
  what: string,
  workers: readonly KclWorker[],
  condition: () => boolean,
  timeoutMs = 120_000,
): Promise<void> {
  if (condition()) return;
  let stop = (): void => undefined;
  const held = new Promise<void>((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`after ${timeoutMs} ms still not: ${what}\n${told(workers)}`)),
      timeoutMs,
    );
    const unlisten = workers.map((worker) => worker.onEvent(() => condition() && resolve()));
    stop = () => {
      clearTimeout(timer);
      for (const each of unlisten) each();
    };
  });
  try {
    await Promise.race([held, ...workers.map((worker) => worker.untilBroken())]);
  } finally {
    stop();
  }
}

/** For a failure's message: all but the records, and what was logged. */
function told(workers: readonly KclWorker[]): string {
  return workers
    .map(({ workerId, events, records, stderr }) => {
      return [`${workerId}: ${records.length} records`, ...events.map((event) => JSON.stringify(event)), stderr].join(
        '\n',
      );
    })
    .join('\n');
}
