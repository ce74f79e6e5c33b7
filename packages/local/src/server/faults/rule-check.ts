// The check of a rule, wherever it came from: an option, a call, the admin endpoint, the command line. What is wrong is a
// UsageError that names the member. A rule that passed is a copy: what its giver does with the original later changes nothing.
import { describe, nearestName, UsageError } from '@shardline/common/base';
import { type FaultKind, type FaultRule, type FaultScope, MAX_DELAY_MS } from './fault-rule.ts';

/** Looks at one member. `name` is its whole path, for the message. */
type MemberCheck = (value: unknown, name: string) => void;
type MemberChecks = Readonly<Record<string, MemberCheck>>;

const BREAKAGES = ['stream', 'session'];
const MAX_EVENTS = 1_000_000;
/** Times after which a rule begins and ends; a year. */
const MAX_AGE_MS = 366 * 86_400_000;

const error: MemberChecks = { type: errorType, message: text };
const afterEvents: MemberChecks = { afterEvents: amount(MAX_EVENTS) };
const afterEventsOrBytes: MemberChecks = { ...afterEvents, afterBytes: amount(Number.MAX_SAFE_INTEGER) };

const membersByKind: Readonly<Record<FaultKind, MemberChecks>> = {
  throttle: { perRecord: flag },
  error: { ...error, status: wholeNumber(400, 599), perRecord: flag },
  dropConnection: { by: oneOf(BREAKAGES) },
  loseAnswer: { by: oneOf([...BREAKAGES, 'silence']) },
  delay: { beforeApplyMs: amount(MAX_DELAY_MS), beforeAnswerMs: amount(MAX_DELAY_MS) },
  truncateAnswer: { by: oneOf(BREAKAGES) },
  stall: {},
  cutEvents: { ...afterEventsOrBytes, by: oneOf(BREAKAGES) },
  stallEvents: afterEventsOrBytes,
  failEvents: { ...error, ...afterEvents },
  endEvents: afterEvents,
  corruptEvents: afterEvents,
};

const scopeMembers: Readonly<Record<Exclude<keyof FaultScope, 'operation'>, MemberCheck>> = {
  accountId: matching(/^\d{12}$/, '12 digits'),
  region: matching(/^[a-z0-9-]{1,64}$/, 'a region such as us-east-1'),
  stream: matching(/^[a-zA-Z0-9_.-]{1,128}$/, "a stream's name, 1 to 128 of a-z A-Z 0-9 _ . -"),
  shardId: matching(/^[a-zA-Z0-9_.-]{1,128}$/, 'a shard id such as shardId-000000000000'),
  probability: aShare,
  count: wholeNumber(1, Number.MAX_SAFE_INTEGER),
  after: wholeNumber(0, Number.MAX_SAFE_INTEGER),
  fromMs: wholeNumber(0, MAX_AGE_MS),
  untilMs: wholeNumber(0, MAX_AGE_MS),
};

/**
 * A copy of the rule. `field` is where it stands, such as `faults[0]`; empty for one that stands alone.
 * @throws UsageError naming the member, also for one that does not exist
 */
export function checkedRule(given: unknown, field: string, operationNames: readonly string[]): FaultRule {
  const at = (name: string): string => (field === '' ? name : `${field}.${name}`);
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new UsageError(field === '' ? 'rule' : field, "a rule such as { kind: 'throttle' }", describe(given));
  }
  const { kind } = given as { kind?: unknown };
  oneOf(Object.keys(membersByKind))(kind, at('kind'));
  const checks: MemberChecks = {
    kind: () => undefined,
    operation: (value, name) => checkOperations(value, name, operationNames),
    ...scopeMembers,
    ...membersByKind[kind as FaultKind],
  };
  const rule: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(given)) {
    const check = Object.hasOwn(checks, name) ? checks[name] : undefined;
    if (check === undefined) {
      const got = `an unknown one${nearestName(name, Object.keys(checks))}`;
      throw new UsageError(at(name), `a member of the kind ${String(kind)}`, got);
    }
    // As with options, undefined is absent.
    if (value === undefined) continue;
    check(value, at(name));
    rule[name] = Array.isArray(value) ? Object.freeze([...value]) : value;
  }
  const checked = Object.freeze(rule) as unknown as FaultRule;
  checkTogether(checked, at);
  return checked;
}

