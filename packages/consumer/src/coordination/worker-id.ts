// The right to work under a worker id, which only one process at a time has: nothing keeps a user from giving one id to two, and
// every write of the protocol names the id alone. The worker's metric row is the lock. Each report is conditional on the row being
// absent or this process's own. Who finds another's row asks in it, and waits: whoever lives answers with its next look. Only a
// silent one is taken over from, and if it wakes, it finds out by its next look and ends. So the one that is there wins.
// Who leaves has the id, and answers, until its last handler has returned: only then may a newcomer take up what it finds under the id.
// Invariant: no lease is claimed before the row was this process's; who has lost the row never writes it again.
import type { Done, Effect, Failed, ReportWorker, Tell } from './effects.ts';
import { answers } from './effects.ts';
import { ForeignRenewals, RENEWAL_PATIENCE } from './foreign-renewals.ts';
import { actualOwner, LEAVES, type Lease, NOTHING_MEASURED, type WorkerProcess, type WorkerSign } from './lease.ts';

export interface WorkerIdOptions {
  readonly workerId: string;
  /** A UUID of this process. */
  readonly incarnation: string;
  readonly failoverTimeMs: number;
  readonly workerMetricsReportIntervalMs: number;
  /**
   * How often to look whether another process asks for the id, or has it. Infinite for one that was made up for this process: nobody
   * else can have that.
   */
  readonly workerIdLookIntervalMs: number;
  /** So long a process that is asked may take to answer, before it is taken for dead. */
  readonly workerIdPatienceMs: number;
  readonly retryMs: number;
}

/** Another process that works under the id. */
export interface Rival {
  /** Undefined: it is none of ours, but a Java worker. */
  readonly process: WorkerProcess | undefined;
  /**
   * `live`: it was there first. `tookOver`: it asked, and this process did not answer in time. `shares`: it renews leases that
   * this process holds.
   */
  readonly how: 'live' | 'tookOver' | 'shares';
}

/** A process that has to answer, and by when. */
interface Question {
  readonly sign: WorkerSign;
  /** Whose question stands in the row, as far as is known: this process's, that of another one, which goes first, or nobody's. */
  asker: string | undefined;
  /** Until then something has to change in the row. Infinite while nobody asks: nobody is waited for. */
  patientUntil: number;
}

/** So often a row may be written over by what is no process of ours: a write of a dead one lingers once. */
const MOST_OVERWRITES = 1;
/** Who asked first takes over when its patience has ended, and shows itself so. Who finds it asking waits for that, with as much to spare. */
const ASKER_PATIENCES = 2;
/** So often it is looked for an answer. */
const LOOKS_A_PATIENCE = 6;

export class WorkerId {
  readonly #options: WorkerIdOptions;
  readonly #out: (Effect | Tell)[];
  #held = false;
  #rival: Rival | undefined;
  #question: Question | undefined;
  /** Whom the next report answers; whose row it may take the place of. */
  #answers: string | undefined;
  #over: WorkerSign | undefined;
  #overwriteCount = 0;
  #leaves = false;
  #declines: ReportWorker['declines'];
  #reporting = false;
  #reportAt = Number.POSITIVE_INFINITY;
  #looking = false;
  #lookedAt = 0;
  #lookAt = Number.POSITIVE_INFINITY;
  /** Counters of leases under the id, while a Java worker may be behind it. */
  readonly #counters = new Map<string, number>();
  readonly #foreign: ForeignRenewals;

  constructor(options: WorkerIdOptions, out: (Effect | Tell)[]) {
    this.#options = options;
    this.#out = out;
    this.#foreign = new ForeignRenewals(options);
  }

  /** Leases may be claimed. */
  get held(): boolean {
    return this.#held;
  }

  /** Who has the id in place of this process, which has to end. */
  get rival(): Rival | undefined {
    return this.#rival;
  }

  /** A report is under way, and may make the row anew. */
  get reporting(): boolean {
    return this.#reporting;
  }

  /** Another process could have the id as soon as this one has given it up. */
  get isShared(): boolean {
    return this.#options.workerIdLookIntervalMs !== Number.POSITIVE_INFINITY;
  }

  /** Another process may have this lease, as far as is known yet: it is not to be taken up. */
  mayBeShared(leaseKey: string): boolean {
    return this.#foreign.watches(leaseKey);
  }

  begin(now: number): void {
    this.#reportAt = now;
  }

