// The decision, and nothing else: rules in; for each request, what strikes it. No clock, no I/O, no chance but the seed's. Each
// rule draws from a sequence of its own, once for everything it is about, so that the same seed and the same requests give the
// same faults, and one rule's draws do not move when another is added or removed.
import { unreachable } from '@shardline/common/base';
import type { RecordErrorCode } from '../../model/index.ts';
import {
  type Amount,
  type Breakage,
  type FaultReport,
  type FaultRule,
  MAX_DELAY_MS,
  messageOf,
  statusOf,
} from './fault-rule.ts';

/** What a rule may ask about a request. */
export interface FaultTarget {
  readonly operation: string;
  readonly accountId: string;
  readonly region: string;
  /** Undefined for an operation on no stream. */
  readonly stream: string | undefined;
  /** Worked out when a rule asks. */
  readonly shardIds: () => readonly string[];
}

/** The one fault that decides what becomes of a request, all amounts drawn. */
export type Ending =
  | { readonly kind: 'error'; readonly type: string; readonly status: number; readonly message: string }
  | { readonly kind: 'dropConnection' | 'truncateAnswer'; readonly by: Breakage }
  | { readonly kind: 'loseAnswer'; readonly by: Breakage | 'silence' }
  | { readonly kind: 'stall' }
  | { readonly kind: 'corruptEvents'; readonly afterEvents: number }
  | EventsEnding;

/** What ends the events of a subscription, or their coming. */
export interface EventsEnding {
  readonly kind: 'events';
  readonly what:
    | { readonly kind: 'cut'; readonly by: Breakage }
    | { readonly kind: 'stall' }
    | { readonly kind: 'fail'; readonly type: string; readonly message: string }
    | { readonly kind: 'end' };
  readonly after: { readonly events: number } | { readonly bytes: number };
}

/** What strikes a request. */
export interface Struck {
  readonly beforeApplyMs: number;
  readonly beforeAnswerMs: number;
  readonly ending: Ending | undefined;
  /** For PutRecords: whether a record that goes to that shard is refused. To be asked once for each record, in order. */
  readonly refuseRecord: ((shardId: string) => RecordErrorCode | undefined) | undefined;
}

/** Above, a rule is refused: each costs every request a look. */
export const MAX_RULES = 1_000;

export class FaultPlan {
  readonly seed: number;
  readonly #rules: Map<string, PlannedRule> = new Map();
  #lastId = 0;
  #sequence = 0;

  /** `seed`: a whole number of 32 bits. */
  constructor(seed: number) {
    this.seed = seed;
  }

  get isEmpty(): boolean {
    return this.#rules.size === 0;
  }

  get isFull(): boolean {
    return this.#rules.size >= MAX_RULES;
  }

