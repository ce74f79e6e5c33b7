// Checks of a request's members: type, range, pattern. A check takes a parsed value and returns what the operation works with,
// or throws: SerializationException for a wrong type, Violations for broken constraints, all of them, each with the way to its
// member (`records.3.member.partitionKey`). Members that no check asks for are ignored, as on AWS. When nothing is wrong a
// check costs no more than its comparisons.
import { KinesisError } from '../model/index.ts';
import { gathered, mistyped, Violations, violation } from './violations.ts';
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
    if (error instanceof Violations) throw new KinesisError('ValidationException', error.describe());
    throw error;
  }
}

/** Longer texts are not matched with a pattern: they are too long anyway, and some patterns take the cube of the length. */
const MAX_MATCHED_UNITS = 2048;

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
    if (!isObject(value)) throw mistyped(value, 'Structure');
    const checked: Record<string, unknown> = {};
    let wrong: Violations | undefined;
    for (const [name, member] of entries) {
      try {
        const one = value[name];
        if (one !== undefined && one !== null) checked[name] = member.check(one, format);
        else if (member.kind === 'required') throw missing();
      } catch (error) {
        wrong = gathered(wrong, lowerFirst(name), error);
      }
    }
    if (wrong !== undefined) throw wrong;
    return checked as Checked<S>;
  };
}

/** `blobs`: a member of the entries, which are structures, that is a blob in most of them. It makes no difference but in time. */
export function list<T>(item: Check<T>, { blobs, ...lengths }: Lengths & { blobs?: string }): Check<T[]> {
  return (value, format) => {
    if (!Array.isArray(value)) throw mistyped(value, 'List');
    if (blobs !== undefined && fits(value, lengths)) format.decodeBlobs?.(value, blobs);
    let wrong = lengthViolation(lengths, value.length, () => (value.length === 0 ? '[]' : `[${value.length} members]`));
    const checked: T[] = [];
    // Of a list that is too long, so many are looked at as it might have.
    for (let index = 0; index < value.length && index < lengths.max; index++) {
      try {
        const one: unknown = value[index];
        if (one === null) throw missing();
        checked.push(item(one, format));
      } catch (error) {
        wrong = gathered(wrong, `${index + 1}.member`, error);
      }
    }
    if (wrong !== undefined) throw wrong;
    return checked;
  };
}

/** Texts of `min` to `max` units each; AWS names the list, not the entry, when one is shorter or longer. */
export function textList(entry: Lengths, lengths: Lengths): Check<string[]> {
  return (value, format) => {
    if (!Array.isArray(value)) throw mistyped(value, 'List');
    const texts = value.map((one: unknown) => anyText(one, format));
    const whole = (): string => `[${texts.join(', ')}]`;
    const wrong = lengthViolation(lengths, texts.length, whole);
    if (wrong !== undefined) throw wrong;
    if (texts.every((one) => fits(one, entry))) return texts;
    throw violation(whole(), `Member must satisfy constraint: ${bothLengths(entry)}`);
  };
}

/** Texts by keys of `key` units and values of `value` units, as the entries of an object. */
export function textMap(key: Lengths, value: Lengths, lengths: Lengths): Check<Readonly<Record<string, string>>> {
  return (given, format) => {
    if (!isObject(given)) throw mistyped(given, 'Map');
    const entries = Object.entries(given).map(([name, one]) => [anyText(name, format), anyText(one, format)] as const);
    const whole = (): string => `{${entries.map(([name, one]) => `${name}=${one}`).join(', ')}}`;
    const wrong = lengthViolation(lengths, entries.length, whole);
    if (wrong !== undefined) throw wrong;
    const rules: string[] = [];
    if (!entries.every(([name]) => fits(name, key))) {
      rules.push(`Map keys must satisfy constraint: ${bothLengths(key)}`);
    }
    if (!entries.every(([, one]) => fits(one, value))) {
      rules.push(`Map value must satisfy constraint: ${bothLengths(value)}`);
    }
    if (rules.length > 0) throw violation(whole(), ...rules);
    return Object.fromEntries(entries);
  };
}

