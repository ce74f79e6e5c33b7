// The workers of one application: one that is left alone to the end, and some that are killed every few seconds, stopped in good order
// or suspended for longer than their leases last, and started again. What they say goes into the ledger.
import { delay, systemClock } from '@shardline/common';
import type { Prng } from '../prng.ts';
import type { Sample } from './flatness.ts';
import type { HandledLedger } from './handled-ledger.ts';
import type { FromWorker, WorkerSettings } from './messages.ts';
import type { WindowLedger } from './window-ledger.ts';
import { WorkerProcess } from './worker-process.ts';

export interface FleetOptions {
  readonly settings: Omit<WorkerSettings, 'name' | 'workerId' | 'seed' | 'sampleEveryMs'>;
  readonly ledger: HandledLedger;
  /** Undefined: its handlers have no windows. */
  readonly windows: WindowLedger | undefined;
  readonly prng: Prng;
  /** Of those that are not left alone. */
  readonly mortalCount: number;
  readonly sampleEveryMs: number;
  /** Before each word of a worker goes into the ledger. */
  readonly onWord: () => void;
}

/** From one end of a worker to the next. */
const SHORTEST_PEACE_MS = 2_000;
const LONGEST_PEACE_MS = 8_000;
/** Around the workers' failoverTimeMs: the lease is lost, or just not. */
const SHORTEST_SUSPENSION_MS = 1_500;
const LONGEST_SUSPENSION_MS = 6_000;
/** Of those that are not killed one half is stopped, the other suspended. */
const KILLED = 0.7;
const STOP_TIMEOUT_MS = 30_000;
const START_TIMEOUT_MS = 120_000;
const LOOK_MS = 50;

export class Fleet {
  readonly counts = { kills: 0, stops: 0, suspensions: 0 };
  /** What broke that no ledger knows of. */
  readonly broken: string[] = [];
  readonly samples: Sample[] = [];
  readonly #options: FleetOptions;
  readonly #mortals: WorkerProcess[];
  readonly #steady: WorkerProcess;
  /** Names of the workers that have begun a tenure. */
  readonly #begun = new Set<string>();
  #startCount = 0;

  constructor(options: FleetOptions) {
    this.#options = options;
    this.#mortals = Array.from({ length: options.mortalCount }, (_, slot) => this.#start(slot));
    this.#steady = this.#start(undefined);
  }

  /** Resolves when some worker has begun to read, rejects when none does in time. */
  async begun(): Promise<void> {
    const endMs = systemClock.now() + START_TIMEOUT_MS;
    while (this.#begun.size === 0) {
      const [reason] = this.broken;
      if (reason !== undefined) throw new Error(reason);
      if (systemClock.now() > endMs) throw new Error(`no worker has begun to read within ${START_TIMEOUT_MS} ms`);
      await delay(systemClock, LOOK_MS);
    }
  }

  /** Until `durationMs` are over; then all workers run, none suspended. */
  async strike(durationMs: number): Promise<void> {
    const { prng } = this.#options;
    const endMs = systemClock.now() + durationMs;
    while (true) {
      const peaceMs = prng.between(SHORTEST_PEACE_MS, LONGEST_PEACE_MS);
      const leftMs = endMs - systemClock.now();
      await delay(systemClock, Math.max(0, Math.min(peaceMs, leftMs)));
      if (peaceMs >= leftMs) return;
      // One that has not begun yet has nothing to lose.
      const slots = [...this.#mortals.keys()].filter((slot) => this.#hasBegun(this.#mortals[slot] as WorkerProcess));
      if (slots.length === 0) continue;
      const slot = prng.pick(slots);
      if (prng.chance(KILLED)) await this.#kill(slot);
      else if (prng.chance(0.5)) await this.#stop(slot);
      else await this.#suspend(slot, endMs);
    }
  }

  /** All of them, in good order, at once. */
  async stop(): Promise<void> {
    await Promise.all([this.#steady, ...this.#mortals].map((worker) => this.#stopInOrder(worker)));
  }

  async kill(): Promise<void> {
    await Promise.all([this.#steady, ...this.#mortals].map((worker) => worker.kill()));
  }

  #hasBegun({ name }: WorkerProcess): boolean {
    return this.#begun.has(name);
  }

  async #kill(slot: number): Promise<void> {
    const worker = this.#mortals[slot] as WorkerProcess;
    this.#options.ledger.explain(worker.name, 'killed');
    this.counts.kills++;
    await worker.kill();
    this.#mortals[slot] = this.#start(slot);
  }

  /** The next one is there before it has gone, as in a rolling deploy. */
  async #stop(slot: number): Promise<void> {
    const worker = this.#mortals[slot] as WorkerProcess;
    this.counts.stops++;
    const stopping = this.#stopInOrder(worker);
    this.#mortals[slot] = this.#start(slot);
    await stopping;
  }

  async #suspend(slot: number, endMs: number): Promise<void> {
    const worker = this.#mortals[slot] as WorkerProcess;
    this.#options.ledger.explain(worker.name, 'paused');
    this.counts.suspensions++;
    worker.suspend();
    const forMs = this.#options.prng.between(SHORTEST_SUSPENSION_MS, LONGEST_SUSPENSION_MS);
    await delay(systemClock, Math.max(0, Math.min(forMs, endMs - systemClock.now())));
    worker.resume();
  }

  async #stopInOrder(worker: WorkerProcess): Promise<void> {
    if (await worker.stop(STOP_TIMEOUT_MS)) return;
    this.#options.ledger.explain(worker.name, 'killed');
    this.broken.push(`worker ${worker.name} did not end within ${STOP_TIMEOUT_MS} ms after it was told to`);
  }

  /** Undefined: the one that is left alone. Of the others every second has a worker id that its successor has as well. */
  #start(slot: number | undefined): WorkerProcess {
    const { settings, prng, sampleEveryMs, ledger } = this.#options;
    const count = this.#startCount++;
    const name = slot === undefined ? `${settings.mode} steady` : `${settings.mode} ${slot}.${count}`;
    const hasFixedId = slot !== undefined && slot % 2 === 1;
    return new WorkerProcess(
      {
        ...settings,
        name,
        workerId: hasFixedId ? `${settings.mode}-${slot}` : undefined,
        seed: prng.int(2 ** 32),
        sampleEveryMs: slot === undefined ? sampleEveryMs : undefined,
      },
      {
        onMessage: (message) => this.#hear(name, message, ledger),
        onBroken: (reason) => this.broken.push(reason),
      },
    );
  }

  #hear(worker: string, message: FromWorker, ledger: HandledLedger): void {
    this.#options.onWord();
    switch (message.kind) {
      case 'begun':
        this.#begun.add(worker);
        ledger.begun({ worker, ...message }, message.beginning);
        return;
      case 'finished':
        ledger.finished({ worker, ...message });
        return;
      case 'windowEnded':
        this.#options.windows?.ended({ worker, ...message });
        return;
      case 'lost':
        ledger.lost({ worker, ...message });
        return;
      case 'ended':
        ledger.ended({ worker, ...message }, message.atMs);
        return;
      case 'sample':
        this.samples.push(message.sample);
        return;
      case 'failed':
        this.broken.push(`worker ${worker} failed: ${message.reason}`);
    }
  }
}
