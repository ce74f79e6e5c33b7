// The floor of shards.ts, in a process of its own: what anybody pays in Node who keeps as many records, for as long, by shard. A key of its own for
// each record, its MD5 to know the shard, an object with key and callback, the data copied behind the shard's; a shard with twice the
// company is written out into bytes of their own with an MD5 over them, and its callbacks are called. No order, no time to live, no
// protocol, no request. How it grows with the shards is the machine's caches and V8's collector.
import { createHash } from 'node:crypto';
import { hashTopOf } from '@shardline/common';
import { printCost, readLeg } from './shards-cost.ts';

interface Kept {
  readonly partitionKey: string;
  readonly onSettled: (error: undefined, result: object) => void;
}

const HALF_THE_HASHES = 2 ** 31;
const ALL_HASHES = 2 ** 32;
const FEWEST_WARM_UP = 200_000;

const { shards, outstanding, records, size } = readLeg();
/** Shards fill up at different times, so on average half of that is there. */
const capacity = Math.ceil((2 * outstanding) / shards);
const buffers = Array.from({ length: shards }, () => Buffer.allocUnsafeSlow(capacity * size));
const kept: Kept[][] = Array.from({ length: shards }, () => []);
const data = Buffer.alloc(size, 'shardline');
const result = {};
let keyCount = 0;
let writtenCount = 0;
let settledCount = 0;
let digests = 0;
const onSettled = (): void => {
  settledCount += 1;
};

put(Math.max(2 * outstanding, FEWEST_WARM_UP));
writtenCount = 0;
const usedBefore = process.cpuUsage();
put(records);
const used = process.cpuUsage(usedBefore);
if (settledCount === 0 || digests === 0) throw new Error('nothing has left');

printCost(used, records, writtenCount);

function put(count: number): void {
  for (let index = 0; index < count; index += 1) {
    const partitionKey = `key-${keyCount}`;
    keyCount += 1;
    const shard = Math.floor(((hashTopOf(partitionKey) + HALF_THE_HASHES) / ALL_HASHES) * shards);
    const waiting = kept[shard] as Kept[];
    (buffers[shard] as Buffer).set(data, waiting.length * size);
    waiting.push({ partitionKey, onSettled });
    if (waiting.length === capacity) leave(shard, waiting);
  }
}

function leave(shard: number, waiting: Kept[]): void {
  const out = Buffer.allocUnsafe(waiting.length * (size + 32));
  const buffer = buffers[shard] as Buffer;
  let at = 0;
  for (const [index, { partitionKey }] of waiting.entries()) {
    at += out.write(partitionKey, at, 'latin1');
    at += buffer.copy(out, at, index * size, (index + 1) * size);
  }
  digests += createHash('md5').update(out.subarray(0, at)).digest().length;
  for (const { onSettled: tell } of waiting) tell(undefined, result);
  kept[shard] = [];
  writtenCount += 1;
}
