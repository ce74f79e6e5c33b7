// What AWS does to a consumer on bad days, over real sockets: credentials that expire, permissions that are missing or vanish, keys that are
// disabled, tables that throttle. It says what is wrong and what to do, goes on trying, and gets well by itself.
import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { KinesisClient } from '@aws-sdk/client-kinesis';
import { createDynamoDBClient, createKinesisClient } from '@shardline/common';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { type Cloud, handleInTest, Scene, SHARD, startCloud, until } from './cloud.ts';
import { type FaultProxy, startFaultProxy } from './fault-proxy.ts';
import { listen } from './listen.ts';

let cloud: Cloud;
beforeAll(async () => {
  cloud = await startCloud();
});
afterAll(async () => {
  await cloud.close();
});

type Identity = { accessKeyId: string; secretAccessKey: string; sessionToken?: string };

/** A DynamoDB behind a proxy, and a client whose credentials the test chooses. */
async function proxied(
  credentials: Identity | (() => Promise<Identity>) = cloud.dynamoDBServer.clientConfig.credentials,
): Promise<{ proxy: FaultProxy; dynamoDBClient: DynamoDBClient }> {
  const { endpoint, region } = cloud.dynamoDBServer.clientConfig;
  const proxy = await startFaultProxy(endpoint);
  const dynamoDBClient = createDynamoDBClient({ endpoint: proxy.endpoint, region, credentials, maxAttempts: 1 });
  onTestFinished(async () => {
    dynamoDBClient.destroy();
    await proxy.close();
  });
  return { proxy, dynamoDBClient };
}

const temporary = (accessKeyId: string): Identity => ({ accessKeyId, secretAccessKey: 's', sessionToken: 't' });

