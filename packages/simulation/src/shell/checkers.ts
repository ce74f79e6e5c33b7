// The rules that a shell's world is held to, judged from outside of the consumers: by what handlers were given, by the rows that were written,
// and by what a worker that has ended still asks for. They keep their own history and read nothing of the consumers'.
import { compareExtended, formatExtended } from '@shardline/common';
import type { Failure, ShardContext, UserRecord } from '@shardline/consumer';
import type { Lease } from '../../../consumer/dist/coordination/lease.js';
import { History, type PutRecord, type ShardHistory } from './history.ts';
import { numberIn } from './stream.ts';

/** What handlers were promised of records that they do not finish. */
export interface Policy {
  /** So often a handler is given just these records. */
  readonly maxTries: number;
  /** So old a record may be that is tried again. */
  readonly maxAgeMs: number;
  /** Records are given up one by one. */
  readonly isBisected: boolean;
}

const NO_POLICY: Policy = {
  maxTries: Number.POSITIVE_INFINITY,
  maxAgeMs: Number.POSITIVE_INFINITY,
  isBisected: true,
};

/** One uninterrupted ownership of a shard, as its handler sees it. */
interface Tenure {
  readonly name: string;
  readonly shard: ShardHistory;
  /** Numbers of records that its handler has finished. */
  readonly handled: Set<number>;
  /** How often a call threw that was given just these, by their numbers. */
  readonly throws: Map<string, number>;
  /** Calls under way. */
  readonly inHand: Set<readonly PutRecord[]>;
  readonly worker: string;
  /** As its handler had it first. */
  readonly signal: AbortSignal;
  /** `initialize` has returned, and neither `leaseLost` nor the end of `shardEnded` has come. */
  isOpen: boolean;
}

export class ShellCheckers {
  readonly history: History = new History();
  readonly violations: string[] = [];
  readonly #concurrency: number;
  readonly #policy: Policy;
  readonly #tenures = new Map<string, Tenure>();
  /** Whose each fencing token of a lease is. */
  readonly #tokens = new Map<string, string>();
  handlerCallCount = 0;

  /** @param concurrency calls side by side; of more than one, order is by partition key alone. */
  constructor(concurrency: number, policy: Policy = NO_POLICY) {
    this.#concurrency = concurrency;
    this.#policy = policy;
  }

  // --- what the handler is told ---

  /** Any of its words but `leaseLost`. */
  called(worker: string, word: string, context: ShardContext): void {
    this.handlerCallCount += 1;
    const { name, shard } = this.#tenureOf(worker, context);
    if (context.signal.aborted) this.violate(`${name}: ${word} was called after its signal was aborted`);
    if (word === 'shutdownRequested') return;
    for (const parent of shard.parents)
      if (!parent.isHandled)
        this.violate(`${name}: ${word} was called before all of its parent ${parent.shardId} was handled`);
    if (word === 'shardEnded' && !(shard.isClosed && shard.isHandled))
      this.violate(`${name} was ended, ${shard.isClosed ? 'not all of it handled' : 'and it is open'}`);
  }

  /** `initialize` or `shardEnded` has returned. */
  returned(worker: string, word: string, context: ShardContext): void {
    const tenure = this.#tenureOf(worker, context);
    if (word === 'initialize') tenure.isOpen = true;
    else if (word === 'shardEnded') tenure.isOpen = false;
  }

  /** After whatever was called has returned, and nothing can be written any more. */
  leaseLost(worker: string, context: ShardContext): void {
    const tenure = this.#tenureOf(worker, context);
    tenure.isOpen = false;
    if (tenure.inHand.size > 0) this.violate(`${tenure.name}: leaseLost was called while a batch was handled`);
    if (!tenure.signal.aborted) this.violate(`${tenure.name}: leaseLost was called, and its signal is not aborted`);
  }

