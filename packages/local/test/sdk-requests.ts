// Real requests of the SDKs, one or two for each operation: the SDK for Java 2.41's as it wrote them (CBOR, recorded
// between that SDK and this server), and what the SDK for JavaScript in use makes of the same inputs (JSON).
import * as kinesis from '@aws-sdk/client-kinesis';
import { decode } from 'cborg';

export const JSON_1_1 = 'application/x-amz-json-1.1';
export const CBOR_1_1 = 'application/x-amz-cbor-1.1';

export interface SdkRequest {
  readonly operation: string;
  readonly contentType: string;
  readonly body: Buffer;
}

/** Of SubscribeToShard, which every SDK sends as JSON. */
const subscription = {
  ConsumerARN: 'arn:aws:kinesis:us-east-1:000000000000:stream/orders/consumer/billing:1700000000',
  ShardId: 'shardId-000000000000',
  StartingPosition: { Type: 'AT_TIMESTAMP', Timestamp: new Date(1_700_000_000_123) },
};

/** About stream `orders` and its consumer `billing`; `shardIterator` is one that the server will know. */
export async function sdkRequests(shardIterator: string): Promise<SdkRequest[]> {
  const byJava = javaRequests.map(([operation, base64]): SdkRequest => {
    return { operation, contentType: CBOR_1_1, body: Buffer.from(base64, 'base64') };
  });
  const byJavaScript = byJava.map(({ operation, body }) => written(operation, inputOf(body)));
  // What the SDK for Java sends as JSON, too, does not know yet, or cannot know.
  const StreamARN = 'arn:aws:kinesis:us-east-1:000000000000:stream/orders';
  const more = [
    written('UpdateStreamRecordDistributionStrategy', { StreamARN, RecordDistributionStrategy: 'AUTO' }),
    written('SubscribeToShard', subscription),
    written('GetRecords', { ShardIterator: shardIterator, Limit: 100 }),
  ];
  return [...byJava, ...(await Promise.all([...byJavaScript, ...more]))];
}

/** What was asked for: times are dates. */
export function inputOf(body: Uint8Array): object {
  return decode(body, { tags: { 1: (content) => new Date(Number(content())) } }) as object;
}

/** Lets the SDK write a request, and sends it nowhere. */
async function written(operation: string, input: object): Promise<SdkRequest> {
  const commands = kinesis as unknown as Record<string, new (input: object) => kinesis.ListStreamsCommand>;
  const Command = commands[`${operation}Command`];
  if (Command === undefined) throw new Error(`the SDK for JavaScript has no ${operation}`);
  const client = new kinesis.KinesisClient({
    region: 'us-east-1',
    credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
  });
  const sent = new Promise<Buffer>((resolve) => {
    const record = (args: { request: unknown }): never => {
      resolve(Buffer.copyBytesFrom((args.request as { body: Uint8Array }).body));
      throw new Error('recorded');
    };
    client.middlewareStack.add(() => record as never, { step: 'finalizeRequest', priority: 'low' });
  });
  await client.send(new Command(input)).catch(() => undefined);
  client.destroy();
  return { operation, contentType: JSON_1_1, body: await sent };
}

