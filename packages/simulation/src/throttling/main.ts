// `npm run simulate:throttling [-- --out FILE] [--seed N]`: a throttled minute by our adaptive pace and by the KPL's constant one, in
// virtual time on the same stages and the same model of Kinesis. Writes the plot, prints the figures, and last a line of JSON. Exit
// code 1 when the adaptive pace gives away more than it may, or is refused as much as the constant one.
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { runCommand } from '../arguments.ts';
import { type Figures, type MinuteResult, playMinute, scenes } from './minute.ts';
import { plot } from './plot.ts';

const USAGE = 'usage: npm run simulate:throttling -- [--out FILE] [--seed N]';

interface Given {
  readonly out: string;
  readonly seed: number;
}

function main({ out, seed }: Given): number {
  const rows = scenes.map((scene) => {
    const results = (['constant', 'adaptive'] as const).map((pace) => playMinute(scene, pace, seed));
    console.log(`\n${scene.what}\n`);
    console.table(Object.fromEntries(results.map(({ pace, figures }) => [pace, shown(figures)])));
    return { scene, results };
  });
  writeFileSync(out, plot(rows));
  const failures = rows.flatMap(({ scene, results }) =>
    failuresOf(results).map((failure) => `${scene.name}: ${failure}`),
  );
  for (const failure of failures) console.log(`FAILED: ${failure}`);
  const byScene = Object.fromEntries(
    rows.map(({ scene, results }) => [
      scene.name,
      Object.fromEntries(results.map(({ pace, figures }) => [pace, shown(figures)])),
    ]),
  );
  console.log(JSON.stringify({ seed, plot: out, ...byScene, failures }));
  return failures.length === 0 ? 0 : 1;
}

function failuresOf(results: readonly MinuteResult[]): string[] {
  const [constant, adaptive] = results.map(({ figures }) => figures) as [Figures, Figures];
  const failures: string[] = [];
  if (adaptive.goodputShare < 0.95) failures.push(`only ${percent(adaptive.goodputShare)} of what was left was used`);
  if (adaptive.refusedShare > constant.refusedShare / 4)
    failures.push(`${percent(adaptive.refusedShare)} were refused`);
  if (adaptive.recoverySeconds === undefined || adaptive.recoverySeconds > 10)
    failures.push('it did not recover in 10 s');
  if (adaptive.fairness < 0.9) failures.push(`the producers' shares are uneven: ${adaptive.fairness.toFixed(3)}`);
  return failures;
}

function shown(figures: Figures): Record<string, number | undefined> {
  const round = (value: number, digits: number): number => Number(value.toFixed(digits));
  return {
    'goodput MiB/s': round(figures.goodputMiBPerSecond, 2),
    'of what was left %': round(figures.goodputShare * 100, 1),
    'refused %': round(figures.refusedShare * 100, 1),
    'recovery s': figures.recoverySeconds,
    fairness: round(figures.fairness, 3),
    'p50 ms': Math.round(figures.p50Ms),
    'p99 ms': Math.round(figures.p99Ms),
    expired: figures.expiredCount,
  };
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

function readArguments(): Given {
  const options = {
    out: { type: 'string', default: 'docs/throttled-minute.svg' },
    seed: { type: 'string', default: '1' },
  } as const;
  const { values } = parseArgs({ options });
  const seed = Number(values.seed);
  if (!Number.isSafeInteger(seed) || seed < 0)
    throw new RangeError(`--seed: expected a whole number from 0, got ${values.seed}`);
  return { out: values.out, seed };
}

await runCommand(readArguments, USAGE, main);
