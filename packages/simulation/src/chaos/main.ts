// `npm run chaos:producer [-- --seconds N --seed S --rate N]`: first the stages of a producer through ten minutes of faults in virtual time,
// one of the simulator's worlds that lasts, then producers through N seconds of faults and reshards over real sockets.
// Prints a line every second, then what was promised and what the stream holds, and last a line of JSON. Exit code 1 when a promise was
// broken. With `--throttled`: how much memory a producer's process needs while Kinesis refuses nearly all; exit code 1 when it grows.
import { parseArgs } from 'node:util';
import { runCommand } from '../arguments.ts';
import { simulateProducer } from '../producer/index.ts';
import { runChaos } from './chaos.ts';
import { measureMemory } from './memory.ts';

const USAGE = `usage: npm run chaos:producer -- [--seconds N] [--seed S] [--rate RECORDS_PER_SECOND] [--virtual-minutes N]
       npm run chaos:producer -- --throttled [--seconds N] [--size BYTES]`;

interface Given {
  readonly seconds: number;
  readonly seed: number;
  readonly rate: number;
  readonly throttled: boolean;
  readonly size: number;
  readonly virtualMinutes: number;
}

/** Of what is retained, from one third of the time to the next. */
const MOST_GROWTH = 1.15;
const REFUSED_SHARE = 0.98;

function main(given: Given): Promise<number> {
  return given.throttled ? measure(given) : chaos(given);
}

async function measure({ seconds, size }: Given): Promise<number> {
  const { samples, ...figures } = await measureMemory({
    durationMs: seconds * 1_000,
    dataBytes: size,
    refusedShare: REFUSED_SHARE,
    onSample: ({ second, residentMB, stalledMs, outstanding, settled }) =>
      console.log(
        `${second} s: ${residentMB} MB, ${outstanding} outstanding, ${settled} settled, longest stall ${stalledMs} ms`,
      ),
  });
  const residentMB = samples.map((sample) => sample.residentMB);
  const longestStallMs = Math.max(...samples.map(({ stalledMs }) => stalledMs));
  console.log(JSON.stringify({ seconds, size, ...figures, longestStallMs, residentMB }));
  const [, before = 0, last = 0] = figures.retainedMB;
  return last <= MOST_GROWTH * before ? 0 : 1;
}

async function chaos({ seconds, seed, rate, virtualMinutes }: Given): Promise<number> {
  const virtual = simulateProducer(seed, { faultsForMs: virtualMinutes * 60_000 });
  for (const violation of virtual.violations) console.log(`VIOLATION in virtual time: ${violation}`);
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
  const { putCount: puts, requestCount: requests, violations } = virtual;
  const inVirtualTime = { minutes: virtualMinutes, puts, requests, violations: violations.length };
  console.log(JSON.stringify({ seconds, ...figures, struck, inVirtualTime }));
  return violations.length === 0 && Object.values(result.violations).every((count) => count === 0) ? 0 : 1;
}

function readArguments(): Given {
  const { values } = parseArgs({
    options: {
      seconds: { type: 'string' },
      seed: { type: 'string', default: '1' },
      rate: { type: 'string', default: '1500' },
      throttled: { type: 'boolean', default: false },
      size: { type: 'string', default: '200' },
      'virtual-minutes': { type: 'string', default: '10' },
    },
  });
  // Six times the longest that a record lives: growth is seen between its last two thirds.
  const seconds = values.seconds ?? (values.throttled ? '180' : '60');
  const given = { ...values, seconds };
  const read = (name: 'seconds' | 'seed' | 'rate' | 'size' | 'virtual-minutes', from: number): number => {
    const number = Number(given[name]);
    if (Number.isSafeInteger(number) && number >= from) return number;
    throw new Error(`--${name}: expected a whole number from ${from}, got ${JSON.stringify(given[name])}`);
  };
  const { throttled } = values;
  return {
    seconds: read('seconds', 1),
    seed: read('seed', 0),
    rate: read('rate', 1),
    throttled,
    size: read('size', 1),
    virtualMinutes: read('virtual-minutes', 0),
  };
}

await runCommand(readArguments, USAGE, main);
