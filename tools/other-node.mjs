// @ts-check
// Runs a script of this repository under another Node: `node tools/other-node.mjs VERSION SCRIPT [ARG …]`. That Node comes from
// npm (the packages that carry its binary for each platform), because a machine that builds Shardline has npm and one Node.
import { spawnSync } from 'node:child_process';
import { environment, root, shellForNpm } from './install.mjs';

const [version, ...command] = process.argv.slice(2);
if (version === undefined || command.length === 0) {
  console.error('other-node: expected VERSION SCRIPT [ARG …]');
  process.exit(2);
}

const platform = process.platform === 'win32' ? 'win' : process.platform;
const distribution = `node-${platform}-${process.arch}@${version}`;
const ask = 'process.versions.node + " " + process.execPath';
const answer = run('npm', ['exec', '--yes', `--package=${distribution}`, '--', 'node', '-p', ask], 'pipe').trim();
if (!answer.startsWith(`${version} `)) {
  console.error(`other-node: expected Node ${version} from ${distribution}, got ${answer || 'none'}`);
  process.exit(1);
}
run(answer.slice(version.length + 1), command, 'inherit');

/**
 * @param {string} program
 * @param {readonly string[]} args
 * @param {'pipe' | 'inherit'} stdout
 * @returns {string} what it wrote to stdout, when piped
 */
function run(program, args, stdout) {
  const shell = program === 'npm' && shellForNpm;
  const {
    status,
    error,
    stdout: output,
  } = spawnSync(program, args, {
    cwd: root,
    env: environment,
    stdio: ['ignore', stdout, 'inherit'],
    encoding: 'utf8',
    shell,
  });
  if (error) console.error(`other-node: ${program} could not start: ${error.message}`);
  if (error || status !== 0) process.exit(status || 1);
  return output ?? '';
}
