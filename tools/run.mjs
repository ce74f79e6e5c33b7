// `node tools/run.mjs TASK [-- COMMAND …]`: installs when the lock file changed, runs the turbo task, then the command.
// Only node: built-ins, because it runs before anything is installed.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`Shardline needs Node >= 20.19, this is ${process.version}.`);
  process.exit(1);
}

const separator = process.argv.indexOf('--');
const tasks = process.argv.slice(2, separator === -1 ? undefined : separator);
const command = separator === -1 ? [] : process.argv.slice(separator + 1);
const env = {
  ...process.env,
  TURBO_TELEMETRY_DISABLED: '1',
  DO_NOT_TRACK: '1',
  AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
};

/** Runs a program in the repository's root, its output on ours; ends this process with its exit code when it fails. */
function must(program, args, options = {}) {
  const { status, signal, error } = spawnSync(program, args, { cwd: root, env, stdio: 'inherit', ...options });
  if (error) throw error;
  if (status !== 0) process.exit(status ?? (signal ? 1 : 0));
}

const stampPath = join(root, 'node_modules', '.installed-lock');
const stamp = createHash('sha256')
  .update(readFileSync(join(root, 'package-lock.json')))
  .digest('hex');
if (!existsSync(stampPath) || readFileSync(stampPath, 'utf8') !== stamp) {
  // stdout stays the command's own: npm's and turbo's chatter goes to stderr.
  must('npm', ['ci', '--no-audit', '--no-fund'], { stdio: ['ignore', 2, 2], shell: process.platform === 'win32' });
  writeFileSync(stampPath, stamp);
}
must(process.execPath, [join(root, 'node_modules', 'turbo', 'bin', 'turbo'), 'run', ...tasks], {
  stdio: ['ignore', 2, 2],
});
if (command.length > 0) {
  const [program, ...args] = command;
  must(program === 'node' ? process.execPath : program, args);
}
