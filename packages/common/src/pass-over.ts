// Calls what the application gave and what is to end nothing when it throws: a logger, a metrics sink. There is nobody else to tell of it.
import { describe } from './errors.ts';

const warned = new Set<string>();

/** What the call gives; undefined: it threw, which a warning of the process tells, once for each kind of thing. */
export function passOver<Given>(what: string, call: () => Given): Given | undefined {
  try {
    return call();
  } catch (error) {
    if (!warned.has(what)) warn(what, error);
    return undefined;
  }
}

function warn(what: string, error: unknown): void {
  warned.add(what);
  const thrown = error instanceof Error ? error.message : describe(error);
  const message = `a ${what} given to Shardline has thrown; it is called on, and what it throws is passed over: ${thrown}`;
  process.emitWarning(message, { code: 'SHARDLINE_PORT_THREW' });
}
