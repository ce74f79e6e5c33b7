// A Kinesis of the loopback whose shards have no end of records, all of one size: what it answers it keeps once, so that only the reader
// takes memory. It knows what a consumer by polling asks for, no more, and counts the data bytes that it has given out.
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { evenRanges } from '@shardline/common';
import { testCredentials } from './local-dynamodb.ts';

const MAX_ANSWER_BYTES = 10 * 1024 * 1024;

export interface EndlessOptions {
  readonly shardCount: number;
  readonly recordBytes: number;
}

export class EndlessKinesis implements AsyncDisposable {
  readonly #options: EndlessOptions;
  readonly #server: Server;
  /** Base64. */
  readonly #data: string;
  /** Of all answers, as they were begun. */
  givenBytes = 0;
  /** Called with each answer. */
  onGiven: () => void = () => undefined;

  static async start(options: EndlessOptions): Promise<EndlessKinesis> {
    const endless = new EndlessKinesis(options);
    endless.#server.listen(0, '127.0.0.1');
    await once(endless.#server, 'listening');
    return endless;
  }

  private constructor(options: EndlessOptions) {
    this.#options = options;
    this.#data = Buffer.alloc(options.recordBytes, 'x').toString('base64');
    this.#server = createServer(async (request, response) => {
      if (request.headers['content-type'] !== 'application/x-amz-json-1.1') {
        request.resume();
        response.writeHead(415).end();
        return;
      }
      const answer = this.#answer(operationOf(request), JSON.parse(await text(request)) as Asked);
      response.writeHead(200, { 'content-type': 'application/x-amz-json-1.1' });
      response.end(typeof answer === 'string' ? answer : JSON.stringify(answer));
    });
  }

  get clientConfig(): { endpoint: string; region: string; credentials: typeof testCredentials } {
    const { port } = this.#server.address() as AddressInfo;
    return { endpoint: `http://127.0.0.1:${port}`, region: 'us-east-1', credentials: testCredentials };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #answer(operation: string, asked: Asked): object | string {
    const { shardCount } = this.#options;
    switch (operation) {
      case 'ListShards':
        return {
          Shards: evenRanges(shardCount).map(({ start, end }, index) => ({
            ShardId: `shardId-${String(index).padStart(12, '0')}`,
            HashKeyRange: { StartingHashKey: String(start), EndingHashKey: String(end) },
            SequenceNumberRange: { StartingSequenceNumber: '1' },
          })),
        };
      case 'DescribeStreamSummary':
        return {
          StreamDescriptionSummary: {
            StreamARN: 'arn:aws:kinesis:us-east-1:000000000000:stream/endless',
            StreamCreationTimestamp: 1,
          },
        };
      case 'GetShardIterator':
        return { ShardIterator: `${asked.ShardIteratorType === 'LATEST' ? 'tip' : asked.ShardId}/1` };
      case 'GetRecords':
        return this.#records(asked);
      default:
        throw new Error(`nobody is to ask for ${operation}`);
    }
  }

  #records({ ShardIterator = '', Limit = 10_000 }: Asked): string {
    const [shardId, from] = ShardIterator.split('/');
    if (shardId === 'tip') return '{"Records":[],"NextShardIterator":"tip/1","MillisBehindLatest":0}';
    const { recordBytes } = this.#options;
    const count = Math.max(1, Math.min(Limit, Math.floor(MAX_ANSWER_BYTES / recordBytes)));
    const first = Number(from);
    const records = Array.from(
      { length: count },
      (_, index) =>
        `{"SequenceNumber":"${first + index}","ApproximateArrivalTimestamp":1,"Data":"${this.#data}","PartitionKey":"k"}`,
    );
    this.givenBytes += count * recordBytes;
    this.onGiven();
    const next = `${shardId}/${first + count}`;
    return `{"Records":[${records.join(',')}],"NextShardIterator":"${next}","MillisBehindLatest":1000}`;
  }
}

interface Asked {
  readonly ShardId?: string;
  readonly ShardIteratorType?: string;
  readonly ShardIterator?: string;
  readonly Limit?: number;
}

function operationOf({ headers }: IncomingMessage): string {
  return String(headers['x-amz-target']).split('.')[1] as string;
}
