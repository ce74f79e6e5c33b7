// Which segments are still needed, and which are hardly. Most die whole, because records die in the order they came. Where
// they do not (a shard that keeps long beside one that fills fast), the few that live are written again, so that the folder
// stays within a multiple of what the models hold. Reads models and segments, changes neither.
import type { KinesisModel, Shard } from '../model/index.ts';
import type { Place } from './control-payload.ts';
import type { RecordsOrigin, RecordsToWrite } from './records-payload.ts';
import { type Segment, type ShardKey, shardKey } from './segment.ts';

/** Records to be written again. */
export interface RecordsToMove {
  readonly origin: RecordsOrigin;
  readonly written: RecordsToWrite;
  readonly bytes: number;
}

const MOVED_ENTRY_BYTES = 1024 * 1024;

/** The shards that the models have now. */
export class LiveShards {
  readonly #shards: Map<ShardKey, { readonly origin: RecordsOrigin; readonly shard: Shard }> = new Map();

  constructor(models: ReadonlyMap<Place, KinesisModel>) {
    for (const [place, model] of models) {
      for (const { incarnation, shards } of model.streams) {
        const origin = { place, incarnation };
        for (const shard of shards)
          this.#shards.set(shardKey(place, incarnation, shard.origin.number), { origin, shard });
      }
    }
  }

  /** Whether none of the segment's records is held any more. */
  isDead(segment: Segment): boolean {
    return segment.live(this.#firstHeld).length === 0;
  }

  liveBytes(segment: Segment): number {
    return segment.live(this.#firstHeld).reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Those of the segment's records that are held, in portions. */
  *recordsOf(segment: Segment): Generator<RecordsToMove> {
    for (const { key, first, end } of segment.live(this.#firstHeld)) {
      const live = this.#shards.get(key);
      if (live === undefined) continue;
      const { origin, shard } = live;
      for (let next = first; next < end; ) {
        const { records, sizeBytes } = shard.log.read(next, end - next, MOVED_ENTRY_BYTES);
        if (records.length === 0) break;
        yield { origin, written: { shardNumber: shard.origin.number, records }, bytes: sizeBytes };
        next += records.length;
      }
    }
  }

  readonly #firstHeld = (key: ShardKey): number | undefined => this.#shards.get(key)?.shard.log.firstCounter;
}

/**
 * The sealed segment with the least in it that is held, when all segments together are more than twice what is held, and
 * `slackBytes` on top: emptying it then frees more than it costs.
 */
export function segmentToEmpty(
  sealed: readonly Segment[],
  last: Segment,
  live: LiveShards,
  slackBytes: number,
): Segment | undefined {
  let totalBytes = last.sizeBytes;
  let heldBytes = live.liveBytes(last);
  let emptiest: { readonly segment: Segment; readonly share: number } | undefined;
  for (const segment of sealed) {
    const bytes = live.liveBytes(segment);
    totalBytes += segment.sizeBytes;
    heldBytes += bytes;
    const share = bytes / segment.sizeBytes;
    if (bytes > 0 && share < (emptiest?.share ?? 0.5)) emptiest = { segment, share };
  }
  return totalBytes > 2 * heldBytes + slackBytes ? emptiest?.segment : undefined;
}
