// The real Java KCL subscribed to the shards of the local Kinesis (SubscribeToShard over HTTP/2), limits on, its leases in
// DynamoDB Local.
import { startLocalKinesis } from '@shardline/local';
import { afterAll, beforeAll, describe, inject, it } from 'vitest';
import { buildJava } from '../java/build.ts';
import {
  freshOnResharded,
  oneOfTwoStops,
  rescaleUnderLoad,
  reshardUnderLoad,
  storm,
  subscriptionsEnd,
} from './scenarios.ts';
import type { Setting } from './scene.ts';

let setting: Omit<Setting, 'wire' | 'over'>;
beforeAll(async () => {
  await buildJava('kcl');
  const kinesis = await startLocalKinesis({ tlsPort: 0, registerConsumerMs: 1_000 });
  const dynamoDBEndpoint = inject('dynamoDBEndpoint') ?? '';
  setting = { kinesis, dynamoDBEndpoint, mode: 'FANOUT' };
});
afterAll(async () => {
  await setting?.kinesis.close();
});

describe.concurrent('the Java KCL, by enhanced fan-out', () => {
  it('gets every record in order through a split and a merge under load, over HTTP/2 by prior knowledge', async () => {
    await reshardUnderLoad({ ...setting, wire: 'CBOR', over: 'clear text' });
  });

  it('walks an UpdateShardCount under load, short-lived shards and all', async () => {
    await rescaleUnderLoad({ ...setting, wire: 'CBOR', over: 'clear text' });
  });

  it('begins afresh on a stream that was resharded, over TLS', async () => {
    await freshOnResharded({ ...setting, wire: 'CBOR', over: 'TLS' });
  });

  it('goes on with the records of a worker that stopped gracefully, with JSON for all calls', async () => {
    await oneOfTwoStops({ ...setting, wire: 'JSON', over: 'clear text' });
  });

  it('loses nothing while subscriptions are refused, break off, end early and bring spoilt events', async () => {
    await storm({ ...setting, wire: 'CBOR', over: 'clear text' });
  });

  it('subscribes again when the five minutes of a subscription are over, where it left off', async () => {
    await subscriptionsEnd({ ...setting, wire: 'CBOR', over: 'clear text' });
  });
});
