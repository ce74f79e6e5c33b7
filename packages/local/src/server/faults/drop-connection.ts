// How a connection breaks: a reset on the socket, as the client sees it when a machine or a load balancer between it and AWS
// dies, or the reset of one HTTP/2 stream.
import { constants, type Http2Session, type ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import type { HttpReply } from '../http-exchange.ts';
import type { Breakage } from './fault-rule.ts';

/** What the two kinds of Node's answers have beside HttpReply. */
interface Carried {
  /** Of HTTP/2. Node's type says that it is there; it is not once the stream has closed. */
  readonly stream?: ServerHttp2Stream | undefined;
  /** Null once it is closed. */
  readonly socket?: Socket | null | undefined;
}

export function dropConnection(reply: HttpReply, by: Breakage): void {
  const { stream, socket } = reply as Carried;
  if (stream === undefined) {
    breakSocket(socket);
  } else if (by === 'stream') {
    // Not while Node reads from the session: Node 24 would send the stream's regular end before the reset.
    setImmediate(() => stream.close(constants.NGHTTP2_INTERNAL_ERROR));
  } else {
    breakSession(stream.session);
  }
}

/** Drops it once these last bytes have left. */
export function writeThenDrop(reply: HttpReply, last: Uint8Array, by: Breakage): void {
  if (last.length === 0) {
    dropConnection(reply, by);
    return;
  }
  const { stream } = reply as Carried;
  reply.write(last, () => {
    // A client throws away what it has not read of a stream that is reset; a ping gives it a turn to read.
    const pinged = by === 'stream' && stream?.session?.ping(() => dropConnection(reply, by));
    if (pinged !== true) dropConnection(reply, by);
  });
}

function breakSession(session: Http2Session | undefined): void {
  if (session === undefined || session.destroyed || session.socket.destroyed) return;
  if (isTls(session.socket)) session.destroy();
  else session.socket.resetAndDestroy();
}

function breakSocket(socket: Socket | null | undefined): void {
  if (socket === null || socket === undefined || socket.destroyed) return;
  if (isTls(socket)) socket.destroy();
  else socket.resetAndDestroy();
}

/** It has no way to reset; it closes without TLS's own goodbye, which clients take for the same. */
function isTls(socket: Socket): boolean {
  return (socket as { readonly encrypted?: boolean }).encrypted === true;
}
