// SDK clients that reuse their connections, and the one place that reads the SDK's errors. The Kinesis client of the SDK
// opens a connection (over TLS a handshake) for every request: its default HTTP/2 handler has concurrent streams switched
// off. So bulk calls go over HTTP/1.1 keep-alive with a bounded number of sockets, which does not stall on 64 KiB HTTP/2
// windows either; only SubscribeToShard, an event stream, needs HTTP/2. Region and credentials are the SDK's default chain
// unless given: nothing is invented here. Every wait has a timeout.
import type { ClientHttp2Stream } from 'node:http2';
import { DynamoDBClient, type DynamoDBClientConfig } from '@aws-sdk/client-dynamodb';
import { KinesisClient, type KinesisClientConfig } from '@aws-sdk/client-kinesis';
import { NodeHttp2Handler } from '@smithy/node-http-handler';
import { Exchanges } from './aws-exchange.ts';
import { ShortcutHandler, shorten } from './aws-shortcut.ts';
import { describe, UsageError } from './errors.ts';
import { silentLogger } from './logger.ts';
import { checkFlag, checkNames, checkPort, checkWholeNumber } from './option-checks.ts';

/** What every client takes. */
export interface AwsClientOptions {
  /** An `http://` or `https://` URL, for a local server or a VPC endpoint. Default: the service's endpoint of the region. */
  readonly endpoint?: string;
  /** Default: the SDK's chain (environment, profile, instance metadata). */
  readonly region?: string;
  /** Default: the SDK's chain. */
  readonly credentials?: NonNullable<KinesisClientConfig['credentials']>;
  /** Attempts of one call, the first included. Default: the SDK's (3). Give 1 where the caller retries by itself. */
  readonly maxAttempts?: number;
  /** The longest wait for an answer, and the longest silence within one, ms. Default 30000, the KCL's. */
  readonly requestTimeoutMs?: number;
}

/** For a client for SubscribeToShard. */
export interface FanOutClientOptions extends AwsClientOptions {
  /** Where endpoint, region and credentials come from that are not given. */
  readonly like?: KinesisClient;
}

/** For the clients that speak HTTP/1.1. */
export interface HttpClientOptions extends AwsClientOptions {
  /** Sockets open at once; further calls wait for a free one. Default 50. */
  readonly maxSockets?: number;
  /** The longest wait for a connection, and for a free socket, ms. Default 6000, the KPL's. */
  readonly connectionTimeoutMs?: number;
}

/** For a Kinesis client. */
export interface KinesisClientOptions extends HttpClientOptions {
  /**
   * Whether records are asked for in CBOR, as AWS's SDKs for Java do, where data are bytes instead of base64; that is twice as fast. A server that
   * does not know it, or gets it wrong, is asked in JSON from then on. Default true.
   */
  readonly cbor?: boolean;
}

const DEFAULT_MAX_SOCKETS = 50;
const DEFAULT_CONNECTION_TIMEOUT_MS = 6_000;
const DEFAULT_REQUEST_TIMEOUT_MS = 30_000;
/** Node turns a longer timer into one of 1 ms. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;
/** Of a stream and of its connection. As the KCL's HTTP/2 client; with the protocol's 64 KiB a subscription moves at most 64 KiB a round trip. */
const FAN_OUT_WINDOW_BYTES = 512 * 1024;

const sharedOptionNames = ['endpoint', 'region', 'credentials', 'maxAttempts', 'requestTimeoutMs'];
const fanOutOptionNames = [...sharedOptionNames, 'like'];
const httpOptionNames = [...sharedOptionNames, 'maxSockets', 'connectionTimeoutMs'];

/**
 * A Kinesis client for all calls but SubscribeToShard, over HTTP/1.1 keep-alive. `destroy()` closes its sockets.
 * @throws UsageError naming the option.
 */
export function createKinesisClient(options: KinesisClientOptions = {}): KinesisClient {
  checkOptions(options, [...httpOptionNames, 'cbor']);
  const cbor = checkFlag('cbor', options.cbor, true);
  const requestHandler = httpHandler(options);
  return shorten(new KinesisClient({ ...clientConfig(options), requestHandler }), requestHandler, cbor);
}

/**
 * A DynamoDB client over HTTP/1.1 keep-alive. `destroy()` closes its sockets.
 * @throws UsageError naming the option.
 */
export function createDynamoDBClient(options: HttpClientOptions = {}): DynamoDBClient {
  checkOptions(options, httpOptionNames);
  const requestHandler = httpHandler(options);
  const config: DynamoDBClientConfig = { ...clientConfig(options), requestHandler };
  return shorten(new DynamoDBClient(config), requestHandler);
}

