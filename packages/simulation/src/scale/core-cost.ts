// What the pure core of one worker costs with many leases at rest, with nothing around it: no table, no stream, no client. Leases
// are found, claimed and opened; then each is read once a second, to no avail, and renewed as it asks for. Prints one line of JSON:
// `heapBytesPerLease` (needs `node --expose-gc`) and `corePercent`, the share of a core that its steps take.
import { parseArgs } from 'node:util';
import type { Done, Effect, Event } from '../../../consumer/dist/coordination/effects.js';
import { type Lease, newLease } from '../../../consumer/dist/coordination/lease.js';
import { Worker } from '../../../consumer/dist/coordination/worker.js';
import { resolveOptions } from '../../../consumer/dist/options.js';
import { workerOptions } from '../../../consumer/dist/worker-options.js';
import { EventQueue } from '../event-queue.ts';

const READ_EVERY_MS = 1_000;
const CALL_MS = 5;
/** Measured in windows of virtual time; the cheapest one is the one that no other process disturbed. */
const WINDOW_MS = 10_000;
const WINDOWS = 5;

class OneWorker {
  readonly queue: EventQueue = new EventQueue();
  readonly worker: Worker;
  readonly #leaseCount: number;
  #found = false;
  #tickAt = Number.POSITIVE_INFINITY;
  stepMs = 0;

  constructor(leaseCount: number) {
    this.#leaseCount = leaseCount;
    const options = workerOptions(resolveOptions({ application: 'cost', stream: 'cost', workerId: 'me' }, 'host'));
    this.worker = new Worker(options);
    this.#tell({ kind: 'streams', streams: [{ streamId: undefined, initialPosition: 'TRIM_HORIZON' }] });
    this.#tell({ kind: 'start' });
  }

  #tell(event: Event): void {
    const startedAt = performance.now();
    const asked = this.worker.step(event, this.queue.now, 0.5);
    const deadline = this.worker.deadline();
    this.stepMs += performance.now() - startedAt;
    for (const effect of asked) if (effect.kind !== 'tell') this.#answer(effect);
    if (deadline >= this.#tickAt || deadline === Number.POSITIVE_INFINITY) return;
    this.#tickAt = deadline;
    this.queue.at(deadline, () => {
      if (this.#tickAt !== deadline) return;
      this.#tickAt = Number.POSITIVE_INFINITY;
      this.#tell({ kind: 'tick' });
    });
  }

  #answer(effect: Effect): void {
    const result = this.#resultOf(effect);
    if (result === undefined) return;
    // Spread, as calls that leave one after the other come back.
    const delayMs = effect.kind === 'fetchBatch' ? READ_EVERY_MS : CALL_MS + (this.queue.now % 7);
    this.queue.after(delayMs, () => this.#tell({ kind: 'done', effect, result: result() } as Done));
  }

  /** Undefined: never answered. Another leads, and nothing is ever read. */
  #resultOf(effect: Effect): (() => unknown) | undefined {
    switch (effect.kind) {
      case 'readLeader':
        return () => ({ leader: { owner: 'other', version: String(this.queue.now), leaseDurationMs: 30_000 } });
      case 'reportWorker':
        return () => ({ applied: true, process: { id: effect.processId, sinceSeconds: 0 } });
      case 'discoverLeases':
        return () => ({ leases: this.#discover() });
      case 'renewLease':
        return () => ({ applied: true, lease: this.#lease(effect.leaseKey, effect.leaseCounter + 1) });
      case 'fetchBatch':
        return () => ({ batch: undefined, atShardEnd: false, childShards: [] });
      case 'readLeases':
        return () => ({ leases: [] });
      case 'openShard':
        return () => null;
      default:
        return undefined;
    }
  }

  #discover(): Lease[] {
    if (this.#found) return [];
    this.#found = true;
    return Array.from({ length: this.#leaseCount }, (_, index) =>
      this.#lease(`shardId-${String(index).padStart(12, '0')}`, 1),
    );
  }

  /** A row as it is read from an answer: nothing in it is shared with another. */
  #lease(shardId: string, leaseCounter: number): Lease {
    const hashKeyRange = { start: BigInt(leaseCounter), end: 2n ** 128n - BigInt(leaseCounter) } as never;
    const checkpoint = { sequenceNumber: 10n ** 55n + BigInt(leaseCounter), subSequenceNumber: 0 } as never;
    return { ...newLease({ shardId, parentShardIds: [], hashKeyRange }, checkpoint), leaseOwner: 'me', leaseCounter };
  }
}

function main(): void {
  const { values } = parseArgs({ options: { leases: { type: 'string', default: '1000' } } });
  const leases = Number(values.leases);
  const heap = (): number => {
    globalThis.gc?.();
    return process.memoryUsage().heapUsed;
  };
  // Code and its caches are no lease's cost.
  const warm = new OneWorker(100);
  warm.queue.runUntil(WINDOW_MS);
  const before = heap();
  const one = new OneWorker(leases);
  one.queue.runUntil(WINDOW_MS);
  const heapBytesPerLease = globalThis.gc === undefined ? undefined : Math.round((heap() - before) / leases);
  const windows: number[] = [];
  for (let window = 0; window < WINDOWS; window += 1) {
    one.stepMs = 0;
    one.queue.runUntil(one.queue.now + WINDOW_MS);
    windows.push(one.stepMs);
  }
  const corePercent = Math.round((10_000 * Math.min(...windows)) / WINDOW_MS) / 100;
  const held = one.worker.view(one.queue.now).leases.length + warm.worker.view(warm.queue.now).leases.length;
  process.stdout.write(`${JSON.stringify({ leases, held: held - 100, heapBytesPerLease, corePercent })}\n`);
}

main();
