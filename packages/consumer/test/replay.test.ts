// Shards read again from an earlier place while the consumer runs, over real sockets, polled and pushed to.
import { type Diagnostics, onDiagnostic, systemClock } from '@shardline/common';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { Batch } from '../src/handler.ts';
import { type Cloud, runInTest, Scene, SHARD, startCloud, textOf, until } from './cloud.ts';

let cloud: Cloud;
beforeAll(async () => {
  cloud = await startCloud();
});
afterAll(async () => {
  await cloud.close();
});

describe.each(['polling', 'fanout'] as const)('replay, %s', (retrievalMode) => {
  const scene = async (
    name: string,
  ): Promise<{ scene: Scene; handled: string[]; numbers: string[]; consumer: ReturnType<Scene['consumer']> }> => {
    const here = new Scene(cloud, `${name}-${retrievalMode}`);
    const consumer = here.consumer({ retrievalMode });
    const handled: string[] = [];
    runInTest(consumer, ({ records }) => {
      handled.push(...records.map(textOf));
    });
    await here.put('a 1', 'a 2', 'a 3');
    await until(() => expect(handled).toEqual(['a 1', 'a 2', 'a 3']));
    const numbers = (await here.recordsOf(0)).map(({ sequenceNumber }) => sequenceNumber);
    await until(async () => expect(await here.checkpointOf(SHARD(0))).toBe(`${numbers.at(-1)}:0`));
    return { scene: here, handled, numbers, consumer };
  };

  it('begins with the record that is named, in another tenure with a greater token, and goes on behind it', async () => {
    const { scene: here, handled, numbers, consumer } = await scene('from-number');
    const token = consumer.view().shards[0]?.fencingToken ?? 0;
    const second = numbers[1] ?? '';
    const shards = await consumer.replay({ leaseKeys: SHARD(0), from: { sequenceNumber: second } });
    expect(shards).toEqual([
      { leaseKey: SHARD(0), outcome: 'replayed', checkpoint: `${second}:-1`, heldBy: consumer.workerId },
    ]);
    await until(() => expect(handled).toEqual(['a 1', 'a 2', 'a 3', 'a 2', 'a 3']));
    expect(consumer.view().shards[0]?.fencingToken).toBeGreaterThan(token);
    await here.put('a 4');
    await until(() => expect(handled.at(-1)).toBe('a 4'));
    expect(handled).toEqual(['a 1', 'a 2', 'a 3', 'a 2', 'a 3', 'a 4']);
  });

  it("refuses another shard's number, and an earlier stream's, and goes on as if it had not been asked", async () => {
    const { scene: here, handled, numbers, consumer } = await scene('foreign-number');
    const [first = ''] = numbers;
    // The shard stands in bits 4 to 35.
    const other = String(BigInt(first) + (7n << 4n));
    const told = (got: string): string =>
      `from.sequenceNumber: expected a sequence number of ${SHARD(0)} (name the shard of the number in leaseKeys), got ${got}`;
    for (const leaseKeys of [undefined, SHARD(0)]) {
      const options = { ...(leaseKeys && { leaseKeys }), from: { sequenceNumber: other } };
      await expect(consumer.replay(options)).rejects.toThrow(told(`${other}, which is one of ${SHARD(7)}`));
    }
    const earlier = String(BigInt(first) - (1n << 148n));
    await expect(consumer.replay({ from: { sequenceNumber: earlier } })).rejects.toThrow(
      told(`${earlier}, which Kinesis does not take for it: it is of another shard, or of a stream that was deleted`),
    );
    await here.put('a 4');
    await until(() => expect(handled).toEqual(['a 1', 'a 2', 'a 3', 'a 4']));
    expect(consumer.health().reasons).toEqual([]);
  });

  it('from a time finds the first record of it; without keys it is about all that is held', async () => {
    const { scene: here, handled, numbers, consumer } = await scene('from-time');
    const told: Diagnostics['shardline:consumer:controlled'][] = [];
    onTestFinished(
      onDiagnostic('shardline:consumer:controlled', (message) => {
        if (message.application === here.name) told.push(message);
      }),
    );
    expect(await consumer.replay({ from: { timestamp: new Date(0) } })).toMatchObject([{ outcome: 'replayed' }]);
    await until(() => expect(handled).toEqual(['a 1', 'a 2', 'a 3', 'a 1', 'a 2', 'a 3']));
    expect(await consumer.replay({ from: 'TRIM_HORIZON' })).toMatchObject([{ checkpoint: 'TRIM_HORIZON' }]);
    await until(() => expect(handled).toHaveLength(9));
    // Who, of which shard, from where; what is refused is not told.
    const ahead = { sequenceNumber: numbers[2] ?? '', subSequenceNumber: 7 };
    expect(await consumer.replay({ from: ahead })).toMatchObject([{ outcome: 'ahead' }]);
    const word = { application: here.name, worker: consumer.workerId, what: 'replay', leaseKeys: [SHARD(0)] };
    expect(told).toEqual([
      { ...word, checkpoint: `${numbers[0]}:-1` },
      { ...word, checkpoint: 'TRIM_HORIZON' },
    ]);
  });
});

