// Rules of faults at a running server: which requests they strike, how they come and go, that a seed replays them, that nobody
// else notices, and that what they hold ends with the server.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, constants } from 'node:http2';
import { fileURLToPath } from 'node:url';
import * as kinesis from '@aws-sdk/client-kinesis';
import { classifyAwsError, createKinesisClient, UsageError } from '@shardline/common';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type FaultRule, type LocalKinesis, startLocalKinesis } from '../src/index.ts';
import {
  entry,
  errorOf,
  eventually,
  IMPATIENT_MS,
  protocols,
  put,
  Scene,
  StreamName,
  shardIds,
} from './fault-scene.ts';

let scene: Scene;
beforeEach(async () => {
  scene = new Scene();
  await scene.start();
});
afterEach(() => scene.close());

describe('which requests are struck', () => {
  test.each([
    ['PutRecord', () => new kinesis.PutRecordCommand({ StreamName, ...entry('a', 1) })],
    ['GetShardIterator', () => iteratorCommand(shardIds[1])],
    [
      'SplitShard',
      () => new kinesis.SplitShardCommand({ StreamName, ShardToSplit: shardIds[1], NewStartingHashKey: '1' }),
    ],
    [
      'MergeShards',
      () =>
        new kinesis.MergeShardsCommand({ StreamName, ShardToMerge: shardIds[0], AdjacentShardToMerge: shardIds[1] }),
    ],
  ])('%s by its shard', async (_, command) => {
    const client = scene.client('HTTP/1.1');
    scene.local.faults.add({ kind: 'throttle', shardId: shardIds[1] });
    const error = await errorOf(client.send(command() as kinesis.PutRecordCommand));
    expect(error.message).toBe(`Rate exceeded for shard ${shardIds[1]} in stream orders under account 000000000000.`);
    await client.send(put('to the other shard'));
  });

  test('GetRecords by the shard and stream of its iterator', async () => {
    const client = scene.client('HTTP/1.1');
    const [one, two] = await Promise.all(
      shardIds.map(async (id) => (await client.send(iteratorCommand(id))).ShardIterator),
    );
    scene.local.faults.add({ kind: 'throttle', operation: 'GetRecords', stream: StreamName, shardId: shardIds[1] });
    await client.send(new kinesis.GetRecordsCommand({ ShardIterator: one }));
    const error = await errorOf(client.send(new kinesis.GetRecordsCommand({ ShardIterator: two })));
    expect(error).toBeInstanceOf(kinesis.ProvisionedThroughputExceededException);
    // One that is none is refused as ever.
    const garbage = client.send(new kinesis.GetRecordsCommand({ ShardIterator: 'garbage' }));
    expect(await errorOf(garbage)).toBeInstanceOf(kinesis.InvalidArgumentException);
  });

  test('a stream by its name or its ARN, in its account and region', async () => {
    const client = scene.client('HTTP/1.1');
    scene.local.faults.add({ kind: 'throttle', stream: StreamName, accountId: '000000000000', region: 'eu-west-1' });
    await client.send(put('a'));
    const StreamARN = `arn:aws:kinesis:eu-west-1:000000000000:stream/${StreamName}`;
    const there = client.send(new kinesis.DescribeStreamSummaryCommand({ StreamARN }));
    expect(await errorOf(there)).toBeInstanceOf(kinesis.LimitExceededException);
    const StreamARNOfOther = `arn:aws:kinesis:eu-west-1:000000000000:stream/other`;
    const other = client.send(new kinesis.DescribeStreamSummaryCommand({ StreamARN: StreamARNOfOther }));
    expect(await errorOf(other)).toBeInstanceOf(kinesis.ResourceNotFoundException);
  });

  test('a request that does not parse, or whose operation is unknown, meets no fault', async () => {
    const fault = scene.local.faults.add({ kind: 'stall' });
    for (const [target, body] of [
      ['Kinesis_20131202.PutRecords', '{'],
      ['Kinesis_20131202.Nothing', '{}'],
    ] as const) {
      const headers = { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': target };
      expect((await fetch(scene.local.endpoint, { method: 'POST', headers, body })).status).toBe(400);
    }
    expect(fault.considered).toBe(0);
  });

  test('a reset HTTP/2 stream leaves the other streams of its session alone; a reset session takes them along', async () => {
    const session = connect(scene.local.endpoint);
    const reset: Error[] = [];
    session.on('error', (error) => reset.push(error));
    const headers = { ':method': 'POST', 'content-type': 'application/x-amz-json-1.1' };
    const send = (operation: string) => {
      const stream = session.request({ ...headers, 'x-amz-target': `Kinesis_20131202.${operation}` });
      stream.on('error', () => undefined);
      stream.end('{}');
      stream.resume();
      return stream;
    };
    const waiting = scene.local.faults.add({ kind: 'delay', operation: 'ListStreams', beforeAnswerMs: 1_000 });
    const other = send('ListStreams');
    await eventually(() => waiting.applied).toBe(1);
    const drop = scene.local.faults.add({ kind: 'dropConnection', operation: 'CreateStream', by: 'stream' });
    const struck = send('CreateStream');
    await new Promise((resolve) => struck.once('close', resolve));
    expect(struck.rstCode).toBe(constants.NGHTTP2_INTERNAL_ERROR);
    scene.clock.advance(1_000);
    const [{ ':status': status }] = (await once(other, 'response')) as [{ ':status': number }];
    expect(status).toBe(200);
    drop.remove();
    scene.local.faults.add({ kind: 'dropConnection', operation: 'CreateStream' });
    const another = send('ListStreams');
    await eventually(() => waiting.applied).toBe(2);
    send('CreateStream');
    await new Promise((resolve) => another.once('close', resolve));
    expect(reset).toMatchObject([{ code: 'ECONNRESET' }]);
    session.destroy();
  });

  test('while one client is stalled and dropped, another one works', async () => {
    const [one, other] = [scene.client('HTTP/1.1', IMPATIENT_MS), scene.client('HTTP/2')];
    scene.local.faults.add({ kind: 'stall', operation: 'PutRecord', after: 1 });
    scene.local.faults.add({ kind: 'dropConnection', operation: 'PutRecord' });
    const single = (): Promise<Error> => errorOf(one.send(new kinesis.PutRecordCommand({ StreamName, ...entry('x') })));
    const struck = [single(), single(), single()];
    for (let index = 0; index < 20; index++) await other.send(put(String(index)));
    await Promise.all(struck);
    expect(scene.stored()).toEqual(Array.from({ length: 20 }, (_, index) => String(index)));
  });
});

describe('rules come and go', () => {
  test('add, list, remove, clear, with counters', async () => {
    const client = scene.client('HTTP/1.1');
    const first = scene.local.faults.add({ kind: 'throttle', operation: 'PutRecords' });
    const second = scene.local.faults.add({ kind: 'error', type: 'InternalFailure' });
    expect((await errorOf(client.send(put('a')))).name).toBe('ProvisionedThroughputExceededException');
    first.remove();
    first.remove();
    expect((await errorOf(client.send(put('a')))).name).toBe('InternalFailure');
    expect(scene.local.faults.list()).toEqual([
      { id: second.id, rule: { kind: 'error', type: 'InternalFailure' }, considered: 1, applied: 1 },
    ]);
    expect([first.considered, first.applied]).toEqual([1, 1]);
    scene.local.faults.clear();
    expect(scene.local.faults.list()).toEqual([]);
    await client.send(put('a'));
  });

  test('a rule that cannot work is a usage error, at start too, and there are at most 1,000', async () => {
    expect(() => scene.local.faults.add({ kind: 'throtle' } as unknown as FaultRule)).toThrow(UsageError);
    const bad: readonly [object, string][] = [
      [{ faults: {} }, 'faults'],
      [{ faults: [{ kind: 'stall' }, { kind: 'stall', probability: 2 }] }, 'faults[1].probability'],
      [{ faults: [{ kind: 'stall', operation: 'Nothing' }] }, 'faults[0].operation'],
      [{ faultSeed: 2 ** 32 }, 'faultSeed'],
    ];
    for (const [options, field] of bad) {
      await expect(startLocalKinesis(options), field).rejects.toMatchObject({ code: 'USAGE', field });
    }
    for (let index = 0; index < 1_000; index++) scene.local.faults.add({ kind: 'stall' });
    expect(() => scene.local.faults.add({ kind: 'stall' })).toThrow(
      'faults: expected at most 1000 rules, got one more',
    );
  });

  test('rules of the start strike at once; reset brings them back as they were, and their chance with them', async () => {
    const faults: FaultRule[] = [{ kind: 'throttle', operation: 'PutRecords', probability: 0.4 }];
    await using seeded = await startLocalKinesis({ streams: [{ name: StreamName }], faults, faultSeed: 42 });
    await using same = await startLocalKinesis({ streams: [{ name: StreamName }], faults, faultSeed: 42 });
    await using another = await startLocalKinesis({ streams: [{ name: StreamName }], faults, faultSeed: 43 });
    async function fates(server: LocalKinesis): Promise<string> {
      const client = createKinesisClient({ ...server.clientConfig, maxAttempts: 1 });
      const names: string[] = [];
      for (let index = 0; index < 60; index++) {
        names.push(
          await client.send(put('x')).then(
            () => '.',
            ({ name }: Error) => name.charAt(0),
          ),
        );
      }
      client.destroy();
      return names.join('');
    }
    const first = await fates(seeded);
    expect(first).toMatch(/^[.P]+$/);
    expect(first.split('P').length).toBeGreaterThan(10);
    seeded.faults.add({ kind: 'stall' });
    seeded.reset();
    expect(await fates(seeded)).toBe(first);
    expect(await fates(same)).toBe(first);
    expect(await fates(another)).not.toBe(first);
    expect(seeded.faults.seed).toBe(42);
    expect(scene.local.faults.seed).toBe(1);
  });

  test('without a seed every server has another one, and tells it', async () => {
    await using one = await startLocalKinesis();
    await using two = await startLocalKinesis();
    expect(one.faults.seed).not.toBe(two.faults.seed);
  });
});

describe('the end of what is held', () => {
  test.each(protocols)('close resolves while requests hang, over %s, and none of them is applied', async (protocol) => {
    const headers = { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': 'Kinesis_20131202.PutRecord' };
    const session = connect(scene.local.endpoint);
    session.on('error', () => undefined);
    const send = (): Promise<unknown> => {
      const body = JSON.stringify({ StreamName, PartitionKey: 'k', Data: 'eA==' });
      if (protocol === 'HTTP/1.1') return errorOf(fetch(scene.local.endpoint, { method: 'POST', headers, body }));
      const stream = session.request({ ':method': 'POST', ...headers });
      stream.on('error', () => undefined);
      stream.end(body);
      return once(stream, 'close');
    };
    const hung: Promise<unknown>[] = [];
    const held: FaultRule[] = [
      { kind: 'stall' },
      { kind: 'delay', beforeApplyMs: 1_000 },
      { kind: 'delay', beforeAnswerMs: 1_000 },
      { kind: 'loseAnswer', by: 'silence' },
    ];
    for (const rule of held) {
      using fault = scene.local.faults.add(rule);
      hung.push(send(), send());
      await eventually(() => fault.applied).toBe(2);
    }
    expect(scene.stored()).toHaveLength(4);
    const { shards } = scene.local.model.stream(StreamName, scene.clock.wallNow());
    await scene.local.close();
    await Promise.all(hung);
    scene.clock.advance(600_000);
    expect(shards.map(({ log }) => log.nextCounter - 1)).toEqual([0, 4]);
  });

  test('reset hangs up on what is held and never applies it', async () => {
    const client = scene.client('HTTP/1.1');
    const delay = scene.local.faults.add({ kind: 'delay', beforeApplyMs: 100 });
    const held = errorOf(client.send(put('a')));
    await eventually(() => delay.applied).toBe(1);
    scene.local.reset();
    expect(classifyAwsError(await held).code).toBe('ECONNRESET');
    scene.clock.advance(1_000);
    await client.send(put('b'));
    expect(scene.stored()).toEqual(['b']);
  });

  test('a program that closes a server with held requests ends by itself', async () => {
    const program = `
      import { startLocalKinesis } from '@shardline/local';
      const faults = [{ kind: 'delay', beforeApplyMs: 600_000, count: 1 }, { kind: 'stall' }];
      const local = await startLocalKinesis({ faults });
      const headers = { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': 'Kinesis_20131202.ListStreams' };
      const send = () => fetch(local.endpoint, { method: 'POST', headers, body: '{}' }).catch(() => console.log('hung up'));
      const sent = [send(), send()];
      while (local.faults.list().some(({ applied }) => applied === 0)) await new Promise((resolve) => setTimeout(resolve, 10));
      await local.close();
      await Promise.all(sent);
    `;
    const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
      cwd: fileURLToPath(new URL('..', import.meta.url)),
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 20_000,
    });
    const output: Buffer[] = [];
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => output.push(chunk));
    const [code] = await once(child, 'close');
    expect([Buffer.concat(output).toString(), code]).toEqual(['hung up\nhung up\n', 0]);
  });
});

function iteratorCommand(ShardId: string): kinesis.GetShardIteratorCommand {
  return new kinesis.GetShardIteratorCommand({ StreamName, ShardId, ShardIteratorType: 'TRIM_HORIZON' });
}
