import { AT_TIMESTAMP, parseCheckpoint, UsageError } from '@shardline/common';
import { expect, test } from 'vitest';
import type { CheckpointRequested } from '../coordination/effects.ts';
import { Checkpointer } from './checkpointer.ts';

/** A checkpointer, the calls of the handlers of two shards, and what was asked of the core. */
function stage(ceiling?: string) {
  const asked: CheckpointRequested[] = [];
  const checkpointer = new Checkpointer((event) => asked.push(event));
  const written: unknown[] = [];
  const shard = (tenure: number) => {
    const shard = {
      leaseKey: `shard-${tenure}`,
      tenure,
      endedBy: undefined as unknown,
      ceiling: ceiling === undefined ? undefined : parseCheckpoint(ceiling),
      newest: () => parseCheckpoint('9', 1),
      lastSubOf: (number: bigint) => ({ 5: 0, 6: 2 })[Number(number)],
      written: (position: unknown) => void written.push(position),
    };
    const end = (reason: unknown): void => {
      shard.endedBy = reason;
      checkpointer.abandon(tenure, reason);
    };
    return { end, ...checkpointer.callsFor(shard) };
  };
  return { checkpointer, asked, written, first: shard(1), second: shard(2) };
}

const outcomeOf = (promise: Promise<unknown>): Promise<unknown> => promise.then(() => 'done').catch((error) => error);

test('without a position the newest one is asked for, and the shard is told once it is written', async () => {
  const { checkpointer, asked, written, first } = stage();
  const promise = first.checkpoint();
  expect(asked).toMatchObject([{ tenure: 1, position: parseCheckpoint('9', 1), prepare: undefined }]);
  expect(written).toEqual([]);
  checkpointer.settle(1, 'done');
  await promise;
  expect(written).toEqual([parseCheckpoint('9', 1)]);
});

test('while a part of a batch is handled nothing behind that part is asked for', async () => {
  const { asked, first } = stage('8');
  const refused = {
    code: 'USAGE',
    message: expect.stringContaining('to the last record given to the handler (8), got 9'),
  };
  expect(await outcomeOf(first.checkpoint('9'))).toMatchObject(refused);
  expect(await outcomeOf(first.prepareCheckpoint('9'))).toMatchObject(refused);
  expect(asked).toEqual([]);
  void first.checkpoint('8');
  await Promise.resolve();
  expect(asked).toMatchObject([{ position: parseCheckpoint('8') }]);
});

test('a sub-sequence number that the record does not have is refused; of a record that is not in hand nobody knows', async () => {
  const { asked, first } = stage();
  const refused = (expected: string, got: string): unknown =>
    expect.objectContaining({ code: 'USAGE', field: 'subSequenceNumber', expected, got });
  const one = '0: record 5 holds one user record';
  expect(await outcomeOf(first.checkpoint('5', 7))).toEqual(refused(one, '7'));
  expect(await outcomeOf(first.prepareCheckpoint('5', 1, Uint8Array.of(1)))).toEqual(refused(one, '1'));
  const three = '0 to 2: record 6 holds 3 user records';
  expect(await outcomeOf(first.checkpoint({ sequenceNumber: '6', subSequenceNumber: 3 }))).toEqual(refused(three, '3'));
  expect(asked).toEqual([]);
  for (const [number, sub] of [
    ['5', 0],
    ['6', 2],
    ['7', 7],
  ] as const)
    void first.checkpoint(number, sub);
  await Promise.resolve();
  expect(asked.map(({ position }) => position)).toEqual([
    parseCheckpoint('5', 0),
    parseCheckpoint('6', 2),
    parseCheckpoint('7', 7),
  ]);
});

test('what is prepared is not written as handled before it is settled', async () => {
  const { checkpointer, asked, written, first } = stage();
  const preparing = first.prepareCheckpoint('7', Uint8Array.of(1));
  checkpointer.settle(1, 'done');
  const prepared = await preparing;
  expect(prepared.pendingCheckpoint).toEqual({ sequenceNumber: '7', subSequenceNumber: 0 });
  expect(written).toEqual([]);
  const settling = prepared.checkpoint();
  checkpointer.settle(2, 'done');
  await settling;
  expect(asked).toMatchObject([{ prepare: { state: Uint8Array.of(1) } }, { prepare: undefined }]);
  expect(written).toEqual([parseCheckpoint('7')]);
});

test('calls under way end with the tenure, with its reason, and those of another shard do not', async () => {
  const { checkpointer, first, second } = stage();
  const outcomes = [first.checkpoint(), first.prepareCheckpoint(), second.checkpoint()].map(outcomeOf);
  const reason = new Error('lost');
  first.end(reason);
  checkpointer.settle(3, 'done');
  expect(await Promise.all(outcomes)).toEqual([reason, reason, 'done']);
  expect(await outcomeOf(first.checkpoint())).toBe(reason);
  // An answer that comes late finds nobody.
  checkpointer.settle(1, 'done');
});

test('what is out of range is a UsageError that names the position and its bounds, and the runtime’s end rejects the rest', async () => {
  const { checkpointer, first, second } = stage();
  const refused = outcomeOf(first.checkpoint('5'));
  const open = outcomeOf(second.checkpoint());
  checkpointer.settle(1, { from: parseCheckpoint('7', 1), to: parseCheckpoint('9') });
  expect(await refused).toBeInstanceOf(UsageError);
  const message =
    'position: expected a position from the last checkpoint (7:1) to the last record given to the handler (9), got 5';
  expect(await refused).toMatchObject({ field: 'position', message });
  const end = new Error('stopped');
  checkpointer.close(end);
  expect([await open, await outcomeOf(first.checkpoint())]).toEqual([end, end]);
});

test('without a position what the handler has now may be behind what it vouched for before it threw: that is waited for', async () => {
  const { checkpointer, asked, written, first } = stage();
  const vouched = parseCheckpoint('9', 3);
  const promises = [first.checkpoint(), first.prepareCheckpoint()];
  await Promise.resolve();
  const range = { from: vouched, to: vouched };
  checkpointer.settle(1, range);
  checkpointer.settle(2, range);
  expect(asked.slice(2)).toMatchObject([
    { position: vouched, prepare: undefined },
    { position: vouched, prepare: {} },
  ]);
  expect(written).toEqual([]);
  checkpointer.settle(3, 'done');
  checkpointer.settle(4, 'done');
  expect(await Promise.all(promises)).toMatchObject([
    undefined,
    { pendingCheckpoint: { sequenceNumber: '9', subSequenceNumber: 3 } },
  ]);
  expect(written).toEqual([vouched]);
  // Who names a place is told that it is behind.
  const named = outcomeOf(first.checkpoint('9', 1));
  checkpointer.settle(5, range);
  expect(await named).toBeInstanceOf(UsageError);
});

test('the words that stand in place of a number are refused at the call', async () => {
  const { asked, first } = stage();
  expect(await outcomeOf(first.checkpoint(String(AT_TIMESTAMP.sequenceNumber)))).toBeInstanceOf(UsageError);
  expect(asked).toEqual([]);
});
