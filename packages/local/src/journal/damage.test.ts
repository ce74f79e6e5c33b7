// What a data folder looks like after something else than the journal wrote in it: the end that a sudden stop explains is cut
// off, with a warning; everything else is refused, with the file and the place, and the folder is left as it is.
import { isShardlineError, type Logger, type OperatingError, silentLogger } from '@shardline/common/base';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { startMs, World } from '../../test/journal-world.ts';
import { MemoryFolder } from '../../test/memory-folder.ts';

const records = [{ partitionKey: 'k', data: Buffer.alloc(100, 'x') }];

/** Two sealed segments and a last one, each with puts in it. */
function folderWithSegments(): { folder: MemoryFolder; names: string[]; putCount: number } {
  const folder = new MemoryFolder();
  const world = new World(folder, { model: { maxStoredBytesPerShard: 1e6, createStreamMs: 0 } });
  let putCount = 0;
  world.models[0]?.createStream({ name: 'orders' }, startMs);
  while (folder.names().length < 3) {
    world.models[0]?.putRecords({ streamName: 'orders', records }, startMs);
    putCount++;
  }
  for (let more = 0; more < 3; more++) world.models[0]?.putRecords({ streamName: 'orders', records }, startMs);
  return { folder: folder.copy(), names: folder.names().sort(), putCount: putCount + 3 };
}

function storedCount(folder: MemoryFolder, logger: Logger = silentLogger): number {
  const world = new World(folder, { logger, model: { maxStoredBytesPerShard: 1e6 } });
  return world.models[0]?.streams[0]?.shards[0]?.log.from(0).length ?? 0;
}

function refusal(folder: MemoryFolder): OperatingError {
  try {
    new World(folder);
  } catch (error) {
    if (isShardlineError(error)) return error as OperatingError;
    throw error;
  }
  throw new Error('it was not refused');
}

function listeningLogger(): { logger: Logger; warnings: { fields: object; message: string | undefined }[] } {
  const warnings: { fields: object; message: string | undefined }[] = [];
  const logger: Logger = {
    ...silentLogger,
    child: () => logger,
    warn: (fields, message) => void warnings.push({ fields, message }),
  };
  return { logger, warnings };
}

const { folder, names, putCount } = folderWithSegments();
const lastName = names.at(-1) ?? '';
const last = folder.read(lastName);
/** Of one put. */
const entryBytes = last.length - folder.read(lastName).lastIndexOf(Buffer.alloc(100, 'x'), last.length - 101) - 100;

function withLast(bytes: Buffer): MemoryFolder {
  const changed = folder.copy();
  changed.replace(lastName, bytes);
  return changed;
}

test.each([
  ['half an entry', last.subarray(0, last.length - 50), 1],
  ['all but the last byte of an entry', last.subarray(0, last.length - 1), 1],
  ['zeros after the last entry', Buffer.concat([last, Buffer.alloc(5_000)]), 0],
  ['garbage after the last entry', Buffer.concat([last, Buffer.from('garbage '.repeat(100))]), 0],
  ['the beginning of an entry', Buffer.concat([last, last.subarray(-entryBytes, -60)]), 0],
  ['an entry of another place', Buffer.concat([last, last.subarray(-entryBytes)]), 0],
  ['half an entry, then zeros', Buffer.concat([last.subarray(0, last.length - 50), Buffer.alloc(50)]), 1],
])('%s at the end of the last segment is cut off, with a warning that says how many bytes', (_, bytes, lostCount) => {
  const { logger, warnings } = listeningLogger();
  const torn = withLast(bytes);
  expect(storedCount(torn, logger)).toBe(putCount - lostCount);
  const cutBytes = bytes.length - last.length + lostCount * entryBytes;
  expect(warnings).toEqual([
    {
      fields: { file: `/memory/${lastName}`, offset: bytes.length - cutBytes, cutBytes },
      message: expect.stringContaining(`cut off ${cutBytes} bytes`),
    },
  ]);
  expect(torn.read(lastName).length).toBe(bytes.length - cutBytes);
  expect(storedCount(torn, logger)).toBe(putCount - lostCount);
  expect(warnings).toHaveLength(1);
});

