// What goes wrong between the socket and the model, in AWS's words. With the model's KinesisError these are all the errors a
// client can see; anything else is a bug of ours and travels as InternalFailure.
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

/** Whether it is meant for the client; anything else is a bug. */
export function isRefusal(error: unknown): error is KinesisError | WireError {
  return error instanceof KinesisError || error instanceof WireError;
}

/** What the answer says about an error. */
export function describeError(error: unknown): { type: string; message: string; status: number } {
  if (error instanceof KinesisError) return { type: error.type, message: error.message, status: 400 };
  if (error instanceof WireError) return error;
  return { type: 'InternalFailure', message: 'The local Kinesis has a bug.', status: 500 };
}