/** What no member can say by itself. */
function checkTogether(rule: FaultRule, at: (name: string) => string): void {
  const { fromMs = 0, untilMs = Number.POSITIVE_INFINITY } = rule;
  if (untilMs <= fromMs) throw new UsageError(at('untilMs'), `more than fromMs, ${fromMs}`, describe(untilMs));
  if (rule.kind === 'delay' && rule.beforeApplyMs === undefined && rule.beforeAnswerMs === undefined) {
    throw new UsageError(at('beforeApplyMs'), 'it, beforeAnswerMs, or both', 'neither');
  }
  if ((rule.kind === 'error' || rule.kind === 'failEvents') && rule.type === undefined) {
    throw new UsageError(at('type'), "an AWS error's name, such as InternalFailure", 'none');
  }
  if ('afterEvents' in rule && 'afterBytes' in rule) {
    throw new UsageError(at('afterBytes'), 'either afterEvents or afterBytes', 'both');
  }
  checkOperationsSuit(rule, at);
  checkPerRecord(rule, at);
}

function checkOperationsSuit({ kind, operation }: FaultRule, at: (name: string) => string): void {
  if (operation === undefined) return;
  const names = typeof operation === 'string' ? [operation] : operation;
  if (kind.endsWith('Events') && names.some((name) => name !== 'SubscribeToShard')) {
    throw new UsageError(at('operation'), `SubscribeToShard or none, with the kind ${kind}`, describe(operation));
  }
  if (kind === 'truncateAnswer' && names.includes('SubscribeToShard')) {
    throw new UsageError(at('operation'), 'others, and the kind cutEvents for SubscribeToShard', describe(operation));
  }
}

function checkPerRecord(rule: FaultRule, at: (name: string) => string): void {
  if ((rule.kind !== 'throttle' && rule.kind !== 'error') || rule.perRecord !== true) return;
  const { operation = 'PutRecords' } = rule;
  if (!(typeof operation === 'string' ? [operation] : operation).includes('PutRecords')) {
    throw new UsageError(at('perRecord'), 'the operation PutRecords', describe(operation));
  }
  if (rule.kind !== 'error') return;
  if (rule.type !== 'InternalFailure') {
    throw new UsageError(at('type'), 'InternalFailure, with perRecord', describe(rule.type));
  }
  for (const name of ['status', 'message'] as const) {
    if (rule[name] !== undefined) throw new UsageError(at(name), 'none, with perRecord', describe(rule[name]));
  }
}

function checkOperations(value: unknown, name: string, known: readonly string[]): void {
  const given: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (given.length === 0) throw new UsageError(name, 'at least one operation', describe(value));
  for (const one of given) {
    if (typeof one === 'string' && known.includes(one)) continue;
    const hint = typeof one === 'string' ? nearestName(one, known) : '';
    throw new UsageError(name, 'an operation of the Kinesis API, or an array of them', `${describe(one)}${hint}`);
  }
}

function oneOf(values: readonly string[]): MemberCheck {
  return (value, name) => {
    if (typeof value === 'string' && values.includes(value)) return;
    throw new UsageError(name, `one of ${values.join(', ')}`, describe(value));
  };
}

function matching(pattern: RegExp, expected: string): MemberCheck {
  return (value, name) => {
    if (typeof value !== 'string' || !pattern.test(value)) throw new UsageError(name, expected, describe(value));
  };
}

function errorType(value: unknown, name: string): void {
  matching(/^[A-Za-z][A-Za-z0-9]{0,127}$/, "an AWS error's name, such as InternalFailure")(value, name);
}

function text(value: unknown, name: string): void {
  if (typeof value !== 'string' || value.length > 1_000) {
    throw new UsageError(name, 'a text of at most 1000 characters', describe(value));
  }
}

function flag(value: unknown, name: string): void {
  if (typeof value !== 'boolean') throw new UsageError(name, 'true or false', describe(value));
}

function aShare(value: unknown, name: string): void {
  if (typeof value !== 'number' || !(value >= 0 && value <= 1)) {
    throw new UsageError(name, 'a number from 0 to 1', describe(value));
  }
}

function wholeNumber(min: number, max: number): MemberCheck {
  return (value, name) => {
    if (!isWhole(value, min, max)) throw new UsageError(name, `a whole number from ${min} to ${max}`, describe(value));
  };
}

function amount(max: number): MemberCheck {
  return (value, name) => {
    const [from, to, ...more]: readonly unknown[] = Array.isArray(value) ? value : [value, value];
    if (isWhole(from, 0, max) && isWhole(to, 0, max) && from <= to && more.length === 0) return;
    const got = Array.isArray(value) ? JSON.stringify(value).slice(0, 80) : describe(value);
    throw new UsageError(name, `a whole number from 0 to ${max}, or a range of two, as in [10, 500]`, got);
  };
}

function isWhole(value: unknown, min: number, max: number): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max;
}
