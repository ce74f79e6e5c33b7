// @ts-check
// boto3 and the AWS CLI against the built local server. Installs both into a folder of its own beside this file, starts
// `shardline-local`, runs the Python tests on it, and ends with `N passed, N failed, N skipped`. Needs Node, python3 >= 3.10 with pip
// or venv, and PyPI (or a mirror that pip is set to). What cannot run has failed: nothing is skipped.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { devNull, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { installPackages, python } from './install.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const command = join(here, '..', '..', 'packages', 'local', 'bin', 'shardline-local.js');
const startTimeoutMs = 20_000;
const testTimeoutMs = 4 * 60_000;

try {
  process.exitCode = await test(installPackages(here));
} catch (error) {
  console.error(`interop/python: ${error instanceof Error ? error.message : error}`);
  console.log('0 passed, 1 failed, 0 skipped');
  process.exitCode = 1;
}

/**
 * Against a server that verifies signatures, with TLS beside clear text.
 * @param {string} packages
 * @returns {Promise<number>} the exit code
 */
async function test(packages) {
  const folder = mkdtempSync(join(tmpdir(), 'shardline-python-'));
  const authority = join(folder, 'ca.pem');
  const args = ['--port', '0', '--tls', '0', '--tls-ca-out', authority, '--credentials', 'local:a/secret+local'];
  const server = spawn(process.execPath, [command, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    const [line] = await once(createInterface(server.stdout), 'line', { signal: AbortSignal.timeout(startTimeoutMs) });
    const { port, tlsPort } = JSON.parse(line);
    const tests = spawn(python, [join(here, 'clients_test.py')], {
      stdio: ['inherit', 'pipe', 'inherit'],
      timeout: testTimeoutMs,
      env: {
        PATH: process.env['PATH'] ?? '',
        PYTHONPATH: packages,
        PYTHONDONTWRITEBYTECODE: '1',
        SHARDLINE_ENDPOINT: `http://127.0.0.1:${port}`,
        SHARDLINE_TLS_ENDPOINT: `https://localhost:${tlsPort}`,
        SHARDLINE_AUTHORITY: authority,
        AWS_ACCESS_KEY_ID: 'local',
        AWS_SECRET_ACCESS_KEY: 'a/secret+local',
        AWS_DEFAULT_REGION: 'eu-west-1',
        AWS_CONFIG_FILE: devNull,
        AWS_SHARED_CREDENTIALS_FILE: devNull,
        AWS_EC2_METADATA_DISABLED: 'true',
        AWS_PAGER: '',
      },
    });
    const lines = createInterface(tests.stdout);
    let last = '';
    lines.on('line', (said) => {
      last = said;
    });
    const [code, signal] = await once(tests, 'close');
    if (code === null) throw new Error(`the tests ended by ${signal}`);
    if (server.exitCode !== null) throw new Error(`the server ended with ${server.exitCode}`);
    // Behind whatever the interpreter says at its end.
    console.log(last);
    return code;
  } finally {
    server.kill('SIGTERM');
    rmSync(folder, { recursive: true });
  }
}
