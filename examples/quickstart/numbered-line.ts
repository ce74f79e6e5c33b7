// What travels: a line as a user record. Some lines are equal, so a line is known by its number, which goes in front of its
// bytes; its first field is the partition key, so that the lines of one client, visitor or device stay in order.
// Invariant: every line has a partition key that Kinesis takes (1 to 256 UTF-16 units), whatever its bytes are.
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { MAX_PARTITION_KEY_UNITS } from '@shardline/common';

/** The key of lines without a first field: blank ones are lines too, and keep their order among themselves. */
export const BLANK_KEY = '(blank)';

/** What the handler finds in a user record's data. */
export interface NumberedLine {
  /** From 1. */
  readonly lineNumber: number;
  /** CRC-32 of the line's bytes, to see that they came through unchanged. */
  readonly checksum: number;
}

const TAB = 0x09;

/** The first field, whitespace around it left out; a field that is too long for a partition key is stood for by its SHA-256. */
export function partitionKeyOf(line: Buffer): string {
  const field = /\S+/.exec(line.toString('utf8'))?.[0] ?? BLANK_KEY;
  if (field.length <= MAX_PARTITION_KEY_UNITS) return field;
  return `sha256:${createHash('sha256').update(field).digest('hex')}`;
}

export function checksumOf(line: Uint8Array): number {
  return crc32(line);
}

/** `number`, a tab, the line's bytes. */
export function encodeLine(lineNumber: number, line: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`${lineNumber}\t`), line]);
}

/** Undefined for data that is no numbered line. */
export function decodeLine(data: Uint8Array): NumberedLine | undefined {
  const tab = data.indexOf(TAB);
  const digits = tab > 0 && tab <= 15 ? Buffer.from(data.subarray(0, tab)).toString('latin1') : '';
  if (!/^[1-9]\d*$/.test(digits)) return undefined;
  return { lineNumber: Number(digits), checksum: checksumOf(data.subarray(tab + 1)) };
}
