// Asking in CBOR, where data are bytes and not base64, and whether that may be relied on: AWS's SDKs for Java ask so by default, a server that
// imitates Kinesis may not know it, or get it wrong. So a client asks in CBOR until it sees a sign against it, and from then on in JSON.
// Pure.
// Invariant: nothing is lost by trying: only reads are asked so, and what CBOR did not answer well is asked again in JSON.
import { CborReader } from './cbor-reader.ts';

export const CBOR_CONTENT_TYPE = 'application/x-amz-cbor-1.1';

/** Of calls that were not answered at all: a server may hang up on what it does not know. */
const MOST_SILENCES = 3;
const UNSUPPORTED_MEDIA_TYPE = 415;

/** What a client has seen of CBOR. */
export class CborTrust {
  #state: 'tried' | 'proven' | 'off';
  #silences = 0;

  constructor(isOn: boolean) {
    this.#state = isOn ? 'tried' : 'off';
  }

  get isOn(): boolean {
    return this.#state !== 'off';
  }

  /** An answer was read. */
  prove(): void {
    if (this.#state === 'tried') this.#state = 'proven';
  }

  refuse(): void {
    this.#state = 'off';
  }

  /** A call failed without an answer. */
  silent(): void {
    this.#silences += 1;
    if (this.#state === 'tried' && this.#silences >= MOST_SILENCES) this.#state = 'off';
  }

  /** Whether an error in another format says that CBOR is not understood: once it was, only in these words. */
  isRefusal(statusCode: number): boolean {
    return this.#state === 'tried' || statusCode === UNSUPPORTED_MEDIA_TYPE;
  }
}

export function isCbor(contentType: string | undefined): boolean {
  return contentType?.startsWith(CBOR_CONTENT_TYPE) === true;
}

/** An input whose members are texts and whole numbers; undefined members are left out. @returns undefined for any other. */
export function writeCborInput(input: object): Buffer | undefined {
  const members = Object.entries(input).filter(([, value]) => value !== undefined);
  const parts: Buffer[] = [headOf(0xa0, members.length)];
  for (const [name, value] of members) {
    parts.push(textOf(name));
    if (typeof value === 'string') parts.push(textOf(value));
    else if (Number.isInteger(value) && value >= 0 && value < 2 ** 32) parts.push(headOf(0, value));
    else return undefined;
  }
  return Buffer.concat(parts);
}

/** The JSON of an error that came as CBOR, for the SDK. @throws CborError */
export function errorAsJson(body: Buffer): Buffer {
  const reader = new CborReader(body);
  const members: [string, string][] = [];
  for (let left = reader.openMap(); reader.hasMore(left); left -= 1) {
    const name = reader.text();
    const value = reader.value();
    if (typeof value === 'string') members.push([name, value]);
  }
  reader.end();
  return Buffer.from(JSON.stringify(Object.fromEntries(members)));
}

function textOf(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([headOf(0x60, bytes.length), bytes]);
}

function headOf(major: number, argument: number): Buffer {
  if (argument < 24) return Buffer.of(major | argument);
  if (argument < 2 ** 8) return Buffer.of(major | 24, argument);
  if (argument < 2 ** 16) return Buffer.of(major | 25, argument >> 8, argument & 0xff);
  const head = Buffer.alloc(5, major | 26);
  head.writeUInt32BE(argument, 1);
  return head;
}
