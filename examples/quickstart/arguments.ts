// The command line of the quickstart, read once: where the lines come from, and nothing else. What is wrong with it is a
// UsageError that names the option, before any process is started. It opens no file and looks at no stream.
import { resolve } from 'node:path';
import { describe, UsageError } from '@shardline/common';

/** Where the lines come from. */
export type LinesFrom =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'stdin' }
  | { readonly kind: 'generator'; readonly recordCount: number; readonly seed: number }
  /** Nothing was said: what is piped in, else the generator with its defaults. */
  | { readonly kind: 'unsaid'; readonly recordCount: number; readonly seed: number };

export type Arguments = { readonly kind: 'help' } | { readonly kind: 'run'; readonly linesFrom: LinesFrom };

export const DEFAULT_RECORD_COUNT = 10_000;
export const DEFAULT_SEED = 1;
const MAX_RECORD_COUNT = 10_000_000;
const MAX_SEED: number = 2 ** 32 - 1;

const optionNames = ['--input', '--records', '--seed'] as const;
type OptionName = (typeof optionNames)[number];

export const usage: string = `Usage: npm start [-- OPTIONS]

  --input FILE   one record a line, keyed by its first field; - reads stdin
  --records N    how many clicks of a web shop to generate (default ${DEFAULT_RECORD_COUNT})
  --seed S       the generator's seed (default ${DEFAULT_SEED})
  --help         this text

Without options the lines come from stdin when something is piped in, else from the generator.`;

/**
 * Reads the arguments after the program's name. A relative FILE is resolved against `folder`.
 * @throws UsageError naming the option, what was expected and what was got.
 */
export function parseArguments(args: readonly string[], folder: string): Arguments {
  const given = new Map<OptionName, string>();
  for (let index = 0; index < args.length; index++) {
    const arg = args[index] ?? '';
    if (arg === '--help' || arg === '-h') return { kind: 'help' };
    const equals = arg.startsWith('--') ? arg.indexOf('=') : -1;
    const name = optionNames.find((known) => known === (equals === -1 ? arg : arg.slice(0, equals)));
    if (name === undefined) throw new UsageError('option', `one of ${optionNames.join(', ')}, --help`, describe(arg));
    if (given.has(name)) throw new UsageError(name, 'to be given once', 'it twice');
    const value = equals === -1 ? args[++index] : arg.slice(equals + 1);
    if (value === undefined || value === '') throw new UsageError(name, 'a value after it', 'none');
    given.set(name, value);
  }
  const input = given.get('--input');
  if (input !== undefined) {
    for (const name of ['--records', '--seed'] as const) {
      if (given.has(name)) throw new UsageError(name, 'no --input beside it (it is for the generator)', 'both');
    }
    const linesFrom: LinesFrom = input === '-' ? { kind: 'stdin' } : { kind: 'file', path: resolve(folder, input) };
    return { kind: 'run', linesFrom };
  }
  const recordCount = readCount(given, '--records', 1, MAX_RECORD_COUNT) ?? DEFAULT_RECORD_COUNT;
  const seed = readCount(given, '--seed', 0, MAX_SEED) ?? DEFAULT_SEED;
  return { kind: 'run', linesFrom: { kind: given.size > 0 ? 'generator' : 'unsaid', recordCount, seed } };
}

function readCount(
  given: ReadonlyMap<OptionName, string>,
  name: OptionName,
  min: number,
  max: number,
): number | undefined {
  const text = given.get(name);
  if (text === undefined) return undefined;
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max))
    throw new UsageError(name, `a whole number from ${min} to ${max}`, describe(text));
  return value;
}
