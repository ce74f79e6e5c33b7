// The DynamoDB that this package's tests run against, over a real socket of the loopback: dynalite, started here, or the one
// whose endpoint the vitest project hands in (AWS's DynamoDB Local: interop/dynamodb-local).
import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { createDynamoDBClient } from '@shardline/common';
import { type LocalClientConfig, startLocalDynamoDB } from '@shardline/local';
import { inject } from 'vitest';

declare module 'vitest' {
  interface ProvidedContext {
    /** Absent in the projects that need none from outside. */
    readonly dynamoDBEndpoint?: string;
  }
}

export interface TestDynamoDB {
  readonly clientConfig: LocalClientConfig;
  readonly client: DynamoDBClient;
  close(): Promise<void>;
}

export const testCredentials: { accessKeyId: string; secretAccessKey: string } = {
  accessKeyId: 'test',
  secretAccessKey: 'test',
};

export async function startTestDynamoDB(): Promise<TestDynamoDB> {
  const given = inject('dynamoDBEndpoint');
  const server = given === undefined ? await startLocalDynamoDB() : undefined;
  const endpoint = given ?? server?.endpoint ?? '';
  const clientConfig = { endpoint, region: 'us-east-1', credentials: testCredentials };
  const client = createDynamoDBClient(clientConfig);
  return {
    clientConfig,
    client,
    close: async () => {
      client.destroy();
      await server?.close();
    },
  };
}
