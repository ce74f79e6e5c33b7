// A Kinesis with one stream that never ends, as a process of its own: it answers with bytes that were made beforehand
// (written-records.ts), in clear text over HTTP/1.1 and HTTP/2, as JSON or CBOR as it is asked, and keeps no rate. It stores nothing and
// checks nothing, so that it is the readers that are measured.
// `CONTENTS` in the environment; says `{ port }`, and ends with its standard input.
import { createServer as createHttp1Server, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createHttp2Server, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { evenRanges } from '@shardline/common';
import { decode, encode, Tagged } from 'cborg';
import {
  answerOf,
  eventOf,
  indexOf,
  initialResponse,
  recordsOf,
  type StreamContents,
  sequenceNumberOf,
  type WireFormat,
  type WrittenRecords,
  write,
} from './written-records.ts';

type Reply = ServerResponse | Http2ServerResponse;

interface Input {
  readonly ShardId?: string;
  readonly ShardIterator?: string;
  readonly Limit?: number;
  readonly ShardIteratorType?: string;
  readonly StartingSequenceNumber?: string;
  readonly StartingPosition?: { readonly Type: string; readonly SequenceNumber?: string };
}

const CONTENT_TYPES = { json: 'application/x-amz-json-1.1', cbor: 'application/x-amz-cbor-1.1' } as const;
const READ_BOUNDS = { records: 10_000, bytes: 10 * 1024 * 1024 };
/** Kinesis does not say; as large as the local Kinesis makes them. */
const EVENT_BOUNDS = { records: 2_000, bytes: 768 * 1024 };
/** Of events that wait in a subscription's socket. */
const AHEAD_BYTES = 2 * 1024 * 1024;
const HTTP2_PREFACE = 'PRI';
const STREAM_ARN = 'arn:aws:kinesis:us-east-1:000000000000:stream/race';
const CREATED_AT_S = 1_700_000_000;

const contents = JSON.parse(process.env['CONTENTS'] ?? '{}') as StreamContents;
const records = recordsOf(contents);
const written = new Map<string, WrittenRecords>();

const server = createServer({ noDelay: true }, (socket) => socket.once('data', (seen) => speakHttp(socket, seen)));
const http1 = createHttp1Server({ keepAliveTimeout: 60_000 }, (request, reply) => void answer(request, reply));
const http2 = createHttp2Server({ settings: { maxConcurrentStreams: 1_000 } }, (request, reply) => {
  void answer(request, reply);
});
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`${JSON.stringify({ port: (server.address() as AddressInfo).port })}\n`);
});
process.stdin.resume().on('end', () => process.exit(0));

/** By its first bytes: the SDKs open HTTP/2 by prior knowledge. */
function speakHttp(socket: Socket, seen: Buffer): void {
  socket.pause();
  // A reader that is ended hangs up.
  socket.on('error', () => socket.destroy());
  socket.unshift(seen);
  if (seen.toString('latin1', 0, HTTP2_PREFACE.length) === HTTP2_PREFACE) {
    http2.emit('connection', Object.assign(socket, { alpnProtocol: 'h2' }));
  } else {
    http1.emit('connection', socket);
    socket.resume();
  }
}

async function answer(request: IncomingMessage | Http2ServerRequest, reply: Reply): Promise<void> {
  // A reader may hang up at any time.
  for (const side of [request, reply]) side.on('error', () => undefined);
  const body = await buffer(request).catch(() => undefined);
  if (body === undefined) return;
  const format = request.headers['content-type']?.startsWith(CONTENT_TYPES.cbor) ? 'cbor' : 'json';
  const input = (format === 'cbor' ? decode(body) : JSON.parse(body.toString())) as Input;
  const operation = String(request.headers['x-amz-target']).split('.')[1] ?? '';
  if (operation === 'SubscribeToShard') return push(input, reply);
  const bytes = operation === 'GetRecords' ? getRecords(input, format) : small(operation, input, format);
  reply.writeHead(200, {
    'content-type': CONTENT_TYPES[format],
    'content-length': bytes.length,
    'x-amzn-requestid': operation,
  });
  (reply as ServerResponse).end(bytes);
}

