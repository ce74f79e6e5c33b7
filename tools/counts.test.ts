// The runner's reading of counts: a tier that failed, broke or ran nothing must never read as passed.
import { describe, expect, test } from 'vitest';
import { countLastLine, countSimulation, countVitest, unhandledErrors } from './counts.mjs';

const report = (counts: Record<string, unknown>, files: readonly unknown[] = []): string =>
  JSON.stringify({
    numPassedTests: 0,
    numFailedTests: 0,
    numPendingTests: 0,
    numTodoTests: 0,
    testResults: files,
    ...counts,
  });

describe("vitest's report", () => {
  test('passed, failed, skipped and todo tests are counted', () => {
    const text = report({ numPassedTests: 5, numFailedTests: 2, numPendingTests: 3, numTodoTests: 1 });
    expect(countVitest(text)).toMatchObject({ passed: 5, failed: 2, skipped: 4 });
  });

  test('a file that does not load counts as a failed test', () => {
    const broken = { name: 'a.test.ts', status: 'failed', message: 'no such module', assertionResults: [] };
    const failed = { status: 'failed', assertionResults: [{ status: 'failed' }] };
    const text = report({ numPassedTests: 5, numFailedTests: 1 }, [broken, failed]);
    expect(countVitest(text)).toMatchObject({ passed: 5, failed: 2, note: '2 files' });
    expect(countVitest(text).failures).toContainEqual({ title: 'a.test.ts', message: 'no such module' });
  });

  test('failed tests are named with their messages, and no others', () => {
    const failed = { status: 'failed', fullName: 'a sum is right', failureMessages: ['Error: expected 2, got 3'] };
    const passed = { status: 'passed', fullName: 'a product is right', failureMessages: [] };
    const text = report({ numPassedTests: 1, numFailedTests: 1 }, [
      { status: 'failed', assertionResults: [passed, failed] },
    ]);
    expect(countVitest(text).failures).toEqual([{ title: 'a sum is right', message: 'Error: expected 2, got 3' }]);
    expect(countVitest(report({ numPassedTests: 1 }))).not.toHaveProperty('failures');
  });

  test.each(['', '{}', report({ numPassedTests: 'many' })])('%j is no report', (text) => {
    expect(() => countVitest(text)).toThrow();
  });
});

describe("vitest's log", () => {
  const rule = '⎯'.repeat(6);
  const log = [
    ' ✓ a sum is right',
    `${rule} Unhandled Errors ${rule}`,
    '',
    'Vitest caught 2 unhandled errors during the test run.',
    '',
    `${rule} Uncaught Exception ${rule}`,
    'Error: it is closed',
    ' ❯ get db.js:1:2',
    '',
    'This error originated in "a.test.ts" test file. It does not mean much.',
    '',
    `${rule} Unhandled Rejection ${rule}`,
    'TypeError: no function',
    rule.repeat(3),
    '',
    ' Test Files  1 passed (1)',
  ];

  test('errors of no test are named with the file that ran', () => {
    expect(unhandledErrors(log.join('\n'))).toEqual([
      {
        title: 'Uncaught Exception, while a.test.ts ran',
        message: expect.stringMatching(/^Error: it is closed\n(.|\n)*mean much\.$/),
      },
      { title: 'Unhandled Rejection', message: 'TypeError: no function' },
    ]);
  });

  test('of a run in good order there are none', () => {
    expect(unhandledErrors([...log.slice(0, 1), ...log.slice(-1)].join('\n'))).toEqual([]);
  });
});

describe('the last line', () => {
  test('is read', () => {
    expect(countLastLine('12 passed, 1 failed, 0 skipped')).toEqual({ passed: 12, failed: 1, skipped: 0 });
  });

  test.each(['', 'ok', '12 passed', '12 passed, 1 failed, 0 skipped.', '-1 passed, 0 failed, 0 skipped'])(
    '%j is not one',
    (line) => {
      expect(() => countLastLine(line)).toThrow('the last line is not');
    },
  );
});

describe("the simulator's last line", () => {
  const line = (violations: number, found: number, schedules = 400): string =>
    JSON.stringify({ schedules, violations, schedulesPerSecond: 90, plantedBugs: { found, total: 8 } });

  test('counts the clean run and each planted bug that was found', () => {
    expect(countSimulation(line(0, 8), 400)).toMatchObject({ passed: 9, failed: 0, skipped: 0 });
  });

  test('a violation, a bug not found, and schedules not run are failures', () => {
    expect(countSimulation(line(3, 8), 400)).toMatchObject({ passed: 8, failed: 1 });
    expect(countSimulation(line(0, 6), 400)).toMatchObject({ passed: 7, failed: 2 });
    expect(countSimulation(line(0, 8, 399), 400)).toMatchObject({ passed: 8, failed: 1 });
  });

  test.each(['', 'done', '{}', '{"schedules":400,"violations":0,"plantedBugs":{"found":0,"total":0}}'])(
    '%j is not one',
    (text) => {
      expect(() => countSimulation(text, 400)).toThrow();
    },
  );
});
