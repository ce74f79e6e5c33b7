// The two formats a client may speak, and as much of an answer's as a measure must know: whether all records were stored, how many
// were read, where to read on. All of it by looking for bytes, so that the client costs next to nothing.
import { decodeFirst, encode } from 'cborg';

/** What a client sends; bytes are base64 in JSON. */
export type Member = string | number | Uint8Array | readonly Member[] | { readonly [name: string]: Member };

export interface Encoding {
  readonly contentType: string;
  encode(value: Member): Buffer;
  /** In every PutRecords answer that stored all. */
  readonly noneFailed: string;
  /** As often in a GetRecords answer as there are records in it. */
  readonly inEachRecord: string;
  /** Of a GetRecords answer. */
  nextIterator(answer: Buffer): string | undefined;
}

/** Before the records or after them, within so many bytes of the answer's ends. */
const EDGE_BYTES = 2000;

export const json: Encoding = {
  contentType: 'application/x-amz-json-1.1',
  encode: (value) => Buffer.from(JSON.stringify(value, base64)),
  noneFailed: '"FailedRecordCount":0',
  inEachRecord: '"PartitionKey"',
  nextIterator: (answer) => {
    const end = answer.toString('latin1', Math.max(EDGE_BYTES, answer.length - EDGE_BYTES));
    return /"NextShardIterator":"([^"]+)"/.exec(answer.toString('latin1', 0, EDGE_BYTES) + end)?.[1];
  },
};

export const cbor: Encoding = {
  contentType: 'application/x-amz-cbor-1.1',
  encode: (value) => Buffer.from(encode(value)),
  noneFailed: 'FailedRecordCount\0',
  inEachRecord: 'PartitionKey',
  nextIterator: (answer) => {
    const name = 'NextShardIterator';
    const at = answer.lastIndexOf(name);
    return at === -1 ? undefined : String(decodeFirst(answer.subarray(at + name.length))[0]);
  },
};

/** A replacer sees the holder's own value; `value` has gone through Buffer's toJSON by then. */
function base64(this: unknown, name: string, value: unknown): unknown {
  const own = (this as Record<string, unknown>)[name];
  return own instanceof Uint8Array ? Buffer.from(own).toString('base64') : value;
}
