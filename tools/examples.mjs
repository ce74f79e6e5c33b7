// @ts-check
// Runs every numbered example as its README says: each must end by itself, with exit code 0, something said on stdout, and
// nothing on stderr. One that this Node is too old for says so on a line that begins with `skipped: `, and counts as that; the tier
// `examples-node-24` runs it. Prints a line an example and at the end `N passed, N failed, N skipped`.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { environment, root } from './install.mjs';

const exampleTimeoutMs = 180_000;
const folder = join(root, 'examples');
const names = readdirSync(folder)
  .filter((name) => /^\d\d-.*\.ts$/.test(name) && !name.endsWith('.test.ts'))
  .map((name) => name.replace(/\.ts$/, '.js'))
  .sort();

let failed = 0;
let skipped = 0;
for (const name of names) {
  const { status, signal, stdout, stderr, error } = spawnSync(process.execPath, [join(folder, 'dist', name)], {
    cwd: root,
    env: environment,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: exampleTimeoutMs,
  });
  const problems = [
    error?.message,
    status === 0 ? undefined : `ended with ${signal ?? `exit code ${status}`}`,
    stdout === '' ? 'it said nothing' : undefined,
    stderr === '' ? undefined : 'it wrote to stderr',
  ].filter((problem) => problem !== undefined);
  const isSkipped = problems.length === 0 && stdout.startsWith('skipped: ');
  if (problems.length > 0) failed += 1;
  if (isSkipped) skipped += 1;
  const outcome = problems.length > 0 ? 'FAIL' : isSkipped ? 'skip' : 'ok  ';
  console.log(`${outcome} examples/dist/${name}${isSkipped ? `, ${stdout.trimEnd()}` : ''}`);
  if (problems.length > 0) console.log(`${stdout}${stderr}${problems.join('; ')}`);
}
console.log(`${names.length - failed - skipped} passed, ${failed} failed, ${skipped} skipped`);
process.exitCode = failed === 0 ? 0 : 1;
