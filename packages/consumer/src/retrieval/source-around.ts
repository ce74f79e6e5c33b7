// A source around another one, which answers as that one does: what adds something to the reading of a shard (a filter's verdict,
// tumbling windows) overrides what it changes, and nothing else. It reads nothing by itself.
// Invariant: at most one read of the source inside is under way, as long as there is at most one here.
import type { ExtendedSequenceNumber } from '@shardline/common';
import type { Amount, LeastBytes } from '../coordination/room.ts';
import type { ShardSource, SourceRead } from './source.ts';

export class SourceAround implements ShardSource {
  readonly #source: ShardSource;

  constructor(source: ShardSource) {
    this.#source = source;
  }

  get streamName(): string {
    return this.#source.streamName;
  }

  get heldBytes(): number {
    return this.#source.heldBytes;
  }

  get leastBytes(): LeastBytes {
    return this.#source.leastBytes;
  }

  dueAt(after: ExtendedSequenceNumber): number {
    return this.#source.dueAt(after);
  }

  fetch(after: ExtendedSequenceNumber, signal: AbortSignal, most?: Amount): Promise<SourceRead> {
    return this.#source.fetch(after, signal, most);
  }

  close(): void {
    this.#source.close();
  }
}
