// Signatures verified over real sockets: what the SDK signs passes over every protocol, and what AWS refuses is refused in its
// words, as the SDK's errors.
import {
  KinesisClient,
  type KinesisClientConfig,
  KinesisServiceException,
  ListStreamsCommand,
  PutRecordCommand,
  RegisterStreamConsumerCommand,
  SubscribeToShardCommand,
} from '@aws-sdk/client-kinesis';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type LocalKinesis, type LocalTls, ManualClock, startLocalKinesis } from '../src/index.ts';

const StreamName = 'orders';
const good = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' };
const other = { accessKeyId: 'AKIDOTHER', secretAccessKey: 'other' };
const verifySignatures = { [good.accessKeyId]: good.secretAccessKey, [other.accessKeyId]: other.secretAccessKey };
let local: LocalKinesis & LocalTls;
const opened: { destroy(): void }[] = [];

beforeAll(async () => {
  local = await startLocalKinesis({ tlsPort: 0, verifySignatures, streams: [{ name: StreamName }] });
});
afterAll(async () => {
  for (const each of opened) each.destroy();
  await local.close();
});

/** By default over HTTP/2 in clear text. */
function client(config: KinesisClientConfig = {}): KinesisClient {
  const made = new KinesisClient({ ...local.clientConfig, maxAttempts: 1, ...config });
  opened.push(made);
  return made;
}

const put = new PutRecordCommand({ StreamName, PartitionKey: 'k', Data: Buffer.from('hello') });

test.each<[string, () => KinesisClientConfig]>([
  ['over HTTP/2', () => ({})],
  ['over HTTP/1.1', () => ({ requestHandler: new NodeHttpHandler() })],
  ['over HTTP/2 and TLS', () => local.tlsClientConfig],
  ['with a session token', () => ({ credentials: { ...good, sessionToken: 'FwoGZXIvYXdzE/+==' } })],
  ['with the second of two secrets', () => ({ credentials: other })],
  ['for another region', () => ({ region: 'cn-north-1', credentials: good })],
])('what the SDK signs %s passes', async (_, config) => {
  expect((await client(config()).send(put)).ShardId).toBe('shardId-000000000000');
});

test('a subscription is signed too', async () => {
  const StreamARN = `arn:aws:kinesis:us-east-1:000000000000:stream/${StreamName}`;
  const { Consumer } = await client().send(new RegisterStreamConsumerCommand({ StreamARN, ConsumerName: 'c' }));
  const subscribe = new SubscribeToShardCommand({
    ConsumerARN: Consumer?.ConsumerARN,
    ShardId: 'shardId-000000000000',
    StartingPosition: { Type: 'TRIM_HORIZON' },
  });
  const abort = new AbortController();
  const { EventStream = [] } = await client().send(subscribe, { abortSignal: abort.signal });
  for await (const event of EventStream) {
    expect(event.SubscribeToShardEvent).toBeDefined();
    break;
  }
  abort.abort();
  const bad = client({ credentials: { ...good, secretAccessKey: 'x' } });
  await expect(bad.send(subscribe)).rejects.toMatchObject({ name: 'InvalidSignatureException' });
});

test.each([
  ['a wrong secret', { ...good, secretAccessKey: 'x' }, 'InvalidSignatureException', /^The request signature we calc/],
  ['the secret of another key', { ...good, secretAccessKey: 'other' }, 'InvalidSignatureException', /does not match/],
  [
    'an unknown key',
    { ...good, accessKeyId: 'AKIDUNKNOWN' },
    'UnrecognizedClientException',
    /^The security token included in the request is invalid\.$/,
  ],
])('%s is refused with 400', async (_, credentials, name, message) => {
  const refused = client({ credentials }).send(put);
  await expect(refused).rejects.toThrow(KinesisServiceException);
  await expect(refused).rejects.toMatchObject({ name, message: expect.stringMatching(message) });
  await expect(refused).rejects.toMatchObject({ $metadata: { httpStatusCode: 400 } });
});

