// How long a record is on its way from the put to a subscriber. One record at a time at a steady, light rate, so that nothing
// queues: what is left is the server's own tick, if it has one.
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Address, type Connection, connections } from './connection.ts';
import { encode } from './request.ts';

const CONSUMER_TIMEOUT_MS = 10_000;
const CONSUMER_POLL_MS = 50;
/** The first record of a stream: what comes with it is the server's first time. */
const WARM_UP_COUNT = 10;
/** After the last put, for what a tick holds back. */
const LINGER_MS = 20_000;

/** Latencies in ms, one of each record after the first few, sorted. */
export async function pushLatencies(
  address: Address,
  streamName: string,
  { count, everyMs }: { count: number; everyMs: number },
): Promise<number[]> {
  const [client] = await connections(address, 1);
  if (client === undefined) throw new Error('no connection');
  const subscription = await subscribe(client, address, streamName);
  const total = WARM_UP_COUNT + count;
  const sentAt: number[] = [];
  const latencies: number[] = [];
  const arrived = new Promise<void>((resolve, reject) => {
    const frames = new Frames((payload) => {
      const receivedAt = performance.now();
      const { Records = [] } = JSON.parse(payload.toString()) as { Records?: { Data: string }[] };
      for (const { Data } of Records) {
        const index = Number(Buffer.from(Data, 'base64').toString());
        if (index >= WARM_UP_COUNT) latencies.push(receivedAt - (sentAt[index] ?? 0));
        if (index === total - 1) resolve();
      }
    });
    subscription.on('data', (chunk: Buffer) => frames.take(chunk));
    subscription.on('error', reject);
    subscription.on('close', () => reject(new Error('the subscription ended')));
  });
  // A rejection that comes while records are still put is seen below.
  arrived.catch(() => undefined);
  const startedAt = performance.now();
  for (let index = 0; index < total; index += 1) {
    await sleep(Math.max(0, startedAt + index * everyMs - performance.now()));
    // The hash key 0 is the first shard's, which is the one subscribed to.
    const record = { Data: Buffer.from(String(index)), PartitionKey: 'push', ExplicitHashKey: '0' };
    const request = encode('PutRecords', { StreamName: streamName, Records: [record] });
    sentAt[index] = performance.now();
    await client.send(request);
  }
  await Promise.race([arrived, sleep(LINGER_MS, undefined, { ref: false }).then(() => Promise.reject(late()))]);
  client.close();
  subscription.destroy();
  return latencies.sort((a, b) => a - b);
}

async function subscribe(client: Connection, address: Address, streamName: string): Promise<IncomingMessage> {
  const { StreamDescriptionSummary } = await ask<{ StreamDescriptionSummary: { StreamARN: string } }>(
    client,
    'DescribeStreamSummary',
    { StreamName: streamName },
  );
  const { StreamARN } = StreamDescriptionSummary;
  const { Consumer } = await ask<{ Consumer: { ConsumerARN: string } }>(client, 'RegisterStreamConsumer', {
    StreamARN,
    ConsumerName: 'bench',
  });
  const { ConsumerARN } = Consumer;
  const deadline = performance.now() + CONSUMER_TIMEOUT_MS;
  for (;;) {
    const { ConsumerDescription } = await ask<{ ConsumerDescription: { ConsumerStatus: string } }>(
      client,
      'DescribeStreamConsumer',
      { ConsumerARN },
    );
    if (ConsumerDescription.ConsumerStatus === 'ACTIVE') break;
    if (performance.now() > deadline) throw new Error(`the consumer is not ACTIVE after ${CONSUMER_TIMEOUT_MS} ms`);
    await sleep(CONSUMER_POLL_MS);
  }
  const { headers, body } = encode('SubscribeToShard', {
    ConsumerARN,
    ShardId: 'shardId-000000000000',
    StartingPosition: { Type: 'LATEST' },
  });
  const request = httpRequest({ host: '127.0.0.1', port: address.port, method: 'POST', headers: { ...headers } });
  request.end(body);
  const [answer] = (await once(request, 'response')) as [IncomingMessage];
  if (answer.statusCode !== 200) throw new Error(`SubscribeToShard answered ${answer.statusCode}`);
  return answer;
}

async function ask<T>(client: Connection, operation: string, input: Readonly<Record<string, string>>): Promise<T> {
  return JSON.parse((await client.send(encode(operation, input))).toString()) as T;
}

function late(): Error {
  return new Error(`the last record was not pushed within ${LINGER_MS} ms`);
}

/** Cuts event-stream frames (length, length of the headers, checksum, headers, payload, checksum) out of a stream of bytes. */
class Frames {
  readonly #onPayload: (payload: Buffer) => void;
  #pending: Buffer = Buffer.alloc(0);

  constructor(onPayload: (payload: Buffer) => void) {
    this.#onPayload = onPayload;
  }

  take(chunk: Buffer): void {
    this.#pending = Buffer.concat([this.#pending, chunk]);
    while (this.#pending.length >= 12 && this.#pending.length >= this.#pending.readUInt32BE(0)) {
      const totalBytes = this.#pending.readUInt32BE(0);
      const payload = this.#pending.subarray(12 + this.#pending.readUInt32BE(4), totalBytes - 4);
      this.#pending = this.#pending.subarray(totalBytes);
      this.#onPayload(payload);
    }
  }
}
