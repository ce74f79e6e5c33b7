// Fencing tokens over real sockets: they grow with each tenure of a lease, whoever had it in between, and a sink that compares them takes
// each record once, although the handler of a worker that has lost its lease writes last.
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Batch, ShardContext, UserRecord } from '../src/handler.ts';
import { type Cloud, runInTest, Scene, SHARD, startCloud, textOf, until } from './cloud.ts';

let cloud: Cloud;
beforeAll(async () => {
  cloud = await startCloud();
});
afterAll(async () => {
  await cloud.close();
});

/** A database with one row for each lease, whose transactions run in one piece. */
class Sink {
  readonly texts: string[] = [];
  /** Tokens of writes that were refused. */
  readonly refused: number[] = [];
  readonly #rows = new Map<string, { token: number; upTo: readonly [bigint, number] }>();

  /** The tenure shows its token before its first write. @returns how far the lease's records are in. */
  claim({ leaseKey, fencingToken: token }: ShardContext): readonly [bigint, number] {
    const upTo = this.#rows.get(leaseKey)?.upTo ?? ([-1n, -1] as const);
    if (token >= (this.#rows.get(leaseKey)?.token ?? 0)) this.#rows.set(leaseKey, { token, upTo });
    return upTo;
  }

  write({ leaseKey, fencingToken: token }: ShardContext, records: readonly UserRecord[]): void {
    if (this.#rows.get(leaseKey)?.token !== token) {
      this.refused.push(token);
      throw new Error(`token ${token} is too old`);
    }
    this.texts.push(...records.map(textOf));
    const { sequenceNumber, subSequenceNumber } = records.at(-1) as UserRecord;
    this.#rows.set(leaseKey, { token, upTo: [BigInt(sequenceNumber), subSequenceNumber] });
  }
}

/** A handler that writes to the sink what it has not got, once it is let. */
function writesTo(sink: Sink, tokens: number[], gate: () => Promise<void> = () => Promise.resolve()) {
  let upTo: readonly [bigint, number] = [-1n, -1];
  return {
    initialize: (_: unknown, context: ShardContext): void => {
      tokens.push(context.fencingToken);
      upTo = sink.claim(context);
    },
    processRecords: async ({ records }: Batch, context: ShardContext): Promise<void> => {
      await gate();
      const isNew = ({ sequenceNumber, subSequenceNumber }: UserRecord): boolean => {
        const number = BigInt(sequenceNumber);
        return number > upTo[0] || (number === upTo[0] && subSequenceNumber > upTo[1]);
      };
      const fresh = records.filter(isNew);
      if (fresh.length > 0) sink.write(context, fresh);
    },
  };
}

it('a worker that lost its lease without knowing writes last, and the sink has each record once', async () => {
  const scene = new Scene(cloud, 'fenced');
  const sink = new Sink();
  const tokens: number[] = [];
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  let isWaiting = false;
  const slow = scene.consumer({ workerId: 'slow' });
  const running = slow.run(
    writesTo(sink, tokens, () => {
      isWaiting = true;
      return opened;
    }),
  );
  await scene.putAggregate('a 1', 'a 2', 'a 3');
  await until(() => expect(isWaiting).toBe(true));
  // Another hand gives the lease away, as a leader does with one that was not renewed in time.
  await scene.meddle(SHARD(0), {
    UpdateExpression: 'SET leaseOwner = :owner ADD leaseCounter :one',
    ExpressionAttributeValues: { ':owner': { S: 'heir' }, ':one': { N: '1' } },
  });
  const heir = scene.consumer({ workerId: 'heir' });
  const heirRunning = heir.run(writesTo(sink, tokens));
  await until(() => expect(sink.texts).toEqual(['a 1', 'a 2', 'a 3']));
  open();
  // Until it learns that the lease is lost its handler is given the batch again.
  await until(() => expect(new Set(sink.refused)).toEqual(new Set([tokens[0]])));
  await scene.put('a 4');
  await until(() => expect(sink.texts).toEqual(['a 1', 'a 2', 'a 3', 'a 4']));
  expect(tokens[1]).toBeGreaterThan(tokens[0] as number);
  await Promise.all([slow.stop(), heir.stop()]);
  await Promise.all([running, heirRunning]);
});

it('grows with each tenure, a Java worker in between, and is the counter that the claim of the tenure wrote', async () => {
  const scene = new Scene(cloud, 'tokens');
  const tokens: number[] = [];
  const sink = new Sink();
  const counter = async (): Promise<number> => Number((await scene.row(SHARD(0)))?.['leaseCounter']?.N);
  for (let deploy = 1; deploy <= 3; deploy += 1) {
    const consumer = scene.consumer();
    const running = consumer.run(writesTo(sink, tokens));
    await scene.put(`a ${deploy}`);
    await until(() => expect(sink.texts).toHaveLength(deploy));
    expect(consumer.view().shards[0]?.fencingToken).toBe(tokens.at(-1));
    // It renews, and the token stays.
    const before = await counter();
    await until(async () => expect(await counter()).toBeGreaterThan(before + 1));
    await consumer.stop();
    await running;
    const left = await counter();
    expect(tokens.at(-1)).toBeLessThan(left);
    // A worker of the KCL takes the lease, renews it three times and gives it up: each write adds one.
    await scene.meddle(SHARD(0), {
      UpdateExpression: 'SET leaseCounter = :counter',
      ExpressionAttributeValues: { ':counter': { N: String(left + 5) } },
    });
  }
  expect(tokens).toHaveLength(3);
  expect([...tokens].sort((a, b) => a - b)).toEqual(tokens);
  expect(tokens[2]).toBeGreaterThan((tokens[1] as number) + 5);
  expect(new Set(tokens).size).toBe(3);
});

it('is in the context that is spread, as is everything else of it', async () => {
  const scene = new Scene(cloud, 'spread');
  const seen: number[] = [];
  runInTest(scene.consumer(), (_, context) => {
    seen.push({ ...context }.fencingToken);
  });
  await scene.put('a 1');
  await until(() => expect(seen).toEqual([expect.toSatisfy(Number.isSafeInteger)]));
});
