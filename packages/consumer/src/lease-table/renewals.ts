// How renewals of leases reach the table: those that begin in one turn of the event loop go together, up to 25 a call, by
// BatchExecuteStatement; few go by UpdateItem, one a call. Each has the same condition by either way, and an answer of its own. They
// are nearly all that a worker with many idle leases writes, and what a call costs the process is most of what a renewal costs.
// Not every role allows it, not every server of DynamoDB's API has it, and one that overlooks a condition would let two workers
// hold one lease. So it is tried on a row that is there with a condition that can't hold, while renewals go by UpdateItem as if there were
// nothing else; and what comes back undone from a call for many goes by UpdateItem at once, within the same effect.
// Invariant: every renewal is answered once, and a refusal after a sending that may have been applied is marked `repeated`.
import { type Clock, isShardlineError, type Logger } from '@shardline/common';
import PQueue from 'p-queue';
import { messageOf } from '../aws-call.ts';
import type { RenewLease } from '../coordination/effects.ts';
import { LATEST_SINCE, type WrittenValue } from './item.ts';
import { isDenied } from './opening.ts';
import { isNotFound, type Statement, type StatementFailure, type Table, type Values, type Write } from './table.ts';

/** `latestSince`: written, too, unless the row has one, ms since 1970. */
export type Renewal = Pick<RenewLease, 'leaseKey' | 'leaseCounter' | 'handoffKnown' | 'throughputKBps'> & {
  readonly latestSince?: number;
};

export interface RenewalsOptions {
  readonly logger: Logger;
  readonly clock: Clock;
}

/** DynamoDB's bound. */
const MOST_TOGETHER = 25;
/** For fewer a call for many saves nothing, and of theirs the SDK tries again what was throttled. */
const LEAST_TOGETHER = 3;
/** As many as the runtime has under way of all other effects on the table. */
const CONCURRENT_CALLS = 32;
/** After it did not work. */
const TRY_AGAIN_MS = 3_600_000;
const PERMISSION = 'dynamodb:PartiQLUpdate';
/** No counter is. */
const NEVER = -1;

interface Waiting {
  readonly renewal: Renewal;
  readonly resolve: (write: Write) => void;
  readonly reject: (error: unknown) => void;
}

export class Renewals {
  readonly #table: Table;
  readonly #options: RenewalsOptions;
  readonly #calls = new PQueue({ concurrency: CONCURRENT_CALLS });
  #waiting: Waiting[] = [];
  /** Whether calls for many do what they should. */
  #together: 'unknown' | 'asked' | 'works' = 'unknown';
  #askAgainAt = Number.NEGATIVE_INFINITY;
  #hasTold = false;

  constructor(table: Table, options: RenewalsOptions) {
    this.#table = table;
    this.#options = options;
  }

  /** @throws OperatingError; it is not known then whether the lease was renewed. */
  renew(renewal: Renewal): Promise<Write> {
    return new Promise((resolve, reject) => {
      // Timers, answers and their promises come before it in a turn.
      if (this.#waiting.length === 0) setImmediate(() => this.#send());
      this.#waiting.push({ renewal, resolve, reject });
    });
  }

  #send(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    const { together, alone } = share(waiting, ({ renewal }) =>
      renewal.latestSince === undefined ? renewal.leaseKey : undefined,
    );
    if (together.length > 0 && this.#together !== 'works') {
      const writes = waiting.map((each) => this.#sendAlone(each));
      if (this.#together === 'unknown' && this.#options.clock.now() >= this.#askAgainAt) {
        this.#together = 'asked';
        void Promise.all(writes).then((written) => this.#ask(written));
      }
      return;
    }
    for (const each of together) void this.#calls.add(() => this.#renewTogether(each));
    for (const each of alone) void this.#sendAlone(each);
  }

  #sendAlone(waiting: Waiting, isSentAgain = false): Promise<Write | undefined> {
    // What comes back from a call for many has waited before.
    return this.#calls.add(() => this.#renewAlone(waiting, isSentAgain), { priority: isSentAgain ? 1 : 0 });
  }

