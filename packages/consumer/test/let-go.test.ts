// Once records are handled nobody has them any more, although nothing else comes: what the last answer of each of many shards held would
// be moved and marked by every collection until the next one.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Cloud, runInTest, Scene, startCloud } from './cloud.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
/** A subscription without records has an event every five seconds. */
const TIMEOUT_MS = 4_000;

let cloud: Cloud;
beforeAll(async () => {
  cloud = await startCloud();
});
afterAll(async () => {
  await cloud.close();
});

it.each(['polling', 'fanout'] as const)('by %s', async (retrievalMode) => {
  const scene = new Scene(cloud, `let-go-${retrievalMode}`);
  const handled: WeakRef<object>[] = [];
  runInTest(scene.consumer({ retrievalMode }), ({ records }) => {
    for (const record of records) handled.push(new WeakRef(record), new WeakRef(record.data));
  });
  await scene.put('a 1', 'b 1', 'c 1');
  await expect
    .poll(
      () => {
        collect();
        return [handled.length, handled.filter((one) => one.deref() !== undefined).length];
      },
      { timeout: TIMEOUT_MS },
    )
    .toEqual([6, 0]);
});
