// The one family of errors: usage (thrown at the call), operating (typed, `retryable` is a fact), invariant (our own bug).
// A failed condition of the lease table is not an error, it is an event. Depth is at most two, and the brand survives two
// copies of this package in one process, so test with `isShardlineError`, not `instanceof`.

/** Every code an operating error can carry, written once. */
export type OperatingCode =
  | 'BUFFER_FULL'
  | 'CLOSED'
  | 'EXPIRED'
  | 'THROTTLED'
  | 'SHARD_IN_USE'
  | 'TOO_MANY_CONSUMERS'
  | 'REQUEST_FAILED'
  | 'RECORD_FAILED'
  | 'STREAM_NOT_FOUND'
  | 'STREAM_REPLACED'
  | 'STREAMS_UNLISTED'
  | 'NO_ROOM_FOR_LEASES'
  | 'ACCESS_DENIED'
  | 'CREDENTIALS_UNAVAILABLE'
  | 'KEY_UNUSABLE'
  | 'LEASE_LOST'
  | 'WORKER_ID_IN_USE'
  | 'LEASE_TABLE_FORMAT'
  | 'LEASE_TABLE_UNAVAILABLE'
  | 'TIMEOUT'
  | 'PORT_IN_USE'
  | 'DATA_IN_USE'
  | 'DATA_DAMAGED'
  | 'DATA_VERSION'
  | 'DATA_UNAVAILABLE'
  | 'INPUT_UNREADABLE';

export type ErrorCode = OperatingCode | 'USAGE' | 'INVARIANT';

const brand = Symbol.for('shardline.error');

/** The common base; `code` tells the errors apart, `retryable` says whether the same call may succeed later. */
export abstract class ShardlineError extends Error {
  abstract readonly code: ErrorCode;
  abstract readonly retryable: boolean;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    Object.defineProperty(this, brand, { value: true });
  }
}

/** The caller passed something that cannot work. Thrown at the call, before anything was done. */
export class UsageError extends ShardlineError {
  override readonly name = 'UsageError';
  readonly code = 'USAGE';
  readonly retryable = false;
  readonly field: string;
  readonly expected: string;
  readonly got: string;

  /** `new UsageError('partitionKey', '1 to 256 UTF-16 units', 'a string of 300')` */
  constructor(field: string, expected: string, got: string) {
    super(`${field}: expected ${expected}, got ${got}`);
    this.field = field;
    this.expected = expected;
    this.got = got;
  }
}

/** Something outside failed: Kinesis, DynamoDB, the network, time ran out, a bound was reached. */
export class OperatingError extends ShardlineError {
  override readonly name = 'OperatingError';
  readonly code: OperatingCode;
  readonly retryable: boolean;
  /** Of a call to AWS, as an IAM policy writes it: `kinesis:GetRecords`. */
  declare readonly action?: string;
  /** What the call was about: an ARN where the service names one, else words: `table billing`. */
  declare readonly resource?: string;

  constructor(
    code: OperatingCode,
    message: string,
    options: { retryable: boolean; cause?: unknown; action?: string | undefined; resource?: string | undefined },
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable;
    if (options.action !== undefined) this.action = options.action;
    if (options.resource !== undefined) this.resource = options.resource;
  }
}

/** A rule of our own was broken: a bug of Shardline. The component stops rather than carry on. */
export class InvariantError extends ShardlineError {
  override readonly name = 'InvariantError';
  readonly code = 'INVARIANT';
  readonly retryable = false;
}

/** True for every error of this family, also from another copy of the package. */
export function isShardlineError(error: unknown): error is ShardlineError {
  return typeof error === 'object' && error !== null && brand in error;
}

/**
 * Makes an error that is not thrown but handed on, far from any call of the application's: the stack would name our own timer and cost
 * 30 µs, which is seconds when a hundred thousand records fail at once.
 */
export function withoutStack<Made extends Error>(make: () => Made): Made {
  const { stackTraceLimit } = Error;
  // Not an assignment: it may be frozen.
  Reflect.set(Error, 'stackTraceLimit', 0);
  try {
    return make();
  } finally {
    Reflect.set(Error, 'stackTraceLimit', stackTraceLimit);
  }
}

/** Says what a value is, briefly, for the "got" of a usage error: `a string of 300`, `-1`, `null`. Never prints the whole value. */
export function describe(value: unknown): string {
  if (typeof value === 'string') {
    return value.length <= 40
      ? JSON.stringify(value)
      : `a string of ${value.length} (${JSON.stringify(value.slice(0, 20))}…)`;
  }
  if (value === null || value === undefined || typeof value === 'number' || typeof value === 'boolean')
    return String(value);
  if (typeof value === 'bigint') return `${value}n`;
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'object') return `an object (${value.constructor?.name ?? 'no prototype'})`;
  return `a ${typeof value}`;
}
