// The command `shardline-local` as a process of a test: started, killed, and never left behind.
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { LocalClientConfig } from '../src/index.ts';

const command = fileURLToPath(new URL('../bin/shardline-local.js', import.meta.url));
const running = new Set<CommandProcess>();

export class CommandProcess {
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;
  readonly #exited: Promise<unknown>;
  stderr = '';

  constructor(...args: string[]) {
    this.#child = spawn(process.execPath, [command, '--port', '0', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#exited = once(this.#child, 'close');
    this.#child.stderr.on('data', (chunk: Buffer) => {
      this.stderr += chunk.toString();
    });
    running.add(this);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Resolves once it listens. @throws what it wrote to stderr when it ended instead */
  async listening(): Promise<{ clientConfig: LocalClientConfig; dynamodbPort: number | null }> {
    const line = once(createInterface(this.#child.stdout), 'line') as Promise<[string]>;
    const first = await Promise.race([line, this.#exited.then(() => undefined)]);
    if (first === undefined) throw new Error(this.stderr);
    const { port, dynamodbPort } = JSON.parse(first[0]) as { port: number; dynamodbPort: number | null };
    const credentials = { accessKeyId: 'local', secretAccessKey: 'local' };
    return { clientConfig: { endpoint: `http://127.0.0.1:${port}`, region: 'us-east-1', credentials }, dynamodbPort };
  }

  /** Sends the signal and waits for the end. Returns the exit code, null for SIGKILL. */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null> {
    this.#child.kill(signal);
    return await this.ended();
  }

  async ended(): Promise<number | null> {
    await this.#exited;
    running.delete(this);
    return this.#child.exitCode;
  }
}

/** For `afterEach`. */
export async function killAll(): Promise<void> {
  await Promise.all([...running].map((each) => each.end('SIGKILL')));
}
