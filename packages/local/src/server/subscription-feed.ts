// The way of a record from the put to a subscriber: the put wakes the subscription, the feed polls it and writes the event, all
// within the put itself, with no tick in between. A reader that is slower than its shard stops the polling until its socket
// drains, so what waits for it stays in the shard and not here. Owns the end of every subscription it serves.
import { type Clock, unreachable } from '@shardline/common/base';
import type { Shard, Subscription, SubscriptionEnd, SubscriptionEvent } from '../model/index.ts';
import { EVENT_STREAM_CONTENT_TYPE, eventFrame, exceptionFrame, initialResponseFrame } from './event-stream.ts';
import type { HttpReply } from './http-exchange.ts';
import { childShardMembers } from './operations/members.ts';
import { storedRecordsMembers } from './operations/records.ts';

/** An empty event this often when there is no other, so that a client knows the connection lives. */
const HEARTBEAT_MS = 5_000;

/** Resolves when what was stored until now may be shown; undefined when it may be at once. */
export type WhenSafe = () => Promise<void> | undefined;

/** Writes the answer's head, then events until the subscription, the shard or the client ends. */
export function feedSubscription(
  subscription: Subscription,
  reply: HttpReply,
  requestId: string,
  clock: Clock,
  whenSafe: WhenSafe,
): void {
  new SubscriptionFeed(subscription, reply, clock, whenSafe).begin(requestId);
}

class SubscriptionFeed {
  readonly #subscription: Subscription;
  readonly #reply: HttpReply;
  readonly #clock: Clock;
  readonly #whenSafe: WhenSafe;
  /** The reader does not take more for now. */
  #isBlocked = false;
  /** An event was polled that may not be shown yet. */
  #isWaiting = false;
  #isOver = false;
  #sentMs: number;
  #cancelTimer: () => void = () => undefined;

  constructor(subscription: Subscription, reply: HttpReply, clock: Clock, whenSafe: WhenSafe) {
    this.#subscription = subscription;
    this.#reply = reply;
    this.#clock = clock;
    this.#whenSafe = whenSafe;
    this.#sentMs = clock.wallNow();
  }

  begin(requestId: string): void {
    this.#reply.on('drain', () => {
      this.#isBlocked = false;
      this.#pump();
    });
    this.#reply.on('close', () => {
      this.#finish();
      this.#subscription.end('cancelled');
    });
    this.#reply.writeHead(200, { 'content-type': EVENT_STREAM_CONTENT_TYPE, 'x-amzn-requestid': requestId });
    this.#write(initialResponseFrame());
    this.#subscription.onNews = () => this.#pump();
    // The first event comes at once, empty or not.
    this.#sentMs = Number.NEGATIVE_INFINITY;
    this.#pump();
  }

  /** Sends what there is, as far as the reader takes it, then plans the next look. */
  #pump(): void {
    while (!this.#isOver && !this.#isBlocked && !this.#isWaiting) {
      const now = this.#clock.wallNow();
      const event = this.#subscription.poll(now);
      switch (event.kind) {
        case 'records':
          this.#onceSafe(() => this.#write(recordsFrame(event, this.#subscription.shard)));
          break;
        case 'shard-end':
          this.#onceSafe(() => {
            this.#write(shardEndFrame(event, this.#subscription.shard));
            this.#end();
          });
          break;
        case 'ended':
          this.#endBecause(event.reason);
          return;
        case 'throttled':
          this.#lookAgainAt(event.untilMs, now);
          return;
        case 'idle':
          if (now - this.#sentMs >= HEARTBEAT_MS) this.#write(heartbeatFrame(event));
          this.#lookAgainAt(this.#sentMs + HEARTBEAT_MS, now);
          return;
        default:
          unreachable(event);
      }
    }
    if (!this.#isOver) this.#lookAgainAt(this.#subscription.expiresMs, this.#clock.wallNow());
  }

  /** Now, or when the disk holds what is to be shown; until then nothing more is polled. */
  #onceSafe(show: () => void): void {
    const safe = this.#whenSafe();
    if (safe === undefined) {
      show();
      return;
    }
    this.#isWaiting = true;
    safe.then(
      () => {
        this.#isWaiting = false;
        if (!this.#isOver) show();
        this.#pump();
      },
      () => this.#reply.destroy(),
    );
  }

  /** At `atMs` or when the subscription expires, whichever is first. */
  #lookAgainAt(atMs: number, now: number): void {
    const { expiresMs } = this.#subscription;
    this.#cancelTimer();
    this.#cancelTimer = this.#clock.setTimer(() => this.#onTimer(), Math.min(atMs, expiresMs) - now, false);
  }

  #onTimer(): void {
    // A reader that takes nothing does not hear of the end either.
    if (this.#isBlocked && this.#clock.wallNow() >= this.#subscription.expiresMs) this.#reply.destroy();
    else this.#pump();
  }

  #write(frame: Buffer): void {
    this.#sentMs = this.#clock.wallNow();
    this.#isBlocked = !this.#reply.write(frame);
  }

  #endBecause(reason: SubscriptionEnd): void {
    switch (reason) {
      case 'taken-over':
        this.#write(
          exceptionFrame('ResourceInUseException', 'Another subscription of this consumer took the shard over.'),
        );
        break;
      case 'consumer-deleted':
        this.#write(exceptionFrame('ResourceNotFoundException', 'The consumer was deregistered.'));
        break;
      case 'stream-deleted':
        this.#write(exceptionFrame('ResourceNotFoundException', 'The stream was deleted.'));
        break;
      case 'expired':
      case 'cancelled':
      case 'shard-end':
        break;
      default:
        unreachable(reason);
    }
    this.#end();
  }

  #end(): void {
    this.#finish();
    this.#reply.end();
  }

  #finish(): void {
    this.#isOver = true;
    this.#cancelTimer();
    this.#subscription.onNews = () => undefined;
  }
}

function recordsFrame(event: SubscriptionEvent & { kind: 'records' }, shard: Shard): Buffer {
  return eventFrame({
    Records: storedRecordsMembers(event.records, shard),
    ContinuationSequenceNumber: event.continuationSequenceNumber,
    MillisBehindLatest: event.millisBehindLatest,
  });
}

/** No ContinuationSequenceNumber: by that, and by the children, a client knows the end (KCL DataRetrievalUtil.isValidResult). */
function shardEndFrame(event: SubscriptionEvent & { kind: 'shard-end' }, shard: Shard): Buffer {
  return eventFrame({
    Records: storedRecordsMembers(event.records, shard),
    MillisBehindLatest: 0,
    ChildShards: childShardMembers(event.childShards),
  });
}

function heartbeatFrame(event: SubscriptionEvent & { kind: 'idle' }): Buffer {
  return eventFrame({
    Records: [],
    ContinuationSequenceNumber: event.continuationSequenceNumber,
    MillisBehindLatest: 0,
  });
}
