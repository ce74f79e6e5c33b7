// One application that reads streams of two accounts, over real sockets: a local Kinesis has streams of its own for each account and
// region, and a request that names an ARN is for the ARN's account, whoever asks. The consumer's own account has a stream of every
// name that is read from the other one, so a call by name would find the wrong one.
import { deepStrictEqual } from 'node:assert';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BatchHandler } from '../src/handler.ts';
import { type Cloud, Scene, SHARD, startCloud, textOf, until } from './cloud.ts';
import { listen } from './listen.ts';

const OTHER = '111122223333';
const region = 'us-east-1';
const arnOf = (name: string, accountId = OTHER): string => `arn:aws:kinesis:${region}:${accountId}:stream/${name}`;

let cloud: Cloud;
beforeAll(async () => {
  cloud = await startCloud();
});
afterAll(async () => {
  await cloud.close();
});

/** The stream of that name in the other account, with these texts in it; what it is called in lease keys. */
function otherStream(name: string, ...texts: string[]): string {
  const model = cloud.kinesisServer.modelOf({ accountId: OTHER, region });
  const now = Date.now();
  // A second younger than the one here: the keys of the two differ in more than their accounts.
  model.createStream({ name, shardCount: 1 }, now);
  model.settle(now);
  for (const text of texts) {
    const record = { partitionKey: 'k', data: Buffer.from(text) };
    model.putRecord({ streamName: name, record }, Date.now());
  }
  return `${OTHER}:${name}:${Math.floor(model.stream(name, now).createdMs / 1000)}`;
}

function ownId({ model, name }: Scene): string {
  return `000000000000:${name}:${Math.floor(model.stream(name, Date.now()).createdMs / 1000)}`;
}

/** What was handled, by the part of the lease key that names the stream. */
function recorder(): { readonly seen: Map<string, string[]>; readonly handler: BatchHandler } {
  const seen = new Map<string, string[]>();
  const handler: BatchHandler = (batch, { leaseKey }) => {
    const stream = leaseKey.slice(0, -batch.shardId.length - 1);
    seen.set(stream, [...(seen.get(stream) ?? []), ...batch.records.map(textOf)]);
  };
  return { seen, handler };
}

describe('streams of two accounts in one application', () => {
  it('a name is one’s own stream, an ARN the other’s of the same name; each has leases, records and checkpoints of its own', async () => {
    const own = new Scene(cloud, 'both');
    await own.put('mine 1');
    const other = otherStream('both', 'theirs 1', 'theirs 2');
    const { seen, handler } = recorder();
    await using consumer = own.consumer({ streams: ['both', arnOf('both')] });
    void consumer.run(handler);
    await until(() => {
      deepStrictEqual(seen.get(ownId(own)), ['mine 1']);
      deepStrictEqual(seen.get(other), ['theirs 1', 'theirs 2']);
    });
    const leaseKey = `${other}:${SHARD(0)}`;
    await until(async () => expect((await own.row(leaseKey))?.['checkpoint']?.S).toMatch(/^\d{56}$/));
    expect(await own.row(leaseKey)).toMatchObject({ streamName: { S: other }, shardId: { S: SHARD(0) } });
  });

  it('`account:name:epoch` is the stream of that account, in the client’s region', async () => {
    const own = new Scene(cloud, 'identified');
    await own.put('mine 1');
    const other = otherStream('identified', 'theirs 1');
    const { seen, handler } = recorder();
    await using consumer = own.consumer({ streams: [other] });
    void consumer.run(handler);
    await until(() => deepStrictEqual(seen.get(other), ['theirs 1']));
    expect([...seen.keys()]).toEqual([other]);
  });

  it('leases of a stream that is listed no longer are read to the end from the account that they name', async () => {
    const own = new Scene(cloud, 'orphans');
    await own.put('mine 1');
    const other = otherStream('orphans', 'theirs 1');
    const first = recorder();
    const before = own.consumer({ streams: [other] });
    const ended = before.run(first.handler);
    await until(() => deepStrictEqual(first.seen.get(other), ['theirs 1']));
    await before.stop();
    await ended;
    const model = cloud.kinesisServer.modelOf({ accountId: OTHER, region });
    const record = { partitionKey: 'k', data: Buffer.from('theirs 2') };
    model.putRecord({ streamName: 'orphans', record }, Date.now());
    const { seen, handler } = recorder();
    await using consumer = own.consumer({ streams: ['orphans'] });
    void consumer.run(handler);
    await until(() => {
      deepStrictEqual(seen.get(ownId(own)), ['mine 1']);
      deepStrictEqual(seen.get(other), ['theirs 2']);
    });
  });
});

describe('a stream that is not where it is said to be', () => {
  it('is named with its account, and holds no other up', async () => {
    const own = new Scene(cloud, 'missing');
    await own.put('mine 1');
    const { logger, texts } = listen();
    const { seen, handler } = recorder();
    await using consumer = own.consumer({ logger, streams: ['missing', arnOf('missing', '999988887777')] });
    void consumer.run(handler);
    await until(() => deepStrictEqual(seen.get(ownId(own)), ['mine 1']));
    expect(texts('warn', 'error')).toContainEqual(
      expect.stringMatching(/stream arn:aws:kinesis:us-east-1:999988887777:stream\/missing is not there/),
    );
  });

  it('in another region than the client’s is refused, naming both', async () => {
    const own = new Scene(cloud, 'elsewhere');
    const streams = ['arn:aws:kinesis:eu-west-1:000000000000:stream/elsewhere'];
    await expect(own.consumer({ streams }).run(() => undefined)).rejects.toMatchObject({
      message: expect.stringMatching(
        /expected an ARN of the Kinesis client's region, us-east-1, got .*arn:aws:kinesis:eu-w/,
      ),
    });
  });

  it('and may not be asked for keeps its leases, whatever is done with those of former streams', async () => {
    const own = new Scene(cloud, 'forbidden');
    const other = otherStream('forbidden', 'theirs 1');
    const options = { streams: ['forbidden', arnOf('forbidden')], formerStreamsWaitMs: 0 };
    const first = recorder();
    const before = own.consumer(options);
    const ended = before.run(first.handler);
    await until(() => deepStrictEqual(first.seen.get(other), ['theirs 1']));
    await before.stop();
    await ended;
    using denied = cloud.kinesisServer.faults.add({
      kind: 'error',
      operation: 'DescribeStreamSummary',
      stream: 'forbidden',
      type: 'AccessDeniedException',
    });
    const { handler } = recorder();
    await using consumer = own.consumer({ ...options, streams: [ownId(own), arnOf('forbidden')] });
    void consumer.run(handler);
    await until(() => expect(consumer.view()).toMatchObject({ leader: true }));
    await until(() => expect(denied.applied).toBeGreaterThan(0));
    await until(async () => expect(await own.row(`${ownId(own)}:${SHARD(0)}`)).toBeDefined());
    expect(await own.row(`${other}:${SHARD(0)}`)).toBeDefined();
  });
});
