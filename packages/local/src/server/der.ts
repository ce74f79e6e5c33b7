// DER, the binary form of ASN.1, as far as a certificate needs it: every value is a tag, a length and a content. Only writes.
import { isIPv4, isIPv6 } from 'node:net';

/** The tag of `[number]` around a whole value, or around the content of a simple one. */
export const contextTag = { simple: 0x80, around: 0xa0 } as const;

const LAST_YEAR_IN_TWO_DIGITS = 2049;

export function derValue(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(contents);
  return Buffer.concat([Buffer.from([tag]), derLength(content.length), content]);
}

export function derSequence(...values: readonly Uint8Array[]): Buffer {
  return derValue(0x30, ...values);
}

export function derSet(...values: readonly Uint8Array[]): Buffer {
  return derValue(0x31, ...values);
}

export function derBoolean(value: boolean): Buffer {
  return derValue(0x01, Buffer.from([value ? 0xff : 0]));
}

/** Of a number that is not negative, most significant byte first. */
export function derInteger(bytes: Uint8Array): Buffer {
  const first = bytes.findIndex((byte) => byte !== 0);
  const significant = first < 0 ? Buffer.alloc(1) : bytes.subarray(first);
  // The top bit of the first byte is the sign.
  return (significant[0] ?? 0) < 0x80 ? derValue(0x02, significant) : derValue(0x02, Buffer.alloc(1), significant);
}

/** `unusedBits` at the end of the last byte do not count. */
export function derBits(bytes: Uint8Array, unusedBits = 0): Buffer {
  return derValue(0x03, Buffer.from([unusedBits]), bytes);
}

export function derBytes(bytes: Uint8Array): Buffer {
  return derValue(0x04, bytes);
}

/** `1.2.840.10045.4.3.2` */
export function derObjectId(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  return derValue(0x06, Buffer.from([40 * first + second, ...rest].flatMap(inSevens)));
}

export function derText(text: string): Buffer {
  return derValue(0x0c, Buffer.from(text, 'utf8'));
}

/** To the second, UTC. Years from 2050 on are written with four digits, by RFC 5280. */
export function derTime(epochMs: number): Buffer {
  const date = new Date(epochMs);
  const digits = `${date.toISOString().slice(0, 19).replace(/\D/g, '')}Z`;
  return date.getUTCFullYear() <= LAST_YEAR_IN_TWO_DIGITS
    ? derValue(0x17, Buffer.from(digits.slice(2), 'latin1'))
    : derValue(0x18, Buffer.from(digits, 'latin1'));
}

/** An IP address as its 4 or 16 bytes. Undefined for what is none. */
export function addressBytes(address: string): Buffer | undefined {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  const [withoutZone = ''] = address.split('%');
  if (!isIPv6(withoutZone)) return undefined;
  // The URL parser writes an IPv4 part in hexadecimal, and at most one `::`.
  const [head = '', tail] = new URL(`http://[${withoutZone}]`).hostname.slice(1, -1).split('::');
  const groups = (text: string | undefined): string[] => (text ? text.split(':') : []);
  const [before, after] = [groups(head), groups(tail)];
  const zeros = Array<string>(8 - before.length - after.length).fill('0');
  return Buffer.from([...before, ...zeros, ...after].map((group) => group.padStart(4, '0')).join(''), 'hex');
}

function derLength(length: number): Buffer {
  if (length < 0x80) return Buffer.from([length]);
  const bytes = length.toString(16);
  const big = Buffer.from(bytes.padStart(bytes.length + (bytes.length % 2), '0'), 'hex');
  return Buffer.concat([Buffer.from([0x80 | big.length]), big]);
}

/** Base 128, most significant first; all but the last byte have the top bit. */
function inSevens(value: number): number[] {
  const last = value & 0x7f;
  return value < 0x80 ? [last] : [...inSevens(Math.floor(value / 0x80)).map((byte) => byte | 0x80), last];
}
