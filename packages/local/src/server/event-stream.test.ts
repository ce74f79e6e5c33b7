import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { eventFrame, exceptionFrame, initialResponseFrame } from './event-stream.ts';

/** Takes a frame apart, checksums and all. */
function read(frame: Buffer): { headers: Record<string, string>; payload: string } {
  expect(frame.readUInt32BE(0)).toBe(frame.length);
  expect(frame.readUInt32BE(8)).toBe(crc32(frame.subarray(0, 8)));
  expect(frame.readUInt32BE(frame.length - 4)).toBe(crc32(frame.subarray(0, -4)));
  const payloadAt = 12 + frame.readUInt32BE(4);
  const headers: Record<string, string> = {};
  for (let at = 12; at < payloadAt; ) {
    const nameEnd = at + 1 + frame.readUInt8(at);
    expect(frame.readUInt8(nameEnd)).toBe(7);
    const valueEnd = nameEnd + 3 + frame.readUInt16BE(nameEnd + 1);
    headers[frame.toString('utf8', at + 1, nameEnd)] = frame.toString('utf8', nameEnd + 3, valueEnd);
    at = valueEnd;
  }
  return { headers, payload: frame.toString('utf8', payloadAt, frame.length - 4) };
}

test('an event holds its lengths, checksums, headers and JSON', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 500 }), (text) => {
      const { headers, payload } = read(eventFrame({ PartitionKey: text }));
      expect(headers).toEqual({
        ':message-type': 'event',
        ':event-type': 'SubscribeToShardEvent',
        ':content-type': 'application/json',
      });
      expect(JSON.parse(payload)).toEqual({ PartitionKey: Buffer.from(text).toString() });
    }),
  );
});

test('the initial response and an exception', () => {
  expect(read(initialResponseFrame()).headers[':event-type']).toBe('initial-response');
  const { headers, payload } = read(exceptionFrame('ResourceInUseException', 'taken'));
  expect([headers[':message-type'], headers[':exception-type']]).toEqual(['exception', 'ResourceInUseException']);
  expect(JSON.parse(payload)).toEqual({ message: 'taken' });
});
