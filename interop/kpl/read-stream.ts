// Everything that lies in a stream, taken from the model of the local Kinesis, so that no reader's share of the shards' limits goes
// into it, and deaggregated by our codec.
import { decodeAggregatedRecord } from '@shardline/common';
import type { KinesisModel } from '@shardline/local';

export interface StoredUserRecord {
  readonly shard: string;
  readonly sequence: string;
  readonly aggregated: boolean;
  readonly key: string;
  readonly data: string;
}

/** From every shard, old and open, each in its order. */
export function readStream(model: KinesisModel, streamName: string): StoredUserRecord[] {
  const found: StoredUserRecord[] = [];
  for (const { id: shard, log } of model.stream(streamName, Date.now()).shards) {
    for (let counter = log.firstCounter; counter < log.nextCounter; counter++) {
      const stored = log.at(counter);
      if (stored === undefined) continue;
      const { partitionKey: ownKey = '', data: ownData } = stored;
      const decoded = decodeAggregatedRecord(ownData);
      const aggregated = decoded.kind === 'aggregated';
      const records = aggregated ? decoded.records : [{ partitionKey: ownKey, data: ownData }];
      for (const { partitionKey: key, data } of records) {
        found.push({
          shard,
          sequence: `${stored.sequenceNumber}`,
          aggregated,
          key,
          data: Buffer.from(data).toString(),
        });
      }
    }
  }
  return found;
}
