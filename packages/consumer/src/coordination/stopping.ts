// How a worker stops, step by step: its metric row goes, or says so, so that nobody gives it more; its leases are drained and left to the
// other workers; the last thing is a look for what it was given meanwhile. Until when each wait lasts is in leaving.ts, what becomes of
// each lease in held-leases.ts. Pure.
// Invariant: it ends, whatever is answered or is not, at `giveUpAt`, and nothing is left undone before that if there is time for it.
import type { Discovery } from './discovery.ts';
import type { Effect, Tell } from './effects.ts';
import type { HeldLeases } from './held-leases.ts';
import type { Leader } from './leader.ts';
import { Leaving, type LeavingOptions } from './leaving.ts';
import type { Results } from './results.ts';
import { planSuccession, type SuccessionRules } from './succession.ts';
import type { WorkerId } from './worker-id.ts';

export interface StoppingOptions extends LeavingOptions, Omit<SuccessionRules, 'leaving'> {
  readonly workerId: string;
  readonly incarnation: string;
}

/** What stops together. */
interface Parts {
  readonly id: WorkerId;
  readonly leader: Leader;
  readonly discovery: Discovery;
  readonly leases: HeldLeases;
}

export class Stopping {
  readonly #options: StoppingOptions;
  readonly #out: (Effect | Tell)[];
  readonly #parts: Parts;
  #leaving: Leaving | undefined;
  #isOver = false;

  /** @param out where effects are put, in order. */
  constructor(options: StoppingOptions, out: (Effect | Tell)[], parts: Parts) {
    this.#options = options;
    this.#out = out;
    this.#parts = parts;
  }

  get hasBegun(): boolean {
    return this.#leaving !== undefined;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Whether leases that were given to us are looked for. */
  get looks(): boolean {
    return this.#leaving === undefined || this.#leaving.looks;
  }

  /**
   * While a handler may run, no other process may take up what stands under the worker id: it would begin beside it. Where no other one
   * can come under that id, nothing keeps the row.
   */
  get keepsId(): boolean {
    const { leases, id } = this.#parts;
    return leases.size > 0 && id.held && id.isShared;
  }

  /** When something of it is due by itself; infinite before it has begun. */
  deadline(): number {
    return this.#leaving?.deadline() ?? Number.POSITIVE_INFINITY;
  }

  /** @param hasStarted whether the worker ever began to work. @param keepsRow the metric row is another process's as well. */
  begin(now: number, hasStarted: boolean, keepsRow = false): void {
    if (this.#leaving !== undefined) return;
    const { id, leader, leases } = this.#parts;
    const looksForHeirs = leases.size > 0;
    // Another process that has or gets the same id looks for the same leases.
    const looks = !keepsRow && hasStarted && !id.isShared;
    this.#leaving = new Leaving(this.#options, { keepsRow, rowMade: hasStarted, looksForHeirs, looks }, now);
    leases.leaving = this.#leaving;
    if (this.keepsId) id.leave(now);
    else if (keepsRow) this.askForHeirs();
    leader.resign();
    leases.advanceAll(now);
    if (!hasStarted) this.#finish();
  }

  advance(now: number): void {
    const leaving = this.#leaving;
    if (leaving === undefined || this.#isOver) return;
    const { id, leader, leases } = this.#parts;
    if (now >= leaving.abortAt && !leaving.aborted) {
      leaving.aborted = true;
      leases.abortAll(now);
    }
    if (leaving.heirsOverdue(now)) this.#inherit(new Map(), new Set(), now);
    if (this.keepsId) id.advance(now);
    // A report under way would make the row anew.
    else if (!leaving.forgetting && !id.reporting) {
      leaving.forgetting = true;
      const { workerId, incarnation: processId } = this.#options;
      this.#out.push({ kind: 'forgetWorker', workerId, processId });
    }
    if ((!this.#awaitsMore(leaving, now) && leader.resigned) || now >= leaving.giveUpAt) this.#finish();
  }

  /**
   * Once our row no longer offers us: of several that stop at the same time none is then named by one that it would name itself, and none
   * is left a lease after it has gone.
   */
  askForHeirs(): void {
    if (this.#leaving?.mayAskForHeirs() === true) this.#out.push({ kind: 'readTable', for: 'succession' });
  }

  /** The look at the table was answered. @param areTaken workers take leases themselves. */
  tableRead({ leases, workers: all }: Results['readTable'], areTaken: boolean, now: number): void {
    const ours = all.filter((worker) => worker.process !== undefined);
    // While workers take leases, those of the KCL look for none that they were given, and none of us knows of handoffs.
    const [workers, alert] = areTaken ? [ours, []] : [all, ours];
    const heirs = planSuccession(leases, workers, { ...this.#options, leaving: this.#options.workerId });
    this.#inherit(heirs, new Set(alert.map(({ workerId }) => workerId)), now);
  }

  /** Nobody can be asked who else is there. */
  tableNotRead(now: number): void {
    this.#inherit(new Map(), new Set(), now);
  }

  /** The metric row has gone, or will grow stale by itself. */
  forgotten(now: number): void {
    if (this.#leaving !== undefined) this.#leaving.forgottenAt = now;
    this.askForHeirs();
  }

  /** From now on leases go to these; those without one go to nobody, and the leader finds them. The first answer counts. */
  #inherit(heirs: ReadonlyMap<string, string>, alert: ReadonlySet<string>, now: number): void {
    if (this.#leaving?.awaitsHeirs !== true) return;
    this.#leaving.inherit(heirs, alert);
    this.#parts.leases.advanceAll(now);
  }

  /**
   * Whether leases are here or may still come. Who read our metric row before it went, a leader or another worker that leaves, may
   * give us some yet; so the last thing is a look that began after that, and what it finds is passed on.
   */
  #awaitsMore({ forgottenAt, looks }: Leaving, now: number): boolean {
    const { leases, discovery } = this.#parts;
    const isEmpty = forgottenAt !== undefined && leases.size === 0;
    if (!looks) return !isEmpty;
    if (isEmpty) discovery.lookSince(forgottenAt, now);
    discovery.advance(leases.present(), now);
    return !isEmpty || !discovery.hasLookedSince(forgottenAt) || discovery.expects(now);
  }

  #finish(): void {
    this.#isOver = true;
    this.#out.push({ kind: 'tell', notice: { kind: 'stopped', abandoned: [...this.#parts.leases.keys()] } });
  }
}
