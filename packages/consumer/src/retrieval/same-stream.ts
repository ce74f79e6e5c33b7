// A source that knows its stream from another one of the name: what Kinesis says of a place in a stream that was deleted and made again
// (no such shard, no such number, the end without children) is not taken for the shard's end, or tried for ever, but told.
// A number that names another shard is no place in an earlier stream either, but a row that was changed by hand.
// Invariant: the end of a shard that is gone is believed only if no shard of its name begins behind the place where it was read, and, where none has its
// name, if the stream may have had it.
import { type ExtendedSequenceNumber, OperatingError } from '@shardline/common';
import { awsCodeOf } from '../aws-call.ts';
import type { Amount, LeastBytes } from '../coordination/room.ts';
import { foreignShardOf } from './answer.ts';
import type { ShardSource, ShardToRead, SourceRead } from './source.ts';

/** What to do about one stream that was deleted and made again. */
export const HOW_TO_BEGIN_ANEW: string =
  'Where the stream was deleted and made again, none of its records is read until a consumer runs with ' +
  "onStreamRecreated: 'begin-anew', which begins at its first one. Where this lease table was written for another stream, which was made " +
  'before this one, begin nothing anew on it: give this consumer another application (or tableName)';

const BEGINS_ANEW =
  'The leader begins the lease anew, at the first record, or deletes it if the stream has no such shard, as onStreamRecreated says';

/** Whether `after` is a place of an earlier stream of that name: the shard that has the name now begins behind it, or there never was such a shard. */
export type IsReplaced = (shard: ShardToRead, after: ExtendedSequenceNumber) => Promise<boolean>;

export class SameStreamSource implements ShardSource {
  readonly streamName: string;
  readonly #source: ShardSource;
  readonly #shard: ShardToRead;
  readonly #isReplaced: IsReplaced;
  readonly #advice: string;

  /** @param beginsAnew what is told: that the leader will begin such leases anew, or how to have that. */
  constructor(source: ShardSource, shard: ShardToRead, isReplaced: IsReplaced, beginsAnew: boolean) {
    this.streamName = source.streamName;
    this.#source = source;
    this.#shard = shard;
    this.#isReplaced = isReplaced;
    this.#advice = beginsAnew ? BEGINS_ANEW : HOW_TO_BEGIN_ANEW;
  }

  dueAt(after: ExtendedSequenceNumber): number {
    return this.#source.dueAt(after);
  }

  get heldBytes(): number {
    return this.#source.heldBytes;
  }

  get leastBytes(): LeastBytes {
    return this.#source.leastBytes;
  }

  /** @throws OperatingError STREAM_REPLACED, and what the source throws */
  async fetch(after: ExtendedSequenceNumber, signal: AbortSignal, most?: Amount): Promise<SourceRead> {
    try {
      const read = await this.#source.fetch(after, signal, most);
      const isGone = read.atShardEnd && read.childShards.length === 0;
      if (isGone && (await this.#isAnother(after))) throw this.#replaced(undefined);
      return read;
    } catch (error) {
      if (awsCodeOf(error) !== 'InvalidArgumentException' || !(await this.#isAnother(after))) throw error;
      throw this.#replaced(error);
    }
  }

  close(): void {
    this.#source.close();
  }

  /** The answer that counts is the one that was had. */
  async #isAnother(after: ExtendedSequenceNumber): Promise<boolean> {
    if (foreignShardOf(after, this.#shard.shardId) !== undefined) return false;
    return this.#isReplaced(this.#shard, after).catch(() => false);
  }

  #replaced(cause: unknown): OperatingError {
    const resource = `stream ${this.streamName}`;
    const text = `${resource} is another one than before: the lease of ${this.#shard.shardId} is of the stream that was deleted. ${this.#advice}`;
    return new OperatingError('STREAM_REPLACED', text, { retryable: false, cause, resource });
  }
}
