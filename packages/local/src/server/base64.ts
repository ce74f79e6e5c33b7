// Blobs of JSON: base64 as AWS takes it, which is stricter than Buffer.from: with its padding, in the one alphabet, with no bits
// left over. What a local Kinesis let pass, AWS would refuse.

/** Undefined for a text that AWS would not take. */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  // Buffer.from skips what is no base64 and stops at padding: then fewer bytes come out than the text's length says.
  if (bytes.length !== decodedLength(text)) return undefined;
  // It also takes the alphabet of base64url.
  if (text.includes('-') || text.includes('_')) return undefined;
  return hasBitsLeft(text) ? undefined : bytes;
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

/** -1 for a text that is no padded base64 by its length alone. */
function decodedLength(base64: string): number {
  if (base64.length % 4 !== 0) return -1;
  const padding = base64.endsWith('==') ? 2 : base64.endsWith('=') ? 1 : 0;
  return (base64.length / 4) * 3 - padding;
}

/** The last character before the padding holds bits of no byte, which must be zero. */
function hasBitsLeft(base64: string): boolean {
  const { length } = base64;
  if (base64.endsWith('==')) return !'AQgw'.includes(base64.charAt(length - 3));
  if (base64.endsWith('=')) return !'AEIMQUYcgkosw048'.includes(base64.charAt(length - 2));
  return false;
}
