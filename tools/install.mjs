// @ts-check
// The first step of every command: the right Node, and node_modules as the lock file says. Uses node: built-ins alone,
// because it runs before anything is installed. What npm and turbo say goes to stderr: stdout is the command's own.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository's root, without a slash at the end. */
export const root = fileURLToPath(new URL('..', import.meta.url)).replace(/[\\/]$/, '');

/** The environment of every child: no telemetry, and without the AWS SDK's note about Node 20 on each process. */
export const environment = {
  ...process.env,
  TURBO_TELEMETRY_DISABLED: '1',
  DO_NOT_TRACK: '1',
  AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
};

/** Turbo's own script: runs with this Node, so no shell and no PATH is needed. */
export const turbo = join(root, 'node_modules', 'turbo', 'bin', 'turbo');

/** On Windows npm is a .cmd file, which only a shell starts. */
export const shellForNpm = process.platform === 'win32';

/**
 * Runs `npm ci` unless node_modules already holds what package-lock.json says (a stamp of its hash tells).
 * @returns what went wrong, or undefined.
 */
export function install() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    return `Shardline needs Node >= 20.19, this is ${process.version}.`;
  }
  const stampPath = join(root, 'node_modules', '.installed-lock');
  const stamp = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  if (existsSync(stampPath) && readFileSync(stampPath, 'utf8') === stamp) return undefined;
  const { status, signal, error } = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], {
    cwd: root,
    env: environment,
    stdio: ['ignore', 2, 2],
    shell: shellForNpm,
  });
  if (error) return `npm ci could not start: ${error.message}`;
  if (status !== 0) return `npm ci ended with ${signal ?? `exit code ${status}`}.`;
  writeFileSync(stampPath, stamp);
  return undefined;
}
