// Checks of our own rules. Not for input: bad input is a UsageError.
import { inspect } from 'node:util';
import { InvariantError } from './errors.ts';

/** Throws an InvariantError unless `condition` holds. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}

/** For the end of a switch over `kind`: a case was forgotten. */
export function unreachable(value: never): never {
  // Not JSON: events carry bigints.
  throw new InvariantError(
    `unexpected case: ${inspect(value, { depth: 2, breakLength: Infinity, maxStringLength: 100 })}`,
  );
}
