// What is drawn for a state, and that a block on a terminal is taken back as high as it was drawn.
import { expect, test } from 'vitest';
import { block, progressLine, type Snapshot, View } from './view.ts';

const snapshot: Snapshot = {
  inputName: 'access.log',
  elapsedMs: 6_240,
  nowMs: 9_000,
  plannedCount: 10_000,
  isPlanWhole: true,
  putCount: 5_000,
  settledCount: 4_900,
  handledCount: 2_500,
  duplicates: 12,
  shards: [
    {
      shardId: 'shardId-000000000000',
      workerId: undefined,
      lineCount: 1_200,
      behindMs: 40,
      releasedAtMs: 7_500,
      isEnded: false,
    },
    {
      shardId: 'shardId-000000000001',
      workerId: undefined,
      lineCount: 300,
      behindMs: undefined,
      releasedAtMs: 3_000,
      isEnded: true,
    },
    {
      shardId: 'shardId-000000000012',
      workerId: 'worker-2',
      lineCount: 1_000,
      behindMs: 120,
      releasedAtMs: undefined,
      isEnded: false,
    },
  ],
  workers: [
    { workerId: 'worker-1', state: 'killed', lineCount: 1_500 },
    { workerId: 'worker-2', state: 'running', lineCount: 1_000 },
  ],
};

test('the block shows both flows, every shard and every worker', () => {
  expect(block(snapshot, 120)).toEqual([
    '',
    'access.log · 6.2 s',
    'put      ████████████████░░░░░░░░░░░░░░░░ 5,000 of 10,000, 100 on the way',
    'handled  ████████░░░░░░░░░░░░░░░░░░░░░░░░ 2,500 and 12 duplicates',
    '',
    'shard 0   waits for a worker       1,200 lines  for 1.5 s',
    'shard 1   read to its end            300 lines',
    'shard 12  worker-2                 1,000 lines  0.1 s behind',
    '',
    'worker-1 killed (1,500) · worker-2 running (1,000)',
  ]);
});

test('a line of progress leaves out the shards that are over', () => {
  expect(progressLine(snapshot)).toBe(
    'put 5,000 of 10,000, handled 2,500, duplicates 12 · shard 0→? shard 12→worker-2',
  );
});

test('no line of the block is wider than the terminal', () => {
  for (const columns of [1, 10, 40]) {
    expect(Math.max(...block(snapshot, columns).map(({ length }) => length))).toBe(columns);
  }
});

test('a terminal gets the block again and again, events above it, and its cursor back', () => {
  const { view, text } = shown(true, 8);
  view.event('shardId-000000000003 was split');
  view.event('and again');
  view.stop();
  const [before, ...redrawn] = text().split('\x1b[7A\x1b[0J');
  expect(before).toContain('\x1b[?25l');
  expect(before).toContain('shard 3 was split');
  expect(redrawn).toHaveLength(2);
  // Seven lines of ten: one row is the cursor's.
  for (const part of redrawn) expect(part.split('\n').filter((line) => /of 10,000/.test(line))).toHaveLength(1);
  expect(text().endsWith('\x1b[?25h')).toBe(true);
});

test('a pipe gets plain lines', () => {
  const { view, text } = shown(false, 8);
  view.event('shardId-000000000003 was split');
  view.stop();
  expect(text()).toMatch(/^ +\d+\.\d s {2}shard 3 was split\n$/);
});

test('a terminal that says it has 0 columns and rows is taken for an ordinary one', () => {
  const { view, text } = shown(true, 0, 0);
  view.stop();
  expect(text()).not.toContain('…');
  expect(text()).toContain('handled');
});

function shown(isTTY: boolean, rows: number, columns = 80): { readonly view: View; readonly text: () => string } {
  let text = '';
  const view = new View({ isTTY, rows, columns, write: (written) => (text += written) });
  view.start(() => snapshot);
  return { view, text: () => text };
}
