// Fuzzing of the wire: real requests of the SDKs for Java (CBOR) and JavaScript (JSON), flipped, cut, spliced and replaced, over
// real sockets of HTTP/1.1 and HTTP/2. Whatever comes, the answer is a well-formed one of AWS's and never a 500, and another
// client works on beside it. Bounded by time, not by a number of runs; what has failed once is pinned at the end.
import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { type ClientHttp2Session, connect } from 'node:http2';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import * as kinesis from '@aws-sdk/client-kinesis';
import type { Logger } from '@shardline/common';
import { decode } from 'cborg';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type LocalKinesis, startLocalKinesis } from '../src/index.ts';
import type { Stream } from '../src/model/index.ts';
import { mutatedRequest, token } from './mutations.ts';
import { CBOR_1_1, JSON_1_1, type SdkRequest, sdkRequests } from './sdk-requests.ts';

const EVENT_STREAM = 'application/vnd.amazon.eventstream';
const FUZZED = 'orders';
const CONSUMER = 'billing';
const BESIDE = 'beside';
/** For each of the properties. */
const interruptAfterTimeLimit = 3_500;
const MIB = 1024 * 1024;

interface Sent extends SdkRequest {
  /** In place of those that the SDKs send. */
  readonly headers?: Readonly<Record<string, string>>;
}
interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: Buffer;
}
type Version = 'HTTP/1.1' | 'HTTP/2';

const bugs: unknown[] = [];
/** Keeps what the server says about its own bugs. */
const ignore = (): void => undefined;
const logger: Logger = {
  trace: ignore,
  debug: ignore,
  info: ignore,
  warn: ignore,
  error: (fields: unknown) => void bugs.push(fields),
  child: () => logger,
};
const agent = new Agent({ keepAlive: true, maxSockets: 10 });
let requests: readonly SdkRequest[];
let local: LocalKinesis;
let session: ClientHttp2Session;
let beside: kinesis.KinesisClient;
let besideCount = 0;

beforeAll(async () => {
  // A rule that no request meets, so that each is looked at for it.
  const faults = [{ kind: 'throttle', shardId: 'shardId-000000009999' }] as const;
  local = await startLocalKinesis({ limits: false, shardLimit: 200, maxStoredBytesPerShard: MIB, faults, logger });
  session = connect(local.endpoint);
  beside = new kinesis.KinesisClient(local.clientConfig);
  local.model.createStream({ name: BESIDE, shardCount: 1 }, Date.now());
  restore();
  const from = { streamName: FUZZED, shardId: 'shardId-000000000000', position: { kind: 'TRIM_HORIZON' } } as const;
  requests = await sdkRequests(local.model.getShardIterator(from, Date.now()));
});
afterAll(async () => {
  beside.destroy();
  session.destroy();
  agent.destroy();
  await local.close();
});
beforeEach(restore);

test('real requests are answered, none by a 500', async () => {
  for (const each of requests) {
    restore();
    for (const version of ['HTTP/1.1', 'HTTP/2'] as const) await expectWellFormed(each, version);
  }
});

const version = fc.constantFrom<Version>('HTTP/1.1', 'HTTP/2');

test('real requests, flipped, cut, spliced, with odd values', async () => {
  await fuzz(mutatedRequest(requests));
});

test('arbitrary bytes, JSON and CBOR to every operation', async () => {
  const body = fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
    fc.json().map((text) => Buffer.from(text)),
    fc.array(token, { maxLength: 20 }).map((tokens) => Buffer.concat(tokens)),
  );
  await fuzz(fc.tuple(fc.constantFrom(...requests), body).map(([original, bytes]) => ({ ...original, body: bytes })));
});

