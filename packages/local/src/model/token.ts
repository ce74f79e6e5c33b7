// Opaque texts that a client carries back: shard iterators and the tokens of paged lists. A keyed checksum makes garbage
// and texts of another server recognizable; it is no cryptography, there is nothing to protect. Fast, because the
// simulator seals one a read.

/** Joins `parts` (none holds a `/`) into an opaque text. */
export function sealToken(key: string, parts: readonly (string | number)[]): string {
  const payload = parts.join('/');
  return btoa(`${payload}/${checksum(key, payload)}`);
}

/** The parts of a text that `sealToken` made with the same key; undefined for anything else. */
export function openToken(key: string, token: string): string[] | undefined {
  const text = decoded(token);
  const cut = text.lastIndexOf('/');
  if (cut < 0) return undefined;
  const payload = text.slice(0, cut);
  return checksum(key, payload) === text.slice(cut + 1) ? payload.split('/') : undefined;
}

/** Empty when it is no base64 as `btoa` writes it: `atob` alone would take a text without its padding, too. */
function decoded(token: string): string {
  try {
    const text = atob(token);
    return btoa(text) === token ? text : '';
  } catch {
    return '';
  }
}

/** Two 32-bit multiply-and-shift hashes over key and payload. */
function checksum(key: string, payload: string): string {
  const text = `${key}/${payload}`;
  let low = 0x9e37_79b9;
  let high = 0x85eb_ca6b;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    low = Math.imul(low ^ unit, 0x0100_0193);
    high = Math.imul(high ^ unit, 0x5bd1_e995);
    high ^= high >>> 15;
  }
  low = Math.imul(low ^ (high >>> 13), 0xc2b2_ae35);
  return `${(low >>> 0).toString(36)}.${(high >>> 0).toString(36)}`;
}
