// @ts-check
// What a tier printed or reported, as counts. Pure; each throws when the counts are not there, so that the runner can say so:
// what cannot be counted has not passed.

/**
 * @typedef {object} Counts
 * @property {number} passed
 * @property {number} failed
 * @property {number} skipped
 * @property {string} [note] what the table says beside the counts
 * @property {Failure[]} [failures] the tests that failed
 *
 * @typedef {object} Failure
 * @property {string} title
 * @property {string} message why, over several lines
 */

/**
 * @typedef {object} VitestFile
 * @property {string} name
 * @property {string} status
 * @property {string} [message]
 * @property {{ status: string, fullName?: string, failureMessages?: string[] }[]} assertionResults
 */

/**
 * Vitest's JSON report.
 * @param {string} text
 * @returns {Counts}
 */
export function countVitest(text) {
  const report = JSON.parse(text);
  /** @type {VitestFile[]} */
  const files = report.testResults;
  // A file that does not even load has no test in it: it counts as one failed test.
  const broken = files.filter((file) => file.status === 'failed' && file.assertionResults.length === 0);
  const failures = [
    ...broken.map(({ name, message }) => ({ title: name, message: message ?? '' })),
    ...files
      .flatMap((file) => file.assertionResults)
      .filter((test) => test.status === 'failed')
      .map((test) => ({ title: test.fullName ?? '', message: (test.failureMessages ?? []).join('\n') })),
  ];
  return {
    passed: count('numPassedTests', report),
    failed: count('numFailedTests', report) + broken.length,
    skipped: count('numPendingTests', report) + count('numTodoTests', report),
    note: `${files.length} files`,
    ...(failures.length > 0 && { failures }),
  };
}

/**
 * The errors that belong to no test, which end vitest badly though each test has passed; its JSON report has none of them.
 * @param {string} log its default reporter's, without colours
 * @returns {Failure[]}
 */
export function unhandledErrors(log) {
  const [, said = ''] = log.split(/^⎯+ Unhandled Errors ⎯+$/m);
  // A ruled heading before each error, and a bare rule behind the last.
  const [, ...parts] = said.split(/^⎯+ (.+) ⎯+$/m);
  const errors = parts.flatMap((message, at) => (at % 2 === 1 ? [{ kind: parts[at - 1] ?? '', message }] : []));
  return errors.map(({ kind, message }) => {
    const [own = ''] = message.split(/^⎯+$/m);
    const file = /^This error originated in "(.+?)" test file/m.exec(own)?.[1];
    return { title: file === undefined ? kind : `${kind}, while ${file} ran`, message: own.trim() };
  });
}

/**
 * The last line of a script that is a tier.
 * @param {string} line
 * @returns {Counts}
 */
export function countLastLine(line) {
  const match = /^(\d+) passed, (\d+) failed, (\d+) skipped$/.exec(line);
  if (match === null) throw new Error(`the last line is not "N passed, N failed, N skipped", but "${line}"`);
  return { passed: Number(match[1]), failed: Number(match[2]), skipped: Number(match[3]) };
}

/**
 * The simulator's last line: one test says that no schedule broke a rule, and one for each planted bug that it is found.
 * @param {string} line
 * @param {number} asked schedules that it had to run
 * @returns {Counts}
 */
export function countSimulation(line, asked) {
  const summary = JSON.parse(line);
  const schedules = count('schedules', summary);
  const violations = count('violations', summary);
  const found = count('found', summary.plantedBugs);
  const total = count('total', summary.plantedBugs);
  if (total === 0) throw new Error('the simulator has no planted bug, so nothing says that it finds any');
  const clean = violations === 0 && schedules >= asked;
  return {
    passed: (clean ? 1 : 0) + found,
    failed: (clean ? 0 : 1) + total - found,
    skipped: 0,
    note: `${schedules} of ${asked} schedules, ${violations} violations, ${summary.schedulesPerSecond} a second; ${found} of ${total} planted bugs`,
  };
}

/**
 * @param {string} name
 * @param {Record<string, unknown> | undefined} counts
 * @returns {number}
 */
function count(name, counts) {
  const value = counts?.[name];
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw new Error(`${name}: expected a count, got ${JSON.stringify(value)}`);
  }
  return value;
}
