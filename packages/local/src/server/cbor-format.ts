// AWS CBOR 1.1, which the SDKs for Java speak by default: blobs are byte strings, times are tag 1 with milliseconds.
import { readCbor } from './cbor-reader.ts';
import { writeCbor } from './cbor-writer.ts';
import { Timestamp, type WireFormat } from './wire-format.ts';

export const cborFormat: WireFormat = {
  contentType: 'application/x-amz-cbor-1.1',

  parse: readCbor,

  blobOf: (value) => (value instanceof Uint8Array ? value : undefined),

  // Jackson, which the SDKs for Java are built on, does not look at tags: a time without one is as good.
  timestampOf: (value) => {
    if (value instanceof Timestamp) return Math.round(value.ms);
    return typeof value === 'number' ? Math.round(value) : undefined;
  },

  serialize: writeCbor,
};