  /** Adds a checked rule. Rules are considered in the order in which they were added. */
  add(rule: FaultRule, now: number): PlannedRule {
    const id = String(++this.#lastId);
    const planned = new PlannedRule(id, rule, drawsOf(this.seed, this.#sequence++), now);
    this.#rules.set(id, planned);
    return planned;
  }

  get(id: string): PlannedRule | undefined {
    return this.#rules.get(id);
  }

  all(): PlannedRule[] {
    return [...this.#rules.values()];
  }

  remove(id: string): void {
    this.#rules.delete(id);
  }

  clear(): void {
    this.#rules.clear();
  }

  /** Without rules, and from the beginning of the seed's sequences: what is added now draws as if it were the first. */
  restart(): void {
    this.#rules.clear();
    this.#sequence = 0;
  }

  /**
   * What strikes this request, if anything. All delays that strike add up. Of the other faults the first one that strikes
   * decides, and the rules after it are not considered.
   */
  strike(target: FaultTarget, now: number): Struck | undefined {
    let beforeApplyMs = 0;
    let beforeAnswerMs = 0;
    let ending: Ending | undefined;
    const perRecord: PlannedRule[] = [];
    for (const planned of this.#rules.values()) {
      if (!planned.isAbout(target, now)) continue;
      const { rule } = planned;
      if (planned.isPerRecordIn(target.operation)) {
        perRecord.push(planned);
      } else if (rule.kind === 'delay') {
        if (!planned.strikes()) continue;
        beforeApplyMs += planned.amount(rule.beforeApplyMs ?? 0);
        beforeAnswerMs += planned.amount(rule.beforeAnswerMs ?? 0);
      } else if (ending === undefined && planned.strikes()) {
        ending = endingOf(planned, rule, target);
      }
    }
    if (ending === undefined && perRecord.length === 0 && beforeApplyMs + beforeAnswerMs === 0) return undefined;
    return {
      beforeApplyMs: Math.min(beforeApplyMs, MAX_DELAY_MS),
      beforeAnswerMs: Math.min(beforeAnswerMs, MAX_DELAY_MS),
      ending,
      refuseRecord: perRecord.length === 0 ? undefined : (shardId) => refusalOf(perRecord, shardId),
    };
  }
}

/** A rule at work. */
export class PlannedRule implements FaultReport {
  readonly id: string;
  readonly rule: FaultRule;
  readonly #operations: ReadonlySet<string> | undefined;
  readonly #addedMs: number;
  readonly #draw: () => number;
  #considered = 0;
  #applied = 0;

  constructor(id: string, rule: FaultRule, draw: () => number, now: number) {
    this.id = id;
    this.rule = rule;
    this.#operations = operationsOf(rule);
    this.#draw = draw;
    this.#addedMs = now;
  }

  get considered(): number {
    return this.#considered;
  }

  get applied(): number {
    return this.#applied;
  }

  report(): FaultReport {
    return { id: this.id, rule: this.rule, considered: this.#considered, applied: this.#applied };
  }

  isAbout(target: FaultTarget, now: number): boolean {
    const { kind, accountId, region, stream, shardId, fromMs = 0, untilMs = Number.POSITIVE_INFINITY } = this.rule;
    const ageMs = now - this.#addedMs;
    return (
      (this.#operations?.has(target.operation) ?? true) &&
      (kind !== 'truncateAnswer' || target.operation !== SUBSCRIBE) &&
      (accountId === undefined || accountId === target.accountId) &&
      (region === undefined || region === target.region) &&
      (stream === undefined || stream === target.stream) &&
      ageMs >= fromMs &&
      ageMs < untilMs &&
      // The dearest question last. Of a rule by record, each record is asked.
      (shardId === undefined || this.isPerRecordIn(target.operation) || target.shardIds().includes(shardId))
    );
  }

  /** Whether it goes through such a request record by record. */
  isPerRecordIn(operation: string): boolean {
    const { rule } = this;
    if (operation !== 'PutRecords' || (rule.kind !== 'throttle' && rule.kind !== 'error')) return false;
    return rule.perRecord ?? (rule.kind === 'throttle' && rule.shardId !== undefined);
  }

  /** Considers one request or record that it is about. Draws once, whatever comes of it. */
  strikes(): boolean {
    const { probability = 1, count = Number.POSITIVE_INFINITY, after = 0 } = this.rule;
    this.#considered++;
    const drawn = this.#draw();
    if (this.#considered <= after || this.#applied >= count || drawn >= probability) return false;
    this.#applied++;
    return true;
  }

  amount(amount: Amount): number {
    if (typeof amount === 'number') return amount;
    const [from, to] = amount;
    return from + Math.floor(this.#draw() * (to - from + 1));
  }
}

const SUBSCRIBE = 'SubscribeToShard';
/** Those that AWS throttles by a shard's throughput; it throttles the others by calls, and says LimitExceededException. */
const BY_THROUGHPUT: ReadonlySet<string> = new Set(['PutRecord', 'PutRecords', 'GetRecords', 'GetShardIterator']);

/** Undefined: all of them. */
function operationsOf({ kind, operation }: FaultRule): ReadonlySet<string> | undefined {
  if (kind.endsWith('Events')) return new Set([SUBSCRIBE]);
  if (operation === undefined) return undefined;
  return new Set(typeof operation === 'string' ? [operation] : operation);
}

function refusalOf(rules: readonly PlannedRule[], shardId: string): RecordErrorCode | undefined {
  for (const planned of rules) {
    const { rule } = planned;
    if (rule.shardId !== undefined && rule.shardId !== shardId) continue;
    if (planned.strikes())
      return rule.kind === 'throttle' ? 'ProvisionedThroughputExceededException' : 'InternalFailure';
  }
  return undefined;
}

function endingOf(planned: PlannedRule, rule: Exclude<FaultRule, { kind: 'delay' }>, target: FaultTarget): Ending {
  switch (rule.kind) {
    case 'throttle':
      return throttled(rule.shardId, target);
    case 'error': {
      const { type, status = statusOf(type), message = messageOf(type) } = rule;
      return { kind: 'error', type, status, message };
    }
    case 'loseAnswer':
      return { kind: 'loseAnswer', by: rule.by ?? 'session' };
    case 'dropConnection':
    case 'truncateAnswer':
      return { kind: rule.kind, by: rule.by ?? 'session' };
    case 'stall':
      return { kind: 'stall' };
    case 'corruptEvents':
      return { kind: 'corruptEvents', afterEvents: planned.amount(rule.afterEvents ?? 0) };
    case 'cutEvents':
      return eventsEnding({ kind: 'cut', by: rule.by ?? 'session' }, planned, rule);
    case 'stallEvents':
      return eventsEnding({ kind: 'stall' }, planned, rule);
    case 'failEvents':
      return eventsEnding(
        { kind: 'fail', type: rule.type, message: rule.message ?? messageOf(rule.type) },
        planned,
        rule,
      );
    case 'endEvents':
      return eventsEnding({ kind: 'end' }, planned, rule);
    default:
      return unreachable(rule);
  }
}

/** The message names account, stream and shard, as far as they are known. */
function throttled(shardId: string | undefined, { operation, accountId, stream }: FaultTarget): Ending {
  const type = BY_THROUGHPUT.has(operation) ? 'ProvisionedThroughputExceededException' : 'LimitExceededException';
  const where = stream === undefined ? '' : `stream ${stream} under `;
  const shard = shardId === undefined ? '' : `shard ${shardId} in `;
  return { kind: 'error', type, status: 400, message: `Rate exceeded for ${shard}${where}account ${accountId}.` };
}

function eventsEnding(
  what: EventsEnding['what'],
  planned: PlannedRule,
  { afterEvents = 0, afterBytes }: { readonly afterEvents?: Amount; readonly afterBytes?: Amount },
): EventsEnding {
  const after =
    afterBytes === undefined ? { events: planned.amount(afterEvents) } : { bytes: planned.amount(afterBytes) };
  return { kind: 'events', what, after };
}

/** The n-th sequence of numbers 0 ≤ x < 1 of a seed: mulberry32, begun where the seed and n together say. */
function drawsOf(seed: number, n: number): () => number {
  let state = mixed((seed ^ mixed(Math.imul(n + 1, 0x9e37_79b9) >>> 0)) >>> 0);
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    return mixed(state) / 2 ** 32;
  };
}

function mixed(state: number): number {
  let bits = Math.imul(state ^ (state >>> 15), state | 1);
  bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
  return (bits ^ (bits >>> 14)) >>> 0;
}