/**
 * A Kinesis client for SubscribeToShard alone, over HTTP/2, a connection a subscription: one slow shard never holds up
 * another by the shared window. A subscription that is silent for `requestTimeoutMs` ends (the service beats every 5 s or
 * so). The SDK lets every end look the same: the service's own after 5 minutes, silence, an abort, a broken connection are all
 * just the end of the iteration. So an end means "subscribe again after the last ContinuationSequenceNumber"; only an event
 * with ChildShards means that the shard is done. `destroy()` does not end running subscriptions: abort them.
 * @throws UsageError naming the option.
 */
export function createFanOutClient(options: FanOutClientOptions = {}): KinesisClient {
  checkOptions(options, fanOutOptionNames);
  const requestTimeout = options.requestTimeoutMs ?? DEFAULT_REQUEST_TIMEOUT_MS;
  return new KinesisClient({
    ...configOf(checkPort('like', options.like, ['send'])),
    ...clientConfig(options),
    requestHandler: new FanOutHandler({
      requestTimeout,
      sessionTimeout: requestTimeout,
      disableConcurrentStreams: true,
      nodeHttp2ConnectOptions: { settings: { initialWindowSize: FAN_OUT_WINDOW_BYTES, enablePush: false } },
    }),
  });
}

/**
 * The settings' window is that of each stream; the connection has another one, which HTTP/2 begins with 64 KiB whatever they say (RFC 9113 6.9.2), and
 * no connection carries more than one stream here.
 */
class FanOutHandler extends NodeHttp2Handler {
  override async handle(...args: Parameters<NodeHttp2Handler['handle']>): ReturnType<NodeHttp2Handler['handle']> {
    const answer = await super.handle(...args);
    const { session } = answer.response.body as ClientHttp2Stream;
    if (session?.destroyed === false) session.setLocalWindowSize(FAN_OUT_WINDOW_BYTES);
    return answer;
  }
}

/** What of an SDK client matters to `regionOf`. */
export interface RegionOwner {
  readonly config?: { readonly region?: unknown };
}

/**
 * The region that a client calls; undefined: it does not say, as one of the user's making may not.
 * @throws UsageError naming `field` where the SDK has found none: no call of the client can succeed, and the SDK's own error says little more.
 */
export async function regionOf(field: string, { config }: RegionOwner): Promise<string | undefined> {
  const region: unknown = config?.region;
  if (typeof region !== 'function') return undefined;
  try {
    return await region();
  } catch (error) {
    const expected =
      'a region for it: AWS_REGION in the environment, a profile that has one (AWS_PROFILE), or a client of your own that is given `region`';
    throw new UsageError(field, expected, `none (${error instanceof Error ? error.message : String(error)})`);
  }
}

/** What an SDK error means to us. `code` is the service's own name for it, else the network's (`ECONNRESET`), else its name. */
export interface AwsErrorClass {
  readonly kind:
    | 'throttled'
    | 'transient'
    | 'not-found'
    | 'access-denied'
    | 'expired-credentials'
    | 'invalid'
    | 'condition-failed'
    | 'unknown';
  readonly code: string;
}

const kindByCode: ReadonlyMap<string, AwsErrorClass['kind']> = new Map([
  ...entries('throttled', [
    'ProvisionedThroughputExceededException',
    'KMSThrottlingException',
    'LimitExceededException',
    'PriorRequestNotComplete',
    'RequestLimitExceeded',
    'RequestThrottled',
    'RequestThrottledException',
    'SlowDown',
    'ThrottledException',
    'Throttling',
    'ThrottlingException',
    'TooManyRequestsException',
  ]),
  ...entries('transient', [
    'InternalFailure',
    'InternalFailureException',
    'InternalServerError',
    'InternalServiceError',
    'ReplicatedWriteConflictException',
    'RequestTimeout',
    'RequestTimeoutException',
    'ServiceUnavailable',
    'ServiceUnavailableException',
    'TimeoutError',
    'TransactionConflictException',
    'TransactionInProgressException',
  ]),
  ...entries('not-found', ['ResourceNotFoundException', 'TableNotFoundException']),
  ...entries('access-denied', [
    'AccessDenied',
    'AccessDeniedException',
    'CredentialsProviderError',
    'IncompleteSignature',
    'IncompleteSignatureException',
    'InvalidClientTokenId',
    'InvalidSignatureException',
    'MissingAuthenticationToken',
    'MissingAuthenticationTokenException',
    'NotAuthorized',
    'OptInRequired',
    'SignatureDoesNotMatch',
    'TokenProviderError',
    'UnauthorizedOperation',
    'UnrecognizedClientException',
    // The stream's key can't be used. Not 'not-found': the stream is there.
    'KMSAccessDeniedException',
    'KMSDisabledException',
    'KMSInvalidStateException',
    'KMSNotFoundException',
    'KMSOptInRequired',
  ]),
  ...entries('expired-credentials', ['ExpiredToken', 'ExpiredTokenException', 'RequestExpired']),
  ...entries('invalid', [
    'ExpiredIteratorException',
    'ExpiredNextTokenException',
    'InvalidArgumentException',
    'ItemCollectionSizeLimitExceededException',
    'ResourceInUseException',
    'SerializationException',
    'UnknownOperationException',
    'ValidationException',
  ]),
  ...entries('condition-failed', ['ConditionalCheckFailedException']),
]);

