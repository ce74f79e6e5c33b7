// What `startLocalKinesis` and `startLocalDynamoDB` take, checked and completed once. Nothing else of this package looks at
// what a user passed.

import { randomInt } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import {
  type Clock,
  checkFlag,
  checkNames,
  DEFAULT_MAX_ON_DEMAND_STREAMS,
  describe,
  type Logger,
  MAX_STREAM_NAME_LENGTH,
  resolveLogger,
  systemClock,
  UsageError,
} from '@shardline/common/base';
import { FSYNC_POLICIES, type Fsync } from './journal/file-journal.ts';
import { MAX_RULES } from './server/faults/fault-plan.ts';
import type { FaultRule } from './server/faults/fault-rule.ts';
import { checkedRule } from './server/faults/rule-check.ts';
import { operations } from './server/operations/index.ts';

/** Of a server, in PEM: its certificate followed by those that link it to the authority, and its private key. */
export interface TlsCertificate {
  readonly cert: string;
  readonly key: string;
}

/** A stream that is there from the start, and again after `reset()`. */
export interface InitialStream {
  /** 1 to 128 of `a-zA-Z0-9_.-`. */
  readonly name: string;
  /** Default 1. */
  readonly shardCount?: number;
}

export interface LocalKinesisOptions {
  /** Default 0: any free port. */
  readonly port?: number;
  /** The address to listen on. Default 127.0.0.1: this machine alone can connect. */
  readonly host?: string;
  /** Also listen there with TLS; 0 is any free port. Default: clear text alone. */
  readonly tlsPort?: number;
  /** What the TLS port shows. Default: one made at start for localhost, the loopback addresses and `host`. */
  readonly tlsCertificate?: TlsCertificate;
  /**
   * Secrets by access key: a request that is signed with none of them is refused as on AWS. Session tokens are not looked at.
   * Default: any signature will do, or none.
   */
  readonly verifySignatures?: Readonly<Record<string, string>>;
  /** Made at start, ACTIVE at once. Default none. */
  readonly streams?: readonly InitialStream[];
  /** Whether the rates of a shard and of a consumer are limited as on AWS. Default true. */
  readonly limits?: boolean;
  /** Whether it matters how often operations on streams and their settings are called, as on AWS. Default false. */
  readonly controlLimits?: boolean;
  /** The time of the streams: arrival, expiry, rates. Default the system's. Timeouts of connections stay on the system's. */
  readonly clock?: Clock;
  /** How long a new stream is CREATING, ms. Default 0. */
  readonly createStreamMs?: number;
  /** How long a deleted stream is DELETING, ms. Default 0. */
  readonly deleteStreamMs?: number;
  /** How long SplitShard and MergeShards keep a stream UPDATING, ms. Default 0. */
  readonly reshardMs?: number;
  /** How long another change of a stream's settings keeps it UPDATING, ms. Default 0. */
  readonly updateStreamMs?: number;
  /** How long a consumer is CREATING and DELETING, ms. Default 0. */
  readonly registerConsumerMs?: number;
  /** Open shards of all provisioned streams together. Default 20,000. */
  readonly shardLimit?: number;
  /** Streams in on-demand mode. Default 50. */
  readonly onDemandStreamLimit?: number;
  /** For how long a shard of an on-demand stream must get more than 500 KiB/s to be split, ms, at least 1,000. Default 300,000. */
  readonly onDemandPeriodMs?: number;
  /** What one shard holds at most, bytes; beyond it the oldest records are dropped. Default: only the retention bounds it. */
  readonly maxStoredBytesPerShard?: number;
  /** A request's time to arrive, ms. Default 30,000. */
  readonly requestTimeoutMs?: number;
  /** Where streams and records outlive the server, also one that is killed. Made if it is not there. Default: nothing outlives it. */
  readonly dataFolder?: string;
  /**
   * When the disk is asked to hold what was written, against a loss of power: before each answer, every second, or when the
   * system likes. A killed process loses nothing in any case. Default everySecond.
   */
  readonly fsync?: Fsync;
  /** Pino-shaped; default silent unless SHARDLINE_LOG_LEVEL is set. */
  readonly logger?: Logger;
  /** Faults on demand, from the start, and again after `reset()`. Default none. */
  readonly faults?: readonly FaultRule[];
  /** Whether health, faults, reset and clock are there over HTTP, under `/_shardline/`. Default true. */
  readonly admin?: boolean;
  /** What chance there is in the faults is drawn from it, 32 bits. Default: another one each time; `faults.seed` tells it. */
  readonly faultSeed?: number;
}

export interface LocalDynamoDBOptions {
  /** Default 0: any free port. */
  readonly port?: number;
  /** The address to listen on. Default 127.0.0.1: this machine alone can connect. */
  readonly host?: string;
  /** How long a new table is CREATING, ms. Default 0. */
  readonly createTableMs?: number;
  /** How long a deleted table is DELETING, ms. Default 0. */
  readonly deleteTableMs?: number;
  /** How long a changed table is UPDATING, ms. Default 0. */
  readonly updateTableMs?: number;
  /** Where tables outlive the server. Made if it is not there. Default: nothing outlives it. */
  readonly dataFolder?: string;
}

