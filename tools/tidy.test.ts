// The house's structural rules over this repository, and each rule over a bad sample: a rule that finds nothing there is
// blind. Files are read as they lie on disk, .gitignore's folders left out, so it works in a copy without git as well.
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { Finding, SourceFile } from './tidy.ts';
import * as tidy from './tidy.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const repository = readRepository();
const licence = repository.find(({ path }) => path === 'LICENSE')?.text ?? '';

const core = 'packages/consumer/src/coordination/lease.ts';
const stage = 'packages/producer/src/limiter.ts';
const model = 'packages/local/src/model/shard.ts';

/** A rule, samples it must object to, and samples of the same kind it must leave alone. */
interface Rule {
  readonly title: string;
  readonly check: (files: readonly SourceFile[]) => Finding[];
  readonly bad: readonly (readonly SourceFile[])[];
  readonly good: readonly (readonly SourceFile[])[];
}

const file = (path: string, text: string): readonly SourceFile[] => [{ path, text }];
const inCore = (...texts: string[]): (readonly SourceFile[])[] => texts.map((text) => file(core, text));

const rules: readonly Rule[] = [
  {
    title: 'the core knows no clock, no chance, no I/O and no promise',
    check: tidy.purity,
    bad: [
      ...inCore(
        "import { createHash } from 'node:crypto';",
        "import { KinesisClient } from '@aws-sdk/client-kinesis';",
        "import type { KinesisClient } from '@aws-sdk/client-kinesis';",
        "import { dynamodb } from '../lease-table/dynamodb.ts';",
        "import type { Options } from '../options.ts';",
        "export { x } from '../runtime/runtime.ts';",
        "const os = import('node:os');",
        "import { systemClock } from '@shardline/common';",
        'const now = Date.now();',
        'const now = new Date();',
        'const { now } = Date;',
        'const text = Date();',
        'const now = performance.now();',
        'const chance = Math.random();',
        "const chance = Math['random']();",
        'setTimeout(() => step(), 5);',
        'export async function step() {}',
        'const step = async () => 1;',
        'class Lease { async renew() {} }',
        'function step() { return Promise.resolve(); }',
        'export interface Effect { readonly done: Promise<void> }',
        'const id = globalThis.crypto.randomUUID();',
      ),
      file(stage, "import { setTimeout as sleep } from 'node:timers/promises';"),
      file(stage, "import { send } from './sender.ts';"),
      file(stage, 'const now = Date.now();'),
      file(model, "import { hash } from 'node:crypto';"),
      file(model, 'const now = Date.now();'),
      file(model, "import { serve } from '../server/http.ts';"),
    ],
    good: [
      ...inCore(
        'function fetch(position: bigint) { return position; }\nconst next = (process: bigint) => fetch(process);',
        'const text = new Date(now).toUTCString() + Date.parse(other);',
        "// Date.now() and Promise are words here\nconst text = 'async await setTimeout';",
        "import { compareExtended } from '@shardline/common';\nimport type { Effect } from './effects.ts';",
        'export interface Row { readonly process: string; Date: number }\nconst x = row.process + Math.max(1, row.Date);',
      ),
      file(stage, "import type { ResolvedOptions } from './options.ts';\nimport { fits } from './batch.ts';"),
      file('packages/consumer/src/coordination/lease.test.ts', 'const now = Date.now();'),
      file('packages/consumer/src/runtime/runtime.ts', 'const now = Date.now();'),
    ],
  },
  {
    title: 'only the marked files call AWS',
    check: tidy.awsImports,
    bad: [
      file('packages/producer/src/producer.ts', "import { KinesisClient } from '@aws-sdk/client-kinesis';"),
      file('packages/producer/src/producer.ts', "const sdk = await import('@aws-sdk/client-kinesis');"),
      file('packages/producer/src/pipeline.ts', "import type { KinesisClient } from '@aws-sdk/client-kinesis';"),
      file('packages/consumer/src/options.ts', "import { KinesisClient } from '@aws-sdk/client-kinesis';"),
      file('packages/consumer/src/options.ts', "import { type KinesisClient } from '@aws-sdk/client-kinesis';"),
      file('packages/local/src/server/http.ts', "import { NodeHttpHandler } from '@smithy/node-http-handler';"),
      file('packages/simulation/src/world.ts', "export { KinesisClient } from '@aws-sdk/client-kinesis';"),
    ],
    good: [
      file('packages/producer/src/sender.ts', "import { PutRecordsCommand } from '@aws-sdk/client-kinesis';"),
      file('packages/consumer/src/options.ts', "import type { KinesisClient } from '@aws-sdk/client-kinesis';"),
      file('packages/local/test/sdk.test.ts', "import { KinesisClient } from '@aws-sdk/client-kinesis';"),
      file('examples/01-put/main.ts', "import { KinesisClient } from '@aws-sdk/client-kinesis';"),
    ],
  },
  {
    title: 'packages import each other in the directions of the house',
    check: tidy.packageDirection,
    bad: [
      file('packages/common/src/stream.ts', "import { Producer } from '@shardline/producer';"),
      file('packages/producer/src/producer.ts', "import { Consumer } from '@shardline/consumer';"),
      file('packages/consumer/src/consumer.ts', "import type { Producer } from '@shardline/producer';"),
      file('packages/local/src/model/stream.ts', "import { step } from '@shardline/simulation';"),
      file('packages/consumer/src/consumer.ts', "import { retry } from '../../producer/src/retrier.ts';"),
      file('packages/consumer/src/consumer.ts', "import { retry } from '@shardline/common/dist/backoff.js';"),
      file('packages/simulation/src/world.ts', "import { step } from '../../consumer/src/coordination/worker.ts';"),
      file('packages/consumer/test/whole.test.ts', "import { swarm } from '@shardline/simulation';"),
      file(
        'examples/quickstart/main.ts',
        "import { step } from '../../packages/consumer/dist/coordination/worker.js';",
      ),
    ],
    good: [
      file('packages/producer/src/producer.ts', "import { hashKeyOf } from '@shardline/common';"),
      file('packages/consumer/test/whole.test.ts', "import { Producer } from '@shardline/producer';"),
      file('packages/consumer/test/whole.test.ts', "import { step } from '../src/coordination/worker.ts';"),
      file('packages/simulation/src/world.ts', "import { step } from '../../consumer/dist/coordination/worker.js';"),
      file('examples/quickstart/main.ts', "import { Consumer } from '@shardline/consumer';\nimport './view.ts';"),
    ],
  },
  {
    title: "the local servers do not load AWS's clients",
    check: tidy.lightStart,
    bad: [file('packages/local/src/options.ts', "import { describe } from '@shardline/common';")],
    good: [
      file('packages/local/src/options.ts', "import { describe } from '@shardline/common/base';"),
      file('packages/local/src/options.ts', "import type { Clock } from '@shardline/common';"),
      file('packages/producer/src/options.ts', "import { describe } from '@shardline/common';"),
    ],
  },
  {
    title: 'a package lists what its sources import, and nothing else',
    check: tidy.declaredDependencies,
    bad: [
      [
        { path: 'packages/consumer/package.json', text: '{ "dependencies": { "pino": "1.0.0" } }' },
        { path: 'packages/consumer/src/consumer.ts', text: "import PQueue from 'p-queue';" },
      ],
      file('packages/consumer/src/consumer.ts', "import { hashKeyOf } from '@shardline/common';"),
      [
        { path: 'packages/consumer/package.json', text: '{ "dependencies": { "pino": "1.0.0" } }' },
        { path: 'packages/consumer/src/consumer.ts', text: "// pino is common's\nimport 'node:os';" },
      ],
    ],
    good: [
      [
        { path: 'packages/common/package.json', text: '{ "dependencies": { "protobufjs": "8.8.1" } }' },
        {
          path: 'packages/common/src/a.ts',
          text: "import { Reader } from 'protobufjs/minimal.js';\nimport 'node:os';",
        },
      ],
    ],
  },
  {
    title: 'a path says what is inside',
    check: tidy.fileNames,
    bad: [
      'utils.ts',
      'lease-manager.ts',
      'helpers/time.ts',
      'client.factory.ts',
      'RecordImpl/x.ts',
      'misc.ts',
      'provider.mjs',
    ]
      .map((name) => (name === 'RecordImpl/x.ts' ? 'impl/x.ts' : name))
      .map((name) => file(`packages/consumer/src/${name}`, '')),
    good: [file('packages/consumer/src/lease-table/item.ts', ''), file('packages/consumer/src/utility-rate.ts', '')],
  },
  {
    title: 'no enums, default exports or decorators',
    check: tidy.forms,
    bad: [
      file('packages/consumer/src/x.ts', 'enum Colour { Red }'),
      file('packages/consumer/src/x.ts', 'export const enum Colour { Red }'),
      file('packages/consumer/src/x.ts', 'export default function run() {}'),
      file('packages/consumer/src/x.ts', '@logged class Lease {}'),
    ],
    good: [
      file('packages/consumer/src/x.ts', "export const enumOf = 'default';"),
      file('vitest.config.ts', 'export default 1;'),
    ],
  },
  {
    title: 'a source opens with a comment that says where it stands',
    check: tidy.openings,
    bad: [
      file('packages/consumer/src/x.ts', 'export const x = 1;'),
      file('packages/local/src/bin.ts', '#!/usr/bin/env node\nrun();'),
    ],
    good: [
      file('packages/consumer/src/x.ts', '// The lease table.\nexport const x = 1;'),
      file('packages/local/src/bin.ts', '#!/usr/bin/env node\n// The command line.\nrun();'),
      file('packages/consumer/src/index.ts', "export * from './x.ts';"),
    ],
  },
  {
    title: 'every test runs',
    check: tidy.leftOutTests,
    bad: [
      "test.only('x', () => {});",
      "describe.skip('x', () => {});",
      "it.todo('x');",
      "test.each([1]).skip('x', () => {});",
      "describe.concurrent.only('x', () => {});",
      "test.skipIf(process.env.CI)('x', () => {});",
      "test('x', (context) => context.skip());",
      "xit('x', () => {});",
    ].map((text) => file('packages/consumer/src/x.test.ts', text)),
    good: [
      file('packages/consumer/src/x.test.ts', "// test.only is not here\ntest('it.skip', () => { reader.skip(2); });"),
      file('packages/consumer/src/x.ts', 'reader.skip(2);'),
    ],
  },
  {
    title: 'nothing names the machine it was written on or where packages were fetched from',
    check: tidy.foreignPlaces,
    bad: [
      'const path = "/tmp/data.log";',
      'see /work/project for more',
      'cd /root/project',
      '/home/ada/project',
      "'C:\\Users\\ada'",
      'https://registry.example.org/pino',
      '"resolved": "https://artifactory.example.org/npm/pino.tgz"',
      'https://files.pythonhosted.org/packages/x',
    ].map((text) => file('docs/x.md', text)),
    good: [
      'docs/work in progress, src/tmp/x, GET /home, /workers/1, /tmpl',
      'os.tmpdir() and https://docs.aws.amazon.com/kinesis',
      'the public package registries',
    ].map((text) => file('docs/x.md', text)),
  },
  {
    title: 'every file that docs/walk.md names exists',
    check: tidy.walk,
    bad: [
      [],
      file('docs/walk.md', 'It names no file at all.'),
      file('docs/walk.md', 'First `packages/producer/src/gone.ts`.'),
      file('docs/walk.md', 'First [the producer](../packages/producer/src/gone.ts#L3).'),
    ],
    good: [
      [
        { path: 'docs/walk.md', text: '`packages/a/src/b.ts`, then [b](../packages/a/src/b.ts), as `put()` says.' },
        { path: 'packages/a/src/b.ts', text: '' },
      ],
    ],
  },
  {
    title: 'every relative link of a document leads somewhere',
    check: tidy.links,
    bad: [file('README.md', 'See [the walk](docs/walk.md).'), file('docs/design.md', '[up](../../README.md)')],
    good: [
      [
        {
          path: 'README.md',
          text: '[docs](docs/) [why](docs/design.md#why) [AWS](https://aws.amazon.com) [here](#here)',
        },
        { path: 'docs/design.md', text: '[readme](../README.md)' },
      ],
    ],
  },
  {
    title: "each public package carries the root's licence",
    check: tidy.licences,
    bad: [
      [],
      file('LICENSE', licence),
      ['common', 'producer', 'consumer', 'local'].map((name) => ({ path: `packages/${name}/LICENSE`, text: 'MIT' })),
    ],
    good: [
      ['', 'packages/common/', 'packages/producer/', 'packages/consumer/', 'packages/local/'].map((folder) => ({
        path: `${folder}LICENSE`,
        text: licence,
      })),
    ],
  },
  {
    title: 'the files that these rules are about are there',
    check: tidy.markedFiles,
    bad: [[], repository.filter(({ path }) => !tidy.AWS_FILES.includes(path))],
    good: [
      [...tidy.PRODUCER_SHELL, ...tidy.PRODUCER_STAGES, ...tidy.AWS_FILES, ...tidy.AWS_TYPE_FILES, core, model].map(
        (path) => ({ path, text: '' }),
      ),
    ],
  },
];

