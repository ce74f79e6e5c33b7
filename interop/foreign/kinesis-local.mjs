// @ts-check
// kinesis-local on a free port of the loopback. Prints {"port": N} once it listens, and ends with its standard input. It knows no
// setting for the interface and listens on every one, so the address is put in where it calls Node. It dies without the path of its
// certificate, and listens for TLS as well: on the loopback, too, and asked by nobody.
import { createRequire } from 'node:module';
import { Server } from 'node:net';
import { dirname, join } from 'node:path';

const require = createRequire(import.meta.url);
const script = require.resolve('kinesis-local');
/** What it is told its ports are: only to know which one it asks for. */
const plain = 1;
const tls = 2;
const listen = Server.prototype.listen;

/**
 * @this {Server}
 * @param {number} asked
 * @param {() => void} listening
 */
function listenOnLoopback(asked, listening) {
  if (asked === plain) this.once('listening', () => sayPort(this));
  return listen.call(this, 0, '127.0.0.1', listening);
}
// Of the many forms of `listen` this is the one that it calls.
Object.assign(Server.prototype, { listen: listenOnLoopback });

/** @param {Server} server */
function sayPort(server) {
  const address = server.address();
  if (address !== null && typeof address === 'object') console.log(JSON.stringify({ port: address.port }));
}

Object.assign(process.env, {
  SHARD_LIMIT: '500',
  LOG_LEVEL: 'ERROR',
  KINESIS_MOCK_CERT_PATH: join(dirname(script), 'server.json'),
  KINESIS_MOCK_PLAIN_PORT: plain,
  KINESIS_MOCK_TLS_PORT: tls,
});
process.stdin.once('end', () => process.exit()).resume();
require(script);
