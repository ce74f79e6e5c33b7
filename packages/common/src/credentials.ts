// Credentials that do not work at the moment, but may again: expired ones, and sources that fail or hang. Looks at an SDK client's
// own credentials and asks for them anew, because the SDK keeps those without an expiry for ever. Decides no retry.
// Invariant: each wait for a source is bounded. The SDK's own is not: a call whose source hangs looks at no signal and has no timeout.
import { classifyAwsError, httpStatusOf } from './aws-client.ts';
import { type Clock, setPatientTimer } from './clock.ts';

/** What of an SDK client matters here. A client of the user's making may have none of it. */
export interface CredentialsOwner {
  readonly config?: { readonly credentials?: unknown };
}

type Credentials = (options: { forceRefresh: boolean }) => Promise<{ readonly sessionToken?: string } | undefined>;

/** The source itself failed: the instance's metadata, SSO, a web identity. */
const sourceCodes: ReadonlySet<string> = new Set(['CredentialsProviderError', 'TokenProviderError']);
/** The service does not know the key, or no longer: final for a lasting key, the end of its time for a temporary one. */
const unknownKeyCodes: ReadonlySet<string> = new Set([
  'UnrecognizedClientException',
  'InvalidClientTokenId',
  'InvalidSignatureException',
]);

const REFRESH_INTERVAL_MS = 5_000;
const LONGEST_LOOK_MS = 1_000;
/** Of a call's time, for its credentials. Well above what a role or SSO takes, and seconds, so that an operator is told soon. */
const LONGEST_WAIT_MS = 5_000;
const refreshedAt = new WeakMap<object, number>();

/** By the service's name for the failure: it does not know the key, or the signature is not made with its secret. */
export function isUnknownKey(code: string): boolean {
  return unknownKeyCodes.has(code);
}

/** Whether a call was refused for credentials that may be better soon. */
export async function mayBeRenewed(code: string, client: CredentialsOwner, clock: Clock): Promise<boolean> {
  if (sourceCodes.has(code)) return true;
  return isUnknownKey(code) && (await areTemporary(client, clock));
}

/** Has the client ask its source again, but not all the time; what comes of it the next call shows. */
export function renewCredentials(client: CredentialsOwner, clock: Clock): void {
  const credentials = credentialsOf(client);
  const now = clock.now();
  if (credentials === undefined || now < (refreshedAt.get(client) ?? Number.NEGATIVE_INFINITY) + REFRESH_INTERVAL_MS)
    return;
  refreshedAt.set(client, now);
  credentials({ forceRefresh: true }).catch(() => undefined);
}

/**
 * Whether there are none now, for a call that failed: its source fails, or hangs. A source that fails throws what it likes; that the call
 * never had an answer of the service is all that can be seen of it.
 */
export async function cannotBeHad(error: unknown, client: CredentialsOwner, clock: Clock): Promise<boolean> {
  const { kind } = classifyAwsError(error);
  if ((kind !== 'transient' && kind !== 'unknown') || httpStatusOf(error) !== undefined) return false;
  const found = await look(client, clock, LONGEST_LOOK_MS);
  return found === 'failed' || found === 'hangs';
}

/**
 * Beside a call: calls back, once, when its source of credentials has not answered for a part of the call's time, 5 s at most. The SDK has all
 * that ask wait for one answer, so asking again is a look at that wait. The returned function cancels.
 */
export function setCredentialsTimer(
  client: CredentialsOwner,
  clock: Clock,
  callTimeoutMs: number,
  onHanging: (waitedMs: number) => void,
): () => void {
  if (credentialsOf(client) === undefined) return () => undefined;
  const boundMs = Math.min(LONGEST_WAIT_MS, callTimeoutMs / 2);
  const lookMs = Math.min(LONGEST_LOOK_MS, boundMs / 5);
  let isOver = false;
  const begin = async (): Promise<void> => {
    const found = await look(client, clock, lookMs);
    if (!isOver && found === 'hangs') onHanging(boundMs);
  };
  const cancel = setPatientTimer(clock, () => void begin(), boundMs - lookMs);
  return () => {
    isOver = true;
    cancel();
  };
}

async function areTemporary(client: CredentialsOwner, clock: Clock): Promise<boolean> {
  // They were had a moment ago, for the call that was refused; a source that hangs now is not waited for.
  const found = await look(client, clock, LONGEST_LOOK_MS);
  return found === 'failed' || (typeof found === 'object' && found.sessionToken !== undefined);
}

/** What the source says within that time. Undefined: the client has none that can be asked. Never rejects. */
async function look(
  client: CredentialsOwner,
  clock: Clock,
  lookMs: number,
): Promise<Awaited<ReturnType<Credentials>> | 'failed' | 'hangs'> {
  const credentials = credentialsOf(client);
  if (credentials === undefined) return undefined;
  let cancel = (): void => undefined;
  const tooLate = new Promise<'hangs'>((resolve) => {
    cancel = setPatientTimer(clock, () => resolve('hangs'), lookMs);
  });
  try {
    return await Promise.race([credentials({ forceRefresh: false }), tooLate]);
  } catch {
    return 'failed';
  } finally {
    cancel();
  }
}

function credentialsOf({ config }: CredentialsOwner): Credentials | undefined {
  const credentials = config?.credentials;
  return typeof credentials === 'function' ? (credentials as Credentials) : undefined;
}
