// Vitest's global setup of the project that reads Kinesis servers which others wrote: kinesis-local, in Node, and ministack, in Python,
// each in a process of its own on a free port of the loopback, told by its endpoint. One that does not come up fails the tier.
import { fileURLToPath } from 'node:url';
import type { TestProject } from 'vitest/node';
import { ChildProgram } from '../child-program.ts';
import { installPackages, python } from '../python/install.mjs';

declare module 'vitest' {
  export interface ProvidedContext {
    kinesisLocalEndpoint: string;
    ministackEndpoint: string;
  }
}

const START_TIMEOUT_MS = 60_000;
const here = fileURLToPath(new URL('.', import.meta.url));
const programs: ChildProgram[] = [];

export async function setup(project: TestProject): Promise<void> {
  const packages = installPackages(here);
  const [kinesisLocal, ministack] = await Promise.all([
    start('kinesis-local', process.execPath, 'kinesis-local.mjs'),
    start('ministack', python, 'server.py', { PYTHONPATH: packages, PYTHONDONTWRITEBYTECODE: '1' }),
  ]).catch(async (error: unknown) => {
    await teardown();
    throw error;
  });
  project.provide('kinesisLocalEndpoint', kinesisLocal);
  project.provide('ministackEndpoint', ministack);
}

export async function teardown(): Promise<void> {
  await Promise.all(programs.map((program) => program.end()));
}

async function start(
  name: string,
  program: string,
  script: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<string> {
  let say: (port: number) => void = () => undefined;
  const said = new Promise<number>((resolve) => {
    say = resolve;
  });
  const onLine = (line: unknown): void => say((line as { port: number }).port);
  const child = new ChildProgram(program, [`${here}${script}`], { name, environment, onLine });
  programs.push(child);
  return `http://127.0.0.1:${await child.inTime(START_TIMEOUT_MS, said)}`;
}