export type ResolvedKinesisOptions = Required<
  Omit<LocalKinesisOptions, 'streams' | 'dataFolder' | 'tlsPort' | 'tlsCertificate' | 'verifySignatures'>
> & {
  readonly streams: readonly Required<InitialStream>[];
  readonly dataFolder: string | undefined;
  readonly tlsPort: number | undefined;
  readonly tlsCertificate: TlsCertificate | undefined;
  /** Secrets by access key, at least one. */
  readonly verifySignatures: ReadonlyMap<string, string> | undefined;
};
export type ResolvedDynamoDBOptions = Required<Omit<LocalDynamoDBOptions, 'dataFolder'>> & {
  readonly dataFolder: string | undefined;
};

const DEFAULT_HOST = '127.0.0.1';
const STREAM_NAME = new RegExp(`^[a-zA-Z0-9_.-]{1,${MAX_STREAM_NAME_LENGTH}}$`);
const LONGEST_MS = 2 ** 31 - 1;

const kinesisNames: readonly (keyof LocalKinesisOptions)[] = [
  'port',
  'host',
  'tlsPort',
  'tlsCertificate',
  'verifySignatures',
  'streams',
  'limits',
  'controlLimits',
  'clock',
  'createStreamMs',
  'deleteStreamMs',
  'reshardMs',
  'updateStreamMs',
  'registerConsumerMs',
  'shardLimit',
  'onDemandStreamLimit',
  'onDemandPeriodMs',
  'maxStoredBytesPerShard',
  'requestTimeoutMs',
  'dataFolder',
  'fsync',
  'logger',
  'faults',
  'faultSeed',
  'admin',
];
const dynamoDBNames: readonly (keyof LocalDynamoDBOptions)[] = [
  'port',
  'host',
  'createTableMs',
  'deleteTableMs',
  'updateTableMs',
  'dataFolder',
];

/** @throws UsageError naming the option, also for one that does not exist */
export function resolveKinesisOptions(options: LocalKinesisOptions): ResolvedKinesisOptions {
  checkNames(options, kinesisNames);
  const shardLimit = wholeNumber('shardLimit', options.shardLimit, 20_000, 1, 1_000_000);
  return {
    port: port(options.port),
    host: text('host', options.host, DEFAULT_HOST),
    tlsPort: options.tlsPort === undefined ? undefined : wholeNumber('tlsPort', options.tlsPort, 0, 0, 65_535),
    tlsCertificate: tlsCertificate(options),
    verifySignatures: secrets('verifySignatures', options.verifySignatures),
    streams: streams(options.streams, shardLimit),
    limits: checkFlag('limits', options.limits, true),
    controlLimits: checkFlag('controlLimits', options.controlLimits, false),
    clock: clock(options.clock),
    createStreamMs: durationMs('createStreamMs', options.createStreamMs),
    deleteStreamMs: durationMs('deleteStreamMs', options.deleteStreamMs),
    reshardMs: durationMs('reshardMs', options.reshardMs),
    updateStreamMs: durationMs('updateStreamMs', options.updateStreamMs),
    registerConsumerMs: durationMs('registerConsumerMs', options.registerConsumerMs),
    shardLimit,
    onDemandStreamLimit: wholeNumber(
      'onDemandStreamLimit',
      options.onDemandStreamLimit,
      DEFAULT_MAX_ON_DEMAND_STREAMS,
      0,
      1_000_000,
    ),
    onDemandPeriodMs: wholeNumber('onDemandPeriodMs', options.onDemandPeriodMs, 300_000, 1000, LONGEST_MS),
    maxStoredBytesPerShard:
      options.maxStoredBytesPerShard === undefined
        ? Number.POSITIVE_INFINITY
        : wholeNumber('maxStoredBytesPerShard', options.maxStoredBytesPerShard, 0, 1, Number.MAX_SAFE_INTEGER),
    requestTimeoutMs: wholeNumber('requestTimeoutMs', options.requestTimeoutMs, 30_000, 1, LONGEST_MS),
    dataFolder: options.dataFolder === undefined ? undefined : text('dataFolder', options.dataFolder, ''),
    fsync: fsync(options),
    logger: resolveLogger(options.logger, { component: 'local-kinesis' }),
    admin: checkFlag('admin', options.admin, true),
    faults: faults(options.faults),
    faultSeed: wholeNumber('faultSeed', options.faultSeed, randomInt(2 ** 32), 0, 2 ** 32 - 1),
  };
}

/** @throws UsageError naming the option, also for one that does not exist */
export function resolveDynamoDBOptions(options: LocalDynamoDBOptions): ResolvedDynamoDBOptions {
  checkNames(options, dynamoDBNames);
  return {
    port: port(options.port),
    host: text('host', options.host, DEFAULT_HOST),
    createTableMs: durationMs('createTableMs', options.createTableMs),
    deleteTableMs: durationMs('deleteTableMs', options.deleteTableMs),
    updateTableMs: durationMs('updateTableMs', options.updateTableMs),
    dataFolder: options.dataFolder === undefined ? undefined : text('dataFolder', options.dataFolder, ''),
  };
}

