// Two producers on one stream, two readers of it: `npm run interop:kpl` as a test.
import { type LocalKinesis, type LocalTls, startLocalKinesis } from '@shardline/local';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { buildJava } from '../java/build.ts';
import { playBesideOurs } from './beside-ours.ts';

let kinesis: LocalKinesis & LocalTls;
beforeAll(async () => {
  for (const program of ['kcl', 'kpl'] as const) await buildJava(program);
  kinesis = await startLocalKinesis({ tlsPort: 0 });
});
afterAll(async () => {
  await kinesis?.close();
});

it('the native KPL and ours share a stream through a split and a merge: the Java KCL and our consumer get all of it', async () => {
  const setting = { kinesis, dynamoDBEndpoint: inject('dynamoDBEndpoint') ?? '' };
  const { faults, records, readers } = await playBesideOurs(setting, 'beside-ours');
  console.log(JSON.stringify({ records, readers }));
  expect(faults).toEqual([]);
  expect(readers).toMatchObject({
    java: { kpl: { handled: records.kpl - readers.java.kpl.dropped }, ours: { handled: records.ours, missing: 0 } },
    node: { kpl: { handled: records.kpl, missing: 0 }, ours: { handled: records.ours, missing: 0 } },
  });
  expect(Math.min(records.kpl, records.ours)).toBeGreaterThan(0);
});
