// The real Java KCL reading by GetRecords from the local Kinesis, limits on, its leases in DynamoDB Local.
import { startLocalKinesis } from '@shardline/local';
import { afterAll, beforeAll, describe, inject, it } from 'vitest';
import { buildJava } from '../java/build.ts';
import { afterOursAtLatest } from './latest.ts';
import { freshOnResharded, oneOfTwoStops, rescaleUnderLoad, reshardUnderLoad, storm } from './scenarios.ts';
import type { Setting } from './scene.ts';
import { straysAsOurs } from './strays.ts';

let setting: Omit<Setting, 'wire' | 'over'>;
beforeAll(async () => {
  await buildJava('kcl');
  const kinesis = await startLocalKinesis({ tlsPort: 0 });
  const dynamoDBEndpoint = inject('dynamoDBEndpoint') ?? '';
  setting = { kinesis, dynamoDBEndpoint, mode: 'POLLING' };
});
afterAll(async () => {
  await setting?.kinesis.close();
});

describe.concurrent('the Java KCL, polling', () => {
  it('gets every record in order through a split and a merge under load, over CBOR', async () => {
    await reshardUnderLoad({ ...setting, wire: 'CBOR', over: 'clear text' });
  });

  it('walks an UpdateShardCount under load, short-lived shards and all', async () => {
    await rescaleUnderLoad({ ...setting, wire: 'JSON', over: 'clear text' });
  });

  it('begins afresh on a stream that was resharded, over JSON', async () => {
    await freshOnResharded({ ...setting, wire: 'JSON', over: 'clear text' });
  });

  it('goes on with the records of a worker that stopped gracefully, over TLS', async () => {
    await oneOfTwoStops({ ...setting, wire: 'CBOR', over: 'TLS' });
  });

  it('loses nothing while requests fail, are throttled, and break off half answered', async () => {
    await storm({ ...setting, wire: 'CBOR', over: 'clear text' });
  });

  it("leaves out what our worker leaves out with strayRecords: 'kcl'", async () => {
    await straysAsOurs({ ...setting, wire: 'CBOR', over: 'clear text' });
  });

  it('goes on, from LATEST, with the first record that a Node worker was given and did not finish', async () => {
    await afterOursAtLatest({ ...setting, wire: 'CBOR', over: 'clear text' });
  });
});