function port(given: number | undefined): number {
  return wholeNumber('port', given, 0, 0, 65_535);
}

function durationMs(field: string, given: number | undefined): number {
  return wholeNumber(field, given, 0, 0, LONGEST_MS);
}

function wholeNumber(field: string, given: number | undefined, absent: number, min: number, max: number): number {
  if (given === undefined) return absent;
  if (!Number.isInteger(given) || given < min || given > max) {
    throw new UsageError(field, `a whole number from ${min} to ${max}`, describe(given));
  }
  return given;
}

function text(field: string, given: string | undefined, absent: string): string {
  if (given === undefined) return absent;
  if (typeof given !== 'string' || given === '')
    throw new UsageError(field, 'a text that is not empty', describe(given));
  return given;
}

function tlsCertificate({ tlsCertificate: given, tlsPort }: LocalKinesisOptions): TlsCertificate | undefined {
  if (given === undefined) return undefined;
  const { cert, key } = typeof given === 'object' && given !== null ? given : { cert: undefined, key: undefined };
  if (typeof cert !== 'string' || typeof key !== 'string') {
    throw new UsageError('tlsCertificate', '{ cert, key }, both PEM', describe(given));
  }
  if (tlsPort === undefined) throw new UsageError('tlsPort', 'a port beside tlsCertificate', 'none');
  try {
    createSecureContext({ cert, key });
  } catch (error) {
    throw new UsageError('tlsCertificate', 'a certificate in PEM and its private key', (error as Error).message);
  }
  return { cert, key };
}

/** Says of a secret no more than its length. */
function secrets(field: string, given: unknown): ReadonlyMap<string, string> | undefined {
  if (given === undefined) return undefined;
  const pairs = typeof given === 'object' && given !== null && !Array.isArray(given) ? Object.entries(given) : [];
  if (pairs.length === 0) throw new UsageError(field, 'an object of secrets by access key, not empty', describe(given));
  for (const [accessKeyId, secret] of pairs) {
    if (!/^\w{1,128}$/.test(accessKeyId))
      throw new UsageError(field, 'access keys of 1 to 128 of A-Z a-z 0-9 _', describe(accessKeyId));
    if (typeof secret !== 'string' || secret === '') {
      throw new UsageError(
        `${field}.${accessKeyId}`,
        'a secret that is not empty',
        typeof secret === 'string' ? 'an empty one' : describe(secret),
      );
    }
  }
  return new Map(pairs);
}

function fsync({ fsync: given, dataFolder }: LocalKinesisOptions): Fsync {
  if (given === undefined) return 'everySecond';
  if (!FSYNC_POLICIES.includes(given)) throw new UsageError('fsync', FSYNC_POLICIES.join(' | '), describe(given));
  if (dataFolder === undefined) throw new UsageError('dataFolder', 'a folder beside fsync', 'none');
  return given;
}

function clock(given: Clock | undefined): Clock {
  if (given === undefined) return systemClock;
  const isClock =
    typeof given === 'object' &&
    given !== null &&
    typeof given.wallNow === 'function' &&
    typeof given.setTimer === 'function';
  if (!isClock) throw new UsageError('clock', 'an object with now, wallNow and setTimer', describe(given));
  return given;
}

function streams(given: readonly InitialStream[] | undefined, shardLimit: number): Required<InitialStream>[] {
  if (given === undefined) return [];
  if (!Array.isArray(given)) throw new UsageError('streams', 'an array of { name, shardCount }', describe(given));
  const names = new Set<string>();
  return (given as readonly InitialStream[]).map((stream, index) => {
    const field = `streams[${index}]`;
    if (typeof stream !== 'object' || stream === null)
      throw new UsageError(field, '{ name, shardCount }', describe(stream));
    for (const member of Object.keys(stream)) {
      if (member !== 'name' && member !== 'shardCount') {
        throw new UsageError(field, 'name and shardCount', JSON.stringify(member));
      }
    }
    const { name } = stream;
    if (typeof name !== 'string' || !STREAM_NAME.test(name)) {
      throw new UsageError(`${field}.name`, '1 to 128 of a-z A-Z 0-9 _ . -', describe(name));
    }
    if (names.has(name)) throw new UsageError(`${field}.name`, 'each name once', describe(name));
    names.add(name);
    return { name, shardCount: wholeNumber(`${field}.shardCount`, stream.shardCount, 1, 1, shardLimit) };
  });
}

function faults(given: readonly FaultRule[] | undefined): FaultRule[] {
  if (given === undefined) return [];
  if (!Array.isArray(given)) throw new UsageError('faults', 'an array of rules', describe(given));
  if (given.length > MAX_RULES) throw new UsageError('faults', `at most ${MAX_RULES} rules`, describe(given));
  return given.map((rule: unknown, index) => checkedRule(rule, `faults[${index}]`, [...operations.keys()]));
}
