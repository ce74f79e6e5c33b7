// What goes wrong between the socket and the model, in AWS's words. With the model's KinesisError these are all the errors a
// client can see; a disk that refuses and a bug of ours both travel as InternalFailure.
import { isShardlineError } from '@shardline/common/base';
import { KinesisError } from '../model/index.ts';

export class WireError extends Error {
  override readonly name = 'WireError';
  readonly type: string;
  readonly status: number;

  constructor(type: string, message: string, status = 400) {
    super(message);
    this.type = type;
    this.status = status;
  }
}

/** A member has the wrong JSON type, or the body is no JSON. */
export function serializationError(message = ''): WireError {
  return new WireError('SerializationException', message);
}

/** Whether it is neither meant for the client, nor was told to the log where it happened. */
export function isBug(error: unknown): boolean {
  return !(error instanceof KinesisError) && !(error instanceof WireError) && !isUnavailable(error);
}

/** What the answer says about an error. */
export function describeError(error: unknown): { type: string; message: string; status: number } {
  if (error instanceof KinesisError) return { type: error.type, message: error.message, status: 400 };
  if (error instanceof WireError) return error;
  if (isUnavailable(error)) {
    const message = 'The local Kinesis cannot write to its data folder; its log says why.';
    return { type: 'InternalFailure', message, status: 500 };
  }
  return { type: 'InternalFailure', message: 'The local Kinesis has a bug.', status: 500 };
}

/** The disk refused. */
function isUnavailable(error: unknown): boolean {
  return isShardlineError(error) && error.code === 'DATA_UNAVAILABLE';
}
