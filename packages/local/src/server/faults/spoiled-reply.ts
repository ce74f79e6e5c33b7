// Answers that do not arrive as they were written: they stand between whoever writes an answer and the connection, and pass
// on, cut, hold back or falsify what is written. The writer knows nothing of it; it hears of the connection's end as usual.
import { unreachable } from '@shardline/common/base';
import { exceptionFrame } from '../event-stream.ts';
import type { HttpReply } from '../http-exchange.ts';
import { dropConnection, writeThenDrop } from './drop-connection.ts';
import type { Ending, EventsEnding } from './fault-plan.ts';
import type { Breakage } from './fault-rule.ts';
import type { Holds } from './holds.ts';

/** The reply to write to instead of `reply`. Make it before anything is waited for: it remembers a client that goes. */
export function spoiledReply(reply: HttpReply, ending: Ending | undefined, holds: Holds): HttpReply {
  switch (ending?.kind) {
    case 'loseAnswer':
      return new LostReply(reply, ending.by, holds);
    case 'truncateAnswer':
      return new TruncatedReply(reply, ending.by);
    case 'corruptEvents':
      return new CorruptedEvents(reply, ending.afterEvents);
    case 'events':
      return new SpoiledEvents(reply, ending, holds);
    default:
      return new PassingReply(reply);
  }
}

/** Changes nothing, and tells also a late listener that the client has gone. */
class PassingReply implements HttpReply {
  protected readonly reply: HttpReply;
  #isClosed = false;

  constructor(reply: HttpReply) {
    this.reply = reply;
    reply.on('close', () => {
      this.#isClosed = true;
    });
  }

  get headersSent(): boolean {
    return this.reply.headersSent;
  }

  setHeader(name: string, value: string): unknown {
    return this.reply.setHeader(name, value);
  }

  writeHead(status: number, headers: Readonly<Record<string, string | number>>): unknown {
    return this.reply.writeHead(status, headers);
  }

  write(chunk: Uint8Array, onFlushed?: () => void): boolean {
    return this.reply.write(chunk, onFlushed);
  }

  end(chunk?: Uint8Array): unknown {
    return this.reply.end(chunk);
  }

  destroy(): unknown {
    return this.reply.destroy();
  }

  on(event: 'drain' | 'close', listener: () => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'drain' | 'close' | 'error', listener: (error: Error) => void): unknown {
    if (event === 'error') return this.reply.on(event, listener);
    const heard = listener as () => void;
    if (event === 'close' && this.#isClosed) return queueMicrotask(heard);
    return this.reply.on(event, heard);
  }
}

/** Not one byte of it arrives. */
class LostReply extends PassingReply {
  readonly #by: Breakage | 'silence';
  readonly #holds: Holds;

  constructor(reply: HttpReply, by: Breakage | 'silence', holds: Holds) {
    super(reply);
    this.#by = by;
    this.#holds = holds;
  }

  override writeHead(): void {
    if (this.#by === 'silence') this.#holds.keepSilent(this);
    else dropConnection(this.reply, this.#by);
  }

  override write(): boolean {
    return true;
  }

  override end(): void {}
}

/** Half of its body arrives; an answer without a body not at all. */
class TruncatedReply extends PassingReply {
  readonly #by: Breakage;

  constructor(reply: HttpReply, by: Breakage) {
    super(reply);
    this.#by = by;
  }

  override end(body: Uint8Array = new Uint8Array()): void {
    writeThenDrop(this.reply, body.subarray(0, body.length >>> 1), this.#by);
  }
}

/** Breaks off, falls silent or ends after so many events or bytes. Every write is a frame; the first one is no event. */
class SpoiledEvents extends PassingReply {
  readonly #ending: EventsEnding;
  readonly #holds: Holds;
  #eventCount = -1;
  #sentBytes = 0;
  #isOver = false;

  constructor(reply: HttpReply, ending: EventsEnding, holds: Holds) {
    super(reply);
    this.#ending = ending;
    this.#holds = holds;
  }

  override write(frame: Uint8Array): boolean {
    if (this.#isOver) return true;
    const { after } = this.#ending;
    const sent = 'bytes' in after ? frame.subarray(0, after.bytes - this.#sentBytes) : frame;
    this.#eventCount++;
    this.#sentBytes += sent.length;
    this.#isOver = 'bytes' in after ? this.#sentBytes >= after.bytes : this.#eventCount >= after.events;
    if (!this.#isOver) return this.reply.write(sent);
    this.#strike(sent);
    return true;
  }

  override end(): void {
    if (!this.#isOver) this.reply.end();
  }

  #strike(last: Uint8Array): void {
    const { what } = this.#ending;
    switch (what.kind) {
      case 'cut':
        writeThenDrop(this.reply, last, what.by);
        break;
      case 'stall':
        this.reply.write(last);
        this.#holds.keepSilent(this);
        break;
      case 'fail':
        this.reply.write(last);
        this.reply.end(exceptionFrame(what.type, what.message));
        break;
      case 'end':
        this.reply.end(last);
        break;
      default:
        unreachable(what);
    }
  }
}

/** One event's last byte, which is of its checksum, is another. */
class CorruptedEvents extends PassingReply {
  readonly #corruptAt: number;
  #eventCount = -1;

  constructor(reply: HttpReply, corruptAt: number) {
    super(reply);
    this.#corruptAt = corruptAt;
  }

  override write(frame: Uint8Array): boolean {
    if (this.#eventCount++ !== this.#corruptAt) return this.reply.write(frame);
    const corrupted = Uint8Array.from(frame);
    corrupted[frame.length - 1] = ~(frame.at(-1) ?? 0);
    return this.reply.write(corrupted);
  }
}
