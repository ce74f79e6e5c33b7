import { compareExtended, type ExtendedSequenceNumber, parseCheckpoint, TRIM_HORIZON } from '@shardline/common';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Lease, newLease, type PendingCheckpoint } from './lease.ts';
import { Unwritten } from './unwritten.ts';

const at = (sequenceNumber: number, sub = 0): ExtendedSequenceNumber => parseCheckpoint(String(sequenceNumber), sub);
const pendingAt = (sequenceNumber: number, byte: number): PendingCheckpoint => ({
  position: at(sequenceNumber),
  state: byte === 0 ? undefined : Uint8Array.of(byte),
});
const range = { start: 0n, end: 1n } as never;
const fresh: Lease = newLease({ shardId: 'a', parentShardIds: [], hashKeyRange: range }, TRIM_HORIZON);

interface Content {
  readonly checkpoint: ExtendedSequenceNumber | undefined;
  readonly pendingCheckpoint: PendingCheckpoint | undefined;
}

/** What the table makes of a write. */
function written(row: Lease, { checkpoint, pendingCheckpoint }: Content): Lease {
  return { ...row, checkpoint: checkpoint ?? row.checkpoint, pendingCheckpoint };
}

describe('Unwritten', () => {
  test('the newest position wins, and one write carries it with what was prepared after it', () => {
    const unwritten = new Unwritten();
    unwritten.vouch(at(3), fresh);
    unwritten.vouch(at(2), fresh);
    unwritten.prepare(pendingAt(5, 1), fresh);
    unwritten.prepare(pendingAt(4, 2), fresh);
    expect(unwritten).toMatchObject({ checkpoint: at(3), pendingCheckpoint: pendingAt(4, 2) });
  });

  test('goes back by a rewind alone, which stays until the row shows that very place', () => {
    const unwritten = new Unwritten();
    const row = { ...fresh, checkpoint: at(7) };
    unwritten.vouch(at(9), row);
    unwritten.prepare(pendingAt(12, 1), row);
    unwritten.rewind(at(3));
    expect(unwritten).toMatchObject({ checkpoint: at(3), pendingCheckpoint: undefined });
    // A write of before was applied after all.
    unwritten.found({ ...row, checkpoint: at(9) });
    expect(unwritten).toMatchObject({ checkpoint: at(3), isEmpty: false });
    unwritten.written(unwritten.revision, { ...row, checkpoint: at(3) });
    expect(unwritten.isEmpty).toBe(true);
    unwritten.vouch(at(2), { ...row, checkpoint: at(3) });
    expect(unwritten.isEmpty).toBe(true);
  });

  test('a checkpoint ends what was prepared before it', () => {
    const unwritten = new Unwritten();
    unwritten.prepare(pendingAt(5, 1), fresh);
    unwritten.vouch(at(3), fresh);
    expect(unwritten).toMatchObject({ checkpoint: at(3), pendingCheckpoint: undefined });
  });

  test('a request that a newer one has overtaken is settled with it', () => {
    const unwritten = new Unwritten();
    const first = unwritten.prepare(pendingAt(5, 1), fresh);
    const second = unwritten.prepare(pendingAt(6, 1), fresh);
    unwritten.written(second, written(fresh, unwritten));
    expect(unwritten.writtenRevision).toBeGreaterThanOrEqual(first);
    expect(unwritten.isEmpty).toBe(true);
  });

  test('a request that came while a write was under way is not settled by that write', () => {
    const unwritten = new Unwritten();
    const first = unwritten.vouch(at(3), fresh);
    const row = written(fresh, unwritten);
    const second = unwritten.prepare(pendingAt(3, 1), fresh);
    const third = unwritten.prepare(pendingAt(4, 1), fresh);
    unwritten.written(first, row);
    // What is checkpointed, or about to be, needs no preparation.
    expect(second).toBe(first);
    expect(unwritten.writtenRevision).toBe(first);
    expect(third).toBeGreaterThan(first);
    expect(unwritten).toMatchObject({ checkpoint: undefined, pendingCheckpoint: pendingAt(4, 1) });
  });

  test('what stands in the row already is written again with a checkpoint that would end it', () => {
    const unwritten = new Unwritten();
    unwritten.prepare(pendingAt(5, 1), fresh);
    const row = written(fresh, unwritten);
    unwritten.vouch(at(3), fresh);
    unwritten.prepare(pendingAt(5, 1), fresh);
    unwritten.found(row);
    expect(written(row, unwritten)).toMatchObject({ checkpoint: at(3), pendingCheckpoint: pendingAt(5, 1) });
  });

  test('whatever is asked for, and however late writes are made and their answers lost, the row ends as if each had been written', () => {
    const place = { at: fc.integer({ min: 0, max: 6 }), byte: fc.nat({ max: 1 }) };
    const vouch = fc.record({ kind: fc.constant('vouch' as const), ...place });
    const prepare = fc.record({ kind: fc.constant('prepare' as const), ...place });
    const write = fc.record({ kind: fc.constant('write' as const), answered: fc.boolean() });
    fc.assert(
      fc.property(fc.array(fc.oneof(vouch, prepare, write), { maxLength: 30 }), (steps) => {
        const unwritten = new Unwritten();
        let seen = fresh;
        let inTable = fresh;
        let expected = fresh;
        for (const step of [...steps, { kind: 'write', answered: true } as const]) {
          if (step.kind === 'vouch') {
            unwritten.vouch(at(step.at), seen);
            if (compareExtended(at(step.at), expected.checkpoint) > 0)
              expected = { ...expected, checkpoint: at(step.at), pendingCheckpoint: undefined };
          } else if (step.kind === 'prepare') {
            unwritten.prepare(pendingAt(step.at, step.byte), seen);
            if (compareExtended(at(step.at), expected.checkpoint) > 0)
              expected = { ...expected, pendingCheckpoint: pendingAt(step.at, step.byte) };
          } else if (!unwritten.isEmpty) {
            // The next write after a lost answer is refused, and shows the row.
            if (inTable !== seen) {
              seen = inTable;
              unwritten.found(seen);
              if (unwritten.isEmpty) continue;
            }
            inTable = written(inTable, unwritten);
            if (!step.answered) continue;
            seen = inTable;
            unwritten.written(unwritten.revision, seen);
          }
        }
        expect(inTable).toEqual(expected);
        expect(unwritten.writtenRevision).toBe(unwritten.revision);
      }),
      { numRuns: 1_000 },
    );
  });
});