test('arbitrary headers that tell the format, the operation and the caller', async () => {
  const printable = fc.string({ unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)) });
  const headers = fc.record(
    {
      'content-type': fc.oneof(
        fc.constantFrom('application/json', 'APPLICATION/X-AMZ-CBOR-1.1 ; charset=utf-8', `${JSON_1_1},${CBOR_1_1}`),
        printable,
      ),
      'x-amz-target': fc.oneof(
        fc.constantFrom('', 'Kinesis_20131202', 'Kinesis_20131202.', 'Kinesis_20131202.__proto__', 'ListStreams'),
        printable,
      ),
      authorization: fc.oneof(
        printable,
        printable.map((part) => `AWS4-HMAC-SHA256 Credential=${part}/20260101/us-east-1/kinesis/aws4_request`),
        printable.map((part) => `AWS4-HMAC-SHA256 Credential=local/20260101/${part}/kinesis/aws4_request`),
      ),
    },
    { requiredKeys: [] },
  );
  await fuzz(fc.tuple(fc.constantFrom(...requests), headers).map(([original, odd]) => ({ ...original, headers: odd })));
});

test('bodies of very many values, of a depth or a length beyond reason, are refused', async () => {
  const size = 15 * MIB;
  const bodies: [string, Buffer][] = [
    [JSON_1_1, Buffer.from(`{"Hats":${'['.repeat(size / 2 - 10)}${']'.repeat(size / 2 - 10)}}`)],
    [JSON_1_1, Buffer.from(`{"Hats":[${'[],'.repeat(size / 3 - 10)}1]}`)],
    [JSON_1_1, Buffer.from(`{${Array.from({ length: 500_000 }, (_, index) => `"${index}":1`).join()}}`)],
    [CBOR_1_1, Buffer.alloc(size, 0x81)],
    [CBOR_1_1, Buffer.concat([Buffer.from('9f', 'hex'), Buffer.alloc(size, 0x80)])],
    [CBOR_1_1, Buffer.concat([Buffer.from('5f', 'hex'), Buffer.alloc(size, 0x40)])],
    [CBOR_1_1, Buffer.from('bf64486174739b7fffffffffffffff', 'hex')],
  ];
  const before = heldBytes();
  for (const [contentType, body] of bodies) {
    const { status, body: said } = await expectWellFormed({ operation: 'PutRecord', contentType, body }, 'HTTP/1.1');
    expect([status, said.toString()]).toEqual([
      400,
      expect.stringMatching(/SerializationException.*The body does not parse/),
    ]);
  }
  await expectHeldAgain(before);
});

/** Sends requests in batches, each at once, until the time is over. */
async function fuzz(request: fc.Arbitrary<Sent>): Promise<void> {
  const before = heldBytes();
  let batches = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(request, version), { minLength: 1, maxLength: 20 }), async (batch) => {
      await Promise.all(batch.map(([sent, by]) => expectWellFormed(sent, by)));
      if (++batches % 20 === 0) {
        await workBeside();
        restore();
      }
    }),
    { numRuns: 1_000_000, interruptAfterTimeLimit },
  );
  await workBeside();
  await expectHeldAgain(before);
}

/** A stream and a consumer for the requests to find, and room for more, whatever the last ones have done. */
function restore(): void {
  const now = Date.now();
  const { model } = local;
  const fuzzed = model.listStreams(now).filter(({ name }) => name !== BESIDE);
  if (fuzzed.flatMap(({ shards }) => shards).length > 20) {
    for (const { name } of fuzzed) model.deleteStream({ streamName: name, enforceConsumerDeletion: true }, now);
  }
  const find = (): Stream | undefined => model.listStreams(now).find(({ name }) => name === FUZZED);
  if (find() === undefined) model.createStream({ name: FUZZED, shardCount: 2 }, now);
  if (!find()?.consumers.has(CONSUMER)) model.registerConsumer({ streamName: FUZZED, consumerName: CONSUMER }, now);
}

