// AWS JSON 1.1: blobs are base64, times are seconds since 1970 with a fraction.
import { base64Fault, decodeBase64, decodeSmallMembers } from './base64.ts';
import { readJson } from './json-reader.ts';
import { jsonText, writeUtf8 } from './json-writer.ts';
import type { WireFormat } from './wire-format.ts';

export const jsonFormat: WireFormat = {
  contentType: 'application/x-amz-json-1.1',

  parse: readJson,

  blobOf: (value) => {
    if (typeof value === 'string') return decodeBase64(value);
    return value instanceof Uint8Array ? value : undefined;
  },

  decodeBlobs: decodeSmallMembers,

  blobFault: base64Fault,

  timestampOf: (value) => (typeof value === 'number' ? Math.round(value * 1000) : undefined),

  serialize: (value) => {
    const text = jsonText(value);
    const bytes = Buffer.allocUnsafe(Buffer.byteLength(text));
    writeUtf8(text, bytes, 0, bytes.length);
    return bytes;
  },
};
