// Large bodies of answers over HTTP/1.1 are read from the socket to where they stay: an agent for aws-exchange.ts, whose sockets read into
// memory that is given to them. By Node's own way each piece is read into memory of its own, copied by the parser and copied once more
// to make one of all: three times the memory that the collector has to follow, which took it longer than all the rest of reading records of 50 kB.
// Node's parser reads every answer, but of one with a large body, once that has come, only the head, which then says that there is none.
// Invariants: what the parser is not given are the bytes of the body, as many as the head says; of an answer whose head is in any way
// unusual, or that nobody has asked for so, it is given all.
import { Agent } from 'node:http';
import { Agent as SecureAgent } from 'node:https';
import type { OnReadOpts, Socket } from 'node:net';

/** Who waits for an answer by a socket. */
export interface BodyReader {
  /** A piece of a large body has come. */
  readonly onPart: () => void;
}

type Connect<A extends Agent> = Parameters<A['createConnection']>;
type Connection = ReturnType<Agent['createConnection']>;

/** Smaller ones come in a piece or two. */
const FEWEST_BYTES = 64 * 1024;
/** Ten MiB of data in base64, and room to spare: for a longer one no memory is taken before it has come. */
const MOST_BYTES = 32 * 1024 * 1024;
const PIECE_BYTES = 64 * 1024;
const HEAD_END = '\r\n\r\n';
const SUCCESS = /^HTTP\/1\.1 200 /;
const LENGTH = /(?<=\r\ncontent-length: *)\d+(?= *\r\n)/gi;
/** What has a say in how long a body is, or in what comes with it. */
const UNUSUAL = /\r\n(?:transfer-encoding|trailer|upgrade)[ \t]*:/i;

/** Of all sockets, each of which is done with it when it has read. */
const piece = Buffer.allocUnsafeSlow(PIECE_BYTES);
const bodies = new WeakMap<object, SocketBodies>();

/** An agent for `awaitLargeBody`. */
export class LargeBodyAgent extends Agent {
  override createConnection(...[options, callback]: Connect<Agent>): Connection {
    return withBodies((onread) => super.createConnection({ ...options, ...{ onread } }, callback));
  }
}

/** The same over TLS. */
export class SecureLargeBodyAgent extends SecureAgent {
  override createConnection(...[options, callback]: Connect<SecureAgent>): Connection {
    return withBodies((onread) => super.createConnection({ ...options, ...{ onread } }, callback));
  }
}

/** The body of the next answer by this socket is to be read so, if it is large. */
export function awaitLargeBody(socket: object, reader: BodyReader): void {
  bodies.get(socket)?.await(reader);
}

/** @returns the body of the answer whose head the parser has just read; undefined: the parser gives it, as ever. */
export function takeLargeBody(socket: object): Buffer | undefined {
  return bodies.get(socket)?.take();
}

function withBodies(connect: (onread: OnReadOpts) => Connection): Connection {
  let own: SocketBodies | undefined;
  const onread: OnReadOpts = {
    buffer: () => own?.room ?? piece,
    callback: (byteCount) => {
      own?.read(byteCount);
      return true;
    },
  };
  const socket = connect(onread) as Socket;
  own = new SocketBodies(socket);
  bodies.set(socket, own);
  return socket;
}

class SocketBodies {
  readonly #socket: Socket;
  #reader: BodyReader | undefined;
  /** Of the answer whose body is coming; and how much of it has come. */
  #head = '';
  #body: Buffer | undefined;
  #at = 0;
  #whole: Buffer | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  await(reader: BodyReader): void {
    this.#reader = reader;
    this.#whole = undefined;
  }

  take(): Buffer | undefined {
    const whole = this.#whole;
    this.#whole = undefined;
    return whole;
  }

  /** Where the next bytes belong. */
  get room(): Uint8Array {
    return this.#body === undefined ? piece : this.#body.subarray(this.#at);
  }

  /** So many have come to where they belong. */
  read(byteCount: number): void {
    if (this.#body === undefined) {
      const came = piece.subarray(0, byteCount);
      if (this.#reader === undefined || !this.#begin(came)) this.#parse(came);
      return;
    }
    this.#at += byteCount;
    this.#reader?.onPart();
    if (this.#at === this.#body.length) this.#end(this.#body);
  }

  /** The first bytes of an answer. @returns false: it is the parser's. */
  #begin(came: Buffer): boolean {
    const headEnd = came.indexOf(HEAD_END) + HEAD_END.length;
    const head = came.toString('latin1', 0, headEnd);
    const length = headEnd < HEAD_END.length ? undefined : bodyBytesOf(head);
    const own = length !== undefined && length > came.length - headEnd;
    if (!own) {
      this.#reader = undefined;
      return false;
    }
    this.#head = head;
    this.#body = Buffer.allocUnsafeSlow(length);
    this.#at = came.copy(this.#body, 0, headEnd);
    return true;
  }

  #end(body: Buffer): void {
    const head = this.#head.replace(LENGTH, (digits) => '0'.repeat(digits.length));
    this.#whole = body;
    this.#head = '';
    this.#body = undefined;
    this.#reader = undefined;
    this.#parse(Buffer.from(head, 'latin1'));
  }

  /** Node's client listens for it, and keeps nothing of it. */
  #parse(came: Buffer): void {
    this.#socket.emit('data', came);
  }
}

/** @returns undefined for a head that is not as usual, or not of a large body. */
function bodyBytesOf(head: string): number | undefined {
  if (!SUCCESS.test(head) || UNUSUAL.test(head)) return undefined;
  const [digits, ...more] = head.match(LENGTH) ?? [];
  const length = Number(digits);
  return more.length === 0 && length >= FEWEST_BYTES && length <= MOST_BYTES ? length : undefined;
}
