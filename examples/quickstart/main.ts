// `npm start`: reads the command line, runs the story, prints the proof; its last line on stdout is JSON for scripts. Here
// stand the ways out: 0 when the proof holds, 1 when it does not or something failed, 2 for a wrong command line, 128 + n after
// signal n. Whatever the way, no child process is left.
import { constants } from 'node:os';
import { isShardlineError, UsageError } from '@shardline/common';
import { parseArguments, usage } from './arguments.ts';
import { killAllChildren } from './child.ts';
import { openLines } from './line-reader.ts';
import { type RunResult, run } from './run.ts';
import { holds } from './tally.ts';
import { count, View } from './view.ts';

/** The run was ended from outside: nothing failed, nothing is proven. */
class Interruption extends Error {
  override readonly name = 'Interruption';
  readonly exitCode: number;

  constructor(signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP' | 'SIGPIPE', reason: string) {
    super(reason);
    this.exitCode = 128 + constants.signals[signal];
  }
}

/** If something of ours keeps the process alive after its end, it is not allowed to hang. */
const LINGER_MS = 5_000;

// The quickstart runs on Node 20 as well; the SDK's advice to upgrade would be its first output.
process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';

const controller = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => controller.abort(new Interruption(signal, `ended by ${signal}`)));
}
// As with `| head`. Node ignores SIGPIPE and tells it so.
process.stdout.on('error', () => controller.abort(new Interruption('SIGPIPE', 'nobody reads the output any more')));

process.exitCode = await main();
setTimeout(() => process.exit(), LINGER_MS).unref();

async function main(): Promise<number> {
  const view = new View(process.stdout);
  try {
    // npm changes into the project's folder; INIT_CWD is where the user was.
    const args = parseArguments(process.argv.slice(2), process.env['INIT_CWD'] ?? process.cwd());
    if (args.kind === 'help') {
      process.stdout.write(`${usage}\n`);
      return 0;
    }
    const source = await openLines(args.linesFrom, controller.signal);
    try {
      return printResult(await run({ source, view, controller }));
    } finally {
      source.close();
    }
  } catch (error) {
    view.stop();
    // What ended the run, rather than what broke because of it.
    return printError(controller.signal.aborted ? controller.signal.reason : error);
  } finally {
    await killAllChildren();
  }
}

function printResult({ proof, recordsPerSecond, kills, splits }: RunResult): number {
  const { linesIn, linesHandled, duplicates, orderViolations, strays, keyCount } = proof;
  const isProven = holds(proof) && kills === 1 && splits === 1;
  process.stdout.write(`
${isProven ? 'PROVEN: nothing was lost and every key kept its order.' : 'NOT PROVEN: see below.'}
  lines in          ${count(linesIn)}
  lines handled     ${count(linesHandled)}, each counted once
  order violations  ${count(orderViolations)} within ${count(keyCount)} keys
  duplicates        ${count(duplicates)}, put again at the split, or handled again after the kill: delivery is at least once
  strays            ${count(strays)}, handled but never put so
  throughput        ${count(recordsPerSecond)} lines a second, through one split and one kill
${JSON.stringify({ linesIn, linesHandled, duplicates, orderViolations, recordsPerSecond, kills, splits })}
`);
  return isProven ? 0 : 1;
}

function printError(error: unknown): number {
  if (error instanceof Interruption) {
    process.stderr.write(`quickstart: ${error.message}\n`);
    return error.exitCode;
  }
  const text = isShardlineError(error) ? error.message : error instanceof Error ? error.stack : String(error);
  process.stderr.write(`quickstart: ${text}\n`);
  if (!(error instanceof UsageError)) return 1;
  process.stderr.write('`npm start -- --help` shows the options.\n');
  return 2;
}
