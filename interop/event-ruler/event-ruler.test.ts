// Filter patterns by ours and by AWS's own rule engine: the table that the unit tests go by, and thousands of cases made by chance.
import { readFile } from 'node:fs/promises';
import fc, { type Arbitrary } from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { alternativesOf } from './alternatives.ts';
import { addressQuestions, questions } from './arbitraries.ts';
import { askOurs, EventRuler, type Question } from './event-ruler.ts';

/** A run can be repeated anywhere; other seeds are for those who look for what is left (interop/README.md). */
const DEFAULT_SEED = 29_202_089;
const CASES = Number(process.env['EVENT_RULER_CASES'] ?? 10_000);
const tableUrl = new URL('../../packages/consumer/test/fixtures/event-patterns.json', import.meta.url);

interface Row {
  readonly about: string;
  readonly pattern?: unknown;
  readonly matches?: readonly unknown[];
  readonly others?: readonly unknown[];
  readonly bad?: unknown;
}

let ruler: EventRuler;
beforeAll(async () => {
  ruler = await EventRuler.start();
});
afterAll(async () => {
  await ruler.end();
});

const asText = (given: unknown): string => (typeof given === 'string' ? given : JSON.stringify(given));

it("answers each case of the unit tests' table as it stands there", async () => {
  const rows: readonly Row[] = JSON.parse(await readFile(tableUrl, 'utf8'));
  const cases = rows.flatMap(({ about, pattern, bad, matches = [], others = [] }) => [
    ...('bad' in { about, bad } && bad !== undefined
      ? [{ about, pattern: bad, event: {}, answer: 'bad pattern' }]
      : []),
    ...matches.map((event) => ({ about, pattern, event, answer: 'match' })),
    ...others.map((event) => ({ about, pattern, event, answer: 'no match' })),
  ]);
  expect(cases.length).toBeGreaterThan(300);
  const answered = await Promise.all(
    cases.map(async (each) => {
      const { answer } = await ruler.ask({ pattern: asText(each.pattern), event: asText(each.event) });
      return { ...each, answer };
    }),
  );
  expect(answered).toEqual(cases);
});

/** What the engine says where none of its rules and values is in another one's way. */
async function answerOfParts({ pattern, event }: Question): Promise<string> {
  for (const part of alternativesOf(pattern)) {
    if ((await ruler.ask({ pattern: part, event })).answer === 'match') return 'match';
  }
  return 'no match';
}

it.each([
  ['{"d":[{"exactly":""},{"numeric":[">=",-1]},"a"]}', '{"d":[""]}'],
  ['{"d":[{"wildcard":"*a"},{"anything-but":{"equals-ignore-case":"a"}}]}', '{"d":"b"}'],
  ['{"$or":[{"b":[{"exists":false},"x"]},{"b":[{"exists":false},"y"]}]}', '{"b":"y"}'],
])(
  'where it contradicts itself in some of its runs ours says what it says of the parts: %s of %s',
  async (pattern, event) => {
    const question = { pattern, event };
    expect(await answerOfParts(question)).toBe('match');
    expect(askOurs(question).answer).toBe('match');
  },
);

it('takes a pattern apart into such as leave no choice', () => {
  const pattern = '{"a":[1.50,"x"],"$or":[{"b":{"c":[{"exists":false}]}},{"a":["1"],"b":{"d":[null]}}]}';
  expect(alternativesOf(pattern)).toEqual([
    '{"a":[1.50],"b":{"c":[{"exists":false}]}}',
    '{"a":["x"],"b":{"c":[{"exists":false}]}}',
    '{"a":["1"],"b":{"d":[null]}}',
  ]);
});

describe('patterns and events made by chance', () => {
  it.each<[string, Arbitrary<Question>]>([
    ['of all operators', questions],
    ['of addresses', addressQuestions],
  ])('%s are answered alike', async (_, arbitrary) => {
    const seed = Number(process.env['EVENT_RULER_SEED'] ?? DEFAULT_SEED);
    const contradictions: Question[] = [];
    const counts: Record<string, number> = { match: 0, 'no match': 0, 'bad pattern': 0 };
    const check = fc.asyncProperty(arbitrary, async (question) => {
      const [ours, theirs] = [askOurs(question), await ruler.ask(question)];
      counts[theirs.answer] = (counts[theirs.answer] ?? 0) + 1;
      if (ours.answer === theirs.answer) return;
      const isBad = [ours.answer, theirs.answer].includes('bad pattern');
      const ofParts = isBad ? theirs.answer : await answerOfParts(question);
      expect(ours.answer, JSON.stringify({ ...question, ours, theirs, ofParts })).toBe(ofParts);
      contradictions.push(question);
    });
    await fc.assert(check, { seed, numRuns: CASES });
    console.info(
      `seed ${seed}: ${JSON.stringify(counts)}, ${contradictions.length} in which the engine contradicts itself`,
    );
    // Were there more, it might be that the parts are taken for what they are not.
    expect(contradictions.length, JSON.stringify(contradictions)).toBeLessThan(CASES / 1_000);
    // Neither side may have said the same to nearly all.
    expect(Math.min(counts['match'] ?? 0, counts['no match'] ?? 0)).toBeGreaterThan(CASES / 20);
  });
});
