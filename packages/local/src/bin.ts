// The command `shardline-local`: starts what its arguments ask for, says so in one line of JSON, and ends on a signal. The only
// file of this package that writes to stdout or ends the process.
import { readFileSync, writeFileSync } from 'node:fs';
import { isShardlineError, UsageError } from '@shardline/common/base';
import { type CommandLine, HELP, parseCommandLine } from './command-line.ts';
import { type LocalDynamoDB, startLocalDynamoDB } from './local-dynamodb.ts';
import { startLocalKinesis } from './local-kinesis.ts';
import { ManualClock } from './manual-clock.ts';
import { version } from './version.ts';

// A warning of the server, such as a disk that is full, is for whoever started the command.
process.env['SHARDLINE_LOG_LEVEL'] ||= 'warn';

const EXIT_USAGE = 2;
const EXIT_FAILED = 1;
const PARENT_CHECK_MS = 200;

run(process.argv.slice(2)).catch((error: unknown) => {
  const isTold = isShardlineError(error);
  process.stderr.write(
    `shardline-local: ${isTold ? error.message : error instanceof Error ? error.stack : String(error)}\n`,
  );
  if (isTold && error.code === 'USAGE') process.stderr.write('Try: shardline-local --help\n');
  process.exitCode = isTold && error.code === 'USAGE' ? EXIT_USAGE : EXIT_FAILED;
});

async function run(args: readonly string[]): Promise<void> {
  const commandLine = parseCommandLine(args);
  switch (commandLine.kind) {
    case 'help':
      process.stdout.write(HELP);
      return;
    case 'version':
      process.stdout.write(`${version()}\n`);
      return;
    case 'serve':
      await serve(commandLine);
  }
}

async function serve(commandLine: CommandLine & { kind: 'serve' }): Promise<void> {
  const { kinesis, dynamodb, tlsFiles, tlsAuthorityFile, manualClock } = commandLine;
  const tlsCertificate = tlsFiles && {
    cert: readText('--tls-cert', tlsFiles.cert),
    key: readText('--tls-key', tlsFiles.key),
  };
  const clock = manualClock ? new ManualClock(Date.now()) : undefined;
  const local = await named(
    '--port',
    startLocalKinesis({ ...kinesis, ...(tlsCertificate && { tlsCertificate }), ...(clock && { clock }) }),
  );
  let beside: LocalDynamoDB | undefined;
  try {
    if (tlsAuthorityFile !== undefined) writeText('--tls-ca-out', tlsAuthorityFile, local.certificate ?? '');
    if (dynamodb !== undefined) beside = await named('--dynamodb-port', startLocalDynamoDB(dynamodb));
  } catch (error) {
    await local.close();
    throw error;
  }
  const end = (): void => {
    Promise.all([local.close(), beside?.close()]).catch((error: unknown) => {
      process.stderr.write(`shardline-local: ${String(error)}\n`);
      process.exitCode = EXIT_FAILED;
    });
  };
  process.once('SIGTERM', end);
  process.once('SIGINT', end);
  if (process.env['npm_lifecycle_event'] !== undefined) watchParent(end);
  const line = {
    port: local.port,
    tlsPort: local.tlsPort ?? null,
    dynamodbPort: beside?.port ?? null,
    version: version(),
    // For a run like this one.
    ...(kinesis.faults && { faultSeed: local.faults.seed }),
  };
  // Whoever has hung up, or has no room, does not want to know; the server serves all the same.
  process.stdout.on('error', () => undefined);
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/**
 * npm and npx put a shell between themselves and this process: ended by a signal, the shell dies of it and nobody tells us.
 * Then the only trace is another parent.
 */
function watchParent(end: () => void): void {
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    end();
  }, PARENT_CHECK_MS);
  watch.unref();
}

/** The servers name their option `port`; here it is an argument of the command, and there are two. */
async function named<T>(portOption: string, starting: Promise<T>): Promise<T> {
  try {
    return await starting;
  } catch (error) {
    if (isShardlineError(error))
      error.message = error.message
        .replace(/^port:/, `${portOption}:`)
        .replace(/^tlsPort:/, '--tls:')
        .replace(/^tlsCertificate:/, '--tls-cert:')
        .replace(/^host:/, '--host:')
        .replace(/^dataFolder:/, '--data:');
    throw error;
  }
}

function readText(option: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new UsageError(option, 'a file that can be read', (error as Error).message);
  }
}

function writeText(option: string, file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch (error) {
    throw new UsageError(option, 'a file that can be written', (error as Error).message);
  }
}
