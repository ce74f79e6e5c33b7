// @ts-check
// `npm run clean`: deletes what builds and tests left (every dist, turbo's cache, coverage, the built Java), nothing that git knows.
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './install.mjs';

const folders = [
  'examples',
  'benchmarks',
  ...readdirSync(join(root, 'packages')).map((name) => join('packages', name)),
];
for (const path of [
  '.turbo',
  'coverage',
  'interop/java/.cache',
  ...folders.flatMap((folder) => [join(folder, 'dist'), join(folder, '.turbo')]),
]) {
  rmSync(join(root, path), { recursive: true, force: true });
}
