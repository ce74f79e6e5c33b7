// The DynamoDB beside the local Kinesis: dynalite, in memory, behind the same face. What it lacks is in the README. It is
// loaded on first use, because it brings a native part that no user of the Kinesis alone needs.
import { once } from 'node:events';
import type { Server } from 'node:http';
import { createRequire } from 'node:module';
import { clientConfigFor, endpointOf, type LocalClientConfig } from './local-kinesis.ts';
import { type LocalDynamoDBOptions, type ResolvedDynamoDBOptions, resolveDynamoDBOptions } from './options.ts';
import { bindError } from './server/listener.ts';

export interface LocalDynamoDB extends AsyncDisposable {
  readonly port: number;
  readonly endpoint: string;
  readonly clientConfig: LocalClientConfig;
  /** Stops listening and hangs up on every client. Idempotent. */
  close(): Promise<void>;
}

/** Longer than the SDKs keep an idle connection: Node's 5 s close it under a request now and then. */
const KEEP_ALIVE_MS = 180_000;

/**
 * Starts a DynamoDB in this process. Its tables are gone when it is closed.
 * @throws UsageError for an option that cannot work, OperatingError PORT_IN_USE
 */
export async function startLocalDynamoDB(options: LocalDynamoDBOptions = {}): Promise<LocalDynamoDB> {
  const resolved = resolveDynamoDBOptions(options);
  const { createTableMs, deleteTableMs, updateTableMs } = resolved;
  const server = loadDynalite()({ createTableMs, deleteTableMs, updateTableMs });
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  const port = await listening(server, resolved);
  const endpoint = endpointOf(resolved.host, port);
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= closed(server);
    return closing;
  };
  return { port, endpoint, clientConfig: clientConfigFor(endpoint), close, [Symbol.asyncDispose]: close };
}

/** CommonJS, and published without types. */
function loadDynalite(): (options: { createTableMs: number; deleteTableMs: number; updateTableMs: number }) => Server {
  return createRequire(import.meta.url)('dynalite');
}

async function listening(server: Server, { port, host }: ResolvedDynamoDBOptions): Promise<number> {
  server.listen(port, host);
  try {
    await once(server, 'listening');
  } catch (error) {
    throw bindError(error as NodeJS.ErrnoException, port, host);
  }
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : port;
}

/** dynalite's own close calls back once its store is closed too. */
function closed(server: Server): Promise<void> {
  return new Promise((resolve, reject) => {
    server.close((error) => (error ? reject(error) : resolve()));
    server.closeAllConnections();
  });
}