test('a record that holds a copy of a journal is no entry when it is torn', () => {
  const inside = new MemoryFolder();
  const world = new World(inside, { segmentBytes: 1e6, model: { createStreamMs: 0 } });
  world.models[0]?.createStream({ name: 'orders' }, startMs);
  world.models[0]?.putRecords({ streamName: 'orders', records }, startMs);
  const [name = ''] = inside.names();
  const data = inside.read(name);
  const before = data.length;
  world.models[0]?.putRecords({ streamName: 'orders', records: [{ partitionKey: 'k', data }] }, startMs);
  inside.replace(name, inside.read(name).subarray(0, before + data.length));
  expect(storedCount(inside)).toBe(1);
});

test('any flipped bit is refused with the file, or cut off where only the very last entry can be meant', () => {
  fc.assert(
    fc.property(
      fc.nat(names.length - 1),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (at, place) => {
        const name = names[at] ?? '';
        const bytes = folder.read(name).length;
        const bit = Math.floor((place * bytes * 8) / 1_000_000);
        const flipped = folder.copy();
        flipped.flip(name, bit);
        if (name === lastName && bit / 8 >= bytes - entryBytes) {
          expect(storedCount(flipped)).toBe(putCount - 1);
          return;
        }
        const before = flipped.read(name);
        const { code, message, retryable } = refusal(flipped);
        expect(['DATA_DAMAGED', 'DATA_VERSION']).toContain(code);
        expect(message).toMatch(new RegExp(`^/memory/${name}: `));
        expect(retryable).toBe(false);
        expect(flipped.read(name)).toEqual(before);
      },
    ),
    { numRuns: 150 },
  );
});

test('any truncation of a sealed segment is refused, also between two entries', () => {
  const [sealed = ''] = names;
  const bytes = folder.read(sealed);
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), (length) => {
      const cut = folder.copy();
      cut.replace(sealed, bytes.subarray(0, length));
      expect(refusal(cut)).toMatchObject({
        code: 'DATA_DAMAGED',
        message: expect.stringContaining(`/memory/${sealed}: `),
      });
    }),
    { numRuns: 50 },
  );
  const whole = folder.copy();
  whole.replace(sealed, bytes.subarray(0, bytes.length - entryBytes));
  expect(refusal(whole).message).toContain(`it ends here, and was ${bytes.length} bytes long`);
});

test('a sealed segment that is missing is refused', () => {
  const without = folder.copy();
  without.remove(names[1] ?? '');
  expect(refusal(without)).toMatchObject({ code: 'DATA_DAMAGED', message: expect.stringContaining('is missing') });
});

test('a segment under the name of another is refused', () => {
  const renamed = folder.copy();
  renamed.rename(lastName, 'journal-12345678');
  expect(refusal(renamed)).toMatchObject({ code: 'DATA_DAMAGED', message: expect.stringContaining('it is segment') });
});

test('a folder of a later version is refused by its number', () => {
  const later = folder.copy();
  const bytes = folder.read(lastName);
  bytes.writeUInt16LE(7, 18);
  later.replace(lastName, bytes);
  const { code, message } = refusal(later);
  expect(code).toBe('DATA_VERSION');
  expect(message).toContain('expected a data folder of version 1, got one of version 7');
});

test('a file that is no segment is refused under the name of one, and left alone under any other', () => {
  const strange = folder.copy();
  strange.replace(lastName, Buffer.from('hello'));
  expect(refusal(strange)).toMatchObject({ code: 'DATA_DAMAGED' });
  const beside = folder.copy();
  beside.open('notes.txt', 'create').write(Buffer.from('hello'), 0);
  beside.open('journal-00000000', 'create').write(Buffer.from('left over'), 0);
  expect(storedCount(beside)).toBe(putCount);
  expect(beside.names().sort()).toEqual([...names, 'notes.txt']);
});
