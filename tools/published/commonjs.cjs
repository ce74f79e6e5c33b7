// The packages are ESM; `require` gives CommonJS programs the same names, and a record goes its way into the stream.
const assert = require('node:assert/strict');
const { createKinesisClient, hashKeyOf, isShardlineError } = require('@shardline/common');
const { Consumer } = require('@shardline/consumer');
const { startLocalKinesis } = require('@shardline/local');
const { Producer } = require('@shardline/producer');

async function main() {
  const kinesis = await startLocalKinesis({ streams: [{ name: 'orders' }] });
  const client = createKinesisClient({ ...kinesis.clientConfig, maxAttempts: 1 });
  const producer = new Producer({ stream: 'orders', client });
  const { shardId } = await producer.put({ partitionKey: 'a', data: Buffer.from('order') });
  assert.equal(shardId, 'shardId-000000000000');
  await producer.close();
  client.destroy();
  await kinesis.close();

  assert.equal(typeof hashKeyOf('a'), 'bigint');
  assert.throws(() => new Consumer({ application: 'billing' }), isShardlineError);
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
