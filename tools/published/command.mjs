// The installed command `shardline-local`: its first line says where it listens, it answers there, and SIGTERM ends it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { ListTablesCommand } from '@aws-sdk/client-dynamodb';
import { ListStreamsCommand } from '@aws-sdk/client-kinesis';
import { createDynamoDBClient, createKinesisClient } from '@shardline/common';

const child = spawn(
  'node_modules/.bin/shardline-local',
  ['--port', '0', '--dynamodb-port', '0', '--limits', 'off', '--stream', 'orders:2'],
  { stdio: ['ignore', 'pipe', 'inherit'], shell: process.platform === 'win32' },
);
const [line] = await once(createInterface(child.stdout), 'line');
const { port, dynamodbPort, version } = JSON.parse(line);
assert.match(version, /^\d+\.\d+\.\d+/);

const account = { region: 'us-east-1', credentials: { accessKeyId: 'local', secretAccessKey: 'local' } };
const kinesis = createKinesisClient({ ...account, endpoint: `http://127.0.0.1:${port}` });
assert.deepEqual((await kinesis.send(new ListStreamsCommand({}))).StreamNames, ['orders']);
kinesis.destroy();
const dynamodb = createDynamoDBClient({ ...account, endpoint: `http://127.0.0.1:${dynamodbPort}` });
assert.deepEqual((await dynamodb.send(new ListTablesCommand({}))).TableNames, []);
dynamodb.destroy();

child.kill('SIGTERM');
assert.deepEqual(await once(child, 'close'), [0, null]);
