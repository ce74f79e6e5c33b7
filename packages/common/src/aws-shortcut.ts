// The short way of the few calls that a consumer makes all the time: an SDK client takes two thirds of a millisecond of processor
// time for a call, of which the socket is a quarter. What the SDK works out anew each time (endpoint, region, user agent, headers) is taken from
// the last request that it made itself for that operation; new are the body, the time and the signature. Only an answer of 200 is read
// here: every other one, and every failure, is given to the SDK as that of its own first attempt, so that errors, retries
// and the clock's correction are the SDK's in all things. A client that somebody adds middleware to goes the SDK's way for good.
import { Readable } from 'node:stream';
import {
  type AttributeValue,
  BatchExecuteStatementCommand,
  type DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  ScanCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb';
import {
  GetRecordsCommand,
  GetShardIteratorCommand,
  type KinesisClient,
  PutRecordsCommand,
  type PutRecordsInput,
} from '@aws-sdk/client-kinesis';
import { NodeHttpHandler, type NodeHttpHandlerOptions } from '@smithy/node-http-handler';
import type { Answer, Exchanges, Peer } from './aws-exchange.ts';
import { type Credentials, type Signed, Signer, toBeSigned } from './aws-signer.ts';
import { CBOR_CONTENT_TYPE, CborTrust, errorAsJson, isCbor, writeCborInput } from './cbor-exchange.ts';
import { CborError } from './cbor-reader.ts';
import { readPutRecords, writePutRecords } from './put-records-body.ts';
import { type MemoryLender, RecycledMemory } from './recycled-memory.ts';

/**
 * On a command: reads the answers of 200 that come by the short way, in place of the general parser. The command's middleware is then
 * taken to do the same on the SDK's way, and nothing else. Undefined for an answer that the general parser has to read.
 */
export const READ_ANSWER: unique symbol = Symbol('read answer');
export type ReadAnswer = (body: Buffer) => Readonly<Record<string, unknown>> | undefined;
/**
 * On a command that has READ_ANSWER, changes nothing, and whose input is texts and numbers: asks in CBOR by the short way, as long as the client
 * trusts in that, and reads the answers of 200 that come in it. What it throws is taken for a server's fault, and asked again in JSON.
 */
export const READ_CBOR: unique symbol = Symbol('read CBOR');
export type ReadCbor = (body: Buffer) => Readonly<Record<string, unknown>>;

type HttpRequest = Parameters<NodeHttpHandler['handle']>[0];
type Exchange = Awaited<ReturnType<NodeHttpHandler['handle']>>;
type SendOptions = NonNullable<Parameters<NodeHttpHandler['handle']>[1]>;
type Command = {
  readonly input: object;
  readonly middlewareStack: { identify(): string[] };
  readonly [READ_ANSWER]?: ReadAnswer;
  readonly [READ_CBOR]?: ReadCbor;
};
type Send = (command: Command, options?: SendOptions, callback?: unknown) => Promise<unknown>;
type Json = Readonly<Record<string, unknown>>;
/** What of a client is needed here; the types of both clients say it in too many words. */
interface Shortened {
  send: Send;
  readonly config: { readonly systemClockOffset?: number; readonly credentials: () => Promise<Credentials> };
  readonly middlewareStack: Record<
    'add' | 'addRelativeTo' | 'use' | 'remove' | 'removeByTag',
    (...args: unknown[]) => unknown
  >;
}

/** The last request that the SDK has made of an operation on a resource, whose account may decide the endpoint. */
interface Template {
  readonly peer: Peer;
  readonly signed: Signed;
  /** The same with a body of CBOR. */
  readonly signedCbor: Signed;
  readonly accessKeyId: string;
}

interface Operation {
  readonly target: string;
  /** Default: as JSON, bytes as base64. */
  readonly write?: (input: object, memory: MemoryLender) => string | Buffer;
  /** @param text what the answer was parsed from. */
  readonly read: (answer: Json, text: string) => Json;
}

const operations: ReadonlyMap<unknown, Operation> = new Map<unknown, Operation>([
  [BatchExecuteStatementCommand, { target: 'DynamoDB_20120810.BatchExecuteStatement', read: readItems }],
  [GetItemCommand, { target: 'DynamoDB_20120810.GetItem', read: readItems }],
  [PutItemCommand, { target: 'DynamoDB_20120810.PutItem', read: readItems }],
  [UpdateItemCommand, { target: 'DynamoDB_20120810.UpdateItem', read: readItems }],
  [QueryCommand, { target: 'DynamoDB_20120810.Query', read: readItems }],
  [ScanCommand, { target: 'DynamoDB_20120810.Scan', read: readItems }],
  [GetShardIteratorCommand, { target: 'Kinesis_20131202.GetShardIterator', read: (answer) => answer }],
  [
    PutRecordsCommand,
    {
      target: 'Kinesis_20131202.PutRecords',
      write: (input, memory) => writePutRecords(input as PutRecordsInput, (size) => memory.take(size)),
      read: readPutRecords,
    },
  ],
  [GetRecordsCommand, { target: 'Kinesis_20131202.GetRecords', read: readRecords }],
]);

/** Of a megabyte or more for the most part. */
const BODY_MEMORY = { fewestBytes: 64 * 1024, grainBytes: 256 * 1024, mostIdleBytes: 16 * 1024 * 1024 };

const targets: ReadonlySet<string> = new Set([...operations.values()].map(({ target }) => target));

/** Where the SDK finds what the short way was answered. */
const FIRST_ATTEMPT: unique symbol = Symbol('first attempt');
interface FirstAttempt {
  outcome: Promise<Exchange> | undefined;
}

const SIGNED_AS = /^AWS4-HMAC-SHA256 Credential=([^/]+)\/\d{8}\/([^/]+)\/([^/]+)\/aws4_request,/;
/** Of one request only, or of one signature. A trace of Lambda's is that of the invocation under way. */
const NOT_KEPT: ReadonlySet<string> = new Set([
  'authorization',
  'amz-sdk-invocation-id',
  'content-length',
  'x-amz-content-sha256',
  'x-amz-date',
  'x-amz-security-token',
  'x-amzn-trace-id',
]);

/** A handler of HTTP/1.1 that remembers what the SDK asks it for. */
export class ShortcutHandler extends NodeHttpHandler {
  readonly templates: Map<string, Template> = new Map();
  readonly exchanges: Exchanges;

  constructor(exchanges: Exchanges, options: Omit<NodeHttpHandlerOptions, 'httpAgent' | 'httpsAgent'>) {
    super({ ...options, httpAgent: exchanges.agent, httpsAgent: exchanges.secureAgent });
    this.exchanges = exchanges;
  }

  override destroy(): void {
    super.destroy();
    this.exchanges.destroy();
  }

  override async handle(
    request: HttpRequest,
    options: SendOptions & { [FIRST_ATTEMPT]?: FirstAttempt } = {},
  ): Promise<Exchange> {
    const first = options[FIRST_ATTEMPT];
    const outcome = first?.outcome;
    if (first !== undefined && outcome !== undefined) {
      first.outcome = undefined;
      return await outcome;
    }
    this.#learn(request);
    return await super.handle(request, options);
  }

  /** The request as it is; what is signed in another way than we do, or has a path of its own, is never shortened. */
  #learn({ protocol, hostname, port, path, method, query, headers: sent, body }: HttpRequest): void {
    const headers = Object.fromEntries(Object.entries(sent).map(([name, value]) => [name.toLowerCase(), value]));
    const [, accessKeyId, region, service] = SIGNED_AS.exec(headers['authorization'] ?? '') ?? [];
    const target = headers['x-amz-target'] ?? '';
    if (accessKeyId === undefined || region === undefined || service === undefined) return;
    if (
      !targets.has(target) ||
      method !== 'POST' ||
      path !== '/' ||
      Object.keys(query ?? {}).length > 0 ||
      !headers['content-type']?.startsWith('application/x-amz-json')
    )
      return;
    const kept = Object.fromEntries(Object.entries(headers).filter(([name]) => !NOT_KEPT.has(name)));
    kept['host'] ??= port === undefined ? hostname : `${hostname}:${port}`;
    if (kept['amz-sdk-request'] !== undefined)
      kept['amz-sdk-request'] = kept['amz-sdk-request'].replace(/attempt=\d+/, 'attempt=1');
    this.templates.set(keyOf(target, JSON.parse(typeof body === 'string' ? body : new TextDecoder().decode(body))), {
      peer: { secure: protocol === 'https:', host: hostname.replace(/^\[(.*)\]$/, '$1'), port },
      signed: toBeSigned(kept, region, service),
      signedCbor: toBeSigned({ ...kept, 'content-type': CBOR_CONTENT_TYPE }, region, service),
      accessKeyId,
    });
  }
}