describe('replay from a time', () => {
  it('that is still to come, by our clock or by that of Kinesis, is ahead at once; a refusal for good is not tried again', async () => {
    const behindMs = 60_000;
    const here = new Scene(cloud, 'replay-to-come');
    // Our clock is a minute ahead.
    const clock = { ...systemClock, now: () => systemClock.now(), wallNow: () => Date.now() + behindMs };
    const asked: string[] = [];
    let isRefused = false;
    cloud.kinesis.middlewareStack.add(
      (next, { commandName = '' }) =>
        async (args) => {
          const isOurs = JSON.stringify(args.input).includes('replay-to-come');
          if (isOurs && JSON.stringify(args.input).includes('AT_TIMESTAMP')) asked.push(commandName);
          if (isRefused && isOurs) throw Object.assign(new Error('not yours'), { name: 'AccessDeniedException' });
          return next(args);
        },
      { step: 'initialize', name: 'replay-to-come' },
    );
    onTestFinished(() => void cloud.kinesis.middlewareStack.remove('replay-to-come'));
    const consumer = here.consumer({ clock });
    const handled: string[] = [];
    runInTest(consumer, ({ records }) => void handled.push(...records.map(textOf)));
    await here.put('a 1');
    await until(() => expect(handled).toEqual(['a 1']));
    const inAnHour = new Date(Date.now() + 3_600_000);
    const ahead = [{ leaseKey: SHARD(0), outcome: 'ahead', checkpoint: undefined, heldBy: consumer.workerId }];
    expect(await consumer.replay({ from: { timestamp: inAnHour } })).toEqual(ahead);
    expect(asked).toEqual([]);
    expect(await consumer.replay({ from: { timestamp: new Date(Date.now() + behindMs / 2) } })).toEqual(ahead);
    expect(asked).toEqual(['GetShardIteratorCommand']);
    await expect(consumer.replay({ leaseKeys: SHARD(0), from: { timestamp: inAnHour } })).rejects.toThrow(
      `from: expected a place before what was handled of ${SHARD(0)}: from a later one on records would be passed over, got ` +
        `${inAnHour.toISOString()}, which no record has come at or after`,
    );
    isRefused = true;
    await expect(consumer.replay({ from: { timestamp: new Date(0) } })).rejects.toMatchObject({
      code: 'ACCESS_DENIED',
    });
    expect(asked).toHaveLength(2);
  });
});

