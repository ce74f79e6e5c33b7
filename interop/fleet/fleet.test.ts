// The scenarios that need no more than a few minutes together, side by side. All of them: `npm run interop`.
import { type LocalKinesis, startLocalKinesis } from '@shardline/local';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { buildJava } from '../java/build.ts';
import { describeMoves } from './moves.ts';
import { scenarios } from './scenarios.ts';

const played = scenarios.filter(({ inTier }) => inTier);

let kinesis: LocalKinesis;
beforeAll(async () => {
  for (const program of new Set(played.flatMap(({ programs }) => programs))) await buildJava(program);
  kinesis = await startLocalKinesis();
});
afterAll(async () => {
  await kinesis?.close();
});

describe.concurrent('a fleet of Java and Node workers', () => {
  it.each(played)('$name: $title', async ({ name, play }) => {
    const { faults, moves, records, handled, skipped, duplicates } = await play(
      { kinesis, dynamoDBEndpoint: inject('dynamoDBEndpoint') ?? '' },
      name,
    );
    console.log(
      [`${name}: ${records} records, ${handled} handled, ${duplicates} duplicates`, ...describeMoves(moves)].join(
        '\n  ',
      ),
    );
    expect(faults).toEqual([]);
    expect({ skipped, handled }).toEqual({ skipped: 0, handled: records });
    expect(records).toBeGreaterThan(0);
  });
});
