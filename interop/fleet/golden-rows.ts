// Scenario e needs the insides of the consumer, so it is a test of the consumer's own: every row that Java workers left in a lease
// table is read and written back with equal values. Here that test is run, and its rows are counted.
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Outcome } from './fleet.ts';

const root = dirname(dirname(createRequire(import.meta.url).resolve('@shardline/interop/package.json')));
const TEST = 'packages/consumer/src/lease-table/item.test.ts';
const TITLE = 'every lease row parses, and is written with equal values';
const ROWS = 'packages/consumer/test/fixtures/java-kcl-tables.json';
const TIMEOUT_MS = 120_000;

export async function goldenRows(name: string): Promise<Outcome> {
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
  const args = [vitest, 'run', '--project', 'unit', TEST, '-t', TITLE, '--reporter=json'];
  // Not the environment of a test that this may be called from.
  const env = Object.fromEntries(Object.entries(process.env).filter(([variable]) => !variable.startsWith('VITEST')));
  const { stdout, stderr } = await new Promise<{ stdout: string; stderr: string }>((resolve) => {
    execFile(process.execPath, args, { cwd: root, env, timeout: TIMEOUT_MS }, (_, out, err) =>
      resolve({ stdout: out, stderr: err }),
    );
  });
  const report = readReport(stdout);
  const ok = report !== undefined && report.numPassedTests > 0 && report.numFailedTests === 0;
  const records = leaseRows(JSON.parse(await readFile(join(root, ROWS), 'utf8')));
  return {
    name,
    records,
    handled: ok ? records : 0,
    skipped: ok ? 0 : records,
    duplicates: 0,
    ok,
    faults: ok ? [] : [`${TEST}, "${TITLE}":\n${stdout}${stderr}`],
    moves: [],
  };
}

interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
}

function readReport(stdout: string): Report | undefined {
  const line = stdout.split('\n').find((each) => each.startsWith('{'));
  return line === undefined ? undefined : (JSON.parse(line) as Report);
}

/** Whatever is a row with a checkpoint, wherever it stands in the recording. */
function leaseRows(recorded: unknown): number {
  if (typeof recorded !== 'object' || recorded === null) return 0;
  if ('checkpoint' in recorded) return 1;
  return Object.values(recorded).reduce<number>((sum, each) => sum + leaseRows(each), 0);
}
