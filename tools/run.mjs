// @ts-check
// `node tools/run.mjs TASK [-- COMMAND …]`: installs when the lock file changed, runs the turbo task, then the command,
// whose stdin, stdout, signals and exit code are ours.
import { spawn, spawnSync } from 'node:child_process';
import { constants } from 'node:os';
import { environment, install, root, turbo } from './install.mjs';

const separator = process.argv.indexOf('--');
const tasks = process.argv.slice(2, separator === -1 ? undefined : separator);
const [program, ...args] = separator === -1 ? [] : process.argv.slice(separator + 1);

const problem = install();
if (problem !== undefined) {
  console.error(problem);
  process.exit(1);
}
const build = spawnSync(process.execPath, [turbo, 'run', ...tasks], {
  cwd: root,
  env: environment,
  stdio: ['ignore', 2, 2],
});
if (build.error) throw build.error;
if (build.status !== 0) process.exit(build.status ?? 1);

if (program !== undefined) {
  // Not spawnSync: a SIGTERM must reach the command, not leave it behind as an orphan.
  const child = spawn(program === 'node' ? process.execPath : program, args, {
    cwd: root,
    env: environment,
    stdio: 'inherit',
  });
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  process.on('SIGHUP', () => child.kill('SIGHUP'));
  // A terminal sends Ctrl-C to the command too; passing it on would make it two.
  process.on('SIGINT', () => process.stdin.isTTY || child.kill('SIGINT'));
  if (process.env.npm_lifecycle_event !== undefined) {
    // npm puts a shell between itself and us: ended by a signal, the shell dies of it and nobody tells us. Another parent does.
    const parent = process.ppid;
    const watch = setInterval(() => {
      if (process.ppid === parent) return;
      clearInterval(watch);
      child.kill('SIGTERM');
    }, 200);
    watch.unref();
  }
  child.on('error', (error) => {
    console.error(`${program}: ${error.message}`);
    process.exit(1);
  });
  child.on('close', (code, signal) => process.exit(code ?? 128 + (signal ? constants.signals[signal] : 0)));
}
