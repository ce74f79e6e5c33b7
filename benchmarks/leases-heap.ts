// What one lease more takes of the heap; a program of its own, which `leases.ts` runs as `node --expose-gc --no-opt --no-flush-bytecode`. A process
// with a thousand leases also holds sockets, caches and compiled code, most of which it would hold with a hundred: so it is measured
// with few leases and with many, in one process whose code is warm, and the difference is divided. The code that V8 makes quicker and
// drops again as it sees fit is megabytes, more than all leases: it is left out. Prints a line of JSON.
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type DynamoDBKind, heapBytes, withLeases } from './leases-scene.ts';

/** Few leases are so many times fewer. */
const FEWER = 4;
const SETTLE_MS = 15_000;
/** What calls under way hold is no lease's: the least of so many looks. */
const LOOKS = 12;
const BETWEEN_LOOKS_MS = 290;

const { values } = parseArgs({
  options: { leases: { type: 'string' }, 'idle-ms': { type: 'string' }, dynamodb: { type: 'string' } },
});
const many = Number(values.leases);
const few = Math.ceil(many / FEWER);
// Loads the code and fills its caches.
await heapAtRest(few);
const ofFew = await heapAtRest(few);
const ofMany = await heapAtRest(many);
console.log(JSON.stringify({ heapBytes: Math.round((ofMany - ofFew) / (many - few)) }));

/** What the consumer adds to the process. */
function heapAtRest(leases: number): Promise<number> {
  const idleTimeBetweenReadsMs = Number(values['idle-ms']);
  const dynamodb = values.dynamodb as DynamoDBKind;
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
