// The part of DynamoDB's expressions that lease tables use: conditions of =, >=, attribute_exists and attribute_not_exists, and updates of
// SET, REMOVE and ADD. What it does not know it throws for, so that no other expression passes as if it were understood. A row is never
// changed: an update gives another one.
import type { AttributeValue } from '@aws-sdk/client-dynamodb';

export type Row = Readonly<Record<string, AttributeValue>>;

export interface Terms {
  readonly names?: Readonly<Record<string, string>> | undefined;
  readonly values?: Readonly<Record<string, AttributeValue>> | undefined;
}

/** Whether the row, undefined if it is not there, fulfils the condition. */
export function holds(condition: string, row: Row | undefined, terms: Terms): boolean {
  const parser = new Tokens(condition, terms);
  const result = parser.anyOf(row ?? {});
  parser.end();
  return result;
}

/** The row as the update leaves it. */
export function updated(update: string, row: Row, terms: Terms): Row {
  const tokens = new Tokens(update, terms);
  let changed = row;
  while (!tokens.isAtEnd) {
    const clause = tokens.next();
    do {
      const path = tokens.path();
      if (clause === 'SET') {
        tokens.expect('=');
        changed = set(changed, path, tokens.operand(row));
      } else if (clause === 'REMOVE') changed = without(changed, path);
      else if (clause === 'ADD') changed = set(changed, path, sum(at(row, path), tokens.operand(row)));
      else throw new Error(`${update}: expected SET, REMOVE or ADD, got ${clause}`);
    } while (tokens.take(','));
  }
  return changed;
}

export function isEqual(a: AttributeValue | undefined, b: AttributeValue | undefined): boolean {
  if (a?.N !== undefined && b?.N !== undefined) return Number(a.N) === Number(b.N);
  return a?.S !== undefined && a.S === b?.S;
}

class Tokens {
  readonly #text: string;
  readonly #tokens: readonly string[];
  readonly #terms: Terms;
  #index = 0;

  constructor(text: string, terms: Terms) {
    this.#text = text;
    this.#terms = terms;
    this.#tokens = text.match(/[\w#:.]+|>=|[=(),]|\S/g) ?? [];
  }

  get isAtEnd(): boolean {
    return this.#index === this.#tokens.length;
  }

  next(): string {
    const token = this.#tokens[this.#index++];
    if (token === undefined) throw new Error(`${this.#text}: expected more, got its end`);
    return token;
  }

  take(token: string): boolean {
    if (this.#tokens[this.#index] !== token) return false;
    this.#index += 1;
    return true;
  }

  expect(token: string): void {
    const got = this.next();
    if (got !== token) throw new Error(`${this.#text}: expected ${token}, got ${got}`);
  }

  end(): void {
    if (!this.isAtEnd) throw new Error(`${this.#text}: expected its end, got ${this.next()}`);
  }

  // Both sides are always read, whatever the first one says.
  anyOf(row: Row): boolean {
    let result = this.#allOf(row);
    while (this.take('OR')) result = this.#allOf(row) || result;
    return result;
  }

  #allOf(row: Row): boolean {
    let result = this.#one(row);
    while (this.take('AND')) result = this.#one(row) && result;
    return result;
  }

  #one(row: Row): boolean {
    if (this.take('(')) {
      const result = this.anyOf(row);
      this.expect(')');
      return result;
    }
    const isFunction = ['attribute_exists', 'attribute_not_exists'].includes(this.#tokens[this.#index] ?? '');
    if (isFunction) {
      const exists = this.next() === 'attribute_exists';
      this.expect('(');
      const value = at(row, this.path());
      this.expect(')');
      return (value !== undefined) === exists;
    }
    const value = at(row, this.path());
    const operator = this.next();
    const other = this.operand(row);
    if (operator === '=') return isEqual(value, other);
    if (operator === '>=') return value?.N !== undefined && Number(value.N) >= Number(other.N);
    throw new Error(`${this.#text}: expected = or >=, got ${operator}`);
  }

  /** `#key`, `a`, `a.b`. */
  path(): readonly string[] {
    return this.next()
      .split('.')
      .map((name) => {
        const meant = name.startsWith('#') ? this.#terms.names?.[name] : name;
        if (meant === undefined || !/^\w+$/.test(meant)) throw new Error(`${this.#text}: expected a path, got ${name}`);
        return meant;
      });
  }

  /** `:value`, or `if_not_exists(path, :value)`. */
  operand(row: Row): AttributeValue {
    if (this.take('if_not_exists')) {
      this.expect('(');
      const value = at(row, this.path());
      this.expect(',');
      const otherwise = this.operand(row);
      this.expect(')');
      return value ?? otherwise;
    }
    const name = this.next();
    const value = this.#terms.values?.[name];
    if (value === undefined) throw new Error(`${this.#text}: expected a value, got ${name}`);
    return value;
  }
}

function at(row: Row, [name = '', ...rest]: readonly string[]): AttributeValue | undefined {
  const value = row[name];
  return rest.length === 0 || value === undefined ? value : at(value.M ?? {}, rest);
}

function set(row: Row, [name = '', ...rest]: readonly string[], value: AttributeValue): Row {
  if (rest.length === 0) return { ...row, [name]: value };
  const inner = row[name]?.M;
  if (inner === undefined) throw new Error(`expected a map ${name} to set ${rest.join('.')} in, got none`);
  return { ...row, [name]: { M: set(inner, rest, value) } };
}

function without(row: Row, path: readonly string[]): Row {
  const [name = ''] = path;
  if (path.length > 1) throw new Error(`expected to remove a whole attribute, got ${path.join('.')}`);
  const { [name]: _, ...rest } = row;
  return rest;
}

function sum(a: AttributeValue | undefined, b: AttributeValue): AttributeValue {
  return { N: String(Number(a?.N ?? 0) + Number(b.N)) };
}
