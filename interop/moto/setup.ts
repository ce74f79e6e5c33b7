// Vitest's global setup of the project that needs a DynamoDB with tags and point-in-time recovery, and a CloudWatch: moto, in Python, in a
// process of its own on a free port of the loopback, told by its endpoint.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { TestProject } from 'vitest/node';
import { installPackages, python } from '../python/install.mjs';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Where Python finds what is installed for these tests. */
    pythonPackages: string;
  }
}

const START_TIMEOUT_MS = 60_000;

let server: ChildProcess | undefined;

export async function setup(project: TestProject): Promise<void> {
  const here = fileURLToPath(new URL('.', import.meta.url));
  const packages = installPackages(here);
  const env = {
    PATH: process.env['PATH'] ?? '',
    PYTHONPATH: packages,
    PYTHONDONTWRITEBYTECODE: '1',
    AWS_ACCESS_KEY_ID: 'moto',
    AWS_SECRET_ACCESS_KEY: 'moto',
    AWS_EC2_METADATA_DISABLED: 'true',
  };
  const started = spawn(python, ['server.py'], { cwd: here, env, stdio: ['pipe', 'pipe', 'inherit'] });
  server = started;
  project.provide('pythonPackages', packages);
  project.provide('dynamoDBEndpoint', `http://127.0.0.1:${await portOf(started)}`);
}

/** Its standard input closes with this process, too, so it never outlives the tests. */
export async function teardown(): Promise<void> {
  if (server === undefined || server.exitCode !== null) return;
  server.stdin?.end();
  await once(server, 'exit');
}

async function portOf({ stdout }: ChildProcess): Promise<number> {
  if (stdout === null) throw new Error('moto has no standard output');
  const lines = createInterface(stdout);
  const timer = setTimeout(() => lines.close(), START_TIMEOUT_MS);
  try {
    for await (const line of lines) if (line.startsWith('{')) return (JSON.parse(line) as { port: number }).port;
  } finally {
    clearTimeout(timer);
  }
  throw new Error(`moto named no port within ${START_TIMEOUT_MS} ms`);
}
