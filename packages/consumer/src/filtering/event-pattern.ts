// A pattern in EventBridge's language, read once into a test of events: every field that it names must match one of the values listed for
// it; `$or` makes several rules of one. Pure. Fields go by their paths with dots, so that `{ "a.b": [1] }` and `{ "a": { "b": [1] } }`
// are the same, in patterns and events alike, as in AWS's rule engine (software.amazon.event.ruler, 2.1.0).
// Invariant: what matches comes from one element of each list of objects that it went through, the same for all fields.
import { describe, UsageError } from '@shardline/common';
import { ExactNumber, type JsonValue } from './exact-json.ts';
import { type PatternValue, readPatternValue, type Scalar } from './pattern-values.ts';

export interface EventPattern {
  /** Every field that it asks for, by its path with dots; of one in several rules what each lists. */
  readonly fields: readonly { readonly path: string; readonly listed: readonly JsonValue[] }[];
  matches(event: JsonValue): boolean;
}

/** What is listed for a field, as it was given and as it was read. */
interface Listed {
  readonly given: readonly JsonValue[];
  readonly values: readonly PatternValue[];
}

/** By the paths of the fields. */
type Rule = ReadonlyMap<string, Listed>;

/** So many rules may the `$or`s of a pattern make: EventBridge's own limit. */
const MAX_RULES = 1_000;
/** What stands in `$or` by these names is most likely an operator in the wrong place, so the engine refuses it. */
const RESERVED_IN_OR: ReadonlySet<string> = new Set([
  ...['exactly', 'equals-ignore-case', 'prefix', 'suffix', 'anything-but', 'exists', 'wildcard', 'numeric', 'cidr'],
  ...['=', '<', '<=', '>', '>=', 'regex', 'not-wildcard', 'not-equals-ignore-case'],
  ...['date-after', 'date-on-or-after', 'date-before', 'date-on-or-before', 'in-date-range'],
  ...['ip-address-in-range', 'ip-address-not-in-range'],
]);

/** @throws UsageError naming the place in the pattern, and what was expected there. */
export function readEventPattern(pattern: JsonValue): EventPattern {
  const rules = readFields(pattern, [], [new Map()], false);
  const tests = rules.map((rule) => testOf(rule));
  return {
    fields: rules.flatMap((rule) => [...rule].map(([path, { given }]) => ({ path, listed: given }))),
    matches: (event) => tests.some((test) => test(event)),
  };
}

/** Adds what an object of the pattern says to each of the rules so far. */
function readFields(given: JsonValue, path: readonly string[], rules: readonly Rule[], inOr: boolean): readonly Rule[] {
  const at = path.join('.') || 'pattern';
  if (!isObject(given)) throw new UsageError(at, 'an object of fields', describe(given));
  const fields = Object.entries(given);
  if (fields.length === 0) throw new UsageError(at, 'at least one field', 'an empty object');
  let made = rules;
  for (const [name, value] of fields) {
    const inside = [...path, name];
    const place = inside.join('.');
    if (name === '$or') made = readOr(value, path, made);
    else if (inOr && RESERVED_IN_OR.has(name)) throw new UsageError(place, "a field's name in $or", 'an operator');
    else if (Array.isArray(value)) made = withValues(made, place, value);
    else if (isObject(value)) made = readFields(value, inside, made, inOr);
    else throw new UsageError(place, 'a list of values, or an object of fields', describe(value));
  }
  return made;
}

function readOr(given: JsonValue, path: readonly string[], rules: readonly Rule[]): readonly Rule[] {
  const at = [...path, '$or'].join('.');
  if (!Array.isArray(given) || given.length < 2)
    throw new UsageError(
      at,
      'a list of two patterns or more',
      Array.isArray(given) ? `a list of ${given.length}` : describe(given),
    );
  const made = given.flatMap((each: JsonValue) => readFields(each, path, rules, true));
  if (made.length > MAX_RULES) throw new UsageError(at, `${MAX_RULES} combinations at most`, String(made.length));
  return made;
}

function withValues(rules: readonly Rule[], path: string, given: readonly JsonValue[]): readonly Rule[] {
  if (given.length === 0) throw new UsageError(path, 'at least one value', 'an empty list');
  const values = given.map((value, index) => readPatternValue(value, `${path}[${index}]`));
  return rules.map((rule) => new Map([...rule, [path, { given, values }]]));
}

/** The rest of a path. A name may have dots in it, so it leads on by any of its heads. */
interface Path {
  readonly heads: readonly { readonly name: string; readonly whole: string; readonly rest: Path | undefined }[];
}

