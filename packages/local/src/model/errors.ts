// What Kinesis answers when it refuses. The model throws it, the shell writes it on the wire, the simulator reads its
// type. It is not one of Shardline's own errors: it is a word of the protocol, and its names are AWS's.

/** The names of the Kinesis Data Streams API, as they stand in `__type`. */
export type KinesisErrorType =
  | 'DryRunOperationException'
  | 'ExpiredIteratorException'
  | 'ExpiredNextTokenException'
  | 'InvalidArgumentException'
  | 'LimitExceededException'
  | 'ProvisionedThroughputExceededException'
  | 'ResourceInUseException'
  | 'ResourceNotFoundException'
  | 'ValidationException';

/** A refusal of the Kinesis API. `type` is what `__type` holds on the wire and `name` in the SDKs. */
export class KinesisError extends Error {
  override readonly name = 'KinesisError';
  readonly type: KinesisErrorType;

  constructor(type: KinesisErrorType, message: string) {
    super(message);
    this.type = type;
  }
}

/**
 * Ends a request that only asks whether it would succeed, when all that is wrong with it would have been found.
 * "It performs these checks without running the operation or reading or writing any data" (developer guide, dry run).
 */
export function endDryRun(isDryRun: boolean | undefined): void {
  if (isDryRun !== true) return;
  throw new KinesisError(
    'DryRunOperationException',
    'The request was rejected because the DryRun parameter was specified.',
  );
}
