// @ts-check
// The one runner of test tiers. `node tools/test.mjs [NAME …] [--group fast|more] [--results FILE] [--earlier FILE]`
// installs if needed, runs the tiers of a group (fast unless told otherwise) or those named, and what they need before
// them; prints a line as each ends, the output of those that failed, a table, and as its last line
// `N passed, N failed, N skipped` over all tiers.
//
// Nothing is left out quietly: a tier that cannot run, runs no test, or takes too long counts as failed, with its reason.
// `--results` writes the table as JSON, `--earlier` reads one and counts it in: that is how `.ci/run` sums two runs.
import { spawn, spawnSync } from 'node:child_process';
import { createWriteStream, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { finished } from 'node:stream/promises';
import { parseArgs, stripVTControlCharacters } from 'node:util';
import { countLastLine, countSimulation, countVitest, unhandledErrors } from './counts.mjs';
import { environment, install, root, shellForNpm } from './install.mjs';
import { tiers } from './tiers.mjs';

/**
 * @typedef {import('./tiers.mjs').Tier} Tier
 * @typedef {import('./counts.mjs').Counts} Counts
 * @typedef {Counts & { name: string, seconds: number, reasons: string[] }} Row
 */

/** Where each tier's whole output is kept. */
const logFolder = join(root, 'coverage', 'tiers');
const shownLines = 200;
/** Of a failed test's message, where it stands by itself. */
const shownMessageLines = 30;

await main();

async function main() {
  const { selected, earlier, resultsPath, problem } = readArguments();
  if (problem !== undefined) return conclude([failedRow('arguments', problem)], resultsPath);

  const notInstalled = install();
  if (notInstalled !== undefined) return conclude([...earlier, failedRow('install', notInstalled)], resultsPath);

  mkdirSync(logFolder, { recursive: true });
  /** @type {Row[]} */
  const rows = [];
  for (const tier of selected) {
    const row = await runTier(tier, [...earlier, ...rows]);
    rows.push(row);
    console.log(`${row.failed === 0 ? 'ok  ' : 'FAIL'} ${describeRow(row)}`);
    if (row.failed > 0) showFailure(tier, row);
  }
  conclude([...earlier, ...rows], resultsPath);
}

function readArguments() {
  /** @type {Row[]} */
  const earlier = [];
  /** @type {string | undefined} */
  let resultsPath;
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        group: { type: 'string', default: 'fast' },
        results: { type: 'string' },
        earlier: { type: 'string' },
      },
    });
    resultsPath = values.results;
    if (values.earlier !== undefined) earlier.push(...readEarlier(values.earlier));
    const unknown = positionals.filter((name) => !tiers.some((tier) => tier.name === name));
    if (unknown.length > 0) {
      throw new Error(
        `no tier is called ${unknown.join(', ')}; there are ${tiers.map((tier) => tier.name).join(', ')}`,
      );
    }
    const wanted = tiers.filter((tier) =>
      positionals.length > 0 ? positionals.includes(tier.name) : tier.group === values.group,
    );
    if (wanted.length === 0) throw new Error(`no tier is of the group ${values.group}; there are fast and more`);
    const needed = new Set(wanted.flatMap((tier) => tier.needs));
    for (const row of earlier) needed.delete(row.name);
    return { selected: tiers.filter((tier) => wanted.includes(tier) || needed.has(tier.name)), earlier, resultsPath };
  } catch (error) {
    return { selected: [], earlier, resultsPath, problem: messageOf(error) };
  }
}

/**
 * The rows that an earlier run wrote; a run that wrote none died, and counts as a failed tier.
 * @param {string} path
 * @returns {Row[]}
 */
function readEarlier(path) {
  if (!existsSync(path)) return [failedRow('npm test', 'it ended before it wrote its results')];
  return JSON.parse(readFileSync(path, 'utf8'));
}

/**
 * @param {Tier} tier
 * @param {readonly Row[]} before
 * @returns {Promise<Row>}
 */