  /** The worker has stopped in good order: each of its handlers was told. */
  ended(worker: string): void {
    for (const tenure of this.#tenures.values())
      if (tenure.worker === worker && tenure.isOpen)
        this.violate(`${tenure.name}: the worker has ended, and its handler was not told`);
  }

  /** @returns what was put, in the batch's order. */
  deliveryBegan(worker: string, context: ShardContext, batch: readonly UserRecord[]): readonly PutRecord[] {
    this.called(worker, 'processRecords', context);
    const tenure = this.#tenureOf(worker, context);
    const records = batch.map((record) => this.#recordOf(tenure, record));
    const isByKey = this.#concurrency > 1;
    if (tenure.inHand.size >= this.#concurrency) this.violate(`${tenure.name}: two calls overlap`);
    const inBatch = new Set<number>();
    for (const record of records) {
      const { number, partitionKey, index } = record;
      if (tenure.handled.has(number)) this.violate(`${tenure.name}: record ${number} again, which it has handled`);
      if (record.isCalm && record.handledCount > 0)
        this.violate(`${tenure.name}: record ${number} again, and there was no fault since it was put`);
      const skipped = this.#before(tenure.shard, index).find(
        (before) =>
          before.handledCount === 0 &&
          !inBatch.has(before.number) &&
          (!isByKey || before.partitionKey === partitionKey),
      );
      if (skipped !== undefined)
        this.violate(
          `${tenure.name}: record ${number} was delivered, and record ${skipped.number} before it is not handled`,
        );
      for (const others of tenure.inHand)
        if (others.some((other) => other.partitionKey === partitionKey))
          this.violate(`${tenure.name}: partition key ${partitionKey} is in two calls`);
      inBatch.add(number);
    }
    const throwCount = tenure.throws.get(namesOf(records)) ?? 0;
    if (throwCount >= this.#policy.maxTries)
      this.violate(`${tenure.name}: records ${namesOf(records)} again, which have thrown ${throwCount} times`);
    tenure.inHand.add(records);
    return records;
  }

  deliveryEnded(worker: string, context: ShardContext, records: readonly PutRecord[], handled: boolean): void {
    const tenure = this.#tenureOf(worker, context);
    tenure.inHand.delete(records);
    if (handled) this.handled(worker, context, records);
    else tenure.throws.set(namesOf(records), (tenure.throws.get(namesOf(records)) ?? 0) + 1);
  }

  /** A call has finished these, and may say so before it returns; should it throw, it is given them again. */
  handledPart(records: readonly PutRecord[]): void {
    for (const record of records) record.handledCount += 1;
  }

  /** `onFailure` was called: as the policy says, and of nothing that is finished. @returns what was put. */
  failed(worker: string, context: ShardContext, failure: Failure): readonly PutRecord[] {
    this.called(worker, 'onFailure', context);
    const tenure = this.#tenureOf(worker, context);
    const records = failure.records.map((record) => this.#recordOf(tenure, record));
    const { maxTries, maxAgeMs, isBisected } = this.#policy;
    const { attempts, limit, failedAt } = failure;
    const what = `${tenure.name}: records ${namesOf(records)} are handed over`;
    const throwCount = tenure.throws.get(namesOf(records)) ?? 0;
    if (attempts !== throwCount)
      this.violate(`${what}, tried ${attempts} times as is said, and threw ${throwCount} times`);
    if (limit === 'attempts' && attempts !== maxTries)
      this.violate(`${what} after ${attempts} tries, and ${maxTries} are promised`);
    const ages = failure.records.map(({ approximateArrivalTimestamp: at }) => failedAt.getTime() - at.getTime());
    if (limit === 'age' && (attempts === 0 || Math.min(...ages) <= maxAgeMs))
      this.violate(`${what} for their age, ${ages.join(', ')} ms, after ${attempts} tries`);
    if (isBisected && records.length > 1) this.violate(`${what} together`);
    for (const { number } of records)
      if (tenure.handled.has(number)) this.violate(`${what}, and record ${number} is handled`);
    return records;
  }

  /** `onFailure` has resolved: only now, and only if they are in safe hands, are they done with. */
  handedOver(
    worker: string,
    context: ShardContext,
    records: readonly PutRecord[],
    holds: (record: PutRecord) => boolean,
  ): void {
    const lost = records.find((record) => !holds(record));
    if (lost !== undefined)
      this.violate(`${this.#tenureOf(worker, context).name}: record ${lost.number} was handed over, and nobody has it`);
    this.handled(worker, context, records);
  }

  /** By the handler, or taken over by `onFailure`. */
  handled(worker: string, context: ShardContext, records: readonly PutRecord[]): void {
    const tenure = this.#tenureOf(worker, context);
    this.handledPart(records);
    for (const { number } of records) tenure.handled.add(number);
  }

  // --- the rows ---

  leaseWritten(before: Lease | undefined, after: Lease | undefined): void {
    const lease = after ?? before;
    if (lease === undefined) return;
    const shard = this.history.of(lease.shardId);
    if (after === undefined) {
      if (before?.checkpoint.sequenceNumber !== 'SHARD_END')
        this.violate(`the lease of ${shard.shardId} was deleted before its end`);
      return;
    }
    const { checkpoint } = after;
    if (before === undefined && shard.hasEnded)
      this.violate(`the lease of ${shard.shardId} was made again after its end`);
    if (before !== undefined && compareExtended(checkpoint, before.checkpoint) < 0)
      this.violate(
        `the checkpoint of ${shard.shardId} went back from ${formatExtended(before.checkpoint)} to ${formatExtended(checkpoint)}`,
      );
    if (checkpoint.sequenceNumber === 'SHARD_END') {
      if (!shard.isClosed || !shard.isHandled)
        this.violate(`${shard.shardId} is at SHARD_END, ${shard.isClosed ? 'not all of it handled' : 'and open'}`);
      shard.hasEnded = true;
    } else if (typeof checkpoint.sequenceNumber === 'bigint' && shard.covered(checkpoint) > shard.handledTo) {
      const record = shard.records[shard.handledTo];
      this.violate(`the checkpoint of ${shard.shardId} covers record ${record?.number}, which is not handled`);
    }
  }

  // --- the end ---

  checkDrained(when: string): void {
    const left = this.history.unfinished();
    if (left.length === 0) return;
    const texts = left.map(
      ({ shardId, handledTo, records, isClosed }) =>
        `${shardId} (${handledTo} of ${records.length} handled, ${isClosed ? 'closed' : 'open'})`,
    );
    this.violate(`not drained ${when}: ${texts.join(', ')}`);
  }

  violate(violation: string): void {
    this.violations.push(violation);
  }

  #tenureOf(worker: string, context: ShardContext): Tenure {
    const { leaseKey, shardId, fencingToken } = context;
    const name = `${worker}, ${leaseKey}, token ${fencingToken}`;
    const known = this.#tenures.get(name);
    if (known !== undefined) return known;
    const token = `${leaseKey}/${fencingToken}`;
    const other = this.#tokens.get(token);
    if (other !== undefined && other !== worker) this.violate(`${name}: ${other} has the same token`);
    this.#tokens.set(token, worker);
    const { signal } = context;
    const tenure = {
      name,
      shard: this.history.of(shardId),
      handled: new Set<number>(),
      throws: new Map<string, number>(),
      inHand: new Set<readonly PutRecord[]>(),
      worker,
      signal,
      isOpen: false,
    };
    this.#tenures.set(name, tenure);
    return tenure;
  }

  #recordOf({ name, shard }: Tenure, given: UserRecord): PutRecord {
    const number = numberIn(given.data);
    const record = this.history.records[number - 1];
    if (record === undefined) throw new Error(`${name}: expected a record that was put, got ${number}`);
    const { sequenceNumber, subSequenceNumber } = record.position;
    const isSame =
      record.shard === shard &&
      given.sequenceNumber === String(sequenceNumber) &&
      given.subSequenceNumber === subSequenceNumber &&
      given.partitionKey === record.partitionKey;
    if (!isSame) this.violate(`${name}: record ${number} was not delivered as it was put`);
    return record;
  }

  /** Of a shard those before a place that are not known to be handled. */
  #before(shard: ShardHistory, index: number): readonly PutRecord[] {
    return shard.records.slice(shard.handledTo, index);
  }
}

function namesOf(records: readonly PutRecord[]): string {
  return records.map(({ number }) => number).join(' ');
}
