// What a data folder can be refused for, in words that say what its owner can do about it.
import { OperatingError } from '@shardline/common/base';

/** Something is not as it was written, and not at the end, where a sudden stop explains it. */
export function damaged(file: string, offset: number, what: string): OperatingError {
  return new OperatingError(
    'DATA_DAMAGED',
    `${file}: damaged at byte ${offset}: ${what}. What follows cannot be trusted, so nothing was started and nothing changed; restore the folder from a copy, or start with an empty one.`,
    { retryable: false },
  );
}

export function otherVersion(file: string, version: number, expected: number): OperatingError {
  return new OperatingError(
    'DATA_VERSION',
    `${file}: expected a data folder of version ${expected}, got one of version ${version}; use the release of Shardline that wrote it.`,
    { retryable: false },
  );
}

export function inUse(path: string, pid: number): OperatingError {
  return new OperatingError(
    'DATA_IN_USE',
    `${path}: expected a folder that nobody uses, got one that process ${pid} has open.`,
    { retryable: true },
  );
}

/** The disk refused: no room, no right, no folder. */
export function unavailable(path: string, cause: unknown): OperatingError {
  return new OperatingError(
    'DATA_UNAVAILABLE',
    `${path}: expected a folder to write to, got ${cause instanceof Error ? cause.message : String(cause)}`,
    { retryable: true, cause },
  );
}
