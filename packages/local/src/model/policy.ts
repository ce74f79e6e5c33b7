// A resource-based policy as text: whether it is one, not what it allows. "It must include the identity of the principal and the
// actions allowed on this resource. This is formatted as a JSON string" (API_PutResourcePolicy).
import { KinesisError } from './errors.ts';

/** @throws KinesisError InvalidArgumentException that says what was expected where */
export function checkPolicy(policy: string): void {
  const { Statement } = objectOf(parsed(policy), 'a JSON object');
  const statements = Array.isArray(Statement) ? (Statement as readonly unknown[]) : [Statement];
  if (statements.length === 0) throw malformed('a Statement');
  statements.forEach((statement, index) => {
    const nth = `Statement ${index + 1}`;
    const { Effect, Principal, NotPrincipal, Action, NotAction } = objectOf(statement, `${nth} as a JSON object`);
    if (Effect !== 'Allow' && Effect !== 'Deny') throw malformed(`Effect Allow or Deny in ${nth}`);
    if (!namesPrincipal(Principal ?? NotPrincipal)) throw malformed(`a Principal in ${nth}`);
    if (!areTexts(Action ?? NotAction)) throw malformed(`an Action, or a list of them, in ${nth}`);
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw malformed('JSON');
  }
}

function objectOf(value: unknown, expected: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed(expected);
  return value as Readonly<Record<string, unknown>>;
}

/** `"*"`, or kinds of principals, each with one name or several. */
function namesPrincipal(value: unknown): boolean {
  if (value === '*') return true;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const kinds: unknown[] = Object.values(value);
  return kinds.length > 0 && kinds.every(areTexts);
}

/** One text or a list of at least one, none of them empty. */
function areTexts(value: unknown): boolean {
  const texts = Array.isArray(value) ? (value as readonly unknown[]) : [value];
  return texts.length > 0 && texts.every((text) => typeof text === 'string' && text !== '');
}

function malformed(expected: string): KinesisError {
  return new KinesisError('InvalidArgumentException', `The policy is malformed: expected ${expected}.`);
}
