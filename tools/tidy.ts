// The house's structural rules as functions over sources: each takes files and returns what is wrong, a line a finding.
// tidy.test.ts runs them over the repository, and each over a bad sample too, so that none can go blind.
// Sources are parsed, not searched: a word in a comment or in a text breaks no rule.
import { dirname, join, normalize } from 'node:path/posix';
import { parseAst } from 'vitest/node';

/** A file of the repository: its path from the root, with forward slashes, and its text. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

/** `packages/x/src/y.ts:12: what is wrong`. */
export type Finding = string;

/** The producer's sources that do something; all others are stages, which take `now` as an argument. */
export const PRODUCER_SHELL: readonly string[] = [
  'index.ts',
  'producer.ts',
  'stream-driver.ts',
  'options.ts',
  'faces.ts',
  'room-queue.ts',
  'sender.ts',
  'stream-reader.ts',
].map((name) => `packages/producer/src/${name}`);

/** The stages of docs/walk.md, which no rename may take out of these rules unseen. */
export const PRODUCER_STAGES: readonly string[] = [
  'put.ts',
  'user-record-input.ts',
  'user-record.ts',
  'streams.ts',
  'outstanding.ts',
  'pipeline.ts',
  'placing.ts',
  'prediction.ts',
  'answering.ts',
  'settling.ts',
  'stream-strategy.ts',
  'shard-map.ts',
  'aggregator.ts',
  'limiter.ts',
  'collector.ts',
  'retrier.ts',
].map((name) => `packages/producer/src/${name}`);

/** The only sources that import AWS's SDK: those that call AWS, the one that signs a request again as the SDK does, and those that answer its commands. */
export const AWS_FILES: readonly string[] = [
  'packages/common/src/aws-client.ts',
  'packages/common/src/aws-shortcut.ts',
  'packages/producer/src/sender.ts',
  'packages/producer/src/stream-reader.ts',
  'packages/consumer/src/lease-table/control.ts',
  'packages/consumer/src/lease-table/table.ts',
  'packages/consumer/src/retrieval/fan-out.ts',
  'packages/consumer/src/retrieval/polling.ts',
  'packages/consumer/src/retrieval/shards.ts',
  'packages/consumer/src/retrieval/stream-consumer.ts',
  'packages/local/src/server/signature.ts',
  'packages/simulation/src/shell/dynamodb.ts',
  'packages/simulation/src/shell/kinesis.ts',
  'packages/simulation/src/shell/planted-bugs.ts',
];

/** Sources that may name AWS's types (`import type`, gone at run time), because users hand them in or rows have them. */
export const AWS_TYPE_FILES: readonly string[] = [
  'packages/common/src/put-records-body.ts',
  'packages/producer/src/options.ts',
  'packages/producer/src/producer.ts',
  'packages/consumer/src/consumer-options.ts',
  'packages/consumer/src/options.ts',
  'packages/consumer/src/fan-out-options.ts',
  'packages/consumer/src/retrieval/answer.ts',
  'packages/consumer/src/retrieval/event-stream.ts',
  'packages/consumer/src/retrieval/raw-answer.ts',
  'packages/consumer/src/retrieval/sources.ts',
  'packages/consumer/src/lease-table/dynamodb.ts',
  'packages/consumer/src/lease-table/item.ts',
  'packages/simulation/src/shell/expressions.ts',
  'packages/simulation/src/shell/worker.ts',
];

/** Which packages a folder's sources may import. Tests may import every public one. */
const NEIGHBOURS: Readonly<Record<string, readonly string[]>> = {
  'packages/common': [],
  'packages/producer': ['common'],
  'packages/consumer': ['common'],
  'packages/local': ['common'],
  'packages/simulation': ['common', 'producer', 'consumer', 'local'],
  examples: ['common', 'producer', 'consumer', 'local'],
  benchmarks: ['common', 'producer', 'consumer', 'local'],
  interop: ['common', 'producer', 'consumer', 'local'],
};
const PUBLIC_PACKAGES: readonly string[] = ['common', 'producer', 'consumer', 'local'];

