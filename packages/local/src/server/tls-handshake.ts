// Between a socket and HTTP, on the TLS port: shakes hands, with and without ALPN, and hands over what is decrypted. Who comes
// without TLS is told so in clear text. A client that is slow at it, or sends something else, is hung up on.
import type { Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { systemClock } from '@shardline/common/base';
import { onTlsPort, tellApart } from './first-bytes.ts';

export interface ServerCertificate {
  /** PEM: the server's certificate, then those that link it to the authority. */
  readonly cert: string;
  /** PEM. */
  readonly key: string;
}

/** A client need not agree on one: what it speaks is told by its first bytes. */
const ALPNProtocols = ['h2', 'http/1.1'];
const LINGER_MS = 1_000;
const NOT_TLS = 'This port speaks TLS: expected https://, got http://\n';

/** What to do with a connection to the TLS port: shake hands, and let `speakHttp` have what is decrypted. */
export function tlsHandshake(
  { cert, key }: ServerCertificate,
  timeoutMs: number,
  speakHttp: (socket: Socket) => void,
): (socket: Socket) => void {
  const handshakes = createTlsServer({ cert, key, ALPNProtocols });
  // Not its handshakeTimeout, which begins anew with every byte. The socket that it makes is known by its peer alone.
  const deadlines = new Map<string, () => void>();
  handshakes.on('secureConnection', (socket: TLSSocket) => {
    deadlines.get(peerOf(socket))?.();
    speakHttp(socket);
  });
  const shakeHands = (socket: Socket): void => {
    const peer = peerOf(socket);
    const cancel = systemClock.setTimer(() => socket.destroy(), timeoutMs, false);
    deadlines.set(peer, cancel);
    socket.once('close', () => {
      cancel();
      // By now the same peer may be here anew.
      if (deadlines.get(peer) === cancel) deadlines.delete(peer);
    });
    handshakes.emit('connection', socket);
  };
  return (socket) => {
    tellApart(socket, timeoutMs, onTlsPort, (told) => {
      // From here on nobody else listens: what fails ends in 'close'.
      socket.on('error', () => undefined);
      if (told === 'tls') shakeHands(socket);
      else if (told === 'cleartext') refuseCleartext(socket);
      else socket.destroy();
    });
  };
}

function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

/** An answer in HTTP/1.1, which a client of HTTP/2 shows as what it did not understand; then a hang-up. */
function refuseCleartext(socket: Socket): void {
  const head = ['HTTP/1.1 400 Bad Request', 'content-type: text/plain', `content-length: ${NOT_TLS.length}`];
  socket.end([...head, 'connection: close', '', NOT_TLS].join('\r\n'));
  // What the client still sends is read and dropped, or the answer might be lost to a reset.
  socket.resume();
  const cancel = systemClock.setTimer(() => socket.destroy(), LINGER_MS, false);
  socket.once('close', cancel);
}
