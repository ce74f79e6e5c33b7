// IP addresses as filters compare them: by their bits, however they are written. Pure; what is no address is undefined, never an error.
// Invariant: the two ways to write one address (`::1` and `0:0:0:0:0:0:0:1`, an IPv4 address as IPv6) make the same `Address`.
import { isIPv4, isIPv6 } from 'node:net';

export interface Address {
  readonly bits: bigint;
  readonly width: 32 | 128;
}

const IPV4_IN_IPV6 = 0xffffn;

export function parseAddress(text: string): Address | undefined {
  if (isIPv4(text)) return { bits: bitsOf(text.split('.').map(Number), 8), width: 32 };
  // Without IPv6's dotted tail and zone, which AWS's rule engine takes for plain text.
  if (!/^[\da-fA-F:]+$/.test(text) || !isIPv6(text)) return undefined;
  const [head = '', tail] = text.split('::', 2).map((half) => half.split(':').filter((group) => group !== ''));
  const ends = [...head, ...(tail ?? [])];
  const zeros = Array.from({ length: 8 - ends.length }, () => '0');
  const groups = [...head, ...(tail === undefined ? [] : [...zeros, ...tail])];
  const bits = bitsOf(
    groups.map((group) => Number.parseInt(group, 16)),
    16,
  );
  return bits >> 32n === IPV4_IN_IPV6 ? { bits: bits & 0xffff_ffffn, width: 32 } : { bits, width: 128 };
}

/** @returns whether an address lies in a block; undefined when the text is none. */
export function parseBlock(text: string): ((address: Address) => boolean) | undefined {
  const [, base = '', length = ''] = /^([^/]+)\/(\d{1,3})$/.exec(text) ?? [];
  const block = parseAddress(base);
  if (block === undefined || Number(length) >= block.width) return undefined;
  const free = BigInt(block.width - Number(length));
  return ({ bits, width }) => width === block.width && bits >> free === block.bits >> free;
}

function bitsOf(groups: readonly number[], size: number): bigint {
  return groups.reduce((bits, group) => (bits << BigInt(size)) | BigInt(group), 0n);
}
