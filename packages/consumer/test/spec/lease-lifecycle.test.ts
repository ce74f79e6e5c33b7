// docs/lease-lifecycle.md is what operators go by, so it is played through: the life of a lease in the real lease table, its items
// beside those of the page, and every log line, channel, option and phase that the page quotes looked up in the sources.
import { readdirSync, readFileSync } from 'node:fs';
import { UpdateItemCommand } from '@aws-sdk/client-dynamodb';
import { MAX_HASH_KEY, MIN_HASH_KEY, parseCheckpoint, SHARD_END, TRIM_HORIZON } from '@shardline/common';
import { expect, test } from 'vitest';
import type { TableEffect } from '../../src/coordination/effects.ts';
import { newLease } from '../../src/coordination/lease.ts';
import { resolveOptions } from '../../src/options.ts';
import { type Item, wireScene } from './wire.ts';

const wire = wireScene();
const root = new URL('../../../../', import.meta.url);
const page = readFileSync(new URL('docs/lease-lifecycle.md', root), 'utf8');
const leaseKey = 'shardId-000000000000';
const tenure = 1;

const blocks = new Map(
  [...page.matchAll(/```json (\S+)\n([\s\S]*?)```/g)].map(([, name = '', text = '']) => [name, text]),
);
function shownAs(name: string): Record<string, unknown> {
  return JSON.parse(blocks.get(name) ?? 'null') as Record<string, unknown>;
}

const hashKeyRange = { start: MIN_HASH_KEY, end: MAX_HASH_KEY };
const position = parseCheckpoint('49590338271490256608559692538361571095921575989136588898', 4);
const renewal = { kind: 'renewLease', leaseKey, tenure, handoffKnown: false, throughputKBps: undefined } as const;
const checkpointing = { kind: 'checkpointLease', leaseKey, tenure, pendingCheckpoint: undefined } as const;
const assignment = { kind: 'assignLease', leaseKey, tenure: undefined, seenCheckpointOwner: undefined } as const;

/** The writes that bring the lease from one state of the page to the next. */
const life: readonly (readonly [state: string, ...writes: TableEffect[]])[] = [
  [
    'created',
    {
      kind: 'createLease',
      leaseKey,
      tenure: undefined,
      lease: newLease({ shardId: leaseKey, parentShardIds: [], hashKeyRange }, TRIM_HORIZON),
    },
  ],
  ['assigned', { ...assignment, seenOwner: undefined, seenCounter: 0, newOwner: 'worker-a' }],
  [
    'held',
    { ...renewal, leaseCounter: 1 },
    { ...checkpointing, leaseCounter: 2, checkpoint: position, childShardIds: undefined, throughputKBps: 12.5 },
  ],
  ['handing-off', { kind: 'handOffLease', leaseKey, from: 'worker-a', to: 'worker-b' }],
  [
    'handed-over',
    {
      ...assignment,
      tenure,
      seenOwner: 'worker-b',
      seenCheckpointOwner: 'worker-a',
      seenCounter: 3,
      newOwner: 'worker-b',
    },
  ],
  ['reassigned', { ...assignment, seenOwner: 'worker-b', seenCounter: 4, newOwner: 'worker-c' }],
  ['evicted', { kind: 'evictLease', leaseKey, tenure, seenOwner: 'worker-c', seenCounter: 5 }],
  [
    'ended',
    { ...assignment, seenOwner: undefined, seenCounter: 6, newOwner: 'worker-b' },
    {
      ...checkpointing,
      leaseCounter: 7,
      checkpoint: SHARD_END,
      childShardIds: ['shardId-000000000001', 'shardId-000000000002'],
      throughputKBps: undefined,
    },
  ],
];

