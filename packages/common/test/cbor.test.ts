// Records asked for in CBOR, against a tiny server over real sockets: as long as it answers in it; what speaks against it is asked again in
// JSON, and remembered.
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { GetRecordsCommand, type KinesisClient } from '@aws-sdk/client-kinesis';
import { Sha256 } from '@smithy/core/checksum';
import { SignatureV4 } from '@smithy/signature-v4';
import { decode, encode } from 'cborg';
import { afterEach, expect, test } from 'vitest';
import { createKinesisClient, type KinesisClientOptions } from '../src/aws-client.ts';
import { READ_ANSWER, READ_CBOR } from '../src/aws-shortcut.ts';
import { CborReader } from '../src/cbor-reader.ts';

interface Asked {
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}
type Reply = (response: ServerResponse) => void;

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

/** Answers request by request; the last answer goes for all that follow. */
async function serve(...replies: Reply[]): Promise<{ endpoint: string; asked: Asked[] }> {
  const asked: Asked[] = [];
  const http = createServer(async (request, response) => {
    asked.push({ headers: request.headers, body: await buffer(request) });
    replies[Math.min(asked.length, replies.length) - 1]?.(response);
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  cleanUps.push(async () => {
    http.closeAllConnections();
    http.close();
    await once(http, 'close');
  });
  return { endpoint: `http://127.0.0.1:${(http.address() as AddressInfo).port}`, asked };
}

const account = { region: 'eu-central-1', credentials: { accessKeyId: 'test', secretAccessKey: 'secret' } };
const JSON_TYPE = 'application/x-amz-json-1.1';
const CBOR_TYPE = 'application/x-amz-cbor-1.1';

const reply =
  (status: number, type: string, body: Uint8Array | string): Reply =>
  (response) => {
    response.writeHead(status, { 'content-type': type, 'x-amzn-requestid': 'r1' });
    response.end(body);
  };
const inJson = reply(200, JSON_TYPE, JSON.stringify({ Records: [], MillisBehindLatest: 7 }));
const inCbor = reply(200, CBOR_TYPE, encode({ Records: [], MillisBehindLatest: 8 }));
const hangUp: Reply = (response) => response.destroy();

function clientFor(endpoint: string, options: KinesisClientOptions = {}): KinesisClient {
  const client = createKinesisClient({ endpoint, ...account, maxAttempts: 1, ...options });
  cleanUps.push(() => client.destroy());
  return client;
}

/** As who reads records makes it. */
function read(): GetRecordsCommand {
  return Object.assign(new GetRecordsCommand({ ShardIterator: 'i'.repeat(300), Limit: 10_000 }), {
    [READ_ANSWER]: () => undefined,
    [READ_CBOR]: (body: Buffer) => new CborReader(body).value(),
  });
}

const typesOf = (asked: readonly Asked[]): string[] =>
  asked.map(({ headers }) => (headers['content-type'] === CBOR_TYPE ? 'cbor' : 'json'));

async function behind(client: KinesisClient): Promise<number | undefined> {
  return (await client.send(read())).MillisBehindLatest;
}

test("after the SDK's own first call records are asked for in CBOR, which says the same, and is signed as the SDK signs", async () => {
  const { endpoint, asked } = await serve(inJson, inCbor);
  const client = clientFor(endpoint);
  expect([await behind(client), await behind(client), await behind(client)]).toEqual([7, 8, 8]);
  expect(typesOf(asked)).toEqual(['json', 'cbor', 'cbor']);
  const [first, second] = asked as [Asked, Asked];
  expect(decode(second.body)).toEqual(JSON.parse(first.body.toString()));
  const { headers, body } = second;
  const names = /SignedHeaders=([^,]+)/.exec(headers.authorization ?? '')?.[1]?.split(';') ?? [];
  expect(names).toContain('content-type');
  const signer = new SignatureV4({ ...account, service: 'kinesis', sha256: Sha256 });
  const given = Object.fromEntries(names.map((name) => [name, headers[name] as string]));
  const { hostname, port } = new URL(endpoint);
  const request = { method: 'POST', protocol: 'http:', hostname, port: Number(port), path: '/', headers: given, body };
  const time = String(headers['x-amz-date']).replace(/(....)(..)(..)T(..)(..)(..)Z/, '$1-$2-$3T$4:$5:$6Z');
  const signed = await signer.sign(request, { signingDate: new Date(time) });
  expect(headers.authorization).toBe(signed.headers['authorization']);
});

test('an option turns it off', async () => {
  const { endpoint, asked } = await serve(inJson);
  const client = clientFor(endpoint, { cbor: false });
  await behind(client);
  await behind(client);
  expect(typesOf(asked)).toEqual(['json', 'json']);
  expect(() => createKinesisClient({ cbor: 'no' as unknown as boolean })).toThrow('cbor: expected');
});

test('an error that comes in CBOR is the error that the SDK makes of it, and CBOR goes on', async () => {
  const refusal = encode({ __type: 'ProvisionedThroughputExceededException', message: 'slow down' });
  const { endpoint, asked } = await serve(inJson, reply(400, CBOR_TYPE, refusal), inCbor);
  const client = clientFor(endpoint);
  await behind(client);
  await expect(client.send(read())).rejects.toMatchObject({
    name: 'ProvisionedThroughputExceededException',
    message: 'slow down',
    $metadata: { httpStatusCode: 400, requestId: 'r1' },
  });
  expect(await behind(client)).toBe(8);
  expect(typesOf(asked)).toEqual(['json', 'cbor', 'cbor']);
});

test.each<[string, Reply]>([
  ['does not know the type', reply(415, 'text/plain', 'what?')],
  ['fails in JSON', reply(400, JSON_TYPE, JSON.stringify({ __type: 'SerializationException' }))],
  ['fails in HTML', reply(500, 'text/html', '<h1>Oops</h1>')],
  ['says CBOR and sends something else', reply(200, CBOR_TYPE, '{"Records":[]}')],
  ['sends half of it', reply(200, CBOR_TYPE, encode({ Records: [], NextShardIterator: 'next' }).subarray(0, 20))],
  ['fails in no CBOR', reply(400, CBOR_TYPE, '{"__type":"SerializationException"}')],
])('a server that %s is asked again in JSON, and from then on', async (_, refusal) => {
  const { endpoint, asked } = await serve(inJson, refusal, inJson);
  const client = clientFor(endpoint);
  expect([await behind(client), await behind(client), await behind(client)]).toEqual([7, 7, 7]);
  expect(typesOf(asked)).toEqual(['json', 'cbor', 'json', 'json']);
});

test('a server that answers in JSON what was asked in CBOR is not asked again, but in JSON from then on', async () => {
  const { endpoint, asked } = await serve(inJson);
  const client = clientFor(endpoint);
  expect([await behind(client), await behind(client), await behind(client)]).toEqual([7, 7, 7]);
  expect(typesOf(asked)).toEqual(['json', 'cbor', 'json']);
});

test('a server that hangs up on CBOR is asked in JSON after the third time', async () => {
  const { endpoint, asked } = await serve(inJson, hangUp, hangUp, hangUp, inJson);
  const client = clientFor(endpoint);
  await behind(client);
  for (let call = 0; call < 3; call += 1) await expect(client.send(read())).rejects.toThrow();
  expect(await behind(client)).toBe(7);
  expect(typesOf(asked)).toEqual(['json', 'cbor', 'cbor', 'cbor', 'json']);
});

test('once CBOR was understood, neither a gateway between nor broken connections end it', async () => {
  const gateway = reply(503, 'text/html', '<h1>Service Unavailable</h1>');
  const { endpoint, asked } = await serve(inJson, inCbor, gateway, hangUp, hangUp, hangUp, inCbor);
  const client = clientFor(endpoint);
  expect([await behind(client), await behind(client)]).toEqual([7, 8]);
  for (let call = 0; call < 4; call += 1) await expect(client.send(read())).rejects.toThrow();
  expect(await behind(client)).toBe(8);
  expect(typesOf(asked).slice(1)).toEqual(['cbor', 'cbor', 'cbor', 'cbor', 'cbor', 'cbor']);
});
