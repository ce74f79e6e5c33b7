// @ts-check
// The Python packages that a tier needs, in a folder of their own: installed once for each set of requirements and each Python,
// from PyPI or whatever index pip is set to. Needs python3 >= 3.10 with pip or venv.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const python = 'python3';
const installTimeoutMs = 4 * 60_000;

/**
 * Installs the packages that `requirements.txt` in `folder` names, all of them pinned and none left out.
 * pip with --target needs no virtual environment, and leaves the system's packages alone.
 * @param {string} folder
 * @returns {string} where they are, for PYTHONPATH; ignored by git, like every .venv
 */
export function installPackages(folder) {
  const requirements = join(folder, 'requirements.txt');
  const packages = join(folder, '.venv');
  const stamp = join(packages, '.requirements');
  const version = run(python, ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])']).trim();
  const wanted = createHash('sha256').update(readFileSync(requirements)).update(version).digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return packages;
  rmSync(packages, { recursive: true, force: true });
  console.error(`installing ${requirements} for Python ${version}`);
  const options = ['--quiet', '--disable-pip-version-check', '--no-deps', '--target', packages];
  run(pipCommand(packages), ['-m', 'pip', 'install', ...options, '-r', requirements]);
  writeFileSync(stamp, wanted);
  return packages;
}

/**
 * A python that has pip: the system's own, or that of a virtual environment made for the purpose.
 * @param {string} packages
 */
function pipCommand(packages) {
  if (spawnSync(python, ['-m', 'pip', '--version']).status === 0) return python;
  const environment = join(packages, 'pip');
  run(python, ['-m', 'venv', environment]);
  return join(environment, 'bin', 'python');
}

/**
 * @param {string} program
 * @param {string[]} args
 */
function run(program, args) {
  const { status, error, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', timeout: installTimeoutMs });
  if (error) throw new Error(`${program}: ${error.message}`);
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${status}: ${stderr.slice(-2000)}`);
  return stdout;
}
