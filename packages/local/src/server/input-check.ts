// Checks of a request's members: type, range, pattern. A check takes a parsed value and returns what the operation works with,
// or throws AWS's error: SerializationException for a wrong type, ValidationException for a broken constraint, naming the
// member as AWS does (`records.3.member.partitionKey`). Members that no check asks for are ignored, as on AWS.
import { KinesisError } from '../model/index.ts';
import { serializationError } from './wire-error.ts';
import { Timestamp, type WireFormat } from './wire-format.ts';

/** `value` is never undefined or null; `format` reads blobs and times. */
export type Check<T> = (value: unknown, format: WireFormat) => T;

export interface RequiredMember<T> {
  readonly kind: 'required';
  readonly check: Check<T>;
}
/** May be absent or null. */
export interface OptionalMember<T> {
  readonly kind: 'optional';
  readonly check: Check<T>;
}
export type Structure = Readonly<Record<string, RequiredMember<unknown> | OptionalMember<unknown>>>;
export type Checked<S extends Structure> = {
  readonly [Name in keyof S]: S[Name] extends RequiredMember<infer T>
    ? T
    : S[Name] extends OptionalMember<infer T>
      ? T | undefined
      : never;
};

/** Runs a check over a request's whole input. @throws KinesisError ValidationException, WireError SerializationException */
export function checkInput<T>(check: Check<T>, input: unknown, format: WireFormat): T {
  try {
    return check(input, format);
  } catch (error) {
    if (error instanceof Violation) throw new KinesisError('ValidationException', error.describe());
    throw error;
  }
}

/** How many units, entries or bytes. */
export interface Lengths {
  readonly min: number;
  readonly max: number;
}

export function required<T>(check: Check<T>): RequiredMember<T> {
  return { kind: 'required', check };
}

export function optional<T>(check: Check<T>): OptionalMember<T> {
  return { kind: 'optional', check };
}

export function structure<S extends Structure>(members: S): Check<Checked<S>> {
  const entries = Object.entries(members);
  return (value, format) => {
    if (typeof value !== 'object' || value === null || kindOf(value) !== 'a structure') {
      throw mistyped(value, 'a structure');
    }
    const given = value as Readonly<Record<string, unknown>>;
    const checked: Record<string, unknown> = {};
    let current = '';
    try {
      for (const [name, member] of entries) {
        current = name;
        const one = given[name];
        if (one !== undefined && one !== null) checked[name] = member.check(one, format);
        else if (member.kind === 'required') throw new Violation('null', 'Member must not be null');
      }
    } catch (error) {
      throw inside(lowerFirst(current), error);
    }
    return checked as Checked<S>;
  };
}

export function list<T>(item: Check<T>, { min, max }: Lengths): Check<T[]> {
  return (value, format) => {
    if (!Array.isArray(value)) throw mistyped(value, 'a list');
    if (value.length < min || value.length > max) throw badLength(`a list of ${value.length}`, value.length, min, max);
    let index = 0;
    try {
      return value.map((one, at) => {
        index = at;
        if (one === null) throw new Violation('null', 'Member must not be null');
        return item(one, format);
      });
    } catch (error) {
      throw inside(`${index + 1}.member`, error);
    }
  };
}

/** Texts of `min` to `max` units each; AWS names the list, not the entry, when one is shorter or longer. */
export function textList(entry: Lengths, lengths: Lengths): Check<string[]> {
  const check = list(unchecked, lengths);
  return (value, format) => {
    const texts = check(value, format);
    if (texts.every((one) => fits(one, entry))) return texts;
    throw new Violation(shown(`[${texts.join(', ')}]`), `Member must satisfy constraint: ${bothLengths(entry)}`);
  };
}

/** Texts by keys of `key` units and values of `value` units, as the entries of an object. */
export function textMap(key: Lengths, value: Lengths, { min, max }: Lengths): Check<Readonly<Record<string, string>>> {
  return (given, format) => {
    if (typeof given !== 'object' || given === null || Array.isArray(given) || given instanceof Uint8Array) {
      throw mistyped(given, 'a map');
    }
    const entries = Object.entries(given).map(([name, one]): [string, string] => [name, unchecked(one, format)]);
    const whole = shown(`{${entries.map(([name, one]) => `${name}=${one}`).join(', ')}}`);
    if (entries.length < min || entries.length > max) throw badLength(whole, entries.length, min, max);
    if (!entries.every(([name]) => fits(name, key))) {
      throw new Violation(whole, `Map keys must satisfy constraint: ${bothLengths(key)}`);
    }
    if (!entries.every(([, one]) => fits(one, value))) {
      throw new Violation(whole, `Map value must satisfy constraint: ${bothLengths(value)}`);
    }
    return Object.fromEntries(entries);
  };
}

