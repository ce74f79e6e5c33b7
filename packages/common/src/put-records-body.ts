// What PutRecords says on the wire, both ways, for the short way of frequent calls (aws-shortcut.ts): the body is written into one
// buffer of its exact size, with each record's base64 made by Node. The SDK makes it byte by byte, and its buffer grows by doubling.
// Invariant: the body says what the SDK's would for the same input, and an answer is read as the SDK reads it.
import type { PutRecordsInput, PutRecordsOutput, PutRecordsResultEntry } from '@aws-sdk/client-kinesis';

const TAIL = '"}';
/** Data is encoded in pieces of whole groups of three bytes: a text beyond 128 kB has memory of its own in V8, and costs four times as much. */
const PIECE_BYTES: number = 3 * 8 * 1024;

/** @param take gives a buffer of that many bytes. */
export function writePutRecords(
  { Records: records = [], ...others }: PutRecordsInput,
  take: (size: number) => Buffer = Buffer.allocUnsafe,
): Buffer {
  // Undefined members are left out, as the SDK leaves them out.
  const start = `${JSON.stringify(others).slice(0, -1)}${Object.values(others).every(isAbsent) ? '' : ','}"Records":[`;
  const heads = records.map(({ Data: _, ...keys }, index) => {
    const text = JSON.stringify(keys).slice(0, -1);
    return `${index === 0 ? '' : ','}${text}${text === '{' ? '' : ','}"Data":"`;
  });
  const lengths = heads.map((head) => Buffer.byteLength(head));
  let size = Buffer.byteLength(start) + 2;
  for (const [index, { Data: data }] of records.entries()) {
    size += (lengths[index] as number) + base64Length(data?.length ?? 0) + TAIL.length;
  }
  const body = take(size);
  let at = body.write(start, 0);
  for (const [index, { Data: data = new Uint8Array() }] of records.entries()) {
    at += body.write(heads[index] as string, at);
    at = writeBase64(body, at, bufferOf(data));
    at += body.write(TAIL, at, 'latin1');
  }
  body.write(']}', at, 'latin1');
  return body;
}

/** @returns where it ends. */
function writeBase64(body: Buffer, start: number, data: Buffer): number {
  let at = start;
  for (let from = 0; from < data.length; from += PIECE_BYTES) {
    at += body.write(data.toString('base64', from, from + PIECE_BYTES), at, 'latin1');
  }
  return at;
}

/** What is null is absent for the SDK. */
export function readPutRecords(answer: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const { Records: records = [] } = answer as unknown as Pick<PutRecordsOutput, 'Records'>;
  const read = records.map(
    ({ SequenceNumber, ShardId, ErrorCode, ErrorMessage }): PutRecordsResultEntry => ({
      ...(!isAbsent(SequenceNumber) && { SequenceNumber }),
      ...(!isAbsent(ShardId) && { ShardId }),
      ...(!isAbsent(ErrorCode) && { ErrorCode }),
      ...(!isAbsent(ErrorMessage) && { ErrorMessage }),
    }),
  );
  return { ...answer, Records: read };
}

function isAbsent(value: unknown): value is null | undefined {
  return value === undefined || value === null;
}

function base64Length(length: number): number {
  return 4 * Math.ceil(length / 3);
}

function bufferOf(data: Uint8Array): Buffer {
  return Buffer.isBuffer(data) ? data : Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}
