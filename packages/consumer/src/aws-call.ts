// Every call to Kinesis and DynamoDB goes through here: it bounds the call's time, and within it that for credentials, ends it when its owner is closed or its
// tenure aborted, and turns the SDK's error into an operating error that names the action (as an IAM policy writes it) and
// the resource, as the service's refusal names them if it does. It decides no retry; the core does. A failed condition of the lease table passes through as it is.
import {
  type Clock,
  type CredentialsOwner,
  cannotBeHad,
  classifyAwsError,
  isShardlineError,
  isUnknownKey,
  mayBeRenewed,
  messageOfAwsError,
  type OperatingCode,
  OperatingError,
  renewCredentials,
  setCredentialsTimer,
  setPatientTimer,
  systemClock,
} from '@shardline/common';

export interface AwsCallsOptions {
  /** The SDK client that makes the calls. */
  readonly client: CredentialsOwner;
  /** The longest a call may take, the SDK's own retries included, ms. */
  readonly timeoutMs: number;
  /** For messages: `table billing`, `stream orders`. */
  readonly resource: string;
  /** What a missing resource means, and what any other failure is. */
  readonly codes: { readonly notFound: OperatingCode; readonly failed: OperatingCode };
  /** The calls wait for more of an answer that is coming: they need no credentials. Default false. */
  readonly areOfAnswer?: boolean;
  readonly clock?: Clock;
}

/** What the SDK's `send` takes. */
export interface SendOptions {
  readonly abortSignal: AbortSignal;
}

/** Of a lasting key; one for a time has come to its end. */
export const KEY_NOT_ACCEPTED = 'the AWS credentials are not accepted: the key id or the secret is wrong';

export class AwsCalls {
  readonly #options: AwsCallsOptions;
  readonly #clock: Clock;
  /** What ends each call under way. */
  readonly #running = new Set<(reason: unknown) => void>();
  #closed = false;

  constructor(options: AwsCallsOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /**
   * Runs one call. `action` as in an IAM policy, such as `dynamodb:UpdateItem`.
   * @throws OperatingError; the signal's reason when it was aborted; the SDK's ConditionalCheckFailedException as it is.
   */
  async call<T>(action: string, send: (options: SendOptions) => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (this.#closed) throw this.#closedError(action);
    signal?.throwIfAborted();
    const { client, timeoutMs, resource, areOfAnswer } = this.#options;
    const controller = new AbortController();
    let end = (_reason: unknown): void => undefined;
    // The SDK does not look at the signal while it waits between its own retries.
    const ended = new Promise<T>((resolve, reject) => {
      end = (reason) => {
        controller.abort(reason);
        reject(reason);
      };
      send({ abortSignal: controller.signal }).then(resolve, reject);
    });
    const onAbort = (): void => end(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    // Of a process that was stopped, or whose handler had the event loop: what was answered meanwhile is not given up.
    const cancelTimer = setPatientTimer(
      this.#clock,
      () => {
        const message = `${action} on ${resource} took longer than ${timeoutMs} ms`;
        end(new OperatingError('TIMEOUT', message, { retryable: true, action, resource }));
      },
      timeoutMs,
    );
    const onHanging = (waitedMs: number): void => {
      const why = `was not sent: the source of the AWS credentials has not answered for ${waitedMs} ms`;
      const about = { retryable: true, action, resource };
      end(new OperatingError('CREDENTIALS_UNAVAILABLE', `${action} on ${resource} ${why}`, about));
    };
    const cancelCredentialsTimer =
      areOfAnswer === true ? () => undefined : setCredentialsTimer(client, this.#clock, timeoutMs, onHanging);
    this.#running.add(end);
    try {
      return await ended;
    } catch (error) {
      throw controller.signal.aborted ? controller.signal.reason : await this.translate(error, action);
    } finally {
      this.#running.delete(end);
      cancelTimer();
      cancelCredentialsTimer();
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** Ends all running calls and refuses new ones. */
  close(): void {
    this.#closed = true;
    for (const end of this.#running) end(this.#closedError('the call'));
  }

  #closedError(action: string): OperatingError {
    return new OperatingError('CLOSED', `${action} on ${this.#options.resource}: closed`, { retryable: false });
  }

  /** What `call` throws for what the service said: for who reads of a failure in an answer. */
  async translate(error: unknown, action: string): Promise<unknown> {
    if (isShardlineError(error)) return error;
    const { kind, code } = classifyAwsError(error);
    const { client, resource, codes } = this.#options;
    const failure = (operating: OperatingCode, text: string, retryable: boolean): OperatingError =>
      new OperatingError(operating, `${action} on ${resource} ${text} (${code}: ${messageOfAwsError(error)})`, {
        retryable,
        cause: error,
        ...(deniedIn(messageOf(error)) ?? { action, resource }),
      });
    if (kind === 'expired-credentials' || (await mayBeRenewed(code, client, this.#clock))) {
      renewCredentials(client, this.#clock);
      return failure('CREDENTIALS_UNAVAILABLE', 'was refused: the AWS credentials have expired or cannot be had', true);
    }
    if (await cannotBeHad(error, client, this.#clock))
      return failure('CREDENTIALS_UNAVAILABLE', 'was not sent: the AWS credentials cannot be had', true);
    switch (kind) {
      case 'condition-failed':
        return error;
      case 'throttled':
        return failure('THROTTLED', 'was throttled', true);
      case 'not-found':
        return failure(codes.notFound, 'found nothing', false);
      case 'access-denied':
        if (isUnknownKey(code)) return failure('ACCESS_DENIED', `was refused: ${KEY_NOT_ACCEPTED}`, false);
        return code.startsWith('KMS') && code !== 'KMSAccessDeniedException'
          ? failure('KEY_UNUSABLE', "failed: the stream's KMS key cannot be used", false)
          : failure('ACCESS_DENIED', 'is not allowed', false);
      case 'invalid':
        return failure(codes.failed, 'was refused', false);
      case 'transient':
      case 'unknown':
        return failure(codes.failed, 'failed', true);
      default:
        return kind satisfies never;
    }
  }
}

/** What a refusal of IAM says was not allowed: it may be another action than the call, as the use of a key. */
function deniedIn(message: string): { readonly action: string; readonly resource: string } | undefined {
  const found = /not authorized to perform: ([\w-]+:[\w*]+) on (?:the )?resource:? (\S+)/.exec(message);
  return found === null ? undefined : { action: found[1] as string, resource: found[2] as string };
}

/** The service's name for what failed, through the operating error that wraps it: `ValidationException`. */
export function awsCodeOf(error: unknown): string {
  return classifyAwsError(error instanceof Error && error.cause !== undefined ? error.cause : error).code;
}

/** What was thrown, in its own words. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
