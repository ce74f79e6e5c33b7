// Who calls and what they name: account and region out of the SigV4 scope, ARNs written and read. A request that names an ARN
// is for the ARN's account and region. Nothing here checks a signature; signature.ts does.
import { invariant } from '@shardline/common/base';
import type { CallSubject } from '../model/call-limits.ts';
import { type ConsumerAddress, KinesisError, type StreamAddress } from '../model/index.ts';

/** Whose streams a request is about. */
export interface Caller {
  /** 12 digits. */
  readonly accountId: string;
  readonly region: string;
}

/** Of requests without a signature, and of access keys that name no account. */
export const DEFAULT_CALLER: Caller = { accountId: '000000000000', region: 'us-east-1' };

/**
 * Reads `Credential=KEY/DATE/REGION/kinesis/aws4_request` of an Authorization header. An access key of 12 digits is the
 * account, as with other local servers; the key itself says nothing about it elsewhere.
 */
export function callerOf(authorization: string | undefined): Caller {
  const [, accessKeyId = '', region = DEFAULT_CALLER.region] =
    /Credential=([^/\s,]*)\/\d{8}\/([a-z0-9-]{1,64})\//.exec(authorization ?? '') ?? [];
  return { accountId: /^\d{12}$/.test(accessKeyId) ? accessKeyId : DEFAULT_CALLER.accountId, region };
}

/** The account and region that an input's ARN names, whoever asks; the caller's own without one. */
export function ownerOf(
  input: { readonly StreamARN?: unknown; readonly ConsumerARN?: unknown; readonly ResourceARN?: unknown },
  caller: Caller,
): Caller {
  const arn = input.ConsumerARN ?? input.StreamARN ?? input.ResourceARN;
  if (typeof arn !== 'string') return caller;
  const [, , , region = caller.region, accountId = caller.accountId] = arn.split(':', 5);
  return { accountId, region };
}

export function streamArn(caller: Caller, streamName: string): string {
  const partition = caller.region.startsWith('cn-')
    ? 'aws-cn'
    : caller.region.startsWith('us-gov-')
      ? 'aws-us-gov'
      : 'aws';
  return `arn:${partition}:kinesis:${caller.region}:${caller.accountId}:stream/${streamName}`;
}

export function consumerArn(caller: Caller, streamName: string, consumerName: string, createdMs: number): string {
  return `${streamArn(caller, streamName)}/consumer/${consumerName}:${Math.floor(createdMs / 1000)}`;
}

/** A stream or a consumer as it stands in messages. */
export function whereIs(caller: Caller, address: StreamAddress | ConsumerAddress): string {
  const stream = `stream ${address.streamName} under account ${caller.accountId}`;
  return 'consumerName' in address ? `consumer ${address.consumerName} of ${stream}` : stream;
}

/** What the limits of calls look at. A NextToken's stream is not looked up: its calls count together. */
export function subjectOf(input: Readonly<Record<string, unknown>>): CallSubject {
  const { ConsumerARN, StreamARN, ResourceARN, StreamName, ConsumerName, ShardId } = input;
  const arn = ConsumerARN ?? StreamARN ?? ResourceARN;
  return {
    streamName: textOf(StreamName),
    consumerName: textOf(ConsumerName),
    shardId: textOf(ShardId),
    ...(typeof arn === 'string' ? resourceOfArn(arn) : undefined),
  };
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
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

/** What a ResourceARN names. */
export function resourceOfArn(arn: string): StreamAddress | ConsumerAddress {
  return consumerInArn(arn) ?? { streamName: streamNameOfArn(arn) };
}

/** Whom an ARN of a consumer names; undefined for any other. */
function consumerInArn(arn: string): Required<ConsumerAddress> | undefined {
  const [, streamName, consumerName, created] = /stream\/([^/]+)\/consumer\/([^/:]+):(\d+)$/.exec(arn) ?? [];
  if (streamName === undefined || consumerName === undefined) return undefined;
  return { streamName, consumerName, createdSecond: Number(created) };
}

/** A consumer by its ARN, which matched the pattern of ConsumerARN. */
export function consumerOfArn(arn: string): Required<ConsumerAddress> {
  const address = consumerInArn(arn);
  invariant(address !== undefined, 'the pattern lets no other ARN pass');
  return address;
}
