// The requests that have been emitted and are not over: between the collector and the answers. Gives them their numbers.
// Invariant: a request is in here from its `send` until its answer, or until `begin` found nothing left to send.
import { invariant } from '@shardline/common';
import type { KinesisRecord, Refusals, Request } from './batch.ts';
import type { Collection } from './collector.ts';
import type { Outbox } from './effects.ts';

export interface OnItsWay {
  /** What `begin` put into it; none before. */
  readonly kinesisRecords: readonly KinesisRecord[];
  readonly refusals: Refusals;
}

export class Requests {
  readonly #outbox: Outbox;
  readonly #onTheirWay = new Map<number, OnItsWay>();
  #lastRequestId = 0;

  constructor(outbox: Outbox) {
    this.#outbox = outbox;
  }

  get count(): number {
    return this.#onTheirWay.size;
  }

  send(collections: readonly Collection[], refusals: Refusals = { count: 0 }): void {
    for (const { kinesisRecords, sizeBytes } of collections) {
      const request: Request = { requestId: ++this.#lastRequestId, kinesisRecords, sizeBytes, refusals };
      for (const kinesisRecord of kinesisRecords) {
        if (kinesisRecord.phase !== 'done') kinesisRecord.phase = 'requested';
      }
      this.#onTheirWay.set(request.requestId, { kinesisRecords: [], refusals });
      this.#outbox.push({ kind: 'send', request });
    }
  }

  /** These of its Kinesis records are sent now; it is over if there are none. */
  begun({ requestId, refusals }: Request, kinesisRecords: readonly KinesisRecord[]): void {
    if (kinesisRecords.length === 0) this.#onTheirWay.delete(requestId);
    else this.#onTheirWay.set(requestId, { kinesisRecords, refusals });
  }

  /** It is over. */
  take(requestId: number): OnItsWay {
    const request = this.#onTheirWay.get(requestId);
    invariant(request !== undefined, 'an answer to a request that is not on its way');
    this.#onTheirWay.delete(requestId);
    return request;
  }

  inFlight(): KinesisRecord[] {
    return [...this.#onTheirWay.values()].flatMap(({ kinesisRecords }) => kinesisRecords);
  }
}