/** The other client puts a record and finds it, and all others, where it put them. */
async function workBeside(): Promise<void> {
  besideCount++;
  const StreamName = BESIDE;
  await beside.send(
    new kinesis.PutRecordCommand({ StreamName, PartitionKey: 'k', Data: Buffer.from(String(besideCount)) }),
  );
  const { ShardIterator } = await beside.send(
    new kinesis.GetShardIteratorCommand({
      StreamName,
      ShardId: 'shardId-000000000000',
      ShardIteratorType: 'TRIM_HORIZON',
    }),
  );
  const { Records } = await beside.send(new kinesis.GetRecordsCommand({ ShardIterator }));
  expect(Records?.map(({ Data }) => Number(Buffer.from(Data ?? []).toString()))).toEqual(
    Array.from({ length: besideCount }, (_, index) => index + 1),
  );
}

async function expectWellFormed(sent: Sent, by: Version): Promise<Answer> {
  const answer = await (by === 'HTTP/2' ? sendByHttp2(sent) : sendByHttp1(sent));
  try {
    check(sent, answer);
    return answer;
  } catch (error) {
    const what = `${sent.operation} ${sent.contentType} ${sent.body.toString('hex')} over ${by}`;
    throw new Error(`${what}: ${answer.status} ${answer.body.toString()}`, { cause: bugs.pop() ?? error });
  }
}

function check(sent: Sent, { status, headers, body }: Answer): void {
  expect(headers['x-amzn-requestid']).toMatch(/^[0-9a-f-]{36}$/);
  expect(status === 200 || (status >= 400 && status < 500)).toBe(true);
  if (headers['content-type'] === EVENT_STREAM) {
    expect(body.readUInt32BE(0)).toBeLessThanOrEqual(body.length);
    return;
  }
  const isCbor = headers['content-type'] === CBOR_1_1;
  if (sent.headers === undefined) expect(headers['content-type']).toBe(sent.contentType);
  else if (!isCbor) expect(headers['content-type']).toBe(JSON_1_1);
  expect(headers['content-length']).toBe(String(body.length));
  if (status === 200 && body.length === 0) return;
  const members = (
    isCbor ? decode(body, { tags: { 1: (content) => content() } }) : JSON.parse(body.toString())
  ) as object;
  expect(Object.keys(members).length).toBeGreaterThan(0);
  if (status !== 200) expect(members).toMatchObject({ __type: expect.stringMatching(/^[A-Z]\w+Exception$/) });
}

async function sendByHttp1(sent: Sent): Promise<Answer> {
  const outgoing = request(local.endpoint, {
    agent,
    method: 'POST',
    headers: headersOf(sent),
  });
  outgoing.end(sent.body);
  const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage];
  const headers = incoming.headers;
  const answer = { status: incoming.statusCode ?? 0, headers, body: await bodyOf(incoming, headers['content-type']) };
  if (headers['content-type'] === EVENT_STREAM) outgoing.destroy();
  return answer;
}

async function sendByHttp2(sent: Sent): Promise<Answer> {
  const stream = session.request({ ':method': 'POST', ...headersOf(sent) });
  stream.end(sent.body);
  const [headers] = (await once(stream, 'response')) as [Record<string, string>];
  const answer = { status: Number(headers[':status']), headers, body: await bodyOf(stream, headers['content-type']) };
  if (headers['content-type'] === EVENT_STREAM) stream.close();
  return answer;
}

function headersOf({ operation, contentType, headers }: Sent): Record<string, string> {
  return { ...(headers ?? { 'content-type': contentType, 'x-amz-target': `Kinesis_20131202.${operation}` }) };
}

/** All of a body; of an event stream, which does not end, the beginning. */
async function bodyOf(stream: NodeJS.ReadableStream, contentType: string | undefined): Promise<Buffer> {
  const chunks: Buffer[] = [];
  if (contentType === EVENT_STREAM) return ((await once(stream, 'data')) as [Buffer])[0];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** A leak stays. What a socket is just done with goes once it has had its turn. */
async function expectHeldAgain(before: number): Promise<void> {
  await expect.poll(() => heldBytes() - before, { timeout: 10_000 }).toBeLessThan(64 * MIB);
}

/** What is alive, in the heap and beside it. */
function heldBytes(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
