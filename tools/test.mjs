// @ts-check
// The one runner of test tiers. `node tools/test.mjs [NAME …] [--group fast|more|all]` installs if needed, runs the tiers of a
// group (fast unless told otherwise) or those named, and what they need before them, beside each other where the machine has room
// (schedule.mjs); prints a line as each ends, the output of those that failed, a table, and as its last line
// `N passed, N failed, N skipped` over all tiers.
//
// Nothing is left out quietly: a tier that cannot run, runs no test, or takes too long counts as failed, with its reason.
import { spawn, spawnSync } from 'node:child_process';
import { createWriteStream, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, setPriority } from 'node:os';
import { join, relative } from 'node:path';
import { finished } from 'node:stream/promises';
import { parseArgs, stripVTControlCharacters } from 'node:util';
import { countLastLine, countSimulation, countVitest, unhandledErrors } from './counts.mjs';
import { environment, install, root, shellForNpm } from './install.mjs';
import { runBeside } from './schedule.mjs';
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
/** Of 19, the lowest. Where the machine is busy with other things too, at 10 nothing moves. */
const backgroundPriority = 5;
/** Ends the processes of each tier that runs. */
const underWay = new Set(/** @type {(() => void)[]} */ ([]));

await main();

async function main() {
  const { selected, problem } = readArguments();
  if (problem !== undefined) return conclude([failedRow('arguments', problem)]);

  const notInstalled = install();
  if (notInstalled !== undefined) return conclude([failedRow('install', notInstalled)]);

  mkdirSync(logFolder, { recursive: true });
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) process.once(signal, endAllAndExit);
  /** @type {Row[]} */
  const ended = [];
  const rows = await runBeside(selected, availableParallelism(), async (tier) => {
    const row = await runTier(tier, ended);
    ended.push(row);
    console.log(`${row.failed === 0 ? 'ok  ' : 'FAIL'} ${describeRow(row)}`);
    if (row.failed > 0) showFailure(tier, row);
    return row;
  });
  conclude(rows);
}

function readArguments() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { group: { type: 'string', default: 'fast' } },
    });
    const unknown = positionals.filter((name) => !tiers.some((tier) => tier.name === name));
    if (unknown.length > 0) {
      throw new Error(
        `no tier is called ${unknown.join(', ')}; there are ${tiers.map((tier) => tier.name).join(', ')}`,
      );
    }
    const wanted = tiers.filter((tier) =>
      positionals.length > 0 ? positionals.includes(tier.name) : values.group === 'all' || tier.group === values.group,
    );
    if (wanted.length === 0) throw new Error(`no tier is of the group ${values.group}; there are fast, more and all`);
    return { selected: withNeeds(wanted) };
  } catch (error) {
    return { selected: [], problem: messageOf(error) };
  }
}

/**
 * Those wanted and all that they need, and so on, in the order of the list.
 * @param {readonly Tier[]} wanted
 */
function withNeeds(wanted) {
  const names = new Set(wanted.map((tier) => tier.name));
  // Grows while it is walked.
  for (const name of names) for (const need of tiers.find((tier) => tier.name === name)?.needs ?? []) names.add(need);
  return tiers.filter((tier) => names.has(tier.name));
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
    env: { ...environment, SHARDLINE_TIER: tier.name },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: process.platform !== 'win32',
  });
  if (tier.beside === 'background' && child.pid !== undefined) yieldToOthers(child.pid);
  const end = () => {
    if (child.pid === undefined) return;
    try {
      process.kill(process.platform === 'win32' ? child.pid : -child.pid, 'SIGKILL');
    } catch (error) {
      // ESRCH: the group has ended by itself in the meantime.
      if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'ESRCH') throw error;
    }
  };
  underWay.add(end);
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
  underWay.delete(end);
  log.end();
  await finished(log);
  return late ? { exitCode: 1, reason: `ended after ${tier.timeoutMs / 1000} s, its time limit` } : ending;
}

function endAllAndExit() {
  for (const end of underWay) end();
  process.exit(130);
}

/**
 * Lets a process have what processor time others leave, and beside them a third of what each of them gets. It is a session of its own,
 * and where Linux shares the time out by session first, it is the session's priority that counts.
 * @param {number} pid
 */
function yieldToOthers(pid) {
  try {
    setPriority(pid, backgroundPriority);
    const ofSession = `/proc/${pid}/autogroup`;
    if (existsSync(ofSession)) writeFileSync(ofSession, String(backgroundPriority));
  } catch {
    // It has ended already, or the system does not let us: then it runs as the others do.
  }
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
 */
function conclude(rows) {
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
