// How the quickstart's processes reach the local servers: those take any credentials and any region, but the SDK insists on
// having some.
import type { HttpClientOptions } from '@shardline/common';

export function reach(endpoint: string): HttpClientOptions {
  return { endpoint, region: 'us-east-1', credentials: { accessKeyId: 'local', secretAccessKey: 'local' } };
}
