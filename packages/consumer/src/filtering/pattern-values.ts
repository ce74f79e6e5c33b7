// What may stand in the list of a field's pattern, in EventBridge's language: a value, or an object with one operator. Each is read
// once into a test of an event's value. Pure. The rules are those of AWS's rule engine (software.amazon.event.ruler, 2.1.0), which the
// tier event-ruler asks about every one. Invariant: a test of strings is true of strings alone, one of numbers of numbers alone.
import { describe, UsageError } from '@shardline/common';
import { parseAddress, parseBlock } from './address.ts';
import { ExactNumber, type JsonValue } from './exact-json.ts';

/** A value of an event: of a field, or one that stands in its list. */
export type Scalar = string | number | boolean | null | ExactNumber;
export type ValueTest = (value: Scalar) => boolean;

/** `absent`: the field must not be there. */
export type PatternValue = ValueTest | 'absent';

type TextTest = (text: string) => boolean;

/** @param at where it stands in the pattern: `data.type[0]`. @throws UsageError naming that place. */
export function readPatternValue(given: JsonValue, at: string): PatternValue {
  if (given instanceof ExactNumber) return (value) => value instanceof ExactNumber && value.text === given.text;
  if (typeof given === 'string') return sameText(given);
  if (typeof given !== 'object' || given === null) return (value) => value === given;
  if (Array.isArray(given)) throw bad(at, 'a string, a number, true, false, null or an object with an operator', given);
  const [name, operand] = onlyField(given as Fields, at, Object.keys(operators));
  const operator = Object.hasOwn(operators, name) ? operators[name] : undefined;
  if (operator === undefined) throw new UsageError(at, oneOf(Object.keys(operators)), JSON.stringify(name));
  return operator(operand, `${at}.${name}`);
}

type Fields = { readonly [name: string]: JsonValue };

const operators: Readonly<Record<string, (operand: JsonValue, at: string) => PatternValue>> = {
  exactly: (operand, at) => {
    const text = textOf(operand, at);
    return (value) => value === text;
  },
  prefix: (operand, at) => ofText(readAffix(operand, at, startsWith, 'start')),
  suffix: (operand, at) => ofText(readAffix(operand, at, endsWith, 'end')),
  'equals-ignore-case': (operand, at) => ofText(ignoringCase(textOf(operand, at), 'whole')),
  wildcard: (operand, at) => ofText(readWildcard(textOf(operand, at), at)),
  'anything-but': readAnythingBut,
  numeric: readNumeric,
  cidr: (operand, at) => {
    const isInside = parseBlock(textOf(operand, at));
    if (isInside === undefined)
      throw bad(at, "an address, '/' and a length of 0 to 31, or to 127 of IPv6: '10.0.0.0/24'", operand);
    return ofText((text) => {
      const address = parseAddress(text);
      return address !== undefined && isInside(address);
    });
  },
  exists: (operand, at) => {
    if (typeof operand !== 'boolean') throw bad(at, 'true or false', operand);
    return operand ? () => true : 'absent';
  },
};

/** What looks like an address is one, so that `::1` is `0:0:0:0:0:0:0:1`. */
function sameText(given: string): ValueTest {
  const address = parseAddress(given);
  if (address === undefined) return (value) => value === given;
  return ofText((text) => {
    const other = parseAddress(text);
    return other?.bits === address.bits && other.width === address.width;
  });
}

function readAffix(
  operand: JsonValue,
  at: string,
  plain: (affix: string) => TextTest,
  where: 'start' | 'end',
): TextTest {
  if (!isFields(operand)) return plain(textOf(operand, at, "a string, or { 'equals-ignore-case': a string }"));
  const [name, text] = onlyField(operand, at, ['equals-ignore-case']);
  if (name !== 'equals-ignore-case') throw new UsageError(at, "'equals-ignore-case'", JSON.stringify(name));
  return ignoringCase(textOf(text, `${at}.${name}`), where);
}

const startsWith =
  (prefix: string): TextTest =>
  (text) =>
    text.startsWith(prefix);
const endsWith =
  (suffix: string): TextTest =>
  (text) =>
    text.endsWith(suffix);

/** Character by character, each in its upper or its lower case: `ß` is `SS` as well. */
function ignoringCase(given: string, where: 'start' | 'end' | 'whole'): TextTest {
  const source = Array.from(given, (character) => {
    const cases = new Set([character.toLowerCase(), character.toUpperCase()]);
    return `(?:${[...cases].map(escaped).join('|')})`;
  }).join('');
  const regExp = new RegExp(`${where === 'end' ? '' : '^'}${source}${where === 'start' ? '' : '$'}`, 'u');
  return (text) => regExp.test(text);
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
}

/** `*` is any text; `\*` and `\\` are those characters. */
function readWildcard(given: string, at: string): TextTest {
  const parts: string[] = [];
  let part = '';
  for (let index = 0; index < given.length; index += 1) {
    const character = given[index];
    if (character === '*') {
      if (given[index + 1] === '*') throw bad(at, 'no two * side by side', given);
      parts.push(part);
      part = '';
    } else if (character === '\\') {
      index += 1;
      if (given[index] !== '*' && given[index] !== '\\') throw bad(at, 'behind a \\ another one, or a *', given);
      part += given[index];
    } else part += character;
  }
  const [first = '', ...others] = [...parts, part];
  const last = others.pop();
  if (last === undefined) return (text) => text === first;
  return (text) => {
    if (!text.startsWith(first)) return false;
    // Each part as early as it comes leaves the most room for those behind.
    let from = first.length;
    for (const other of others) {
      const found = text.indexOf(other, from);
      if (found === -1) return false;
      from = found + other.length;
    }
    return text.length - last.length >= from && text.endsWith(last);
  };
}