describe('replay', () => {
  it('gives the shard to another handler where each shard has its own', async () => {
    const here = new Scene(cloud, 'replay-anew', 2);
    const consumer = here.consumer();
    /** In the order in which they were made. */
    const handlers: { readonly shardId: string; readonly words: string[] }[] = [];
    class Handler {
      readonly words: string[] = [];
      readonly shardId: string;
      constructor(shardId: string) {
        this.shardId = shardId;
        handlers.push(this);
      }
      initialize(): void {
        this.words.push('initialize');
      }
      processRecords({ shardId, records }: Batch): void {
        expect(shardId).toBe(this.shardId);
        this.words.push(...records.map(textOf));
      }
      leaseLost(): void {
        this.words.push('leaseLost');
      }
    }
    runInTest(consumer, { createHandler: ({ shardId }) => new Handler(shardId) });
    await here.put('a 1', 'a 2');
    const wordsOf = (index: number): string[] => handlers[index]?.words ?? [];
    await until(() => expect(handlers.map(({ shardId }) => shardId).sort()).toEqual([SHARD(0), SHARD(1)]));
    await until(() => expect([...wordsOf(0), ...wordsOf(1)]).toEqual(expect.arrayContaining(['a 1', 'a 2'])));
    const owner = handlers.findIndex(({ words }) => words.includes('a 1'));
    const leaseKey = handlers[owner]?.shardId ?? '';
    expect(await consumer.replay({ leaseKeys: leaseKey, from: 'TRIM_HORIZON' })).toMatchObject([
      { outcome: 'replayed' },
    ]);
    await until(() => expect(wordsOf(2)).toEqual(['initialize', 'a 1', 'a 2']));
    expect(handlers[2]?.shardId).toBe(leaseKey);
    expect(wordsOf(owner)).toEqual(['initialize', 'a 1', 'a 2', 'leaseLost']);
    expect(wordsOf(1 - owner)).toEqual(['initialize']);
    expect(handlers).toHaveLength(3);
  });

  it('refuses a later place, what is no place, and says who holds what this worker does not', async () => {
    const here = new Scene(cloud, 'replay-refused');
    const consumer = here.consumer();
    await expect(consumer.replay({ from: 'TRIM_HORIZON' })).rejects.toThrow('a consumer that runs');
    const handled: string[] = [];
    let finish = (): void => undefined;
    const finished = new Promise<void>((resolve) => {
      finish = resolve;
    });
    runInTest(consumer, async ({ records }) => {
      if (handled.length > 0) await finished;
      handled.push(...records.map(textOf));
    });
    await here.put('a 1');
    await until(() => expect(handled).toEqual(['a 1']));
    await here.put('a 2');
    const [, second] = await here.recordsOf(0);
    const ahead = { sequenceNumber: second?.sequenceNumber ?? '', subSequenceNumber: 1 };
    const refused = consumer.replay({ leaseKeys: SHARD(0), from: ahead });
    await expect(refused).rejects.toThrow('records would be passed over');
    expect(await consumer.replay({ from: ahead })).toMatchObject([{ outcome: 'ahead' }]);
    finish();
    await until(() => expect(handled).toEqual(['a 1', 'a 2']));
    const strange = await consumer.replay({ leaseKeys: ['shardId-000000000007'], from: 'TRIM_HORIZON' });
    expect(strange).toMatchObject([{ outcome: 'notHeld', heldBy: undefined }]);
    // @ts-expect-error: no such place.
    await expect(consumer.replay({ from: 'LATEST' })).rejects.toThrow("'TRIM_HORIZON', { timestamp");
    // @ts-expect-error: no such place.
    await expect(consumer.replay({ from: { timestamp: 0 } })).rejects.toThrow('a valid Date');
    const misspelt = { leaseKey: SHARD(0), from: 'TRIM_HORIZON' } as const;
    await expect(consumer.replay(misspelt)).rejects.toThrow('leaseKey: expected an option of replay');
    const both = { from: { timestamp: new Date(), sequenceNumber: '1' } } as const;
    await expect(consumer.replay(both)).rejects.toThrow('from.sequenceNumber: expected');
  });
});
