// The arguments of `shardline-local`: read, checked, explained. Prints nothing and starts nothing.
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { describe, UsageError } from '@shardline/common/base';
import { FSYNC_POLICIES, type Fsync } from './journal/file-journal.ts';
import type { InitialStream, LocalDynamoDBOptions, LocalKinesisOptions } from './options.ts';
import type { FaultRule } from './server/faults/fault-rule.ts';
import { checkedRule } from './server/faults/rule-check.ts';
import { operations } from './server/operations/index.ts';

export type CommandLine =
  | { readonly kind: 'help' }
  | { readonly kind: 'version' }
  | {
      readonly kind: 'serve';
      readonly kinesis: LocalKinesisOptions;
      /** Files to read the server's certificate and key from; undefined when one is to be made. */
      readonly tlsFiles: { readonly cert: string; readonly key: string } | undefined;
      /** The file to write what clients shall trust to. */
      readonly tlsAuthorityFile: string | undefined;
      /** Time stands still until it is moved by the admin endpoint. */
      readonly manualClock: boolean;
      /** Undefined when no DynamoDB was asked for. */
      readonly dynamodb: LocalDynamoDBOptions | undefined;
    };

export const HELP = `Usage: shardline-local [options]

A Kinesis on this machine, and a DynamoDB beside it if you ask for one. The first line on stdout, once it listens, is JSON:
{"port":4567,"tlsPort":4568,"dynamodbPort":8000,"version":"…"}. SIGTERM and SIGINT end it.

  --port N              where Kinesis listens; 0 is any free port (default 4567)
  --tls N               also listen there with TLS; 0 is any free port
  --tls-ca-out FILE     write the certificate that clients shall trust there, as PEM
  --tls-cert FILE       the server's own certificate, as PEM, in place of one made at start; with --tls-key
  --tls-key FILE        its private key, as PEM
  --dynamodb-port N     also start a DynamoDB there; 0 is any free port
  --host HOST           the address to listen on (default 127.0.0.1: this machine only)
  --credentials KEY:SECRET
                        refuse requests that are not signed with this secret; may be repeated
  --stream NAME:SHARDS  a stream that is there from the start; may be repeated; :SHARDS may be left out (1)
  --limits on|off       the rates of a shard, as on AWS (default on)
  --control-limits on|off
                        how often operations on streams may be called, as on AWS (default off)
  --reshard-ms N        how long a split or merge keeps a stream UPDATING (default 0)
  --create-stream-ms N  how long a new stream is CREATING (default 0)
  --on-demand-period-ms N
                        how long a busy shard of an on-demand stream waits for its split (default 300000)
  --fault JSON          a fault on demand, as '{"kind":"throttle","operation":"PutRecords","probability":0.1}'; may be repeated
  --fault-seed N        what chance there is in faults is drawn from it (default: another one each time)
  --data DIR            keep streams, records and tables there, also when this command is killed (default: nowhere)
  --fsync WHEN          with --data, against a loss of power: always, everySecond or never (default everySecond)
  --manual-clock        time stands still until POST /_shardline/clock {"advanceMs":N} moves it
  --admin on|off        health, faults, reset and clock over HTTP, under /_shardline/ (default on)
  --version             print the version
  --help                print this
`;

const DEFAULT_PORT = 4567;

const options = {
  port: { type: 'string' },
  tls: { type: 'string' },
  'tls-ca-out': { type: 'string' },
  'tls-cert': { type: 'string' },
  'tls-key': { type: 'string' },
  'dynamodb-port': { type: 'string' },
  host: { type: 'string' },
  credentials: { type: 'string', multiple: true },
  stream: { type: 'string', multiple: true },
  limits: { type: 'string' },
  'control-limits': { type: 'string' },
  'reshard-ms': { type: 'string' },
  'create-stream-ms': { type: 'string' },
  'on-demand-period-ms': { type: 'string' },
  fault: { type: 'string', multiple: true },
  'fault-seed': { type: 'string' },
  data: { type: 'string' },
  fsync: { type: 'string' },
  'manual-clock': { type: 'boolean' },
  admin: { type: 'string' },
  version: { type: 'boolean' },
  help: { type: 'boolean' },
} as const;

const valueless = ['--help', '--version', '--manual-clock'];

/** @throws UsageError naming the option, what it takes and what it got */
export function parseCommandLine(args: readonly string[]): CommandLine {
  const given = valuesOf(args);
  if (given.help) return { kind: 'help' };
  if (given.version) return { kind: 'version' };
  const host = given.host === undefined ? {} : { host: given.host };
  const dynamodbPort = given['dynamodb-port'];
  const tlsPort = wholeNumber('--tls', given.tls, 65_535);
  const onDemandPeriodMs = wholeNumber('--on-demand-period-ms', given['on-demand-period-ms'], 3_600_000, 1000);
  if (given['manual-clock'] && given.admin === 'off') {
    throw new UsageError('--admin', 'on with --manual-clock, which nothing else can move', 'off');
  }
  const faultSeed = wholeNumber('--fault-seed', given['fault-seed'], 2 ** 32 - 1);
  return {
    kind: 'serve',
    manualClock: given['manual-clock'] ?? false,
    ...tlsFiles(given['tls-cert'], given['tls-key'], given['tls-ca-out'], tlsPort),
    kinesis: {
      ...host,
      ...(onDemandPeriodMs === undefined ? {} : { onDemandPeriodMs }),
      port: wholeNumber('--port', given.port, 65_535) ?? DEFAULT_PORT,
      ...(tlsPort === undefined ? {} : { tlsPort }),
      ...(given.credentials === undefined
        ? {}
        : { verifySignatures: Object.fromEntries(given.credentials.map(credentials)) }),
      limits: onOff('--limits', given.limits) ?? true,
      controlLimits: onOff('--control-limits', given['control-limits']) ?? false,
      admin: onOff('--admin', given.admin) ?? true,
      ...(given.fault === undefined ? {} : { faults: given.fault.map(fault) }),
      ...(faultSeed === undefined ? {} : { faultSeed }),
      streams: (given.stream ?? []).map(initialStream),
      reshardMs: wholeNumber('--reshard-ms', given['reshard-ms'], 3_600_000) ?? 0,
      createStreamMs: wholeNumber('--create-stream-ms', given['create-stream-ms'], 3_600_000) ?? 0,
      ...dataFolder(given.data, 'kinesis'),
      ...fsync(given.fsync, given.data),
    },
    dynamodb:
      dynamodbPort === undefined
        ? undefined
        : {
            ...host,
            ...dataFolder(given.data, 'dynamodb'),
            port: wholeNumber('--dynamodb-port', dynamodbPort, 65_535) ?? 0,
          },
  };
}

