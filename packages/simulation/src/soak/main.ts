// `npm run soak -- --minutes N [--mode polling|fanout|both] [--windows]`: consumers through N minutes of kill -9, faults, splits and merges over real
// sockets, then what each worker said is held against the stream. Prints a line every ten seconds, then what was struck, whether the
// worker that is never killed stays as large as it was, and last a line of JSON. Exit code 1 when a record was skipped or a rule broken.
import { parseArgs } from 'node:util';
import { runCommand } from '../arguments.ts';
import { levelOf, slopeOf } from './flatness.ts';
import type { Mode } from './messages.ts';
import { type ApplicationResult, runSoak } from './soak.ts';

const USAGE = `usage: npm run soak -- [--minutes N] [--mode polling|fanout|both] [--seed S] [--rate RECORDS_PER_SECOND] [--windows]`;

interface Given {
  readonly minutes: number;
  readonly modes: readonly Mode[];
  readonly seed: number;
  readonly rate: number;
  readonly hasWindows: boolean;
}

const MINUTE_MS = 60_000;
const SAMPLE_EVERY_MS = 5_000;
/** Many end between two kills, and each kill meets some that are open. */
const WINDOW_MS = 1_000;
/** Compiled code and caches grow for a while: of the samples so much is left out, but not more than this share. */
const WARM_MS = 2 * MINUTE_MS;
const WARM_SHARE = 1 / 3;

async function main({ minutes, modes, seed, rate, hasWindows }: Given): Promise<number> {
  const result = await runSoak({
    seed,
    durationMs: minutes * MINUTE_MS,
    modes,
    recordsPerSecond: rate,
    windowLengthMs: hasWindows ? WINDOW_MS : undefined,
    mortalCount: 2,
    reshardEveryMs: 8_000,
    sampleEveryMs: SAMPLE_EVERY_MS,
    drainMs: 2 * MINUTE_MS,
    onProgress: ({ second, written, openShards, applications }) =>
      console.log(
        [
          `${second} s: ${written} records, ${openShards} open shards`,
          ...applications.map(({ mode, handled, duplicates }) => `${mode} ${handled} handled, ${duplicates} again`),
        ].join('; '),
      ),
  });
  const { applications, ...rest } = result;
  console.table(result.faults);
  const sizes = applications.map(({ mode, samples }) => ({ mode, ...sizeOf(samples) }));
  for (const application of applications) tell(application);
  const total = (read: (application: ApplicationResult) => number): number =>
    applications.reduce((sum, application) => sum + read(application), 0);
  const violations = total(({ violationCount }) => violationCount);
  const skipped = total((application) => application.skipped);
  const struck = Object.values(rest.faults).reduce((sum, count) => sum + count, 0);
  const heapSlopes = sizes.flatMap(({ heapSlopeMBPerHour }) => heapSlopeMBPerHour ?? []);
  console.log(
    JSON.stringify({
      minutes,
      seed,
      records: total(({ records }) => records),
      handled: total(({ handled }) => handled),
      skipped,
      duplicates: total(({ duplicates }) => duplicates),
      kills: total(({ kills }) => kills),
      ...(hasWindows && {
        windows: total(({ windows }) => windows?.windows ?? 0),
        windowsEnded: total(({ windows }) => windows?.ended ?? 0),
        windowsAgain: total(({ windows }) => windows?.again ?? 0),
      }),
      heapSlopeMBPerHour: heapSlopes.length === 0 ? null : Math.max(...heapSlopes),
      violations,
      ...{ splits: rest.splits, merges: rest.merges, struck, putFailures: rest.putFailures, drainedMs: rest.drainedMs },
      modes: applications.map(({ mode, records, handled, explained, tenures, stops, suspensions, windows }, index) => {
        const ofWindows =
          windows === undefined ? {} : { windows: { ...windows, violations: windows.violations.length } };
        return { mode, records, handled, explained, tenures, stops, suspensions, ...ofWindows, ...sizes[index] };
      }),
    }),
  );
  return skipped === 0 && violations === 0 ? 0 : 1;
}