const butOperators: Readonly<Record<string, (text: string, at: string) => TextTest>> = {
  'equals-ignore-case': (text) => ignoringCase(text, 'whole'),
  prefix: (text, at) => startsWith(notEmpty(text, at)),
  suffix: (text, at) => endsWith(notEmpty(text, at)),
  wildcard: readWildcard,
};

/** True of any value but those: of a number where they are strings, of `null`. Of no field that is not there. */
function readAnythingBut(operand: JsonValue, at: string): ValueTest {
  if (isFields(operand)) {
    const [name, given] = onlyField(operand, at, Object.keys(butOperators));
    const read = Object.hasOwn(butOperators, name) ? butOperators[name] : undefined;
    if (read === undefined) throw new UsageError(at, oneOf(Object.keys(butOperators)), JSON.stringify(name));
    const place = `${at}.${name}`;
    const texts = Array.isArray(given) ? given : [given];
    const excluded = texts.map((text) => read(textOf(text, place, 'a string, or a list of strings'), place));
    if (excluded.length === 0) throw bad(place, 'a string, or a list of strings', given);
    return (value) => typeof value !== 'string' || !excluded.some((isExcluded) => isExcluded(value));
  }
  const values: readonly JsonValue[] = Array.isArray(operand) ? operand : [operand];
  const isOf = (type: string): boolean => values.length > 0 && values.every((value) => typeof value === type);
  if (!isOf('string') && !isOf('number'))
    throw bad(at, 'a string, a number, a list of strings or one of numbers that a double holds, or an object', operand);
  const excluded = new Set(values);
  return (value) => !excluded.has(value);
}

/** Undefined: no bound. */
interface Bounds {
  readonly above?: number;
  readonly from?: number;
  readonly below?: number;
  readonly to?: number;
}

/** `['=', n]`, `['<', n]` or any other, or two of them from below: `['>', n, '<=', n]`. */
function readNumeric(operand: JsonValue, at: string): ValueTest {
  const expected =
    "['=', n], ['<', n], ['<=', n], ['>', n], ['>=', n], or one of the last two and then one of those before them";
  if (!Array.isArray(operand)) throw bad(at, expected, operand);
  const inexact = operand.find((each) => each instanceof ExactNumber);
  if (inexact !== undefined) throw bad(at, 'numbers that a double holds', inexact);
  const [first, low, second, high, ...more] = operand as readonly JsonValue[];
  const isPair = operand.length === 4 && (first === '>' || first === '>=') && (second === '<' || second === '<=');
  if (typeof low !== 'number' || more.length > 0 || (operand.length !== 2 && !isPair)) throw bad(at, expected, operand);
  if (first === '=') return (value) => value === low;
  const bounds = { ...boundOf(first, low), ...(isPair && typeof high === 'number' ? boundOf(second, high) : {}) };
  if (Object.keys(bounds).length !== operand.length / 2) throw bad(at, expected, operand);
  if (isPair && low >= (high as number)) throw bad(at, 'two bounds of which the first is the lower one', operand);
  const { above = Number.NEGATIVE_INFINITY, from = above, below = Number.POSITIVE_INFINITY, to = below } = bounds;
  return (value) => typeof value === 'number' && value > above && value >= from && value < below && value <= to;
}

function boundOf(operator: JsonValue | undefined, bound: number): Bounds {
  if (operator === '>') return { above: bound };
  if (operator === '>=') return { from: bound };
  if (operator === '<') return { below: bound };
  return operator === '<=' ? { to: bound } : {};
}

function ofText(test: TextTest): ValueTest {
  return (value) => typeof value === 'string' && test(value);
}

function textOf(given: JsonValue, at: string, expected: string = 'a string'): string {
  if (typeof given === 'string') return given;
  throw bad(at, expected, given);
}

function notEmpty(text: string, at: string): string {
  if (text !== '') return text;
  throw bad(at, 'no empty string: nothing is without it', text);
}

function onlyField(given: Fields, at: string, known: readonly string[]): readonly [string, JsonValue] {
  const [field, ...others] = Object.entries(given);
  if (field !== undefined && others.length === 0) return field;
  throw new UsageError(
    at,
    `an object with one operator: ${oneOf(known)}`,
    `one with ${others.length === 0 ? 'none' : others.length + 1}`,
  );
}

function isFields(given: JsonValue): given is Fields {
  return typeof given === 'object' && given !== null && !Array.isArray(given) && !(given instanceof ExactNumber);
}

function oneOf(words: readonly string[]): string {
  return `one of ${words.map((word) => `'${word}'`).join(', ')}`;
}

function bad(at: string, expected: string, given: JsonValue): UsageError {
  if (given instanceof ExactNumber) return new UsageError(at, expected, `${given.text}, which no double holds`);
  return new UsageError(
    at,
    expected,
    typeof given === 'object' ? JSON.stringify(given).slice(0, 100) : describe(given),
  );
}
