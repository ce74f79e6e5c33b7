// The state of a tumbling window on its way from one call to the next: what a handler returned, as JSON. Pure.
// Invariant: what the next call is given is what this one returned. What JSON would turn into something else (a Map into {}, NaN into null, a
// class's instance into its fields) is refused; where an object says by toJSON what it is in JSON, it is taken at its word.
import { describe, OperatingError } from '@shardline/common';
import { messageOf } from '../aws-call.ts';

const EXPECTED = 'text, finite numbers, true, false, null, and lists and plain objects of these';

/** @param returned by a call with records. @throws OperatingError when it holds no state, or none that JSON can say. */
export function stateOf(returned: unknown): string {
  const state: unknown =
    typeof returned === 'object' && returned !== null && 'state' in returned ? returned.state : undefined;
  if (state === undefined)
    throw failed(`no state: expected { state: … } for a tumbling window, got ${describe(returned)}`);
  let json: string | undefined;
  try {
    json = JSON.stringify(state);
  } catch (error) {
    const [why] = messageOf(error).split('\n');
    throw failed(`a state that JSON cannot say: ${why}, and it may hold ${EXPECTED}`, error);
  }
  const lost = findLost(state, false);
  if (lost !== undefined || json === undefined)
    throw failed(`a state that JSON cannot say: state${lost ?? ' is nothing'}, and it may hold ${EXPECTED}`);
  return json;
}

function failed(what: string, cause?: unknown): OperatingError {
  const options = cause === undefined ? { retryable: true } : { retryable: true, cause };
  return new OperatingError('RECORD_FAILED', `the handler returned ${what}`, options);
}

/** Where the first value is that JSON turns into another, behind the name of `value`, in words. Nothing is in a circle: JSON.stringify took it. */
function findLost(value: unknown, inList: boolean): string | undefined {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return undefined;
    case 'number':
      return Number.isFinite(value) ? undefined : ` is ${value}`;
    case 'undefined':
      // In an object it is the same as no member.
      return inList ? ' is undefined' : undefined;
    case 'object':
      return value === null ? undefined : findLostIn(value);
    default:
      return ` is ${describe(value)}`;
  }
}

function findLostIn(value: object): string | undefined {
  if ('toJSON' in value && typeof value.toJSON === 'function') return undefined;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index += 1) {
      const lost = findLost(value[index], true);
      if (lost !== undefined) return `[${index}]${lost}`;
    }
    return undefined;
  }
  if (!isPlain(value)) return ` is ${describe(value)}`;
  for (const key of Object.keys(value)) {
    const lost = findLost((value as Record<string, unknown>)[key], false);
    if (lost !== undefined) return `.${key}${lost}`;
  }
  return undefined;
}

/** Also one of another realm. */
function isPlain(value: object): boolean {
  const prototype: object | null = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
