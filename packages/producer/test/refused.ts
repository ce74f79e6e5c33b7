// What a put that must fail was refused with, for tests over sockets.
import { isPutError, type PutError, type PutResult } from '../src/index.ts';

/** @throws when the put succeeds, or fails with anything but a PutError. */
export async function errorOf(put: Promise<PutResult>): Promise<PutError> {
  try {
    await put;
  } catch (error) {
    if (isPutError(error)) return error;
    throw error;
  }
  throw new Error('the put succeeded');
}
