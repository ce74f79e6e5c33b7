// Checks that the options of producer and consumer have in common. What is wrong is a UsageError that names the option.
// They know no option by name; each package keeps its own list, defaults and bounds.
import { describe, UsageError } from './errors.ts';

/**
 * A given object with the methods that are called of it, or undefined. By its methods and not by its class: it may come from
 * another copy of a package. @throws UsageError naming the option.
 */
export function checkPort<Port extends object>(
  name: string,
  port: Port | undefined,
  methods: readonly (keyof Port & string)[],
): Port | undefined {
  if (port === undefined) return undefined;
  const complete =
    typeof port === 'object' && port !== null && methods.every((method) => typeof port[method] === 'function');
  if (!complete) throw new UsageError(name, `an object with the methods ${methods.join(', ')}`, describe(port));
  return port;
}

/** @throws UsageError naming the option. */
export function checkFlag(name: string, value: unknown, byDefault: boolean): boolean {
  if (value === undefined) return byDefault;
  if (typeof value === 'boolean') return value;
  throw new UsageError(name, 'true or false', describe(value));
}

/** A whole number within its bounds, or undefined. @param max default: none. @throws UsageError naming the option and its bounds. */
export function checkWholeNumber(
  name: string,
  value: unknown,
  min: number,
  max: number = Number.MAX_SAFE_INTEGER,
): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max) return value;
  const upTo = max === Number.MAX_SAFE_INTEGER ? 'on' : `to ${max}`;
  throw new UsageError(name, `a whole number from ${min} ${upTo}`, describe(value));
}

export interface NamesCheck {
  /** What a member is. Default `a known option`. */
  readonly expected?: string;
  /** What names a member in an error, as in `streams[0].name`. */
  readonly owner?: string;
  /** What names the object itself. Default `options`. */
  readonly self?: string;
  /** What to do instead, for names that `nearestName` has no answer to. */
  readonly hints?: Readonly<Record<string, string>>;
}

/**
 * An object that has no members but the known ones.
 * @throws UsageError naming the object, or its first member that is unknown, with what was probably meant.
 */
export function checkNames(
  given: unknown,
  knownNames: readonly string[],
  { expected = 'a known option', owner, self = 'options', hints = {} }: NamesCheck = {},
): void {
  if (typeof given !== 'object' || given === null) throw new UsageError(self, 'an object', describe(given));
  for (const name of Object.keys(given)) {
    if (knownNames.includes(name)) continue;
    const field = owner === undefined ? name : `${owner}.${name}`;
    const hint = Object.hasOwn(hints, name) ? `; ${hints[name]}` : nearestName(name, knownNames);
    throw new UsageError(field, expected, `an unknown one${hint}`);
  }
}

/** One of some words, or undefined. @throws UsageError naming the option and the words. */
export function checkWord<Word extends string>(name: string, value: unknown, words: readonly Word[]): Word | undefined {
  if (value === undefined) return undefined;
  const word = words.find((each) => each === value);
  if (word !== undefined) return word;
  const quoted = words.map((each) => `'${each}'`);
  throw new UsageError(name, `${quoted.slice(0, -1).join(', ')} or ${quoted.at(-1)}`, describe(value));
}

/** What is said behind a name that is not known: the one that was meant, or all. A beginning means the first known name that goes on from it. */
export function nearestName(name: string, knownNames: readonly string[]): string {
  const plain = plainOf(name);
  const found = knownNames.find((known) => known.toLowerCase().startsWith(plain)) ?? meantName(name, knownNames);
  return found === undefined ? `; known are ${knownNames.join(', ')}` : `; did you mean ${found}?`;
}

/**
 * The one of some names that another is a slip of: the same but for case, the unit behind it, an `on` in front, or a letter or two that
 * are missing, more, others or changed over. `shardEnd` means `shardEnded`, `recordTtlMillis` (as the KPL has it) `recordTtlMs`.
 */
export function meantName(name: string, knownNames: readonly string[]): string | undefined {
  const plain = plainOf(name);
  let meant: { readonly known: string; readonly slips: number } | undefined;
  for (const known of knownNames) {
    const other = plainOf(known);
    const slips = Math.min(slipsBetween(plain, other), slipsBetween(plain.replace(/^on/, ''), other));
    if (slips <= mostSlips(other) && slips < (meant?.slips ?? Number.POSITIVE_INFINITY)) meant = { known, slips };
  }
  return meant?.known;
}

/** In a short word two others would make another word. */
function mostSlips(word: string): number {
  return word.length < 8 ? 1 : 2;
}

function plainOf(name: string): string {
  return name.toLowerCase().replace(/(in)?(milliseconds|millis|ms)$/, '');
}

/** Letters to be added, left out, replaced or changed over until one is the other; infinite: too many to be looked into. */
function slipsBetween(one: string, other: string): number {
  if (Math.abs(one.length - other.length) > mostSlips(other)) return Number.POSITIVE_INFINITY;
  const rows = [Array.from({ length: other.length + 1 }, (_, column) => column)];
  const at = (row: number, column: number): number => rows[row]?.[column] ?? Number.POSITIVE_INFINITY;
  for (let row = 1; row <= one.length; row += 1) {
    const next = [row];
    rows.push(next);
    for (let column = 1; column <= other.length; column += 1) {
      const replaced = at(row - 1, column - 1) + (one[row - 1] === other[column - 1] ? 0 : 1);
      const isSwap = one[row - 2] === other[column - 1] && one[row - 1] === other[column - 2];
      const swapped = isSwap ? at(row - 2, column - 2) + 1 : replaced;
      next.push(Math.min(replaced, swapped, at(row - 1, column) + 1, at(row, column - 1) + 1));
    }
  }
  return at(one.length, other.length);
}
