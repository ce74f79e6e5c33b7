// The model's port to whatever outlives it. The model tells what it has done before anybody can see it; what cannot be kept
// throws, and then it was not done. Told of whole states, not of steps, so that an implementation need not understand them:
// the last state of a stream, with all records told, is the stream.
import type { AccountSettings } from './account-settings.ts';
import type { StoredRecord } from './record-log.ts';
import type { Shard, ShardState } from './shard.ts';
import type { Stream, StreamState } from './stream.ts';

/** Records of one shard that arrived together. Their sequence numbers follow each other by SEQUENCE_STEP. */
export interface AppendedRecords {
  readonly shard: Shard;
  /** At least one. */
  readonly records: readonly StoredRecord[];
}

export interface Journal {
  /** Keeps what one put stored. @throws when it cannot: the model takes the records back and gives their numbers again */
  appended(stream: Stream, appended: readonly AppendedRecords[]): void;
  /** Keeps the state of a stream that is new or changed. @throws when it cannot: the model asks again before anything else */
  changed(stream: Stream): void;
  /** Forgets a stream. @throws as `changed` */
  removed(stream: Stream): void;
  /** Keeps what is set for the account. @throws as `changed` */
  accountChanged(settings: AccountSettings): void;
}

/** A model without its records, as plain data. */
export interface ModelState {
  /** How many streams there have been: tokens tell them apart. */
  readonly incarnations: number;
  readonly account: AccountSettings;
  readonly streams: readonly StreamState[];
}

/** What a model begins with when it is not empty. */
export interface RestoredModel extends ModelState {
  /** The records of a shard from its `firstCounter` on; asked for once. */
  recordsOf(stream: StreamState, shard: ShardState): Iterable<StoredRecord>;
}
