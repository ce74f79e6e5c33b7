// @ts-check
// `node tools/bench-local.mjs`: runs the quick bench of the local Kinesis and looks at its last line alone: whether every figure
// is there and is a number that can be. No time is asserted: this machine may be busy.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { environment, root } from './install.mjs';

const everyFigure = [
  ...['startMs', 'pushP50Ms', 'pushP99Ms', 'recordsInPerSecond', 'recordsOutPerSecond', 'megabytesInPerSecond'],
  'memoryPerStoredByte',
];

const { status, signal, stdout } = spawnSync(
  process.execPath,
  [join(root, 'benchmarks', 'dist', 'local.js'), '--quick'],
  { cwd: root, env: environment, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] },
);
process.stdout.write(stdout);

/** @type {[string, boolean][]} */
const checks = [['it ends with exit code 0', status === 0]];
if (status === 0) {
  const { ours, peers } = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '');
  checks.push(['ours has every figure', isWhole(ours)]);
  checks.push(['kinesis-local has every figure', isWhole(peers['kinesis-local'])]);
}
for (const [what, holds] of checks) console.log(`${holds ? 'ok  ' : 'FAIL'} ${what}`);
if (signal !== null) console.log(`ended by ${signal}`);
const failed = checks.filter(([, holds]) => !holds).length;
console.log(`${checks.length - failed} passed, ${failed} failed, 0 skipped`);
process.exitCode = failed === 0 ? 0 : 1;

/**
 * Memory is null on a system that does not tell it.
 * @param {Record<string, unknown>} figures
 */
function isWhole(figures) {
  return everyFigure.every((name) => {
    const figure = figures[name];
    if (name === 'memoryPerStoredByte') return figure === null || typeof figure === 'number';
    return typeof figure === 'number' && figure > 0;
  });
}
