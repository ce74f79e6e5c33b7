// Checks of our own rules. Not for input: bad input is a UsageError.
import { InvariantError } from './errors.ts';

/** Throws an InvariantError unless `condition` holds. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}

/** For the end of a switch over `kind`: a case was forgotten. */
export function unreachable(value: never): never {
  throw new InvariantError(`unexpected case: ${JSON.stringify(value)}`);
}