/** What the SDK may choose an endpoint by. */
function keyOf(target: string, input: object): string {
  const { TableName = '', StreamARN = '', StreamId = '' } = input as Record<string, string | undefined>;
  return `${target} ${TableName} ${StreamARN} ${StreamId}`;
}

/** The way of sending that each shortened client has. */
const shortSends = new WeakMap<object, unknown>();
const sentShortly = new WeakSet<object>();

/** Whether it is our way of sending that a client has, and neither middleware nor somebody in its place sees what is sent from now on. */
export function sendsShortly(client: { readonly send: unknown }): boolean {
  return shortSends.get(client) === client.send;
}

/**
 * Whether a command has succeeded by the short way alone: then nobody has its input any more of those that the SDK would have shown it, a wrapper of its
 * prototypes, a mock or a logger. The input's bytes may be written over, if its client sent shortly when it was given the command.
 */
export function wasSentShortly(command: object): boolean {
  return sentShortly.has(command);
}

/** Has the client, whose handler is the given one, send what it can by the short way. @param cbor whether CBOR may be tried. */
export function shorten<C extends DynamoDBClient | KinesisClient>(
  client: C,
  handler: ShortcutHandler,
  cbor = false,
): C {
  const shortened = client as unknown as Shortened;
  const sendBySdk = shortened.send.bind(client);
  const signer = new Signer();
  const memory = new RecycledMemory(BODY_MEMORY);
  const trust = new CborTrust(cbor);
  shortened.send = (command, options, callback) => {
    const operation = operations.get(command.constructor);
    const template = operation && handler.templates.get(keyOf(operation.target, command.input));
    if (
      template === undefined ||
      typeof options === 'function' ||
      callback !== undefined ||
      isSpecial(command, options)
    )
      return sendBySdk(command, options, callback);
    return sendShortly(command, options ?? {}, operation as Operation, template);
  };
  shortSends.set(client, shortened.send);

  async function sendShortly(
    command: Command,
    options: SendOptions,
    { write = encode, read }: Operation,
    template: Template,
  ): Promise<unknown> {
    const { credentials, systemClockOffset = 0 } = shortened.config;
    const identity = await credentials();
    if (identity.accessKeyId !== template.accessKeyId) return sendBySdk(command, options);
    const readCbor = trust.isOn ? command[READ_CBOR] : undefined;
    const asked = readCbor && writeCborInput(command.input);
    const body = asked ?? write(command.input, memory);
    const signed = asked === undefined ? template.signed : template.signedCbor;
    const headers = signer.sign(signed, identity, body, Date.now() + systemClockOffset);
    const signal = options.abortSignal as AbortSignal | undefined;
    let answer: Answer;
    try {
      answer = await handler.exchanges.post(template.peer, headers, body, signal);
      if (asked !== undefined && readCbor !== undefined) {
        const read = readAsked(answer, readCbor, trust);
        if (read === 'again') return sendBySdk(command, options);
        if ('members' in read) return { ...read.members, $metadata: metadataOf(answer) };
        answer = read.answer;
      }
      const members = answer.statusCode === 200 ? membersOf(command, read, answer.body) : undefined;
      if (members !== undefined) {
        // Only then: whatever else happened, the SDK may do it again, or the socket may still have to send it.
        if (typeof body !== 'string' && asked === undefined && answer.isAskedAway) memory.giveBack(body);
        sentShortly.add(command);
        return { ...members, $metadata: metadataOf(answer) };
      }
    } catch (error) {
      if (signal?.aborted) throw error;
      if (asked !== undefined) trust.silent();
      const outcome = Promise.reject(error);
      // Whoever waits for it may come later than Node looks.
      outcome.catch(() => undefined);
      return sendBySdk(command, { ...options, [FIRST_ATTEMPT]: { outcome } } as SendOptions);
    }
    const outcome = Promise.resolve(asExchange(answer));
    return sendBySdk(command, { ...options, [FIRST_ATTEMPT]: { outcome } } as SendOptions);
  }

  const { middlewareStack } = shortened;
  for (const change of ['add', 'addRelativeTo', 'use', 'remove', 'removeByTag'] as const) {
    const original = middlewareStack[change];
    middlewareStack[change] = (...args) => {
      shortened.send = sendBySdk;
      return original(...args);
    };
  }
  return client;
}

