// What one lease more takes of the heap. A process with a thousand leases also holds sockets, caches and compiled code, most of which it would
// hold with a hundred: so it is measured with few leases and with many, in one process whose code is warm, and the difference is divided.
import { setTimeout as sleep } from 'node:timers/promises';
import { type DynamoDBKind, heapBytes, withLeases } from './leases-scene.ts';

/** Few leases are so many times fewer. */
const FEWER = 4;
/** What V8 compiles or forgets meanwhile is a megabyte or two: the least of each is taken. */
const TURNS = 3;
const SETTLE_MS = 15_000;
/** What calls under way hold is no lease's: the least of so many looks. */
const LOOKS = 12;
const BETWEEN_LOOKS_MS = 290;

/** @returns bytes a lease. */
export async function heapOfOneMore(
  leases: number,
  idleTimeBetweenReadsMs: number,
  dynamodb: DynamoDBKind,
): Promise<number> {
  const few = Math.ceil(leases / FEWER);
  let ofFew = Number.POSITIVE_INFINITY;
  let ofMany = Number.POSITIVE_INFINITY;
  for (let turn = 0; turn < TURNS; turn += 1) {
    ofFew = Math.min(ofFew, await heapAtRest(few, idleTimeBetweenReadsMs, dynamodb));
    ofMany = Math.min(ofMany, await heapAtRest(leases, idleTimeBetweenReadsMs, dynamodb));
  }
  return Math.round((ofMany - ofFew) / (leases - few));
}

/** What the consumer adds to the process. */
function heapAtRest(leases: number, idleTimeBetweenReadsMs: number, dynamodb: DynamoDBKind): Promise<number> {
  return withLeases({ leases, idleTimeBetweenReadsMs, dynamodb }, async ({ heapBytesBefore, stop }) => {
    await sleep(SETTLE_MS);
    let least = Number.POSITIVE_INFINITY;
    for (let look = 0; look < LOOKS; look += 1) {
      least = Math.min(least, heapBytes());
      await sleep(BETWEEN_LOOKS_MS);
    }
    await stop();
    return least - heapBytesBefore;
  });
}