function getRecords({ ShardIterator = '', Limit }: Input, format: WireFormat): Buffer {
  const [shard = 0, index = 0] = ShardIterator.split(':').map(Number);
  const shown = writtenOf(shard, format);
  const count = countOf(shown, READ_BOUNDS, Limit);
  return answerOf(shown, index, count, `${shard}:${index + count}`);
}

/** As fast as the reader takes them. */
function push({ ShardId = '', StartingPosition }: Input, reply: Reply): void {
  const shown = writtenOf(shardOf(ShardId), 'json');
  const count = countOf(shown, EVENT_BOUNDS);
  let index = indexFrom(StartingPosition?.Type, StartingPosition?.SequenceNumber);
  const { stream } = reply as Http2ServerResponse;
  reply.writeHead(200, { 'content-type': 'application/vnd.amazon.eventstream', 'x-amzn-requestid': 'subscription' });
  stream.write(initialResponse());
  const pump = (): void => {
    while (!stream.destroyed && stream.writableLength < AHEAD_BYTES) {
      stream.write(eventOf(shown, index, count));
      index += count;
    }
  };
  stream.on('drain', pump);
  pump();
}

function small(operation: string, input: Input, format: WireFormat): Uint8Array {
  const consumer = {
    ConsumerName: 'race',
    ConsumerARN: `${STREAM_ARN}/consumer/race:${CREATED_AT_S}`,
    ConsumerStatus: 'ACTIVE',
    ConsumerCreationTimestamp: createdAt(format),
  };
  const answers: Readonly<Record<string, () => object>> = {
    ListShards: () => ({ Shards: shards() }),
    GetShardIterator: () => ({
      ShardIterator: `${shardOf(input.ShardId)}:${indexFrom(input.ShardIteratorType, input.StartingSequenceNumber)}`,
    }),
    DescribeStreamSummary: () => ({
      StreamDescriptionSummary: {
        StreamName: 'race',
        StreamARN: STREAM_ARN,
        StreamStatus: 'ACTIVE',
        StreamModeDetails: { StreamMode: 'PROVISIONED' },
        RetentionPeriodHours: 24,
        StreamCreationTimestamp: createdAt(format),
        EnhancedMonitoring: [],
        OpenShardCount: contents.shards,
      },
    }),
    RegisterStreamConsumer: () => ({ Consumer: consumer }),
    DescribeStreamConsumer: () => ({ ConsumerDescription: { ...consumer, StreamARN: STREAM_ARN } }),
  };
  const made = answers[operation]?.();
  if (made === undefined) throw new Error(`nobody was thought to ask for ${operation}`);
  return format === 'cbor' ? encode(made) : Buffer.from(JSON.stringify(made));
}

function shards(): object[] {
  return evenRanges(contents.shards).map(({ start, end }, index) => ({
    ShardId: `shardId-${String(index).padStart(12, '0')}`,
    HashKeyRange: { StartingHashKey: String(start), EndingHashKey: String(end) },
    SequenceNumberRange: { StartingSequenceNumber: sequenceNumberOf(0) },
  }));
}

function createdAt(format: WireFormat): unknown {
  return format === 'cbor' ? new Tagged(1, CREATED_AT_S * 1000) : CREATED_AT_S;
}

function shardOf(shardId = ''): number {
  return Number(shardId.slice('shardId-'.length));
}

/** Which record comes first. */
function indexFrom(type = '', sequenceNumber = ''): number {
  if (type === 'AT_SEQUENCE_NUMBER') return indexOf(sequenceNumber);
  return type === 'AFTER_SEQUENCE_NUMBER' ? indexOf(sequenceNumber) + 1 : 0;
}

function countOf({ dataBytes }: WrittenRecords, bounds: typeof READ_BOUNDS, limit = bounds.records): number {
  return Math.max(1, Math.min(bounds.records, limit, Math.floor(bounds.bytes / dataBytes)));
}

function writtenOf(shard: number, format: WireFormat): WrittenRecords {
  const key = `${shard} ${format}`;
  const found = written.get(key) ?? write(records[shard] ?? [], format);
  written.set(key, found);
  return found;
}