  /** Says in the row that this process gets no more leases, but is still at work on those that it has. */
  leave(now: number): void {
    this.#leaves = true;
    this.#reportAt = now;
  }

  /** Says in the row, soon, which leases this worker wants none of. */
  decline(declines: ReportWorker['declines'], now: number): void {
    if (declines === this.#declines) return;
    this.#declines = declines;
    // Who has not got the id yet asks for it first.
    if (this.#held) this.#reportAt = now;
  }

  deadline(): number {
    if (this.#rival !== undefined) return Number.POSITIVE_INFINITY;
    return Math.min(
      this.#reporting ? Number.POSITIVE_INFINITY : this.#reportAt,
      this.#looking ? Number.POSITIVE_INFINITY : this.#lookAt,
    );
  }

  /** Puts out what is due. */
  advance(now: number): void {
    if (this.#rival !== undefined) return;
    if (!this.#reporting && now >= this.#reportAt) this.#report(now);
    if (!this.#looking && now >= this.#lookAt) this.#look(now);
  }

  /** False: the answer is none to this. */
  done(event: Done, now: number): boolean {
    if (answers(event, 'reportWorker')) {
      this.#reporting = false;
      if (event.result.applied) this.#reported(event.effect, now);
      else this.#refused(event.result.sign, now);
    } else if (answers(event, 'lookAtWorker')) {
      this.#looking = false;
      this.#lookAt = now + this.#options.workerIdLookIntervalMs;
      if (this.#question === undefined) this.#lookedAtOwn(event.result.sign, now);
      else this.#lookedAtOther(this.#question, event.result.sign, now);
    } else return false;
    return true;
  }

  /** Whether it was done is not known; it is asked again. */
  failed({ effect }: Failed, now: number): void {
    if (effect.kind === 'reportWorker') {
      this.#reporting = false;
      this.#reportAt = now + this.#options.retryMs;
    } else if (effect.kind === 'lookAtWorker') {
      this.#looking = false;
      this.#lookAt = now + this.#options.retryMs;
    }
  }

  /**
   * Leases under the id that this process does not hold: those of a live Java worker are renewed.
   * @param areAll it was looked for all of them.
   */
  found(leases: readonly Lease[], areAll: boolean, now: number): void {
    if (this.#foreign.found(leases, areAll, now)) this.#lose(undefined, 'shares');
    if (this.#question === undefined || this.#question.sign.process !== undefined) return;
    for (const lease of leases) {
      // One that is on its way here is renewed by the worker that still has it.
      if (actualOwner(lease) !== this.#options.workerId) continue;
      const { leaseKey, leaseCounter } = lease;
      const before = this.#counters.get(leaseKey) ?? leaseCounter;
      if (leaseCounter > before) this.#lose(undefined, 'live');
      this.#counters.set(leaseKey, leaseCounter);
    }
  }

  /**
   * A lease went to the id's own name, by a write that was not this process's: a leader's that gave it back after it was freed, or that of
   * another process, which would go on renewing it. An id that nobody can share leaves the leader alone.
   * @param lease as it is now.
   * @param writtenAfter when this process last wrote it for sure.
   */
  lost(lease: Lease, writtenAfter: number, now: number): void {
    if (!this.isShared) return;
    this.#foreign.lost(lease, writtenAfter, now);
    // A process of ours says so in the row.
    this.#lookAt = now;
  }

  #report(now: number): void {
    this.#reporting = true;
    this.#reportAt = now + this.#options.workerMetricsReportIntervalMs;
    const { workerId, incarnation: processId } = this.#options;
    const given = { over: this.#over, answers: this.#answers };
    const state = this.#leaves ? ({ utilization: LEAVES, leaves: true } as const) : this.#stateOf(this.#declines);
    this.#out.push({ kind: 'reportWorker', workerId, processId, ...state, ...given });
  }

  /** Who wants no further lease says so to leaders that know no other words, too. */
  #stateOf(declines: ReportWorker['declines']): Pick<ReportWorker, 'utilization' | 'declines'> {
    return { utilization: declines === 'all' ? LEAVES : NOTHING_MEASURED, ...(declines && { declines }) };
  }

  /**
   * A question is put until it is known to stand in the row, and in the place of nobody's but one that has stood there for too
   * long: were the last to ask the first to go, those who ask could keep each other waiting for ever. A Java worker can't be asked.
   */
  #look(now: number): void {
    this.#looking = true;
    this.#lookedAt = now;
    const { workerId, incarnation: by } = this.#options;
    const { sign, asker, patientUntil = 0 } = this.#question ?? {};
    const asks = sign?.process !== undefined && asker !== by && (asker === undefined || now >= patientUntil);
    this.#out.push({
      kind: 'lookAtWorker',
      workerId,
      ask: asks ? { by, of: sign.process.id, after: asker } : undefined,
    });
  }

  #reported({ answers: answered }: ReportWorker, now: number): void {
    this.#held = true;
    this.#question = undefined;
    this.#over = undefined;
    if (this.#answers === answered) this.#answers = undefined;
    this.#counters.clear();
    if (this.#lookAt === Number.POSITIVE_INFINITY) this.#lookAt = now + this.#options.workerIdLookIntervalMs;
  }

  #refused(sign: WorkerSign, now: number): void {
    if (this.#held) this.#takenFrom(sign, now);
    else this.#ask(sign, now);
  }

  /** The row is another's though it was this process's. Only a Java worker's may be a write that lingered. */
  #takenFrom(sign: WorkerSign, now: number): void {
    this.#overwriteCount += 1;
    if (sign.process !== undefined) this.#lose(sign.process, 'tookOver');
    else if (this.#overwriteCount > MOST_OVERWRITES) this.#lose(undefined, 'shares');
    else {
      this.#over = sign;
      this.#reportAt = now;
    }
  }

  /** The next report waits for the answer. */
  #ask(sign: WorkerSign, now: number): void {
    const { askedBy, process } = sign;
    const patienceMs =
      process === undefined ? RENEWAL_PATIENCE * this.#options.failoverTimeMs : this.#patienceMs(askedBy);
    this.#question = { sign, asker: askedBy, patientUntil: now + patienceMs };
    this.#reportAt = Number.POSITIVE_INFINITY;
    this.#lookAt = now;
  }

  #patienceMs(asker: string | undefined): number {
    if (asker === undefined) return Number.POSITIVE_INFINITY;
    const { incarnation, workerIdPatienceMs } = this.#options;
    return asker === incarnation ? workerIdPatienceMs : ASKER_PATIENCES * workerIdPatienceMs;
  }

  #lookedAtOther(question: Question, sign: WorkerSign | undefined, now: number): void {
    const { incarnation, workerIdPatienceMs } = this.#options;
    const { process } = question.sign;
    // It has left, or an earlier report of ours was applied.
    if (sign === undefined || sign.process?.id === incarnation) this.#takeOver(undefined, now);
    else if (sign.answers === incarnation && !sign.leaves) this.#lose(sign.process, 'live');
    else if (sign.process?.id !== process?.id) this.#ask(sign, now);
    else if (process === undefined && sign.lastUpdateSeconds !== question.sign.lastUpdateSeconds)
      this.#lose(undefined, 'live');
    else if (process !== undefined && sign.askedBy !== question.asker) {
      question.asker = sign.askedBy;
      question.patientUntil = now + this.#patienceMs(sign.askedBy);
      // Nobody asks any more: another one was answered, or this one by a process that leaves and is asked until it has gone; or a report
      // of before the question has lingered and taken its place.
      this.#lookAt = sign.askedBy === undefined ? now : now + workerIdPatienceMs / LOOKS_A_PATIENCE;
    } else if (this.#lookedAt < question.patientUntil)
      this.#lookAt = Math.min(question.patientUntil, now + workerIdPatienceMs / LOOKS_A_PATIENCE);
    else if (process === undefined || question.asker === incarnation) this.#takeOver(sign, now);
    else this.#lookAt = now + workerIdPatienceMs / LOOKS_A_PATIENCE;
  }

  #takeOver(sign: WorkerSign | undefined, now: number): void {
    this.#over = sign;
    this.#reportAt = now;
    this.#lookAt = Number.POSITIVE_INFINITY;
  }

  #lookedAtOwn(sign: WorkerSign | undefined, now: number): void {
    const { incarnation } = this.#options;
    if (!this.#held) return;
    if (sign?.process?.id === incarnation && sign.askedBy === undefined) return;
    // Somebody asks; or it was deleted by hand, or is another's: looks may be out of date, so the condition of a report decides.
    this.#answers = sign?.askedBy;
    this.#reportAt = now;
  }

  #lose(process: WorkerProcess | undefined, how: Rival['how']): void {
    this.#rival ??= { process, how };
    this.#held = false;
  }
}
