// JSON as a filter sees it: what JSON.parse makes of it, but that a number which a double cannot tell from its neighbours keeps its
// text. Filters are often for ids, and two ids of 19 digits must not be the same. Pure.
// Invariant: a value is `ExactNumber` just where AWS's rule engine compares a number by its text alone (its ComparableNumber).

/** A number that no double stands for without loss. */
export class ExactNumber {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

export type JsonValue =
  | string
  | number
  | boolean
  | null
  | ExactNumber
  | readonly JsonValue[]
  | { readonly [name: string]: JsonValue };

/** No number of fewer digits, or of a shorter exponent, is beyond a double. */
const MAY_BE_INEXACT = /[\d.]{16,}|\d[eE][+-]?\d{3}/;
const TOKENS = /"(?:[^"\\]|\\.)*"|[{}[\]]|-?\d[\d.eE+-]*|true|false|null/g;

/** @throws SyntaxError */
export function parseExactJson(text: string): JsonValue {
  const parsed: JsonValue = JSON.parse(text);
  if (!MAY_BE_INEXACT.test(text)) return parsed;
  // It is JSON, so its tokens alone, without colons and commas, say what it is.
  const tokens = text.match(TOKENS) ?? [];
  let next = 0;
  const value = (): JsonValue => {
    const token = tokens[next] as string;
    next += 1;
    if (token === '[') return list();
    if (token === '{') return object();
    return /^[-\d]/.test(token) ? numberOf(token) : JSON.parse(token);
  };
  const list = (): JsonValue => {
    const items: JsonValue[] = [];
    while (tokens[next] !== ']') items.push(value());
    next += 1;
    return items;
  };
  const object = (): JsonValue => {
    const fields: [string, JsonValue][] = [];
    while (tokens[next] !== '}') fields.push([value() as string, value()]);
    next += 1;
    return Object.fromEntries(fields);
  };
  return value();
}

function numberOf(text: string): number | ExactNumber {
  const number = Number(text);
  return Number.isFinite(number) && digitsOf(text) === digitsOf(String(number)) ? number : new ExactNumber(text);
}

/** The same for the same number, however it is written: its digits without zeros at either end, and where the first of them stands. */
function digitsOf(text: string): string {
  const [, sign = '', whole = '', fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text) ?? [];
  const digits = `${whole}${fraction}`;
  const zeros = digits.length - digits.replace(/^0+/, '').length;
  const kept = digits.slice(zeros).replace(/0+$/, '');
  return kept === '' ? '0' : `${sign}${kept}e${BigInt(exponent) + BigInt(whole.length - zeros)}`;
}
