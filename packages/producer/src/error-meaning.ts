// What the code of an error means for a record, whether it came for a whole request or for one record of it: the one table behind
// sender and retrier. Pure.
// Invariant: what trying again may help with is never called permanent.
import { type AwsErrorClass, kindOfErrorCode, type OperatingCode } from '@shardline/common';

export interface ErrorMeaning {
  /** Set when trying again can't help: the error to report. */
  readonly permanent?: OperatingCode;
  /** Refused for a rate. */
  readonly throttled: boolean;
  /** Kinesis itself failed, or did not answer. */
  readonly serviceFailed: boolean;
}

/** `kind`: where more is known than the code. */
export function meaningOf(code: string, kind: AwsErrorClass['kind'] = kindOfErrorCode(code)): ErrorMeaning {
  const permanent = permanentCode(code, kind);
  const throttled = kind === 'throttled';
  const serviceFailed = kindOfErrorCode(code) === 'transient';
  return permanent === undefined ? { throttled, serviceFailed } : { permanent, throttled, serviceFailed };
}

/** Credentials that have expired are not in here: they are renewed by the SDK, so what they were refused for is tried again. */
function permanentCode(code: string, kind: AwsErrorClass['kind']): OperatingCode | undefined {
  if (kind === 'not-found') return 'STREAM_NOT_FOUND';
  if (kind === 'invalid') return 'REQUEST_FAILED';
  if (kind !== 'access-denied') return undefined;
  return code.startsWith('KMS') && code !== 'KMSAccessDeniedException' ? 'KEY_UNUSABLE' : 'ACCESS_DENIED';
}
