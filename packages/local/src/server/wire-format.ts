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

/** How each member of a structure is had from what the structure stands for. */
export type MembersOf<T> = Readonly<Record<string, (one: T) => WireValue | undefined>>;

/** A list of structures of the same members, each made when it is written: for answers of hundreds of them. */
export class Rows {
  readonly length: number;
  readonly members: readonly string[];
  readonly #list: readonly unknown[];
  readonly #columns: readonly ((one: unknown) => WireValue | undefined)[];

  private constructor(list: readonly unknown[], members: MembersOf<unknown>) {
    this.length = list.length;
    this.members = Object.keys(members);
    this.#list = list;
    this.#columns = Object.values(members);
  }

  static of<T>(list: readonly T[], members: MembersOf<T>): Rows {
    return new Rows(list, members as MembersOf<unknown>);
  }

  /** Of the `column`th of `members`. */
  value(row: number, column: number): WireValue | undefined {
    return this.#columns[column]?.(this.#list[row]);
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
  | Rows
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
