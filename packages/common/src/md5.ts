// MD5 of short ASCII texts (RFC 1321), which partition keys nearly always are: a call of node:crypto costs more than twice what hashing the
// one block does. A longer text, or one beyond ASCII, is not for this file. It works in memory of its own that the next call
// overwrites, so a digest must be read at once.

/** A block has 64 bytes: the text, one that marks its end, zeros, and eight with its length. */
const MAX_TEXT_LENGTH = 55;
const END_MARK = 0x80;
/** Words of the block, before those of its length, in bits. */
const TEXT_WORDS = 14;
const MOST_ASCII = 0x7f;

const START_A = 0x6745_2301;
const START_B = 0xefcd_ab89 | 0;
const START_C = 0x98ba_dcfe | 0;
const START_D = 0x1032_5476;

/** Its words as numbers, the first byte of each the lowest. */
const block: Int32Array = new Int32Array(16);
const digest: DataView = new DataView(new ArrayBuffer(16));

/** The 16 bytes of the digest, until the next call; undefined for a text that is long or not ASCII. */
export function md5OfShortAscii(text: string): DataView | undefined {
  if (!fillBlock(text)) return undefined;
  hashBlock();
  return digest;
}

function fillBlock(text: string): boolean {
  const { length } = text;
  if (length > MAX_TEXT_LENGTH) return false;
  let word = 0;
  let index = 0;
  let units = 0;
  for (; index + 4 <= length; index += 4) {
    const first = text.charCodeAt(index);
    const second = text.charCodeAt(index + 1);
    const third = text.charCodeAt(index + 2);
    const fourth = text.charCodeAt(index + 3);
    units |= first | second | third | fourth;
    block[word++] = first | (second << 8) | (third << 16) | (fourth << 24);
  }
  let last = 0;
  let shift = 0;
  for (; index < length; index++, shift += 8) {
    const unit = text.charCodeAt(index);
    units |= unit;
    last |= unit << shift;
  }
  if (units > MOST_ASCII) return false;
  block[word++] = last | (END_MARK << shift);
  while (word < TEXT_WORDS) block[word++] = 0;
  block[TEXT_WORDS] = length * 8;
  return true;
}

/**
 * The 64 steps, written out: as a loop over tables of words, constants and rotations they take a quarter longer. What a step waits for, the
 * result of the one before, is added last.
 */