describe('credentials that expire', () => {
  it.each([
    ['ExpiredTokenException', 'The security token included in the request is expired'],
    ['UnrecognizedClientException', 'The security token included in the request is invalid.'],
  ])('%s: told of with since when and what to do, tried again, and renewed at their source', async (type, message) => {
    const scene = new Scene(cloud, `expired-${type}`);
    let key = 'OLD';
    const { proxy, dynamoDBClient } = await proxied(async () => temporary(key));
    const { logger, texts } = listen();
    const consumer = scene.consumer({ dynamoDBClient, logger });
    const handled = handleInTest(consumer);
    await scene.put('a 1');
    await until(() => expect(handled).toEqual(['a 1']));
    expect(consumer.health()).toMatchObject({ live: true, ready: true, reasons: [] });

    // Without an expiry the SDK would keep the old ones for ever.
    const refused: string[] = [];
    proxy.fault = ({ accessKeyId, operation }) => {
      if (accessKeyId !== 'OLD') return undefined;
      refused.push(operation);
      return { type, message };
    };
    const told = /fails? .*since .*: the AWS credentials have expired.* Renew them/;
    await until(() => expect(consumer.health().reasons.join()).toMatch(told));
    expect(consumer.health()).toMatchObject({ live: true, ready: false });
    // Each kind of doing is refused more than once.
    await until(() => expect(refused.length).toBeGreaterThan(3 * new Set(refused).size));
    key = 'NEW';
    await scene.put('b 2');
    await until(() => expect(handled).toEqual(['a 1', 'b 2']));
    await until(() => expect(consumer.health()).toMatchObject({ ready: true, reasons: [] }));
    const warnings = texts('warn').filter((text) => text.includes('credentials'));
    // One a kind of doing, not one a try.
    const doings = warnings.map((text) => text.split(' fails', 1)[0]);
    expect(doings).toEqual([...new Set(doings)]);
    expect(warnings.length).toBeLessThan(refused.length);
    expect(texts('error')).toEqual([]);
    expect(texts('info')).toContainEqual(expect.stringMatching(/works again$/));
  });

  it('at the start too, until they are good', async () => {
    const scene = new Scene(cloud, 'expired-at-start');
    const { proxy, dynamoDBClient } = await proxied(async () => temporary('ANY'));
    proxy.fault = () => ({ type: 'ExpiredTokenException', message: 'expired' });
    const consumer = scene.consumer({ dynamoDBClient });
    const handled = handleInTest(consumer);
    await scene.put('a 1');
    await until(() => expect(consumer.health().reasons.join()).toContain('the AWS credentials have expired'));
    expect(consumer.health()).toMatchObject({ state: 'starting', live: true, ready: false });
    proxy.fault = () => undefined;
    await until(() => expect(handled).toEqual(['a 1']));
  });

  it('a source that fails is asked again', async () => {
    const scene = new Scene(cloud, 'no-source');
    let works = false;
    const { dynamoDBClient } = await proxied(async () => {
      if (works) return temporary('ANY');
      throw Object.assign(new Error('the metadata service did not answer'), { name: 'CredentialsProviderError' });
    });
    const consumer = scene.consumer({ dynamoDBClient });
    const handled = handleInTest(consumer);
    await scene.put('a 1');
    await until(() => expect(consumer.health().reasons.join()).toContain('credentials'));
    works = true;
    await until(() => expect(handled).toEqual(['a 1']));
  });

  it.each(['kinesis', 'dynamodb'] as const)(
    'a source that hangs at the start is named long before the call is over: %s',
    async (service) => {
      const scene = new Scene(cloud, `hanging-source-${service}`);
      let answer = (_identity: Identity): void => undefined;
      const credentials = (): Promise<Identity> =>
        new Promise((resolve) => {
          answer = resolve;
        });
      const { logger, lines } = listen();
      const { clientConfig } = service === 'kinesis' ? cloud.kinesisServer : cloud.dynamoDBServer;
      const config = { ...clientConfig, credentials };
      const client = service === 'kinesis' ? createKinesisClient(config) : createDynamoDBClient(config);
      onTestFinished(() => client.destroy());
      const given =
        service === 'kinesis'
          ? { kinesisClient: client as KinesisClient }
          : { dynamoDBClient: client as DynamoDBClient };
      // Of the time that a call has, its credentials have half: what is named here would be no more than a late call otherwise.
      const consumer = scene.consumer({
        ...given,
        logger,
        kinesisRequestTimeoutMs: 1_000,
        dynamoDBRequestTimeoutMs: 1_000,
      });
      const handled = handleInTest(consumer);
      await until(() =>
        expect(consumer.health().reasons.join()).toContain('the source of the AWS credentials does not answer'),
      );
      expect(consumer.health()).toMatchObject({ state: 'starting', ready: false });
      expect(lines.find(({ level }) => level === 'warn')).toMatchObject({
        fields: { code: 'CREDENTIALS_UNAVAILABLE' },
      });
      answer(temporary('ANY'));
      await scene.put('a 1');
      await until(() => expect(handled).toEqual(['a 1']));
      expect(lines.filter(({ fields }) => fields['code'] === 'TIMEOUT')).toEqual([]);
    },
  );

  it.each(['UnrecognizedClientException', 'InvalidSignatureException'])(
    'but a lasting key that the service does not accept ends the start at once, as what it is: %s',
    async (type) => {
      const scene = new Scene(cloud, `unknown-key-${type}`);
      const { proxy, dynamoDBClient } = await proxied();
      proxy.fault = () => ({ type, message: 'invalid' });
      await expect(scene.consumer({ dynamoDBClient }).run(() => undefined)).rejects.toMatchObject({
        code: 'ACCESS_DENIED',
        message: expect.stringMatching(
          /^dynamodb:DescribeTable .* was refused: the AWS credentials are not accepted: /,
        ),
      });
    },
  );
});

