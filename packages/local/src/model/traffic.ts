// How an on-demand stream grows by itself: "Kinesis Data Streams monitors traffic for each shard. When the incoming traffic
// exceeds 500 KB/s per shard, it splits the shard within 15 minutes. The parent shard's hash key values are redistributed
// evenly across child shards" (Choose the right mode to stream in). Here traffic is averaged over periods of one length that
// follow each other, and a period is judged by the first put after it, so the same puts always give the same shards.
import {
  type HashKey,
  ON_DEMAND_SPLIT_BYTES_PER_SECOND,
  ON_DEMAND_SPLIT_RECORDS_PER_SECOND,
} from '@shardline/common/base';
import type { StoredRecord } from './record-log.ts';
import type { Shard } from './shard.ts';
import type { Reshard } from './stream.ts';

/** What was written to each shard of a stream since the period began. Kept in memory alone: a restart begins a new period. */
export class Traffic {
  #sinceMs: number;
  readonly #written: Map<Shard, { recordCount: number; sizeBytes: number }> = new Map();

  constructor(now: number) {
    this.#sinceMs = now;
  }

  note(shard: Shard, records: readonly StoredRecord[]): void {
    const written = this.#written.get(shard) ?? { recordCount: 0, sizeBytes: 0 };
    written.recordCount += records.length;
    for (const { sizeBytes } of records) written.sizeBytes += sizeBytes;
    this.#written.set(shard, written);
  }

  /** When the period is over, the splits that it calls for, none or one a shard; then the next one begins. */
  judge(periodMs: number, now: number): Reshard[] {
    const elapsedMs = now - this.#sinceMs;
    if (elapsedMs < periodMs) return [];
    const steps = Array.from(this.#written).flatMap(([shard, { recordCount, sizeBytes }]) => {
      const isBusy =
        sizeBytes * 1000 > ON_DEMAND_SPLIT_BYTES_PER_SECOND * elapsedMs ||
        recordCount * 1000 > ON_DEMAND_SPLIT_RECORDS_PER_SECOND * elapsedMs;
      return isBusy && shard.isOpen ? halves(shard) : [];
    });
    this.#sinceMs = now;
    this.#written.clear();
    return steps;
  }
}

/** A shard of a single hash key stays as it is. */
function halves({ id, origin }: Shard): Reshard[] {
  const { start, end } = origin.range;
  if (start === end) return [];
  const middle = (start + (end - start + 1n) / 2n) as HashKey;
  return [
    {
      parentIds: [id],
      ranges: [
        { start, end: (middle - 1n) as HashKey },
        { start: middle, end },
      ],
    },
  ];
}