describe.each(rules)('$title', ({ check, bad, good }) => {
  test('in this repository', () => {
    expect(check(repository)).toEqual([]);
  });

  test.each(bad.map((files) => ({ files, name: nameOf(files) })))('objects to $name', ({ files }) => {
    expect(check(files)).not.toEqual([]);
  });

  test.each(good.map((files) => ({ files, name: nameOf(files) })))('leaves $name alone', ({ files }) => {
    expect(check(files)).toEqual([]);
  });
});

test('the repository was read', () => {
  const paths = repository.map(({ path }) => path);
  expect(paths).toContain('package.json');
  expect(paths).toContain('packages/common/src/errors.ts');
  expect(paths.filter((path) => /node_modules|(^|\/)dist\//.test(path))).toEqual([]);
});

function nameOf(files: readonly SourceFile[]): string {
  if (files.length === 1 && files[0] !== undefined) return `${files[0].path}: ${files[0].text.slice(0, 80)}`;
  return files.length === 0 ? 'no file' : `${files.length} files`;
}

/** Every text file that .gitignore leaves in. */
function readRepository(): SourceFile[] {
  const ignored = readFileSync(join(root, '.gitignore'), 'utf8').split('\n').filter(Boolean);
  const folders = new Set(['.git/', ...ignored.filter((line) => line.endsWith('/'))]);
  const endings = ignored.filter((line) => line.startsWith('*')).map((line) => line.slice(1));
  const files: SourceFile[] = [];
  const read = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory() && !folders.has(`${entry.name}/`)) read(path);
      if (!entry.isFile() || endings.some((ending) => entry.name.endsWith(ending))) continue;
      const bytes = readFileSync(path);
      // A NUL byte means that it is no text.
      if (!bytes.includes(0)) files.push({ path: relative(root, path).split(sep).join('/'), text: bytes.toString() });
    }
  };
  read(root);
  return files;
}