describe('a missing permission', () => {
  it.each([
    ['dynamodb:DescribeTable', 'table', 'no'],
    [
      'kms:Decrypt',
      'arn:aws:kms:us-east-1:1:key/k',
      'User: arn:aws:sts::1:assumed-role/r/s is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:us-east-1:1:key/k because',
    ],
  ])('at the start ends run, which names the action and the resource: %s', async (action, resource, message) => {
    const scene = new Scene(cloud, `denied-${action.replace(':', '-')}`);
    const { proxy, dynamoDBClient } = await proxied();
    proxy.fault = ({ operation }) =>
      operation === 'DescribeTable' ? { type: 'AccessDeniedException', message } : undefined;
    await expect(scene.consumer({ dynamoDBClient }).run(() => undefined)).rejects.toMatchObject({
      code: 'ACCESS_DENIED',
      retryable: false,
      action,
      resource: expect.stringContaining(resource),
      message: expect.stringMatching(/^dynamodb:DescribeTable on table denied-.* is not allowed \(AccessDenied/),
    });
  });

  it('that vanishes is told of once, with what to allow, and tried again; the consumer is live, not ready', async () => {
    const scene = new Scene(cloud, 'vanished');
    const { logger, texts } = listen();
    const consumer = scene.consumer({ logger });
    const handled = handleInTest(consumer);
    await scene.put('a 1');
    await until(() => expect(handled).toEqual(['a 1']));
    const { faults } = cloud.kinesisServer;
    const rule = faults.add({
      kind: 'error',
      type: 'AccessDeniedException',
      message: 'no',
      operation: 'GetRecords',
      stream: scene.name,
    });
    await scene.put('b 2');
    await until(() => expect(consumer.health().ready).toBe(false));
    const text = `allow kinesis:GetRecords on shard ${SHARD(0)} of stream vanished to this worker's role`;
    expect(consumer.health()).toMatchObject({ live: true, reasons: [expect.stringContaining(text)] });
    const struck = rule.applied;
    await until(() => expect(rule.applied).toBeGreaterThan(struck + 3));
    expect(texts('error')).toEqual([expect.stringContaining(text)]);
    rule.remove();
    await until(() => expect(handled).toEqual(['a 1', 'b 2']));
    await until(() => expect(consumer.health().ready).toBe(true));
  });

  it('of a leader that gives the lead up for it stays told, as long as nobody else leads', async () => {
    const scene = new Scene(cloud, 'blind');
    const { proxy, dynamoDBClient } = await proxied();
    const { logger, texts } = listen();
    const consumer = scene.consumer({ logger, dynamoDBClient });
    handleInTest(consumer);
    await until(() => expect(consumer.view()).toMatchObject({ leader: true, shards: [{ phase: 'processing' }] }));
    proxy.fault = ({ operation }) =>
      operation === 'Scan' ? { type: 'AccessDeniedException', message: 'no' } : undefined;
    await until(() => expect(texts('info')).toContain('this worker leads no longer'));
    const text = "allow dynamodb:Scan on table blind to this worker's role";
    expect(consumer.health()).toMatchObject({ ready: false, reasons: [expect.stringContaining(text)] });
    proxy.fault = () => undefined;
    await until(() => expect(consumer.view().leader).toBe(true));
    await until(() => expect(consumer.health().ready).toBe(true));
  });
});

describe('what is not a missing permission', () => {
  it('a KMS key that is disabled is named as such, and reading goes on once it is enabled', async () => {
    const scene = new Scene(cloud, 'disabled-key');
    const consumer = scene.consumer();
    const { faults } = cloud.kinesisServer;
    const rule = faults.add({
      kind: 'error',
      type: 'KMSDisabledException',
      message: 'the key is disabled',
      operation: 'GetRecords',
      stream: scene.name,
    });
    const handled = handleInTest(consumer);
    await scene.put('a 1');
    await until(() => expect(consumer.health().reasons.join()).toContain('the KMS key of'));
    rule.remove();
    await until(() => expect(handled).toEqual(['a 1']));
  });

  it('a lease table that throttles for a while is a note, not an error, and nothing is lost', async () => {
    const scene = new Scene(cloud, 'throttled-table');
    const { proxy, dynamoDBClient } = await proxied();
    const { logger, texts } = listen();
    const consumer = scene.consumer({ dynamoDBClient, logger, failoverTimeMs: 6_000 });
    const handled = handleInTest(consumer);
    await scene.put('a 1');
    await until(() => expect(handled).toEqual(['a 1']));
    let throttled = 0;
    proxy.fault = ({ operation }) => {
      if (operation !== 'UpdateItem' || throttled >= 3) return undefined;
      throttled += 1;
      return { type: 'ProvisionedThroughputExceededException', message: 'slow down' };
    };
    await scene.put('b 2');
    await until(async () => expect(await scene.checkpointOf(SHARD(0))).toMatch(/^\d{56}:0$/));
    await until(() => expect([throttled, handled]).toEqual([3, ['a 1', 'b 2']]));
    expect(texts('warn', 'error')).toEqual([]);
    expect(texts('info')).toContainEqual(expect.stringMatching(/failed and is tried again$/));
    expect(consumer.health().ready).toBe(true);
  });
});
