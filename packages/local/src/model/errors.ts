// What Kinesis answers when it refuses. The model throws it, the shell writes it on the wire, the simulator reads its
// type. It is not one of Shardline's own errors: it is a word of the protocol, and its names are AWS's.

/** The names of the Kinesis Data Streams API, as they stand in `__type`. */
export type KinesisErrorType =
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
