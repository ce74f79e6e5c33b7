// The Kinesis that a test or a developer starts: the model, a port in front of it, and the timers that let the model see time
// pass. Everything it opens it closes.
import { randomUUID } from 'node:crypto';
import { describe, systemClock, UsageError } from '@shardline/common/base';
import type { FileJournal } from './journal/file-journal.ts';
import { type OpenedJournal, openJournalFolder } from './journal/open-journal.ts';
import type { KinesisModel } from './model/index.ts';
import { type LocalKinesisOptions, type ResolvedKinesisOptions, resolveKinesisOptions } from './options.ts';
import { type Caller, DEFAULT_CALLER } from './server/caller.ts';
import { type MadeCertificate, makeCertificate } from './server/certificate.ts';
import { FaultsOfServer, type LocalFaults } from './server/faults/local-faults.ts';
import { type Listener, listen } from './server/listener.ts';
import { Models } from './server/models.ts';
import { handleRequest } from './server/request-handler.ts';
import type { VerifySignature } from './server/signature.ts';

/** What an SDK client needs to reach a local server: `new KinesisClient(local.clientConfig)`. */
export interface LocalClientConfig {
  readonly endpoint: string;
  readonly region: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

/** The same for its TLS port. With it the SDK's default handler verifies the certificate. */
export interface LocalTlsClientConfig extends LocalClientConfig {
  readonly requestHandler: { readonly nodeHttp2ConnectOptions: { readonly ca: string } };
}

/** Of a server that was started with a `tlsPort`. */
export interface LocalTls {
  readonly tlsPort: number;
  /** `https://…` */
  readonly tlsEndpoint: string;
  readonly tlsClientConfig: LocalTlsClientConfig;
  /** PEM, for clients to trust: the authority of the certificate that was made at start, or the certificate that was given. */
  readonly certificate: string;
}

export interface LocalKinesis extends AsyncDisposable, Partial<LocalTls> {
  readonly port: number;
  readonly endpoint: string;
  readonly clientConfig: LocalClientConfig;
  /** The streams themselves, those that a client with `clientConfig` sees: look at them, or split a shard, without a client. */
  readonly model: KinesisModel;
  /** The streams of another account or region. Default: account 000000000000, region us-east-1. */
  modelOf(place?: { readonly accountId?: string; readonly region?: string }): KinesisModel;
  /** Faults on demand: throttling, errors, lost answers, delays, broken connections. */
  readonly faults: LocalFaults;
  /**
   * Forgets all streams, consumers and records, ends all subscriptions, and makes the initial streams again. Faults are those
   * of the start again, and begin as at the start; requests that they hold are hung up on and never applied.
   */
  reset(): void;
  /** Stops listening and hangs up on every client. What is in the data folder stays. Idempotent. */
  close(): Promise<void>;
}

/** 500 records of 10 MiB together, as base64, with keys and names around them. */
const MAX_BODY_BYTES = 16 * 1024 * 1024;
const MAX_CONNECTIONS = 10_000;
const HOUSEKEEPING_MS = 60_000;

/**
 * Starts a Kinesis in this process.
 * @throws UsageError for an option that cannot work, OperatingError PORT_IN_USE, DATA_IN_USE, DATA_DAMAGED, DATA_VERSION,
 * DATA_UNAVAILABLE
 */
export function startLocalKinesis(
  options: LocalKinesisOptions & { readonly tlsPort: number },
): Promise<LocalKinesis & LocalTls>;
export function startLocalKinesis(options?: LocalKinesisOptions): Promise<LocalKinesis>;
export async function startLocalKinesis(options: LocalKinesisOptions = {}): Promise<LocalKinesis> {
  const resolved = resolveKinesisOptions(options);
  const data = openData(resolved);
  try {
    return await start(resolved, data);
  } catch (error) {
    await data?.close();
    throw error;
  }
}

function openData({ dataFolder, fsync, logger }: ResolvedKinesisOptions): OpenedJournal | undefined {
  return dataFolder === undefined ? undefined : openJournalFolder({ path: dataFolder, fsync, logger });
}

async function start(resolved: ResolvedKinesisOptions, data: OpenedJournal | undefined): Promise<LocalKinesis> {
  const timers = new Timers(resolved);
  const { port, host, clock, logger, requestTimeoutMs } = resolved;
  // Every option of the model is one of the server's, under the same name.
  const models = new Models(
    { ...resolved, tokenKey: data?.tokenKey ?? randomUUID(), onDue: (dueMs) => timers.settleAt(models, dueMs) },
    (model) => {
      createInitialStreams(model, resolved);
      model.trim(clock.wallNow());
    },
    data?.journal,
  );
  if (data !== undefined) models.restore(data.models);
  models.of(DEFAULT_CALLER);
  const faults = new FaultsOfServer(resolved);
  const reset = (): void => {
    faults.reset();
    for (const model of models.all()) model.clear();
    data?.journal.reset();
    for (const model of models.all()) createInitialStreams(model, resolved);
  };
  const admin = resolved.admin ? { faults, models, clock, logger, startedAt: systemClock.now(), reset } : undefined;
  const verifySignature = await verifierFor(resolved);
  const maxBodyBytes = MAX_BODY_BYTES;
  const whenSafe = (): Promise<void> | undefined => data?.journal.whenSafe();
  const service = { models, clock, logger, maxBodyBytes, requestTimeoutMs, whenSafe, verifySignature, faults, admin };
  const tls = tlsOf(resolved);
  const listener = await listen({
    port,
    host,
    tls,
    maxConnections: MAX_CONNECTIONS,
    requestTimeoutMs,
    handle: (request, reply) => handleRequest(service, request, reply),
  });
  timers.keepHouse(models, data?.journal);
  return localKinesis(resolved, models, listener, timers, faults, reset, tls?.authority, data);
}

/** The signer is loaded by who asks for it. */
async function verifierFor({ verifySignatures, clock }: ResolvedKinesisOptions): Promise<VerifySignature | undefined> {
  if (verifySignatures === undefined) return undefined;
  const { signatureVerifier } = await import('./server/signature.ts');
  return signatureVerifier(verifySignatures, clock);
}

/** The certificate is dated by the system's clock, as its readers are. */
function tlsOf({
  tlsPort,
  tlsCertificate,
  host,
}: ResolvedKinesisOptions): (MadeCertificate & { port: number }) | undefined {
  if (tlsPort === undefined) return undefined;
  const certificate = tlsCertificate && { ...tlsCertificate, authority: tlsCertificate.cert };
  return { ...(certificate ?? makeCertificate(host, systemClock.wallNow())), port: tlsPort };
}

/** The address under which a client on this machine reaches a server that listens on `host`. */
export function endpointOf(host: string, port: number, protocol: 'http' | 'https' = 'http'): string {
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `${protocol}://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`;
}

/** With credentials that the server takes: any will do where no secrets are given. */
export function clientConfigFor(endpoint: string, secrets?: ReadonlyMap<string, string>): LocalClientConfig {
  const [accessKeyId = 'local', secretAccessKey = 'local'] = [...(secrets ?? [])][0] ?? [];
  return { endpoint, region: DEFAULT_CALLER.region, credentials: { accessKeyId, secretAccessKey } };
}

function localKinesis(
  options: ResolvedKinesisOptions,
  models: Models,
  listener: Listener,
  timers: Timers,
  faults: FaultsOfServer,
  reset: () => void,
  certificate: string | undefined,
  data: OpenedJournal | undefined,
): LocalKinesis {
  const endpoint = endpointOf(options.host, listener.port);
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= (async () => {
      timers.cancelAll();
      faults.close();
      data?.journal.stop();
      for (const model of models.all()) model.clear();
      await listener.close();
      await data?.close();
    })();
    return closing;
  };
  return {
    port: listener.port,
    endpoint,
    clientConfig: clientConfigFor(endpoint, options.verifySignatures),
    ...tlsFace(options, listener.tlsPort, certificate),
    model: models.of(DEFAULT_CALLER),
    modelOf: (place = {}) => models.of(checkedPlace(place)),
    faults,
    reset,
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** @throws UsageError */
function checkedPlace(place: { readonly accountId?: string; readonly region?: string }): Caller {
  if (typeof place !== 'object' || place === null) {
    throw new UsageError('place', '{ accountId, region }', describe(place));
  }
  const { accountId = DEFAULT_CALLER.accountId, region = DEFAULT_CALLER.region } = place;
  if (!/^\d{12}$/.test(accountId)) throw new UsageError('accountId', '12 digits', describe(accountId));
  if (!/^[a-z0-9-]{1,64}$/.test(region)) throw new UsageError('region', 'a region such as us-east-1', describe(region));
  return { accountId, region };
}

function tlsFace(
  { host, verifySignatures }: ResolvedKinesisOptions,
  tlsPort: number | undefined,
  certificate: string | undefined,
): Partial<LocalTls> {
  if (tlsPort === undefined || certificate === undefined) return {};
  const tlsEndpoint = endpointOf(host, tlsPort, 'https');
  const requestHandler = { nodeHttp2ConnectOptions: { ca: certificate } };
  const tlsClientConfig = { ...clientConfigFor(tlsEndpoint, verifySignatures), requestHandler };
  return { tlsPort, tlsEndpoint, tlsClientConfig, certificate };
}

/** Initial streams are ACTIVE at once, whatever createStreamMs says. One that was restored stays as it is. */
function createInitialStreams(model: KinesisModel, { streams, clock, createStreamMs }: ResolvedKinesisOptions): void {
  const now = clock.wallNow();
  for (const { name, shardCount } of streams) {
    if (!model.has(name, now)) model.createStream({ name, shardCount }, now - createStreamMs);
  }
  model.settle(now);
}

/** Lets the model see time pass although nobody calls it. */
class Timers {
  readonly #options: ResolvedKinesisOptions;
  readonly #cancels: Set<() => void> = new Set();

  constructor(options: ResolvedKinesisOptions) {
    this.#options = options;
  }

  /** A subscriber hears of a shard's end when the split is due, not when someone next asks. */
  settleAt(models: Models, dueMs: number): void {
    const { clock } = this.#options;
    this.#once(dueMs - clock.wallNow(), () => {
      for (const model of models.all()) model.settle(clock.wallNow());
    });
  }

  /** Frees what has outlived its retention in streams that nobody touches. */
  keepHouse(models: Models, journal: FileJournal | undefined): void {
    this.#once(HOUSEKEEPING_MS, () => {
      const now = this.#options.clock.wallNow();
      for (const model of models.all()) {
        model.settle(now);
        model.trim(now);
      }
      journal?.keepHouse();
      this.keepHouse(models, journal);
    });
  }

  cancelAll(): void {
    for (const cancel of this.#cancels) cancel();
    this.#cancels.clear();
  }

  #once(delayMs: number, callback: () => void): void {
    const cancel = this.#options.clock.setTimer(
      () => {
        this.#cancels.delete(cancel);
        callback();
      },
      delayMs,
      false,
    );
    this.#cancels.add(cancel);
  }
}
