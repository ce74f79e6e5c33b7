// A worker as a process of its own, whatever it is written in, and what it has said so far. Waiting is on what it says, never on
// time alone: a wait ends when its condition holds, when a worker dies that should live, or when it has lasted too long.
import type { HandedOffShard } from '@shardline/consumer';
import type { ChildProgram } from '../child-program.ts';

/** What a worker says of itself, a line of JSON each. `at` is the time, epoch ms. */
export type WorkerEvent = RecordEvent | OtherEvent;

export type OtherEvent = { readonly at: number } & (
  | { readonly event: 'start'; readonly worker: string }
  /** It begins to read a shard behind this position. */
  | { readonly event: 'init'; readonly shard: string; readonly from: string; readonly fromSub: number }
  /** This much is checkpointed, as the lease table knows by now. */
  | { readonly event: 'checkpoint'; readonly shard: string; readonly sequence: string; readonly sub: number }
  /** A checkpoint was refused because the lease was lost. */
  | { readonly event: 'refused'; readonly shard: string }
  | { readonly event: 'leaseLost' | 'shardEnded' | 'shutdownRequested' | 'handedBack'; readonly shard: string }
  | { readonly event: 'stopped'; readonly graceful: boolean }
  /** What came of an operator's word to hand off: of a worker of ours. */
  | { readonly event: 'handedOff'; readonly shards: readonly HandedOffShard[] }
  | { readonly event: 'error'; readonly shard?: string; readonly what: string }
);

/** A user record that was given to the processor. */
export interface RecordEvent {
  readonly at: number;
  readonly event: 'record';
  readonly shard: string;
  readonly sequence: string;
  readonly sub: number;
  readonly aggregated: boolean;
  readonly key: string;
  readonly data: string;
}

/** What it is written in. */
export type WorkerKind = 'java' | 'node';

export class WorkerProcess {
  readonly workerId: string;
  readonly kind: WorkerKind;
  /** All it said, in order. */
  readonly said: WorkerEvent[] = [];
  /** All it said but the records and the checkpoints. */
  readonly events: OtherEvent[] = [];
  readonly records: RecordEvent[] = [];
  /** The shards of which it delivered a record. */
  readonly recordShards: Set<string> = new Set();
  #program: ChildProgram | undefined;
  #hasEnded = false;
  #killedAt: number | undefined;
  #stoppedAt: number | undefined;
  readonly #listeners: Set<(event: WorkerEvent) => void> = new Set();

  /** @param launch starts the program; what it says goes to `onLine`. */
  static async start(
    workerId: string,
    kind: WorkerKind,
    launch: (onLine: (line: unknown) => void) => Promise<ChildProgram>,
  ): Promise<WorkerProcess> {
    const worker = new WorkerProcess(workerId, kind);
    worker.#program = await launch((line) => worker.#note(line as WorkerEvent));
    return worker;
  }

  private constructor(workerId: string, kind: WorkerKind) {
    this.workerId = workerId;
    this.kind = kind;
  }

  /** The shards for which the event came, in that order. */
  shardsOf(event: 'init' | 'leaseLost' | 'shardEnded' | 'shutdownRequested' | 'handedBack'): string[] {
    return this.events.flatMap((each) => (each.event === event ? [each.shard] : []));
  }

  /** Called after each event. @returns how to stop listening. */
  onEvent(listener: (event: WorkerEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  untilBroken(): Promise<never> {
    return this.#running.untilBroken();
  }

  get stderr(): string {
    return this.#running.stderr;
  }

  /** A line on its standard input. */
  order(word: object): void {
    this.#running.order(JSON.stringify(word));
  }

  /** A graceful shutdown: resolves when the process has ended. */
  async stop(): Promise<void> {
    this.#hasEnded = true;
    this.#stoppedAt = Date.now();
    await this.#running.terminate();
  }

  /** SIGKILL: no last word. Resolves when the process is gone. */
  async kill(): Promise<void> {
    this.#hasEnded = true;
    this.#killedAt = Date.now();
    await this.#running.kill();
  }

  /** Or is about to, because it was told to. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Epoch ms. */
  get killedAt(): number | undefined {
    return this.#killedAt;
  }

  /** Epoch ms. */
  get stoppedAt(): number | undefined {
    return this.#stoppedAt;
  }

  async end(): Promise<void> {
    await this.#program?.end();
  }

  get #running(): ChildProgram {
    if (this.#program === undefined) throw new Error(`${this.workerId} was not started`);
    return this.#program;
  }

  #note(event: WorkerEvent): void {
    this.said.push(event);
    if (event.event === 'record') {
      this.records.push(event);
      this.recordShards.add(event.shard);
    } else if (event.event !== 'checkpoint') {
      this.events.push(event);
    }
    for (const listener of this.#listeners) listener(event);
  }
}

/** A JVM beside seven others on two busy cores needs 40 s until its first request alone. */
export const WAIT_MS = 300_000;

/** Resolves as soon as the condition, a cheap one, holds; it is looked at after every event of these workers. */
export async function until(
  what: string,
  workers: readonly WorkerProcess[],
  condition: () => boolean,
  timeoutMs: number = WAIT_MS,
): Promise<void> {
  if (condition()) return;
  const unlisten: (() => void)[] = [];
  const held = new Promise<void>((resolve) => {
    for (const worker of workers) unlisten.push(worker.onEvent(() => condition() && resolve()));
  });
  await withinTime(what, workers, held, timeoutMs).finally(() => {
    for (const each of unlisten) each();
  });
}

/** The same of a condition that has to be asked for somewhere else. */
export async function untilAsked(
  what: string,
  workers: readonly WorkerProcess[],
  ask: () => Promise<boolean>,
  timeoutMs: number = WAIT_MS,
  askEveryMs: number = ASK_EVERY_MS,
): Promise<void> {
  const over = new AbortController();
  const asking = async (): Promise<void> => {
    while (!over.signal.aborted && !(await ask())) await new Promise((resolve) => setTimeout(resolve, askEveryMs));
  };
  await withinTime(what, workers, asking(), timeoutMs).finally(() => over.abort());
}

const ASK_EVERY_MS = 200;

async function withinTime(
  what: string,
  workers: readonly WorkerProcess[],
  held: Promise<void>,
  timeoutMs: number,
): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_, reject) => {
    const say = (): void => reject(new Error(`after ${timeoutMs} ms still not: ${what}\n${told(workers)}`));
    timer = setTimeout(say, timeoutMs);
  });
  try {
    await Promise.race([held, tooLate, ...workers.map((worker) => worker.untilBroken())]);
  } finally {
    clearTimeout(timer);
  }
}

/** For a failure's message: all but the records, and what was logged. */
function told(workers: readonly WorkerProcess[]): string {
  return workers
    .map(({ workerId, events, records, stderr }) => {
      return [`${workerId}: ${records.length} records`, ...events.map((event) => JSON.stringify(event)), stderr].join(
        '\n',
      );
    })
    .join('\n');
}