const CLOCK_AND_CHANCE: ReadonlySet<string> = new Set([
  'Date',
  'performance',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'queueMicrotask',
  'crypto',
  'process',
  'console',
  'fetch',
  'globalThis',
  'Promise',
  'PromiseLike',
  'systemClock',
  'systemRandom',
]);
const BANNED_NAMES: ReadonlySet<string> = new Set(
  ['util', 'utils', 'helper', 'helpers', 'misc', 'manager', 'factory', 'provider', 'impl'].flatMap((name) => [
    name,
    `${name}s`,
  ]),
);

/** The core is a state machine: no clock, no chance, no I/O, no promise; what it imports lies inside the core or in common. */
export function purity(files: readonly SourceFile[]): Finding[] {
  return files.filter(isPure).flatMap((file) => {
    const { imports, names, asynchronous } = readModule(file);
    return [
      ...imports.filter((each) => !isPureImport(file, each)).map((each) => at(file, each, `imports ${each.specifier}`)),
      ...names.filter(({ name }) => CLOCK_AND_CHANCE.has(name)).map((each) => at(file, each, `uses ${each.name}`)),
      ...names.filter(({ name }) => name === 'Math.random').map((each) => at(file, each, 'uses Math.random')),
      ...asynchronous.map((each) => at(file, each, 'is asynchronous')),
    ];
  });
}

