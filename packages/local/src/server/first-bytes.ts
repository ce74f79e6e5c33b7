// What a connection speaks, told by its first bytes before anybody parses them: HTTP/1.1 or HTTP/2 (the SDKs for JavaScript
// and Java open it by prior knowledge, and the one for Java even over TLS without naming it in ALPN), and on the TLS port
// whether it is TLS at all. Silent clients are hung up on.
import type { Socket } from 'node:net';
import { systemClock } from '@shardline/common/base';

export type HttpVersion = 'http1' | 'http2';
export type OnTlsPort = 'tls' | 'cleartext' | 'garbage';

const HTTP2_PREFACE = 'PRI * HTTP/2.0\r\n';
/** The first byte of a record of the TLS handshake. */
const TLS_HANDSHAKE = 0x16;

/** Undefined until there are bytes enough. */
export function httpVersionOf(seen: Buffer): HttpVersion | undefined {
  const start = seen.toString('latin1', 0, HTTP2_PREFACE.length);
  if (start === HTTP2_PREFACE) return 'http2';
  return HTTP2_PREFACE.startsWith(start) ? undefined : 'http1';
}

/** HTTP of either version, in clear text, begins with a method in capitals. */
export function onTlsPort(seen: Buffer): OnTlsPort | undefined {
  const [first] = seen;
  if (first === undefined) return undefined;
  if (first === TLS_HANDSHAKE) return 'tls';
  return first >= 0x41 && first <= 0x5a ? 'cleartext' : 'garbage';
}

/** Reads as many bytes as `tell` needs, puts them back, and calls `take` once, with the socket paused. */
export function tellApart<T>(
  socket: Socket,
  timeoutMs: number,
  tell: (seen: Buffer) => T | undefined,
  take: (told: T) => void,
): void {
  const cancel = systemClock.setTimer(() => socket.destroy(), timeoutMs, false);
  const onError = (): void => void socket.destroy();
  let seen: Buffer = Buffer.alloc(0);
  const onData = (chunk: Buffer): void => {
    seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
    const told = tell(seen);
    if (told === undefined) return;
    cancel();
    socket.removeListener('close', cancel);
    socket.removeListener('data', onData);
    socket.removeListener('error', onError);
    socket.pause();
    socket.unshift(seen);
    take(told);
  };
  socket.on('error', onError);
  socket.on('data', onData);
  socket.once('close', cancel);
}
