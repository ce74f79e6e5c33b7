// Blobs of JSON: base64 as AWS takes it, which is stricter than Buffer.from: with its padding, in the one alphabet, with no bits
// left over. What a local Kinesis let pass, AWS would refuse.

/** From here on decoding costs more than the call for it. */
const MAX_SMALL_LENGTH = 1024;
/** Of the texts that are decoded together. */
const PIECE_LENGTH = 32 * 1024;

/** Undefined for a text that AWS would not take. */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  // Buffer.from skips what is no base64 and stops at padding: then fewer bytes come out than the text's length says.
  if (bytes.length !== decodedLength(text)) return undefined;
  // It also takes the alphabet of base64url.
  if (isUrlAlphabet(text)) return undefined;
  return hasBitsLeft(text) ? undefined : bytes;
}

/**
 * Makes bytes of what is base64 among the small texts that `structures` have as their member `name`, and leaves all else as it is.
 * Many at a time: a call of the decoder costs three times what it does for 100 bytes. They lie side by side in pieces of 24 KiB,
 * so one record that is kept keeps at most that much.
 */
export function decodeSmallMembers(structures: readonly unknown[], name: string): void {
  let holders: Record<string, unknown>[] = [];
  let length = 0;
  for (const structure of structures) {
    const text = (structure as Readonly<Record<string, unknown>> | null)?.[name];
    if (typeof text !== 'string' || text.length > MAX_SMALL_LENGTH) continue;
    if (decodedLength(text) < 0 || hasBitsLeft(text)) continue;
    if (length + text.length > PIECE_LENGTH) {
      decodePiece(holders, name);
      holders = [];
      length = 0;
    }
    holders.push(structure as Record<string, unknown>);
    length += text.length;
  }
  decodePiece(holders, name);
}

function decodePiece(holders: readonly Record<string, unknown>[], name: string): void {
  let together = '';
  // Padding in the midst would end the decoding; as zero bits it is bytes that nobody looks at.
  for (const holder of holders) together += withZeroBits(holder[name] as string);
  const bytes = Buffer.allocUnsafeSlow((together.length / 4) * 3);
  // One that is no base64 makes fewer bytes of all of them; or it has the other alphabet.
  if (bytes.write(together, 'base64') < bytes.length || isUrlAlphabet(together)) return;
  let offset = 0;
  for (const holder of holders) {
    const text = holder[name] as string;
    holder[name] = new Uint8Array(bytes.buffer, offset, decodedLength(text));
    offset += (text.length / 4) * 3;
  }
}

/** Why AWS would not take it, in its own words. */
export function base64Fault(text: string): string {
  if (text.length % 4 !== 0) {
    return `Base64 encoded length is expected a multiple of 4 bytes but found: ${text.length}`;
  }
  const foreign = /[^a-zA-Z0-9+/=]|=(?!=?$)/.exec(text);
  if (foreign !== null) return `Invalid Base64 character: '${foreign[0]}'`;
  return 'Invalid last non-pad Base64 character dectected';
}

/** Without its padding, if any. */
function withZeroBits(base64: string): string {
  if (base64.endsWith('==')) return `${base64.slice(0, -2)}AA`;
  return base64.endsWith('=') ? `${base64.slice(0, -1)}A` : base64;
}

/** -1 for a text that is no padded base64 by its length alone. */
function decodedLength(base64: string): number {
  if (base64.length % 4 !== 0) return -1;
  const padding = base64.endsWith('==') ? 2 : base64.endsWith('=') ? 1 : 0;
  return (base64.length / 4) * 3 - padding;
}

function isUrlAlphabet(base64: string): boolean {
  return base64.includes('-') || base64.includes('_');
}

/** The last character before the padding holds bits of no byte, which must be zero. */
function hasBitsLeft(base64: string): boolean {
  const { length } = base64;
  if (base64.endsWith('==')) return !'AQgw'.includes(base64.charAt(length - 3));
  if (base64.endsWith('=')) return !'AEIMQUYcgkosw048'.includes(base64.charAt(length - 2));
  return false;
}
