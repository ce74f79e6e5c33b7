// Vitest over all packages, one project a tier of tools/tiers.mjs. Tests of a package import its own sources; its neighbours
// come built, as users get them, so `npm test` builds first.
import { join } from 'node:path';
import { defineConfig, type ViteUserConfig } from 'vitest/config';

const project = (name: string, include: string[], more: object = {}) => ({
  extends: true as const,
  test: { name, include, ...more },
});
/** What only AWS's own DynamoDB Local does, and what only dynalite does not. */
const onDynamoDBLocal = 'packages/consumer/test/dynamodb-local/*.test.ts';
/** The tests in which it matters what DynamoDB answers. */
const onAnyDynamoDB = [
  'checkpoints,consumer,dynamodb-lease-table,fleet-reader,java-tables,lease-table.contract,lease-table-layouts,multi-stream,old-tables-gone,permissions,renewals',
  'spec/layouts,spec/lease-lifecycle,spec/rows,spec/table,spec/worker-metrics,spec/writes',
].map((names) => `packages/consumer/test/{${names}}.test.ts`);
/** What only moto keeps: tags, point-in-time recovery, metrics; and what needs Python beside it. */
const onMoto = 'packages/*/test/moto/*.test.ts';
const withDynamoDBLocal = { globalSetup: ['interop/dynamodb-local/setup.ts'] };
/** A Java KCL needs up to 50 s to its first record, on a busy machine two minutes, and Maven a minute on a new one. */
const patient = { testTimeout: 600_000, hookTimeout: 300_000 };

const cacheDir = join('node_modules/.vite', process.env['SHARDLINE_TIER'] ?? '');

const config: ViteUserConfig = defineConfig({
  // Tiers run side by side: none may read what another is writing.
  cacheDir,
  test: {
    projects: [
      project(
        'unit',
        [
          'packages/*/src/**/*.test.ts',
          'interop/kcl/history.test.ts',
          'interop/consumer-race/written-records.test.ts',
          'interop/fleet/{moves,tenures}.test.ts',
          'interop/kpl/readable.test.ts',
        ],
        // Most are done in milliseconds, and a process for each file would take as long again as all the tests.
        { isolate: false },
      ),
      project('integration', ['packages/*/test/**/*.test.ts', 'examples/**/*.test.ts'], {
        exclude: [onDynamoDBLocal, onMoto],
      }),
      project('tidy', ['tools/**/*.test.ts']),
      project('dynamodb-local', [...onAnyDynamoDB, onDynamoDBLocal], withDynamoDBLocal),
      project('moto', [onMoto], { globalSetup: ['interop/moto/setup.ts'] }),
      project('foreign-kinesis', ['interop/foreign/*.test.ts'], { globalSetup: ['interop/foreign/setup.ts'] }),
      project('java-kcl-polling', ['interop/kcl/polling.test.ts'], { ...withDynamoDBLocal, ...patient }),
      project('java-kcl-fan-out', ['interop/kcl/fan-out.test.ts'], { ...withDynamoDBLocal, ...patient }),
      project('java-fleet', ['interop/fleet/fleet.test.ts'], { ...withDynamoDBLocal, ...patient }),
      project('event-ruler', ['interop/event-ruler/*.test.ts'], patient),
      project('native-kpl', ['interop/kpl/{kpl,beside-ours}.test.ts'], { ...withDynamoDBLocal, ...patient }),
    ],
    exclude: ['**/node_modules/**', '**/dist/**'],
    env: { AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true' },
    pool: 'forks',
    // Of a machine of two processors it would use one.
    maxWorkers: '100%',
    // Several times what the slowest needs with other tiers beside it.
    testTimeout: 60_000,
    coverage: {
      provider: 'v8',
      reportOnFailure: true,
      include: ['packages/*/src/**/*.ts'],
      exclude: ['**/*.test.ts'],
      reporter: ['text-summary', 'json-summary', 'html'],
      reportsDirectory: 'coverage/report',
    },
  },
});

export default config;
