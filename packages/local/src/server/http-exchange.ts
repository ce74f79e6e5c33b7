// One request and its answer, whether they came over HTTP/1.1 or HTTP/2: the few members of Node's two kinds of messages that
// the server uses, and the reading of a body within a size and a time.
import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import type { Clock } from '@shardline/common/base';
import { WireError } from './wire-error.ts';

/** http.IncomingMessage and http2.Http2ServerRequest. */
export interface HttpRequest extends Readable {
  readonly method?: string | undefined;
  /** Path and query. */
  readonly url?: string | undefined;
  readonly headers: IncomingHttpHeaders;
}

/** http.ServerResponse and http2.Http2ServerResponse. */
export interface HttpReply {
  readonly headersSent: boolean;
  setHeader(name: string, value: string): unknown;
  writeHead(status: number, headers: Readonly<Record<string, string | number>>): unknown;
  /** `onFlushed` is called once the bytes have left for the socket. */
  write(chunk: Uint8Array, onFlushed?: () => void): boolean;
  end(chunk?: Uint8Array): unknown;
  destroy(): unknown;
  on(event: 'drain' | 'close', listener: () => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
}

export interface BodyLimits {
  readonly maxBytes: number;
  readonly timeoutMs: number;
  /** Of the timeout: the system's, whatever the model's clock is. */
  readonly clock: Clock;
}

/**
 * The whole body. Too large a one is read no further than to its bound.
 * @throws WireError 413 RequestEntityTooLargeException, 408 RequestTimeoutException
 */
export function readBody(request: HttpRequest, { maxBytes, timeoutMs, clock }: BodyLimits): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let sizeBytes = 0;
    const tooLarge = (): WireError =>
      new WireError('RequestEntityTooLargeException', `A request may have at most ${maxBytes} bytes.`, 413);
    const finish = (settle: () => void): void => {
      cancel();
      request.removeListener('data', onData);
      // Every request closes some time; only before its end does that mean something.
      request.removeListener('close', onClose);
      settle();
    };
    const onClose = (): void => finish(() => reject(new WireError('RequestAbortedException', 'The client went away.')));
    const onData = (chunk: Buffer): void => {
      sizeBytes += chunk.length;
      if (sizeBytes > maxBytes) finish(() => reject(tooLarge()));
      else chunks.push(chunk);
    };
    const cancel = clock.setTimer(
      () => {
        const message = `The request was not complete within ${timeoutMs} ms.`;
        finish(() => reject(new WireError('RequestTimeoutException', message, 408)));
      },
      timeoutMs,
      false,
    );
    // An honest length spares the reading.
    if (Number(request.headers['content-length']) > maxBytes) {
      finish(() => reject(tooLarge()));
      return;
    }
    request.on('data', onData);
    request.once('end', () =>
      finish(() => resolve(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks))),
    );
    request.once('close', onClose);
    // What fails while a body is read is the connection: a reset, or an end before the body's.
    request.once('error', onClose);
  });
}
