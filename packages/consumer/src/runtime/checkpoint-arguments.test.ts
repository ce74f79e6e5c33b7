import { parseCheckpoint, UsageError } from '@shardline/common';
import { describe, expect, test } from 'vitest';
import { readCheckpoint, readPrepare } from './checkpoint-arguments.ts';

const state = Uint8Array.of(1, 2);
const record = { sequenceNumber: '12', subSequenceNumber: 3, data: state, partitionKey: 'k' };

describe('checkpoint and prepareCheckpoint take', () => {
  test.each([
    ['nothing', [], undefined],
    ['a record, with its sub-sequence number', [record], parseCheckpoint('12', 3)],
    ['a position without a sub-sequence number', [{ sequenceNumber: '12' }], parseCheckpoint('12')],
    ['a sequence number', ['12'], parseCheckpoint('12')],
    ['a sequence number and a sub-sequence number', ['12', 4], parseCheckpoint('12', 4)],
  ])('%s', (_, given, position) => {
    expect(readCheckpoint(given)).toEqual(position);
    expect(readPrepare(given)).toEqual({ position, state: undefined });
    expect(readPrepare([...given, state])).toEqual({ position, state });
  });

  test('no state where it is undefined behind a position', () => {
    expect(readPrepare([record, undefined])).toEqual({ position: parseCheckpoint('12', 3), state: undefined });
    expect(readPrepare(['12', 4, undefined])).toEqual({ position: parseCheckpoint('12', 4), state: undefined });
  });

  test('a copy of the state', () => {
    const mine = Uint8Array.of(1);
    const read = readPrepare([mine]);
    mine[0] = 2;
    expect(read.state).toEqual(Uint8Array.of(1));
  });
});

describe('checkpoint and prepareCheckpoint refuse', () => {
  test.each([
    ['a record that is undefined', [undefined], 'position'],
    ['null', [null], 'position'],
    ['a number, which cannot hold a sequence number', [12], 'position'],
    ['TRIM_HORIZON', ['TRIM_HORIZON'], 'sequenceNumber'],
    ['LATEST', ['LATEST'], 'sequenceNumber'],
    ['AT_TIMESTAMP', [{ sequenceNumber: 'AT_TIMESTAMP' }], 'sequenceNumber'],
    ['SHARD_END', [{ sequenceNumber: 'SHARD_END' }], 'sequenceNumber'],
    ['a negative sub-sequence number', ['12', -1], 'subSequenceNumber'],
    ['a state that is text', ['12', 'state'], 'subSequenceNumber'],
  ])('%s', (_, given, field) => {
    for (const read of [readCheckpoint, readPrepare]) {
      expect(() => read(given)).toThrow(UsageError);
      expect(() => read(given)).toThrow(expect.objectContaining({ field }));
    }
  });

  test.each([0, 262_145])('a state of %i bytes', (length) => {
    expect(() => readPrepare([record, new Uint8Array(length)])).toThrow(
      expect.objectContaining({ field: 'applicationState' }),
    );
  });

  test.each([
    ['behind a record', [record, 'state']],
    ['behind a position', [{ sequenceNumber: '12' }, 'state']],
    ['behind a sub-sequence number', ['12', 4, 'state']],
    ['where the record is undefined', [undefined, 'state']],
  ])('a state that is no bytes, which would be dropped: %s', (_, given) => {
    expect(() => readPrepare(given)).toThrow(
      expect.objectContaining({
        field: 'applicationState',
        got: '"state"',
        expected: 'bytes: a Uint8Array or a Buffer',
      }),
    );
  });

  test('checkpoint alone: a state', () => {
    expect(() => readCheckpoint([state])).toThrow(expect.objectContaining({ field: 'position' }));
  });
});
