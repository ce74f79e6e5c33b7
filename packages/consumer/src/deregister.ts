// The end of the registered consumer, on request: beside the consumer's work, with a client of its own unless one is given. Nothing is
// found, read or registered on the way.
import { createKinesisClient, regionOf, UsageError } from '@shardline/common';
import type { ResolvedOptions } from './options.ts';
import { Streams } from './retrieval/streams.ts';

/** @throws UsageError where shards are polled; OperatingError as `StreamConsumer.deregister`. */
export async function deregister(options: ResolvedOptions): Promise<void> {
  const { fanOut, kinesisClient, kinesisRequestTimeoutMs: requestTimeoutMs } = options;
  if (fanOut === undefined) {
    throw new UsageError('retrievalMode', "'fanout': where shards are polled nothing is registered", "'polling'");
  }
  const client = kinesisClient ?? createKinesisClient();
  const streams = new Streams({ ...options, client, fanOut: { ...fanOut, client }, requestTimeoutMs });
  try {
    await regionOf('kinesisClient', client);
    await streams.deregister();
  } finally {
    streams.close();
    if (kinesisClient === undefined) client.destroy();
  }
}
