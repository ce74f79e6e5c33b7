// Requests as bytes, encoded before the clock starts, so that what is measured is the server. The headers are those an AWS SDK
// sends; nobody checks the signature.
import { type Encoding, json, type Member } from './encoding.ts';

export interface Request {
  readonly headers: Readonly<Record<string, string | number>>;
  readonly body: Buffer;
  /** The same as it stands on an HTTP/1.1 connection: head and body. */
  readonly http1: Buffer;
}

const SIGNED_HEADERS = 'content-type;host;x-amz-content-sha256;x-amz-date;x-amz-target';

export function encode(operation: string, value: Member, encoding: Encoding = json): Request {
  const body = encoding.encode(value);
  const headers = {
    'content-type': encoding.contentType,
    'x-amz-target': `Kinesis_20131202.${operation}`,
    'content-length': body.length,
    'user-agent': 'aws-sdk-js/3.1143.0 ua/2.1 os/linux lang/js md/nodejs#20.20.2 api/kinesis#3.1143.0 m/E,N,e',
    'amz-sdk-invocation-id': '0b1c2d3e-4f50-4617-8293-a4b5c6d7e8f9',
    'amz-sdk-request': 'attempt=1; max=3',
    'x-amz-date': '20260101T000000Z',
    'x-amz-content-sha256': 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    authorization: `AWS4-HMAC-SHA256 Credential=AKIDLOCAL/20260101/us-east-1/kinesis/aws4_request, SignedHeaders=${SIGNED_HEADERS}, Signature=${'0'.repeat(64)}`,
  };
  const lines = Object.entries({ host: '127.0.0.1', ...headers }).map(([name, text]) => `${name}: ${text}\r\n`);
  return { headers, body, http1: Buffer.concat([Buffer.from(`POST / HTTP/1.1\r\n${lines.join('')}\r\n`), body]) };
}

/** PutRecords of `count` records of `sizeBytes`, each with a partition key that no other has. */
export function encodePutRecords(
  { streamName, count, sizeBytes }: { streamName: string; count: number; sizeBytes: number },
  sequence: number,
  encoding?: Encoding,
): Request {
  const Records = Array.from({ length: count }, (_, index) => {
    const partitionKey = `customer-${String(sequence * count + index).padStart(8, '0')}`;
    const Data = Buffer.alloc(sizeBytes, `${partitionKey} bought one of these; `);
    return { Data, PartitionKey: partitionKey };
  });
  return encode('PutRecords', { StreamName: streamName, Records }, encoding);
}