function hashBlock(): void {
  const w0 = block[0] as number;
  const w1 = block[1] as number;
  const w2 = block[2] as number;
  const w3 = block[3] as number;
  const w4 = block[4] as number;
  const w5 = block[5] as number;
  const w6 = block[6] as number;
  const w7 = block[7] as number;
  const w8 = block[8] as number;
  const w9 = block[9] as number;
  const w10 = block[10] as number;
  const w11 = block[11] as number;
  const w12 = block[12] as number;
  const w13 = block[13] as number;
  const w14 = block[14] as number;
  const w15 = block[15] as number;
  let a = START_A;
  let b = START_B;
  let c = START_C;
  let d = START_D;

  a = (a + w0 + 0xd76a_a478 + (d ^ (b & (c ^ d)))) | 0;
  a = (((a << 7) | (a >>> 25)) + b) | 0;
  d = (d + w1 + 0xe8c7_b756 + (c ^ (a & (b ^ c)))) | 0;
  d = (((d << 12) | (d >>> 20)) + a) | 0;
  c = (c + w2 + 0x2420_70db + (b ^ (d & (a ^ b)))) | 0;
  c = (((c << 17) | (c >>> 15)) + d) | 0;
  b = (b + w3 + 0xc1bd_ceee + (a ^ (c & (d ^ a)))) | 0;
  b = (((b << 22) | (b >>> 10)) + c) | 0;
  a = (a + w4 + 0xf57c_0faf + (d ^ (b & (c ^ d)))) | 0;
  a = (((a << 7) | (a >>> 25)) + b) | 0;
  d = (d + w5 + 0x4787_c62a + (c ^ (a & (b ^ c)))) | 0;
  d = (((d << 12) | (d >>> 20)) + a) | 0;
  c = (c + w6 + 0xa830_4613 + (b ^ (d & (a ^ b)))) | 0;
  c = (((c << 17) | (c >>> 15)) + d) | 0;
  b = (b + w7 + 0xfd46_9501 + (a ^ (c & (d ^ a)))) | 0;
  b = (((b << 22) | (b >>> 10)) + c) | 0;
  a = (a + w8 + 0x6980_98d8 + (d ^ (b & (c ^ d)))) | 0;
  a = (((a << 7) | (a >>> 25)) + b) | 0;
  d = (d + w9 + 0x8b44_f7af + (c ^ (a & (b ^ c)))) | 0;
  d = (((d << 12) | (d >>> 20)) + a) | 0;
  c = (c + w10 + 0xffff_5bb1 + (b ^ (d & (a ^ b)))) | 0;
  c = (((c << 17) | (c >>> 15)) + d) | 0;
  b = (b + w11 + 0x895c_d7be + (a ^ (c & (d ^ a)))) | 0;
  b = (((b << 22) | (b >>> 10)) + c) | 0;
  a = (a + w12 + 0x6b90_1122 + (d ^ (b & (c ^ d)))) | 0;
  a = (((a << 7) | (a >>> 25)) + b) | 0;
  d = (d + w13 + 0xfd98_7193 + (c ^ (a & (b ^ c)))) | 0;
  d = (((d << 12) | (d >>> 20)) + a) | 0;
  c = (c + w14 + 0xa679_438e + (b ^ (d & (a ^ b)))) | 0;
  c = (((c << 17) | (c >>> 15)) + d) | 0;
  b = (b + w15 + 0x49b4_0821 + (a ^ (c & (d ^ a)))) | 0;
  b = (((b << 22) | (b >>> 10)) + c) | 0;

  a = (a + w1 + 0xf61e_2562 + (c ^ (d & (b ^ c)))) | 0;
  a = (((a << 5) | (a >>> 27)) + b) | 0;
  d = (d + w6 + 0xc040_b340 + (b ^ (c & (a ^ b)))) | 0;
  d = (((d << 9) | (d >>> 23)) + a) | 0;
  c = (c + w11 + 0x265e_5a51 + (a ^ (b & (d ^ a)))) | 0;
  c = (((c << 14) | (c >>> 18)) + d) | 0;
  b = (b + w0 + 0xe9b6_c7aa + (d ^ (a & (c ^ d)))) | 0;
  b = (((b << 20) | (b >>> 12)) + c) | 0;
  a = (a + w5 + 0xd62f_105d + (c ^ (d & (b ^ c)))) | 0;
  a = (((a << 5) | (a >>> 27)) + b) | 0;
  d = (d + w10 + 0x0244_1453 + (b ^ (c & (a ^ b)))) | 0;
  d = (((d << 9) | (d >>> 23)) + a) | 0;
  c = (c + w15 + 0xd8a1_e681 + (a ^ (b & (d ^ a)))) | 0;
  c = (((c << 14) | (c >>> 18)) + d) | 0;
  b = (b + w4 + 0xe7d3_fbc8 + (d ^ (a & (c ^ d)))) | 0;
  b = (((b << 20) | (b >>> 12)) + c) | 0;
  a = (a + w9 + 0x21e1_cde6 + (c ^ (d & (b ^ c)))) | 0;
  a = (((a << 5) | (a >>> 27)) + b) | 0;
  d = (d + w14 + 0xc337_07d6 + (b ^ (c & (a ^ b)))) | 0;
  d = (((d << 9) | (d >>> 23)) + a) | 0;
  c = (c + w3 + 0xf4d5_0d87 + (a ^ (b & (d ^ a)))) | 0;
  c = (((c << 14) | (c >>> 18)) + d) | 0;
  b = (b + w8 + 0x455a_14ed + (d ^ (a & (c ^ d)))) | 0;
  b = (((b << 20) | (b >>> 12)) + c) | 0;
  a = (a + w13 + 0xa9e3_e905 + (c ^ (d & (b ^ c)))) | 0;
  a = (((a << 5) | (a >>> 27)) + b) | 0;
  d = (d + w2 + 0xfcef_a3f8 + (b ^ (c & (a ^ b)))) | 0;
  d = (((d << 9) | (d >>> 23)) + a) | 0;
  c = (c + w7 + 0x676f_02d9 + (a ^ (b & (d ^ a)))) | 0;
  c = (((c << 14) | (c >>> 18)) + d) | 0;
  b = (b + w12 + 0x8d2a_4c8a + (d ^ (a & (c ^ d)))) | 0;
  b = (((b << 20) | (b >>> 12)) + c) | 0;

  a = (a + w5 + 0xfffa_3942 + (b ^ c ^ d)) | 0;
  a = (((a << 4) | (a >>> 28)) + b) | 0;
  d = (d + w8 + 0x8771_f681 + (a ^ b ^ c)) | 0;
  d = (((d << 11) | (d >>> 21)) + a) | 0;
  c = (c + w11 + 0x6d9d_6122 + (d ^ a ^ b)) | 0;
  c = (((c << 16) | (c >>> 16)) + d) | 0;
  b = (b + w14 + 0xfde5_380c + (c ^ d ^ a)) | 0;
  b = (((b << 23) | (b >>> 9)) + c) | 0;
  a = (a + w1 + 0xa4be_ea44 + (b ^ c ^ d)) | 0;
  a = (((a << 4) | (a >>> 28)) + b) | 0;
  d = (d + w4 + 0x4bde_cfa9 + (a ^ b ^ c)) | 0;
  d = (((d << 11) | (d >>> 21)) + a) | 0;
  c = (c + w7 + 0xf6bb_4b60 + (d ^ a ^ b)) | 0;
  c = (((c << 16) | (c >>> 16)) + d) | 0;
  b = (b + w10 + 0xbebf_bc70 + (c ^ d ^ a)) | 0;
  b = (((b << 23) | (b >>> 9)) + c) | 0;
  a = (a + w13 + 0x289b_7ec6 + (b ^ c ^ d)) | 0;
  a = (((a << 4) | (a >>> 28)) + b) | 0;
  d = (d + w0 + 0xeaa1_27fa + (a ^ b ^ c)) | 0;
  d = (((d << 11) | (d >>> 21)) + a) | 0;
  c = (c + w3 + 0xd4ef_3085 + (d ^ a ^ b)) | 0;
  c = (((c << 16) | (c >>> 16)) + d) | 0;
  b = (b + w6 + 0x0488_1d05 + (c ^ d ^ a)) | 0;
  b = (((b << 23) | (b >>> 9)) + c) | 0;
  a = (a + w9 + 0xd9d4_d039 + (b ^ c ^ d)) | 0;
  a = (((a << 4) | (a >>> 28)) + b) | 0;
  d = (d + w12 + 0xe6db_99e5 + (a ^ b ^ c)) | 0;
  d = (((d << 11) | (d >>> 21)) + a) | 0;
  c = (c + w15 + 0x1fa2_7cf8 + (d ^ a ^ b)) | 0;
  c = (((c << 16) | (c >>> 16)) + d) | 0;
  b = (b + w2 + 0xc4ac_5665 + (c ^ d ^ a)) | 0;
  b = (((b << 23) | (b >>> 9)) + c) | 0;

  a = (a + w0 + 0xf429_2244 + (c ^ (b | ~d))) | 0;
  a = (((a << 6) | (a >>> 26)) + b) | 0;
  d = (d + w7 + 0x432a_ff97 + (b ^ (a | ~c))) | 0;
  d = (((d << 10) | (d >>> 22)) + a) | 0;
  c = (c + w14 + 0xab94_23a7 + (a ^ (d | ~b))) | 0;
  c = (((c << 15) | (c >>> 17)) + d) | 0;
  b = (b + w5 + 0xfc93_a039 + (d ^ (c | ~a))) | 0;
  b = (((b << 21) | (b >>> 11)) + c) | 0;
  a = (a + w12 + 0x655b_59c3 + (c ^ (b | ~d))) | 0;
  a = (((a << 6) | (a >>> 26)) + b) | 0;
  d = (d + w3 + 0x8f0c_cc92 + (b ^ (a | ~c))) | 0;
  d = (((d << 10) | (d >>> 22)) + a) | 0;
  c = (c + w10 + 0xffef_f47d + (a ^ (d | ~b))) | 0;
  c = (((c << 15) | (c >>> 17)) + d) | 0;
  b = (b + w1 + 0x8584_5dd1 + (d ^ (c | ~a))) | 0;
  b = (((b << 21) | (b >>> 11)) + c) | 0;
  a = (a + w8 + 0x6fa8_7e4f + (c ^ (b | ~d))) | 0;
  a = (((a << 6) | (a >>> 26)) + b) | 0;
  d = (d + w15 + 0xfe2c_e6e0 + (b ^ (a | ~c))) | 0;
  d = (((d << 10) | (d >>> 22)) + a) | 0;
  c = (c + w6 + 0xa301_4314 + (a ^ (d | ~b))) | 0;
  c = (((c << 15) | (c >>> 17)) + d) | 0;
  b = (b + w13 + 0x4e08_11a1 + (d ^ (c | ~a))) | 0;
  b = (((b << 21) | (b >>> 11)) + c) | 0;
  a = (a + w4 + 0xf753_7e82 + (c ^ (b | ~d))) | 0;
  a = (((a << 6) | (a >>> 26)) + b) | 0;
  d = (d + w11 + 0xbd3a_f235 + (b ^ (a | ~c))) | 0;
  d = (((d << 10) | (d >>> 22)) + a) | 0;
  c = (c + w2 + 0x2ad7_d2bb + (a ^ (d | ~b))) | 0;
  c = (((c << 15) | (c >>> 17)) + d) | 0;
  b = (b + w9 + 0xeb86_d391 + (d ^ (c | ~a))) | 0;
  b = (((b << 21) | (b >>> 11)) + c) | 0;

  digest.setInt32(0, START_A + a, true);
  digest.setInt32(4, START_B + b, true);
  digest.setInt32(8, START_C + c, true);
  digest.setInt32(12, START_D + d, true);
}
