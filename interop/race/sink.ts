// A Kinesis that only answers, as a process of its own: ListShards, DescribeStreamSummary and PutRecords over TLS, HTTP/1.1 or
// HTTP/2. It stores nothing and checks nothing, so that it is the producers that are measured. Each producer writes an explicit hash
// key with every entry, so the shard of each is found without parsing the rest of a body.
// `SHARDS`, `KEY_FILE` and `CERTIFICATE_FILE` in the environment; says `{ port }`, and at every line of its standard input what it was sent so far.
import { readFileSync } from 'node:fs';
import { createSecureServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { evenRanges } from '@shardline/common';

/** What has come, since the start. */
export interface SinkCounts {
  readonly requests: number;
  readonly kinesisRecords: number;
  readonly bodyBytes: number;
}

const FIRST_SEQUENCE_NUMBER = 49600000000000000000000000000000000000000000000000000000n;
const HASH_KEY_NAME = Buffer.from('"ExplicitHashKey"');
const QUOTE = 0x22;

const { SHARDS = '4', KEY_FILE = '', CERTIFICATE_FILE = '' } = process.env;
const ranges = evenRanges(Number(SHARDS));
const shards = ranges.map(({ start, end }, index) => ({
  ShardId: `shardId-${String(index).padStart(12, '0')}`,
  HashKeyRange: { StartingHashKey: String(start), EndingHashKey: String(end) },
  SequenceNumberRange: { StartingSequenceNumber: String(FIRST_SEQUENCE_NUMBER) },
}));
const shardIds = shards.map(({ ShardId }) => ShardId);
const width = ranges[0]?.end ?? 0n;

let sequenceNumber = FIRST_SEQUENCE_NUMBER;
let [requests, kinesisRecords, bodyBytes] = [0, 0, 0];

const answers: Readonly<Record<string, (body: Buffer) => string>> = {
  PutRecords: putRecords,
  ListShards: () => JSON.stringify({ Shards: shards }),
  DescribeStreamSummary: () =>
    JSON.stringify({
      StreamDescriptionSummary: {
        StreamName: 'race',
        StreamARN: 'arn:aws:kinesis:us-east-1:000000000000:stream/race',
        StreamStatus: 'ACTIVE',
        StreamModeDetails: { StreamMode: 'PROVISIONED' },
        RetentionPeriodHours: 24,
        StreamCreationTimestamp: 1_700_000_000,
        EnhancedMonitoring: [],
        OpenShardCount: shards.length,
      },
    }),
};

const tls = { key: readFileSync(KEY_FILE), cert: readFileSync(CERTIFICATE_FILE), allowHTTP1: true };
const server = createSecureServer(tls, (request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const operation = String(request.headers['x-amz-target']).split('.')[1] ?? '';
    const answer = answers[operation]?.(Buffer.concat(chunks)) ?? '{}';
    response.writeHead(200, {
      'content-type': 'application/x-amz-json-1.1',
      'x-amzn-requestid': `request-${requests}`,
    });
    response.end(answer);
  });
});
server.listen(0, '127.0.0.1', () => say({ port: (server.address() as AddressInfo).port }));
process.stdin.on('data', () => say({ requests, kinesisRecords, bodyBytes } satisfies SinkCounts));
process.stdin.on('end', () => process.exit(0));

function putRecords(body: Buffer): string {
  const entries: string[] = [];
  for (let at = body.indexOf(HASH_KEY_NAME); at !== -1; at = body.indexOf(HASH_KEY_NAME, at)) {
    const start = body.indexOf(QUOTE, at + HASH_KEY_NAME.length) + 1;
    at = body.indexOf(QUOTE, start);
    const shardId = shardOf(BigInt(body.toString('latin1', start, at)));
    sequenceNumber += 1n;
    entries.push(`{"SequenceNumber":"${sequenceNumber}","ShardId":"${shardId}"}`);
  }
  requests += 1;
  kinesisRecords += entries.length;
  bodyBytes += body.length;
  return `{"FailedRecordCount":0,"Records":[${entries.join(',')}],"EncryptionType":"NONE"}`;
}

/** All ranges are as wide as the first, but the last, which has the remainder. */
function shardOf(hashKey: bigint): string {
  return shardIds[Math.min(Number(hashKey / (width + 1n)), shardIds.length - 1)] ?? '';
}

function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
