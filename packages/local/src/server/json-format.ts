// AWS JSON 1.1: blobs are base64, times are seconds since 1970 with a fraction. Written by hand because a PutRecords answer
// holds 500 records: JSON.stringify with a replacer costs several times as much.
import { base64Fault, decodeBase64, decodeSmallMembers } from './base64.ts';
import { readJson } from './json-reader.ts';
import { Timestamp, type WireFormat, type WireObject, type WireValue } from './wire-format.ts';

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

  serialize: (value) => Buffer.from(textOf(value), 'utf8'),
};

/** A value as JSON text; for event streams as well, whose payloads are JSON whatever the request was. */
export function textOf(value: WireValue): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value);
    case 'bigint':
      return `"${value}"`;
    case 'object':
      if (value === null) return 'null';
      if (Array.isArray(value)) return listText(value as readonly WireValue[]);
      if (value instanceof Uint8Array) return `"${base64Of(value)}"`;
      if (value instanceof Timestamp) return String(Math.floor(value.ms) / 1000);
      return objectText(value as WireObject);
    default:
      return String(value);
  }
}

function listText(list: readonly WireValue[]): string {
  let text = '[';
  for (let index = 0; index < list.length; index++) {
    if (index > 0) text += ',';
    text += textOf(list[index] ?? null);
  }
  return `${text}]`;
}

function objectText(object: WireObject): string {
  let text = '{';
  for (const member in object) {
    const value = object[member];
    if (value === undefined) continue;
    text += `${text.length === 1 ? '' : ','}"${member}":${textOf(value)}`;
  }
  return `${text}}`;
}

function base64Of(bytes: Uint8Array): string {
  const view = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return view.toString('base64');
}
