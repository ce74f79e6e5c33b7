// Vitest's global setup of the projects that need a DynamoDB Local: one for all their test files, told by its endpoint.
import type { TestProject } from 'vitest/node';
import { type DynamoDBLocal, startDynamoDBLocal } from './dynamodb-local.ts';

let server: DynamoDBLocal | undefined;

export async function setup(project: TestProject): Promise<void> {
  server = await startDynamoDBLocal();
  project.provide('dynamoDBEndpoint', server.endpoint);
}

export async function teardown(): Promise<void> {
  await server?.close();
}
