// The faults of a running server, as its owner handles them: rules come in checked, their counters come out. The plan beneath
// decides; this is its face for the test that started the server, and for the admin endpoint.
import { type Clock, UsageError } from '@shardline/common/base';
import { operations } from '../operations/index.ts';
import { FaultPlan, type FaultTarget, MAX_RULES, type PlannedRule, type Struck } from './fault-plan.ts';
import type { FaultReport, FaultRule } from './fault-rule.ts';
import { Holds } from './holds.ts';
import { checkedRule } from './rule-check.ts';

/** A rule that was added. Its counters are those of this moment, also after it was removed. */
export interface FaultHandle extends FaultReport, Disposable {
  /** The rule strikes no request any more. Idempotent. */
  remove(): void;
}

export interface LocalFaults {
  /** With the same seed, rules and requests, the same requests are struck. */
  readonly seed: number;
  /** Strikes requests from now on, after the rules that are there. @throws UsageError naming what is wrong with the rule */
  add(rule: FaultRule): FaultHandle;
  /** Removes all rules, those of the start too. */
  clear(): void;
  /** The rules that are there, in the order in which they were added. */
  list(): readonly FaultReport[];
}

interface FaultsOfServerOptions {
  /** Checked ones, of the start. */
  readonly faults: readonly FaultRule[];
  readonly faultSeed: number;
  readonly clock: Clock;
}

export class FaultsOfServer implements LocalFaults {
  /** The requests that faults keep. */
  readonly holds: Holds;
  readonly #options: FaultsOfServerOptions;
  readonly #plan: FaultPlan;

  constructor(options: FaultsOfServerOptions) {
    this.#options = options;
    this.holds = new Holds(options.clock);
    this.#plan = new FaultPlan(options.faultSeed);
    this.#begin();
  }

  get seed(): number {
    return this.#plan.seed;
  }

  add(rule: FaultRule): FaultHandle {
    const checked = checkedRule(rule, '', [...operations.keys()]);
    if (this.#plan.isFull) throw new UsageError('faults', `at most ${MAX_RULES} rules`, 'one more');
    return new Handle(this.#plan, this.#plan.add(checked, this.#options.clock.wallNow()));
  }

  clear(): void {
    this.#plan.clear();
  }

  list(): readonly FaultReport[] {
    return this.#plan.all().map((planned) => planned.report());
  }

  /** Undefined: there is no such rule. */
  get(id: string): FaultReport | undefined {
    return this.#plan.get(id)?.report();
  }

  remove(id: string): void {
    this.#plan.remove(id);
  }

  /** What strikes a request. `targetOf` is asked only if there are rules. */
  strike(targetOf: (now: number) => FaultTarget): Struck | undefined {
    if (this.#plan.isEmpty) return undefined;
    const now = this.#options.clock.wallNow();
    return this.#plan.strike(targetOf(now), now);
  }

  /** As at the start: its rules and no others, chance from the seed's beginning, and nothing held. */
  reset(): void {
    this.holds.release();
    this.#plan.restart();
    this.#begin();
  }

  close(): void {
    this.holds.release();
  }

  #begin(): void {
    const { faults, clock } = this.#options;
    for (const rule of faults) this.#plan.add(rule, clock.wallNow());
  }
}

class Handle implements FaultHandle {
  readonly #plan: FaultPlan;
  readonly #planned: PlannedRule;

  constructor(plan: FaultPlan, planned: PlannedRule) {
    this.#plan = plan;
    this.#planned = planned;
  }

  get id(): string {
    return this.#planned.id;
  }

  get rule(): FaultRule {
    return this.#planned.rule;
  }

  get considered(): number {
    return this.#planned.considered;
  }

  get applied(): number {
    return this.#planned.applied;
  }

  remove(): void {
    this.#plan.remove(this.id);
  }

  [Symbol.dispose](): void {
    this.remove();
  }
}
