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
  for (const { name, title, play } of played) {
    it(`${name}: ${title}`, async () => {
      const setting = { kinesis, dynamoDBEndpoint: inject('dynamoDBEndpoint') ?? '' };
      const { faults, moves, records, handled, skipped, duplicates } = await play(setting, name);
      const counts = `${name}: ${records} records, ${handled} handled, ${duplicates} duplicates`;
      console.log([counts, ...describeMoves(moves)].join('\n  '));
      expect(faults).toEqual([]);
      expect({ skipped, handled }).toEqual({ skipped: 0, handled: records });
      expect(records).toBeGreaterThan(0);
    });
  }
});