function valuesOf(args: readonly string[]): ReturnType<typeof parseArgs<{ options: typeof options }>>['values'] {
  const names = Object.keys(options).map((name) => `--${name}`);
  try {
    return parseArgs({ args: [...args], options, allowPositionals: false }).values;
  } catch (error) {
    const { message } = error as Error;
    // parseArgs objects to an option it knows only for its value: none where one is needed, or one where none is.
    const named = /'(--[a-z-]+)/.exec(message)?.[1];
    if (named !== undefined && valueless.includes(named)) throw new UsageError(named, 'no value', 'one');
    if (named !== undefined && names.includes(named)) throw new UsageError(named, 'a value', 'none');
    throw new UsageError('option', `one of ${names.join(', ')}`, /'([^']*)'/.exec(message)?.[1] ?? message);
  }
}

/** Each of them is about the TLS port, and a certificate needs its key. */
function tlsFiles(
  cert: string | undefined,
  key: string | undefined,
  tlsAuthorityFile: string | undefined,
  tlsPort: number | undefined,
): Pick<CommandLine & { kind: 'serve' }, 'tlsFiles' | 'tlsAuthorityFile'> {
  if (tlsPort === undefined && (cert ?? key ?? tlsAuthorityFile) !== undefined) {
    throw new UsageError('--tls', 'a port beside the other options of TLS', 'none');
  }
  if (cert === undefined && key === undefined) return { tlsFiles: undefined, tlsAuthorityFile };
  if (key === undefined) throw new UsageError('--tls-key', 'a file beside --tls-cert', 'none');
  if (cert === undefined) throw new UsageError('--tls-cert', 'a file beside --tls-key', 'none');
  if (tlsAuthorityFile !== undefined) {
    throw new UsageError(
      '--tls-ca-out',
      'a certificate made at start',
      '--tls-cert, whose authority is known elsewhere',
    );
  }
  return { tlsFiles: { cert, key }, tlsAuthorityFile };
}

function wholeNumber(name: string, given: string | undefined, max: number, min = 0): number | undefined {
  if (given === undefined) return undefined;
  const value = /^\d{1,10}$/.test(given) ? Number(given) : Number.NaN;
  if (!(value >= min && value <= max)) {
    throw new UsageError(name, `a whole number from ${min} to ${max}`, describe(given));
  }
  return value;
}

/** Each server has a folder of its own below it. */
function dataFolder(given: string | undefined, server: string): { dataFolder?: string } {
  if (given === '') throw new UsageError('--data', 'a folder', '""');
  return given === undefined ? {} : { dataFolder: join(given, server) };
}

function fsync(given: string | undefined, data: string | undefined): { fsync?: Fsync } {
  if (given === undefined) return {};
  const policy = FSYNC_POLICIES.find((name) => name === given);
  if (policy === undefined) throw new UsageError('--fsync', FSYNC_POLICIES.join(' | '), describe(given));
  if (data === undefined) throw new UsageError('--data', 'a folder beside --fsync', 'none');
  return { fsync: policy };
}

function onOff(name: string, given: string | undefined): boolean | undefined {
  if (given === undefined) return undefined;
  if (given !== 'on' && given !== 'off') throw new UsageError(name, 'on or off', describe(given));
  return given === 'on';
}

/** The refusal does not repeat the secret. */
function credentials(given: string): [string, string] {
  const [, accessKeyId, secret] = /^(\w{1,128}):(.+)$/.exec(given) ?? [];
  if (accessKeyId === undefined || secret === undefined) {
    throw new UsageError(
      '--credentials',
      'KEY:SECRET with a KEY of 1 to 128 of A-Z a-z 0-9 _',
      `a text of ${given.length}`,
    );
  }
  return [accessKeyId, secret];
}

function initialStream(given: string): InitialStream {
  const [, name, shards = '1'] = /^([a-zA-Z0-9_.-]{1,128})(?::(\d{1,5}))?$/.exec(given) ?? [];
  if (name === undefined || Number(shards) < 1) {
    throw new UsageError('--stream', 'NAME or NAME:SHARDS with at least 1 shard', describe(given));
  }
  return { name, shardCount: Number(shards) };
}

function fault(given: string): FaultRule {
  let rule: unknown;
  try {
    rule = JSON.parse(given);
  } catch {
    throw new UsageError('--fault', `a rule as JSON, such as '{"kind":"throttle"}'`, describe(given));
  }
  return checkedRule(rule, '--fault', [...operations.keys()]);
}
