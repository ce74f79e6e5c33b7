// Takes large blobs out of a JSON body before it is parsed: as texts they would be copied three times on the way to their bytes.
// What is left has a mark in the place of each, which only this file can have put there: it is a control character, and those
// stand in JSON only behind a backslash. So a body with a backslash is left as it is, and so is whatever is no base64.
import { decodeBase64 } from './base64.ts';

export interface WithoutBlobs {
  /** The body with a mark in the place of each blob. */
  readonly rest: Buffer;
  /** For JSON.parse: puts the bytes where the marks are. */
  readonly revive: (member: string, value: unknown) => unknown;
}

/** Every blob of twice this length is found, and some that are shorter. */
const STRIDE = 1024;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** Nothing else can end with it where there is no backslash. With or without a blank, as the SDKs write it. */
const MEMBER = /"Data": ?"$/;
const MEMBER_LENGTH = '"Data": "'.length;
const MARK = '\0';

/** Undefined when there is nothing to take out. */
export function withoutLargeBlobs(body: Buffer): WithoutBlobs | undefined {
  const blobs: Buffer[] = [];
  const pieces: Buffer[] = [];
  let takenTo = 0;
  for (const { start, end } of longTexts(body)) {
    if (!MEMBER.test(body.toString('latin1', Math.max(0, start - MEMBER_LENGTH), start))) continue;
    if (blobs.length === 0 && body.includes(BACKSLASH)) return undefined;
    const bytes = decodeBase64(body.toString('latin1', start, end));
    if (bytes === undefined) continue;
    pieces.push(body.subarray(takenTo, start), Buffer.from(`\\u0000${blobs.length}`));
    takenTo = end;
    blobs.push(bytes);
  }
  if (blobs.length === 0) return undefined;
  pieces.push(body.subarray(takenTo));
  const revive = (_: string, value: unknown): unknown =>
    typeof value === 'string' && value.startsWith(MARK) ? blobs[Number(value.slice(1))] : value;
  return { rest: Buffer.concat(pieces), revive };
}

/** What stands between two quotes, if it is long; looked for in strides, so that a body without any costs next to nothing. */
function* longTexts(body: Buffer): Generator<{ start: number; end: number }> {
  for (let at = 0; at < body.length; ) {
    const end = body.indexOf(QUOTE, at);
    if (end === -1) return;
    if (end - at >= STRIDE) yield { start: body.lastIndexOf(QUOTE, at) + 1, end };
    at = end + 1 + STRIDE;
  }
}
