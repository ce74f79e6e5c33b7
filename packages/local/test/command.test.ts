// The command `shardline-local` as a process: its first line, its end, its refusals.
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { connect } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { ListStreamsCommand } from '@aws-sdk/client-kinesis';
import { createKinesisClient } from '@shardline/common';
import { afterEach, expect, test } from 'vitest';
import { makeCertificate } from '../src/server/certificate.ts';

type Child = ChildProcessByStdio<null, Readable, Readable>;

const command = fileURLToPath(new URL('../bin/shardline-local.js', import.meta.url));
const running = new Set<Child>();

afterEach(() => {
  for (const child of running) child.kill('SIGKILL');
});

function start(...args: string[]): Child {
  const child = spawn(process.execPath, [command, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  child.once('exit', () => running.delete(child));
  return child;
}

interface FirstLine {
  readonly port: number;
  readonly tlsPort: number | null;
  readonly dynamodbPort: number | null;
  readonly version: string;
  readonly faultSeed?: number;
}

async function firstLineOf(child: Child): Promise<FirstLine> {
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  return JSON.parse(line) as FirstLine;
}

/** Runs to the end. */
async function outcomeOf(child: Child): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk: Buffer) => {
    output.stdout += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    output.stderr += chunk.toString();
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, ...output };
}

test.each(['SIGTERM', 'SIGINT'] as const)(
  'one line of JSON, both servers at work, and a clean end on %s',
  async (signal) => {
    const child = start('--port', '0', '--dynamodb-port', '0', '--stream', 'orders:2', '--stream', 'clicks');
    const line = await firstLineOf(child);
    expect(line).toEqual({
      port: expect.any(Number),
      tlsPort: null,
      dynamodbPort: expect.any(Number),
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
    });
    const credentials = { accessKeyId: 'x', secretAccessKey: 'x' };
    const client = createKinesisClient({ endpoint: `http://127.0.0.1:${line.port}`, region: 'us-east-1', credentials });
    expect((await client.send(new ListStreamsCommand({}))).StreamNames).toEqual(['clicks', 'orders']);
    expect((await fetch(`http://127.0.0.1:${line.dynamodbPort}`)).status).toBe(200);
    child.kill(signal);
    // The client's connection is still open.
    expect(await outcomeOf(child)).toEqual({ code: 0, stdout: '', stderr: '' });
    client.destroy();
  },
);

test('under npx, which leaves a shell in between, it ends with that shell', async () => {
  const script = `"$0" "$1" --port 0; exit $?`;
  const shell: Child = spawn('sh', ['-c', script, process.execPath, command], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, npm_lifecycle_event: 'npx' },
  });
  running.add(shell);
  const { port } = await firstLineOf(shell);
  shell.kill('SIGTERM');
  // The pipe is the server's too: it closes when the server has ended.
  await once(shell, 'close');
  await expect(fetch(`http://127.0.0.1:${port}`)).rejects.toThrow();
});

test('without --dynamodb-port there is none', async () => {
  const child = start('--port', '0');
  expect((await firstLineOf(child)).dynamodbPort).toBeNull();
});

test('--fault strikes from the start, and the first line tells the seed that replays it', async () => {
  const rule = '{"kind":"error","type":"ServiceUnavailable","operation":"ListStreams"}';
  const { port, faultSeed } = await firstLineOf(start('--port', '0', '--fault', rule));
  expect(faultSeed).toEqual(expect.any(Number));
  const [one, two] = await Promise.all([
    listStreams(port),
    fetch(`http://127.0.0.1:${port}/_shardline/faults`).then((answer) => answer.json()),
  ]);
  expect(one.status).toBe(503);
  expect(two).toMatchObject({ seed: faultSeed, faults: [{ id: '1' }] });
});

test('--manual-clock begins with the present, stands still, and is moved over HTTP', async () => {
  const startedMs = Date.now();
  const { port, faultSeed } = await firstLineOf(start('--port', '0', '--manual-clock'));
  expect(faultSeed).toBeUndefined();
  const url = `http://127.0.0.1:${port}/_shardline/clock`;
  const { now } = (await (await fetch(url)).json()) as { now: string };
  expect(Date.parse(now)).toBeGreaterThanOrEqual(startedMs);
  expect(Date.parse(now)).toBeLessThanOrEqual(Date.now());
  const moved = await fetch(url, { method: 'POST', body: '{"advanceMs":86400000}' });
  expect(await moved.json()).toEqual({ clock: 'manual', now: new Date(Date.parse(now) + 86_400_000).toISOString() });
});

