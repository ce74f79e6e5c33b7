// A stream's bytes in the pieces that they came in: Node's own iterator of a stream joins all that wait, which copies each byte once more, into
// memory that the collector has to follow.
// Invariant: of what nobody takes no more than two bounds wait here and in the stream, and then the socket is not read.
import type { Readable } from 'node:stream';

/** Four frames of HTTP/2, or what a socket gives at once. */
const MOST_WAITING_BYTES = 64 * 1024;

/** Ends with the stream, in whichever way it does; who goes away ends the stream. */
export async function* piecesOf(stream: Readable): AsyncGenerator<Uint8Array, undefined> {
  const waiting: Uint8Array[] = [];
  let waitingBytes = 0;
  let isOver = stream.destroyed;
  let wake = (): void => undefined;
  const end = (): void => {
    isOver = true;
    wake();
  };
  stream.on('data', (piece: Uint8Array) => {
    waiting.push(piece);
    waitingBytes += piece.length;
    if (waitingBytes >= MOST_WAITING_BYTES) stream.pause();
    wake();
  });
  stream.once('end', end).once('error', end).once('close', end);
  try {
    for (;;) {
      for (let piece = waiting.shift(); piece !== undefined; piece = waiting.shift()) {
        waitingBytes -= piece.length;
        yield piece;
      }
      if (isOver) return undefined;
      const more = new Promise<void>((resolve) => {
        wake = resolve;
      });
      if (stream.isPaused()) stream.resume();
      await more;
    }
  } finally {
    stream.destroy();
  }
}
