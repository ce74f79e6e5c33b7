// The pieces of a stream, against streams that are written by hand.
import { PassThrough, Readable } from 'node:stream';
import { expect, it } from 'vitest';
import { piecesOf } from './stream-pieces.ts';

const PIECE_BYTES = 16 * 1024;
const piece = (value: number): Buffer => Buffer.alloc(PIECE_BYTES, value);

it('gives the pieces that wait one by one, as they came', async () => {
  const stream = new PassThrough();
  const pieces = piecesOf(stream);
  const first = pieces.next();
  const written = [1, 2, 3].map(piece);
  for (const each of written) stream.write(each);
  expect((await first).value).toBe(written[0]);
  expect((await pieces.next()).value).toBe(written[1]);
  expect((await pieces.next()).value).toBe(written[2]);
});

it('gives all that came before the end, and ends', async () => {
  const stream = new PassThrough();
  const pieces = piecesOf(stream);
  const read = (async () => {
    const values: number[] = [];
    for await (const [value = 0] of pieces) values.push(value);
    return values;
  })();
  for (let value = 0; value < 100; value += 1) stream.write(piece(value));
  stream.end();
  expect(await read).toEqual(Array.from({ length: 100 }, (_, value) => value));
});

it('reads no further than what may wait while nobody takes it', async () => {
  let readCount = 0;
  const stream = new Readable({
    highWaterMark: PIECE_BYTES,
    read() {
      readCount += 1;
      setImmediate(() => this.push(piece(readCount)));
    },
  });
  const pieces = piecesOf(stream);
  await pieces.next();
  await expect.poll(() => stream.isPaused()).toBe(true);
  const turns = Array.from({ length: 100 }, (_, turn) => turn);
  for (const _ of turns) await new Promise((resolve) => setImmediate(resolve));
  expect(readCount).toBeLessThan(10);
  for (const turn of turns) expect((await pieces.next()).value?.[0]).toBe(turn + 2);
});

it.each([
  ['breaks', new Error('broken')],
  ['is closed', undefined],
])('ends when the stream %s', async (_how, error) => {
  const stream = new PassThrough();
  const pieces = piecesOf(stream);
  const next = pieces.next();
  stream.destroy(error);
  expect(await next).toMatchObject({ done: true });
});

it('ends the stream when its reader goes', async () => {
  const stream = new PassThrough();
  const pieces = piecesOf(stream);
  const next = pieces.next();
  stream.write(piece(1));
  await next;
  await pieces.return(undefined);
  expect(stream.destroyed).toBe(true);
});