const javaRequests: readonly (readonly [operation: string, body: string])[] = [
  ['CreateStream', 'v2pTdHJlYW1OYW1lZm9yZGVyc2pTaGFyZENvdW50AmRUYWdzv2R0ZWFtZ2JpbGxpbmf//w=='],
  ['AddTagsToStream', 'v2pTdHJlYW1OYW1lZm9yZGVyc2RUYWdzv2R0ZWFtZ2JpbGxpbmdiw6lg//8='],
  ['ListTagsForStream', 'v2pTdHJlYW1OYW1lZm9yZGVyc3RFeGNsdXNpdmVTdGFydFRhZ0tleWFhZUxpbWl0Cv8='],
  [
    'RemoveTagsFromStream',
    'v2dUYWdLZXlzn2R0ZWFt/2lTdHJlYW1BUk54NGFybjphd3M6a2luZXNpczp1cy1lYXN0LTE6MDAwMDAwMDAwMDAwOnN0cmVhbS9vcmRlcnP/',
  ],
  [
    'TagResource',
    'v2RUYWdzv2R0ZWFtZ2JpbGxpbmf/a1Jlc291cmNlQVJOeDRhcm46YXdzOmtpbmVzaXM6dXMtZWFzdC0xOjAwMDAwMDAwMDAwMDpzdHJlYW0vb3JkZXJz/w==',
  ],
  [
    'ListTagsForResource',
    'v2tSZXNvdXJjZUFSTng0YXJuOmF3czpraW5lc2lzOnVzLWVhc3QtMTowMDAwMDAwMDAwMDA6c3RyZWFtL29yZGVyc/8=',
  ],
  [
    'UntagResource',
    'v2dUYWdLZXlzn2R0ZWFt/2tSZXNvdXJjZUFSTng0YXJuOmF3czpraW5lc2lzOnVzLWVhc3QtMTowMDAwMDAwMDAwMDA6c3RyZWFtL29yZGVyc/8=',
  ],
  [
    'DescribeStream',
    'v2pTdHJlYW1OYW1lZm9yZGVyc2VMaW1pdAp1RXhjbHVzaXZlU3RhcnRTaGFyZElkdHNoYXJkSWQtMDAwMDAwMDAwMDAw/w==',
  ],
  ['DescribeStreamSummary', 'v2lTdHJlYW1BUk54NGFybjphd3M6a2luZXNpczp1cy1lYXN0LTE6MDAwMDAwMDAwMDAwOnN0cmVhbS9vcmRlcnP/'],
  ['DescribeLimits', 'v/8='],
  ['DescribeAccountSettings', 'v/8='],
  ['ListStreams', 'v2VMaW1pdAp4GEV4Y2x1c2l2ZVN0YXJ0U3RyZWFtTmFtZWFh/w=='],
  [
    'ListShards',
    'v2pTdHJlYW1OYW1lZm9yZGVyc2pNYXhSZXN1bHRzCmtTaGFyZEZpbHRlcr9kVHlwZWxBVF9USU1FU1RBTVBpVGltZXN0YW1wwRsAAAGLz+Voe///',
  ],
  [
    'PutRecord',
    'v2pTdHJlYW1OYW1lZm9yZGVyc2REYXRhRAAB/v9sUGFydGl0aW9uS2V5ZGvDqXlvRXhwbGljaXRIYXNoS2V5YTB4GVNlcXVlbmNlTnVtYmVyRm9yT3JkZXJpbmdhMf8=',
  ],
  [
    'PutRecords',
    'v2dSZWNvcmRzn79kRGF0YUQAAf7/bFBhcnRpdGlvbktleWFh/79kRGF0YUVoZWxsb29FeHBsaWNpdEhhc2hLZXl4JzM0MDI4MjM2NjkyMDkzODQ2MzQ2MzM3NDYwNzQzMTc2ODIxMTQ1NWxQYXJ0aXRpb25LZXlk8J+YgP//aVN0cmVhbUFSTng0YXJuOmF3czpraW5lc2lzOnVzLWVhc3QtMTowMDAwMDAwMDAwMDA6c3RyZWFtL29yZGVyc/8=',
  ],
  [
    'GetShardIterator',
    'v2pTdHJlYW1OYW1lZm9yZGVyc2dTaGFyZElkdHNoYXJkSWQtMDAwMDAwMDAwMDAwcVNoYXJkSXRlcmF0b3JUeXBlbEFUX1RJTUVTVEFNUGlUaW1lc3RhbXDBGwAAAYvP5Wh7/w==',
  ],
  [
    'GetShardIterator',
    'v2dTaGFyZElkdHNoYXJkSWQtMDAwMDAwMDAwMDAwcVNoYXJkSXRlcmF0b3JUeXBldUFGVEVSX1NFUVVFTkNFX05VTUJFUnZTdGFydGluZ1NlcXVlbmNlTnVtYmVyeDg0OTY4MDQyMTczMTI0MjkzODc4NTUyNDg5ODY0Mjg4MzM0MTIzMTUxMjMzNzg3NzQ1NDI5MDk0NmlTdHJlYW1BUk54NGFybjphd3M6a2luZXNpczp1cy1lYXN0LTE6MDAwMDAwMDAwMDAwOnN0cmVhbS9vcmRlcnP/',
  ],
  [
    'GetRecords',
    'v21TaGFyZEl0ZXJhdG9yeERhWFJsY21GMGIzSXZiM0prWlhKekx6RXZNQzh4THpFM09UVXlORFF5TWpnek5EZ3ZkWGR0YURSa0xqUTFjakIyTVE9PWVMaW1pdBhkaVN0cmVhbUFSTng0YXJuOmF3czpraW5lc2lzOnVzLWVhc3QtMTowMDAwMDAwMDAwMDA6c3RyZWFtL29yZGVyc/8=',
  ],
  ['IncreaseStreamRetentionPeriod', 'v2pTdHJlYW1OYW1lZm9yZGVyc3RSZXRlbnRpb25QZXJpb2RIb3Vycxgw/w=='],
  ['DecreaseStreamRetentionPeriod', 'v2pTdHJlYW1OYW1lZm9yZGVyc3RSZXRlbnRpb25QZXJpb2RIb3VycxgY/w=='],
  [
    'RegisterStreamConsumer',
    'v2lTdHJlYW1BUk54NGFybjphd3M6a2luZXNpczp1cy1lYXN0LTE6MDAwMDAwMDAwMDAwOnN0cmVhbS9vcmRlcnNsQ29uc3VtZXJOYW1lZ2JpbGxpbmf/',
  ],
  [
    'DescribeStreamConsumer',
    'v2lTdHJlYW1BUk54NGFybjphd3M6a2luZXNpczp1cy1lYXN0LTE6MDAwMDAwMDAwMDAwOnN0cmVhbS9vcmRlcnNsQ29uc3VtZXJOYW1lZ2JpbGxpbmf/',
  ],
  [
    'ListStreamConsumers',
    'v2lTdHJlYW1BUk54NGFybjphd3M6a2luZXNpczp1cy1lYXN0LTE6MDAwMDAwMDAwMDAwOnN0cmVhbS9vcmRlcnNqTWF4UmVzdWx0cwp3U3RyZWFtQ3JlYXRpb25UaW1lc3RhbXDBGwAAAYvP5Wh7/w==',
  ],
  [
    'DeregisterStreamConsumer',
    'v2tDb25zdW1lckFSTnhQYXJuOmF3czpraW5lc2lzOnVzLWVhc3QtMTowMDAwMDAwMDAwMDA6c3RyZWFtL29yZGVycy9jb25zdW1lci9iaWxsaW5nOjE3MDAwMDAwMDD/',
  ],
  [
    'SplitShard',
    'v2pTdHJlYW1OYW1lZm9yZGVyc2xTaGFyZFRvU3BsaXR0c2hhcmRJZC0wMDAwMDAwMDAwMDByTmV3U3RhcnRpbmdIYXNoS2V5ZDEwMDD/',
  ],
  [
    'MergeShards',
    'v2pTdHJlYW1OYW1lZm9yZGVyc2xTaGFyZFRvTWVyZ2V0c2hhcmRJZC0wMDAwMDAwMDAwMDJ0QWRqYWNlbnRTaGFyZFRvTWVyZ2V0c2hhcmRJZC0wMDAwMDAwMDAwMDP/',
  ],
  ['UpdateShardCount', 'v2pTdHJlYW1OYW1lZm9yZGVyc3BUYXJnZXRTaGFyZENvdW50BGtTY2FsaW5nVHlwZW9VTklGT1JNX1NDQUxJTkf/'],
  [
    'UpdateStreamMode',
    'v2lTdHJlYW1BUk54NGFybjphd3M6a2luZXNpczp1cy1lYXN0LTE6MDAwMDAwMDAwMDAwOnN0cmVhbS9vcmRlcnNxU3RyZWFtTW9kZURldGFpbHO/alN0cmVhbU1vZGVpT05fREVNQU5E//8=',
  ],
  ['StartStreamEncryption', 'v2pTdHJlYW1OYW1lZm9yZGVyc25FbmNyeXB0aW9uVHlwZWNLTVNlS2V5SWRxYWxpYXMvYXdzL2tpbmVzaXP/'],
  ['StopStreamEncryption', 'v2pTdHJlYW1OYW1lZm9yZGVyc25FbmNyeXB0aW9uVHlwZWNLTVNlS2V5SWRxYWxpYXMvYXdzL2tpbmVzaXP/'],
  ['EnableEnhancedMonitoring', 'v2pTdHJlYW1OYW1lZm9yZGVyc3FTaGFyZExldmVsTWV0cmljc59tSW5jb21pbmdCeXRlc2NBTEz//w=='],
  ['DisableEnhancedMonitoring', 'v2pTdHJlYW1OYW1lZm9yZGVyc3FTaGFyZExldmVsTWV0cmljc59jQUxM//8='],
  [
    'UpdateMaxRecordSize',
    'v2lTdHJlYW1BUk54NGFybjphd3M6a2luZXNpczp1cy1lYXN0LTE6MDAwMDAwMDAwMDAwOnN0cmVhbS9vcmRlcnNyTWF4UmVjb3JkU2l6ZUluS2lCGSgA/w==',
  ],
  [
    'UpdateStreamWarmThroughput',
    'v2lTdHJlYW1BUk54NGFybjphd3M6a2luZXNpczp1cy1lYXN0LTE6MDAwMDAwMDAwMDAwOnN0cmVhbS9vcmRlcnNzV2FybVRocm91Z2hwdXRNaUJwcwr/',
  ],
  ['UpdateAccountSettings', 'v3giTWluaW11bVRocm91Z2hwdXRCaWxsaW5nQ29tbWl0bWVudL9mU3RhdHVzZ0VOQUJMRUT//w=='],
  [
    'PutResourcePolicy',
    'v2tSZXNvdXJjZUFSTng0YXJuOmF3czpraW5lc2lzOnVzLWVhc3QtMTowMDAwMDAwMDAwMDA6c3RyZWFtL29yZGVyc2ZQb2xpY3lie33/',
  ],
  ['GetResourcePolicy', 'v2tSZXNvdXJjZUFSTng0YXJuOmF3czpraW5lc2lzOnVzLWVhc3QtMTowMDAwMDAwMDAwMDA6c3RyZWFtL29yZGVyc/8='],
  [
    'DeleteResourcePolicy',
    'v2tSZXNvdXJjZUFSTng0YXJuOmF3czpraW5lc2lzOnVzLWVhc3QtMTowMDAwMDAwMDAwMDA6c3RyZWFtL29yZGVyc/8=',
  ],
  ['DeleteStream', 'v2pTdHJlYW1OYW1lZm9yZGVyc3dFbmZvcmNlQ29uc3VtZXJEZWxldGlvbvX/'],
];
