// The log of a library: quiet unless asked, never on stdout (that belongs to the program). Any pino-shaped logger is taken as
// it is; without one, a pino is made on first use, and only when SHARDLINE_LOG_LEVEL asks for one. Nothing here decides
// anything: what users must be able to see is an event (diagnostics.ts), a log line only tells the story.
import { pino } from 'pino';
import { describe, UsageError } from './errors.ts';
import { passOver } from './pass-over.ts';

/** The part of pino that Shardline uses. Fields first, then the message. */
export interface Logger {
  trace(fields: object, message?: string): void;
  debug(fields: object, message?: string): void;
  info(fields: object, message?: string): void;
  warn(fields: object, message?: string): void;
  error(fields: object, message?: string): void;
  /** A logger that adds `bindings` to every line. */
  child(bindings: object): Logger;
}

/** Writes nothing. */
export const silentLogger: Logger = {
  trace: () => undefined,
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLogger,
};

const methods = ['trace', 'debug', 'info', 'warn', 'error', 'child'] as const;
const levels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'];
const madeByLevel = new Map<string, Logger>();

/**
 * The logger to write to: a child of `given` with `bindings` (application, worker, shard), else of a default one that is
 * silent unless the environment's SHARDLINE_LOG_LEVEL names a pino level, and then writes JSON lines to stderr.
 * @throws UsageError when `given` lacks one of the six methods, or SHARDLINE_LOG_LEVEL is no level.
 */
export function resolveLogger(given: Logger | undefined, bindings: object): Logger {
  if (given === silentLogger) return given;
  if (given !== undefined) return guarded(checkLogger(given)).child(bindings);
  const level = process.env['SHARDLINE_LOG_LEVEL'] || 'silent';
  return level === 'silent' ? silentLogger : defaultLogger(level).child(bindings);
}

/** What a logger throws ends nothing: it is told once, as a warning of the process, and what it was to write is lost. */
function guarded(logger: Logger): Logger {
  const write =
    (level: 'trace' | 'debug' | 'info' | 'warn' | 'error') =>
    (fields: object, message?: string): void =>
      passOver('logger', () => logger[level](fields, message));
  return {
    trace: write('trace'),
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: (bindings) => guarded(passOver('logger', () => checkLogger(logger.child(bindings))) ?? logger),
  };
}

function checkLogger(given: Logger): Logger {
  const complete =
    typeof given === 'object' && given !== null && methods.every((method) => typeof given[method] === 'function');
  if (!complete) throw new UsageError('logger', `an object with the methods ${methods.join(', ')}`, describe(given));
  return given;
}

function defaultLogger(level: string): Logger {
  if (!levels.includes(level)) throw new UsageError('SHARDLINE_LOG_LEVEL', levels.join(' | '), describe(level));
  let made = madeByLevel.get(level);
  if (made === undefined) {
    made = pino({ name: 'shardline', level }, pino.destination({ dest: 2, sync: true }));
    madeByLevel.set(level, made);
  }
  return made;
}
