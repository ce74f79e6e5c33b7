// Makes a table in the DynamoDB under test, and waits until it can be used. AWS's DynamoDB Local, with many test files at it, fails at
// that now and then for longer than the SDK tries again; a table that was made by a call which failed all the same is there.
import {
  CreateTableCommand,
  type CreateTableCommandInput,
  type DynamoDBClient,
  DynamoDBServiceException,
  ResourceInUseException,
  waitUntilTableExists,
} from '@aws-sdk/client-dynamodb';

/** Each of them is three of the SDK's, with its pauses between them. */
const MOST_TRIES = 20;

export async function createTable(client: DynamoDBClient, input: CreateTableCommandInput): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      await client.send(new CreateTableCommand(input));
      break;
    } catch (error) {
      if (error instanceof ResourceInUseException) break;
      const isItsOwnFault = error instanceof DynamoDBServiceException && error.$fault === 'server';
      if (!isItsOwnFault || tries === MOST_TRIES) throw error;
    }
  }
  // A row that is put before the table is ACTIVE is refused.
  const { TableName } = input;
  await waitUntilTableExists({ client, maxWaitTime: 30, minDelay: 0.02, maxDelay: 0.2 }, { TableName });
}