/** Node's codes for a network that failed; those of HTTP/2 sessions begin with ERR_HTTP2_. */
const networkCodes: ReadonlySet<string> = new Set([
  'EAI_AGAIN',
  'ECONNABORTED',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTDOWN',
  'EHOSTUNREACH',
  'ENETDOWN',
  'ENETUNREACH',
  'ENOTFOUND',
  'EPIPE',
  'ETIMEDOUT',
]);

/** How the SDK calls an answer that it could not read, or that named no error: a proxy's page, an empty body. */
const namesOfNoAnswer: ReadonlySet<string> = new Set(['Error', 'SyntaxError', 'TypeError', 'Unknown', 'UnknownError']);

/**
 * Says what an error thrown by an SDK client means. Never throws; something that is no SDK error is `unknown`. The code of an answer that is
 * not the service's is its status: `HTTP 502`.
 */
export function classifyAwsError(error: unknown): AwsErrorClass {
  // First the network: the SDK calls a connection that was reset a TimeoutError, the code says more.
  const networkCode = networkCodeOf(error);
  if (networkCode !== undefined) return { kind: 'transient', code: networkCode };
  const name = textField(error, 'name') ?? 'Unknown';
  if (name === 'TransactionCanceledException') return { kind: transactionKind(error), code: name };
  const status = statusOfNoAnswer(error);
  if (status !== undefined) return { kind: kindOfNoAnswer(status), code: `HTTP ${status}` };
  return { kind: kindByCode.get(name) ?? kindOfStatus(httpStatusOf(error)), code: name };
}

/** What such an error says. Of an answer that is not the service's: that, of what kind it is, and what could not be read of it. */
export function messageOfAwsError(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  if (statusOfNoAnswer(error) === undefined) return message;
  const type = textField(field(field(error, '$response'), 'headers'), 'content-type') ?? 'no content type';
  // The SDK's advice follows in the next line.
  const [why = ''] = message.split('\n');
  return `an answer that is not the service's: ${type}${why === '' || namesOfNoAnswer.has(why) ? '' : `, ${why}`}`;
}

/** Undefined: it is an answer of the service's, or none at all. */
function statusOfNoAnswer(error: unknown): number | undefined {
  return namesOfNoAnswer.has(textField(error, 'name') ?? 'Unknown') ? httpStatusOf(error) : undefined;
}

/** No connection came about, so nothing of the request has left the process. */
export function hasNeverLeft(error: unknown): boolean {
  for (const each of withCauses(error)) {
    const failures = field(each, 'errors');
    // Several addresses were tried.
    if (Array.isArray(failures) && failures.length > 0) return failures.every(failedBeforehand);
    if (failedBeforehand(each)) return true;
  }
  return false;
}

function failedBeforehand(error: unknown): boolean {
  const syscall = textField(error, 'syscall');
  return syscall === 'connect' || syscall === 'getaddrinfo';
}

/** The same of a code alone, such as that of a single record of PutRecords; `unknown` for one that is not known. */
export function kindOfErrorCode(code: string): AwsErrorClass['kind'] {
  return kindByCode.get(code) ?? 'unknown';
}

/** The caller goes too fast: wait and try again. */
export function isThrottling(error: unknown): boolean {
  return classifyAwsError(error).kind === 'throttled';
}

/** The service or the network failed: the same call may succeed, and may have been applied. */
export function isTransient(error: unknown): boolean {
  return classifyAwsError(error).kind === 'transient';
}

/** The status of the answer that raised the error, or undefined when there was none. */
export function httpStatusOf(error: unknown): number | undefined {
  const metadata = field(error, '$metadata');
  const status = field(metadata, 'httpStatusCode') ?? field(field(error, '$response'), 'statusCode');
  return typeof status === 'number' && status >= 100 ? status : undefined;
}

function entries(kind: AwsErrorClass['kind'], codes: readonly string[]): [string, AwsErrorClass['kind']][] {
  return codes.map((code) => [code, kind]);
}

