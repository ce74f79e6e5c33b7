// What a socket says in another order than a server's, which sockets over a network do only now and then; the rest is in test/aws-shortcut.test.ts.
import { Duplex } from 'node:stream';
import { afterEach, expect, test, vi } from 'vitest';
import { Exchanges } from './aws-exchange.ts';

const ANSWER = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\n{}';

let exchanges: Exchanges;

afterEach(() => exchanges.destroy());

/** Connections whose answer comes with the first write; `tell` is given what tells Node that this has left. */
function connect(tell: (written: () => void) => void): Duplex[] {
  exchanges = new Exchanges({ maxSockets: 1, connectionTimeoutMs: 5_000, requestTimeoutMs: 5_000 });
  const sockets: Duplex[] = [];
  vi.spyOn(exchanges.agent, 'createConnection').mockImplementation(() => {
    const write = (written: () => void): void => {
      socket.push(ANSWER);
      tell(written);
    };
    const socket = new Duplex({
      read: () => undefined,
      write: (_chunk, _encoding, written) => write(written),
      writev: (_chunks, written) => write(written),
    });
    const self = (): Duplex => socket;
    sockets.push(Object.assign(socket, { setKeepAlive: self, setTimeout: self, ref: self, unref: self }));
    return socket;
  });
  return sockets;
}

function post(): Promise<{ readonly isAskedAway: boolean }> {
  const headers = ['host', 'a', 'connection', 'keep-alive', 'content-length', '4'];
  return exchanges.post({ secure: false, host: 'a', port: 1 }, headers, 'asks', undefined);
}

test('a connection is kept whose answer is read before Node tells that all has left', async () => {
  const sockets = connect((written) => setImmediate(written));
  for (let count = 0; count < 3; count++) expect((await post()).isAskedAway).toBe(true);
  expect(sockets.map(({ destroyed }) => destroyed)).toEqual([false]);
});

test('one by which the rest never leaves is not', async () => {
  const sockets = connect(() => undefined);
  for (let count = 0; count < 2; count++) expect((await post()).isAskedAway).toBe(false);
  expect(sockets.map(({ destroyed }) => destroyed)).toEqual([true, true]);
});
