// @ts-check
// Every tier of tests, in the order they start, in one list: what it runs, how its counts are read, how long it may take, how much
// of the machine it takes. `npm test` runs the fast ones, `.ci/run` all. The runner is test.mjs, what runs beside what is schedule.mjs.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './install.mjs';

/**
 * @typedef {object} Tier
 * @property {string} name
 * @property {'fast' | 'more'} group fast: in `npm test`; more: in `.ci/run` alone
 * @property {string} what one line for the table of CONTRIBUTING.md
 * @property {readonly string[]} command a program and its arguments; `node` is the running one
 * @property {'exit' | 'vitest' | 'last-line' | 'simulation'} counts where the counts stand: the exit code alone; vitest's
 *   JSON report; a last line `N passed, N failed, N skipped`; the simulator's last line of JSON, the command's last argument being the number of schedules
 * @property {readonly string[]} needs tiers that must have passed before
 * @property {readonly string[]} [after] tiers that, where they run as well, must have ended before, because both write to one cache
 * @property {readonly string[]} [programs] programs that must be on the machine
 * @property {number} cores how many processors it keeps busy, on the average of its time on a machine of two: processor time / time
 * @property {'alone' | 'background'} [beside] alone: with nothing beside it, because it measures; background: beside anything, on
 *   what processor time others leave, because nothing in it waits for a clock
 * @property {number} timeoutMs with others beside it, on a busy machine
 */

const minuteMs = 60_000;
const vitest = ['node', 'node_modules/vitest/vitest.mjs', 'run'];
/**
 * By count and from a fixed seed, so that a run can be repeated anywhere: some 105 schedules of the mix a second of processor time, and
 * beside them the hundred planted bugs. The long ones are as many as the time of all tiers has room for.
 */
const simulationSchedules = 4000;
const longSimulationSchedules = 36_000;
/** The last release of each later line that is supported. The oldest one runs everything, what depends on Node runs on one of these. */
const otherNodes = [
  {
    version: '22.23.3',
    what: "the local server's and the producer's integration tests",
    args: ['--project=integration', 'packages/local/test/', 'packages/producer/test/'],
  },
  {
    version: '24.21.0',
    what: "the consumer's integration tests",
    args: ['--project=integration', 'packages/consumer/test/'],
  },
];

