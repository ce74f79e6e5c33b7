// Every call to Kinesis and DynamoDB goes through here: it bounds the call's time, ends it when its owner is closed or its
// tenure aborted, and turns the SDK's error into an operating error that names the action (as an IAM policy writes it) and
// the resource. It decides no retry; the core does. A failed condition of the lease table passes through as it is.
import {
  type Clock,
  classifyAwsError,
  isShardlineError,
  type OperatingCode,
  OperatingError,
  systemClock,
} from '@shardline/common';

export interface AwsCallsOptions {
  /** The longest a call may take, the SDK's own retries included, ms. */
  readonly timeoutMs: number;
  /** For messages: `table billing`, `stream orders`. */
  readonly resource: string;
  /** What a missing resource means, and what any other failure is. */
  readonly codes: { readonly notFound: OperatingCode; readonly failed: OperatingCode };
  readonly clock?: Clock;
}

/** What the SDK's `send` takes. */
export interface SendOptions {
  readonly abortSignal: AbortSignal;
}

export class AwsCalls {
  readonly #options: AwsCallsOptions;
  readonly #clock: Clock;
  readonly #running = new Set<AbortController>();
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
    const { timeoutMs, resource } = this.#options;
    const controller = new AbortController();
    const onAbort = (): void => controller.abort(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    const cancelTimer = this.#clock.setTimer(() => {
      const message = `${action} on ${resource} took longer than ${timeoutMs} ms`;
      controller.abort(new OperatingError('TIMEOUT', message, { retryable: true }));
    }, timeoutMs);
    this.#running.add(controller);
    try {
      // The SDK does not look at the signal while it waits between its own retries.
      return await Promise.race([send({ abortSignal: controller.signal }), rejectionOf(controller.signal)]);
    } catch (error) {
      throw controller.signal.aborted ? controller.signal.reason : this.#translate(error, action);
    } finally {
      this.#running.delete(controller);
      cancelTimer();
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** Ends all running calls and refuses new ones. */
  close(): void {
    this.#closed = true;
    for (const controller of this.#running) controller.abort(this.#closedError('the call'));
  }

  #closedError(action: string): OperatingError {
    return new OperatingError('CLOSED', `${action} on ${this.#options.resource}: closed`, { retryable: false });
  }

  #translate(error: unknown, action: string): unknown {
    if (isShardlineError(error)) return error;
    const { kind, code } = classifyAwsError(error);
    const { resource, codes } = this.#options;
    const failure = (operating: OperatingCode, text: string, retryable: boolean): OperatingError =>
      new OperatingError(operating, `${action} on ${resource} ${text} (${code}: ${messageOf(error)})`, {
        retryable,
        cause: error,
      });
    switch (kind) {
      case 'condition-failed':
        return error;
      case 'throttled':
        return failure('THROTTLED', 'was throttled', true);
      case 'not-found':
        return failure(codes.notFound, 'found nothing', false);
      case 'access-denied':
        return failure('ACCESS_DENIED', 'is not allowed', false);
      case 'expired-credentials':
        return failure('ACCESS_DENIED', 'was refused: the credentials have expired', true);
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

/** The service's name for what failed, through the operating error that wraps it: `ValidationException`. */
export function awsCodeOf(error: unknown): string {
  return classifyAwsError(error instanceof Error && error.cause !== undefined ? error.cause : error).code;
}

function rejectionOf(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
