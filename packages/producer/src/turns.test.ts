import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Turns } from './turns.ts';

function drain<Job>(turns: Turns<Job>): Job[] {
  const jobs: Job[] = [];
  for (let job = turns.dequeue(); job !== undefined; job = turns.dequeue()) jobs.push(job);
  return jobs;
}

test('streams take turns, so that a long queue of one costs another a single turn', () => {
  const turns = new Turns<string>();
  for (const job of ['a1', 'a2', 'a3', 'a4']) turns.enqueue(job, { line: 'a' });
  turns.enqueue('b1', { line: 'b' });
  expect(drain(turns)).toEqual(['a1', 'b1', 'a2', 'a3', 'a4']);
});

test('a stream that comes back waits behind those that have waited longer', () => {
  const turns = new Turns<string>();
  turns.enqueue('a1', { line: 'a' });
  turns.enqueue('b1', { line: 'b' });
  turns.enqueue('b2', { line: 'b' });
  expect(turns.dequeue()).toBe('a1');
  turns.enqueue('a2', { line: 'a' });
  expect(drain(turns)).toEqual(['b1', 'a2', 'b2']);
});

test('what goes in comes out once, each line in its order, and no line has two turns while another waits all the time', () => {
  const steps = fc.array(fc.oneof(fc.constantFrom('a', 'b', 'c'), fc.constant(undefined)), { maxLength: 60 });
  fc.assert(
    fc.property(steps, (lines) => {
      const turns = new Turns<string>();
      const waiting = new Map<string, string[]>();
      let last: string | undefined;
      let waitingSince: string[] = [];
      const take = (): void => {
        const job = turns.dequeue();
        if (job === undefined) {
          expect([...waiting.values()].flat()).toEqual([]);
          return;
        }
        const line = job.charAt(0);
        expect(waiting.get(line)?.shift()).toBe(job);
        if (line === last) expect(waitingSince).toEqual([]);
        last = line;
        waitingSince = [...waiting].flatMap(([other, jobs]) => (other !== line && jobs.length > 0 ? [other] : []));
      };
      for (const [number, line] of lines.entries()) {
        if (line === undefined) take();
        else {
          turns.enqueue(`${line}${number}`, { line });
          waiting.set(line, [...(waiting.get(line) ?? []), `${line}${number}`]);
        }
        expect(turns.size).toBe([...waiting.values()].flat().length);
      }
      while (turns.size > 0) take();
    }),
  );
});
