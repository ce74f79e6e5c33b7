// MD5 of short ASCII texts (RFC 1321), which partition keys nearly always are: a call of node:crypto costs twice what hashing the
// one block does. A longer text, or one beyond ASCII, is not for this file. It works in memory of its own that the next call
// overwrites, so a digest must be read at once.

/** A block has 64 bytes: the text, one that marks its end, zeros, and eight with its length. */
const MAX_TEXT_LENGTH = 55;
const LENGTH_AT = 56;

const START_A = 0x6745_2301;
const START_B = 0xefcd_ab89 | 0;
const START_C = 0x98ba_dcfe | 0;
const START_D = 0x1032_5476;

const block: DataView = new DataView(new ArrayBuffer(64));
const digest: DataView = new DataView(new ArrayBuffer(16));

/** For each of the 64 steps: where its word of the block begins, its constant, and how far it rotates. */
const wordAt: Uint8Array = Uint8Array.from({ length: 64 }, (_, step) => {
  const order = [step, 5 * step + 1, 3 * step + 5, 7 * step][step >> 4] ?? 0;
  return 4 * (order % 16);
});
const sines: Int32Array = Int32Array.from({ length: 64 }, (_, step) => 2 ** 32 * Math.abs(Math.sin(step + 1)));
const rotations: Uint8Array = Uint8Array.from(
  { length: 64 },
  (_, step) => [7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21][(step >> 4) * 4 + (step % 4)] ?? 0,
);

/** The 16 bytes of the digest, until the next call; undefined for a text that is long or not ASCII. */
export function md5OfShortAscii(text: string): DataView | undefined {
  if (!fillBlock(text)) return undefined;
  hashBlock();
  return digest;
}

function fillBlock(text: string): boolean {
  const { length } = text;
  if (length > MAX_TEXT_LENGTH) return false;
  for (let offset = 0; offset < LENGTH_AT; offset += 8) block.setFloat64(offset, 0);
  for (let index = 0; index < length; index++) {
    const unit = text.charCodeAt(index);
    if (unit > 0x7f) return false;
    block.setUint8(index, unit);
  }
  block.setUint8(length, 0x80);
  block.setInt32(LENGTH_AT, length * 8, true);
  return true;
}

function hashBlock(): void {
  let a = START_A;
  let b = START_B;
  let c = START_C;
  let d = START_D;
  for (let step = 0; step < 64; step++) {
    const mixed = step < 16 ? d ^ (b & (c ^ d)) : step < 32 ? c ^ (d & (b ^ c)) : step < 48 ? b ^ c ^ d : c ^ (b | ~d);
    const sum = (a + mixed + block.getInt32(wordAt[step] as number, true) + (sines[step] as number)) | 0;
    const rotation = rotations[step] as number;
    a = d;
    d = c;
    c = b;
    b = (b + ((sum << rotation) | (sum >>> (32 - rotation)))) | 0;
  }
  digest.setInt32(0, START_A + a, true);
  digest.setInt32(4, START_B + b, true);
  digest.setInt32(8, START_C + c, true);
  digest.setInt32(12, START_D + d, true);
}