/** What became of what was asked in CBOR: read, or an answer to go on with as if it had been asked in JSON, or to be asked again so. */
function readAsked(
  answer: Answer,
  readCbor: ReadCbor,
  trust: CborTrust,
): { readonly members: Json } | { readonly answer: Answer } | 'again' {
  const { statusCode, headers, body } = answer;
  const isSuccess = statusCode === 200;
  if (!isCbor(headers['content-type'])) {
    if (!isSuccess && !trust.isRefusal(statusCode)) return { answer };
    trust.refuse();
    return isSuccess ? { answer } : 'again';
  }
  try {
    if (!isSuccess) {
      const asJson = { ...headers, 'content-type': 'application/x-amz-json-1.1' };
      return { answer: { ...answer, headers: asJson, body: errorAsJson(body) } };
    }
    const members = readCbor(body);
    trust.prove();
    return { members };
  } catch (error) {
    if (!(error instanceof CborError)) throw error;
    trust.refuse();
    return 'again';
  }
}

function metadataOf({ headers }: Answer): object {
  return { httpStatusCode: 200, requestId: headers['x-amzn-requestid'], attempts: 1, totalRetryDelay: 0 };
}

/** What the short way knows nothing of: middleware of the one command, options other than the signal. */
function isSpecial(command: Command, options: SendOptions | undefined): boolean {
  for (const name in options) if (name !== 'abortSignal') return true;
  return command[READ_ANSWER] === undefined && command.middlewareStack.identify().length > 0;
}

