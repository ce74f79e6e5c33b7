// A library never writes to stdout: seen from outside, in a process of its own on the built package.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const program = `
  import { resolveLogger } from '@shardline/common';
  const log = resolveLogger(undefined, { application: 'billing' });
  for (const level of ['trace', 'debug', 'info', 'warn', 'error']) log.child({ worker: 'w1' })[level]({ n: 1 }, level + ' line');
  resolveLogger(undefined, { application: 'audit' }).error({}, 'second logger');
`;

function run(level: string | undefined): { stdout: string; stderr: string } {
  const { SHARDLINE_LOG_LEVEL: _inherited, ...env } = process.env;
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
    env: level === undefined ? env : { ...env, SHARDLINE_LOG_LEVEL: level },
    encoding: 'utf8',
    timeout: 20_000,
  });
  expect([status, stderr.includes('Error')]).toEqual([0, false]);
  return { stdout, stderr };
}

describe('the default logger', () => {
  test('is quiet', () => {
    expect(run(undefined)).toEqual({ stdout: '', stderr: '' });
  });

  test('writes JSON lines with its bindings to stderr when SHARDLINE_LOG_LEVEL asks for it, and nothing to stdout', () => {
    const { stdout, stderr } = run('trace');
    expect(stdout).toBe('');
    const lines = stderr
      .trim()
      .split('\n')
      .map((line): unknown => JSON.parse(line));
    expect(lines).toHaveLength(6);
    expect(lines[3]).toMatchObject({
      name: 'shardline',
      level: 40,
      application: 'billing',
      worker: 'w1',
      n: 1,
      msg: 'warn line',
    });
    expect(lines[5]).toMatchObject({ application: 'audit', msg: 'second logger' });
  });

  test('keeps to the level', () => {
    const { stdout, stderr } = run('warn');
    expect(stdout).toBe('');
    expect(stderr.trim().split('\n')).toHaveLength(3);
  });
});
