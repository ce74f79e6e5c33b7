// Frames of `application/vnd.amazon.eventstream`, the body of a SubscribeToShard answer: total length, length of the headers,
// CRC32 of those eight bytes, headers (name, type 7, text), payload, CRC32 of all before. All numbers are big-endian.
import { crc32 } from 'node:zlib';
import { jsonText, writeUtf8 } from './json-writer.ts';
import type { WireObject } from './wire-format.ts';

export const EVENT_STREAM_CONTENT_TYPE = 'application/vnd.amazon.eventstream';

const PRELUDE_BYTES = 12;
const CHECKSUM_BYTES = 4;
const TEXT_HEADER = 7;

const eventHeaders = headersOf({
  ':message-type': 'event',
  ':event-type': 'SubscribeToShardEvent',
  ':content-type': 'application/json',
});

/** The first frame: the answer's own members, of which SubscribeToShard has none. */
export function initialResponseFrame(): Buffer {
  const headers = { ':message-type': 'event', ':event-type': 'initial-response', ':content-type': 'application/json' };
  return frame(headersOf(headers), '{}');
}

/** A SubscribeToShardEvent. */
export function eventFrame(event: WireObject): Buffer {
  return frame(eventHeaders, jsonText(event));
}

/** A modelled error that ends the stream. */
export function exceptionFrame(type: string, message: string): Buffer {
  const headers = { ':message-type': 'exception', ':exception-type': type, ':content-type': 'application/json' };
  return frame(headersOf(headers), jsonText({ message }));
}

function frame(headers: Buffer, payload: string): Buffer {
  const payloadBytes = Buffer.byteLength(payload);
  const totalBytes = PRELUDE_BYTES + headers.length + payloadBytes + CHECKSUM_BYTES;
  const bytes = Buffer.allocUnsafe(totalBytes);
  bytes.writeUInt32BE(totalBytes, 0);
  bytes.writeUInt32BE(headers.length, 4);
  bytes.writeUInt32BE(crc32(bytes.subarray(0, 8)), 8);
  headers.copy(bytes, PRELUDE_BYTES);
  writeUtf8(payload, bytes, PRELUDE_BYTES + headers.length, payloadBytes);
  const checksumAt = totalBytes - CHECKSUM_BYTES;
  bytes.writeUInt32BE(crc32(bytes.subarray(0, checksumAt)), checksumAt);
  return bytes;
}

function headersOf(headers: Readonly<Record<string, string>>): Buffer {
  const parts = Object.entries(headers).map(([name, value]) => {
    const length = Buffer.alloc(2);
    length.writeUInt16BE(Buffer.byteLength(value));
    return Buffer.concat([
      Buffer.from([name.length]),
      Buffer.from(name),
      Buffer.from([TEXT_HEADER]),
      length,
      Buffer.from(value),
    ]);
  });
  return Buffer.concat(parts);
}
