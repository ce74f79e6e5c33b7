// moto takes statements for many rows in one call and does not keep their conditions: it must be found out before a lease is renewed so.
import { createDynamoDBClient, evenRanges, type HashKeyRange, TRIM_HORIZON } from '@shardline/common';
import { expect, it, onTestFinished } from 'vitest';
import { newLease } from '../../src/coordination/lease.ts';
import { DynamoDBLeaseTable } from '../../src/lease-table/dynamodb.ts';
import { startTestDynamoDB } from '../local-dynamodb.ts';
import { recordingLogger } from '../spec/wire.ts';

const [whole] = evenRanges(1) as [HashKeyRange];

it('leases are renewed one a call, and each is', async () => {
  const dynamodb = await startTestDynamoDB();
  onTestFinished(() => dynamodb.close());
  const client = createDynamoDBClient(dynamodb.clientConfig);
  onTestFinished(() => client.destroy());
  const statementCounts: number[] = [];
  const send = client.send.bind(client) as (command: object, ...others: unknown[]) => unknown;
  client.send = ((command: { input: { Statements?: readonly object[] } }, ...others: unknown[]) => {
    if (command.input.Statements !== undefined) statementCounts.push(command.input.Statements.length);
    return send(command, ...others);
  }) as typeof client.send;
  const { logger, lines } = recordingLogger();
  const table = new DynamoDBLeaseTable({ client, tableName: 'moto-renewals', workerId: 'w1', logger });
  await table.open();
  const keys = Array.from({ length: 5 }, (_, index) => `shardId-00000000000${index}`);
  for (const leaseKey of keys) {
    const lease = newLease({ shardId: leaseKey, parentShardIds: [], hashKeyRange: whole }, TRIM_HORIZON);
    await table.run({ kind: 'createLease', lease: { ...lease, leaseOwner: 'w1' }, leaseKey, tenure: undefined });
  }
  const told = (): number => lines.filter(({ text }) => text.startsWith('leases are renewed one a call')).length;
  const renewal = { kind: 'renewLease', tenure: 1, handoffKnown: false, throughputKBps: undefined } as const;
  let leaseCounter = 0;
  for (let after = 0; after < 2 && leaseCounter < 100; leaseCounter += 1) {
    const writes = await Promise.all(keys.map((leaseKey) => table.run({ ...renewal, leaseKey, leaseCounter })));
    for (const write of writes)
      expect(write).toMatchObject({ applied: true, lease: { leaseCounter: leaseCounter + 1 } });
    if (told() > 0) after += 1;
  }
  expect(told()).toBe(1);
  expect(statementCounts).toEqual([1]);
  await table.close();
});