function tell({ mode, violations, violationCount, windows, ...result }: ApplicationResult): void {
  const { records, handled, duplicates, explained } = result;
  for (const violation of violations) console.log(`VIOLATION (${mode}): ${violation}`);
  if (violationCount > violations.length) console.log(`and ${violationCount - violations.length} more`);
  console.log(`${mode}: ${handled} of ${records} handled, ${duplicates} again (${textOf(explained)})`);
  if (windows === undefined) return;
  const ended = `${windows.ended} of ${windows.windows} windows ended with all of their records`;
  console.log(`${mode}: ${ended}, ${windows.again} of them again (${textOf(windows.explained)})`);
}

function textOf({ killed, paused, lost, window }: Partial<ApplicationResult['explained']>): string {
  const ofWindow = window === undefined || window === 0 ? '' : `, ${window} of windows open at a handoff`;
  return `${killed} after a kill, ${paused} after a suspension, ${lost} after a lost lease${ofWindow}`;
}

interface Size {
  /** By least squares, of the heap after collections; null: the time was too short. */
  readonly heapSlopeMBPerHour: number | null;
  readonly heapSlopeErrorMBPerHour: number | null;
  readonly heapMB: object | null;
  readonly residentMB: object | null;
  readonly handles: object | null;
  readonly sockets: object | null;
}

/** Of the worker that is never killed. */
function sizeOf(samples: ApplicationResult['samples']): Size {
  const startMs = samples[0]?.atMs ?? 0;
  const lastMs = (samples.at(-1)?.atMs ?? 0) - startMs;
  const warmMs = Math.min(WARM_MS, lastMs * WARM_SHARE);
  const warm = samples.filter(({ atMs }) => atMs - startMs >= warmMs);
  const slope = slopeOf(warm.map(({ atMs, heapMB }) => ({ atMs, value: heapMB })));
  const level = (read: (sample: (typeof samples)[number]) => number): object | null => {
    const found = levelOf(warm.map(read));
    return found === undefined
      ? null
      : { first: tenths(found.first), last: tenths(found.last), most: tenths(found.most), isFlat: found.isFlat };
  };
  return {
    heapSlopeMBPerHour: slope === undefined ? null : tenths(slope.perHour),
    heapSlopeErrorMBPerHour: slope === undefined ? null : tenths(slope.standardErrorPerHour),
    heapMB: level(({ heapMB }) => heapMB),
    residentMB: level(({ residentMB }) => residentMB),
    handles: level(({ handles }) => handles),
    sockets: level(({ sockets }) => sockets),
  };
}

function tenths(value: number): number {
  return Math.round(value * 10) / 10;
}

function readArguments(): Given {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '1' },
      mode: { type: 'string', default: 'both' },
      seed: { type: 'string', default: '1' },
      rate: { type: 'string', default: '300' },
      windows: { type: 'boolean', default: false },
    },
  });
  const { minutes, mode, seed, rate, windows } = values;
  return {
    minutes: positive('--minutes', minutes),
    modes: modesOf(mode),
    seed: whole('--seed', seed),
    rate: positive('--rate', rate),
    hasWindows: windows,
  };
}

function modesOf(mode: string): readonly Mode[] {
  if (mode === 'both') return ['polling', 'fanout'];
  if (mode === 'polling' || mode === 'fanout') return [mode];
  throw new Error(`--mode: expected polling, fanout or both, got ${JSON.stringify(mode)}`);
}

function positive(option: string, text: string): number {
  const value = Number(text);
  if (text !== '' && value > 0 && value < Infinity) return value;
  throw new Error(`${option}: expected a number above 0, got ${JSON.stringify(text)}`);
}

function whole(option: string, text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value < 2 ** 32) return value;
  throw new Error(`${option}: expected a whole number below 2^32, got ${JSON.stringify(text)}`);
}

await runCommand(readArguments, USAGE, main);
