// A server under test as a process of its own: started on free ports, asked for its memory and its processor time, ended by its
// own process id.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Address, connections } from './connection.ts';
import { encode } from './request.ts';

interface Command {
  readonly script: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

export interface Contender {
  readonly name: string;
  readonly streamName: string;
  /** What to run so that it listens on these ports, with the stream made. The folder is its own, and empty. */
  command(ports: { http: number; https: number }, folder: string): Command;
}

export interface Server extends AsyncDisposable {
  readonly address: Address;
  readonly tlsAddress: Address;
  /** From the start of its process to its first answer. */
  readonly startMs: number;
  /** Undefined where the system does not tell. */
  residentBytes(): number | undefined;
  /** User and system time of all its threads. Undefined where the system does not tell. */
  processorMs(): number | undefined;
}

const START_TIMEOUT_MS = 60_000;
const START_POLL_MS = 5;
/** Some warn for ever: what it said last is told when it does not start. */
const KEPT_STDERR = 2_000;
const PAGE_BYTES = 4096;
const CLOCK_TICK_MS = 10;

const require = createRequire(import.meta.url);

/** Ours, with or without the rates of a shard, a port for TLS, and a folder that is made, and deleted, for each start. */
export function shardlineLocal(
  name: string,
  shardCount: number,
  { limits, tls = false, data = false }: { limits: 'on' | 'off'; tls?: boolean; data?: boolean },
): Contender {
  const script = fileURLToPath(new URL('../../../packages/local/bin/shardline-local.js', import.meta.url));
  return {
    name,
    streamName: 'bench',
    command: ({ http, https }, folder) => ({
      script,
      args: [
        ...['--port', String(http), '--stream', `bench:${shardCount}`, '--limits', limits],
        ...(tls ? ['--tls', String(https)] : []),
        ...(data ? ['--data', folder] : []),
      ],
      env: {},
    }),
  };
}

/** Dies without the path of its certificate. */
export function kinesisLocal(shardCount: number): Contender {
  const script = require.resolve('kinesis-local');
  return {
    name: 'kinesis-local',
    streamName: 'bench',
    command: ({ http, https }) => ({
      script,
      args: [],
      env: {
        SHARD_LIMIT: '500',
        KINESIS_MOCK_CERT_PATH: join(dirname(script), 'server.json'),
        KINESIS_MOCK_PLAIN_PORT: String(http),
        KINESIS_MOCK_TLS_PORT: String(https),
        INITIALIZE_STREAMS: `bench:${shardCount}`,
      },
    }),
  };
}

export async function start(contender: Contender): Promise<Server> {
  const ports = { http: await freePort(), https: await freePort() };
  const folder = mkdtempSync(join(tmpdir(), 'bench-local-'));
  const { script, args, env } = contender.command(ports, folder);
  const startedAt = performance.now();
  const child = spawn(process.execPath, [script, ...args], {
    cwd: folder,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said = `${said}${chunk}`.slice(-KEPT_STDERR);
  });
  const end = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const address: Address = { protocol: 'http', port: ports.http };
    await firstAnswer(address, child);
    return {
      address,
      tlsAddress: { protocol: 'https', port: ports.https },
      startMs: performance.now() - startedAt,
      residentBytes: () => residentBytesOf(child),
      processorMs: () => processorMsOf(child),
      [Symbol.asyncDispose]: end,
    };
  } catch (error) {
    await end();
    throw new Error(
      `${contender.name} did not start: ${error instanceof Error ? error.message : String(error)}\n${said}`,
    );
  }
}

async function firstAnswer(address: Address, child: ChildProcess): Promise<void> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  for (;;) {
    try {
      const [connection] = await connections(address, 1);
      await connection?.send(encode('ListStreams', {}));
      connection?.close();
      return;
    } catch (error) {
      if (child.exitCode !== null) throw new Error(`the server ended with exit code ${child.exitCode}`);
      if (performance.now() > deadline) throw error;
      await sleep(START_POLL_MS);
    }
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function residentBytesOf({ pid }: ChildProcess): number | undefined {
  const path = `/proc/${pid}/statm`;
  return existsSync(path) ? Number(readFileSync(path, 'utf8').split(' ')[1]) * PAGE_BYTES : undefined;
}

function processorMsOf({ pid }: ChildProcess): number | undefined {
  const path = `/proc/${pid}/stat`;
  if (!existsSync(path)) return undefined;
  // The second field is the program's name in parentheses; user and system time are the 14th and 15th of all.
  const [user, system] = readFileSync(path, 'utf8').split(') ')[1]?.split(' ').slice(11, 13) ?? [];
  return (Number(user) + Number(system)) * CLOCK_TICK_MS;
}
