import { UsageError } from '@shardline/common/base';
import { expect, test } from 'vitest';
import { HELP, parseCommandLine } from './command-line.ts';

test('without arguments: Kinesis alone, on 4567, with limits', () => {
  expect(parseCommandLine([])).toEqual({
    kind: 'serve',
    manualClock: false,
    kinesis: {
      port: 4567,
      limits: true,
      controlLimits: false,
      admin: true,
      streams: [],
      reshardMs: 0,
      createStreamMs: 0,
    },
    dynamodb: undefined,
  });
});

test('every option', () => {
  const args =
    '--port 1 --dynamodb-port=0 --host ::1 --stream a:3 --stream b --limits off --control-limits on --reshard-ms 5 --create-stream-ms 6 --on-demand-period-ms 7000';
  expect(parseCommandLine(args.split(' '))).toEqual({
    kind: 'serve',
    manualClock: false,
    kinesis: {
      admin: true,
      port: 1,
      host: '::1',
      limits: false,
      controlLimits: true,
      streams: [
        { name: 'a', shardCount: 3 },
        { name: 'b', shardCount: 1 },
      ],
      reshardMs: 5,
      onDemandPeriodMs: 7000,
      createStreamMs: 6,
    },
    dynamodb: { port: 0, host: '::1' },
  });
  expect(parseCommandLine(['--port', 'x', '--help'])).toEqual({ kind: 'help' });
  expect(parseCommandLine(['--version'])).toEqual({ kind: 'version' });
});

test('TLS, with a certificate made at start or given', () => {
  const tls = (...args: string[]): object => parseCommandLine(['--tls', '5', ...args]);
  expect(tls()).toMatchObject({ kinesis: { tlsPort: 5 }, tlsFiles: undefined, tlsAuthorityFile: undefined });
  expect(tls('--tls-ca-out', 'ca.pem')).toMatchObject({ tlsFiles: undefined, tlsAuthorityFile: 'ca.pem' });
  expect(tls('--tls-cert', 'c', '--tls-key', 'k')).toMatchObject({ tlsFiles: { cert: 'c', key: 'k' } });
});

test('faults, their seed, a manual clock, and the admin endpoint', () => {
  const throttle = '{"kind":"throttle","operation":"PutRecords","probability":0.1}';
  const args = ['--fault', throttle, '--fault={"kind":"stall"}', '--fault-seed', '7', '--admin', 'off'];
  expect(parseCommandLine(['--manual-clock'])).toMatchObject({ manualClock: true });
  expect(parseCommandLine(args)).toMatchObject({
    manualClock: false,
    kinesis: {
      faults: [{ kind: 'throttle', operation: 'PutRecords', probability: 0.1 }, { kind: 'stall' }],
      faultSeed: 7,
      admin: false,
    },
  });
});

test('secrets by access key; a secret may have colons', () => {
  const args = '--credentials AKID:a/b+c=:d --credentials 000000000001:x';
  const verifySignatures = { AKID: 'a/b+c=:d', '000000000001': 'x' };
  expect(parseCommandLine(args.split(' '))).toMatchObject({ kinesis: { verifySignatures } });
});

test.each([
  [['--prot', '1'], 'option', '--prot'],
  [['serve'], 'option', 'serve'],
  [['--port'], '--port', 'none'],
  [['--port', '--limits'], '--port', 'none'],
  [['--help=1'], '--help', 'one'],
  [['--port', '1e3'], '--port', '"1e3"'],
  [['--port', '65536'], '--port', '"65536"'],
  [['--dynamodb-port', 'x'], '--dynamodb-port', '"x"'],
  [['--tls', 'on'], '--tls', '"on"'],
  [['--tls-ca-out', 'x'], '--tls', 'none'],
  [['--tls', '1', '--tls-cert', 'x'], '--tls-key', 'none'],
  [['--tls', '1', '--tls-key', 'x'], '--tls-cert', 'none'],
  [['--credentials', 'AKID'], '--credentials', 'a text of 4'],
  [['--credentials', 'A/B:secret'], '--credentials', 'a text of 10'],
  [['--limits', 'yes'], '--limits', '"yes"'],
  [['--control-limits', 'ON'], '--control-limits', '"ON"'],
  [['--stream', 'a:0'], '--stream', '"a:0"'],
  [['--stream', 'a/b:1'], '--stream', '"a/b:1"'],
  [['--reshard-ms', '-1'], '--reshard-ms', 'none'],
  [['--fault', 'throttle'], '--fault', '"throttle"'],
  [['--fault', '7'], '--fault', '7'],
  [['--fault', '{"kind":"stall","count":-1}'], '--fault.count', '-1'],
  [['--fault-seed', '4294967296'], '--fault-seed', '"4294967296"'],
  [['--manual-clock=1'], '--manual-clock', 'one'],
  [['--admin', 'no'], '--admin', '"no"'],
  [['--on-demand-period-ms', '999'], '--on-demand-period-ms', '"999"'],
])('%j is refused by name', (args, field, got) => {
  expect(() => parseCommandLine(args)).toThrow(UsageError);
  expect(() => parseCommandLine(args)).toThrow(expect.objectContaining({ field, got }));
});

test('the help names every option', () => {
  for (const name of [
    'port',
    'tls',
    'tls-ca-out',
    'tls-cert',
    'tls-key',
    'dynamodb-port',
    'host',
    'credentials',
    'stream',
    'limits',
    'control-limits',
    'reshard-ms',
    'on-demand-period-ms',
    'create-stream-ms',
    'fault',
    'fault-seed',
    'manual-clock',
    'admin',
    'version',
  ]) {
    expect(HELP).toContain(`--${name} `);
  }
});

test('a data folder for each server, and when the disk is asked', () => {
  expect(parseCommandLine(['--data', 'd', '--fsync', 'always', '--dynamodb-port', '0'])).toMatchObject({
    kinesis: { dataFolder: 'd/kinesis', fsync: 'always' },
    dynamodb: { dataFolder: 'd/dynamodb' },
  });
  expect(() => parseCommandLine(['--data', 'd', '--fsync', 'sometimes'])).toThrow(
    '--fsync: expected always | everySecond | never, got "sometimes"',
  );
  expect(() => parseCommandLine(['--fsync', 'never'])).toThrow('--data: expected a folder beside --fsync, got none');
  expect(() => parseCommandLine(['--data='])).toThrow('--data: expected a folder, got ""');
});

test('a manual clock that nothing could move is refused', () => {
  expect(() => parseCommandLine(['--manual-clock', '--admin', 'off'])).toThrow(
    '--admin: expected on with --manual-clock, which nothing else can move, got off',
  );
});