/** A cancelled transaction says for each item why; a failed condition outweighs a conflict, a conflict outweighs the rest. */
function transactionKind(error: unknown): AwsErrorClass['kind'] {
  const given = field(error, 'CancellationReasons');
  const codes = Array.isArray(given) ? given.map((reason) => textField(reason, 'Code') ?? '') : [];
  if (codes.includes('ConditionalCheckFailed')) return 'condition-failed';
  if (codes.includes('TransactionConflict')) return 'transient';
  if (codes.includes('ProvisionedThroughputExceeded') || codes.includes('ThrottlingError')) return 'throttled';
  return 'invalid';
}

function kindOfStatus(status: number | undefined): AwsErrorClass['kind'] {
  if (status === undefined) return 'unknown';
  if (status === 429) return 'throttled';
  if (status >= 500 || status === 408) return 'transient';
  if (status === 401 || status === 403) return 'access-denied';
  return status >= 400 ? 'invalid' : 'unknown';
}

/** Whoever stands in between says nothing of what the service allows: only that it won't pass on what is not well-formed, or too large. */
function kindOfNoAnswer(status: number): AwsErrorClass['kind'] {
  if (status === 429) return 'throttled';
  return status === 400 || status === 413 || status === 431 ? 'invalid' : 'transient';
}

function networkCodeOf(error: unknown): string | undefined {
  for (const each of withCauses(error)) {
    const code = textField(each, 'code');
    if (code !== undefined && (networkCodes.has(code) || code.startsWith('ERR_HTTP2_'))) return code;
  }
  return undefined;
}

/** The error and, of a wrapped one, its causes (a few levels, as a cause may be a circle). */
function* withCauses(error: unknown): Generator<unknown, void, undefined> {
  let current = error;
  for (let depth = 0; depth < 5 && current !== undefined; depth++) {
    yield current;
    current = field(current, 'cause');
  }
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}

function textField(value: unknown, name: string): string | undefined {
  const found = field(value, name);
  return typeof found === 'string' ? found : undefined;
}

/** An option that is absent must stay absent: the SDK takes an explicit undefined for a setting in places. */
function clientConfig(
  options: AwsClientOptions,
): Partial<Pick<KinesisClientConfig, 'endpoint' | 'region' | 'credentials' | 'maxAttempts'>> {
  const { endpoint, region, credentials, maxAttempts } = options;
  return {
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(region === undefined ? {} : { region }),
    ...(credentials === undefined ? {} : { credentials }),
    ...(maxAttempts === undefined ? {} : { maxAttempts }),
  };
}

/** What of a client decides whom it talks to, and as whom. */
function configOf(client: KinesisClient | undefined): Pick<KinesisClientConfig, 'endpoint' | 'region' | 'credentials'> {
  if (client === undefined) return {};
  const { endpoint, region, credentials } = client.config;
  return { region, credentials, ...(endpoint === undefined ? {} : { endpoint }) };
}

function httpHandler(options: HttpClientOptions): ShortcutHandler {
  const maxSockets = options.maxSockets ?? DEFAULT_MAX_SOCKETS;
  const connectionTimeout = options.connectionTimeoutMs ?? DEFAULT_CONNECTION_TIMEOUT_MS;
  const requestTimeout = options.requestTimeoutMs ?? DEFAULT_REQUEST_TIMEOUT_MS;
  const exchanges = new Exchanges({
    maxSockets,
    connectionTimeoutMs: connectionTimeout,
    requestTimeoutMs: requestTimeout,
  });
  return new ShortcutHandler(exchanges, {
    connectionTimeout,
    requestTimeout,
    // Without this the handler only warns, and waits on.
    throwOnRequestTimeout: true,
    // The request timeout ends with the answer's head; this one covers an answer that stops midway.
    socketTimeout: requestTimeout,
    // Waiting for a socket is meant; the handler would warn of it on the console.
    logger: silentLogger,
  });
}

function checkOptions(options: HttpClientOptions, known: readonly string[]): void {
  checkNames(options, known);
  const { endpoint, region } = options;
  if (endpoint !== undefined && !isHttpUrl(endpoint)) {
    throw new UsageError('endpoint', 'an http:// or https:// URL', describe(endpoint));
  }
  if (region !== undefined && (typeof region !== 'string' || region === '')) {
    throw new UsageError('region', 'a region such as eu-central-1', describe(region));
  }
  for (const name of ['maxAttempts', 'connectionTimeoutMs', 'requestTimeoutMs', 'maxSockets'] as const) {
    checkWholeNumber(name, options[name], 1, LONGEST_TIMER_MS);
  }
}

function isHttpUrl(text: unknown): boolean {
  return typeof text === 'string' && /^https?:\/\//.test(text) && URL.canParse(text);
}
