// A pattern taken apart into such as leave no choice: one rule of what `$or` makes, one value for each field. An event matches the whole if it
// matches one of them. The engine does not always think so: what its rules and values have in common it keeps in one machine, and there they get in
// each other's way. So whoever differs from the engine asks it about the parts.

type Json = string | boolean | null | readonly Json[] | { readonly [name: string]: Json };
/** Paths to what is listed for them. */
type Rule = ReadonlyMap<string, readonly Json[]>;

const MOST = 2_000;
/** Texts, which stay; and numbers, which no double may come near. */
const TOKENS = /("(?:[^"\\]|\\.)*")|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
const MARK = '#number ';
const MARKED = /"#number ([^"]*)"/g;

/** @param pattern one that is none of the bad ones, as JSON. */
export function alternativesOf(pattern: string): readonly string[] {
  const parsed: Json = JSON.parse(
    pattern.replace(TOKENS, (token, text?: string) => text ?? JSON.stringify(MARK + token)),
  );
  const made = rulesOf(parsed, '', [new Map()]).flatMap(choicesOf);
  if (made.length > MOST) throw new RangeError(`at most ${MOST} alternatives of a pattern, got ${made.length}`);
  return made.map((choice) => JSON.stringify(choice).replace(MARKED, '$1'));
}

function rulesOf(given: Json, at: string, rules: readonly Rule[]): readonly Rule[] {
  if (typeof given !== 'object' || given === null || isList(given)) throw new TypeError('a pattern has fields');
  return Object.entries(given).reduce<readonly Rule[]>((made, [name, value]) => {
    if (name === '$or' && isList(value)) return value.flatMap((each) => rulesOf(each, at, made));
    if (!isList(value)) return rulesOf(value, `${at}${name}.`, made);
    // What is said of a field last holds.
    return made.map((rule) => new Map(rule).set(`${at}${name}`, value));
  }, rules);
}

/** `Array.isArray` knows no lists that are read only. */
function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

function choicesOf(rule: Rule): readonly Json[] {
  return [...rule].reduce<readonly { readonly [name: string]: Json }[]>(
    (choices, [path, values]) =>
      choices.flatMap((choice) => values.map((value) => ({ ...choice, ...fieldOf(path.split('.'), value, choice) }))),
    [{}],
  );
}

/** The field within whatever the choice has beside it. */
function fieldOf(
  [name = '', ...rest]: readonly string[],
  value: Json,
  beside: Json,
): { readonly [name: string]: Json } {
  if (rest.length === 0) return { [name]: [value] };
  const inside = (beside as { readonly [name: string]: Json })[name] ?? {};
  return { [name]: { ...(inside as object), ...fieldOf(rest, value, inside) } };
}
