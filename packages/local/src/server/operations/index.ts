// Every operation the server knows, by the name that stands in X-Amz-Target. A new one is a new entry.
import { accountOperations } from './account.ts';
import { capacityOperations } from './capacity.ts';
import { consumerOperations } from './consumers.ts';
import type { Operation } from './operation.ts';
import { recordOperations } from './records.ts';
import { settingsOperations } from './settings.ts';
import { shardOperations } from './shards.ts';
import { streamOperations } from './streams.ts';
import { tagOperations } from './tags.ts';

export const operations: ReadonlyMap<string, Operation> = new Map(
  Object.entries({
    ...streamOperations,
    ...shardOperations,
    ...capacityOperations,
    ...recordOperations,
    ...consumerOperations,
    ...tagOperations,
    ...settingsOperations,
    ...accountOperations,
  }),
);
