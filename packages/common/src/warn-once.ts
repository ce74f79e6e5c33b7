// Tells of what the application gave and what has thrown, where there is nobody else to tell: a logger, a metrics sink.
import { describe } from './errors.ts';

const warned = new Set<string>();

/** A warning of the process, once for each kind of thing. */
export function warnOnce(what: string, error: unknown): void {
  if (warned.has(what)) return;
  warned.add(what);
  const thrown = error instanceof Error ? error.message : describe(error);
  const message = `a ${what} given to Shardline has thrown; it is called on, and what it throws is passed over: ${thrown}`;
  process.emitWarning(message, { code: 'SHARDLINE_PORT_THREW' });
}