test.each([
  ['the body', { body: '{"StreamName":"orders","PartitionKey":"other","Data":"eA=="}' }],
  ['the operation', { headers: { 'x-amz-target': 'Kinesis_20131202.DeleteStream' } }],
])('%s that is changed after it was signed is refused, and does nothing', async (_, change) => {
  const changing = client({ requestHandler: new NodeHttpHandler() });
  changing.middlewareStack.add(
    (next) => async (args) => {
      const request = args.request as { body: unknown; headers: Record<string, string> };
      const headers: Record<string, string> = { ...request.headers, ...('headers' in change && change.headers) };
      if ('body' in change) headers['content-length'] = String(change.body.length);
      return next({ ...args, request: Object.assign(request, change, { headers }) });
    },
    { step: 'finalizeRequest', priority: 'low' },
  );
  const shard = () => local.model.stream(StreamName, Date.now()).shards[0]?.log.nextCounter;
  const before = shard();
  await expect(changing.send(put)).rejects.toMatchObject({ name: 'InvalidSignatureException' });
  expect(shard()).toBe(before);
});

test.each([
  [600_000, /^Signature expired: \d{8}T\d{6}Z is now earlier than \d{8}T\d{6}Z \(\d{8}T\d{6}Z - 5 min\.\)$/],
  [-600_000, /^Signature not yet current: .* is still later than .* \+ 5 min\.\)$/],
  [10 * 365 * 86_400_000, /^Signature expired/],
])('a client whose clock is %i ms behind is told so, and the SDK sets it by the answer', async (behindMs, message) => {
  await using elsewhere = await startLocalKinesis({ verifySignatures, clock: new ManualClock(Date.now() + behindMs) });
  const { clientConfig } = elsewhere;
  const refused = client(clientConfig).send(new ListStreamsCommand({}));
  await expect(refused).rejects.toMatchObject({ name: 'InvalidSignatureException' });
  await expect(refused).rejects.toThrow(message);
  const correcting = client({ ...clientConfig, maxAttempts: 2 });
  expect((await correcting.send(new ListStreamsCommand({}))).$metadata.attempts).toBe(2);
  // Set by the first answer, and not set back by the second.
  for (let call = 0; call < 3; call++) {
    expect((await correcting.send(new ListStreamsCommand({}))).$metadata.attempts).toBe(1);
  }
});

test('what is not signed is refused as AWS does it, after the body was parsed and before its members are looked at', async () => {
  const post = async (headers: Record<string, string>, body = '{"ShardCount":"no number"}'): Promise<unknown[]> => {
    const answer = await fetch(local.endpoint, {
      method: 'POST',
      body,
      headers: {
        'content-type': 'application/x-amz-json-1.1',
        'x-amz-target': 'Kinesis_20131202.CreateStream',
        ...headers,
      },
    });
    return [answer.status, ((await answer.json()) as { __type: string }).__type];
  };
  expect(await post({})).toEqual([400, 'MissingAuthenticationTokenException']);
  expect(await post({ authorization: 'Bearer x' })).toEqual([400, 'IncompleteSignatureException']);
  expect(await post({}, '{')).toEqual([400, 'SerializationException']);
  expect(await post({ 'x-amz-target': 'Kinesis_20131202.Nothing' })).toEqual([400, 'UnknownOperationException']);
});

test('the clients of the server itself carry the first of its secrets', () => {
  expect(local.clientConfig.credentials).toEqual(good);
  expect(local.tlsClientConfig.credentials).toEqual(good);
});

test('without verifySignatures any signature will do, or none', async () => {
  await using open = await startLocalKinesis({ streams: [{ name: StreamName }] });
  const { endpoint } = open;
  const credentials = { accessKeyId: 'any', secretAccessKey: 'thing' };
  await client({ endpoint, credentials, systemClockOffset: 3_600_000 }).send(put);
  const headers = { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': 'Kinesis_20131202.ListStreams' };
  expect((await fetch(endpoint, { method: 'POST', body: '{}', headers })).status).toBe(200);
});

test('what cannot work is a usage error that names the option, and shows no secret', async () => {
  const bad: readonly [unknown, string][] = [
    [{}, 'verifySignatures'],
    [true, 'verifySignatures'],
    [[['AKID', 'top-secret']], 'verifySignatures'],
    [{ 'A/B': 'top-secret' }, 'verifySignatures'],
    [{ AKID: '' }, 'verifySignatures.AKID'],
    [{ AKID: ['top-secret'] }, 'verifySignatures.AKID'],
  ];
  for (const [value, field] of bad) {
    const refused = startLocalKinesis({ verifySignatures: value as Record<string, string> });
    await expect(refused, JSON.stringify(value)).rejects.toMatchObject({ code: 'USAGE', field });
    await expect(refused).rejects.toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('top-secret') }),
    );
  }
});
