// The producer as a program of its own uses it, as built: with its own client, made from the environment, and an end.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { startLocalKinesis } from '@shardline/local';
import { expect, test } from 'vitest';
import { userRecordsOf } from './stream-content.ts';

const STREAM = 'orders';

/** Runs the program in a process with the local server as its AWS; resolves when it has ended by itself. */
async function run(
  program: string,
  endpoint: string,
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    cwd: fileURLToPath(new URL('..', import.meta.url)),
    env: {
      PATH: process.env['PATH'],
      AWS_ENDPOINT_URL: endpoint,
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'local',
      AWS_SECRET_ACCESS_KEY: 'local',
      AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
    },
  });
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk) => {
    output.stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    output.stderr += chunk;
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, ...output };
}

test('with a client of its own it delivers, says nothing, and lets the process end once it is closed', async () => {
  await using local = await startLocalKinesis({ streams: [{ name: STREAM }] });
  const program = `
    import { Producer } from '@shardline/producer';
    const producer = new Producer({ stream: '${STREAM}' });
    const results = [1, 2, 3].map((n) => producer.put({ partitionKey: 'k', data: String(n) }));
    await producer.close();
    const done = await Promise.all(results);
    if (done.length !== 3) process.exitCode = 1;
  `;
  expect(await run(program, local.endpoint)).toEqual({ code: 0, stdout: '', stderr: '' });
  expect(userRecordsOf(local.model, STREAM).map(({ text }) => text)).toEqual(['1', '2', '3']);
});

test('it keeps the process alive until what was put has settled, closed or not', async () => {
  await using local = await startLocalKinesis({ streams: [{ name: STREAM }] });
  const program = `
    import { Producer } from '@shardline/producer';
    const producer = new Producer({ stream: '${STREAM}', recordMaxBufferedTimeMs: 200 });
    producer.put({ partitionKey: 'k', data: 'x' }).then(({ shardId }) => {
      console.log(shardId);
      producer.close();
    });
  `;
  expect(await run(program, local.endpoint)).toEqual({ code: 0, stdout: 'shardId-000000000000\n', stderr: '' });
});

test('a closed producer lets the process end although its stream is missing and nothing was put', async () => {
  await using local = await startLocalKinesis();
  const program = `
    import { Producer } from '@shardline/producer';
    const producer = new Producer({ stream: 'missing' });
    await producer.close();
  `;
  expect(await run(program, local.endpoint)).toEqual({ code: 0, stdout: '', stderr: '' });
});

test('what is answered while the process is kept from its sockets has not timed out', async () => {
  await using local = await startLocalKinesis({ streams: [{ name: STREAM }] });
  // Each turn of the event loop lasts three times as long as a request may take.
  const program = `
    import { createKinesisClient } from '@shardline/common';
    import { Producer } from '@shardline/producer';
    const client = createKinesisClient({ maxAttempts: 1 });
    const producer = new Producer({ stream: '${STREAM}', client, requestTimeoutMs: 100, recordMaxBufferedTimeMs: 0 });
    await producer.put({ partitionKey: 'k', data: 'warm-up' });
    const cell = new Int32Array(new SharedArrayBuffer(4));
    let turn = setImmediate(function block() {
      Atomics.wait(cell, 0, 0, 300);
      turn = setImmediate(block);
    });
    for (let number = 0; number < 3; number++) {
      const { attempts } = await producer.put({ partitionKey: 'k', data: String(number) });
      console.log(attempts.map(({ errorCode = 'delivered' }) => errorCode).join());
    }
    clearImmediate(turn);
    await producer.close();
    client.destroy();
  `;
  const stdout = 'delivered\n'.repeat(3);
  expect(await run(program, local.endpoint)).toEqual({ code: 0, stdout, stderr: '' });
});
