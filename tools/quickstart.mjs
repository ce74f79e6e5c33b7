// @ts-check
// `node tools/quickstart.mjs file|generator`: runs the quickstart as a newcomer does, through `npm start`, and checks the
// proof on its last line. The file is generated from a fixed seed: hot keys, lines that are equal, blank fields, no end of
// line at the end. Prints a line a check and at the end `N passed, N failed, N skipped`.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { environment, root, shellForNpm } from './install.mjs';

const generatedLines = 4000;

const mode = process.argv[2];
if (mode !== 'file' && mode !== 'generator') {
  console.error(`tools/quickstart.mjs: expected "file" or "generator", got ${JSON.stringify(mode)}`);
  process.exit(2);
}
const folder = mkdtempSync(join(tmpdir(), 'shardline-quickstart-'));
try {
  await check(mode === 'file' ? [writeInput(join(folder, 'clicks.log'))] : []);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** @param {readonly string[]} files */
async function check(files) {
  const args = files.flatMap((file) => ['--input', file]);
  console.log(`$ npm start -- ${args.join(' ')}`);
  const { stdout, code } = await run(['start', ...(args.length > 0 ? ['--', ...args] : [])]);
  const lastLine = stdout.trimEnd().split('\n').at(-1) ?? '';
  /** @type {Record<string, unknown>} */
  let proof = {};
  try {
    proof = JSON.parse(lastLine);
  } catch (error) {
    console.log(`the last line is no JSON (${error instanceof Error ? error.message : error}): ${lastLine}`);
  }
  const { linesIn, linesHandled, orderViolations, duplicates, recordsPerSecond, kills, splits } = proof;
  const checks = {
    'exit code 0': code === 0,
    [`linesIn is ${files.length > 0 ? generatedLines : 'positive'}: ${linesIn}`]:
      files.length > 0 ? linesIn === generatedLines : Number(linesIn) > 0,
    [`linesHandled equals linesIn: ${linesHandled}`]: linesHandled !== undefined && linesHandled === linesIn,
    [`orderViolations is 0: ${orderViolations}`]: orderViolations === 0,
    [`duplicates is a count: ${duplicates}`]: Number.isInteger(duplicates) && Number(duplicates) >= 0,
    [`recordsPerSecond is positive: ${recordsPerSecond}`]: Number(recordsPerSecond) > 0,
    [`a worker was killed: ${kills}`]: Number(kills) >= 1,
    [`a shard was split: ${splits}`]: Number(splits) >= 1,
  };
  for (const [name, holds] of Object.entries(checks)) console.log(`${holds ? 'ok  ' : 'FAIL'} ${name}`);
  const failed = Object.values(checks).filter((holds) => !holds).length;
  console.log(`${Object.keys(checks).length - failed} passed, ${failed} failed, 0 skipped`);
  process.exitCode = failed === 0 ? 0 : 1;
}

/**
 * Runs npm, passing its output on; no stdin, as in CI.
 * @param {readonly string[]} args
 * @returns {Promise<{ stdout: string, code: number | null }>}
 */
async function run(args) {
  const child = spawn('npm', args, {
    cwd: root,
    env: environment,
    stdio: ['ignore', 'pipe', 'inherit'],
    shell: shellForNpm,
  });
  let stdout = '';
  child.stdout.setEncoding('utf8').on('data', (/** @type {string} */ chunk) => {
    stdout += chunk;
    process.stdout.write(chunk);
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ stdout, code }));
  });
}

/**
 * @param {string} path
 * @returns {string} the path
 */
function writeInput(path) {
  let state = 20_240_229;
  const next = (/** @type {number} */ bound) => {
    // A linear congruential generator (Numerical Recipes' constants): the same file on every machine.
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  };
  const lines = Array.from({ length: generatedLines }, (_, index) => {
    // Every fourth line is of one hot client, every fiftieth equals all others of its kind.
    const client = next(4) === 0 ? '203.0.113.7' : `198.51.100.${next(200)}`;
    return index % 50 === 49 ? '203.0.113.7 GET /health' : `${client} GET /item/${next(9000)}?käse=${index}  "-"`;
  });
  writeFileSync(path, lines.join('\n'));
  return path;
}