test('--admin off leaves Kinesis alone', async () => {
  const { port } = await firstLineOf(start('--port', '0', '--admin', 'off'));
  expect((await fetch(`http://127.0.0.1:${port}/_shardline/health`)).status).toBe(403);
  expect((await listStreams(port)).status).toBe(200);
});

function listStreams(port: number): Promise<Response> {
  const headers = { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': 'Kinesis_20131202.ListStreams' };
  return fetch(`http://127.0.0.1:${port}`, { method: 'POST', headers, body: '{}' });
}

test('with --tls it also listens with TLS, and writes what clients shall trust', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'shardline-'));
  const file = join(folder, 'ca.pem');
  const { tlsPort } = await firstLineOf(start('--port', '0', '--tls', '0', '--tls-ca-out', file));
  const socket = connect({ port: tlsPort ?? 0, host: 'localhost', servername: 'localhost', ca: await readFile(file) });
  await once(socket, 'secureConnect');
  expect(socket.authorized).toBe(true);
  socket.destroy();
  await rm(folder, { recursive: true });
});

test('a program that trusts the file by NODE_EXTRA_CA_CERTS needs nothing else', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'shardline-'));
  const file = join(folder, 'ca.pem');
  const { tlsPort } = await firstLineOf(start('--port', '0', '--tls', '0', '--tls-ca-out', file, '--stream', 'orders'));
  const program = `
    import { KinesisClient, ListStreamsCommand } from '@aws-sdk/client-kinesis';
    const client = new KinesisClient({});
    console.log((await client.send(new ListStreamsCommand({}))).StreamNames.join());
    client.destroy();
  `;
  const child: Child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      NODE_EXTRA_CA_CERTS: file,
      AWS_ENDPOINT_URL_KINESIS: `https://localhost:${tlsPort}`,
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'local',
      AWS_SECRET_ACCESS_KEY: 'local',
    },
  });
  expect(await outcomeOf(child)).toEqual({ code: 0, stdout: 'orders\n', stderr: '' });
  await rm(folder, { recursive: true });
});

test('a certificate out of files', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'shardline-'));
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  const made = makeCertificate('127.0.0.1', Date.now());
  await Promise.all([writeFile(cert, made.cert), writeFile(key, made.key)]);
  const { tlsPort } = await firstLineOf(start('--port', '0', '--tls', '0', '--tls-cert', cert, '--tls-key', key));
  const socket = connect({ port: tlsPort ?? 0, host: '127.0.0.1', ca: made.authority });
  await once(socket, 'secureConnect');
  expect(socket.authorized).toBe(true);
  socket.destroy();
  const swapped = await outcomeOf(start('--port', '0', '--tls', '0', '--tls-cert', key, '--tls-key', cert));
  expect(swapped).toMatchObject({ code: 2, stdout: '' });
  expect(swapped.stderr).toContain('--tls-cert: expected a certificate in PEM and its private key');
  const missing = await outcomeOf(
    start('--port', '0', '--tls', '0', '--tls-cert', join(folder, 'x'), '--tls-key', key),
  );
  expect(missing.code).toBe(2);
  expect(missing.stderr).toContain('--tls-cert: expected a file that can be read, got ENOENT');
  await rm(folder, { recursive: true });
});

test('a file that cannot be written ends it, and nothing stays behind', async () => {
  const { code, stdout, stderr } = await outcomeOf(start('--port', '0', '--tls', '0', '--tls-ca-out', tmpdir()));
  expect([code, stdout]).toEqual([2, '']);
  expect(stderr).toContain('--tls-ca-out: expected a file that can be written, got EISDIR');
});

test('a port in use is told by the option that asked for it, and nothing stays behind', async () => {
  const { port } = await firstLineOf(start('--port', '0'));
  const asKinesis = await outcomeOf(start('--port', String(port)));
  expect(asKinesis).toMatchObject({ code: 1, stdout: '' });
  expect(asKinesis.stderr).toContain(`--port: expected a free port of 127.0.0.1, got ${port}, which is in use`);
  const asDynamoDB = await outcomeOf(start('--port', '0', '--dynamodb-port', String(port)));
  expect(asDynamoDB).toMatchObject({ code: 1, stdout: '' });
  expect(asDynamoDB.stderr).toContain(
    `--dynamodb-port: expected a free port of 127.0.0.1, got ${port}, which is in use`,
  );
});

test('a wrong option is told with what was expected and what was got', async () => {
  const { code, stdout, stderr } = await outcomeOf(start('--limits', 'maybe'));
  expect([code, stdout]).toEqual([2, '']);
  expect(stderr).toContain('--limits: expected on or off, got "maybe"');
});
