// The process that stands for AWS: a local Kinesis with shard limits on and a local DynamoDB, on ports of the loopback that
// were free. It has a process of its own so that a busy producer can't slow the "service" down, as it couldn't in life.
// Invariant: it ends with the main process, whose end closes the IPC channel.
import { startLocalDynamoDB, startLocalKinesis } from '@shardline/local';
import type { FromLocalAws, LocalAwsSettings } from './messages.ts';

const leave = (): void => process.exit();
process.on('disconnect', leave);
// Ctrl-C goes to every process of a terminal; only the main process decides what it means.
process.on('SIGINT', () => undefined);

const { stream, shardCount } = JSON.parse(process.argv[2] ?? '{}') as LocalAwsSettings;
const [kinesis, dynamodb] = await Promise.all([
  startLocalKinesis({ port: 0, streams: [{ name: stream, shardCount }] }),
  startLocalDynamoDB({ port: 0 }),
]);
const listening: FromLocalAws = {
  kind: 'listening',
  endpoints: { kinesis: kinesis.endpoint, dynamodb: dynamodb.endpoint },
};
process.on('message', () => void stop());
process.send?.(listening);

async function stop(): Promise<void> {
  await Promise.all([kinesis.close(), dynamodb.close()]);
  process.off('disconnect', leave);
  process.disconnect();
}
