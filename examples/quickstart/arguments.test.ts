// The command line of the quickstart: each way to say where lines come from, and each way to say it wrong.
import { resolve } from 'node:path';
import { UsageError } from '@shardline/common';
import { expect, test } from 'vitest';
import { DEFAULT_RECORD_COUNT, DEFAULT_SEED, parseArguments } from './arguments.ts';

const folder = resolve('/home/someone');
const linesFrom = (...args: string[]): unknown => {
  const parsed = parseArguments(args, folder);
  return parsed.kind === 'run' ? parsed.linesFrom : parsed.kind;
};

test('a relative file is resolved against the folder in which npm was started', () => {
  expect(linesFrom('--input', 'logs/a.log')).toEqual({ kind: 'file', path: resolve(folder, 'logs/a.log') });
  expect(linesFrom('--input=b.log')).toEqual({ kind: 'file', path: resolve(folder, 'b.log') });
  expect(linesFrom('--input', resolve('/var/a.log'))).toEqual({ kind: 'file', path: resolve('/var/a.log') });
});

test('a dash is stdin', () => {
  expect(linesFrom('--input', '-')).toEqual({ kind: 'stdin' });
});

test('with options of the generator, stdin is not looked at', () => {
  expect(linesFrom('--records', '7')).toEqual({ kind: 'generator', recordCount: 7, seed: DEFAULT_SEED });
  expect(linesFrom('--seed=0')).toEqual({ kind: 'generator', recordCount: DEFAULT_RECORD_COUNT, seed: 0 });
});

test('without options it is left open', () => {
  expect(linesFrom()).toEqual({ kind: 'unsaid', recordCount: DEFAULT_RECORD_COUNT, seed: DEFAULT_SEED });
});

test('help wins over what follows', () => {
  expect(linesFrom('--help', '--nonsense')).toBe('help');
});

test.each([
  [['--foo'], 'option: expected one of --input, --records, --seed, --help, got "--foo"'],
  [['access.log'], 'option: expected one of --input, --records, --seed, --help, got "access.log"'],
  [['--input'], '--input: expected a value after it, got none'],
  [['--input='], '--input: expected a value after it, got none'],
  [['--seed', '1', '--seed', '2'], '--seed: expected to be given once, got it twice'],
  [['--input', 'a', '--records', '5'], '--records: expected no --input beside it (it is for the generator), got both'],
  [['--records', '0'], '--records: expected a whole number from 1 to 10000000, got "0"'],
  [['--records', '10000001'], '--records: expected a whole number from 1 to 10000000, got "10000001"'],
  [['--records', '1e3'], '--records: expected a whole number from 1 to 10000000, got "1e3"'],
  [['--seed', '-1'], '--seed: expected a whole number from 0 to 4294967295, got "-1"'],
  [['--seed', '4294967296'], '--seed: expected a whole number from 0 to 4294967295, got "4294967296"'],
])('%j is refused by name', (args, message) => {
  expect(() => parseArguments(args, folder)).toThrow(new UsageError(...parts(message)));
});

/** `field: expected E, got G` */
function parts(message: string): [string, string, string] {
  const [, field = '', expected = '', got = ''] = /^(.*?): expected (.*), got (.*)$/.exec(message) ?? [];
  return [field, expected, got];
}
