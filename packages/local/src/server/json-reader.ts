// JSON bytes to values, for requests: JSON.parse behind two checks that cost next to nothing. Bytes that are no UTF-8 are refused,
// where decoding would quietly put U+FFFD in their place; and so is a large body of very many values, because 16 MiB of empty
// lists would be 5 million objects and stop the server for seconds. What else JSON.parse takes is taken: the last of two
// members of one name, a member called __proto__ (one like any other), any depth, numbers beyond a double (Infinity).
import { isUtf8 } from 'node:buffer';
import { withoutLargeBlobs } from './large-blobs.ts';

/** As many as CBOR's. The largest request of the API, 500 records whose keys are all brackets or commas, has 130,000. */
const MAX_VALUES = 200_000;
/** Below it there cannot be that many that are worth a look. */
const LARGE_BODY_BYTES = 256 * 1024;

const BRACKET = 0x5b;
const BRACE = 0x7b;
const COMMA = 0x2c;

/** Large blobs may come as bytes, where all others come as texts. @throws SyntaxError */
export function readJson(bytes: Buffer): unknown {
  const { rest, revive } = withoutLargeBlobs(bytes) ?? {};
  if (rest === undefined) return parsed(bytes);
  try {
    return parsed(rest, revive);
  } catch {
    // So that the error is about what was sent; and a reviver stops at a depth at which JSON.parse alone does not.
    return parsed(bytes);
  }
}

function parsed(bytes: Buffer, revive?: (member: string, value: unknown) => unknown): unknown {
  if (!isUtf8(bytes)) throw new SyntaxError('the text is no UTF-8');
  if (bytes.length > LARGE_BODY_BYTES && hasTooManyValues(bytes))
    throw new SyntaxError(`more than ${MAX_VALUES} values`);
  return JSON.parse(bytes.toString('utf8'), revive) as unknown;
}

/** Each value but the first of a list or structure comes after a comma, each first one after a bracket; those in texts count, too. */
function hasTooManyValues(bytes: Buffer): boolean {
  let count = 0;
  for (const sign of [BRACKET, BRACE, COMMA]) {
    for (let at = bytes.indexOf(sign); at !== -1; at = bytes.indexOf(sign, at + 1)) {
      if (++count > MAX_VALUES) return true;
    }
  }
  return false;
}
