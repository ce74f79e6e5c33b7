// That nobody who keeps what the producer gives its client finds it written over, whichever way he came to see it.
import { KinesisClient, type PutRecordsCommand } from '@aws-sdk/client-kinesis';
import { createKinesisClient } from '@shardline/common';
import { type LocalKinesis, startLocalKinesis } from '@shardline/local';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Producer } from '../src/index.ts';

const STREAM = 'orders';
const ROUNDS = 8;
const RECORDS_A_ROUND = 20;
const DATA_BYTES = 800;
const cleanUps: (() => unknown)[] = [];
let local: LocalKinesis;

beforeEach(async () => {
  local = await startLocalKinesis({ limits: false, streams: [{ name: STREAM, shardCount: 1 }] });
});

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
  await local.close();
});

/** What somebody has seen, and what it was then. */
interface Kept {
  readonly data: Uint8Array;
  readonly before: Buffer;
}

async function putRounds(producer: Producer, between: (round: number) => void = () => undefined): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) {
    const puts = Array.from({ length: RECORDS_A_ROUND }, (_, index) =>
      producer.put({ partitionKey: `${round}-${index}`, data: Buffer.alloc(DATA_BYTES, round) }),
    );
    between(round);
    await Promise.all([...puts, producer.flush()]);
  }
}

function expectUntouched(kept: readonly Kept[]): void {
  expect(kept.length).toBeGreaterThan(0);
  expect(kept.filter(({ data, before }) => !before.equals(data))).toEqual([]);
}

/** Somebody in place of a `send`, who keeps what he is given and sends it on. */
function watch(holder: { send: unknown }, kept: Kept[]): () => void {
  const own = Object.getOwnPropertyDescriptor(holder, 'send');
  const send = holder.send as (command: { input: object }, ...others: unknown[]) => unknown;
  holder.send = function (this: unknown, command: { input: object }, ...others: unknown[]): unknown {
    const { Records: records = [] } = command.input as PutRecordsCommand['input'];
    for (const { Data: data = new Uint8Array() } of records) kept.push({ data, before: Buffer.from(data) });
    return send.call(this, command, ...others);
  };
  return () => {
    if (own === undefined) Reflect.deleteProperty(holder, 'send');
    else Object.defineProperty(holder, 'send', own);
  };
}

test('a wrapper of the SDK sees the first requests, and what it keeps of them stays as it was', async () => {
  const kept: Kept[] = [];
  cleanUps.push(watch(KinesisClient.prototype, kept));
  const client = createKinesisClient({ ...local.clientConfig });
  cleanUps.push(() => client.destroy());
  await using producer = new Producer({ stream: STREAM, client });
  local.faults.add({ kind: 'error', type: 'InternalFailure', operation: 'PutRecords', after: 2, count: 1 });
  await putRounds(producer);
  expectUntouched(kept);
});

test('a spy of the client may come and go, also while a request is under way', async () => {
  const kept: Kept[] = [];
  const client = createKinesisClient({ ...local.clientConfig });
  cleanUps.push(() => client.destroy());
  await using producer = new Producer({ stream: STREAM, client });
  await putRounds(producer);
  let leave = (): void => undefined;
  await putRounds(producer, (round) => {
    leave();
    if (round % 2 === 0) leave = watch(client, kept);
    else leave = () => undefined;
  });
  leave();
  await putRounds(producer);
  expectUntouched(kept);
});