/** AWS is called from the marked files alone. */
export function awsImports(files: readonly SourceFile[]): Finding[] {
  return files
    .filter((file) => isPackageSource(file) && !AWS_FILES.includes(file.path))
    .flatMap((file) =>
      readModule(file)
        .imports.filter(({ specifier }) => /^@(aws-sdk|smithy)\//.test(specifier))
        .filter(({ typeOnly }) => !(typeOnly && AWS_TYPE_FILES.includes(file.path)))
        .map((each) => at(file, each, `imports ${each.specifier}, which only the marked files may`)),
    );
}

/** Packages import each other by name, in the directions of the house; only the simulation reaches into others' dist. */
export function packageDirection(files: readonly SourceFile[]): Finding[] {
  return files.filter(isCode).flatMap((file) => {
    const home = Object.keys(NEIGHBOURS).find((folder) => file.path.startsWith(`${folder}/`));
    if (home === undefined) return [];
    const allowed = isTest(file) ? PUBLIC_PACKAGES : (NEIGHBOURS[home] ?? []);
    return readModule(file).imports.flatMap((each) => {
      const named = /^@shardline\/([^/]+)(\/.*)?$/.exec(each.specifier);
      if (named !== null) {
        if (!allowed.includes(named[1] ?? '')) return [at(file, each, `may not import ${each.specifier}`)];
        return named[2]?.startsWith('/dist') ? [at(file, each, `reaches inside ${each.specifier}`)] : [];
      }
      if (!each.specifier.startsWith('.')) return [];
      const target = normalize(join(dirname(file.path), each.specifier));
      if (target.startsWith(`${home}/`)) return [];
      if (home === 'packages/simulation' && /^packages\/[^/]+\/dist\//.test(target)) return [];
      return [at(file, each, `leaves its package for ${target}`)];
    });
  });
}

/** The local servers call no AWS: they start in half the time without its clients, which the whole of common would load. */
export function lightStart(files: readonly SourceFile[]): Finding[] {
  return files
    .filter((file) => isPackageSource(file) && file.path.startsWith('packages/local/'))
    .flatMap((file) =>
      readModule(file)
        .imports.filter(({ specifier, typeOnly }) => specifier === '@shardline/common' && !typeOnly)
        .map((each) => at(file, each, 'imports @shardline/common where @shardline/common/base will do')),
    );
}

/**
 * What a source imports stands in its own package.json (hoisting would hide that it does not), and in a published one
 * nothing else does: users would install it for nothing.
 */
export function declaredDependencies(files: readonly SourceFile[]): Finding[] {
  const sources = files.filter((file) => isPackageSource(file) && !isTest(file));
  return [...new Set(sources.map(({ path }) => path.split('/').slice(0, 2).join('/')))].flatMap((home) => {
    const own = sources.filter(({ path }) => path.startsWith(`${home}/`));
    const manifest = files.find(({ path }) => path === `${home}/package.json`)?.text ?? '{}';
    const { private: unpublished, dependencies = {}, peerDependencies = {} }: Manifest = JSON.parse(manifest);
    const undeclared = own.flatMap((file) =>
      readModule(file)
        .imports.filter(({ specifier }) => /^[@a-z]/.test(specifier) && !specifier.startsWith('node:'))
        .filter(
          ({ specifier }) => !Object.keys({ ...dependencies, ...peerDependencies }).includes(packageOf(specifier)),
        )
        .map((each) => at(file, each, `imports ${each.specifier}, which ${home}/package.json does not list`)),
    );
    const unused = (unpublished ? [] : Object.keys(dependencies))
      // Quoted anywhere: a CommonJS package is loaded by createRequire.
      .filter((name) => !own.some(({ text }) => text.includes(`'${name}'`) || text.includes(`'${name}/`)))
      .map((name) => `${home}/package.json: lists ${name}, which no source imports`);
    return [...undeclared, ...unused];
  });
}

/** Names that say nothing about what is inside. */
export function fileNames(files: readonly SourceFile[]): Finding[] {
  return files
    .filter(({ path }) => /\.(ts|mts|cts|js|mjs|cjs|py|sh)$/.test(path))
    .flatMap(({ path }) => {
      const banned = path
        .split('/')
        .flatMap((part) => part.toLowerCase().split(/[-_.]/))
        .find((word) => BANNED_NAMES.has(word));
      return banned === undefined ? [] : [`${path}: "${banned}" in a path says nothing about what is inside`];
    });
}

/** Neither enums nor default exports nor decorators (vitest's own configuration must export a default). */
export function forms(files: readonly SourceFile[]): Finding[] {
  return files
    .filter((file) => isCode(file) && file.path !== 'vitest.config.ts')
    .flatMap((file) => readModule(file).banned.map((each) => at(file, each, `has ${each.name}`)));
}

/** A source opens with a comment that says where it stands; an index only lists. */
export function openings(files: readonly SourceFile[]): Finding[] {
  return files
    .filter((file) => isPackageSource(file) && !isTest(file) && !file.path.endsWith('/index.ts'))
    .filter(({ text }) => !/^(#!.*\n)?\/\/ \S/.test(text))
    .map(({ path }) => `${path}:1: does not open with a comment`);
}

/** No test is left out or run alone. */
export function leftOutTests(files: readonly SourceFile[]): Finding[] {
  const runners =
    /^(test|it|describe|suite|bench|expect|context|ctx|t)\b.*\.(only|skip|todo|skipIf|runIf|fails)$|^(xit|xtest|xdescribe|fit|fdescribe)$/;
  return files
    .filter((file) => isCode(file) && isTest(file))
    .flatMap((file) =>
      readModule(file)
        .names.filter(({ name }) => runners.test(name))
        .map((each) => at(file, each, `${each.name}: every test runs`)),
    );
}

/** Nothing in the repository knows the machine it was written on, or where packages were fetched from. */
export function foreignPlaces(files: readonly SourceFile[]): Finding[] {
  const machinePath = /(?<![\w.~\-/}\])])\/(?:(?:tmp|work)(?![\w-])|(?:root|Users|home\/\w+)\/)|\b[A-Z]:\\\\?Users\b/;
  const registryHost =
    /\b(?:registry\.[\w.-]*\w|[\w.-]*(?:artifactory|nexus|jfrog)[\w-]*\.[\w.-]*\w|files\.pythonhosted\.org|npmmirror\.com)\b/;
  return files
    .filter(({ path }) => path !== 'tools/tidy.ts' && path !== 'tools/tidy.test.ts')
    .flatMap(({ path, text }) =>
      text.split('\n').flatMap((line, index) => {
        const found = machinePath.exec(line) ?? registryHost.exec(line);
        return found === null ? [] : [`${path}:${index + 1}: names ${found[0]}`];
      }),
    );
}

/** Every file that docs/walk.md names in backticks or links to exists, by its path from the root or from docs. */
export function walk(files: readonly SourceFile[]): Finding[] {
  const document = files.find(({ path }) => path === 'docs/walk.md');
  if (document === undefined) return ['docs/walk.md: is missing'];
  const paths = new Set(files.map(({ path }) => path));
  const named = [...document.text.matchAll(/`([\w./-]+\.(?:ts|mjs|js|md|json))`|\]\(([^)#:\s]+)(?:#[^)]*)?\)/g)].map(
    ([, code, link]) => code ?? link ?? '',
  );
  if (named.length === 0) return ['docs/walk.md: names no file'];
  return [...new Set(named)]
    .filter((name) => !paths.has(name) && !paths.has(normalize(join('docs', name))))
    .map((name) => `docs/walk.md: names ${name}, which is not there`);
}

/** Every relative link of a document leads to a file or folder. */
export function links(files: readonly SourceFile[]): Finding[] {
  const paths = new Set(files.flatMap(({ path }) => parents(path)));
  return files
    .filter(({ path }) => path.endsWith('.md'))
    .flatMap(({ path, text }) =>
      [...text.matchAll(/\]\(([^)#:\s]+)(?:#[^)]*)?\)/g)]
        .map(([, link = '']) => normalize(join(dirname(path), link)).replace(/\/$/, ''))
        .filter((target) => !paths.has(target))
        .map((target) => `${path}: links to ${target}, which is not there`),
    );
}

/** npm packs a licence only from the package's own folder. */
export function licences(files: readonly SourceFile[]): Finding[] {
  const licence = files.find(({ path }) => path === 'LICENSE')?.text;
  if (licence === undefined) return ['LICENSE: is missing'];
  return PUBLIC_PACKAGES.map((name) => `packages/${name}/LICENSE`)
    .filter((copy) => files.find(({ path }) => path === copy)?.text !== licence)
    .map((copy) => `${copy}: is not the LICENSE of the root`);
}

/** The marked files are there: a rule over a file that was renamed would hold for ever. */
export function markedFiles(files: readonly SourceFile[]): Finding[] {
  const paths = new Set(files.map(({ path }) => path));
  return [
    ...[...PRODUCER_SHELL, ...PRODUCER_STAGES, ...AWS_FILES, ...AWS_TYPE_FILES]
      .filter((path) => !paths.has(path))
      .map((path) => `${path}: is marked in tools/tidy.ts, but not there`),
    ...['packages/consumer/src/coordination/', 'packages/local/src/model/']
      .filter((folder) => ![...paths].some((path) => path.startsWith(folder)))
      .map((folder) => `${folder}: holds no source`),
  ];
}

interface Manifest {
  readonly private?: boolean;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

interface Spot {
  readonly name: string;
  readonly start: number;
}

interface Import {
  readonly specifier: string;
  readonly typeOnly: boolean;
  readonly start: number;
}

interface Module {
  readonly imports: readonly Import[];
  /** Every name from outside the file, members as `Math.random`; keys, and what the file itself declares, left out. */
  readonly names: readonly Spot[];
  readonly asynchronous: readonly Spot[];
  readonly banned: readonly Spot[];
}

interface Node {
  readonly type: string;
  readonly start: number;
  readonly [key: string]: unknown;
}

const parsed = new Map<string, Module>();

function readModule({ path, text }: SourceFile): Module {
  const key = `${path}\0${text}`;
  const known = parsed.get(key);
  if (known !== undefined) return known;
  const imports: Import[] = [];
  const names: Spot[] = [];
  const asynchronous: Spot[] = [];
  const banned: Spot[] = [];
  const declared = new Set<string>();
  visit(parseAst(text.replace(/^#!/, '//'), { lang: 'ts' }), (node, parent, key) => {
    const { type, start } = node;
    const source = node['source'];
    if (isNode(source) && typeof source['value'] === 'string') {
      const typeOnly = node['importKind'] === 'type' || node['exportKind'] === 'type' || type === 'TSImportType';
      imports.push({ specifier: source['value'], typeOnly, start });
    }
    if (node['async'] === true || type === 'AwaitExpression' || node['await'] === true) {
      asynchronous.push({ name: 'async', start });
    }
    if (type === 'TSEnumDeclaration') banned.push({ name: 'an enum', start });
    if (type === 'ExportDefaultDeclaration') banned.push({ name: 'a default export', start });
    if (type === 'Decorator') banned.push({ name: 'a decorator', start });
    const name = type === 'CallExpression' ? undefined : nameOf(node);
    if (name !== undefined && isDeclaration(parent, key)) declared.add(name);
    if (name !== undefined && !isKey(parent, key) && !isGivenDate(name, parent, key)) names.push({ name, start });
  });
  const module: Module = {
    imports,
    names: names.filter(({ name }) => !declared.has(name)),
    asynchronous,
    banned,
  };
  parsed.set(key, module);
  return module;
}

/** Calls back for the node and everything below it, with the parent and the parent's property the node stands in. */
function visit(node: unknown, callback: (node: Node, parent: Node | undefined, key: string) => void): void {
  const step = (value: unknown, parent: Node | undefined, key: string): void => {
    if (Array.isArray(value)) {
      for (const each of value) step(each, parent, key);
    } else if (isNode(value)) {
      callback(value, parent, key);
      for (const [name, child] of Object.entries(value)) step(child, value, name);
    }
  };
  step(node, undefined, '');
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';
}

/** `Math.random` for a member, `Date` for a name, `test.each([]).only` for a call in between. */
function nameOf(node: Node): string | undefined {
  if (node.type === 'Identifier') return String(node['name']);
  if (node.type === 'CallExpression') return isNode(node['callee']) ? nameOf(node['callee']) : undefined;
  if (node.type !== 'MemberExpression' || !isNode(node['object']) || !isNode(node['property'])) return undefined;
  const object = nameOf(node['object']);
  const property = node['property'];
  const member = node['computed'] === true ? property['value'] : property['name'];
  return object === undefined || typeof member !== 'string' ? undefined : `${object}.${member}`;
}

/** Whether the node gives its name to a variable, a function or a parameter of this file. */
function isDeclaration(parent: Node | undefined, key: string): boolean {
  return (
    (parent?.type === 'VariableDeclarator' && key === 'id') ||
    (parent?.type === 'FunctionDeclaration' && key === 'id') ||
    key === 'params'
  );
}

/** `new Date(ms)` and `Date.parse(text)` read no clock; `Date.now`, `new Date()` and `Date()` do. */
function isGivenDate(name: string, parent: Node | undefined, key: string): boolean {
  if (name === 'Date.parse' || name === 'Date.UTC') return true;
  if (name !== 'Date') return false;
  if (parent?.type === 'MemberExpression') return key === 'object' && nameOf(parent) !== 'Date.now';
  return parent?.type === 'NewExpression' && Array.isArray(parent['arguments']) && parent['arguments'].length > 0;
}

/** Whether the node is a key: the name of a member, a property or a method, or one of the two sides of an import. */
function isKey(parent: Node | undefined, key: string): boolean {
  if (parent === undefined) return false;
  if (parent.type === 'MemberExpression') return key === 'property' && parent['computed'] !== true;
  return key === 'key' && parent['computed'] !== true && parent['shorthand'] !== true;
}

function isCode({ path }: SourceFile): boolean {
  return path.endsWith('.ts');
}

function isTest({ path }: SourceFile): boolean {
  return path.endsWith('.test.ts') || /^packages\/[^/]+\/test\//.test(path);
}

function isPackageSource({ path }: SourceFile): boolean {
  return /^packages\/[^/]+\/src\/.*\.ts$/.test(path) && !path.endsWith('.test.ts');
}

function isPure(file: SourceFile): boolean {
  if (!isPackageSource(file)) return false;
  if (file.path.startsWith('packages/producer/')) return !PRODUCER_SHELL.includes(file.path);
  return /^packages\/(consumer\/src\/coordination|local\/src\/model)\//.test(file.path);
}

/** Coordination imports itself and common; the producer's stages and the model may name types of their package's other files too. */
function isPureImport(file: SourceFile, { specifier, typeOnly }: Import): boolean {
  if (packageOf(specifier) === '@shardline/common') return true;
  if (!specifier.startsWith('.')) return false;
  if (typeOnly && !file.path.includes('/coordination/')) return true;
  return isPure({ path: normalize(join(dirname(file.path), specifier)), text: '' });
}

/** `@scope/name` or `name`, without what follows. */
function packageOf(specifier: string): string {
  return /^(@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? '';
}

/** The path with all its folders. */
function parents(path: string): string[] {
  const parts = path.split('/');
  return parts.map((_, index) => parts.slice(0, index + 1).join('/'));
}

function at({ path, text }: SourceFile, { start }: { readonly start: number }, what: string): Finding {
  return `${path}:${text.slice(0, start).split('\n').length}: ${what}`;
}
