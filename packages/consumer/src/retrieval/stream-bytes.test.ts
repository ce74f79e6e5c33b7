// The bytes of a stream, against streams that are written by hand.
import { PassThrough, Readable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytesOf } from './stream-bytes.ts';

const PIECE_BYTES = 16 * 1024;
const piece = (value: number): Buffer => Buffer.alloc(PIECE_BYTES, value);

describe('the bytes of a stream', () => {
  it('go where they are wanted, however they come and however many are asked for at once', async () => {
    const lengths = fc.array(fc.nat(2_000), { maxLength: 20 });
    const asked = fc.array(fc.integer({ min: 1, max: 3_000 }), { minLength: 1, maxLength: 10 });
    await fc.assert(
      fc.asyncProperty(lengths, asked, fc.boolean(), async (written, wanted, isLate) => {
        const all = Buffer.from(
          Array.from({ length: written.reduce((sum, length) => sum + length, 0) }, (_, at) => at),
        );
        const stream = new PassThrough();
        const bytes = bytesOf(stream);
        const write = async (): Promise<void> => {
          let from = 0;
          for (const length of written) {
            stream.write(all.subarray(from, from + length));
            from += length;
            if (isLate) await new Promise((resolve) => setImmediate(resolve));
          }
          stream.end();
        };
        const writing = write();
        const read: Buffer[] = [];
        for (let turn = 0; ; turn += 1) {
          const target = Buffer.alloc(wanted[turn % wanted.length] as number);
          const length = await bytes.readInto(target);
          read.push(target.subarray(0, length));
          if (length < target.length) break;
        }
        await writing;
        expect(Buffer.concat(read)).toEqual(all);
      }),
    );
  });

  it('are over when it breaks, and say why', async () => {
    const stream = new PassThrough();
    const bytes = bytesOf(stream);
    stream.write(piece(1));
    const failure = new Error('Protocol error');
    setImmediate(() => stream.destroy(failure));
    expect(bytes.failure).toBeUndefined();
    expect(await bytes.readInto(Buffer.alloc(2 * PIECE_BYTES))).toBe(PIECE_BYTES);
    expect(bytes.failure).toBe(failure);
  });

  it('are read no further than what may wait while nobody wants them', async () => {
    let readCount = 0;
    const stream = new Readable({
      highWaterMark: PIECE_BYTES,
      read() {
        readCount += 1;
        setImmediate(() => this.push(piece(readCount)));
      },
    });
    const bytes = bytesOf(stream);
    const target = Buffer.alloc(PIECE_BYTES);
    await bytes.readInto(target);
    await expect.poll(() => stream.isPaused()).toBe(true);
    const turns = Array.from({ length: 100 }, (_, turn) => turn);
    for (const _ of turns) await new Promise((resolve) => setImmediate(resolve));
    expect(readCount).toBeLessThan(10);
    for (const turn of turns) {
      await bytes.readInto(target);
      expect(target).toEqual(piece(turn + 2));
    }
  });

  it.each([
    ['breaks', new Error('broken')],
    ['is closed', undefined],
  ])('end when the stream %s, with those that came', async (_how, error) => {
    const stream = new PassThrough();
    const bytes = bytesOf(stream);
    const reading = bytes.readInto(Buffer.alloc(2 * PIECE_BYTES));
    stream.write(piece(1));
    await expect.poll(() => stream.readableLength).toBe(0);
    stream.destroy(error);
    expect(await reading).toBe(PIECE_BYTES);
    expect(await bytes.readInto(Buffer.alloc(1))).toBe(0);
  });

  it('of another kind than a stream are read as well, no further than they are wanted', async () => {
    let given = 0;
    async function* pieces(): AsyncGenerator<Uint8Array> {
      for (; given < 100; given += 1) yield piece(given);
    }
    const bytes = bytesOf(pieces());
    const target = Buffer.alloc(PIECE_BYTES);
    for (let value = 0; value < 50; value += 1) {
      expect(await bytes.readInto(target)).toBe(PIECE_BYTES);
      expect(target).toEqual(piece(value));
      expect(given - value).toBeLessThan(10);
    }
  });

  it('are over once their reader goes', async () => {
    const stream = new PassThrough();
    const bytes = bytesOf(stream);
    stream.write(piece(1));
    await bytes.readInto(Buffer.alloc(1));
    bytes.close();
    expect(stream.destroyed).toBe(true);
  });
});
