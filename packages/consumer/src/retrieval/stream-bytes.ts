// A stream's bytes, read to where they are wanted: whoever knows how many come next says where they go, and each piece is copied there as it
// comes. Node's own iterator of a stream joins all that wait, which copies each byte once more, and wakes its reader for every piece.
// Invariant: of what nobody has asked for no more than two bounds wait here and in the stream, and then the socket is not read.
import { Readable } from 'node:stream';

/** Four frames of HTTP/2, or what a socket gives at once. */
const MOST_WAITING_BYTES = 64 * 1024;

/** One reads at a time. */
export interface Bytes {
  /** Fills the target. @returns how many bytes it has; fewer only if the stream is over, in whichever way. */
  readInto(target: Uint8Array): number | Promise<number>;
  /** Why the stream is over, if it broke. */
  readonly failure: Error | undefined;
  /** Ends the stream. */
  close(): void;
}

/** @param body of whatever transport the client has; Node's are streams. */
export function bytesOf(body: AsyncIterable<Uint8Array>): Bytes {
  return new StreamBytes(body instanceof Readable ? body : Readable.from(body, { highWaterMark: 1 }));
}

class StreamBytes implements Bytes {
  readonly #stream: Readable;
  /** Nobody has asked for them yet. */
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #isOver: boolean;
  #failure: Error | undefined;
  /** What is to be filled, as far as it is; undefined: nobody waits. */
  #target: Uint8Array | undefined;
  #filledBytes = 0;
  #filled: (bytes: number) => void = () => undefined;

  constructor(stream: Readable) {
    this.#stream = stream;
    this.#isOver = stream.destroyed;
    const end = (): void => {
      this.#isOver = true;
      if (this.#target !== undefined) this.#tell();
    };
    stream.on('data', (piece: Uint8Array) => this.#take(piece));
    stream.once('end', end).once('close', end);
    stream.once('error', (error) => {
      this.#failure = error;
      end();
    });
  }

  get failure(): Error | undefined {
    return this.#failure;
  }

  readInto(target: Uint8Array): number | Promise<number> {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#target = target;
    this.#filledBytes = 0;
    for (const piece of waiting) this.#fill(piece);
    if (this.#filledBytes === target.length || this.#isOver) {
      this.#target = undefined;
      return this.#filledBytes;
    }
    if (this.#stream.isPaused()) this.#stream.resume();
    return new Promise((resolve) => {
      this.#filled = resolve;
    });
  }

  close(): void {
    this.#waiting = [];
    this.#stream.destroy();
  }

  #take(piece: Uint8Array): void {
    const target = this.#target;
    this.#fill(piece);
    if (target !== undefined && this.#filledBytes === target.length) this.#tell();
    if (this.#waitingBytes >= MOST_WAITING_BYTES) this.#stream.pause();
  }

  /** What there is no place for waits. */
  #fill(piece: Uint8Array): void {
    const room = this.#target === undefined ? 0 : this.#target.length - this.#filledBytes;
    if (room > 0) {
      this.#target?.set(piece.length <= room ? piece : piece.subarray(0, room), this.#filledBytes);
      this.#filledBytes += Math.min(room, piece.length);
    }
    if (piece.length <= room) return;
    const rest = room > 0 ? piece.subarray(room) : piece;
    this.#waiting.push(rest);
    this.#waitingBytes += rest.length;
  }

  #tell(): void {
    this.#target = undefined;
    this.#filled(this.#filledBytes);
  }
}