/** `pattern` is the API reference's own, which matches the whole text and stands in the message. */
export function text({ min, max, pattern }: Lengths & { pattern?: string }): Check<string> {
  const whole = pattern === undefined ? undefined : new RegExp(`^(?:${pattern})$`);
  return (given, format) => {
    const value = anyText(given, format);
    const hasLength = value.length >= min && value.length <= max;
    const hasPattern = whole === undefined || value.length > MAX_MATCHED_UNITS || whole.test(value);
    if (hasLength && hasPattern) return value;
    const rules: string[] = [];
    if (!hasPattern) rules.push(`Member must satisfy regular expression pattern: ${pattern}`);
    if (!hasLength) rules.push(lengthRule({ min, max }, value.length));
    throw violation(value, ...rules);
  };
}

export function oneOf<const T extends string>(...values: readonly T[]): Check<T> {
  return (given, format) => {
    const value = anyText(given, format);
    const found = values.find((each) => each === value);
    if (found !== undefined) return found;
    throw violation(value, `Member must satisfy enum value set: [${values.join(', ')}]`);
  };
}

/** What is beyond 32 bits comes as the nearest that is not. */
export function integer({ min, max }: { min: number; max: number }): Check<number> {
  return (value) => {
    if (typeof value !== 'number' || Number.isNaN(value)) throw mistyped(value, 'Integer');
    const whole = Math.max(-(2 ** 31), Math.min(2 ** 31 - 1, Math.floor(value)));
    if (whole < min) throw violation(String(whole), `Member must have value greater than or equal to ${min}`);
    if (whole > max) throw violation(String(whole), `Member must have value less than or equal to ${max}`);
    return whole;
  };
}

export const boolean: Check<boolean> = (value) => {
  if (typeof value !== 'boolean') throw mistyped(value, 'Boolean');
  return value;
};

/** At most `maxBytes` once decoded. */
export function blob(maxBytes: number): Check<Uint8Array> {
  return (value, format) => {
    const bytes = format.blobOf(value);
    if (bytes === undefined) throw mistyped(value, 'Blob', format);
    const size = bytes.byteLength;
    const whole = (): string => `java.nio.HeapByteBuffer[pos=0 lim=${size} cap=${size}]`;
    const wrong = lengthViolation({ min: 0, max: maxBytes }, size, whole);
    if (wrong !== undefined) throw wrong;
    return bytes;
  };
}

/** Milliseconds since 1970. */
export const timestamp: Check<number> = (value, format) => {
  const ms = format.timestampOf(value);
  if (ms === undefined || !Number.isFinite(ms)) throw mistyped(value, 'Timestamp');
  return ms;
};

/** A text of any length. Half a surrogate pair, which no UTF-8 can hold, becomes U+FFFD, so that every reader gets the same. */
const anyText: Check<string> = (value) => {
  if (typeof value !== 'string') throw mistyped(value, 'String');
  return value.toWellFormed();
};

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Uint8Array) &&
    !(value instanceof Timestamp)
  );
}

function missing(): Violations {
  return violation(null, 'Member must not be null');
}

/** `whole` is the value as a message shows it. */
function lengthViolation(lengths: Lengths, length: number, whole: () => string): Violations | undefined {
  if (length >= lengths.min && length <= lengths.max) return undefined;
  return violation(whole(), lengthRule(lengths, length));
}

function lengthRule({ min, max }: Lengths, length: number): string {
  return `Member must have length ${length < min ? `greater than or equal to ${min}` : `less than or equal to ${max}`}`;
}

function fits({ length }: { length: number }, { min, max }: Lengths): boolean {
  return length >= min && length <= max;
}

function bothLengths({ min, max }: Lengths): string {
  return `[Member must have length less than or equal to ${max}, Member must have length greater than or equal to ${min}]`;
}

function lowerFirst(name: string): string {
  return name.charAt(0).toLowerCase() + name.slice(1);
}
