// How a stream is named: by name, by ARN, or, where one application reads several, by the KCL's serialized identifier
// `account:name:epoch` (KCL StreamIdentifier). Users pass a name or an ARN; the rest of the code carries what was parsed
// here, so that no other file takes an ARN apart.
import { describe, UsageError } from './errors.ts';

/** A stream as the user named it. The ARN and what it holds are present only when the user gave one. */
export interface StreamIdentifier {
  readonly streamName: string;
  readonly streamArn?: string;
  readonly accountId?: string;
  readonly region?: string;
}

/** A stream of a multi-stream application. The epoch tells a stream from an earlier one of the same name. */
export interface MultiStreamIdentifier {
  readonly accountId: string;
  readonly streamName: string;
  /** StreamCreationTimestamp in whole seconds since 1970, at least 1. */
  readonly creationEpochSeconds: number;
}

const namePattern = /^[a-zA-Z0-9_.-]{1,128}$/;
const arnPattern = /^arn:aws[a-z-]*:kinesis:([a-z0-9-]+):(\d{12}):stream\/([a-zA-Z0-9_.-]{1,128})$/;
const multiStreamPattern = /^(\d+):([a-zA-Z0-9_.-]{1,128}):(\d{1,15})$/;

/** By the beginning of a region's name. */
const partitions = [
  ['cn-', 'aws-cn'],
  ['us-gov-', 'aws-us-gov'],
  ['us-isob-', 'aws-iso-b'],
  ['us-iso-', 'aws-iso'],
  ['eu-isoe-', 'aws-iso-e'],
  ['us-isof-', 'aws-iso-f'],
  ['eusc-', 'aws-eusc'],
] as const;

/**
 * Reads a stream name (1 to 128 of `a-zA-Z0-9_.-`, API_CreateStream) or a stream ARN.
 * @throws UsageError naming `field`, also for an ARN of something else, such as a consumer.
 */
export function parseStream(nameOrArn: string, field = 'stream'): StreamIdentifier {
  if (typeof nameOrArn === 'string') {
    if (namePattern.test(nameOrArn)) return { streamName: nameOrArn };
    const [, region, accountId, streamName] = arnPattern.exec(nameOrArn) ?? [];
    if (region !== undefined && accountId !== undefined && streamName !== undefined) {
      return { streamName, streamArn: nameOrArn, accountId, region };
    }
  }
  throw new UsageError(
    field,
    'a stream name (1 to 128 of a-z A-Z 0-9 _ . -) or an ARN such as arn:aws:kinesis:REGION:ACCOUNT:stream/NAME',
    describe(nameOrArn),
  );
}

/** The address part of an SDK input: the ARN when there is one (it reaches other accounts), else the name. */
export function streamAddress(stream: StreamIdentifier): { StreamName: string } | { StreamARN: string } {
  return stream.streamArn === undefined ? { StreamName: stream.streamName } : { StreamARN: stream.streamArn };
}

/** The ARN of a stream. The partition follows from the region, as in all the SDKs. */
export function streamArnOf(stream: {
  readonly region: string;
  readonly accountId: string;
  readonly streamName: string;
}): string {
  const partition = partitions.find(([prefix]) => stream.region.startsWith(prefix))?.[1] ?? 'aws';
  return `arn:${partition}:kinesis:${stream.region}:${stream.accountId}:stream/${stream.streamName}`;
}

/** Reads `account:name:epoch`. @throws UsageError naming `field`. */
export function parseMultiStream(text: string, field = 'streamIdentifier'): MultiStreamIdentifier {
  const [, accountId, streamName, epoch] = (typeof text === 'string' && multiStreamPattern.exec(text)) || [];
  const creationEpochSeconds = Number(epoch);
  if (accountId === undefined || streamName === undefined || !(creationEpochSeconds > 0)) {
    throw new UsageError(
      field,
      'account:name:epoch with the creation time in seconds, such as 123456789012:orders:1700000000',
      describe(text),
    );
  }
  return { accountId, streamName, creationEpochSeconds };
}

/** Writes `account:name:epoch`, the prefix of a multi-stream application's lease keys. */
export function formatMultiStream(stream: MultiStreamIdentifier): string {
  return `${stream.accountId}:${stream.streamName}:${stream.creationEpochSeconds}`;
}
