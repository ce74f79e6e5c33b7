// The DynamoDB that this package's tests run against, over a real socket of the loopback.
import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { createDynamoDBClient } from '@shardline/common';
import { startLocalDynamoDB } from '@shardline/local';

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
  const server = await startLocalDynamoDB();
  const client = createDynamoDBClient(server.clientConfig);
  return {
    endpoint: server.endpoint,
    client,
    close: async () => {
      client.destroy();
      await server.close();
    },
  };
}
