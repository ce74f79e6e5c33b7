// `npm run chaos:producer [-- --seconds N --seed S --rate N]`: producers through N seconds of faults and reshards over real sockets.
// Prints a line every second, then what was promised and what the stream holds, and last a line of JSON. Exit code 1 when a promise was
// broken.
import { parseArgs } from 'node:util';
import { runCommand } from '../arguments.ts';
import { runChaos } from './chaos.ts';

const USAGE = 'usage: npm run chaos:producer -- [--seconds N] [--seed S] [--rate RECORDS_PER_SECOND]';

interface Given {
  readonly seconds: number;
  readonly seed: number;
  readonly rate: number;
}

async function main({ seconds, seed, rate }: Given): Promise<number> {
  const result = await runChaos({
    seed,
    durationMs: seconds * 1_000,
    recordsPerSecond: rate,
    onSecond: ({ second, puts, outstanding, openShards }) =>
      console.log(`${second} s: ${puts} puts, ${outstanding} outstanding, ${openShards} open shards`),
  });
  console.table(result.faults);
  const { faults, ...figures } = result;
  const struck = Object.values(faults).reduce((sum, count) => sum + count, 0);
  console.log(JSON.stringify({ seconds, ...figures, struck }));
  return Object.values(result.violations).every((count) => count === 0) ? 0 : 1;
}

function readArguments(): Given {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string', default: '60' },
      seed: { type: 'string', default: '1' },
      rate: { type: 'string', default: '1500' },
    },
  });
  const read = (name: 'seconds' | 'seed' | 'rate', from: number): number => {
    const number = Number(values[name]);
    if (Number.isSafeInteger(number) && number >= from) return number;
    throw new Error(`--${name}: expected a whole number from ${from}, got ${JSON.stringify(values[name])}`);
  };
  return { seconds: read('seconds', 1), seed: read('seed', 0), rate: read('rate', 1) };
}

await runCommand(readArguments, USAGE, main);