/** `pattern` is the API reference's own, which matches the whole text and stands in the message. */
export function text({ min, max, pattern }: Lengths & { pattern?: string }): Check<string> {
  const whole = pattern === undefined ? undefined : new RegExp(`^(?:${pattern})$`);
  return (value) => {
    if (typeof value !== 'string') throw mistyped(value, 'a String');
    if (value.length < min || value.length > max) throw badLength(shown(value), value.length, min, max);
    if (whole?.test(value) === false) {
      throw new Violation(shown(value), `Member must satisfy regular expression pattern: ${pattern}`);
    }
    return value;
  };
}

export function oneOf<const T extends string>(...values: readonly T[]): Check<T> {
  return (value) => {
    if (typeof value !== 'string') throw mistyped(value, 'a String');
    const found = values.find((each) => each === value);
    if (found !== undefined) return found;
    throw new Violation(shown(value), `Member must satisfy enum value set: [${values.join(', ')}]`);
  };
}

export function integer({ min, max }: { min: number; max: number }): Check<number> {
  return (value) => {
    if (typeof value !== 'number') throw mistyped(value, 'an Integer');
    const whole = Math.floor(value);
    if (!(whole >= min)) throw new Violation(`'${value}'`, `Member must have value greater than or equal to ${min}`);
    if (whole > max) throw new Violation(`'${value}'`, `Member must have value less than or equal to ${max}`);
    return whole;
  };
}

export const boolean: Check<boolean> = (value) => {
  if (typeof value !== 'boolean') throw mistyped(value, 'a Boolean');
  return value;
};

/** At most `maxBytes` once decoded. */
export function blob(maxBytes: number): Check<Uint8Array> {
  return (value, format) => {
    const bytes = format.blobOf(value);
    if (bytes === undefined) throw mistyped(value, 'a Blob');
    if (bytes.byteLength > maxBytes)
      throw badLength(`a blob of ${bytes.byteLength} bytes`, bytes.byteLength, 0, maxBytes);
    return bytes;
  };
}

/** Milliseconds since 1970. */
export const timestamp: Check<number> = (value, format) => {
  const ms = format.timestampOf(value);
  if (ms === undefined || !Number.isFinite(ms)) throw mistyped(value, 'a Timestamp');
  return ms;
};

/** A constraint that does not hold; gathers the way to the member while it travels up. */
class Violation extends Error {
  readonly path: string[] = [];
  readonly #value: string;
  readonly #rule: string;

  constructor(value: string, rule: string) {
    super(rule);
    this.#value = value;
    this.#rule = rule;
  }

  describe(): string {
    const member = this.path.join('.');
    return `1 validation error detected: Value ${this.#value} at '${member}' failed to satisfy constraint: ${this.#rule}`;
  }
}

function inside(segment: string, error: unknown): unknown {
  if (error instanceof Violation) error.path.unshift(segment);
  return error;
}

/** A text of any length. */
const unchecked: Check<string> = (value) => {
  if (typeof value !== 'string') throw mistyped(value, 'a String');
  return value;
};

function fits({ length }: string, { min, max }: Lengths): boolean {
  return length >= min && length <= max;
}

function bothLengths({ min, max }: Lengths): string {
  return `[Member must have length less than or equal to ${max}, Member must have length greater than or equal to ${min}]`;
}

function badLength(value: string, length: number, min: number, max: number): Violation {
  const rule = length < min ? `greater than or equal to ${min}` : `less than or equal to ${max}`;
  return new Violation(value, `Member must have length ${rule}`);
}

function mistyped(value: unknown, expected: string): Error {
  return serializationError(`${kindOf(value)} can not be converted to ${expected}`);
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (value instanceof Uint8Array) return 'a Blob';
  if (value instanceof Timestamp) return 'a Timestamp';
  if (typeof value === 'object') return 'a structure';
  return `a ${typeof value}`;
}

/** A value in a message, never all of a long one. */
function shown(value: string): string {
  return value.length <= 200 ? `'${value}'` : `'${value.slice(0, 200)}…'`;
}

function lowerFirst(name: string): string {
  return name.charAt(0).toLowerCase() + name.slice(1);
}
