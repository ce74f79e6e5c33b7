// Faults on demand as the AWS SDK sees them, over HTTP/1.1 and HTTP/2: each is what AWS or a broken network would show, and what
// was applied is in the stream and nothing else.
import * as kinesis from '@aws-sdk/client-kinesis';
import { classifyAwsError, createKinesisClient } from '@shardline/common';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { FaultRule } from '../src/index.ts';
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

describe.each(protocols)('over %s', (protocol) => {
  test.each<
    [FaultRule, { readonly type: string; readonly status: number; readonly message: string; readonly kind: string }]
  >([
    [
      { kind: 'throttle' },
      {
        type: 'ProvisionedThroughputExceededException',
        status: 400,
        message: 'Rate exceeded for stream orders under account 000000000000.',
        kind: 'throttled',
      },
    ],
    [
      { kind: 'error', type: 'InternalFailure' },
      { type: 'InternalFailure', status: 500, message: 'Internal Service Failure', kind: 'transient' },
    ],
    [
      { kind: 'error', type: 'ServiceUnavailable', message: 'busy' },
      { type: 'ServiceUnavailable', status: 503, message: 'busy', kind: 'transient' },
    ],
    [
      { kind: 'error', type: 'KMSThrottlingException', message: 'slow' },
      { type: 'KMSThrottlingException', status: 400, message: 'slow', kind: 'throttled' },
    ],
    [
      { kind: 'error', type: 'ExpiredTokenException' },
      {
        type: 'ExpiredTokenException',
        status: 400,
        message: 'The security token included in the request is expired',
        kind: 'expired-credentials',
      },
    ],
    [
      { kind: 'error', type: 'AccessDeniedException', status: 403, message: 'no' },
      { type: 'AccessDeniedException', status: 403, message: 'no', kind: 'access-denied' },
    ],
    [
      { kind: 'error', type: 'LimitExceededException', message: 'too many' },
      { type: 'LimitExceededException', status: 400, message: 'too many', kind: 'throttled' },
    ],
    [
      { kind: 'error', type: 'ExpiredIteratorException', message: 'old' },
      { type: 'ExpiredIteratorException', status: 400, message: 'old', kind: 'invalid' },
    ],
  ])(
    '%o is the exception that AWS would raise, and nothing is applied',
    async (rule, { type, status, message, kind }) => {
      const client = scene.client(protocol);
      scene.local.faults.add({ ...rule, count: 1 });
      const error = await errorOf(client.send(put('a')));
      expect(error).toMatchObject({ name: type, message, $metadata: { httpStatusCode: status } });
      expect(error).toMatchObject({ $fault: status < 500 ? 'client' : 'server' });
      // Those that the SDK knows are of their own class, as from AWS.
      const modelled = (kinesis as unknown as Record<string, unknown>)[type] as typeof kinesis.KinesisServiceException;
      expect(error).toBeInstanceOf(modelled ?? kinesis.KinesisServiceException);
      expect(classifyAwsError(error).kind).toBe(kind);
      await client.send(put('b'));
      expect(scene.stored()).toEqual(['b']);
    },
  );

  test.each([
    [{ kind: 'dropConnection', by: 'session' }, 'not applied'],
    [{ kind: 'dropConnection', by: 'stream' }, 'not applied'],
    [{ kind: 'stall' }, 'not applied'],
    [{ kind: 'loseAnswer', by: 'session' }, 'applied'],
    [{ kind: 'loseAnswer', by: 'stream' }, 'applied'],
    [{ kind: 'loseAnswer', by: 'silence' }, 'applied'],
    [{ kind: 'truncateAnswer', by: 'stream' }, 'applied'],
  ] as const)(
    '%o is a broken connection, or one that gives no answer, and the request is %s',
    async (rule, outcome) => {
      const isSilent = rule.kind === 'stall' || rule.by === 'silence';
      const client = scene.client(protocol, isSilent ? IMPATIENT_MS : 30_000);
      const fault = scene.local.faults.add({ ...rule, count: 1 });
      expect(classifyAwsError(await errorOf(client.send(put('a')))).kind).toBe('transient');
      expect(fault.applied).toBe(1);
      expect(scene.stored()).toEqual(outcome === 'applied' ? ['a'] : []);
      await scene.client(protocol).send(put('b'));
      expect(scene.stored().at(-1)).toBe('b');
    },
  );

  test('a truncated answer whose connection ends is an error, whatever its status said', async () => {
    const client = scene.client(protocol);
    scene.local.faults.add({ kind: 'truncateAnswer', count: 1 });
    const error = await errorOf(client.send(put('a')));
    expect(error.$metadata?.httpStatusCode).toBe(200);
    expect(scene.stored()).toEqual(['a']);
  });

  test('an answer without a body is lost whole when it is truncated', async () => {
    const client = scene.client(protocol);
    scene.local.faults.add({ kind: 'truncateAnswer', operation: 'CreateStream' });
    await errorOf(client.send(new kinesis.CreateStreamCommand({ StreamName: 'new', ShardCount: 1 })));
    expect(scene.local.model.has('new', scene.clock.wallNow())).toBe(true);
  });

  test('errors are delayed, lost and truncated like other answers', async () => {
    const client = scene.client(protocol);
    const missing = new kinesis.DescribeStreamSummaryCommand({ StreamName: 'missing' });
    scene.local.faults.add({ kind: 'loseAnswer', by: 'stream', count: 1 });
    expect(classifyAwsError(await errorOf(client.send(missing))).kind).toBe('transient');
    scene.local.faults.add({ kind: 'truncateAnswer', by: 'stream', count: 1 });
    expect(await errorOf(client.send(missing))).not.toBeInstanceOf(kinesis.ResourceNotFoundException);
    expect(await errorOf(client.send(missing))).toBeInstanceOf(kinesis.ResourceNotFoundException);
  });

  test("a delay before applying passes by the server's clock, and a late request is applied when its client has gone", async () => {
    const client = scene.client(protocol);
    const fault = scene.local.faults.add({ kind: 'delay', beforeApplyMs: 60_000, count: 1 });
    const gone = new AbortController();
    const late = errorOf(client.send(put('late'), { abortSignal: gone.signal }));
    await eventually(() => fault.applied).toBe(1);
    await client.send(put('early'));
    gone.abort();
    await late;
    scene.clock.advance(59_999);
    expect(scene.stored()).toEqual(['early']);
    scene.clock.advance(1);
    await eventually(() => scene.stored()).toEqual(['early', 'late']);
  });

  test('a delay before the answer: it is applied at once, and answered when the time has come', async () => {
    const client = scene.client(protocol);
    scene.local.faults.add({ kind: 'delay', beforeAnswerMs: [60_000, 90_000] });
    const answer = client.send(put('a'));
    await eventually(() => scene.stored()).toEqual(['a']);
    scene.clock.advance(90_000);
    expect((await answer).FailedRecordCount).toBe(0);
  });

  test("records of one shard are throttled one by one, with AWS's code and message, and the others are stored", async () => {
    const client = scene.client(protocol);
    const fault = scene.local.faults.add({ kind: 'throttle', operation: 'PutRecords', shardId: shardIds[1], count: 2 });
    const Records = [entry('a', 0), entry('b', 1), entry('c', 1), entry('d', 0), entry('e', 1)];
    const answer = await client.send(new kinesis.PutRecordsCommand({ StreamName, Records }));
    expect(answer.FailedRecordCount).toBe(2);
    expect(answer.Records?.map(({ ShardId, ErrorCode }) => ShardId ?? ErrorCode)).toEqual([
      shardIds[0],
      'ProvisionedThroughputExceededException',
      'ProvisionedThroughputExceededException',
      shardIds[0],
      shardIds[1],
    ]);
    expect(answer.Records?.[1]).toEqual({
      ErrorCode: 'ProvisionedThroughputExceededException',
      ErrorMessage: `Rate exceeded for shard ${shardIds[1]} in stream orders under account 000000000000.`,
    });
    expect(scene.stored()).toEqual(['a', 'd', 'e']);
    expect([fault.considered, fault.applied]).toEqual([3, 2]);
  });

  test('records are failed one by one, each with the probability', async () => {
    const client = scene.client(protocol);
    const fault = scene.local.faults.add({
      kind: 'error',
      type: 'InternalFailure',
      perRecord: true,
      probability: 0.25,
    });
    const Records = Array.from({ length: 400 }, (_, index) => entry(String(index)));
    const answer = await client.send(new kinesis.PutRecordsCommand({ StreamName, Records }));
    const failed = answer.Records?.filter(({ ErrorCode }) => ErrorCode !== undefined) ?? [];
    expect(failed.length).toBeGreaterThan(60);
    expect(failed.length).toBeLessThan(140);
    expect([answer.FailedRecordCount, fault.applied, fault.considered]).toEqual([failed.length, failed.length, 400]);
    expect(failed[0]).toEqual({ ErrorCode: 'InternalFailure', ErrorMessage: 'Internal Service Failure' });
    const kept = Records.filter((_, index) => answer.Records?.[index]?.ErrorCode === undefined);
    expect(scene.stored()).toEqual(kept.map(({ Data }) => Buffer.from(Data ?? []).toString()));
  });
});

test("the SDK's own retries get through what passes", async () => {
  const client = createKinesisClient({ ...scene.local.clientConfig, maxAttempts: 3 });
  const faults = [
    scene.local.faults.add({ kind: 'error', type: 'InternalFailure', count: 1 }),
    scene.local.faults.add({ kind: 'dropConnection', count: 1 }),
  ];
  const { $metadata } = await client.send(put('a'));
  expect($metadata.attempts).toBe(3);
  expect(faults.map(({ considered, applied }) => [considered, applied])).toEqual([
    [3, 1],
    [2, 1],
  ]);
  expect(scene.stored()).toEqual(['a']);
  client.destroy();
});