/** Undefined: it can't be read; the SDK is to say what it is. */
function membersOf(command: Command, read: Operation['read'], body: Buffer): object | undefined {
  try {
    const members = command[READ_ANSWER]?.(body);
    if (members !== undefined) return members;
    const text = body.toString();
    return read(JSON.parse(text), text);
  } catch {
    return undefined;
  }
}

function encode(input: object): string {
  // Most say nothing but texts, and a replacer takes as long as all the rest.
  if (isPlain(input)) return JSON.stringify(input);
  // The replacer is given what a toJSON makes of Buffers and Dates; `this` has them as they are.
  return JSON.stringify(input, function (this: Json, name, value: unknown) {
    const raw = this[name];
    if (raw instanceof Uint8Array) return Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength).toString('base64');
    return raw instanceof Date ? raw.getTime() / 1000 : value;
  });
}

/** Holds neither bytes nor times. */
function isPlain(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true;
  if (value instanceof Uint8Array || value instanceof Date) return false;
  for (const name in value) if (!isPlain((value as Json)[name])) return false;
  return true;
}

/** As the SDK's handler gives it. */
function asExchange({ statusCode, reason, headers, body }: Answer): Exchange {
  return {
    response: {
      statusCode,
      reason: reason ?? '',
      headers: headers as Record<string, string>,
      body: Readable.from([body]),
    },
  };
}

// --- answers as the SDK gives them ---

type Attributes = Record<string, AttributeValue>;

/** Of all DynamoDB operations; the members that hold attributes. */
interface ItemsAnswer {
  readonly Attributes?: Attributes;
  readonly Item?: Attributes;
  readonly Items?: readonly Attributes[];
  readonly LastEvaluatedKey?: Attributes;
  readonly ItemCollectionMetrics?: { readonly ItemCollectionKey?: Attributes };
  readonly Responses?: readonly { readonly Item?: Attributes; readonly Error?: { readonly Item?: Attributes } }[];
}

function readItems(answer: Json, text: string): Json {
  // Neither `B` nor `BS`: there is nothing to be read anew.
  if (!text.includes('"B')) return answer;
  const {
    Attributes: row,
    Item: found,
    Items: rows = [],
    LastEvaluatedKey: last,
    ItemCollectionMetrics: metrics,
    Responses: answers = [],
  }: ItemsAnswer = answer;
  const inAnswers = answers.flatMap(({ Item, Error: failure }) => [Item, failure?.Item]);
  for (const attributes of [row, found, last, metrics?.ItemCollectionKey, ...rows, ...inAnswers])
    if (attributes) readBytes(attributes);
  return answer;
}

/** Bytes come as base64; all else is in JSON what it is in the SDK. */
function readBytes(values: Attributes | AttributeValue[]): void {
  for (const value of Array.isArray(values) ? values : Object.values(values)) {
    if (value.B !== undefined) (value as { B: unknown }).B = bytesOf(value.B as unknown as string);
    else if (value.BS !== undefined) (value as { BS: unknown }).BS = (value.BS as unknown as string[]).map(bytesOf);
    else if (value.M !== undefined) readBytes(value.M);
    else if (value.L !== undefined) readBytes(value.L);
  }
}

function readRecords(answer: Json): Json {
  const {
    Records: records,
    NextShardIterator: next,
    ...others
  } = answer as {
    Records?: { Data: string; ApproximateArrivalTimestamp?: number }[];
    NextShardIterator?: string | null;
  };
  return {
    ...others,
    // Null at the shard's end, which the SDK leaves out.
    ...(next != null && { NextShardIterator: next }),
    Records: records?.map(({ Data, ApproximateArrivalTimestamp: seconds, ...record }) => ({
      ...record,
      Data: bytesOf(Data),
      ...(seconds != null && { ApproximateArrivalTimestamp: new Date(Math.round(seconds * 1000)) }),
    })),
  };
}

function bytesOf(base64: string): Uint8Array {
  const { buffer, byteOffset, byteLength } = Buffer.from(base64, 'base64');
  return new Uint8Array(buffer, byteOffset, byteLength);
}
