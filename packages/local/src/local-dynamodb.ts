// The DynamoDB beside the local Kinesis: dynalite, in memory or in a folder, behind the same face. What it lacks is in the README. It is
// loaded on first use, because it brings a native part that no user of the Kinesis alone needs.
import { once } from 'node:events';
import type { Server } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { takeFolder } from './journal/folder-lock.ts';
import { clientConfigFor, endpointOf, type LocalClientConfig } from './local-kinesis.ts';
import { type LocalDynamoDBOptions, type ResolvedDynamoDBOptions, resolveDynamoDBOptions } from './options.ts';
import { RequestsInHand } from './requests-in-hand.ts';
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
/** What has been begun is answered in milliseconds. */
const ANSWER_WITHIN_MS = 5_000;

/**
 * Starts a DynamoDB in this process. Without a data folder its tables are gone when it is closed.
 * @throws UsageError for an option that cannot work, OperatingError PORT_IN_USE, DATA_IN_USE
 */
export async function startLocalDynamoDB(options: LocalDynamoDBOptions = {}): Promise<LocalDynamoDB> {
  const resolved = resolveDynamoDBOptions(options);
  const { createTableMs, deleteTableMs, updateTableMs, dataFolder } = resolved;
  const release = dataFolder === undefined ? undefined : takeFolder(dataFolder);
  const path = dataFolder === undefined ? {} : { path: join(dataFolder, 'tables') };
  const server = loadDynalite()({ createTableMs, deleteTableMs, updateTableMs, ...path });
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  const requests = new RequestsInHand(server);
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= closed(server, requests).finally(release);
    return closing;
  };
  try {
    const port = await listening(server, resolved);
    const endpoint = endpointOf(resolved.host, port);
    return { port, endpoint, clientConfig: clientConfigFor(endpoint), close, [Symbol.asyncDispose]: close };
  } catch (error) {
    release?.();
    throw error;
  }
}

interface DynaliteOptions {
  readonly createTableMs: number;
  readonly deleteTableMs: number;
  readonly updateTableMs: number;
  /** Of a LevelDB. */
  readonly path?: string;
}

/** CommonJS, and published without types. */
function loadDynalite(): (options: DynaliteOptions) => Server {
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

/** dynalite's own close calls back once its store is closed too, which it must not be under a request. */
async function closed(server: Server, requests: RequestsInHand): Promise<void> {
  await requests.end(ANSWER_WITHIN_MS);
  await new Promise<void>((resolve, reject) => {
    server.close((error) => (error ? reject(error) : resolve()));
    server.closeAllConnections();
  });
}