test('the items of the page are those that the life of a lease leaves in the table', async () => {
  const table = await wire.open();
  let expected: Record<string, unknown> = {};
  for (const [state, ...writes] of life) {
    for (const write of writes) {
      const result = (await table.run(write)) as { applied?: boolean; created?: boolean };
      expect(result.applied ?? result.created, `${state}: ${write.kind}`).toBe(true);
    }
    expected = { ...expected, ...shownAs(state) };
    const present = Object.entries(expected).filter(([, value]) => value !== null);
    const item: Item = (await wire.get(leaseKey)) ?? {};
    const sorted = Object.entries(item).map(([name, value]) => [name, value.SS ? { SS: [...value.SS].sort() } : value]);
    expect(Object.fromEntries(sorted), state).toEqual(Object.fromEntries(present));
  }
  expect([...blocks.keys()]).toEqual(life.map(([state]) => state));
  expect(await table.run({ kind: 'deleteLease', leaseKey, onlyEnded: true, seenCounter: 8 })).toEqual({
    deleted: true,
  });
});

test('the command that frees a lease by hand does', async () => {
  const text = (name: string): string => new RegExp(`${name} '([^']*)'`).exec(page)?.[1] ?? '';
  expect(text('--update-expression')).toBe('REMOVE leaseOwner, checkpointOwner ADD leaseCounter :one');
  const table = await wire.open();
  for (const [, ...writes] of life.slice(0, 4)) for (const write of writes) await table.run(write);
  await wire.dynamodb.client.send(
    new UpdateItemCommand({
      TableName: wire.tableName,
      Key: { leaseKey: { S: leaseKey } },
      UpdateExpression: text('--update-expression'),
      ConditionExpression: text('--condition-expression'),
      ExpressionAttributeValues: JSON.parse(text('--expression-attribute-values')) as Item,
    }),
  );
  expect(await wire.get(leaseKey)).toMatchObject({ leaseCounter: { N: '4' } });
  // The holder's next write is refused, and says that the lease is nobody's.
  expect(await table.run({ ...renewal, leaseCounter: 3, handoffKnown: true })).toMatchObject({
    applied: false,
    lease: { leaseOwner: undefined, checkpointOwner: undefined },
  });
});

test('every log line, channel and phase that the page quotes is in the sources', () => {
  const sources = [...sourcesOf('packages/consumer/src'), ...sourcesOf('packages/common/src')].join('\n');
  const inSources = (line: string): boolean => sources.includes(line) || isComposed(line, sources);
  const quoted = [...page.matchAll(/`([^`\n]+)`/g)].map(([, text = '']) => text);
  const lines = quoted.filter((text) => / /.test(text) && /^[a-z]/.test(text));
  const channels = quoted.filter((text) => text.startsWith('shardline:'));
  expect(lines.length).toBeGreaterThan(20);
  expect(channels.length).toBeGreaterThan(5);
  expect([...lines, ...channels].filter((text) => !inSources(text))).toEqual([]);
});

test('the defaults of the page are those of the options', () => {
  const defaults = resolveOptions({ application: 'billing', stream: 'orders' }, 'host');
  const rows = [...page.matchAll(/^\| `(\w+Ms)` \| (\d+|for ever) \|/gm)];
  expect(rows.length).toBeGreaterThan(10);
  for (const [, name = '', value = ''] of rows) {
    const expected = value === 'for ever' ? Number.MAX_SAFE_INTEGER : Number(value);
    expect(defaults[name as 'failoverTimeMs'], name).toBe(expected);
  }
});

function sourcesOf(folder: string): string[] {
  const names = readdirSync(new URL(folder, root), { recursive: true, encoding: 'utf8' });
  return names
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
    .map((name) => readFileSync(new URL(`${folder}/${name}`, root), 'utf8'));
}

/** Lines that are put together: a step in words, its name and ` failed`, what is waited for and ` for long`. */
function isComposed(line: string, sources: string): boolean {
  const [, words, step] = /^(.+) \((\w+)\) failed$/.exec(line) ?? [];
  if (step !== undefined) return sources.includes(`  ${step}: '${words}',`) && sources.includes('} failed');
  const [, waited] = /^(.+) for long$/.exec(line) ?? [];
  return waited !== undefined && sources.includes(`'${waited}'`) && sources.includes('} for long: ');
}