  async #renewAlone({ renewal, resolve, reject }: Waiting, isSentAgain: boolean): Promise<Write | undefined> {
    try {
      const write = await this.#table.update(renewal.leaseKey, updateOf(renewal));
      resolve(isSentAgain && !write.applied ? { ...write, repeated: true } : write);
      return write;
    } catch (error) {
      reject(error);
      return undefined;
    }
  }

  async #renewTogether(all: readonly Waiting[]): Promise<void> {
    let answers: readonly (Write | StatementFailure)[];
    try {
      answers = await this.#table.updateMany(all.map(({ renewal }) => statementOf(this.#table, renewal)));
    } catch (error) {
      // Nobody knows what became of it, or it would not be otherwise by UpdateItem.
      if (isPassing(error) || isClosed(error)) for (const { reject } of all) reject(error);
      else this.#sendAgain(all, error);
      return;
    }
    for (const [index, waiting] of all.entries()) {
      const answer = answers[index];
      if (answer === undefined) this.#sendAgain([waiting], 'an answer is missing');
      else if ('error' in answer) {
        if (isPassing(answer.error)) waiting.reject(answer.error);
        else this.#sendAgain([waiting], answer.error);
      } else if (answer.applied && answer.item === undefined)
        this.#sendAgain([waiting], 'gives no row back, as `RETURNING ALL NEW *` asks');
      else waiting.resolve(answer);
    }
  }

  /** Even a refusal does not say that nothing was applied: the SDK may have sent it before, and lost that answer. */
  #sendAgain(all: readonly Waiting[], why: unknown): void {
    this.#giveUp(why);
    for (const waiting of all) void this.#sendAlone(waiting, true);
  }

  /** Of a row that is there, and says so to whoever overlooks the condition: what would be written is what stands there. */
  async #ask(written: readonly (Write | undefined)[]): Promise<void> {
    const item = written.find((write) => write?.applied)?.item;
    const leaseKey = item?.['leaseKey']?.S;
    const leaseCounter = item?.['leaseCounter']?.N;
    if (leaseKey === undefined || leaseCounter === undefined) {
      this.#together = 'unknown';
      return;
    }
    const never = { leaseKey, leaseCounter: NEVER, handoffKnown: false, throughputKBps: undefined };
    try {
      const [answer] = await this.#table.updateMany([statementOf(this.#table, never, { N: leaseCounter })]);
      if (answer === undefined) throw new Error('an answer is missing');
      if ('error' in answer) throw answer.error;
      if (answer.applied) throw new Error('an update was made whose condition does not hold');
      this.#together = 'works';
    } catch (error) {
      this.#together = 'unknown';
      if (!isPassing(error)) this.#giveUp(error);
    }
  }

  #giveUp(why: unknown): void {
    // The table is not there, or is not ours to ask any more.
    if (isNotFound(why) || isClosed(why)) return;
    this.#together = 'unknown';
    this.#askAgainAt = this.#options.clock.now() + TRY_AGAIN_MS;
    if (this.#hasTold) return;
    this.#hasTold = true;
    const { name } = this.#table;
    const remedy =
      why instanceof Error && isDenied(why)
        ? `allow ${PERMISSION} on table ${name} and up to ${MOST_TOGETHER} go in one, for a fraction of the processor time`
        : 'this DynamoDB does not do it by BatchExecuteStatement';
    const err = why instanceof Error ? why : new Error(messageOf(why));
    this.#options.logger.info({ table: name, err }, `leases are renewed one a call: ${remedy}`);
  }
}

/**
 * Shares of at most 25, of about one size. Who has no key, and a second one of the same key, which no call may have, stay alone, and
 * all of them where they are few.
 */
export function share<T>(
  all: readonly T[],
  keyOf: (each: T) => string | undefined,
): { readonly together: readonly T[][]; readonly alone: readonly T[] } {
  const keys = new Set<string>();
  const alone: T[] = [];
  const others: T[] = [];
  for (const each of all) {
    const key = keyOf(each);
    if (key === undefined || keys.has(key)) alone.push(each);
    else {
      keys.add(key);
      others.push(each);
    }
  }
  if (others.length < LEAST_TOGETHER) return { together: [], alone: all };
  const shareCount = Math.ceil(others.length / MOST_TOGETHER);
  const size = Math.ceil(others.length / shareCount);
  return {
    together: Array.from({ length: shareCount }, (_, index) => others.slice(index * size, (index + 1) * size)),
    alone,
  };
}

/** As UpdateItem takes it (KCL DynamoDBLeaseSerializer). */
export function updateOf({ leaseCounter, handoffKnown, throughputKBps, latestSince }: Renewal): {
  condition: string;
  update: string;
  values: Values;
} {
  const latest = latestSince === undefined ? '' : `, ${LATEST_SINCE} = if_not_exists(${LATEST_SINCE}, :wallNow)`;
  const throughput = throughputKBps === undefined ? '' : ', throughputKBps = :kBps';
  return {
    condition: `leaseCounter = :counter${handoffKnown ? '' : ' AND attribute_not_exists(checkpointOwner)'}`,
    update: `SET leaseCounter = :next${latest}${throughput}`,
    values: {
      ':counter': { N: String(leaseCounter) },
      ':next': { N: String(leaseCounter + 1) },
      ...(latestSince !== undefined && { ':wallNow': { N: String(latestSince) } }),
      ...(throughputKBps !== undefined && { ':kBps': { N: String(throughputKBps) } }),
    },
  };
}

/** The same in PartiQL, which has no words for `latestSince`. Values are parameters, so that there are four texts in all. */
export function statementOf(
  { name, keyName }: Pick<Table, 'name' | 'keyName'>,
  { leaseKey, leaseCounter, handoffKnown, throughputKBps }: Renewal,
  next: WrittenValue = { N: String(leaseCounter + 1) },
): Statement {
  const throughput = throughputKBps === undefined ? '' : ' SET "throughputKBps" = ?';
  const unlessHandedOff = handoffKnown ? '' : ' AND "checkpointOwner" IS MISSING';
  return {
    text: `UPDATE "${name}" SET "leaseCounter" = ?${throughput} WHERE "${keyName}" = ? AND "leaseCounter" = ?${unlessHandedOff} RETURNING ALL NEW *`,
    parameters: [
      next,
      ...(throughputKBps === undefined ? [] : [{ N: String(throughputKBps) }]),
      { S: leaseKey },
      { N: String(leaseCounter) },
    ],
  };
}

/** As a call for one would fail for a while, too. */
function isPassing(error: unknown): boolean {
  return isShardlineError(error) && 'retryable' in error && error.retryable === true;
}

function isClosed(error: unknown): boolean {
  return isShardlineError(error) && error.code === 'CLOSED';
}
