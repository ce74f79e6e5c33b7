// The consumer's workers as the main process sees them: which run, who holds which shard, how far behind, and above all what
// they have handled. It starts and ends worker processes; who gets which lease is decided among the workers, through the lease
// table, never here.
// Invariant: a report is counted before it is answered, and a worker checkpoints only what was answered. So nothing can be
// checkpointed that the proof does not know of, however a worker dies.
import type { OperatingError } from '@shardline/common';
import { Child } from './child.ts';
import type { Endpoints, FromWorker, ToWorker } from './messages.ts';
import type { Tally } from './tally.ts';

export interface FleetOptions {
  readonly application: string;
  readonly stream: string;
  readonly endpoints: Endpoints;
  readonly tally: Tally;
  /** Something worth telling. */
  readonly onEvent: (text: string) => void;
  readonly onCrash: (error: OperatingError) => void;
}

export interface ShardState {
  readonly shardId: string;
  /** Undefined: nobody holds it at the moment. */
  workerId: string | undefined;
  lineCount: number;
  /** Of the last batch handled. */
  behindMs: number | undefined;
  /** Since when nobody holds it; `performance.now()`. */
  releasedAtMs: number | undefined;
  isEnded: boolean;
}

export interface WorkerState {
  readonly workerId: string;
  state: 'starting' | 'running' | 'killed' | 'stopped';
  lineCount: number;
}

interface Worker extends WorkerState {
  readonly child: Child<FromWorker, ToWorker>;
}

export class Fleet {
  readonly #options: FleetOptions;
  readonly #workers: Worker[] = [];
  readonly #shards = new Map<string, ShardState>();
  #lastHandledAtMs: number | undefined;
  #isStopping = false;

  constructor(options: FleetOptions) {
    this.#options = options;
  }

  get workers(): readonly WorkerState[] {
    return this.#workers;
  }

  /** By shard id. */
  get shards(): readonly ShardState[] {
    return [...this.#shards.values()].sort((a, b) => (a.shardId < b.shardId ? -1 : 1));
  }

  get lastHandledAtMs(): number | undefined {
    return this.#lastHandledAtMs;
  }

  /** The shards that a living worker holds. */
  heldShardIds(): ReadonlySet<string> {
    return new Set(this.shards.filter(({ workerId }) => workerId !== undefined).map(({ shardId }) => shardId));
  }

  start(): WorkerState {
    const { application, stream, endpoints, onCrash } = this.#options;
    const workerId = `worker-${this.#workers.length + 1}`;
    const child = new Child<FromWorker, ToWorker>({
      name: workerId,
      module: './worker.js',
      settings: { workerId, application, stream, endpoints },
      onMessage: (message) => this.#onMessage(worker, message),
      onCrash: (error) => {
        this.#release(workerId);
        onCrash(error);
      },
    });
    const worker: Worker = { workerId, state: 'starting', lineCount: 0, child };
    this.#workers.push(worker);
    return worker;
  }

  /** Kills the running worker that holds the most shards. Returns its id and what it held. */
  async killBusiest(): Promise<{ readonly workerId: string; readonly shardIds: readonly string[] } | undefined> {
    const heldBy = (workerId: string): ShardState[] => this.shards.filter((shard) => shard.workerId === workerId);
    const running = this.#workers.filter(({ state }) => state === 'running');
    const [victim] = running.sort((a, b) => heldBy(b.workerId).length - heldBy(a.workerId).length);
    if (victim === undefined) return undefined;
    const shardIds = heldBy(victim.workerId).map(({ shardId }) => shardId);
    victim.state = 'killed';
    await victim.child.kill();
    this.#release(victim.workerId);
    return { workerId: victim.workerId, shardIds };
  }

  /** Lets the workers finish what they handle, give up their leases and end. */
  async stopAll(): Promise<void> {
    this.#isStopping = true;
    const living = this.#workers.filter(({ child }) => child.isAlive);
    await Promise.all(
      living.map(async (worker) => {
        await worker.child.end({ kind: 'stop' });
        worker.state = 'stopped';
        this.#release(worker.workerId);
      }),
    );
  }

  #onMessage(worker: Worker, message: FromWorker): void {
    switch (message.kind) {
      case 'running':
        worker.state = 'running';
        break;
      case 'lease':
        this.#onLease(worker, message.shardId, message.change);
        break;
      case 'handled':
        this.#onHandled(worker, message);
        break;
      case 'failed':
        this.#options.onEvent(`${worker.workerId} failed: ${message.reason}`);
        break;
      default:
        message satisfies never;
    }
  }

  #onLease(worker: Worker, shardId: string, change: 'begun' | 'given up' | 'shard ended'): void {
    const shard = this.#shard(shardId);
    if (change === 'begun') {
      // A killed worker's last words may arrive after its end.
      if (!worker.child.isAlive) return;
      shard.workerId = worker.workerId;
    } else {
      this.#release(worker.workerId, shardId);
    }
    if (change === 'shard ended') {
      shard.isEnded = true;
      shard.behindMs = undefined;
    }
    if (this.#isStopping) return;
    const what = { begun: 'reads', 'given up': 'gave up', 'shard ended': 'came to the end of' }[change];
    this.#options.onEvent(`${worker.workerId} ${what} ${shardId}`);
  }

  #onHandled(worker: Worker, report: FromWorker & { readonly kind: 'handled' }): void {
    const { tally } = this.#options;
    for (const [index, lineNumber] of report.lineNumbers.entries()) {
      tally.handled(lineNumber, report.checksums[index] ?? -1);
    }
    for (let count = 0; count < report.strayCount; count++) tally.handledStray();
    worker.lineCount += report.lineNumbers.length;
    const shard = this.#shard(report.shardId);
    shard.lineCount += report.lineNumbers.length;
    shard.behindMs = report.behindMs;
    this.#lastHandledAtMs = performance.now();
    worker.child.send({ kind: 'counted', reportId: report.reportId });
  }

  #shard(shardId: string): ShardState {
    let shard = this.#shards.get(shardId);
    if (shard === undefined) {
      shard = {
        shardId,
        workerId: undefined,
        lineCount: 0,
        behindMs: undefined,
        releasedAtMs: undefined,
        isEnded: false,
      };
      this.#shards.set(shardId, shard);
    }
    return shard;
  }

  /** The worker holds the shard no more; without a shard: none. */
  #release(workerId: string, shardId?: string): void {
    for (const shard of this.#shards.values()) {
      if (shard.workerId !== workerId || (shardId ?? shard.shardId) !== shard.shardId) continue;
      shard.workerId = undefined;
      shard.releasedAtMs = performance.now();
    }
  }
}
