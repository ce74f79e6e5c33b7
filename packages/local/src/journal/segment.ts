// What the journal remembers of each of its segments: how long it is, and of which shards it holds which records, so that it
// can tell without reading when nobody needs the segment any more.

/** `place/incarnation/number`: a shard among all that this folder has ever held. */
export type ShardKey = string;

export function shardKey(place: string, incarnation: number, shardNumber: number): ShardKey {
  return `${place}/${incarnation}/${shardNumber}`;
}

/** Records of a shard with the counters from `first` up to `end`, without it. */
export interface HeldRecords {
  readonly first: number;
  readonly end: number;
  readonly bytes: number;
}

/** The counter of the oldest record that the shard still holds; undefined when there is no such shard any more. */
export type FirstHeld = (shard: ShardKey) => number | undefined;

const SEGMENT_NAME = /^journal-(\d{8,})$/;

export function segmentName(number: number): string {
  return `journal-${String(number).padStart(8, '0')}`;
}

/** Undefined for any other file. */
export function segmentNumber(name: string): number | undefined {
  const [, digits] = SEGMENT_NAME.exec(name) ?? [];
  return digits === undefined ? undefined : Number(digits);
}

export class Segment {
  readonly number: number;
  sizeBytes = 0;
  readonly #held: Map<ShardKey, HeldRecords[]> = new Map();

  constructor(number: number) {
    this.number = number;
  }

  get name(): string {
    return segmentName(this.number);
  }

  /** Notes records that were written to it. */
  hold(key: ShardKey, first: number, count: number, bytes: number): void {
    const held = this.#held.get(key);
    const last = held?.at(-1);
    if (held === undefined) this.#held.set(key, [{ first, end: first + count, bytes }]);
    else if (last?.end === first)
      held[held.length - 1] = { first: last.first, end: first + count, bytes: last.bytes + bytes };
    else held.push({ first, end: first + count, bytes });
  }

  /** Of its records, those that are still held. `bytes` is in proportion, as if all of one entry were of one size. */
  live(firstHeld: FirstHeld): (HeldRecords & { readonly key: ShardKey })[] {
    const live: (HeldRecords & { key: ShardKey })[] = [];
    for (const [key, held] of this.#held) {
      const horizon = firstHeld(key);
      if (horizon === undefined) continue;
      for (const { first, end, bytes } of held) {
        if (end <= horizon) continue;
        const from = Math.max(first, horizon);
        live.push({ key, first: from, end, bytes: Math.ceil((bytes * (end - from)) / (end - first)) });
      }
    }
    return live;
  }

  /** Nothing in it is held any more, or it stands elsewhere too. */
  forgetAll(): void {
    this.#held.clear();
  }
}
