// From a folder of Java beside this file (a pom and its sources) to something that `java` can run: Maven copies the jars,
// javac compiles. Both are done once for the same pom and sources, into a folder that git ignores, each under a name of its own
// that is renamed when it is whole: a build that was interrupted leaves nothing that looks ready.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';

/** The folder of a program, and for the KCL's worker the version of the KCL where it is not the pom's. */
export type JavaProgram = 'dynamodb-local' | 'event-ruler' | 'kcl' | 'kpl' | `kcl@${string}`;

/** The same whether this file runs as it is or compiled. */
const here = join(dirname(createRequire(import.meta.url).resolve('@shardline/interop/package.json')), 'java', '/');
const cache = join(here, '.cache');
const MAVEN_TIMEOUT_MS = 240_000;
const JAVAC_TIMEOUT_MS = 60_000;

/** Tests that run side by side build once. */
const builds: Map<JavaProgram, Promise<string>> = new Map();

/** @returns the class path of the program. */
export function buildJava(program: JavaProgram): Promise<string> {
  const build = builds.get(program) ?? buildNow(program);
  builds.set(program, build);
  return build;
}

async function buildNow(program: JavaProgram): Promise<string> {
  const [name = '', version] = program.split('@');
  const folder = join(here, name);
  const pom = join(folder, 'pom.xml');
  const files = (await readdir(folder)).filter((file) => file !== 'pom.xml').sort();
  const sources = files.map((file) => join(folder, file));

  const jars = await made(`${program}-jars-${await hashOf([pom])}`, async (target) => {
    const goal = ['dependency:copy-dependencies', '-DincludeScope=runtime', `-DoutputDirectory=${target}`];
    const properties = version === undefined ? [] : [`-Dkcl.version=${version}`];
    await run('mvn', ['-q', '-B', '-f', pom, ...properties, ...goal], MAVEN_TIMEOUT_MS);
  });
  const libraries = join(jars, '*');
  const classes = await made(`${program}-classes-${await hashOf([pom, ...sources])}`, async (target) => {
    const isJava = (path: string): boolean => path.endsWith('.java');
    await run('javac', ['-cp', libraries, '-d', target, ...sources.filter(isJava)], JAVAC_TIMEOUT_MS);
    for (const file of files.filter((path) => !isJava(path))) await cp(join(folder, file), join(target, file));
  });
  return [classes, libraries].join(delimiter);
}

/** The folder of that name in the cache, made now if it is not there. */
async function made(name: string, make: (target: string) => Promise<void>): Promise<string> {
  const target = join(cache, name);
  if (await exists(target)) return target;
  const draft = `${target}.${process.pid}`;
  await rm(draft, { recursive: true, force: true });
  await mkdir(draft, { recursive: true });
  try {
    await make(draft);
    await rename(draft, target);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    // Another run made it in the meantime.
    if (!(await exists(target))) throw error;
  }
  return target;
}

async function hashOf(paths: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const path of paths) hash.update(path.slice(here.length)).update(await readFile(path));
  return hash.digest('hex').slice(0, 16);
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function run(program: string, args: readonly string[], timeout: number): Promise<void> {
  try {
    await promisify(execFile)(program, args, { timeout, maxBuffer: 16 * 1024 * 1024 });
  } catch (error) {
    const { stdout = '', stderr = '', message } = error as { stdout?: string; stderr?: string; message: string };
    const said = `${stdout}${stderr}`.slice(-4000);
    throw new Error(`${program} failed, with a time limit of ${timeout} ms: ${message.split('\n')[0]}\n${said}`);
  }
}