/** @type {readonly Tier[]} */
export const tiers = [
  {
    name: 'build',
    group: 'fast',
    what: 'every package compiles to its dist',
    command: ['node', 'node_modules/turbo/bin/turbo', 'run', 'build'],
    counts: 'exit',
    needs: [],
    cores: 2,
    timeoutMs: 5 * minuteMs,
  },
  {
    name: 'lint',
    group: 'fast',
    what: 'Biome: lint and format',
    command: ['node', 'node_modules/@biomejs/biome/bin/biome', 'ci', '--colors=off', '.'],
    counts: 'exit',
    needs: [],
    cores: 1,
    timeoutMs: 2 * minuteMs,
  },
  {
    name: 'types',
    group: 'fast',
    what: 'sources, tests, examples and tools type-check',
    command: ['node', 'node_modules/typescript/bin/tsc', '-p', 'tsconfig.check.json'],
    counts: 'exit',
    needs: ['build'],
    cores: 1,
    timeoutMs: 2 * minuteMs,
  },
  {
    name: 'tidy',
    group: 'fast',
    what: "the house's structural rules; how this runner reads counts",
    command: [...vitest, '--project', 'tidy'],
    counts: 'vitest',
    needs: [],
    cores: 1,
    timeoutMs: 2 * minuteMs,
  },
  {
    name: 'unit',
    group: 'fast',
    what: 'unit and property tests beside the sources',
    command: [...vitest, '--project', 'unit'],
    counts: 'vitest',
    needs: ['build'],
    cores: 2,
    timeoutMs: 8 * minuteMs,
  },
  {
    name: 'integration',
    group: 'fast',
    what: 'tests over real sockets, the local servers on the other end',
    command: [...vitest, '--project', 'integration'],
    counts: 'vitest',
    needs: ['build'],
    cores: 1.3,
    timeoutMs: 15 * minuteMs,
  },
  {
    name: 'examples',
    group: 'fast',
    what: 'every numbered example runs to its end',
    command: ['node', 'tools/examples.mjs'],
    counts: 'last-line',
    needs: ['build'],
    cores: 0.6,
    timeoutMs: 6 * minuteMs,
  },
  {
    name: 'simulation',
    group: 'fast',
    what: `${simulationSchedules} seeded schedules without a violation, and every planted bug found`,
    command: ['node', 'packages/simulation/dist/main.js', '--schedules', String(simulationSchedules)],
    counts: 'simulation',
    needs: ['build'],
    cores: 2,
    beside: 'background',
    timeoutMs: 30 * minuteMs,
  },
  {
    name: 'pack',
    group: 'fast',
    what: 'the packed tarballs: linted, installed into an empty folder, used from JavaScript, CommonJS and TypeScript',
    command: ['node', 'tools/pack.mjs'],
    counts: 'last-line',
    needs: ['build'],
    programs: ['npm'],
    cores: 1,
    timeoutMs: 5 * minuteMs,
  },
  {
    name: 'java-programs',
    group: 'more',
    what: 'the Java programs of interop compile, and Maven has what they need',
    command: ['node', 'interop/dist/java/main.js'],
    counts: 'exit',
    needs: ['build'],
    programs: ['java', 'mvn'],
    cores: 0.5,
    timeoutMs: 12 * minuteMs,
  },
  {
    name: 'quickstart-file',
    group: 'more',
    what: '`npm start -- --input FILE` on a generated file ends with its proof',
    command: ['node', 'tools/quickstart.mjs', 'file'],
    counts: 'last-line',
    needs: ['build'],
    programs: ['npm'],
    cores: 0.6,
    timeoutMs: 4 * minuteMs,
  },
  {
    name: 'quickstart-generator',
    group: 'more',
    what: '`npm start` on its own generator ends with its proof',
    command: ['node', 'tools/quickstart.mjs', 'generator'],
    counts: 'last-line',
    needs: ['build'],
    programs: ['npm'],
    cores: 0.6,
    timeoutMs: 4 * minuteMs,
  },
  {
    name: 'simulation-long',
    group: 'more',
    what: `${longSimulationSchedules} more schedules, other seeds`,
    command: [
      ...['node', 'packages/simulation/dist/main.js', '--seed', '1000001'],
      ...['--schedules', String(longSimulationSchedules)],
    ],
    counts: 'simulation',
    needs: ['build'],
    cores: 2,
    beside: 'background',
    timeoutMs: 45 * minuteMs,
  },
  ...otherNodes.map(
    ({ version, what, args }) =>
      /** @type {Tier} */ ({
        name: `node-${version.split('.', 1)[0]}`,
        group: 'more',
        what: `${what}, on Node ${version}`,
        command: [...['node', 'tools/other-node.mjs', version], ...['node_modules/vitest/vitest.mjs', 'run', ...args]],
        counts: 'vitest',
        needs: ['build'],
        programs: ['npm'],
        cores: 1.3,
        timeoutMs: 20 * minuteMs,
      }),
  ),
  {
    name: 'examples-node-24',
    group: 'more',
    what: 'every numbered example on Node 24.21.0, those that need a newer Node among them',
    command: ['node', 'tools/other-node.mjs', '24.21.0', 'tools/examples.mjs'],
    counts: 'last-line',
    needs: ['build'],
    after: ['node-24'],
    programs: ['npm'],
    cores: 0.6,
    timeoutMs: 8 * minuteMs,
  },
  {
    name: 'bench-local',
    group: 'more',
    what: '`npm run bench:local -- --quick` ends with a whole last line',
    command: ['node', 'tools/bench-local.mjs'],
    counts: 'last-line',
    needs: ['build'],
    cores: 1,
    beside: 'alone',
    timeoutMs: 3 * minuteMs,
  },
  {
    name: 'python',
    group: 'more',
    what: 'boto3 and the AWS CLI against the local servers',
    command: existsSync(join(root, 'interop/python/run.mjs'))
      ? ['node', 'interop/python/run.mjs']
      : ['bash', 'interop/python/run.sh'],
    counts: 'last-line',
    needs: ['build'],
    programs: ['python3'],
    cores: 1,
    timeoutMs: 6 * minuteMs,
  },
  {
    name: 'dynamodb-local',
    group: 'more',
    what: "the consumer's tests that ask DynamoDB, once more, of AWS's DynamoDB Local",
    command: [...vitest, '--project', 'dynamodb-local'],
    counts: 'vitest',
    needs: ['build', 'java-programs'],
    programs: ['java', 'mvn'],
    cores: 1.4,
    timeoutMs: 6 * minuteMs,
  },
  {
    name: 'moto',
    group: 'more',
    what: 'tables made with tags, point-in-time recovery, protection and capacities, and metrics sent to CloudWatch, on moto; metrics read by the Prometheus client of Python',
    command: [...vitest, '--project', 'moto'],
    counts: 'vitest',
    needs: ['build'],
    programs: ['python3'],
    cores: 1,
    timeoutMs: 6 * minuteMs,
  },
  {
    name: 'foreign-kinesis',
    group: 'more',
    what: 'our producer and consumer on Kinesis servers that others wrote: kinesis-local, through a split and a merge, and ministack, in both modes',
    command: [...vitest, '--project', 'foreign-kinesis'],
    counts: 'vitest',
    needs: ['build'],
    programs: ['python3'],
    cores: 1,
    timeoutMs: 6 * minuteMs,
  },
  {
    name: 'java-kcl-polling',
    group: 'more',
    what: 'Java KCL 3.5.1 workers, polling: through reshards, on a stream resharded before, one of two stops, a storm of faults',
    command: [...vitest, '--project', 'java-kcl-polling'],
    counts: 'vitest',
    needs: ['build', 'java-programs'],
    programs: ['java', 'mvn'],
    cores: 1,
    timeoutMs: 12 * minuteMs,
  },
  {
    name: 'java-kcl-fan-out',
    group: 'more',
    what: 'the same by enhanced fan-out, and through the end of subscriptions',
    command: [...vitest, '--project', 'java-kcl-fan-out'],
    counts: 'vitest',
    needs: ['build', 'java-programs'],
    programs: ['java', 'mvn'],
    cores: 0.6,
    timeoutMs: 12 * minuteMs,
  },
  {
    name: 'java-fleet',
    group: 'more',
    what: 'Java KCL (3.5 and 3.4) and Node workers share a lease table: either leads, joins, and is killed',
    command: [...vitest, '--project', 'java-fleet'],
    counts: 'vitest',
    needs: ['build', 'java-programs'],
    programs: ['java', 'mvn'],
    cores: 1,
    timeoutMs: 12 * minuteMs,
  },
  {
    name: 'event-ruler',
    group: 'more',
    what: "filter patterns, 20,000 of them made by chance, answered as AWS's own rule engine answers them",
    command: [...vitest, '--project', 'event-ruler'],
    counts: 'vitest',
    needs: ['build', 'java-programs'],
    programs: ['java', 'mvn'],
    cores: 1.2,
    timeoutMs: 8 * minuteMs,
  },
  {
    name: 'native-kpl',
    group: 'more',
    what: 'the native KPL 1.1.1 puts over TLS: aggregated and not, through a split, against the limits, without keys; beside ours, read by the Java KCL and by ours',
    command: [...vitest, '--project', 'native-kpl'],
    counts: 'vitest',
    needs: ['build', 'java-programs'],
    programs: ['java', 'mvn'],
    cores: 0.9,
    timeoutMs: 8 * minuteMs,
  },
];
