// What a format of the wire is: bytes to parsed values and neutral values to bytes. Operations deal in neutral values, so that
// they know no format; a format knows bytes and no operation.

/** A point in time on the wire. */
export class Timestamp {
  /** Since 1970. */
  readonly ms: number;

  constructor(ms: number) {
    this.ms = ms;
  }
}

/** What an operation answers with. A bigint is written as decimal text, bytes as a blob, an undefined member not at all. */
export type WireValue =
  | string
  | number
  | boolean
  | bigint
  | null
  | Uint8Array
  | Timestamp
  | readonly WireValue[]
  | WireObject;
export interface WireObject {
  readonly [member: string]: WireValue | undefined;
}

export interface WireFormat {
  /** Of the answer. */
  readonly contentType: string;
  /** @throws anything when the bytes do not parse */
  parse(body: Buffer): unknown;
  /** A parsed member that should be bytes; undefined when it is not. */
  blobOf(value: unknown): Uint8Array | undefined;
  /**
   * Where blobs are texts: decodes small ones that many parsed structures have as their member `name`, in place and all at once.
   * What is decoded, `blobOf` gives back; all else it looks at as before.
   */
  decodeBlobs?(structures: readonly unknown[], name: string): void;
  /** Why a text is no blob, where some texts are. */
  blobFault?(text: string): string;
  /** A parsed member that should be a time, ms since 1970; undefined when it is not. */
  timestampOf(value: unknown): number | undefined;
  serialize(value: WireObject): Buffer;
}
