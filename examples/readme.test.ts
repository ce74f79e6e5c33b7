// The README's program, as it stands there, against the local servers: it has to run. And the list of examples: none is left out.
import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { startLocalDynamoDB, startLocalKinesis } from '@shardline/local';
import { expect, test } from 'vitest';

const folder = new URL('dist/', import.meta.url);

/** The one program in the README. */
function readmeProgram(): string {
  const text = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const program = /```js\n(.*?)```/s.exec(text)?.[1];
  if (program === undefined) throw new Error('README.md: expected a block of js, got none');
  return program;
}

test("the README's twenty lines put ten orders, handle them, and stop in good order", async () => {
  await using kinesis = await startLocalKinesis({ streams: [{ name: 'orders', shardCount: 2 }] });
  await using dynamoDB = await startLocalDynamoDB();
  mkdirSync(folder, { recursive: true });
  const path = new URL('readme-program.mjs', folder);
  writeFileSync(path, readmeProgram());

  const child = spawn(process.execPath, [path.pathname], {
    env: {
      PATH: process.env['PATH'],
      AWS_ENDPOINT_URL_KINESIS: kinesis.endpoint,
      AWS_ENDPOINT_URL_DYNAMODB: dynamoDB.endpoint,
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'local',
      AWS_SECRET_ACCESS_KEY: 'local',
      AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: 60_000,
    killSignal: 'SIGKILL',
  });
  const ended = new Promise((resolve) => child.once('close', (code, signal) => resolve({ code, signal })));
  const lines: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line);
    if (lines.length === 10) child.kill('SIGTERM');
  }

  expect(await ended).toEqual({ code: 0, signal: null });
  const orders = lines.map((line) => JSON.parse(line.slice(line.indexOf('{'))).order as number);
  expect(orders.sort((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
}, 90_000);

test('examples/README.md lists every numbered example, in order, as it is run', () => {
  const names = readdirSync(new URL('.', import.meta.url)).flatMap((name) => /^(\d\d-.*)\.ts$/.exec(name)?.[1] ?? []);
  const text = readFileSync(new URL('README.md', import.meta.url), 'utf8');
  const listed = [...text.matchAll(/^\| `node examples\/dist\/(.*)\.js` \| \[(.*)\.ts\]\((.*)\.ts\): /gm)];
  expect(names.length).toBeGreaterThan(0);
  expect(listed.map(([, run, name, link]) => [run, name, link])).toEqual(
    names.sort().map((name) => [name, name, name]),
  );
});
