// Whether the aggregated records of an answer end with the digests of their messages: asked about one, it makes those of the next few with it, which
// takes a quarter of the time. The backlog's; nothing else of what comes next is looked at. Pure.
import { haveDigests, mayBeAggregated } from '@shardline/common';
import type { KinesisRecords } from './backlog.ts';
import { RecordRows } from './record-rows.ts';

/** That many are made at once in the time of two. */
const MOST_AT_ONCE = 8;

export class DigestsAhead {
  #from = 0;
  /** From there on: of plain records undefined. */
  #found: (boolean | undefined)[] = [];

  /** For other records. */
  clear(): void {
    this.#found = [];
  }

  /** Whether the record at `index`, with that data, has its digest; undefined for a plain one. */
  at(index: number, data: Uint8Array, records: KinesisRecords): boolean | undefined {
    if (!mayBeAggregated(data, 0, data.length)) return undefined;
    if (index < this.#from || index >= this.#from + this.#found.length) this.#lookAhead(index, records);
    return this.#found[index - this.#from];
  }

  #lookAhead(from: number, records: KinesisRecords): void {
    const data: Uint8Array[] = [];
    const places: number[] = [];
    const count = Math.min(MOST_AT_ONCE, records.length - from);
    for (let place = 0; place < count; place++) {
      const index = from + place;
      const each = records instanceof RecordRows ? records.dataOf(index) : records[index]?.data;
      if (each === undefined || !mayBeAggregated(each, 0, each.length)) continue;
      data.push(each);
      places.push(place);
    }
    const found: (boolean | undefined)[] = Array.from({ length: count }, () => undefined);
    for (const [index, has] of haveDigests(data).entries()) found[places[index] as number] = has;
    this.#from = from;
    this.#found = found;
  }
}
