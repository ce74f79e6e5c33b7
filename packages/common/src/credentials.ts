// Credentials that do not work at the moment, but may again: expired ones, and sources that cannot be asked. Looks at an SDK client's
// own credentials and asks for them anew, because the SDK keeps those without an expiry for ever. Decides no retry.
import type { Clock } from './clock.ts';

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

async function areTemporary(client: CredentialsOwner, clock: Clock): Promise<boolean> {
  const credentials = credentialsOf(client);
  if (credentials === undefined) return false;
  let cancel = (): void => undefined;
  // They were had a moment ago, for the call that was refused; a source that hangs now is not waited for.
  const tooLate = new Promise<undefined>((resolve) => {
    cancel = clock.setTimer(() => resolve(undefined), LONGEST_LOOK_MS);
  });
  try {
    return (await Promise.race([credentials({ forceRefresh: false }), tooLate]))?.sessionToken !== undefined;
  } catch {
    return true;
  } finally {
    cancel();
  }
}

function credentialsOf({ config }: CredentialsOwner): Credentials | undefined {
  const credentials = config?.credentials;
  return typeof credentials === 'function' ? (credentials as Credentials) : undefined;
}
