// Of several streams: which of them this application has read before, under the same account and name, when they were another stream.
// Such a stream was made after the other was deleted, so all that is in it came while the application was reading: the initial position
// is no answer to where it begins. Pure.
// Invariant: both a worker that saw the earlier stream and one that finds its leases in the table know of it, so neither a
// restart nor the deletion of a former stream's leases alone forgets it.
import type { Lease } from './lease.ts';

export class EarlierStreams {
  /** By `account:name:`, the creation time of the first stream that was read, in epoch seconds. */
  readonly #first = new Map<string, number>();

  /** These are read: `account:name:epoch`, or undefined for the one stream of an application, which has no age. */
  track(streamIds: Iterable<string | undefined>): void {
    for (const streamId of streamIds) {
      if (streamId === undefined) continue;
      const { prefix, epoch } = split(streamId);
      this.#first.set(prefix, Math.min(epoch, this.#first.get(prefix) ?? epoch));
    }
  }

  /** Whether an earlier stream of that account and name was read. @param unreadable keys of rows that are there and cannot be read */
  precede(streamId: string | undefined, table: readonly Lease[], unreadable: ReadonlySet<string>): boolean {
    if (streamId === undefined) return false;
    const { prefix, epoch } = split(streamId);
    // A lease key is its stream's identifier and the shard's.
    const isEarlier = (key: string): boolean => key.startsWith(prefix) && epochOf(key, prefix) < epoch;
    return (
      (this.#first.get(prefix) ?? epoch) < epoch ||
      table.some(({ leaseKey }) => isEarlier(leaseKey)) ||
      [...unreadable].some(isEarlier)
    );
  }
}

function split(streamId: string): { readonly prefix: string; readonly epoch: number } {
  const prefix = streamId.slice(0, streamId.lastIndexOf(':') + 1);
  return { prefix, epoch: epochOf(streamId, prefix) };
}

/** Up to the next colon. */
function epochOf(key: string, prefix: string): number {
  return Number.parseInt(key.slice(prefix.length), 10);
}