async function runTier(tier, before) {
  const unmet = tier.needs.filter((name) => before.some((row) => row.name === name && row.failed > 0));
  if (unmet.length > 0) return failedRow(tier.name, `not run, because ${unmet.join(' and ')} failed`);
  for (const program of tier.programs ?? []) {
    const { error, status } = spawnSync(program, ['--version'], { stdio: 'ignore', shell: shellForNpm });
    if (error || status !== 0) return failedRow(tier.name, `could not run: ${program} is not on this machine`);
  }

  const started = process.hrtime.bigint();
  const reportPath = join(logFolder, `${tier.name}.json`);
  rmSync(reportPath, { force: true });
  const [program = '', ...args] = tier.command;
  const reporters =
    tier.counts === 'vitest' ? ['--reporter=default', '--reporter=json', `--outputFile.json=${reportPath}`] : [];
  const ending = await execute(program === 'node' ? process.execPath : program, [...args, ...reporters], tier);
  const seconds = Number(process.hrtime.bigint() - started) / 1e9;
  const { reasons, ...counts } = readCounts(tier, reportPath, ending.exitCode);
  // Exit code 1 beside failed tests says nothing new.
  if (ending.reason !== undefined && (counts.failed === 0 || reasons.length > 0 || ending.exitCode !== 1)) {
    reasons.unshift(ending.reason);
  }
  const row = { name: tier.name, seconds, ...counts, reasons };
  if (row.passed + row.failed + row.skipped === 0) row.reasons.push('it ran no test');
  // Whatever was counted, a tier that ended badly has failed.
  if (row.failed === 0 && row.reasons.length > 0) row.failed = 1;
  return row;
}

/**
 * Runs a command in a process group of its own, so that its children end with it; the output goes to the tier's log.
 * @param {string} program
 * @param {readonly string[]} args
 * @param {Tier} tier
 * @returns {Promise<{ exitCode: number, reason?: string }>}
 */
async function execute(program, args, tier) {
  const log = createWriteStream(logPath(tier));
  const child = spawn(program, args, {
    cwd: root,
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: process.platform !== 'win32',
  });
  const end = () => {
    if (child.pid === undefined) return;
    try {
      process.kill(process.platform === 'win32' ? child.pid : -child.pid, 'SIGKILL');
    } catch (error) {
      // ESRCH: the group has ended by itself in the meantime.
      if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'ESRCH') throw error;
    }
  };
  const endAndExit = () => {
    end();
    process.exit(130);
  };
  process.once('SIGINT', endAndExit).once('SIGTERM', endAndExit);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    end();
  }, tier.timeoutMs);

  child.stdout.pipe(log, { end: false });
  child.stderr.pipe(log, { end: false });
  /** @type {{ exitCode: number, reason?: string }} */
  const ending = await new Promise((resolve) => {
    child.on('error', (error) => resolve({ exitCode: 1, reason: `could not start ${program}: ${error.message}` }));
    child.on('close', (code, signal) => {
      if (code === 0) resolve({ exitCode: 0 });
      else resolve({ exitCode: code ?? 1, reason: signal ? `ended by ${signal}` : `exit code ${code}` });
    });
  });
  clearTimeout(timer);
  process.off('SIGINT', endAndExit).off('SIGTERM', endAndExit);
  log.end();
  await finished(log);
  return late ? { exitCode: 1, reason: `ended after ${tier.timeoutMs / 1000} s, its time limit` } : ending;
}

/**
 * @param {Tier} tier
 * @param {string} reportPath
 * @param {number} exitCode
 * @returns {Counts & { reasons: string[] }}
 */
function readCounts(tier, reportPath, exitCode) {
  try {
    switch (tier.counts) {
      case 'exit':
        return { passed: exitCode === 0 ? 1 : 0, failed: exitCode === 0 ? 0 : 1, skipped: 0, reasons: [] };
      case 'vitest':
        if (!existsSync(reportPath)) throw new Error('vitest wrote no report');
        return { ...withUnhandled(tier, countVitest(readFileSync(reportPath, 'utf8'))), reasons: [] };
      case 'last-line':
        return { ...countLastLine(lastLine(tier)), reasons: [] };
      case 'simulation':
        return { ...countSimulation(lastLine(tier), Number(tier.command.at(-1))), reasons: [] };
    }
  } catch (error) {
    return { passed: 0, failed: 1, skipped: 0, reasons: [`its counts could not be read: ${messageOf(error)}`] };
  }
}

