// The DynamoDB that this package's tests run against, over a real socket of the loopback.
import { once } from 'node:events';
import type { Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { createDynamoDBClient } from '@shardline/common';

// Published without types.
const dynalite: (options: { createTableMs: number }) => Server = createRequire(import.meta.url)('dynalite');

export interface TestDynamoDB {
  readonly endpoint: string;
  readonly client: DynamoDBClient;
  close(): Promise<void>;
}

export const testCredentials: { accessKeyId: string; secretAccessKey: string } = {
  accessKeyId: 'test',
  secretAccessKey: 'test',
};

export async function startTestDynamoDB(): Promise<TestDynamoDB> {
  const server = dynalite({ createTableMs: 0 });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = createDynamoDBClient({ endpoint, region: 'us-east-1', credentials: testCredentials });
  return {
    endpoint,
    client,
    close: async () => {
      client.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
