// Who calls and what they name: the region out of the SigV4 scope, ARNs written and read. There is one account and one set of
// streams; an ARN shows the caller's region, so that any region a client is set to finds every stream. Nothing here checks a
// signature.
import { type ConsumerAddress, KinesisError } from '../model/index.ts';

export const ACCOUNT_ID = '000000000000';
export const DEFAULT_REGION = 'us-east-1';

export const STREAM_NAME_PATTERN: RegExp = /^[a-zA-Z0-9_.-]+$/;
export const STREAM_ARN_PATTERN: RegExp = /^arn:aws.*:kinesis:.*:\d{12}:stream\/[a-zA-Z0-9_.-]+$/;
export const CONSUMER_ARN_PATTERN: RegExp =
  /^(arn):aws.*:kinesis:.*:\d{12}:.*stream\/[a-zA-Z0-9_.-]+\/consumer\/[a-zA-Z0-9_.-]+:[0-9]+$/;

export interface Caller {
  readonly region: string;
}

/** Reads `Credential=KEY/DATE/REGION/kinesis/aws4_request` of an Authorization header. */
export function callerOf(authorization: string | undefined): Caller {
  const region =
    authorization === undefined
      ? undefined
      : /Credential=[^/\s,]*\/\d{8}\/([a-z0-9-]{1,64})\//.exec(authorization)?.[1];
  return { region: region ?? DEFAULT_REGION };
}

export function streamArn(caller: Caller, streamName: string): string {
  const partition = caller.region.startsWith('cn-')
    ? 'aws-cn'
    : caller.region.startsWith('us-gov-')
      ? 'aws-us-gov'
      : 'aws';
  return `arn:${partition}:kinesis:${caller.region}:${ACCOUNT_ID}:stream/${streamName}`;
}

export function consumerArn(caller: Caller, streamName: string, consumerName: string, createdMs: number): string {
  return `${streamArn(caller, streamName)}/consumer/${consumerName}:${Math.floor(createdMs / 1000)}`;
}

/** The stream's name by its name, its ARN, or both. @throws InvalidArgumentException when there is neither, or they differ */
export function streamNameOf(input: { StreamName?: string | undefined; StreamARN?: string | undefined }): string {
  const fromArn = input.StreamARN === undefined ? undefined : streamNameOfArn(input.StreamARN);
  const { StreamName: name = fromArn } = input;
  if (name === undefined) {
    throw new KinesisError('InvalidArgumentException', 'Either StreamName or StreamARN must be specified.');
  }
  if (fromArn !== undefined && fromArn !== name) {
    throw new KinesisError(
      'InvalidArgumentException',
      `StreamName ${name} and StreamARN ${input.StreamARN} do not match.`,
    );
  }
  return name;
}

export function streamNameOfArn(arn: string): string {
  return arn.slice(arn.lastIndexOf(':stream/') + ':stream/'.length);
}

/** A consumer by its ARN, which matched CONSUMER_ARN_PATTERN. */
export function consumerOfArn(arn: string): Required<ConsumerAddress> {
  const [, streamName = '', consumerName = '', created] = /stream\/([^/]+)\/consumer\/([^/:]+):(\d+)$/.exec(arn) ?? [];
  return { streamName, consumerName, createdSecond: Number(created) };
}