/**
 * @param {Tier} tier
 * @param {Counts} counts
 * @returns {Counts}
 */
function withUnhandled(tier, counts) {
  const unhandled = unhandledErrors(logLines(tier).join('\n'));
  if (unhandled.length === 0) return counts;
  return { ...counts, failed: counts.failed + unhandled.length, failures: [...(counts.failures ?? []), ...unhandled] };
}

/** @param {Tier} tier */
function logLines(tier) {
  return stripVTControlCharacters(readFileSync(logPath(tier), 'utf8'))
    .trimEnd()
    .split('\n');
}

/** @param {Tier} tier */
function lastLine(tier) {
  return logLines(tier).at(-1)?.trim() ?? '';
}

/**
 * @param {Tier} tier
 * @param {Row} row
 */
function showFailure(tier, row) {
  console.log(`  $ ${tier.command.join(' ')}`);
  for (const { title, message } of row.failures ?? []) {
    console.log(`  x ${title}`);
    const lines = stripVTControlCharacters(message).trimEnd().split('\n');
    const own = lines.filter((line) => !/^\s+at .*node_modules/.test(line));
    for (const line of own.slice(0, shownMessageLines)) console.log(`    | ${line}`.trimEnd());
  }
  if (existsSync(logPath(tier))) {
    const lines = logLines(tier);
    const hidden = lines.length - shownLines;
    if (hidden > 0) console.log(`  | … ${hidden} lines before, all in ${relative(root, logPath(tier))}`);
    for (const line of lines.slice(-shownLines)) console.log(`  | ${line}`.trimEnd());
  }
  for (const reason of row.reasons) console.log(`  ${tier.name}: ${reason}`);
}

/**
 * Prints the table and the last line; the exit code says whether all is well.
 * @param {readonly Row[]} rows
 * @param {string | undefined} resultsPath
 */
function conclude(rows, resultsPath) {
  const widest = Math.max(...rows.map((row) => row.name.length), 4);
  console.log(`\n${'tier'.padEnd(widest)}  passed  failed  skipped   seconds`);
  for (const row of rows) {
    const counts = [row.passed, row.failed, row.skipped].map((count, index) => String(count).padStart(index + 6));
    const remark = [row.note, ...row.reasons].filter((text) => text !== undefined).join('; ');
    console.log(
      `${row.name.padEnd(widest)}  ${counts.join('  ')}  ${row.seconds.toFixed(1).padStart(8)}  ${remark}`.trimEnd(),
    );
  }
  // Once more, for who reads no more than the end.
  for (const { name, failures = [] } of rows) {
    for (const { title, message } of failures) {
      console.log(`FAIL ${name}: ${title}: ${stripVTControlCharacters(message).split('\n', 1)[0]}`);
    }
  }
  if (resultsPath !== undefined) writeFileSync(resultsPath, JSON.stringify(rows));
  const total = { passed: 0, failed: 0, skipped: 0 };
  for (const row of rows) {
    total.passed += row.passed;
    total.failed += row.failed;
    total.skipped += row.skipped;
  }
  console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
  process.exitCode = total.failed === 0 ? 0 : 1;
}

/** @param {Row} row */
function describeRow(row) {
  const skipped = row.skipped > 0 ? `, ${row.skipped} skipped` : '';
  return `${row.name}: ${row.passed} passed, ${row.failed} failed${skipped}, ${row.seconds.toFixed(1)} s`;
}

/**
 * @param {string} name
 * @param {string} reason
 * @returns {Row}
 */
function failedRow(name, reason) {
  return { name, passed: 0, failed: 1, skipped: 0, seconds: 0, reasons: [reason] };
}

/** @param {Tier} tier */
function logPath(tier) {
  return join(logFolder, `${tier.name}.log`);
}

/** @param {unknown} error */
function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}