interface Field {
  readonly name: string;
  readonly path: Path;
  readonly canBeAbsent: boolean;
  test(value: Scalar): boolean;
}

/** An element of a list that was gone through, and where that list is. */
interface Place {
  readonly list: readonly JsonValue[];
  readonly index: number;
  readonly path: string;
}

type Visitor = (value: Scalar, places: readonly Place[]) => boolean;

const ANYWHERE: readonly Place[] = [];

function testOf(rule: Rule): (event: JsonValue) => boolean {
  // In the engine's order: whether a field is absent is asked of the elements that the fields before it were found in.
  const fields = [...rule].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, { values }]) => fieldOf(name, values));
  return (event) => new Search(fields, event).matchesFrom(0, ANYWHERE);
}

function fieldOf(name: string, values: readonly PatternValue[]): Field {
  const tests = values.filter((value) => value !== 'absent');
  const [only] = tests;
  return {
    name,
    path: pathOf(name.split('.'), []),
    canBeAbsent: tests.length < values.length,
    test: tests.length === 1 && only !== undefined ? only : (value) => tests.some((test) => test(value)),
  };
}

function pathOf(names: readonly string[], before: readonly string[]): Path {
  return {
    heads: names.map((_, index) => {
      const head = names.slice(0, index + 1);
      const gone = [...before, ...head];
      const rest = names.slice(index + 1);
      return { name: head.join('.'), whole: gone.join('.'), rest: rest.length === 0 ? undefined : pathOf(rest, gone) };
    }),
  };
}

/** One rule on its way through one event. */
class Search {
  readonly #fields: readonly Field[];
  readonly #event: JsonValue;
  /** From these fields on nothing matches, wherever those before them were found. */
  #hopeless: Set<number> | undefined;

  constructor(fields: readonly Field[], event: JsonValue) {
    this.#fields = fields;
    this.#event = event;
  }

  matchesFrom(index: number, given: readonly Place[]): boolean {
    const field = this.#fields[index];
    if (field === undefined) return true;
    const places = given.length === 0 ? given : this.#thatMatter(index, given);
    if (places.length === 0 && this.#hopeless?.has(index)) return false;
    let isThere = false;
    let failed: readonly Place[] | undefined;
    const found = visit(this.#event, field.path, '', places, (value, from) => {
      isThere = true;
      // A list of a thousand values has a thousand ways to get no further.
      if (from === failed || !field.test(value)) return false;
      if (this.matchesFrom(index + 1, from)) return true;
      failed = from;
      return false;
    });
    if (found || (field.canBeAbsent && !isThere && this.matchesFrom(index + 1, places))) return true;
    if (places.length === 0) {
      this.#hopeless ??= new Set();
      this.#hopeless.add(index);
    }
    return false;
  }

  /** The places that a field from this one on could come through as well. */
  #thatMatter(index: number, places: readonly Place[]): readonly Place[] {
    const later = this.#fields.slice(index);
    const kept = places.filter(({ path }) => later.some(({ name }) => name === path || name.startsWith(`${path}.`)));
    return kept.length === places.length ? places : kept;
  }
}

/** Each value at a path, through all lists, that agrees with the places so far, until it is enough. @returns whether it ever was. */
function visit(
  node: JsonValue | undefined,
  path: Path | undefined,
  gone: string,
  places: readonly Place[],
  isEnough: Visitor,
): boolean {
  if (node === undefined) return false;
  if (Array.isArray(node)) return visitList(node, path, gone, places, isEnough);
  if (!isObject(node)) return path === undefined && isEnough(node as Scalar, places);
  if (path === undefined) return false;
  for (const { name, whole, rest } of path.heads) {
    if (Object.hasOwn(node, name) && visit(node[name], rest, whole, places, isEnough)) return true;
  }
  return false;
}

function visitList(
  list: readonly JsonValue[],
  path: Path | undefined,
  gone: string,
  places: readonly Place[],
  isEnough: Visitor,
): boolean {
  const chosen = places.find((place) => place.list === list);
  if (chosen !== undefined && visit(list[chosen.index], path, gone, places, isEnough)) return true;
  // Of a list at which the path ends the plain values are in the list, but in no element of it.
  if (chosen !== undefined && path !== undefined) return false;
  for (const [index, item] of list.entries()) {
    if (!isObject(item) && !Array.isArray(item)) {
      if (path === undefined && isEnough(item as Scalar, places)) return true;
    } else if (chosen === undefined && visit(item, path, gone, [...places, { list, index, path: gone }], isEnough))
      return true;
  }
  return false;
}

function isObject(value: JsonValue): value is { readonly [name: string]: JsonValue } {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof ExactNumber);
}
