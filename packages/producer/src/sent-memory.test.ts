// Who has seen what was sent decides whether its memory is used again. How a client tells is tried over sockets (test/sent-memory.test.ts).
import { createKinesisClient } from '@shardline/common';
import { expect, test } from 'vitest';
import { SentMemory } from './sent-memory.ts';

function isUsedAgain(memory: SentMemory): boolean {
  const first = memory.take(60_000);
  memory.giveBack(first);
  return memory.take(60_000).buffer === first.buffer;
}

test('memory is used again where the client is one of ours', () => {
  const client = createKinesisClient({ region: 'eu-central-1' });
  expect(isUsedAgain(new SentMemory(client))).toBe(true);
  client.destroy();
});

test('nothing is used again that a client of another kind may have kept', () => {
  expect(isUsedAgain(new SentMemory({ send: () => Promise.resolve({}) }))).toBe(false);
});

test('what has gone another way than the short one is left to whoever has seen it', () => {
  const client = createKinesisClient({ region: 'eu-central-1' });
  const memory = new SentMemory(client);
  const [seen, unseen] = [memory.take(60_000), memory.take(60_000)];
  memory.sending({}, [seen])();
  memory.giveBack(seen);
  memory.giveBack(unseen);
  const next = [memory.take(60_000), memory.take(60_000)].map(({ buffer }) => buffer);
  expect(next).toContain(unseen.buffer);
  expect(next).not.toContain(seen.buffer);
  client.destroy();
});
