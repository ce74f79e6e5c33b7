// @ts-check
// The tier over what users install: packs every public package, lints the tarballs (publint, are-the-types-wrong), installs
// them all into one empty folder, and runs the programs of tools/published there: JavaScript, CommonJS `require`, and
// TypeScript, type-checked against the published types. Prints a line a check and at the end `N passed, N failed, N skipped`.
//
// Everything happens in a temporary folder; what the packages depend on comes from the registry or from npm's cache.
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { environment, root, shellForNpm } from './install.mjs';

/**
 * @typedef {{ folder: string, name: string, bin: Record<string, string> }} PublicPackage
 * @typedef {{ name: string, filename: string, files: { path: string }[] }} Packed
 */

const programTimeoutMs = 60_000;

/** What a strict user has, and no more: the library's own types are checked too. */
const compilerOptions = {
  target: 'es2022',
  lib: ['es2022', 'esnext.disposable'],
  module: 'nodenext',
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  skipLibCheck: false,
  types: ['node'],
};

let passed = 0;
let failed = 0;

const work = mkdtempSync(join(tmpdir(), 'shardline-pack-'));
try {
  main();
} finally {
  rmSync(work, { recursive: true, force: true });
}
console.log(`${passed} passed, ${failed} failed, 0 skipped`);
process.exitCode = failed === 0 ? 0 : 1;

function main() {
  const packages = publicPackages();
  const tarballs = packages.map((each) => pack(each));
  if (tarballs.some((tarball) => tarball === undefined)) return;

  const app = join(work, 'app');
  mkdirSync(app);
  writeFileSync(join(app, 'package.json'), JSON.stringify({ name: 'app', private: true, type: 'module' }));
  const nodeTypes = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).devDependencies['@types/node'];
  const installed = run(
    'npm',
    ['install', '--prefer-offline', ...tarballs.map(String), `@types/node@${nodeTypes}`],
    app,
  );
  if (!report('the tarballs install together into an empty folder', installed)) return;

  for (const [file, what] of /** @type {const} */ ([
    ['javascript.mjs', 'a JavaScript program'],
    ['commonjs.cjs', 'a CommonJS program that requires the packages'],
    ['command.mjs', 'the command shardline-local'],
  ])) {
    copyFileSync(join(root, 'tools', 'published', file), join(app, file));
    report(`${what} runs, without a flag and without a warning`, quietly(run('node', [file], app)));
  }

  copyFileSync(join(root, 'tools', 'published', 'typescript.ts'), join(app, 'typescript.ts'));
  writeFileSync(join(app, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['typescript.ts'] }));
  const compiled = run('node', [join(root, 'node_modules/typescript/bin/tsc'), '-p', '.'], app);
  if (report('a TypeScript program type-checks against the published types', compiled)) {
    report('… and runs', quietly(run('node', ['typescript.js'], app)));
  }
}

/** @returns {PublicPackage[]} */
function publicPackages() {
  return readdirSync(join(root, 'packages'))
    .map((folder) => join(root, 'packages', folder))
    .filter((folder) => existsSync(join(folder, 'package.json')))
    .map((folder) => ({ folder, ...JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) }))
    .filter((manifest) => manifest.private !== true)
    .map(({ folder, name, bin = {} }) => ({ folder, name, bin }));
}

/**
 * @param {PublicPackage} each
 * @returns {string | undefined} the tarball's path
 */
function pack({ folder, name, bin }) {
  const result = run('npm', ['pack', '--json', '--pack-destination', work], folder);
  if (!report(`${name} packs`, result)) return undefined;
  const answer = JSON.parse(result.stdout);
  /** @type {Packed} */
  const packed = Array.isArray(answer) ? answer[0] : answer[name];
  const tarball = join(work, packed.filename);
  const paths = packed.files.map((file) => file.path);

  const wanted = ['LICENSE', 'README.md', 'package.json', 'dist/index.js', 'dist/index.d.ts', 'src/index.ts'];
  wanted.push(...Object.values(bin).map((path) => path.replace(/^\.\//, '')));
  const missing = wanted.filter((path) => !paths.includes(path));
  check(`${name} holds its licence, README, code, types and bins`, missing.length === 0, `missing: ${missing}`);

  const unwanted = paths.filter((path) => /\.tsbuildinfo$|\.test\.|(^|\/)(test|fixtures|coverage)\//.test(path));
  check(`${name} holds no tests and no build state`, unwanted.length === 0, `unwanted: ${unwanted}`);

  // A file that stayed in dist after its source had gone would be published too.
  const stale = paths
    .filter((path) => path.startsWith('dist/') && path.endsWith('.js'))
    .filter((path) => !paths.includes(path.replace(/^dist\//, 'src/').replace(/\.js$/, '.ts')));
  check(`${name} holds nothing that has no source`, stale.length === 0, `run npm run clean; stale: ${stale}`);

  report(`${name} passes publint --strict`, run('node', [tool('publint', 'src/cli.js'), tarball, '--strict'], work));
  const attw = [tool('@arethetypeswrong/cli', 'dist/index.js'), tarball, '--profile', 'esm-only', '--no-color'];
  report(`${name} passes are-the-types-wrong`, run('node', attw, work));
  return tarball;
}

/**
 * @param {string} name
 * @param {string} file
 */
function tool(name, file) {
  return join(root, 'node_modules', name, file);
}

/**
 * @typedef {{ command: string, stdout: string, stderr: string, problem: string | undefined }} Ending
 * @param {string} program
 * @param {readonly string[]} args
 * @param {string} folder
 * @returns {Ending}
 */
function run(program, args, folder) {
  const { stdout, stderr, status, signal, error } = spawnSync(program === 'node' ? process.execPath : program, args, {
    cwd: folder,
    env: environment,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: program === 'npm' ? 3 * programTimeoutMs : programTimeoutMs,
    shell: program === 'npm' && shellForNpm,
  });
  const problem = error ? error.message : status === 0 ? undefined : `ended with ${signal ?? `exit code ${status}`}`;
  return { command: [program, ...args].join(' '), stdout: stdout ?? '', stderr: stderr ?? '', problem };
}

/**
 * A program that says anything on stderr, a warning of Node say, is not as users want it.
 * @param {Ending} ending
 * @returns {Ending}
 */
function quietly(ending) {
  return ending.problem === undefined && ending.stderr !== '' ? { ...ending, problem: 'it wrote to stderr' } : ending;
}

/**
 * @param {string} name
 * @param {Ending} ending
 */
function report(name, { command, stdout, stderr, problem }) {
  return check(name, problem === undefined, `${command}\n${stdout}${stderr}${problem}`);
}

/**
 * @param {string} name
 * @param {boolean} holds
 * @param {string} otherwise
 */
function check(name, holds, otherwise) {
  if (holds) passed += 1;
  else failed += 1;
  console.log(holds ? `ok   ${name}` : `FAIL ${name}\n     ${otherwise.replaceAll('\n', '\n     ')}`);
  return holds;
}
