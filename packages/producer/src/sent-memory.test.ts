// Whose client decides whether the memory of what was sent is used again.
import { createKinesisClient } from '@shardline/common';
import { expect, test } from 'vitest';
import { sentMemory } from './sent-memory.ts';

function isUsedAgain(memory: ReturnType<typeof sentMemory>): boolean {
  const first = memory.take(60_000);
  memory.giveBack(first);
  return memory.take(60_000).buffer === first.buffer;
}

test('memory is used again while the client is one of ours as it was made', () => {
  const client = createKinesisClient({ region: 'eu-central-1' });
  const memory = sentMemory(client);
  expect(isUsedAgain(memory)).toBe(true);
  client.middlewareStack.add((next) => next, { step: 'initialize' });
  // What lies idle nobody has seen; from now on somebody may keep what is sent.
  memory.take(60_000);
  expect(isUsedAgain(memory)).toBe(false);
  client.destroy();
});

test('nothing is used again that a client of another kind may have kept', () => {
  expect(isUsedAgain(sentMemory({ send: () => Promise.resolve({}) }))).toBe(false);
});
